"""What is doubtful about a corpus that can be used: said once, when it is read."""

from __future__ import annotations

from collections.abc import Iterator

from seqrl.data.corpus import Corpus, Example

LONG = 10_000
"""Characters of a side from which on a training pair takes more memory than most machines have."""
COPIES = 0.5
"""Share of training pairs with equal sides above which one side may be the wrong file."""


def doubts(corpus: Corpus) -> Iterator[str]:
    """Lines on evaluation pairs that are trained on, on copied sides and on very long ones.

    Each has a number and the place of the first instance.
    """
    train = corpus.get("train", [])
    for name, examples in corpus.items():
        if name != "train":
            yield from _trained_on(name, examples, train)
    yield from _copied(train)
    yield from _long(train)


def _trained_on(name: str, examples: list[Example], train: list[Example]) -> Iterator[str]:
    pairs: dict[tuple[str, str], int] = {}
    for number, example in enumerate(examples):
        for reference in example.references:
            pairs.setdefault((example.source, reference), number)
    places: dict[tuple[str, str], int] = {}
    for number, example in enumerate(train):
        pair = example.source, example.references[0]
        if pair in pairs:
            places.setdefault(pair, number)
    if not places:
        return
    seen = sum(any((e.source, text) in places for text in e.references) for e in examples)
    pair = min(places, key=pairs.__getitem__)
    first, same = _place(name, examples, pairs[pair]), _place("train", train, places[pair])
    yield (
        f"{seen:,} of {len(examples):,} {name} pairs stand in train too, "
        f"e.g. {first}, which is {same}: "
        "scores on them say nothing of other text"
    )


def _copied(train: list[Example]) -> Iterator[str]:
    copies = [n for n, example in enumerate(train) if example.source == example.references[0]]
    if len(copies) > COPIES * len(train):
        yield (
            f"{len(copies):,} of {len(train):,} train pairs have equal sides, "
            f"e.g. {_place('train', train, copies[0])}: is one of the files the other's copy?"
        )


def _long(train: list[Example]) -> Iterator[str]:
    long = [n for n, e in enumerate(train) if max(len(e.source), len(e.references[0])) > LONG]
    if long:
        yield (
            f"{len(long):,} of {len(train):,} train pairs have more than {LONG:,} characters on a "
            f"side, e.g. {_place('train', train, long[0])}: leave them out with "
            "task.filters.max_source_tokens and max_target_tokens, or memory may not suffice"
        )


def _place(split: str, examples: list[Example], number: int) -> str:
    """Where an example stands: its line, or which one it is where there are no lines."""
    line = examples[number].line
    return f"line {line} of {split}" if line else f"pair {number + 1} of {split}"

"""What is worth knowing about a corpus before training on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from unicodedata import is_normalized

from seqrl.data.corpus import Corpus, Example
from seqrl.data.doubts import doubts
from seqrl.data.files import listed
from seqrl.data.filters import lengths
from seqrl.data.task import unknown_share
from seqrl.data.tokenizers import SOURCE_SPECIALS, TARGET_SPECIALS, WordTokenizer


def diagnose(corpus: Corpus, *, min_frequency: int = 1) -> Iterator[str]:
    """Lines of counts, lengths, vocabulary coverage, duplicates and doubts.

    min_frequency  of the words in the vocabularies, which are of the training split
    """
    for name, examples in corpus.items():
        yield _size(name, examples)
        yield from _not_composed(name, examples)
    train = corpus.get("train")
    if train:
        evaluation = {name: split for name, split in corpus.items() if name != "train"}
        yield from _coverage(train, evaluation, min_frequency)
        yield from _duplicates(train, evaluation)
    yield from (f"doubtful: {doubt}" for doubt in doubts(corpus))


def _size(name: str, examples: Sequence[Example]) -> str:
    references = sum(len(example.references) for example in examples)
    sides = zip(*map(lengths, examples), strict=True)
    spans = (
        f"{side} {sum(tokens) / len(tokens):.1f} tokens (longest {max(tokens)})"
        for side, tokens in zip(("source", "target"), sides, strict=False)
    )
    return f"{name}: {len(examples):,} pairs, {references:,} references, {', '.join(spans)}"


def _not_composed(name: str, examples: Sequence[Example]) -> Iterator[str]:
    lines = [
        example.line
        for example in examples
        if not all(is_normalized("NFC", text) for text in (example.source, *example.references))
    ]
    if lines:
        yield (
            f"{name}: letters and their accents stand apart in line {listed(lines)} (not NFC); "
            "they differ from those that are one character"
        )


def _coverage(train: Sequence[Example], evaluation: Corpus, min_frequency: int) -> Iterator[str]:
    for side, specials in (("source", SOURCE_SPECIALS), ("target", TARGET_SPECIALS)):
        tokenizer = WordTokenizer(min_frequency=min_frequency)
        tokenizer.fit(_texts(train, side), specials=specials)
        shares = "".join(
            f", {unknown_share(tokenizer, _texts(examples, side)):.1%} of {name} unknown"
            for name, examples in evaluation.items()
        )
        yield (
            f"{side} vocabulary: {len(tokenizer) - len(specials):,} words that occur at least "
            f"{min_frequency} times{shares}"
        )


def _texts(examples: Sequence[Example], side: str) -> Iterator[str]:
    return (e.source if side == "source" else e.references[0] for e in examples)


def _duplicates(train: Sequence[Example], evaluation: Corpus) -> Iterator[str]:
    sources = {example.source for example in train}
    pairs = {(example.source, example.references[0]) for example in train}
    yield f"train: {len(train) - len(pairs):,} pairs occur more than once"
    for name, examples in evaluation.items():
        seen = sum(example.source in sources for example in examples)
        known = sum(
            any((example.source, reference) in pairs for reference in example.references)
            for example in examples
        )
        yield f"{name}: {seen:,} sources stand in train too, {known:,} of them with the same target"

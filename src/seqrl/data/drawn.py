"""Corpora that are drawn from a grammar, and need no download."""

from __future__ import annotations

from collections.abc import Callable, Container
from random import Random

from seqrl.data.corpus import Corpus, Example

Draw = Callable[[Random, int, Container[str]], Example | None]
"""(random numbers, most references, sources that there are already) -> an example, if it is fit."""


def drawn(
    name: str, draw: Draw, *, train: int, dev: int, test: int, references: int, seed: int
) -> Corpus:
    """Splits of so many examples from one distribution; no two have the same source.

    Dev and test do not depend on `train`.

    references  most references of a dev or test example; a training example has one
    """
    if min(train, dev, test) < 0:
        raise ValueError(f"train={train}, dev={dev} and test={test} are to be numbers of pairs")
    if references < 1:
        raise ValueError(f"references must be at least 1, not {references}")
    seen: set[str] = set()

    def split(part: str, size: int, most: int) -> list[Example]:
        rng = Random(f"{name}/{seed}/{part}")
        examples: list[Example] = []
        while len(examples) < size:
            example = draw(rng, most, seen)
            if example is not None:
                seen.add(example.source)
                examples.append(example)
        return examples

    held_out = {"dev": split("dev", dev, references), "test": split("test", test, references)}
    return {"train": split("train", train, 1), **held_out}

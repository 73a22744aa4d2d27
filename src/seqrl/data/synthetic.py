"""Sequences of the oracle, the synthetic data of Yu et al. (2017); nothing is downloaded."""

from __future__ import annotations

import itertools

from seqrl.data.corpus import Corpus, Example
from seqrl.oracle import Oracle
from seqrl.ranges import require


def samples(
    *,
    oracle: Oracle,
    length: int = 20,
    train: int = 10000,
    dev: int = 1000,
    test: int = 10000,
    seed: int = 0,
) -> Corpus:
    """Each split so many sequences of `length` words, written as their numbers.

    A source is the number of its sample, which no other has in any split: it tells samples apart,
    and what is drawn for each, and says nothing about them.

    seed  of the samples; the oracle's weights have their own
    """
    require(length >= 1, f"length must be at least 1, not {length}")
    sizes = {"train": train, "dev": dev, "test": test}
    for name, size in sizes.items():
        require(size >= 1, f"{name} must be at least 1, not {size}")
    numbers = itertools.count()
    return {
        name: [
            Example(str(next(numbers)), (" ".join(map(str, words)),))
            for words in oracle.sample(size, length, seed=f"{seed}/{name}").tolist()
        ]
        for name, size in sizes.items()
    }

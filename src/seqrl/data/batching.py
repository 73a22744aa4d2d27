"""Splits in ids, and the batches made of them, in an order that is a function of the seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seqrl.data.corpus import Example
from seqrl.ranges import require
from seqrl.types import Batch, Specials, derived_seed

UNITS = ("sentences", "tokens")


@dataclass(frozen=True)
class Split:
    """One split of a corpus as ids, in the order of its file.

    sources     of each example, with EOS where the task's sources have one
    references  of each example, one or several, each ending in EOS; the first one is the
                training target
    examples    the same as text
    source_pad  the source vocabulary's padding
    specials    the target vocabulary's special ids
    """

    name: str
    sources: list[list[int]]
    references: list[list[list[int]]]
    examples: list[Example]
    source_pad: int
    specials: Specials

    def __len__(self) -> int:
        return len(self.sources)

    def lengths(self, index: int) -> tuple[int, int]:
        """Ids of the source and of the first reference of one example."""
        return len(self.sources[index]), len(self.references[index][0])


def pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """[B, longest row], int64, shorter rows filled up with `value`."""
    padded = torch.full((len(rows), max(map(len, rows))), value)
    for row, ids in zip(padded, rows, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    return padded


def collate(split: Split, indices: Sequence[int]) -> Batch:
    """The examples at these indices, in this order."""
    references = [split.references[i] for i in indices]
    most = max(map(len, references))
    every = [row for own in references for row in (*own, *[[]] * (most - len(own)))]
    filling = split.specials.pad
    return Batch(
        source=pad([split.sources[i] for i in indices], split.source_pad),
        target=pad([own[0] for own in references], filling),
        references=pad(every, filling).view(len(references), most, -1),
        source_pad=split.source_pad,
        specials=split.specials,
    )


def sequential(split: Split, size: int) -> Iterator[tuple[list[int], Batch]]:
    """All examples once, longest first, in batches of `size` with their indices in the split."""
    order = sorted(range(len(split)), key=split.lengths, reverse=True)
    for start in range(0, len(order), size):
        indices = order[start : start + size]
        yield indices, collate(split, indices)


class Batches:
    """Training batches of sentences of similar lengths.

    Each epoch: a random permutation is cut into caches of `cache` batches; each cache is
    sorted by (source, target) length, cut into batches, and these are shuffled (as the
    released ERAC code does, with another order among equal sources).

    size   of a batch: sentences, or, for `unit="tokens"`, at most so many ids on either side,
           padding included; a sentence that is longer by itself is a batch of its own
    cache  batches that are sorted together; for tokens, about so many
    seed   with the epoch, what the order is a pure function of
    """

    def __init__(
        self, split: Split, *, size: int, unit: str = "sentences", cache: int = 50, seed: int = 0
    ) -> None:
        require(unit in UNITS, f"unit must be one of {', '.join(UNITS)}, not {unit!r}")
        require(size >= 1, f"size must be at least 1, not {size}")
        require(cache >= 1, f"cache must be at least 1, not {cache}")
        require(len(split) > 0, f"the split {split.name} is empty")
        self.split = split
        self.size = size
        self.unit = unit
        self.cache = cache
        self.seed = seed
        self._latest: tuple[int, list[list[int]]] | None = None

    def __len__(self) -> int:
        """Batches of the first epoch; with `unit="tokens"` other epochs may differ a little."""
        return self.length(0)

    def length(self, epoch: int) -> int:
        """Batches of an epoch."""
        if self.unit == "sentences":
            return -(-len(self.split) // self.size)
        return len(self.order(epoch))

    def order(self, epoch: int) -> list[list[int]]:
        """The indices of each batch of an epoch."""
        if self._latest is None or self._latest[0] != epoch:
            self._latest = (epoch, self._order(epoch))
        return self._latest[1]

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from the batch with the number `start`."""
        for indices in self.order(epoch)[start:]:
            yield collate(self.split, indices)

    def _order(self, epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "order", epoch))
        permutation = torch.randperm(len(self.split), generator=generator).tolist()
        span = self.cache * self._sentences_per_batch()
        batches: list[list[int]] = []
        for start in range(0, len(permutation), span):
            part = sorted(permutation[start : start + span], key=self.split.lengths, reverse=True)
            cut = self._cut(part)
            batches += [cut[i] for i in torch.randperm(len(cut), generator=generator).tolist()]
        return batches

    def _sentences_per_batch(self) -> int:
        if self.unit == "sentences":
            return self.size
        total = sum(max(self.split.lengths(i)) for i in range(len(self.split)))
        return max(1, self.size * len(self.split) // total)

    def _cut(self, indices: list[int]) -> list[list[int]]:
        if self.unit == "sentences":
            return [indices[i : i + self.size] for i in range(0, len(indices), self.size)]
        batches: list[list[int]] = []
        longest = 0
        for index in indices:
            length = max(self.split.lengths(index))
            longest = max(longest, length)
            if batches and (len(batches[-1]) + 1) * longest <= self.size:
                batches[-1].append(index)
            else:
                batches.append([index])
                longest = length
        return batches

"""Distances to the reference as rewards."""

from __future__ import annotations

import torch
from torch import Tensor

from seqrl.metrics.edit import (
    next_edit_distance,
    next_hamming,
    prefix_edit_distance,
    prefix_hamming,
)
from seqrl.ranges import require
from seqrl.rewards.metric import MetricReward

DISTANCES = {
    "edit": (prefix_edit_distance, next_edit_distance),
    "hamming": (prefix_hamming, next_hamming),
}


class EditReward(MetricReward):
    """R(y, y*) = -distance(y, y*) in tokens, to the nearest reference.

    distance  `edit` or `hamming`, see `seqrl.metrics.edit`

    Increments of the Hamming distance lead to the reference. Those of the edit distance do not:
    any later word of the reference pays as much as the next one, and is paid for afterwards.

    The empty sentence's reward is minus the length of the shortest reference, and it is
    part of the first increment.
    """

    def __init__(self, *, scale: str = "none", distance: str = "edit") -> None:
        super().__init__(scale=scale)
        require(
            distance in DISTANCES,
            f"distance must be one of {', '.join(DISTANCES)}, not {distance!r}",
        )
        self.distance = distance
        self.leads = distance == "hamming"

    @property
    def in_tokens(self) -> bool:
        return True

    def prefixes(
        self,
        hypothesis: Tensor,
        hypothesis_mask: Tensor,
        references: Tensor,
        reference_mask: Tensor,
    ) -> Tensor:
        of_prefixes, _ = DISTANCES[self.distance]
        return -of_prefixes(hypothesis, hypothesis_mask, references, reference_mask)

    def following(
        self, prefix: Tensor, references: Tensor, reference_mask: Tensor, first: int
    ) -> tuple[Tensor, Tensor]:
        _, of_next = DISTANCES[self.distance]
        other, candidates = of_next(prefix, references, reference_mask, first=first)
        return -other, -least(candidates, references, reference_mask)


def least(values: Tensor, references: Tensor, reference_mask: Tensor) -> Tensor:
    """[N, Q, M, T'], the least of the values [N, Q, M, T'] at places of the same token."""
    words, there = references.flatten(1), reference_mask.flatten(1)
    same = (words.unsqueeze(2) == words.unsqueeze(1)) & there.unsqueeze(1)  # [N, R, R]
    greatest = torch.iinfo(values.dtype).max
    found = values.flatten(2).unsqueeze(2).masked_fill(~same.unsqueeze(1), greatest).amin(3)
    return found.view_as(values)

"""Samples of the policy that are weighed against each other, the reference perhaps among them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqrl.models.base import Policy
from seqrl.proposals.sampling import Sampling
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Clock, Trajectories

NO_TOKEN = -1
"""An id that no token has."""


class Candidates(Sampling):
    """K samples per source to be weighed against each other, perhaps with the reference.

    reference  whether the first reference is each group's first candidate, so that there are
               K + 1
    distinct   whether a candidate that stands in its group before is removed: its row is absent;
               not where how often a sequence was drawn stands for its probability
    The other arguments are `Sampling`'s.
    """

    def __init__(
        self,
        *,
        samples: int = 20,
        reference: bool = True,
        distinct: bool = False,
        extra_length: int = 10,
        max_length: int = 50,
        dropout: bool = False,
    ) -> None:
        super().__init__(
            samples=samples, extra_length=extra_length, max_length=max_length, dropout=dropout
        )
        self.reference = reference
        self.distinct = distinct

    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        found = super().__call__(policy, memory, batch, reward, clock)
        if self.reference:
            found = with_references(found, batch)
        return without_repetitions(found) if self.distinct else found


def with_references(trajectories: Trajectories, batch: Batch) -> Trajectories:
    """The first reference in front of each sentence's K trajectories, so that they are K + 1."""
    references, group = batch.reference_trajectories(), trajectories.group
    width = max(references.targets.shape[1], trajectories.targets.shape[1])

    def joined(first: Tensor, others: Tensor, fill: int) -> Tensor:
        first, others = (F.pad(t, (0, width - t.shape[1]), value=fill) for t in (first, others))
        return torch.cat([first.unsqueeze(1), others.reshape(-1, group, width)], 1).flatten(0, 1)

    cut = trajectories.cut
    if cut is not None:
        cut = F.pad(cut.view(-1, group), (1, 0), value=False).flatten()
    tokens = joined(references.targets, trajectories.targets, batch.specials.pad)
    return Trajectories(
        joined(references.inputs, trajectories.inputs, batch.specials.pad),
        tokens,
        joined(references.mask, trajectories.mask, 0),
        joined(references.given, trajectories.given, 0),
        group=group + 1,
        cut=cut,
    )


def without_repetitions(trajectories: Trajectories) -> Trajectories:
    """Of equal targets of one sentence only the first stays; the others become absent."""
    targets = trajectories.targets.masked_fill(~trajectories.mask, NO_TOKEN)
    rows = targets.view(-1, trajectories.group, targets.shape[1])  # [B, K, T]
    same = (rows.unsqueeze(2) == rows.unsqueeze(1)).all(-1)  # [B, K, K]
    repeated = same.tril(-1).any(-1).flatten()
    mask = trajectories.mask & ~repeated.unsqueeze(1)
    return replace(trajectories, mask=mask)

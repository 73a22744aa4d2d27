"""Samples of the policy that are weighed against each other, the reference among them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqrl.models.base import Policy
from seqrl.proposals.base import Proposal
from seqrl.proposals.sampling import Sampling
from seqrl.ranges import require
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Clock, Trajectories, shift_right


class Candidates(Proposal):
    """K candidates per source, samples of p(y | x) and, if it is asked for, the first reference.

    samples       K, the reference included
    reference     whether the reference is one of them, which is each group's first
    extra_length, max_length, dropout  see `Sampling`
    """

    def __init__(
        self,
        *,
        samples: int = 5,
        reference: bool = True,
        extra_length: int = 10,
        max_length: int = 50,
        dropout: bool = False,
    ) -> None:
        require(samples > reference, f"samples must be at least {1 + reference}, not {samples}")
        self.samples = samples
        self.reference = reference
        self.sampling = Sampling(
            samples=max(1, samples - reference),
            extra_length=extra_length,
            max_length=max_length,
            dropout=dropout,
        )

    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        drawn = self.sampling(policy, memory, batch, reward, clock)
        return with_references(drawn, batch) if self.reference else drawn


def with_references(drawn: Trajectories, batch: Batch) -> Trajectories:
    """The trajectories with the first reference in front of each group, so that K grows by one."""
    reference = batch.reference_trajectories()
    width = max(drawn.targets.shape[1], reference.targets.shape[1])
    size = drawn.group

    def joined(first: Tensor, others: Tensor, filler: int) -> Tensor:
        """[B * (K + 1), width] from [B, T] and [B * K, T']."""
        first = pad(first, (0, width - first.shape[1]), value=filler)
        others = pad(others, (0, width - others.shape[1]), value=filler)
        both = torch.cat([first.unsqueeze(1), others.view(len(first), size, width)], dim=1)
        return both.flatten(0, 1)

    targets = joined(reference.targets, drawn.targets, batch.specials.pad)
    cut = drawn.cut
    if cut is not None:
        cut = pad(cut.view(-1, size), (1, 0), value=False).flatten()
    return replace(
        drawn,
        inputs=shift_right(targets, batch.specials.bos),
        targets=targets,
        mask=joined(reference.mask, drawn.mask, 0),
        given=joined(reference.given, drawn.given, 0),
        group=size + 1,
        cut=cut,
    )

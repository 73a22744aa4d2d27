"""Trajectories that begin as the reference and go on as samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seqrl.decoding.rollout import sampler
from seqrl.models.base import Policy
from seqrl.proposals.sampling import Sampling
from seqrl.ranges import require
from seqrl.rewards.base import Reward
from seqrl.schedules import Schedule
from seqrl.types import Batch, Clock, Trajectories


class Mixing(Sampling):
    """The first s tokens are the reference's, all others the policy's samples.

    A reference that ends within its first s tokens is the whole trajectory.

    prefix    schedule of s
    relative  whether `prefix` is a share of each reference's tokens, EOS included, rounded up;
              else it is a number of tokens, as in Ranzato et al. (2015), rounded to the nearest
    least     s is never less
    The other arguments are `Sampling`'s; no reference is cut.
    """

    def __init__(
        self,
        *,
        prefix: Schedule,
        relative: bool = True,
        least: int = 1,
        samples: int = 1,
        extra_length: int = 10,
        max_length: int = 50,
        dropout: bool = False,
    ) -> None:
        require(least >= 0, f"least must not be negative, not {least}")
        super().__init__(
            samples=samples, extra_length=extra_length, max_length=max_length, dropout=dropout
        )
        self.prefix = prefix
        self.relative = relative
        self.least = least

    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        longest = max(self.longest(batch), batch.target.shape[1])
        draw = sampler(clock.uniform("mixing", longest, batch, self.samples))
        given_tokens = self.given_tokens(batch, clock).repeat_interleave(self.samples)  # [N]
        reference = batch.target.repeat_interleave(self.samples, dim=0)

        def choose(t: int, logits: Tensor, prefix: Tensor, rows: Tensor) -> Tensor:
            drawn = draw(t, logits, prefix, rows)
            if t >= reference.shape[1]:
                return drawn
            return torch.where(t < given_tokens[rows], reference[rows, t], drawn)

        found = self.written(policy, memory, batch, longest, choose)
        place = torch.arange(found.mask.shape[1], device=found.mask.device)
        given = found.mask & (place < given_tokens.unsqueeze(1))
        cut = (found.mask & ~given)[:, longest - 1 :].any(1)
        return replace(found, given=given, cut=cut)

    def given_tokens(self, batch: Batch, clock: Clock) -> Tensor:
        """s [B]."""
        prefix = self.prefix(clock)
        length = batch.target_mask.sum(1)
        if self.relative:
            return (prefix * length).ceil().long().clamp(min=self.least)
        return torch.full_like(length, round(prefix)).clamp(min=self.least)

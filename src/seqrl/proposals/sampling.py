"""Trajectories drawn from the policy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqrl.decoding.rollout import rollout, sampler
from seqrl.models.base import Policy, dropout, repeat
from seqrl.proposals.base import Proposal
from seqrl.ranges import require
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Clock, Trajectories, shift_right

NO_TOKEN = -1
"""An id that no token has."""


class Sampling(Proposal):
    """K samples per source from p(y | x), at temperature 1.

    samples       K
    extra_length  a sample may be this much longer than the longest reference of the batch,
                  EOS included; it is then cut, and ends with EOS
    max_length    and never longer than this
    dropout       whether the policy's dropout is active while sampling (the released ERAC
                  code leaves it on)
    """

    def __init__(
        self,
        *,
        samples: int = 1,
        extra_length: int = 10,
        max_length: int = 50,
        dropout: bool = False,
    ) -> None:
        require(samples >= 1, f"samples must be at least 1, not {samples}")
        require(extra_length >= 0, f"extra_length must not be negative, not {extra_length}")
        require(max_length >= 1, f"max_length must be at least 1, not {max_length}")
        self.samples = samples
        self.extra_length = extra_length
        self.max_length = max_length
        self.dropout = dropout

    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        longest = self.longest(batch)
        noise = clock.uniform("sampling", longest, batch, self.samples)
        with dropout(policy, self.dropout):
            tokens, mask = rollout(
                policy,
                repeat(memory, len(batch), self.samples),
                rows=len(batch) * self.samples,
                max_length=longest,
                choose=sampler(noise),
            )
        inputs = shift_right(tokens, batch.specials.bos)
        given, cut = torch.zeros_like(mask), mask[:, longest - 1 :].any(1)
        return Trajectories(inputs, tokens, mask, given, group=self.samples, cut=cut)

    def longest(self, batch: Batch) -> int:
        """Tokens at which a sample is cut, EOS included."""
        return sample_limit(batch, self.extra_length, self.max_length)


class Candidates(Sampling):
    """Sequences to choose among: K samples per source, with the reference, without repetitions.

    reference  whether the first reference is each group's first candidate, so that there are
               K + 1
    distinct   whether a candidate that stands in its group before is removed: its row is absent
    The other arguments are `Sampling`'s.
    """

    def __init__(
        self,
        *,
        samples: int = 20,
        reference: bool = True,
        distinct: bool = True,
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


def sample_limit(batch: Batch, extra_length: int, max_length: int) -> int:
    """Tokens at which a sample is cut: the batch's longest reference and some more, or fewer."""
    return min(batch.target.shape[1] + extra_length, max_length)


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

"""Trajectories drawn from the policy."""

from __future__ import annotations

from typing import Any

import torch

from seqrl.decoding.rollout import Choose, rollout, sampler
from seqrl.models.base import Policy, dropout, repeat
from seqrl.proposals.base import Proposal
from seqrl.ranges import require
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Clock, Trajectories, shift_right


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
        return self.written(policy, memory, batch, longest, sampler(noise))

    def written(
        self, policy: Policy[Any, Any], memory: Any, batch: Batch, longest: int, choose: Choose
    ) -> Trajectories:
        """K trajectories per source of the tokens that `choose` chooses, cut at `longest`."""
        with dropout(policy, self.dropout):
            tokens, mask = rollout(
                policy,
                repeat(memory, len(batch), self.samples),
                rows=len(batch) * self.samples,
                max_length=longest,
                choose=choose,
            )
        inputs = shift_right(tokens, batch.specials.bos)
        given, cut = torch.zeros_like(mask), mask[:, longest - 1 :].any(1)
        return Trajectories(inputs, tokens, mask, given, group=self.samples, cut=cut)

    def longest(self, batch: Batch) -> int:
        """Tokens at which a sample is cut, EOS included."""
        return sample_limit(batch, self.extra_length, self.max_length)


def sample_limit(batch: Batch, extra_length: int, max_length: int) -> int:
    """Tokens at which a sample is cut: the batch's longest reference and some more, or fewer."""
    return min(batch.target.shape[1] + extra_length, max_length)

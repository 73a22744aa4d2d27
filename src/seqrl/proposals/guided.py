"""Trajectories from the policy and the reward together, left to right and without look-ahead.

dr_t(w) = R(y_<t + w) - R(y_<t), by which each word w would change the reward, is known for every
word of the vocabulary before one is chosen.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqrl.decoding.rollout import sampler
from seqrl.models.base import Policy
from seqrl.proposals.sampling import Sampling
from seqrl.ranges import require
from seqrl.rewards.base import PrefixReward, Reward, incremental
from seqrl.types import Batch, Clock, Trajectories


class RewardGuided(Sampling):
    """K samples per source, token by token from (Ding & Soricut 2017)

        q~(y_t) proportional to p(y_t | y_<t, x) exp(w_t dr_t(y_t)),

    w_t drawn anew for every sample and step: 0 with probability `drop`, so that the policy
    goes its way, else `weight`, so large that the token is the one with the greatest
    increment, the policy choosing among equals ("bang-bang").

    samples         K
    weight          of the reward, where it is not dropped; the paper has 10,000. BLEU's
                    brevity penalty makes the first increments of a long sentence smaller than
                    that can lift, exp(-19) of 20 words
    drop            probability that it is dropped
    repeat_penalty  less reward for the token that was emitted before
    eos_penalty     less reward for EOS after fewer words than the first reference has
    extra_length, max_length, dropout  see `Sampling`
    """

    def __init__(
        self,
        *,
        samples: int = 1,
        weight: float = 1e30,
        drop: float = 0.2,
        repeat_penalty: float = 0.0,
        eos_penalty: float = 0.0,
        extra_length: int = 10,
        max_length: int = 50,
        dropout: bool = False,
    ) -> None:
        super().__init__(
            samples=samples, extra_length=extra_length, max_length=max_length, dropout=dropout
        )
        require(0 <= weight <= 1e30, f"weight must lie in [0, 1e30], not {weight}")
        require(0 <= drop <= 1, f"drop must lie in [0, 1], not {drop}")
        require(repeat_penalty >= 0, f"repeat_penalty must not be negative, not {repeat_penalty}")
        require(eos_penalty >= 0, f"eos_penalty must not be negative, not {eos_penalty}")
        self.weight = weight
        self.drop = drop
        self.repeat_penalty = repeat_penalty
        self.eos_penalty = eos_penalty

    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        known = incremental(reward, "sampling by the reward")
        longest = self.longest(batch)
        draw = sampler(clock.uniform("guided", longest, batch, self.samples))
        dropped = clock.uniform("dropped", longest, batch, self.samples) < self.drop

        def choose(t: int, logits: Tensor, prefix: Tensor, rows: Tensor) -> Tensor:
            sentences = batch.select(rows // self.samples)
            changes = self.changes(known, prefix, sentences, logits.shape[-1])
            weights = (~dropped[t][rows]).to(changes.dtype) * self.weight
            return draw(t, guided(logits, changes, weights), prefix, rows)

        return self.written(policy, memory, batch, longest, choose)

    def changes(
        self, reward: PrefixReward, prefix: Tensor, batch: Batch, vocabulary: int
    ) -> Tensor:
        """dr_t(w) less the penalties [B, V] after `prefix` [B, t]."""
        ahead = reward.lookahead(prefix, batch, 1, vocabulary)
        if prefix.shape[1] and self.repeat_penalty:
            cost = torch.full_like(ahead[:, :1], -self.repeat_penalty)
            ahead = ahead.scatter_add(1, prefix[:, -1:], cost)
        return discourage_eos(ahead, prefix, batch, self.eos_penalty)


def guided(logits: Tensor, changes: Tensor, weights: Tensor) -> Tensor:
    """Logits [N, V] of p(w) exp(weight * change), from those of p, changes [N, V], weights [N].

    Only differences of changes count, so the greatest is taken off first: what the policy says
    of the words that have it is then added to zero, not to numbers that swallow it.
    """
    kind = torch.promote_types(logits.dtype, torch.float32)
    behind = (changes - changes.amax(-1, keepdim=True)).to(kind)
    return torch.log_softmax(logits.to(kind), dim=-1) + weights.unsqueeze(-1).to(kind) * behind


def discourage_eos(changes: Tensor, prefix: Tensor, batch: Batch, penalty: float) -> Tensor:
    """Changes [B, V], EOS less by `penalty` where the prefix [B, t] is short of the reference."""
    if not penalty:
        return changes
    short = prefix.shape[1] < batch.target_length
    changes = changes.clone()
    changes[:, batch.specials.eos] -= penalty * short.to(changes.dtype)
    return changes

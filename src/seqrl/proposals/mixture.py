"""Trajectories whose tokens come from three sources in turn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqrl.decoding.rollout import rollout, sampler
from seqrl.models.base import Policy, dropout
from seqrl.proposals.base import Proposal
from seqrl.proposals.guided import discourage_eos
from seqrl.ranges import require
from seqrl.rewards.base import PrefixReward, Reward, incremental
from seqrl.types import Batch, Clock, Trajectories, shift_right

SELF, TRUTH, REWARD = range(3)


class TokenMixture(Proposal):
    """One trajectory per source; who gives each token is drawn at random (Tan, Hu et al. 2018):

        self    a sample of p(. | y_<t, x)
        truth   the first reference's token at t, EOS after its end
        reward  a sample of softmax(dr_t / temperature), dr_t(w) = R(y_<t + w) - R(y_<t)

    The first token is always the truth's. A row ends with its first EOS.

    shares       probabilities of self, truth and reward; whoever owns the proposal may change
                 them
    temperature  of the reward's samples
    relative     whether dr_t is first divided by the greatest gain at this step over a word
                 that is in no reference, so that one temperature does for every reward and
                 place. In the paper's code it is not, and with BLEU in [0, 1] at temperature 1
                 the reference's words together get a thousandth of the probability
    eos_penalty  less reward for EOS after fewer words than the reference has
    per_row      whether each row of the batch draws its own source for a token; in the paper's
                 code one draw per step holds for the whole batch
    max_length   tokens at most, EOS included, or the longest reference's if that has more
    dropout      whether the policy's dropout is active while sampling
    """

    def __init__(
        self,
        *,
        temperature: float = 0.05,
        relative: bool = True,
        eos_penalty: float = 0.0,
        per_row: bool = False,
        max_length: int = 60,
        dropout: bool = False,
    ) -> None:
        require(temperature > 0, f"temperature must be positive, not {temperature}")
        require(eos_penalty >= 0, f"eos_penalty must not be negative, not {eos_penalty}")
        require(max_length >= 1, f"max_length must be at least 1, not {max_length}")
        self.shares = (0.0, 1.0, 0.0)
        self.temperature = temperature
        self.relative = relative
        self.eos_penalty = eos_penalty
        self.per_row = per_row
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
        known = incremental(reward, "sampling by the reward")
        longest = max(self.max_length, batch.target.shape[1])
        sources = self.sources(longest, batch, clock)
        rewarded = (sources == REWARD).any(1).tolist()
        truths, sources = truth(batch, longest), sources.to(batch.target.device)
        draw = sampler(clock.uniform("mixture", longest, batch))

        def choose(t: int, logits: Tensor, prefix: Tensor, rows: Tensor) -> Tensor:
            source = sources[t].expand(len(batch))[rows]
            drawn = draw(t, logits, prefix, rows)
            chosen = torch.where(source == TRUTH, truths[rows, t], drawn)
            if not rewarded[t]:
                return chosen
            gains = self.reward_logits(known, prefix, batch.select(rows), logits.shape[-1])
            return torch.where(source == REWARD, draw(t, gains, prefix, rows), chosen)

        with dropout(policy, self.dropout):
            tokens, mask = rollout(
                policy, memory, rows=len(batch), max_length=longest, choose=choose
            )
        given = mask & (sources[: tokens.shape[1]] == TRUTH).T
        cut = (mask & ~given)[:, longest - 1 :].any(1)
        return Trajectories(shift_right(tokens, batch.specials.bos), tokens, mask, given, cut=cut)

    def sources(self, steps: int, batch: Batch, clock: Clock) -> Tensor:
        """[T, 1], or [T, B] with `per_row`: where each token comes from."""
        if self.per_row:
            noise = clock.uniform("sources", steps, batch)
        else:
            noise = clock.shared("sources", steps).unsqueeze(1)
        own, _, reward = self.shares
        found = torch.full_like(noise, TRUTH, dtype=torch.long)
        found[noise < own + reward] = REWARD
        found[noise < own] = SELF
        found[0] = TRUTH
        return found

    def reward_logits(
        self, reward: PrefixReward, prefix: Tensor, batch: Batch, vocabulary: int
    ) -> Tensor:
        """Logits [B, V] of the reward's samples after `prefix` [B, t], padding and BOS barred."""
        changes = reward.lookahead(prefix, batch, 1, vocabulary)
        changes = discourage_eos(changes, prefix, batch, self.eos_penalty)
        specials = batch.specials
        if self.relative:
            gains = changes - changes[:, specials.bos : specials.bos + 1]  # no reference has BOS
            greatest = gains.amax(1, keepdim=True)
            changes = gains / torch.where(greatest > 0, greatest, 1.0)
        logits = changes / self.temperature
        logits[:, list(specials.no_actions)] = float("-inf")
        return logits


def truth(batch: Batch, steps: int) -> Tensor:
    """[B, T], the first references, EOS after their end."""
    target = batch.target.masked_fill(~batch.target_mask, batch.specials.eos)
    return pad(target, (0, steps - target.shape[1]), value=batch.specials.eos)

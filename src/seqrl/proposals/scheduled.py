"""References that are read with the policy's own words among them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqrl.decoding.rollout import greedy, rollout, sampler
from seqrl.models.base import Policy, dropout
from seqrl.proposals.base import Proposal
from seqrl.ranges import require
from seqrl.rewards.base import Reward
from seqrl.schedules import Schedule
from seqrl.types import Batch, Clock, Trajectories, shift_right

COINS = ("token", "sequence")
WORDS = ("sample", "greedy")


class ScheduledInputs(Proposal):
    """The reference as targets; each input is y*_{t-1} with probability eps, else the policy's.

    Bengio et al. (2015): the policy's word is drawn from p(. | the inputs before). There is no
    gradient through the choice. eps = 1 is teacher forcing.

    truth    eps, a schedule
    coin     thrown for every `token`, or once for a `sequence`, which Bengio et al. report to be
             worse
    word     the policy's: a `sample` or the most probable one (`greedy`)
    dropout  whether the policy's dropout is active while it writes
    """

    def __init__(
        self,
        *,
        truth: Schedule,
        coin: str = "token",
        word: str = "sample",
        dropout: bool = False,
    ) -> None:
        require(coin in COINS, f"coin must be one of {', '.join(COINS)}, not {coin!r}")
        require(word in WORDS, f"word must be one of {', '.join(WORDS)}, not {word!r}")
        self.truth = truth
        self.coin = coin
        self.word = word
        self.dropout = dropout

    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        truth = self.truth(clock)
        if truth >= 1:
            return batch.reference_trajectories()
        steps = batch.target.shape[1]
        coins, noise = clock.uniform("scheduled inputs", 2 * steps, batch).view(2, steps, -1)
        if self.coin == "sequence":
            coins = coins[:1].expand_as(coins)
        own_word = greedy if self.word == "greedy" else sampler(noise)

        def choose(t: int, logits: Tensor, prefix: Tensor, rows: Tensor) -> Tensor:
            own = own_word(t, logits, prefix, rows)
            return torch.where(coins[t][rows] < truth, batch.target[rows, t], own)

        with dropout(policy, self.dropout):
            words, _ = rollout(
                policy, memory, rows=len(batch), max_length=steps, choose=choose, ends=False
            )
        mask = batch.target_mask
        inputs = shift_right(words, batch.specials.bos)
        return Trajectories(inputs, batch.target, mask, mask, group=1)

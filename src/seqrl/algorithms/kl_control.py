"""KL-control by the policy gradient: the reward, and staying near a trained policy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqrl.algorithms.base import Scored, log_probs_of
from seqrl.algorithms.baselines import Baseline
from seqrl.algorithms.reinforce import Reinforce
from seqrl.models.base import Policy
from seqrl.proposals.sampling import Sampling
from seqrl.ranges import require
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Trajectories


class KLControl(Reinforce):
    """REINFORCE on what KL-control is to maximise (Jaques et al. 2017),

        E_q[R / c] - KL(q || p) = E_q[R(y) / c - sum_t (log q(y_t | s_t) - log p(y_t | s_t))],

    whose greatest value has q = p(y) exp(R(y) / c) / Z. The distance belongs to the reward: its
    own gradient is E_q[grad log q] = 0. An EOS that a limit on the length put has no part in it.

    A baseline that asks the reward itself (`GreedyOutput`) has R, not what is maximised here,
    which leaves the expected gradient as it is.

    prior  p, frozen, without dropout: the policy that the stage begins with
    c      what rewards are divided by
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        prior: Policy[Any, Any],
        proposal: Sampling,
        reward: Reward,
        baseline: Baseline,
        c: float = 0.5,
        lambda_mle: float = 0.0,
    ) -> None:
        require(c > 0, f"c must be positive, not {c}")
        super().__init__(
            policy=policy,
            proposal=proposal,
            reward=reward,
            baseline=baseline,
            lambda_mle=lambda_mle,
        )
        self.prior = prior.requires_grad_(False).eval()
        self.c = c
        self._distances = torch.zeros(0)

    def returns(self, scored: Scored, batch: Batch) -> Tensor:
        trajectories, log_q = scored.trajectories, scored.log_probs.detach()
        log_p = log_probs_of(trajectories, self.prior, batch)
        self._distances = torch.where(trajectories.drawn, log_q - log_p, 0.0).sum(1)
        return super().returns(scored, batch) / self.c - self._distances

    def diagnostics(
        self, trajectories: Trajectories, log_probs: Tensor, weights: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        """`kl`, `kl_sentence`: of a token, of a sentence, from the prior, estimated by samples."""
        found = super().diagnostics(trajectories, log_probs, weights, batch)
        total = self._distances.sum()
        found["kl"] = total / trajectories.mask.sum()
        return found | {"kl_sentence": total / len(trajectories)}

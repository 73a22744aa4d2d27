"""Mixed incremental cross-entropy REINFORCE (Ranzato et al. 2015)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqrl.algorithms.baselines import Baseline
from seqrl.algorithms.reinforce import Reinforce
from seqrl.models.base import Policy
from seqrl.proposals.mixing import Mixing
from seqrl.ranges import require
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Trajectories


class Mixer(Reinforce):
    """The reference's first s tokens by cross-entropy, the sampled rest by policy gradient:

        L = -(1/B) (1/K) sum_b sum_k [ w_xe sum_{t <= s} log p(y*_t | y*_<t, x)
                                       + (1 - w_xe) sum_{t > s} (R(y_k) - b_t) log p(y_kt) ],

    R being the reward of the whole sequence, given tokens included. s falls in the course of the
    stage, see `Mixing`. At w_xe = 1 and s the reference's length it is maximum likelihood.

    w_xe  weight of the cross-entropy, in [0, 1]; 0.5 in the code of Ranzato et al.
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        proposal: Mixing,
        reward: Reward,
        baseline: Baseline,
        w_xe: float = 0.5,
        lambda_mle: float = 0.0,
    ) -> None:
        require(0 <= w_xe <= 1, f"w_xe must lie in [0, 1], not {w_xe}")
        super().__init__(
            policy=policy,
            proposal=proposal,
            reward=reward,
            baseline=baseline,
            lambda_mle=lambda_mle,
        )
        self.w_xe = w_xe

    def weights(self, trajectories: Trajectories, log_probs: Tensor, batch: Batch) -> Tensor:
        sampled = (1 - self.w_xe) * self.advantages()
        return torch.where(trajectories.given, self.w_xe, sampled) / trajectories.group

    def diagnostics(
        self, trajectories: Trajectories, log_probs: Tensor, weights: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        """`given`: the share of the tokens that were the reference's."""
        mask = trajectories.mask
        found = {"given": trajectories.given.sum() / mask.sum()}
        if self.w_xe < 1:
            unweighted = weights / (1 - self.w_xe)
            found |= super().diagnostics(trajectories, log_probs, unweighted, batch)
        return found

"""Reward augmented maximum likelihood (Norouzi et al. 2016)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqrl.algorithms.base import WeightedLikelihood
from seqrl.models.base import Policy
from seqrl.proposals.base import Proposal
from seqrl.ranges import require
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Trajectories

WEIGHTINGS = ("reward", "uniform")


class RAML(WeightedLikelihood):
    """Cross-entropy to the exponentiated payoff distribution (Dai et al. 2018, eqs. 1 and 2),

        L = -E_q[log p(y | x)],      q(y | y*) = exp(R(y, y*) / tau) / Z,

    estimated on K trajectories of a proposal:

        L = -(1/B) sum_b sum_k w_bk log p(y_bk | x_b).

    weighting  `reward`: w = softmax over the K of R / tau, for a proposal that is uniform
               over its support (n-gram replacement; appendix B.1 of Dai et al.);
               `uniform`: w = 1/K, for a proposal that samples q itself
    tau        temperature of `reward` weights
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        proposal: Proposal,
        reward: Reward,
        tau: float = 0.4,
        weighting: str = "reward",
    ) -> None:
        require(tau > 0, f"tau must be positive, not {tau}")
        require(
            weighting in WEIGHTINGS,
            f"weighting must be one of {', '.join(WEIGHTINGS)}, not {weighting!r}",
        )
        super().__init__(policy=policy, proposal=proposal, reward=reward)
        self.tau = tau
        self.weighting = weighting

    def weights(self, trajectories: Trajectories, log_probs: Tensor, batch: Batch) -> Tensor:
        group = trajectories.group
        rewards = self.rewards(trajectories, batch).to(log_probs.dtype)
        if self.weighting == "uniform":
            return torch.full_like(log_probs[:, :1], 1 / group)
        absent = ~trajectories.mask.any(1)
        logits = (rewards / self.tau).masked_fill(absent, float("-inf"))
        weights: Tensor = torch.softmax(logits.view(-1, group), dim=1).view(-1, 1)
        return weights

    def diagnostics(
        self, trajectories: Trajectories, log_probs: Tensor, weights: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        mask = trajectories.mask
        nll = -torch.where(mask, log_probs, 0.0) * weights
        return {"nll_per_token": nll.sum() / (mask * weights).sum()}

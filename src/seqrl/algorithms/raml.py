"""Reward augmented maximum likelihood (Norouzi et al. 2016)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqrl.algorithms.base import WeightedLikelihood, self_normalised
from seqrl.algorithms.diagnostics import weighted_nll_per_token
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

    def indivisible(self) -> str | None:
        return None

    def weights(self, trajectories: Trajectories, log_probs: Tensor, batch: Batch) -> Tensor:
        rewards = self.rewards(trajectories, batch).to(log_probs.dtype)
        if self.weighting == "uniform":
            return torch.full_like(log_probs[:, :1], 1 / trajectories.group)
        return self_normalised(rewards / self.tau, trajectories)

    def diagnostics(
        self, trajectories: Trajectories, log_probs: Tensor, weights: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        return {"nll_per_token": weighted_nll_per_token(log_probs, weights, trajectories.mask)}

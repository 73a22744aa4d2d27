"""Minimum risk training (Shen et al. 2016)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqrl.algorithms.base import WeightedLikelihood
from seqrl.models.base import Policy
from seqrl.proposals.base import Proposal
from seqrl.proposals.candidates import Candidates
from seqrl.ranges import require
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Trajectories


class MinimumRisk(WeightedLikelihood):
    """The expected loss Delta = -R over a set S of candidates for each source,

        risk = (1/B) sum_b sum_{y in S_b} Q(y) Delta(y, y*),
        Q(y) = p(y | x)^alpha / sum_{y' in S} p(y' | x)^alpha,

    p including EOS. Its gradient is that of a weighted likelihood
    with w = alpha Q(y) (R(y) - E_Q R), detached. Absent candidates are in no S.

    proposal  of S: see `Candidates`
    alpha     sharpness of Q: 0 is uniform, 1 the policy itself
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        proposal: Proposal,
        reward: Reward,
        alpha: float = 0.005,
        lambda_mle: float = 0.0,
    ) -> None:
        require(alpha > 0, f"alpha must be positive, not {alpha}")
        require(
            not isinstance(proposal, Candidates) or proposal.samples + proposal.reference > 1,
            "a risk needs at least two candidates: more samples, or the reference",
        )
        super().__init__(policy=policy, proposal=proposal, reward=reward, lambda_mle=lambda_mle)
        self.alpha = alpha
        self._risk: Tensor | None = None

    def indivisible(self) -> str | None:
        return None

    def weights(self, trajectories: Trajectories, log_probs: Tensor, batch: Batch) -> Tensor:
        group, mask = trajectories.group, trajectories.mask
        rewards = self.rewards(trajectories, batch).to(log_probs.dtype).view(-1, group)
        sequence = torch.where(mask, log_probs, 0.0).sum(1)
        scores = (self.alpha * sequence).masked_fill(~mask.any(1), float("-inf"))
        q = torch.softmax(scores.view(-1, group), dim=1)  # [B, K]
        expected = (q * rewards).sum(1, keepdim=True)
        self._risk = -expected.mean()
        return (self.alpha * q * (rewards - expected)).view(-1, 1)

    def diagnostics(
        self, trajectories: Trajectories, log_probs: Tensor, weights: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        """`risk`, and of the K how many candidates there are."""
        assert self._risk is not None
        present = trajectories.mask.any(1).sum() * trajectories.group / len(trajectories)
        return {"risk": self._risk, "candidates": present}

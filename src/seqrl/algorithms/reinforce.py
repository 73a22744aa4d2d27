"""The policy gradient from whole samples (Williams 1992), with any baseline.

With the greedy output's reward for a baseline it is self-critical training (Rennie et al. 2016).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqrl.algorithms.base import Scored, WeightedLikelihood
from seqrl.algorithms.baselines import Baseline, Samples
from seqrl.models.base import Policy, dropout
from seqrl.proposals.sampling import Sampling
from seqrl.ranges import require
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Clock, Trajectories


class Reinforce(WeightedLikelihood):
    """K samples per source, each of its tokens weighted by how far R is above a baseline:

        L = -(1/B) (1/K) sum_b sum_k sum_t (R(y_k, y*) - b_t) log p(y_kt | y_k<t, x_b),

    the weights without gradient, so that the gradient's expectation is that of -E_p[R]. An EOS
    that a limit on the length put was no choice of the policy: it has weight 0, which makes the
    gradient exact for the samples as they are cut.

    Samples are drawn and scored under the proposal's dropout, so that what is scored is what
    they were drawn from.

    lambda_mle  weight of the references' likelihood, under dropout of its own
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        proposal: Sampling,
        reward: Reward,
        baseline: Baseline,
        lambda_mle: float = 0.0,
    ) -> None:
        require(
            proposal.samples >= baseline.least_samples,
            f"{type(baseline).__name__} needs at least {baseline.least_samples} samples "
            f"per source, not {proposal.samples}",
        )
        super().__init__(policy=policy, proposal=proposal, reward=reward, lambda_mle=lambda_mle)
        self.dropout = proposal.dropout
        self.baseline = baseline
        self._samples: Samples | None = None

    def learners(self) -> dict[str, nn.Module]:
        return super().learners() | self.baseline.learners()

    def indivisible(self) -> str | None:
        return self.baseline.indivisible()

    def scored(self, batch: Batch, clock: Clock) -> Scored:
        with dropout(self.policy, self.dropout):
            scored = super().scored(batch, clock)
        returns = self.returns(scored, batch)
        self._samples = Samples(scored.trajectories, returns, scored.features.detach(), batch)
        return scored

    def returns(self, scored: Scored, batch: Batch) -> Tensor:
        """What is to be maximised of each sample [N]: its reward."""
        return self.rewards(scored.trajectories, batch).to(scored.log_probs.dtype)

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        losses = super().losses(batch, clock)
        assert self._samples is not None
        return losses | self.baseline.losses(self._samples)

    def weights(self, trajectories: Trajectories, log_probs: Tensor, batch: Batch) -> Tensor:
        return self.advantages() / trajectories.group

    def advantages(self) -> Tensor:
        """R - b_t [N, T] of the last samples, 0 at tokens that the policy did not choose."""
        assert self._samples is not None
        advantages = self._samples.rewards.unsqueeze(1) - self.baseline(self._samples)
        return torch.where(self._samples.trajectories.drawn, advantages, 0.0)

    def diagnostics(
        self, trajectories: Trajectories, log_probs: Tensor, weights: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        """`advantage`: the mean of |R - b_t| over the tokens that the policy chose."""
        drawn = trajectories.drawn
        sizes = torch.where(drawn, weights, 0.0).abs() * trajectories.group
        return {"advantage": sizes.sum() / drawn.sum().clamp(min=1)}

    def after_update(self, clock: Clock) -> None:
        self.baseline.after_update()

    def forget(self) -> None:
        self.baseline.forget()

    def state_dict(self) -> dict[str, Any]:
        return self.baseline.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.baseline.load_state_dict(state)

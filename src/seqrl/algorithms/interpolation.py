"""The interpolation algorithm (Tan, Hu et al. 2018): from the reference to exploration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqrl.algorithms.base import Decision, WeightedLikelihood, of_choices
from seqrl.models.base import Policy
from seqrl.proposals.mixture import TokenMixture
from seqrl.ranges import require
from seqrl.rewards.base import Reward, incremental
from seqrl.types import Batch, Trajectories

NEGLIGIBLE = 1e-9  # of the truth, which steps of `delta` do not hit exactly


class Interpolation(WeightedLikelihood):
    """L = -(1/B) sum_b sum_t log p(y_t | y_<t, x) of sequences whose tokens come from the policy,
    the reference (truth) or the reward, at shares (lambda_self, lambda_truth, lambda_reward).
    An EOS that the limit on the length put comes from none of them and weighs nothing.

    When a dev score is below the one before it under the same shares, `delta` of truth's share
    goes to one of the others, the weights of the validation before are put back, and the score
    is forgotten. The first goes to self, the next `reward_steps` to reward, one to self, and so
    on, until truth has nothing left; from then on nothing is put back.

    lambdas       shares of self, truth and reward at the start
    delta         share that a change moves
    reward_steps  changes in favour of reward for one in favour of self
    """

    restores = True

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        proposal: TokenMixture,
        reward: Reward,
        lambdas: Sequence[float] = (0.04, 0.96, 0.0),
        delta: float = 0.06,
        reward_steps: int = 4,
    ) -> None:
        require(
            len(lambdas) == 3 and min(lambdas) >= 0 and abs(sum(lambdas) - 1) < NEGLIGIBLE,
            f"lambdas must be three shares that add up to one, not {list(lambdas)}",
        )
        require(0 < delta <= 1, f"delta must lie in (0, 1], not {delta}")
        require(reward_steps >= 0, f"reward_steps must not be negative, not {reward_steps}")
        super().__init__(
            policy=policy, proposal=proposal, reward=incremental(reward, "the interpolation")
        )
        self.mixture = proposal
        self.delta = delta
        self.reward_steps = reward_steps
        self.changes = 0
        self.previous: float | None = None
        self.mixture.shares = (lambdas[0], lambdas[1], lambdas[2])

    def indivisible(self) -> str | None:
        return None

    def weights(self, trajectories: Trajectories, log_probs: Tensor, batch: Batch) -> Tensor:
        self.rewards(trajectories, batch)
        return of_choices(torch.full_like(log_probs, 1 / trajectories.group), trajectories)

    def on_validation(self, score: float) -> Decision:
        worse = self.previous is not None and score < self.previous
        if not worse or not self.mixture.shares[1]:
            self.previous = score
            return Decision.CONTINUE
        self.mixture.shares = self.changed()
        self.changes += 1
        self.previous = None
        return Decision.RESTORE

    def changed(self) -> tuple[float, float, float]:
        """The shares after the next change."""
        own, truth, reward = self.mixture.shares
        left = truth - self.delta
        left = left if left > NEGLIGIBLE else 0.0
        if self.changes % (self.reward_steps + 1) == 0:
            return 1.0 - left - reward, left, reward
        return own, left, 1.0 - left - own

    def diagnostics(
        self, trajectories: Trajectories, log_probs: Tensor, weights: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        names = ("lambda_self", "lambda_truth", "lambda_reward")
        shares = {n: torch.tensor(v) for n, v in zip(names, self.mixture.shares, strict=True)}
        return super().diagnostics(trajectories, log_probs, weights, batch) | shares

    def state_dict(self) -> dict[str, Any]:
        return {
            "shares": self.mixture.shares,
            "changes": self.changes,
            "previous": self.previous,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        own, truth, reward = state["shares"]
        self.mixture.shares = (own, truth, reward)
        self.changes = state["changes"]
        self.previous = state["previous"]

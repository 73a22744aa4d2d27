"""Generation by off-policy learning from demonstrations (Pang & He 2021)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from seqrl.algorithms.base import WeightedLikelihood, log_probs_along
from seqrl.models.base import Policy
from seqrl.proposals.base import Reference
from seqrl.ranges import require
from seqrl.types import Batch, Clock, Trajectories

LEAST_REWARD = {"s": 0.1, "p": 1.0}
"""c of each variant, where none is given: the released script's and the released default."""


class GOLD(WeightedLikelihood):
    """Policy gradient on the references, with an importance weight for every step:

        L = -(1/B) sum_b sum_t max(u, pi~(y*_t)) Qhat_t log pi(y*_t | y*_<t, x).

    pi~ is a copy of the policy, renewed now and then. What a step leads to is told by p_mle, the
    policy that the stage began with, on the next `suffix` tokens, k = 0 being the step itself:

        s:  Qhat_t = sum_k discount^k max(p_mle(y*_t+k), c)
        p:  Qhat_t = sum_k discount^k max(log(p_mle(y*_t+k) + 1e-10) - base, c)

    Past the reference's end there are no terms, so that Qhat does not depend on how wide a batch
    is padded (in the released code it does). The variants are the paper's GOLD-s and GOLD-p.

    variant      s | p
    importance   false: the weight max(u, pi~) is one
    least_weight u in [0, 1]; 1 is no importance weight either
    renew_every  updates between copies pi~ <- pi
    least_reward c; none: 0.1 for s, 1 for p
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        variant: str = "s",
        importance: bool = True,
        least_weight: float = 0.2,
        renew_every: int = 3000,
        suffix: int = 6,
        discount: float = 1.0,
        base: float = -10.0,
        least_reward: float | None = None,
        lambda_mle: float = 0.0,
    ) -> None:
        require(
            variant in LEAST_REWARD,
            f"variant must be one of {', '.join(LEAST_REWARD)}, not {variant!r}",
        )
        require(0 <= least_weight <= 1, f"least_weight must lie in [0, 1], not {least_weight}")
        require(renew_every >= 1, f"renew_every must be at least 1, not {renew_every}")
        require(suffix >= 1, f"suffix must be at least 1, not {suffix}")
        require(0 <= discount <= 1, f"discount must lie in [0, 1], not {discount}")
        super().__init__(policy=policy, proposal=Reference(), lambda_mle=lambda_mle)
        self.variant = variant
        self.importance = importance
        self.least_weight = least_weight
        self.renew_every = renew_every
        self.suffix = suffix
        self.discount = discount
        self.base = base
        self.least_reward = LEAST_REWARD.get(variant) if least_reward is None else least_reward
        self.first = copy.deepcopy(policy).requires_grad_(False).eval()  # p_mle
        self.stale = copy.deepcopy(self.first)  # pi~

    def indivisible(self) -> str | None:
        return None

    def weights(self, trajectories: Trajectories, log_probs: Tensor, batch: Batch) -> Tensor:
        values = self.values(self._log_probs(self.first, trajectories, batch), trajectories.mask)
        if not self.importance:
            return values
        stale = self._log_probs(self.stale, trajectories, batch).exp()
        return stale.clamp(min=self.least_weight) * values

    def values(self, log_probs: Tensor, mask: Tensor) -> Tensor:
        """Qhat [N, T] from log p_mle [N, T] of the references' tokens."""
        if self.variant == "s":
            rewards = log_probs.exp()
        else:
            rewards = (log_probs.exp() + 1e-10).log() - self.base
        rewards = torch.where(mask, rewards.clamp(min=self.least_reward), 0.0)
        total, steps = torch.zeros_like(rewards), rewards.shape[1]
        for k in range(min(self.suffix, steps)):
            total[:, : steps - k] += self.discount**k * rewards[:, k:]
        return total

    def after_update(self, clock: Clock) -> None:
        if (clock.update + 1) % self.renew_every == 0:
            self.stale.load_state_dict(self.policy.state_dict())

    def state_dict(self) -> dict[str, Any]:
        return {"stale": self.stale.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.stale.load_state_dict(state["stale"])

    def diagnostics(
        self, trajectories: Trajectories, log_probs: Tensor, weights: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        mask = trajectories.mask
        found = super().diagnostics(trajectories, log_probs, weights, batch)
        return found | {"weight": torch.where(mask, weights, 0.0).sum() / mask.sum()}

    @torch.no_grad()
    def _log_probs(
        self, policy: Policy[Any, Any], trajectories: Trajectories, batch: Batch
    ) -> Tensor:
        """log p(y*_t | y*_<t, x) [N, T] of another policy."""
        memory = policy.encode(batch.source, batch.source_mask)
        return log_probs_along(trajectories, policy, memory)

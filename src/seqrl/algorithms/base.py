"""The contract between the trainer and whatever it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from seqrl.algorithms.diagnostics import entropies_of, trajectory_metrics
from seqrl.losses import token_log_probs, weighted_nll
from seqrl.models.base import Policy, dropout, repeat
from seqrl.proposals.base import Proposal, Reference
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Clock, Trajectories


class Decision(Enum):
    """What an algorithm wants after a validation."""

    CONTINUE = "continue"
    RESTORE = "restore"  # put back the weights of the validation before this one
    STOP = "stop"


class Algorithm(ABC):
    """One stage's way of learning. The trainer knows nothing else about it.

    restores  whether `on_validation` may answer RESTORE, so that the weights are kept
    """

    restores: bool = False

    @abstractmethod
    def learners(self) -> dict[str, nn.Module]:
        """The networks that learn, by name; each has an optimizer of its own."""

    @abstractmethod
    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """A scalar for each learner, reduced by `losses.reduce`; an absent one sits this step out.

        A loss has a gradient with respect to its own learner's weights only.
        """

    def after_update(self, clock: Clock) -> None:  # noqa: B027
        """Called when the optimizers have stepped: target networks, counters."""

    def on_validation(self, score: float) -> Decision:
        """Called with the selection score, higher being better."""
        return Decision.CONTINUE

    def evaluate(self, batch: Batch, clock: Clock) -> dict[str, tuple[Tensor, Tensor]]:
        """Sums and counts of the losses to report on a dev batch, without gradient.

        A stage can be selected by one of them, lower being better.
        """
        return {}

    def explain(self, trajectories: Trajectories, batch: Batch) -> dict[str, Tensor]:
        """Numbers [N, T] worth showing beside the tokens of a sample: rewards, values."""
        return {}

    def metrics(self) -> dict[str, Tensor]:
        """Scalars of the last `losses`, without gradient."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """All that is not a learner's weights: target networks, baselines, counters."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave; called after the learners' weights are loaded."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, but was given {list(state)}")


class WeightedLikelihood(Algorithm):
    """Propose without gradient, score in one teacher-forced pass, learn by weighted likelihood.

        L = -(1/B) sum_n sum_t w[n,t] log p(y_t | y_<t, x)

    A subclass says what the weights are.
    """

    def __init__(
        self, *, policy: Policy[Any, Any], proposal: Proposal, reward: Reward | None = None
    ) -> None:
        self.policy = policy
        self.proposal = proposal
        self.reward = reward
        self._rewards: Tensor | None = None
        self._metrics: dict[str, Tensor] = {}

    @abstractmethod
    def weights(self, trajectories: Trajectories, log_probs: Tensor, batch: Batch) -> Tensor:
        """w [N, T], or [N, 1] where all tokens of a trajectory weigh the same."""

    def rewards(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        """R(y, y*) [N], which `metrics` then reports."""
        assert self.reward is not None
        self._rewards = self.reward.score(trajectories, batch)
        return self._rewards

    def learners(self) -> dict[str, nn.Module]:
        return {"policy": self.policy}

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        memory = self.policy.encode(batch.source, batch.source_mask)
        with torch.no_grad():
            trajectories = self.proposal(self.policy, memory, batch, self.reward, clock)
        memory = repeat(memory, len(batch), trajectories.group)
        logits = self.policy.logits(memory, trajectories.inputs)
        log_probs = token_log_probs(logits, trajectories.targets)
        self._rewards = None
        weights = self.weights(trajectories, log_probs.detach(), batch)
        self._metrics = self.diagnostics(trajectories, log_probs.detach(), weights, batch)
        if not isinstance(self.proposal, Reference):
            self._metrics |= trajectory_metrics(
                trajectories,
                batch,
                entropies=entropies_of(logits),
                rewards=self._rewards,
                weights=weights,
            )
        loss = weighted_nll(log_probs, weights, trajectories.mask, batch.total)
        return {"policy": loss}

    def diagnostics(
        self,
        trajectories: Trajectories,
        log_probs: Tensor,
        weights: Tensor,
        batch: Batch,
    ) -> dict[str, Tensor]:
        """What `metrics` reports beside `trajectory_metrics`."""
        mask = trajectories.mask
        return {"nll_per_token": -torch.where(mask, log_probs, 0.0).sum() / mask.sum()}

    @torch.no_grad()
    def evaluate(self, batch: Batch, clock: Clock) -> dict[str, tuple[Tensor, Tensor]]:
        return {"nll": reference_nll(self.policy, batch)}

    def metrics(self) -> dict[str, Tensor]:
        return self._metrics


def reference_nll(policy: Policy[Any, Any], batch: Batch) -> tuple[Tensor, Tensor]:
    """The summed -log p of the references' tokens without dropout, and their number."""
    with dropout(policy, False):
        memory = policy.encode(batch.source, batch.source_mask)
        logits = policy.logits(memory, batch.target_inputs)
    mask = batch.target_mask
    log_probs = token_log_probs(logits, batch.target)
    return -torch.where(mask, log_probs, 0.0).sum(), mask.sum()

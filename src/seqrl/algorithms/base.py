"""The contract between the trainer and whatever it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from types import EllipsisType
from typing import Any

import torch
from torch import Tensor, nn

from seqrl.algorithms.diagnostics import trajectory_metrics
from seqrl.losses import weighted_nll
from seqrl.models.base import Policy, dropout, drops, repeat
from seqrl.proposals.base import Proposal, Reference
from seqrl.ranges import require
from seqrl.rewards.base import PrefixReward, Reward
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
        """A scalar for each learner, reduced as `losses.reduce` does; an absent one sits out.

        A loss has a gradient with respect to its own learner's weights only.
        """

    def after_update(self, clock: Clock) -> None:  # noqa: B027
        """Called when the optimizers have stepped: target networks, counters."""

    def forget(self) -> None:  # noqa: B027
        """Called where an update is made again from its beginning, since memory ran out.

        What `losses` has put aside for `after_update` is then to be dropped.
        """

    def indivisible(self) -> str | None:
        """Why several processes cannot learn shares of each batch; none: they can.

        They can where gradients of shares add up to the whole's, and where all that `after_update`
        changes follows from the learners' weights, which are the same everywhere.
        """
        return f"{type(self).__name__} does not say that shares of a batch add up to the whole"

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


Places = Tensor | EllipsisType
"""Some of the P tokens: where a mask [P] is true, or all of them."""


@dataclass(frozen=True)
class Scored:
    """What was proposed for a batch, and what the policy says of it now.

    policy     whose features these are
    features   [P, H] of the tokens, with gradient
    log_probs  [N, T] of the targets, with gradient; zero at padding
    entropies  [N, T] of the policy along them, in nats; none where they are references
    clock      of the update
    """

    policy: Policy[Any, Any]
    trajectories: Trajectories
    features: Tensor
    log_probs: Tensor
    entropies: Tensor | None
    clock: Clock


class WeightedLikelihood(Algorithm):
    """Propose without gradient, score in one teacher-forced pass, learn by weighted likelihood.

        L = -(1/B) sum_n sum_t w[n,t] log p(y_t | y_<t, x) - (lambda_mle/B) sum_b log p(y*_b | x_b)

    A subclass says what the weights are.

    lambda_mle  weight of the references' likelihood beside them, 0 in most papers
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        proposal: Proposal,
        reward: Reward | None = None,
        lambda_mle: float = 0.0,
    ) -> None:
        require(lambda_mle >= 0, f"lambda_mle must not be negative, not {lambda_mle}")
        self.policy = policy
        self.proposal = proposal
        self.reward = reward
        self.lambda_mle = lambda_mle
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
        scored = self.scored(batch, clock)
        weights = self.weights(scored.trajectories, scored.log_probs.detach(), batch)
        return {"policy": self.loss(scored, weights, batch)}

    def scored(self, batch: Batch, clock: Clock) -> Scored:
        """Trajectories of the proposal, scored with gradient."""
        memory = self.policy.encode(batch.source, batch.source_mask)
        with torch.no_grad():
            trajectories = self.proposal(
                self.policy, self._memory_of_the_proposal(memory, batch), batch, self.reward, clock
            )
        self._rewards = None
        repeated = repeat(memory, len(batch), trajectories.group)
        features = self.policy.features(repeated, trajectories.inputs, trajectories.mask)
        log_probs, entropies = self.policy.log_probs(
            features,
            trajectories.flat(trajectories.targets),
            entropies=not isinstance(self.proposal, Reference),
        )
        return Scored(
            self.policy,
            trajectories,
            features,
            trajectories.padded(log_probs),
            None if entropies is None else trajectories.padded(entropies),
            clock,
        )

    def _memory_of_the_proposal(self, memory: Any, batch: Batch) -> Any:
        """`memory`, or one without dropout where the proposal wants none and there is some."""
        if not self.proposes_without_dropout():
            return memory
        with dropout(self.policy, False):
            return self.policy.encode(batch.source, batch.source_mask)

    def proposes_without_dropout(self) -> bool:
        """Whether what is scored with dropout is proposed without it."""
        return drops(self.policy) and not self.proposal.dropout

    def loss(self, scored: Scored, weights: Tensor, batch: Batch) -> Tensor:
        """The loss for weights [N, T] or [N, 1]; leaves the numbers that `metrics` reports."""
        trajectories, log_probs = scored.trajectories, scored.log_probs.detach()
        self._metrics = self.diagnostics(trajectories, log_probs, weights, batch)
        if scored.entropies is not None:
            self._metrics |= trajectory_metrics(
                trajectories,
                batch,
                entropies=scored.entropies,
                rewards=self._rewards,
                weights=weights,
            )
        loss = weighted_nll(self.terms(scored, batch), weights, trajectories.mask, batch.total)
        if self.lambda_mle:
            loss = loss + self.lambda_mle * likelihood(self.policy, batch)
        return loss

    def terms(self, scored: Scored, batch: Batch) -> Tensor:
        """[N, T], what is weighted: log p(y_t | y_<t, x)."""
        return scored.log_probs

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
    def explain(self, trajectories: Trajectories, batch: Batch) -> dict[str, Tensor]:
        """The increments of the reward, if it has some."""
        if not isinstance(self.reward, PrefixReward):
            return {}
        return {"reward": self.reward.increments(trajectories, batch)}

    @torch.no_grad()
    def evaluate(self, batch: Batch, clock: Clock) -> dict[str, tuple[Tensor, Tensor]]:
        return {"nll": reference_nll(self.policy, batch)}

    def metrics(self) -> dict[str, Tensor]:
        return self._metrics


def self_normalised(logits: Tensor, trajectories: Trajectories) -> Tensor:
    """Softmax [N, 1] of logits [N] over each sentence's K trajectories; absent ones get nothing."""
    absent = ~trajectories.mask.any(1)
    grouped = logits.masked_fill(absent, float("-inf")).view(-1, trajectories.group)
    return torch.softmax(grouped, dim=1).view(-1, 1)


def of_choices(weights: Tensor, trajectories: Trajectories) -> Tensor:
    """The weights [N, T] or [N, 1], but 0 at an EOS that a limit on the length put."""
    if trajectories.cut is None:
        return weights
    return torch.where(trajectories.forced, 0.0, weights)


def likelihood(policy: Policy[Any, Any], batch: Batch) -> Tensor:
    """The maximum likelihood loss -(1/B) sum_b log p(y*_b | x_b), with dropout of its own."""
    memory = policy.encode(batch.source, batch.source_mask)
    references = batch.reference_trajectories()
    log_probs = log_probs_along(references, policy, memory)
    return weighted_nll(log_probs, torch.ones_like(log_probs), references.mask, batch.total)


def reference_nll(policy: Policy[Any, Any], batch: Batch) -> tuple[Tensor, Tensor]:
    """The summed -log p of the references' tokens without dropout, and their number."""
    references = batch.reference_trajectories()
    log_probs, mask = log_probs_of(references, policy, batch), references.mask
    return -torch.where(mask, log_probs, 0.0).sum(), mask.sum()


@torch.no_grad()
def log_probs_of(trajectories: Trajectories, policy: Policy[Any, Any], batch: Batch) -> Tensor:
    """log p of the targets [N, T] without dropout and without gradient; zero at padding."""
    with dropout(policy, False):
        memory = policy.encode(batch.source, batch.source_mask)
        return log_probs_along(trajectories, policy, repeat(memory, len(batch), trajectories.group))


def log_probs_along(trajectories: Trajectories, policy: Policy[Any, Any], memory: Any) -> Tensor:
    """log p of the targets [N, T], given the memory of each trajectory; zero at padding."""
    features = policy.features(memory, trajectories.inputs, trajectories.mask)
    log_probs, _ = policy.log_probs(features, trajectories.flat(trajectories.targets))
    return trajectories.padded(log_probs)

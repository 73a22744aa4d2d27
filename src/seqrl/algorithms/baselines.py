"""What is subtracted from the reward of a sample, so that the gradient varies less.

A baseline b_t may know the sentence, the other samples and the prefix y_<t, but not y_t: then
E[b_t grad log p(y_t | y_<t)] = 0, and the expected gradient is the same for all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqrl.decoding.rollout import greedy, rollout
from seqrl.losses import reduce
from seqrl.models.base import Policy, dropout
from seqrl.proposals.sampling import sample_limit
from seqrl.ranges import require
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Trajectories, shift_right


@dataclass(frozen=True)
class Samples:
    """What a baseline is given; all of it without gradient.

    rewards   [N], R(y, y*)
    features  [P, H], the policy's of the tokens; at step t they depend on y_<t alone
    """

    trajectories: Trajectories
    rewards: Tensor
    features: Tensor
    batch: Batch


class Baseline(ABC):
    """b of samples, and what it takes to keep it up to date.

    least_samples  K that it cannot do without
    """

    least_samples: int = 1

    @abstractmethod
    def __call__(self, samples: Samples) -> Tensor:
        """b [N, T], or [N, 1] where it is the same at all steps; without gradient."""

    def learners(self) -> dict[str, nn.Module]:
        """What learns in it, by name."""
        return {}

    def losses(self, samples: Samples) -> dict[str, Tensor]:
        """A scalar for each of its learners."""
        return {}

    def indivisible(self) -> str | None:
        """Why it cannot be had of a share of the batch; none: it can. See `Algorithm`."""
        return f"{type(self).__name__} does not say that shares of a batch add up to the whole"

    def after_update(self) -> None:  # noqa: B027
        """Called when the optimizers have stepped."""

    def forget(self) -> None:  # noqa: B027
        """Called where an update is made again: what is put aside of its samples is dropped."""

    def state_dict(self) -> dict[str, Any]:
        """All that is not a learner's weights."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, but was given {list(state)}")


class NoBaseline(Baseline):
    """b = 0."""

    def __call__(self, samples: Samples) -> Tensor:
        return torch.zeros_like(samples.rewards).unsqueeze(1)

    def indivisible(self) -> str | None:
        return None


class RunningMean(Baseline):
    """b = the mean reward of earlier updates, later ones counting more; 0 before the first.

        b = sum_i decay^(n-i) R_i / sum_i decay^(n-i),    R_i the mean reward of update i = 1..n

    decay  1: all updates count the same
    """

    def __init__(self, *, decay: float = 0.99) -> None:
        require(0 <= decay <= 1, f"decay must lie in [0, 1], not {decay}")
        self.decay = decay
        self.total = torch.zeros(())
        self.weight = 0.0
        self._seen: list[Tensor] = []  # of this update, by part of the batch

    def __call__(self, samples: Samples) -> Tensor:
        self._seen.append(samples.rewards)
        mean = self.total / self.weight if self.weight else self.total
        return torch.zeros_like(samples.rewards).unsqueeze(1) + mean

    def indivisible(self) -> str | None:
        return "the running mean is that of the rewards of all samples"

    def after_update(self) -> None:
        if self._seen:
            self.total = self.decay * self.total + torch.cat(self._seen).mean()
            self.weight = self.decay * self.weight + 1
            self._seen = []

    def forget(self) -> None:
        self._seen = []

    def state_dict(self) -> dict[str, Any]:
        return {"total": self.total, "weight": self.weight}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.total, self.weight = state["total"], state["weight"]


class LeaveOneOut(Baseline):
    """b_k = sum_{j != k} R_j / (K - 1), the mean reward of the sentence's other samples."""

    least_samples = 2

    def __call__(self, samples: Samples) -> Tensor:
        rewards = samples.rewards.view(-1, samples.trajectories.group)
        others = rewards.sum(1, keepdim=True) - rewards
        return (others / (rewards.shape[1] - 1)).view(-1, 1)

    def indivisible(self) -> str | None:
        return None


class GreedyOutput(Baseline):
    """b = R of the policy's greedy output, without dropout (Rennie et al. 2016).

    extra_length, max_length  where the output is cut; the samples' own, see `Sampling`
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        reward: Reward,
        extra_length: int = 10,
        max_length: int = 50,
    ) -> None:
        require(extra_length >= 0, f"extra_length must not be negative, not {extra_length}")
        require(max_length >= 1, f"max_length must be at least 1, not {max_length}")
        self.policy = policy
        self.reward = reward
        self.extra_length = extra_length
        self.max_length = max_length

    @torch.no_grad()
    def __call__(self, samples: Samples) -> Tensor:
        batch = samples.batch
        with dropout(self.policy, False):
            tokens, mask = rollout(
                self.policy,
                self.policy.encode(batch.source, batch.source_mask),
                rows=len(batch),
                max_length=sample_limit(batch, self.extra_length, self.max_length),
                choose=greedy,
            )
        inputs = shift_right(tokens, batch.specials.bos)
        output = Trajectories(inputs, tokens, mask, torch.zeros_like(mask))
        rewards = self.reward.score(output, batch).to(samples.rewards.dtype)
        return rewards.repeat_interleave(samples.trajectories.group).unsqueeze(1)

    def indivisible(self) -> str | None:
        return None


class Learned(Baseline):
    """b_t = u . f_t + c, one linear unit on the policy's features (Ranzato et al. 2015).

    Trained on the reward of the whole sample by

        L = scale (1/B) (1/K) sum_k sum_t (b_t - R)^2

    over the tokens that the policy chose; nothing of it reaches the policy.

    scale  of the loss: 0.01, for plain gradient descent at the policy's own rate
    """

    def __init__(self, *, policy: Policy[Any, Any], scale: float = 0.01) -> None:
        require(scale > 0, f"scale must be positive, not {scale}")
        self.scale = scale
        self.unit = nn.Linear(policy.feature_size, 1).to(next(policy.parameters()))
        nn.init.zeros_(self.unit.weight)
        nn.init.constant_(self.unit.bias, 0.01)

    def values(self, samples: Samples) -> Tensor:
        """[N, T], with gradient; zero at padding."""
        return samples.trajectories.padded(self.unit(samples.features).squeeze(-1))

    @torch.no_grad()
    def __call__(self, samples: Samples) -> Tensor:
        return self.values(samples)

    def indivisible(self) -> str | None:
        return None

    def learners(self) -> dict[str, nn.Module]:
        return {"baseline": self.unit}

    def losses(self, samples: Samples) -> dict[str, Tensor]:
        trajectories = samples.trajectories
        errors = (self.values(samples) - samples.rewards.unsqueeze(1)).square()
        sentences = samples.batch.total * trajectories.group
        return {"baseline": self.scale * reduce(errors, trajectories.drawn, sentences)}

"""Where trajectories come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from seqrl.models.base import Policy
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Clock, Trajectories


class Proposal(ABC):
    """Makes K trajectories for every sentence of a batch, without gradient."""

    @abstractmethod
    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        """[N, T] trajectories; `memory` is the policy's, of the batch's B sources."""


class Reference(Proposal):
    """The first reference itself, K = 1: maximum likelihood's only trajectory."""

    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        return batch.reference_trajectories()

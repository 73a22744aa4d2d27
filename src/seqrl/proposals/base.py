"""Where trajectories come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from seqrl.models.base import Policy
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Clock, Trajectories


class Proposal(ABC):
    """Makes K trajectories for every sentence of a batch, without gradient.

    dropout  whether the policy's dropout is active while it proposes; a proposal that does not
             ask the policy leaves it true
    """

    dropout: bool = True

    @abstractmethod
    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        """[N, T] trajectories; `memory` is the policy's of the B sources, under `dropout`."""


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

"""Maximum likelihood."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqrl.algorithms.base import WeightedLikelihood
from seqrl.models.base import Policy
from seqrl.proposals.base import Reference
from seqrl.types import Batch, Trajectories


class MLE(WeightedLikelihood):
    """L = -(1/B) sum_b sum_t log p(y*_t | y*_<t, x): weight 1 on the reference's tokens."""

    def __init__(self, *, policy: Policy[Any, Any]) -> None:
        super().__init__(policy=policy, proposal=Reference())

    def weights(
        self,
        trajectories: Trajectories,
        log_probs: Tensor,
        batch: Batch,
    ) -> Tensor:
        return torch.ones_like(log_probs)

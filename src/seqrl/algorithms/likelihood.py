"""Maximum likelihood."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqrl.algorithms.base import WeightedLikelihood
from seqrl.models.base import Policy
from seqrl.proposals.base import Proposal, Reference
from seqrl.types import Batch, Trajectories


class MLE(WeightedLikelihood):
    """L = -(1/B) sum_b sum_t log p(y*_t | y*_<t, x): weight 1 on the reference's tokens.

    proposal  whose trajectories are taken for references, weight 1/K each; none: the reference
    """

    def __init__(self, *, policy: Policy[Any, Any], proposal: Proposal | None = None) -> None:
        super().__init__(policy=policy, proposal=proposal or Reference())

    def indivisible(self) -> str | None:
        return None

    def weights(
        self,
        trajectories: Trajectories,
        log_probs: Tensor,
        batch: Batch,
    ) -> Tensor:
        return torch.full_like(log_probs, 1 / trajectories.group)

"""What all critics share: values of every word, given the reference, and a target network."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from seqrl.models.base import Policy, repeat
from seqrl.types import Batch, Trajectories


def action_features(critic: Policy[Any, Any], batch: Batch, trajectories: Trajectories) -> Tensor:
    """[P, H], of which `critic.project` makes values; it reads BOS, the reference and EOS."""
    reference = torch.cat([batch.target_inputs[:, :1], batch.target], dim=1)
    mask = torch.cat([batch.target_mask[:, :1], batch.target_mask], dim=1)
    memory = critic.encode(reference, mask)
    repeated = repeat(memory, len(batch), trajectories.group)
    return critic.features(repeated, trajectories.inputs, trajectories.mask)


def action_values(critic: Policy[Any, Any], batch: Batch, trajectories: Trajectories) -> Tensor:
    """Q(y_<t, w; y*) [P, V], of the tokens."""
    return critic.project(action_features(critic, batch, trajectories))


def chosen(values: Tensor, trajectories: Trajectories) -> Tensor:
    """Q(y_<t, y_t) [P] of the tokens' values [P, V]."""
    return values.gather(-1, trajectories.flat(trajectories.targets).unsqueeze(-1)).squeeze(-1)


def delayed(critic: Policy[Any, Any]) -> Policy[Any, Any]:
    """A target network: a copy of the critic as it is now, without dropout or gradient."""
    return copy.deepcopy(critic).requires_grad_(False).eval()


@torch.no_grad()
def follow(slow: Policy[Any, Any], fast: Policy[Any, Any], speed: float) -> None:
    """phibar <- beta phi + (1 - beta) phibar, beta being the speed; 1 is no target network."""
    for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
        old.lerp_(new, speed)

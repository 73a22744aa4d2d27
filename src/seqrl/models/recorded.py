"""What a policy says while it writes, kept so that it need not be asked again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqrl.losses import AT_ONCE, at_least_single, entropy
from seqrl.models.base import Policy
from seqrl.types import Trajectories


@dataclass(frozen=True)
class Said:
    """A policy's distributions at P tokens, without gradient.

    log_pi [P, V], log pi(. | y_<t); entropies [P], theirs in nats
    """

    log_pi: Tensor
    entropies: Tensor

    @classmethod
    def of(cls, logits: Tensor) -> Said:
        """From logits [P, V], or from log pi itself."""
        log_pi = torch.log_softmax(at_least_single(logits.detach()), dim=-1)
        parts = torch.split(log_pi, max(1, AT_ONCE // log_pi.shape[-1]))
        return cls(log_pi, torch.cat([entropy(part) for part in parts]))


@dataclass(frozen=True)
class RecordedState:
    """A state, and the rows [A] of the rollout that it is of; none before the first step."""

    inner: Any
    rows: Tensor | None

    def select(self, rows: Tensor) -> RecordedState:
        kept = rows if self.rows is None else self.rows[rows]
        return RecordedState(self.inner.select(rows), kept)


class Recorded(Policy[Any, RecordedState]):
    """A policy that keeps what it says at every step of a rollout, for one rollout."""

    def __init__(self, policy: Policy[Any, Any]) -> None:
        super().__init__()
        self.policy = policy
        self.specials = policy.specials
        self.target_size = policy.target_size
        self.feature_size = policy.feature_size
        self._steps: list[tuple[Tensor, Tensor, Said]] = []  # rows, what they had read, and said

    def encode(self, source: Tensor, mask: Tensor) -> Any:
        return self.policy.encode(source, mask)

    def features(self, memory: Any, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.policy.features(memory, inputs, mask)

    def project(self, features: Tensor) -> Tensor:
        return self.policy.project(features)

    def start(self, memory: Any) -> RecordedState:
        return RecordedState(self.policy.start(memory), None)

    def step(
        self, memory: Any, state: RecordedState, token: Tensor
    ) -> tuple[Tensor, RecordedState]:
        logits, inner = self.policy.step(memory, state.inner, token)
        rows = torch.arange(len(token), device=token.device) if state.rows is None else state.rows
        self._steps.append((rows, token, Said.of(logits)))
        return logits, RecordedState(inner, rows)

    def said(self, trajectories: Trajectories) -> Said | None:
        """At the tokens of trajectories; none where they are not what was written."""
        mask, steps = trajectories.mask, self._steps
        if len(steps) < mask.shape[1] or len(steps[0][0]) != len(mask):
            return None
        count, first = len(trajectories.places), steps[0][2]
        log_pi = first.log_pi.new_empty(count + 1, self.target_size)
        entropies = first.entropies.new_empty(count + 1)
        place = (mask.flatten().cumsum(0) - 1).view_as(mask).masked_fill(~mask, count)  # or nowhere
        for t, (rows, read, said) in enumerate(steps[: mask.shape[1]]):
            there = mask[rows, t]
            same = read == trajectories.inputs[rows, t]
            if there.sum() < mask[:, t].sum() or not same[there].all():
                return None
            log_pi.index_copy_(0, place[rows, t], said.log_pi)
            entropies.index_copy_(0, place[rows, t], said.entropies)
        return Said(log_pi[:count], entropies[:count])

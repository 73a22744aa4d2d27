"""Networks that end in a `Projection`, and answer from it without [P, V] where they can."""

from __future__ import annotations

from torch import Tensor

from seqrl.models.base import MemoryT, Policy, StateT
from seqrl.models.projection import Projection


class Projected(Policy[MemoryT, StateT]):
    """A policy whose logits are a `Projection` of its features: `output`, which it must set."""

    output: Projection

    def project(self, features: Tensor) -> Tensor:
        found: Tensor = self.output(features)
        return found

    def log_probs(
        self, features: Tensor, words: Tensor, entropies: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        return self.output.log_probs(features, words, entropies)

    def chosen(self, features: Tensor, words: Tensor) -> Tensor:
        return self.output.chosen(features, words)

    def expected(self, features: Tensor, log_p: Tensor) -> Tensor:
        return self.output.expected(features, log_p)

    def expected_signal(self, features: Tensor, log_pi: Tensor, signal: Tensor) -> Tensor:
        return self.output.expected_signal(features, log_pi, signal)

    def spread(self, features: Tensor) -> Tensor:
        return self.output.spread(features)

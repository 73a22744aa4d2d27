"""A policy that is another one, tilted by values: p(w | s) exp G(s, w), normalised.

The prior p is frozen; G are the logits of a network of the same kind, which learns. Jaques et al.
(2017), where G-learning needs both to act.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqrl.losses import at_least_single
from seqrl.models.base import Policy
from seqrl.models.weights import load_stored
from seqrl.trust import located
from seqrl.types import Specials


@dataclass(frozen=True)
class Pair:
    """A memory, or a state, of each of the two networks."""

    prior: Any
    values: Any

    def select(self, rows: Tensor) -> Pair:
        return Pair(self.prior.select(rows), self.values.select(rows))


class Tilted(Policy[Pair, Pair]):
    """logits = log p(. | s) + G(s, .).

    network  description of both networks, `_target_` and arguments. Weights of such a network
             alone are loaded into both: so G begins with the logits of the trained prior
    """

    def __init__(
        self,
        *,
        source_size: int,
        target_size: int,
        specials: Specials,
        network: Mapping[str, Any],
    ) -> None:
        super().__init__()
        sizes = {"source_size": source_size, "target_size": target_size, "specials": specials}
        make = located(network["_target_"])
        arguments = {k: v for k, v in network.items() if k not in ("_target_", "reads")}
        self.prior: Policy[Any, Any] = make(**sizes, **arguments).requires_grad_(False)
        self.values: Policy[Any, Any] = make(**sizes, **arguments)
        self.specials = specials
        self.target_size = target_size
        self.feature_size = self.prior.feature_size + self.values.feature_size
        self.longest = self.values.longest

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        if any(name.startswith("prior.") for name in state_dict):
            return super().load_state_dict(state_dict, strict, assign)
        for network in (self.prior, self.values):
            load_stored(network, state_dict)
        return None

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        network = given["network"]
        named = {name: network[name] for name in ("_target_", "reads") if name in network}
        rest = {name: value for name, value in network.items() if name not in named}
        return {**given, "network": named | self.values.arguments(rest)}

    def train(self, mode: bool = True) -> Tilted:
        super().train(mode)
        self.prior.eval()
        return self

    def encode(self, source: Tensor, mask: Tensor) -> Pair:
        with torch.no_grad():
            prior = self.prior.encode(source, mask)
        return Pair(prior, self.values.encode(source, mask))

    def features(self, memory: Pair, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        with torch.no_grad():
            prior = self.prior.features(memory.prior, inputs, mask)
        return torch.cat([prior, self.values.features(memory.values, inputs, mask)], dim=-1)

    def project(self, features: Tensor) -> Tensor:
        sizes = [self.prior.feature_size, self.values.feature_size]
        prior, values = torch.split(features, sizes, dim=-1)
        return self._tilted(self.prior.project(prior.detach()), self.values.project(values))

    def start(self, memory: Pair) -> Pair:
        return Pair(self.prior.start(memory.prior), self.values.start(memory.values))

    def step(self, memory: Pair, state: Pair, token: Tensor) -> tuple[Tensor, Pair]:
        with torch.no_grad():
            logits, prior = self.prior.step(memory.prior, state.prior, token)
        values, own = self.values.step(memory.values, state.values, token)
        return self._tilted(logits, values), Pair(prior, own)

    def _tilted(self, logits: Tensor, values: Tensor) -> Tensor:
        return torch.log_softmax(at_least_single(logits), dim=-1) + values

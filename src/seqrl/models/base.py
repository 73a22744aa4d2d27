"""The contract between networks and everything that uses them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from seqrl.losses import entropies_of, expectation, expected_signal, token_log_probs
from seqrl.types import Specials


class Rows(Protocol):
    """A batch of per-row tensors from which rows can be taken, repeated or reordered."""

    def select(self, rows: Tensor) -> Self:
        """The given rows, in the given order."""


MemoryT = TypeVar("MemoryT", bound=Rows)
StateT = TypeVar("StateT", bound=Rows)


class Policy(nn.Module, ABC, Generic[MemoryT, StateT]):
    """A sequence model p(y | x), read one token at a time or all at once.

    `step` must equal `logits[:, t]` to 1e-5 in float32 without dropout: then greedy
    decoding, sampling, mixing and beam search are each written once, over `step`.

    A critic Q(y_<t, . ; y*) is a Policy too: it encodes the reference in place of the
    source, and its logits are the action values.
    """

    specials: Specials
    target_size: int  # V
    feature_size: int  # H
    longest: int | None = None  # tokens that it can write; none: any number
    trained: bool = False  # whether its first weights have learned something

    @abstractmethod
    def encode(self, source: Tensor, mask: Tensor) -> MemoryT:
        """Memory of the source [B, S], whose tokens are where `mask` [B, S] is true."""

    @abstractmethod
    def features(self, memory: MemoryT, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """[N, T, H], teacher forced on `inputs` [N, T].

        With a mask [N, T] only those where it is true, [P, H], row by row: what is left out is
        not computed where that saves anything.
        """

    @abstractmethod
    def project(self, features: Tensor) -> Tensor:
        """[..., V] from features [..., H], a tensor of its own."""

    @abstractmethod
    def start(self, memory: MemoryT) -> StateT:
        """The decoder's state before its first token."""

    @abstractmethod
    def step(self, memory: MemoryT, state: StateT, token: Tensor) -> tuple[Tensor, StateT]:
        """Logits [N, V] after reading `token` [N], and the next state."""

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments that make a network like this one anew, of those that made it.

        They name nothing outside it; sizes and special ids are left out.
        """
        return dict(given)

    def publish(self, folder: Path) -> None:
        """Write the network as the library that it comes from reads it, if there is one."""

    def log_probs(
        self, features: Tensor, words: Tensor, entropies: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """log p(w) [P] of one word [P] at each of features [P, H], and the entropies [P] in nats.

        Entropies have no gradient; they are none unless asked for.
        """
        logits = self.project(features)
        return token_log_probs(logits, words), entropies_of(logits) if entropies else None

    def chosen(self, features: Tensor, words: Tensor) -> Tensor:
        """What `project` gives for one word [P] at each of features [P, H]: [P]."""
        return self.project(features).gather(-1, words.unsqueeze(-1)).squeeze(-1)

    def expected(self, features: Tensor, log_p: Tensor) -> Tensor:
        """sum_w p(w) z_w [P], z what `project` gives for features [P, H].

        log_p [P, V], or [1, V] for all, holds log p; it has no gradient.
        """
        return expectation(log_p.exp(), self.project(features))

    def expected_signal(self, features: Tensor, log_pi: Tensor, signal: Tensor) -> Tensor:
        """`losses.expected_signal` [P] of the policy at features [P, H].

        log_pi [P, V] is what it says there, without gradient; signal [P, V] may be overwritten.
        """
        return expected_signal(self.project(features), signal)

    def spread(self, features: Tensor) -> Tensor:
        """sum_w (z_w - mean_w z)^2 [P], z what `project` gives for features [P, H]."""
        return self.project(features).var(-1, correction=0) * self.target_size

    def logits(self, memory: MemoryT, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """[N, T, V], or [P, V] with a mask, teacher forced."""
        return self.project(self.features(memory, inputs, mask))


def repeat(rows: MemoryT, size: int, times: int) -> MemoryT:
    """Each of `size` rows `times` times, copies adjacent."""
    if times == 1:
        return rows
    return rows.select(torch.arange(size, device=device_of(rows)).repeat_interleave(times))


def device_of(rows: Rows) -> torch.device:
    """Where the tensors of rows are, or of what rows they are made."""
    fields = vars(rows).values()
    found = next((value for value in fields if isinstance(value, Tensor)), None)
    return found.device if found is not None else device_of(next(iter(fields)))


def drops(module: nn.Module) -> bool:
    """Whether dropout is active somewhere in the module."""
    return any(m.training and m.p > 0 for m in module.modules() if isinstance(m, nn.Dropout))


@contextmanager
def dropout(module: nn.Module, active: bool) -> Iterator[None]:
    """Dropout on or off inside the block, everything else in the mode that it was in.

    Sampling and scoring must not put a whole module into eval mode: cuDNN refuses to
    differentiate a recurrent network in it.
    """
    layers = [m for m in module.modules() if isinstance(m, nn.Dropout)]
    before = [m.training for m in layers]
    for layer in layers:
        layer.train(active and module.training)
    try:
        yield
    finally:
        for layer, mode in zip(layers, before, strict=True):
            layer.train(mode)

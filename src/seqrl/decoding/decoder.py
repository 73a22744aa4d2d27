"""Ways to turn a model into output, as the configuration names them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from seqrl.decoding.beam import beam_search
from seqrl.decoding.rollout import greedy, rollout, sampler
from seqrl.models.base import Policy
from seqrl.ranges import require
from seqrl.types import Batch, Clock


class Decoder(ABC):
    """max_length: of an output, EOS included."""

    def __init__(self, *, max_length: int = 100) -> None:
        require(max_length >= 1, f"max_length must be at least 1, not {max_length}")
        self.max_length = max_length

    @abstractmethod
    def decode(self, policy: Policy[Any, Any], batch: Batch) -> Tensor:
        """Tokens [B, T] of one hypothesis per source; after EOS stands padding."""

    def __call__(self, policy: Policy[Any, Any], batch: Batch) -> Tensor:
        training = policy.training
        policy.eval()
        try:
            return self.decode(policy, batch)
        finally:
            policy.train(training)


class Greedy(Decoder):
    """The most probable token at every step."""

    def decode(self, policy: Policy[Any, Any], batch: Batch) -> Tensor:
        memory = policy.encode(batch.source, batch.source_mask)
        tokens, _ = rollout(
            policy, memory, rows=len(batch), max_length=self.max_length, choose=greedy
        )
        return tokens


class Sample(Decoder):
    """One sample from the model; the same seed and batch give the same sample."""

    def __init__(self, *, max_length: int = 100, seed: int = 0) -> None:
        super().__init__(max_length=max_length)
        self.seed = seed

    def decode(self, policy: Policy[Any, Any], batch: Batch) -> Tensor:
        memory = policy.encode(batch.source, batch.source_mask)
        stream = f"decode/{batch.source.tolist()}"  # other sentences, other noise
        noise = Clock(seed=self.seed).uniform(stream, self.max_length, batch)
        tokens, _ = rollout(
            policy, memory, rows=len(batch), max_length=self.max_length, choose=sampler(noise)
        )
        return tokens


class Beam(Decoder):
    """Beam search.

    size            hypotheses kept per sentence
    length_penalty  exponent of Wu et al.'s length normalisation; 0 is none
    """

    def __init__(
        self, *, size: int = 5, length_penalty: float = 0.0, max_length: int = 100
    ) -> None:
        super().__init__(max_length=max_length)
        require(size >= 1, f"size must be at least 1, not {size}")
        require(length_penalty >= 0, f"length_penalty must not be negative, not {length_penalty}")
        self.size = size
        self.length_penalty = length_penalty

    def decode(self, policy: Policy[Any, Any], batch: Batch) -> Tensor:
        memory = policy.encode(batch.source, batch.source_mask)
        tokens, _ = beam_search(
            policy,
            memory,
            rows=len(batch),
            size=self.size,
            max_length=self.max_length,
            length_penalty=self.length_penalty,
        )
        return tokens

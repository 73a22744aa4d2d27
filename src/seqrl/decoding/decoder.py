"""Ways to turn a model into output, as the configuration names them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from seqrl.decoding.beam import beam_search
from seqrl.decoding.constraints import Constraints
from seqrl.decoding.rollout import Choose, greedy, rollout, sampler
from seqrl.models.base import Policy
from seqrl.ranges import require
from seqrl.types import Batch, Clock


class Decoder(ABC):
    """max_length: of an output, EOS included. The others are `Constraints`."""

    def __init__(
        self,
        *,
        max_length: int = 100,
        min_length: int = 0,
        no_repeat_ngram: int = 0,
        no_unk: bool = False,
    ) -> None:
        require(max_length >= 1, f"max_length must be at least 1, not {max_length}")
        require(
            min_length < max(max_length, 1),
            f"min_length must be less than max_length ({max_length}), not {min_length}",
        )
        self.max_length = max_length
        self.constraints = Constraints(min_length, no_repeat_ngram, no_unk)

    @abstractmethod
    def decode(self, policy: Policy[Any, Any], batch: Batch) -> Tensor:
        """Tokens [B, T] of one hypothesis per source; after EOS stands padding."""

    def constrained(self, policy: Policy[Any, Any], choose: Choose) -> Choose:
        """The same choice among the tokens that are not barred."""

        def chosen(t: int, logits: Tensor, prefix: Tensor, rows: Tensor) -> Tensor:
            return choose(t, self.constraints(logits, prefix, policy.specials), prefix, rows)

        return chosen

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
            policy,
            memory,
            rows=len(batch),
            max_length=self.max_length,
            choose=self.constrained(policy, greedy),
        )
        return tokens


class Sample(Decoder):
    """One sample from the model; the same seed and batch give the same sample."""

    def __init__(
        self,
        *,
        seed: int = 0,
        max_length: int = 100,
        min_length: int = 0,
        no_repeat_ngram: int = 0,
        no_unk: bool = False,
    ) -> None:
        super().__init__(
            max_length=max_length,
            min_length=min_length,
            no_repeat_ngram=no_repeat_ngram,
            no_unk=no_unk,
        )
        self.seed = seed

    def decode(self, policy: Policy[Any, Any], batch: Batch) -> Tensor:
        memory = policy.encode(batch.source, batch.source_mask)
        stream = f"decode/{batch.source.tolist()}"  # other sentences, other noise
        noise = Clock(seed=self.seed).uniform(stream, self.max_length, batch)
        tokens, _ = rollout(
            policy,
            memory,
            rows=len(batch),
            max_length=self.max_length,
            choose=self.constrained(policy, self.chooser(noise)),
        )
        return tokens

    def chooser(self, noise: Tensor) -> Choose:
        """How tokens are drawn with noise [T, B] in [0, 1)."""
        return sampler(noise)


class SampledStart(Sample):
    """The first tokens are drawn, all others are the most probable ones.

    Where nothing is read, the most probable output is always the same.

    sampled  how many are drawn
    """

    def __init__(
        self,
        *,
        sampled: int = 1,
        seed: int = 0,
        max_length: int = 100,
        min_length: int = 0,
        no_repeat_ngram: int = 0,
        no_unk: bool = False,
    ) -> None:
        super().__init__(
            seed=seed,
            max_length=max_length,
            min_length=min_length,
            no_repeat_ngram=no_repeat_ngram,
            no_unk=no_unk,
        )
        require(sampled >= 0, f"sampled must not be negative, not {sampled}")
        self.sampled = sampled

    def chooser(self, noise: Tensor) -> Choose:
        draw = super().chooser(noise)

        def choose(t: int, logits: Tensor, prefix: Tensor, rows: Tensor) -> Tensor:
            return (draw if t < self.sampled else greedy)(t, logits, prefix, rows)

        return choose


class Beam(Decoder):
    """Beam search.

    size            hypotheses kept per sentence
    length_penalty  exponent of Wu et al.'s length normalisation; 0 is none
    """

    def __init__(
        self,
        *,
        size: int = 5,
        length_penalty: float = 0.0,
        max_length: int = 100,
        min_length: int = 0,
        no_repeat_ngram: int = 0,
        no_unk: bool = False,
    ) -> None:
        super().__init__(
            max_length=max_length,
            min_length=min_length,
            no_repeat_ngram=no_repeat_ngram,
            no_unk=no_unk,
        )
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
            constraints=self.constraints,
        )
        return tokens

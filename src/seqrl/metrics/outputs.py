"""Outputs of a model beside their references, and numbers about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from seqrl.metrics.direction import LOWER_IS_BETTER
from seqrl.oracle import Oracle
from seqrl.ranges import require


@dataclass(frozen=True)
class Score:
    """One number about a corpus, with what is needed to compute it again elsewhere.

    interval  the middle 95 % of it over resamples of the sentences, where that is known
    """

    name: str
    value: float
    signature: str
    interval: tuple[float, float] | None = None

    @property
    def higher_is_better(self) -> bool:
        return self.name not in LOWER_IS_BETTER

    @property
    def record(self) -> dict[str, Any]:
        """Plain values, as files hold them."""
        found: dict[str, Any] = {"value": round(self.value, 4), "signature": self.signature}
        if self.interval is not None:
            found["interval"] = [round(end, 4) for end in self.interval]
        return found


@dataclass(frozen=True)
class Outputs:
    """Hypotheses with their references; sentences may differ in how many they have.

    sources         in the task's own tokenisation, as hypotheses and references are
    natural_is_raw  whether the natural references are the corpus's own text, rather than
                    its tokens put together again
    oracle          the task's, if its data are the samples of one
    """

    sources: Sequence[str]
    hypotheses: Sequence[str]
    references: Sequence[tuple[str, ...]]
    natural_hypotheses: Sequence[str]
    natural_references: Sequence[tuple[str, ...]]
    natural_is_raw: bool
    oracle: Oracle | None = None

    def __post_init__(self) -> None:
        for hypotheses, references, kind in (
            (self.hypotheses, self.references, "tokenised"),
            (self.natural_hypotheses, self.natural_references, "natural"),
        ):
            require(len(hypotheses) > 0, f"there are no {kind} hypotheses to score")
            require(
                len(hypotheses) == len(references),
                f"{len(hypotheses)} {kind} hypotheses, but references for {len(references)}",
            )
            require(all(references), f"a sentence has no {kind} reference")
        require(
            len(self.sources) == len(self.hypotheses),
            f"{len(self.hypotheses)} hypotheses, but {len(self.sources)} sources",
        )

    @cached_property
    def shared(self) -> dict[object, Any]:
        """What several scores need; the first one that does puts it here."""
        return {}

    @property
    def reference_count(self) -> str:
        """How many references a sentence has, `var` if that differs."""
        numbers = {len(references) for references in self.references}
        return str(numbers.pop()) if len(numbers) == 1 else "var"

    def natural_signature(self, signature: str) -> str:
        """The signature of a score of natural text."""
        if self.natural_is_raw:
            return signature
        return f"{signature} (detokenised from tokens, not comparable)"

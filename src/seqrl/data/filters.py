"""Which pairs of a corpus are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from seqrl.data.corpus import Corpus, CorpusError, Example
from seqrl.ranges import require


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Limits on the lengths of pairs, in tokens of the task's own tokenisation.

    Training pairs outside the limits are left out; dev and test stay whole, unless
    `drop_long_evaluation`. None means no limit.

    min_tokens            each side has at least so many
    max_source_tokens     the source has at most so many
    max_target_tokens     the first reference has at most so many
    max_ratio             the longer side is at most so many times the shorter
    truncate_source       sources are cut to so many first, in every split
    drop_long_evaluation  the two maxima hold for dev and test too. The released ERAC code
                          does so, and the scores of its paper are on such a test set
    """

    min_tokens: int = 1
    max_source_tokens: int | None = None
    max_target_tokens: int | None = None
    max_ratio: float | None = None
    truncate_source: int | None = None
    drop_long_evaluation: bool = False

    def __post_init__(self) -> None:
        for name in ("min_tokens", "max_source_tokens", "max_target_tokens", "truncate_source"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{name} must be at least 1, not {value}")
        ratio = self.max_ratio
        require(ratio is None or ratio >= 1, f"max_ratio must be at least 1, not {ratio}")
        require(
            not self.drop_long_evaluation
            or self.max_source_tokens is not None
            or self.max_target_tokens is not None,
            "drop_long_evaluation needs max_source_tokens or max_target_tokens to be set",
        )

    def keeps(self, source: int, target: int) -> bool:
        """Whether a training pair of these lengths is used."""
        shorter, longer = sorted((source, target))
        return (
            shorter >= self.min_tokens
            and self.short(source, target)
            and (self.max_ratio is None or longer <= self.max_ratio * shorter)
        )

    def short(self, source: int, target: int) -> bool:
        """Whether both lengths are within their maxima."""
        return (self.max_source_tokens is None or source <= self.max_source_tokens) and (
            self.max_target_tokens is None or target <= self.max_target_tokens
        )

    def __call__(self, corpus: Corpus) -> Corpus:
        """The pairs that are used.

        Raises CorpusError where nothing is left of a split, or nothing was there.
        """
        kept = {name: self._split(name, examples) for name, examples in corpus.items()}
        without = [name for name, examples in corpus.items() if not examples]
        if without:
            raise CorpusError(f"the corpus has no pairs at all for {', '.join(without)}")
        gone = [name for name, examples in kept.items() if not examples]
        if gone:
            counts = ", ".join(f"{name} had {len(corpus[name])} pairs" for name in gone)
            raise CorpusError(
                f"nothing is left of {', '.join(gone)} after filtering ({counts}); "
                f"relax task.filters, which are {self}"
            )
        return kept

    def _split(self, name: str, examples: Sequence[Example]) -> list[Example]:
        cut = [self._truncated(example) for example in examples]
        if name == "train":
            return [example for example in cut if self.keeps(*lengths(example))]
        if self.drop_long_evaluation:
            return [example for example in cut if self.short(*lengths(example))]
        return cut

    def _truncated(self, example: Example) -> Example:
        if self.truncate_source is None:
            return example
        tokens = example.source.split(" ")[: self.truncate_source]
        return replace(example, source=" ".join(tokens))


def lengths(example: Example) -> tuple[int, int]:
    """Tokens of the source and of the first reference."""
    return example.source.count(" ") + 1, example.references[0].count(" ") + 1

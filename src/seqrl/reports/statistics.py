"""What a few seeds say: their spread, an interval of the mean, and tests of differences.

scipy is imported where it is needed: a table without intervals is printed at once.
"""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

KeyT = TypeVar("KeyT")

LEAST_FOR_INTERVAL = 3
LEAST_FOR_TEST = 2
RESAMPLES = 9999
EXACT_PAIRS = 15
CONFIDENCE = 0.95
LEVEL = 0.05


@dataclass(frozen=True)
class Statistics:
    """Of one score over seeds; the deviation is the sample's (n - 1), none for one value."""

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        return statistics.stdev(self.values) if self.n > 1 else None

    @property
    def minimum(self) -> float:
        return min(self.values)

    @property
    def maximum(self) -> float:
        return max(self.values)

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The bootstrap's 95 % interval of the mean: BCa, or the percentiles where it has none.

        The resamples are always the same. It lies within the values, so that for few seeds it
        is too narrow; for fewer than three, for which it would only repeat them, there is none.
        Equal values give a point.
        """
        if self.n < LEAST_FOR_INTERVAL:
            return None
        low, high = self._bootstrapped("BCa")
        return (low, high) if math.isfinite(low + high) else self._bootstrapped("percentile")

    def _bootstrapped(self, method: str) -> tuple[float, float]:
        import numpy as np
        from scipy.stats import bootstrap

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of equal values, whose interval is no number
            found = bootstrap(
                (np.asarray(self.values),),
                np.mean,
                method=method,
                confidence_level=CONFIDENCE,
                n_resamples=RESAMPLES,
                random_state=np.random.default_rng(0),
            ).confidence_interval
        return float(found.low), float(found.high)


@dataclass(frozen=True)
class Comparison:
    """A row's score minus the baseline's, by the seeds that both have.

    differences  one for each of these seeds; none: nothing to compare
    adjusted     p after Holm's correction over the rows compared in one block
    """

    differences: tuple[float, ...]
    adjusted: float | None = None

    @property
    def pairs(self) -> int:
        return len(self.differences)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.differences)

    @cached_property
    def p(self) -> float | None:
        """Of the sign-flip test, the one that tables show; none for fewer than two pairs."""
        return sign_flip_p(self.differences) if self.pairs >= LEAST_FOR_TEST else None

    @cached_property
    def t_test_p(self) -> float | None:
        """Of the paired t-test, which takes the differences for normal; two-sided.

        None for fewer than two pairs, or for equal differences.
        """
        if self.pairs < LEAST_FOR_TEST or len(set(self.differences)) == 1:
            return None
        from scipy.stats import ttest_1samp

        return float(ttest_1samp(self.differences, 0.0).pvalue)


def sign_flip_p(differences: Sequence[float]) -> float:
    """The two-sided permutation test of the mean of paired differences.

    p = (sign patterns s with |sum s_i d_i| >= |sum d_i|) / 2^n

    Exact for up to 15 pairs; beyond that over 9999 patterns drawn, the observed one counted too.
    """
    import numpy as np
    from scipy.stats import permutation_test

    pairs = np.asarray(differences)
    found = permutation_test(
        (pairs, np.zeros_like(pairs)),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        n_resamples=2**EXACT_PAIRS if len(pairs) <= EXACT_PAIRS else RESAMPLES,
        random_state=np.random.default_rng(0),
    )
    return float(found.pvalue)


def least_p(pairs: int) -> float:
    """The smallest p that so many pairs can have in the sign-flip test: all signs alike."""
    return 2.0 / 2.0**pairs


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down correction: of the i-th smallest of m, max over j <= i of (m-j+1) p_j."""
    adjusted = [0.0] * len(ps)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = largest
    return adjusted


def paired(score: Mapping[KeyT, float], baseline: Mapping[KeyT, float]) -> Comparison:
    """Of two scores by seeds."""
    return Comparison(tuple(score[seed] - baseline[seed] for seed in score if seed in baseline))


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same with Holm's correction over those that have a p."""
    tested = [comparison for comparison in comparisons if comparison.p is not None]
    values = iter(holm([comparison.p for comparison in tested if comparison.p is not None]))
    return [
        comparison if comparison.p is None else Comparison(comparison.differences, next(values))
        for comparison in comparisons
    ]

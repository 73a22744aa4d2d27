"""Numbers that change while a stage trains: pure functions of the clock.

A schedule's `unit` says what its x is: `updates` or `epochs` of the stage done, or the `percent` of
the stage's budget that is spent, from 0 to 100, so that one schedule suits any budget.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from seqrl.ranges import require
from seqrl.types import Clock

UNITS = ("updates", "epochs", "percent")


class Schedule(ABC):
    """A number for every moment of a stage.

    unit  of x: `updates` | `epochs` | `percent`
    """

    def __init__(self, *, unit: str = "updates") -> None:
        require(unit in UNITS, f"unit must be one of {', '.join(UNITS)}, not {unit!r}")
        self.unit = unit

    def __call__(self, clock: Clock) -> float:
        x = {"updates": clock.update, "epochs": clock.epoch, "percent": 100 * clock.fraction}
        return self.value(x[self.unit])

    @abstractmethod
    def value(self, x: float) -> float:
        """At x >= 0."""


class Constant(Schedule):
    """c, always."""

    def __init__(self, *, value: float) -> None:
        super().__init__()
        require(value >= 0, f"value must not be negative, not {value}")
        self.constant = value

    def value(self, x: float) -> float:
        return self.constant


class Linear(Schedule):
    """start - slope x, but never below `least`: max(eps_min, k - c i) of Bengio et al. (2015)."""

    def __init__(
        self, *, start: float = 1.0, slope: float, least: float = 0.0, unit: str = "updates"
    ) -> None:
        super().__init__(unit=unit)
        require(slope >= 0, f"slope must not be negative, not {slope}")
        require(least >= 0, f"least must not be negative, not {least}")
        self.start = start
        self.slope = slope
        self.least = least

    def value(self, x: float) -> float:
        return max(self.least, self.start - self.slope * x)


class Stairs(Schedule):
    """start - height floor(x / width), but never below `least`: lower by `height` every `width`."""

    def __init__(
        self,
        *,
        start: float = 1.0,
        height: float,
        width: float,
        least: float = 0.0,
        unit: str = "updates",
    ) -> None:
        super().__init__(unit=unit)
        require(height >= 0, f"height must not be negative, not {height}")
        require(least >= 0, f"least must not be negative, not {least}")
        require(width > 0, f"width must be positive, not {width}")
        self.start = start
        self.height = height
        self.width = width
        self.least = least

    def value(self, x: float) -> float:
        return max(self.least, self.start - self.height * (x // self.width))


class Exponential(Schedule):
    """k^x with 0 < k < 1 (Bengio et al. 2015)."""

    def __init__(self, *, k: float, unit: str = "updates") -> None:
        super().__init__(unit=unit)
        require(0 < k < 1, f"k must lie in (0, 1), not {k}")
        self.k = k

    def value(self, x: float) -> float:
        return float(self.k**x)


class InverseSigmoid(Schedule):
    """k / (k + exp(x / k)) with k > 0 (Bengio et al. 2015, who have k >= 1 over updates).

    At x = 0 it is k / (k + 1); it is one half at x = k log k.
    """

    def __init__(self, *, k: float, unit: str = "updates") -> None:
        super().__init__(unit=unit)
        require(k > 0, f"k must be positive, not {k}")
        self.k = k

    def value(self, x: float) -> float:
        exponent = x / self.k
        if exponent > 700:  # exp would overflow; the value is below 1e-300
            return 0.0
        return self.k / (self.k + math.exp(exponent))


class InverseSqrt(Schedule):
    """min(x / w, sqrt(w / x)) with the warm-up w > 0: up to 1 at x = w, then down (Vaswani et al.

    2017, eq. 3, divided by its greatest value). As their step_num, x counts the present update (or
    epoch) too: it is 1 at the first, which would learn nothing at 0.
    """

    def __init__(self, *, warmup: float, unit: str = "updates") -> None:
        super().__init__(unit=unit)
        require(warmup > 0, f"warmup must be positive, not {warmup}")
        self.warmup = warmup

    def __call__(self, clock: Clock) -> float:
        after = replace(
            clock,
            update=clock.update + 1,
            epoch=clock.epoch + 1,
            fraction=clock.fraction + clock.share,
        )
        return super().__call__(after)

    def value(self, x: float) -> float:
        return x / self.warmup if x < self.warmup else math.sqrt(self.warmup / x)


def along(points: Sequence[Sequence[float]], lengths: Sequence[float], x: float) -> list[float]:
    """Where one stands at x on a path of straight lines through `points`.

    The line from point i to point i + 1 takes `lengths[i]`; after the last point one stays there.
    """
    for start, end, length in zip(points, points[1:], lengths, strict=False):
        if x < length:
            share = x / length
            return [a + (b - a) * share for a, b in zip(start, end, strict=True)]
        x -= length
    return list(points[-1])

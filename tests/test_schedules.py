"""Schedules: their values by hand, and what a clock makes of them."""

from __future__ import annotations

import math

import pytest

from seqrl.schedules import (
    Constant,
    Exponential,
    InverseSigmoid,
    InverseSqrt,
    Linear,
    Schedule,
    Stairs,
    along,
)
from seqrl.types import Clock


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (Constant(value=0.3), {0: 0.3, 7: 0.3}),
        (Linear(start=1.0, slope=0.1, least=0.25), {0: 1.0, 3: 0.7, 7.5: 0.25, 100: 0.25}),
        (
            Stairs(start=22, height=3, width=5, least=1),
            {0: 22, 4.9: 22, 5: 19, 34: 4, 35: 1, 99: 1},
        ),
        (Exponential(k=0.5), {0: 1.0, 1: 0.5, 3: 0.125}),
        (InverseSigmoid(k=4), {0: 4 / 5, 4 * math.log(4): 0.5, 1e6: 0.0}),
        (InverseSqrt(warmup=100), {0: 0.0, 25: 0.25, 100: 1.0, 400: 0.5, 10_000: 0.1}),
        (InverseSigmoid(k=500), {0: 500 / 501, 2396: 0.80575}),
    ],
)
def test_values(schedule: Schedule, values: dict[float, float]) -> None:
    for x, expected in values.items():
        assert schedule.value(x) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "schedule",
    [
        Linear(slope=0.01),
        Stairs(height=0.1, width=7),
        Exponential(k=0.9),
        InverseSigmoid(k=3),
        Constant(value=1),
    ],
)
def test_none_rises(schedule: Schedule) -> None:
    values = [schedule.value(x / 4) for x in range(400)]
    assert values == sorted(values, reverse=True)
    assert 0 <= values[-1] <= values[0] <= 1


def test_a_warm_up_ends_in_a_fall_as_vaswani_et_al_have_it() -> None:
    """Equation 3: d^-0.5 min(s^-0.5, s w^-1.5), here without its factor (d w)^-0.5."""
    schedule, d, w = InverseSqrt(warmup=4000), 512, 4000
    for s in (1, 10, 3999, 4000, 4001, 100_000):
        published = d**-0.5 * min(s**-0.5, s * w**-1.5)
        assert schedule.value(s) * (d * w) ** -0.5 == pytest.approx(published, rel=1e-12)
    values = [schedule.value(x) for x in range(0, 20_000, 100)]
    assert values[:41] == sorted(values[:41])
    assert values[40:] == sorted(values[40:], reverse=True)


@pytest.mark.parametrize(("unit", "warmup"), [("updates", 8), ("percent", 40), ("epochs", 4)])
def test_a_warm_up_counts_the_update_that_it_is_asked_for(unit: str, warmup: float) -> None:
    """Twenty updates, two an epoch: by each unit the warm-up is the first eight."""
    schedule = InverseSqrt(warmup=warmup, unit=unit)
    found = [
        schedule(Clock(update=n, epoch=n // 2, fraction=n / 20, share=1 / 20)) for n in range(20)
    ]
    steps = range(1, 21) if unit != "epochs" else [n + n % 2 for n in range(1, 21)]
    assert found == pytest.approx([min(s / 8, (8 / s) ** 0.5) for s in steps])


def test_the_unit_says_what_counts() -> None:
    clock = Clock(update=30, epoch=2, fraction=0.25)
    found = [Linear(slope=0.01, unit=unit)(clock) for unit in ("updates", "epochs", "percent")]
    assert found == pytest.approx([0.7, 0.98, 0.75])


def test_a_path_is_straight_between_its_points() -> None:
    points = [(0.0, 1.0), (1.0, 1.0), (1.0, 0.0)]
    expected = {0: (0, 1), 5: (0.5, 1), 10: (1, 1), 12: (1, 0.5), 14: (1, 0), 99: (1, 0)}
    for x, point in expected.items():
        assert along(points, [10, 4], x) == pytest.approx(point)
    assert along(points, [0, 4], 0) == [1, 1], "a line of no length is a jump"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Linear(slope=-1),
        lambda: Constant(value=-0.1),
        lambda: Stairs(height=-1, width=1),
        lambda: Stairs(height=1, width=0),
        lambda: Linear(slope=1, least=-1),
        lambda: Stairs(height=1, width=1, least=-1),
        lambda: Exponential(k=1.0),
        lambda: InverseSigmoid(k=0),
        lambda: InverseSqrt(warmup=0),
        lambda: Linear(slope=1, unit="steps"),
    ],
)
def test_what_is_no_schedule_is_refused(make: object) -> None:
    with pytest.raises(ValueError, match="must"):
        make()  # type: ignore[operator]

"""Schedules: their values by hand, and what a clock makes of them."""

from __future__ import annotations

import math

import pytest

from seqrl.schedules import Constant, Exponential, InverseSigmoid, Linear, Schedule, Stairs, along
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
        lambda: Linear(slope=1, unit="steps"),
    ],
)
def test_what_is_no_schedule_is_refused(make: object) -> None:
    with pytest.raises(ValueError, match="must"):
        make()  # type: ignore[operator]

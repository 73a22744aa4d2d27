"""What is said of a few seeds, against numbers worked out by hand and by enumeration."""

from __future__ import annotations

import itertools

import pytest

from seqrl.reports.statistics import (
    Comparison,
    Statistics,
    corrected,
    holm,
    least_p,
    paired,
    sign_flip_p,
)


def test_fewer_than_three_values_have_no_interval_and_equal_ones_a_point() -> None:
    assert Statistics((20.0,)).interval is None
    assert Statistics((20.0, 26.0)).interval is None
    assert Statistics((5.0, 5.0, 5.0)).interval == (5.0, 5.0)


def test_the_interval_of_three_even_values_is_their_range() -> None:
    """A resample of three repeats one value with 1/27 > 2.5 %, which is the percentile then."""
    assert Statistics((20.0, 26.0, 23.0)).interval == (20.0, 26.0)


def test_the_interval_of_many_values_is_about_that_of_the_normal_distribution() -> None:
    values = tuple(float(k % 10) for k in range(400))
    low, high = Statistics(values).interval or (0.0, 0.0)
    half = 1.96 * 2.8723 / 20  # the deviation of 0..9 over sqrt(400)
    assert (low, high) == (pytest.approx(4.5 - half, abs=0.03), pytest.approx(4.5 + half, abs=0.03))
    assert Statistics(values).interval == (low, high)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ((1.0, 2.0, 3.0), 2 / 8),  # all signs alike: only +++ and ---
        ((1.0, 2.0, -0.5), 4 / 8),  # 2.5 is reached by ++- and +++, and their opposites
        ((1.0, -1.0, 0.5), 1.0),  # 0.5 is the least that the signs can make
        ((0.0, 0.0), 1.0),
        ((1.0, 1.0, 1.0, 1.0, 1.0, 1.0), 2 / 64),
    ],
)
def test_the_sign_flip_test_of_a_few_pairs(differences: tuple[float, ...], p: float) -> None:
    assert sign_flip_p(differences) == p
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    assert sum(value >= abs(sum(differences)) for value in sums) / len(sums) == p
    assert sign_flip_p([-d for d in differences]) == p


def test_many_pairs_are_sampled_and_the_same_each_time() -> None:
    differences = [1.0] * 12 + [-1.0] * 4
    # P(at most 4 or at least 12 of 16 heads) = 2 (1 + 16 + 120 + 560 + 1820) / 2^16
    assert sign_flip_p(differences) == pytest.approx(2 * 2517 / 2**16, abs=0.01)
    assert sign_flip_p(differences) == sign_flip_p(differences)


def test_the_least_p_of_so_many_pairs() -> None:
    assert [least_p(n) for n in (2, 3, 5, 6)] == [0.5, 0.25, 0.0625, 0.03125]
    assert sign_flip_p([0.1, 5.0, 0.3, 2.0]) == least_p(4)


def test_the_correction_of_holm() -> None:
    # 3 * 0.01; 2 * 0.02; 0.03, which is raised to the one before it
    assert holm([0.01, 0.02, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    assert holm([0.04, 0.01]) == pytest.approx([0.04, 0.02])
    assert holm([0.03, 0.01, 0.02, 0.5]) == pytest.approx([0.06, 0.04, 0.06, 0.5])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_only_seeds_that_both_have_are_paired() -> None:
    comparison = paired({1: 20.0, 2: 22.0, 4: 9.0}, {3: 1.0, 2: 21.0, 1: 18.0})
    assert comparison.differences == (2.0, 1.0)
    assert (comparison.pairs, comparison.mean, comparison.p) == (2, 1.5, 0.5)
    assert paired({1: 20.0}, {1: 18.0}).p is None
    assert paired({1: 20.0}, {2: 18.0}).pairs == 0


def test_the_paired_t_test() -> None:
    # t = 2 / (1 / sqrt(3)) = sqrt(12) with 2 degrees of freedom: p = 1 - t / sqrt(2 + t^2)
    p = 1 - (12 / 14) ** 0.5
    assert Comparison((1.0, 2.0, 3.0)).t_test_p == pytest.approx(p)
    assert Comparison((1.0, 1.0)).t_test_p is None
    assert Comparison((1.0,)).t_test_p is None


def test_comparisons_without_a_p_do_not_count_in_the_correction() -> None:
    six, four, one = Comparison((1.0,) * 6), Comparison((1.0,) * 4), Comparison((1.0,))
    found = corrected([four, one, six])
    assert [comparison.adjusted for comparison in found] == [0.125, None, 2 * 2 / 64]

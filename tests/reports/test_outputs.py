"""Two models' outputs of one split, made up so that what comes out is known."""

from __future__ import annotations

import pytest

from seqrl.metrics.corpus import METRICS
from seqrl.metrics.outputs import Outputs
from seqrl.reports.outputs import SUMS, Difference, compared, comparison_text

LEAST = 1 / 1001
"""No resample is so far from the mean as the difference from zero."""


def outputs(hypotheses: list[str], references: list[tuple[str, ...]]) -> Outputs:
    return Outputs([""] * len(hypotheses), hypotheses, references, hypotheses, references, True)


def pair(right: list[bool], other: list[bool]) -> tuple[Outputs, Outputs]:
    """Two models of which is said for each sentence whether they have it right."""
    references = [(f"a b c d{k}",) for k in range(len(right))]
    first, second = (
        [
            text if is_right else "x y z q"
            for is_right, (text,) in zip(each, references, strict=True)
        ]
        for each in (right, other)
    )
    return outputs(first, references), outputs(second, references)


@pytest.mark.parametrize("name", ["bleu", "sacrebleu", "chrf", "per", "wer"])
def test_always_right_against_always_wrong(name: str) -> None:
    (difference,) = compared([name], *pair([True] * 20, [False] * 20))
    ends = (100.0, 0.0) if name not in ("per", "wer") else (0.0, 100.0)
    for estimate, value in zip((difference.first, difference.second), ends, strict=True):
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((value,) * 3)
    assert difference.p == pytest.approx(LEAST)
    assert comparison_text([difference]).splitlines()[2].split()[-2:] == ["A", "<0.001"]


@pytest.mark.parametrize("name", ["bleu", "sacrebleu_lc", "per", "wer"])
def test_the_same_outputs(name: str) -> None:
    (difference,) = compared([name], *pair([True, False] * 5, [True, False] * 5))
    assert difference.p == 1.0
    assert difference.first == difference.second


def test_equally_many_errors_elsewhere() -> None:
    (difference,) = compared(["wer"], *pair([True, False] * 5, [False, True] * 5))
    assert difference.p == 1.0


def test_the_interval_of_half_of_ten_sentences() -> None:
    """The errors of a resample are binomial: P(<= 1 of 10) = 0.011, P(<= 2 of 10) = 0.055."""
    (difference,) = compared(["wer"], *pair([True] * 5 + [False] * 5, [True] * 10))
    first = difference.first
    assert (first.value, first.low, first.high) == (50.0, 20.0, 80.0)
    assert LEAST <= difference.p < 0.01


@pytest.mark.parametrize("name", ["per", "wer", "rouge", "rougeLsum_stem", "novelty"])
def test_sums_over_sentences_make_the_corpus_score(name: str) -> None:
    made = outputs(
        ["a b c", "a", "", "x y z z", "b a"],
        [("a c", "a b c d e"), ("a b c", "b"), ("a b",), ("x y z z",), ("a b", "")],
    )
    sums = list(SUMS[name](made))
    score = 100 * sum(errors for errors, _ in sums) / sum(units for _, units in sums)
    assert score == pytest.approx(METRICS[name](made).value)


def test_scores_are_those_of_the_corpus_with_several_references() -> None:
    references = [("the cat sat on the mat .", "a cat sat on a mat ."), ("so (it) is now here.",)]
    first = outputs(["the cat sat on a mat .", "so is (it) now here."], references)
    second = outputs(["The cat was on the mat .", "so (it) is now ."], references)
    names = ["bleu", "sacrebleu", "sacrebleu_lc", "chrf"]
    for difference in compared(names, first, second):
        assert difference.first.value == pytest.approx(METRICS[difference.name](first).value)
        assert difference.second.value == pytest.approx(METRICS[difference.name](second).value)
        assert difference.signature == METRICS[difference.name](first).signature


def test_what_is_refused() -> None:
    first, second = pair([True] * 3, [False] * 3)
    other, _ = pair([True] * 4, [False] * 4)
    with pytest.raises(ValueError, match="different references"):
        compared(["bleu"], first, other)
    with pytest.raises(ValueError, match="no test of ter"):
        compared(["ter"], first, second)


def test_lower_error_rates_are_better() -> None:
    made: list[Difference] = compared(["wer", "bleu"], *pair([False] * 4, [True, True] * 2))
    lines = comparison_text(made).splitlines()[2:4]
    assert [line.split()[-3:-1] for line in lines] == [["-100.00", "B"], ["+100.00", "B"]]

"""The statistics of melodies from text, on melodies small enough to count by hand."""

from __future__ import annotations

import pytest
import torch

from seqrl.melody import NUMBERS
from seqrl.metrics.corpus import METRICS, corpus_scores
from seqrl.metrics.direction import DESCRIPTIVE, MELODIES
from seqrl.metrics.melodies import AT_ONCE, STATISTICS
from seqrl.metrics.music import autocorrelation, theory
from seqrl.metrics.outputs import Outputs, Score

TWO = ["C4 D4 E4 C#4 - off G4 D4", "C4 C4 C4 C4 C4 C4 C4 C4"]


def score(name: str, hypotheses: list[str], reference: str = "C4 -") -> Score:
    references = [(reference,)] * len(hypotheses)
    outputs = Outputs([""] * len(hypotheses), hypotheses, references, hypotheses, references, False)
    [result] = corpus_scores([name], outputs)
    assert result.name == name
    return result


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("excess_repeats", 100 * 3 / 16),
        ("out_of_key", 100 * 1 / 16),
        ("starts_tonic", 100.0),
        ("unique_max", 50.0),  # G4; C4 eight times
        ("unique_min", 50.0),
        ("in_motif", 100 * 1 / 16),
        ("in_repeated_motif", 0.0),
        ("leaps_resolved", 0.0),  # there are none
    ],
)
def test_statistics_by_hand(name: str, expected: float) -> None:
    assert score(name, TWO).value == pytest.approx(expected)


def test_leaps_that_stay_open_do_not_count() -> None:
    # One returns, one is doubled and then returns, one stays open.
    melodies = ["C4 G4 E4 C4", "C4 G4 D5 C5 A4 F4 C4", "C4 G4"]
    assert score("leaps_resolved", melodies).value == pytest.approx(100 * 2 / 3)


def test_autocorrelation_is_the_mean_over_melodies_that_have_one() -> None:
    # -2/3 and 1/6 of the lags 1 and 2, see the rules' own tests; the shorter one has -1/2 and 0.
    melodies = ["C3 D3 C3", "C3 D3", "C4 C4 C4"]
    assert score("autocorrelation1", melodies).value == pytest.approx((-2 / 3 - 1 / 2) / 2)
    assert score("autocorrelation2", melodies).value == pytest.approx(1 / 12)
    assert score("autocorrelation1", ["C4 C4", ""]).value == 0


def test_the_reward_is_the_mean_of_the_theorys_sums() -> None:
    rows = [torch.tensor([[NUMBERS[word] for word in text.split()]]) for text in TWO]
    mean = sum(float(theory(row).sum()) for row in rows) / 2
    assert score("melody_reward", TWO).value == pytest.approx(mean)
    # Of a lone C4: 3 for the tonic at the first step.
    assert score("melody_reward", ["C4", ""]).value == pytest.approx(3 / 2)


@pytest.mark.parametrize("name", [*MELODIES, "melody_reward"])
def test_many_melodies_have_the_scores_of_few(name: str) -> None:
    few = score(name, TWO).value
    assert score(name, TWO * AT_ONCE).value == pytest.approx(few)


def test_unknown_words_are_steps_without_an_event_that_do_not_count() -> None:
    assert score("out_of_key", ["C#4 <unk> C4"]).value == pytest.approx(50)
    held = torch.tensor([[NUMBERS["C#4"], NUMBERS["-"], NUMBERS["C4"]]])
    expected = float(autocorrelation(held, 1)[0, 1])  # up to the second of two
    assert score("autocorrelation1", ["C#4 <unk> C4"]).value == pytest.approx(expected)


def test_other_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="need a task of melodies"):
        score("out_of_key", TWO, reference="a dog")


def test_statistics_describe_and_the_reward_judges() -> None:
    assert set(STATISTICS) == set(MELODIES) <= set(DESCRIPTIVE)
    assert set(MELODIES) < set(METRICS)
    assert "melody_reward" not in DESCRIPTIVE
    assert score("melody_reward", TWO).higher_is_better

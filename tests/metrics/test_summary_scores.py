"""Scores of summaries, by hand and against the package."""

from __future__ import annotations

import numpy as np
import pytest

from seqrl.metrics.corpus import METRICS
from seqrl.metrics.outputs import Outputs, Score
from seqrl.metrics.resampling import RESAMPLES, interval, resampled
from seqrl.metrics.summaries import rouge_of_sentences


def outputs(
    hypotheses: list[str], references: list[tuple[str, ...]], sources: list[str] | None = None
) -> Outputs:
    return Outputs(
        sources or [""] * len(hypotheses), hypotheses, references, hypotheses, references, True
    )


def score(name: str, hypothesis: str, *references: str) -> Score:
    return METRICS[name](outputs([hypothesis], [references]))


def test_values_by_hand() -> None:
    # Words of five: a, b, c and e; of four pairs ab and bc; all four in order.
    for name, share in (("rouge1", 4 / 5), ("rouge2", 2 / 4), ("rougeL", 4 / 5)):
        assert score(name, "a b c x e", "a b c d e").value == pytest.approx(100 * share)
    mean = (4 / 5 + 2 / 4 + 4 / 5) / 3
    assert score("rouge", "a b c x e", "a b c d e").value == pytest.approx(100 * mean)


def test_the_mean_over_texts_and_the_best_of_their_references() -> None:
    found = METRICS["rouge1"](outputs(["a b", "a b"], [("c d", "a x", "a b"), ("a x",)]))
    assert found.value == pytest.approx(100 * (1 + 1 / 2) / 2)
    assert found.signature.startswith("nrefs:var|stem:no|rouge-score:")


def test_words_are_reduced_only_where_that_is_asked_for() -> None:
    assert score("rouge1", "Banks cutting jobs.", "bank cuts job").value == 0
    stemmed = score("rouge1_stem", "Banks cutting jobs.", "bank cuts job")
    assert stemmed.value == pytest.approx(100)
    assert "stem:yes" in stemmed.signature


def test_sentences_are_compared_each_with_all() -> None:
    # In the other order: the longest subsequence of the whole is one sentence, that of the
    # sentences are both.
    one, two = "a b c. d e f.", "d e f. a b c."
    assert score("rougeL", one, two).value == pytest.approx(50)
    assert score("rougeLsum", one, two).value == pytest.approx(100)
    assert "sentences:punctuation" in score("rougeLsum", one, two).signature
    # Where there are lines they are the sentences: of the first, three words are in order.
    lines = score("rougeLsum", one, f"{two}\nx y z")
    assert lines.value == pytest.approx(100 * 2 * 3 / (6 + 9))
    assert "sentences:lines" in lines.signature
    assert score("rougeLsum", one, "d e f\na b c").value == pytest.approx(100)


def test_an_empty_output_is_worth_nothing() -> None:
    for name in ("rouge", "rougeLsum", "rouge2_stem"):
        assert score(name, "", "a b c").value == 0


def test_novelty_is_the_share_of_new_pairs() -> None:
    # Pairs: ab is in the source, bc is not; xy is not, twice, and yx is; the third text has none.
    found = METRICS["novelty"](
        outputs(["a b c", "x y x y", "a"], [("r",)] * 3, ["a b d c", "y x", "a"])
    )
    assert found.value == pytest.approx(100 * 3 / 5)


def test_the_interval_is_that_of_resampled_texts() -> None:
    many = outputs(["a b"] * 50 + ["x y"] * 50, [("a b",)] * 100)
    found = METRICS["rouge1"](many)
    assert found.value == 50
    assert found.interval is not None
    low, high = found.interval
    # Half of 100 texts: a deviation of 5, of which 1.96 on either side.
    assert low == pytest.approx(50 - 9.8, abs=1.5)
    assert high == pytest.approx(50 + 9.8, abs=1.5)
    same = METRICS["rouge1"](outputs(["a b"] * 10, [("a b",)] * 10))
    assert same.interval == (100, 100)
    assert same.record["interval"] == [100, 100]
    assert "interval" not in METRICS["bleu"](many).record


def test_resamples_are_ratios_of_sums() -> None:
    values = resampled(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert len(values) == RESAMPLES
    allowed = [100 * 2 / 4, 100 * 4 / 6, 100 * 6 / 8]
    assert set(np.round(values, 6)) == set(np.round(allowed, 6))
    low, high = interval(values)
    assert (low, high) == pytest.approx((50, 75))


def test_each_text_has_its_own_score() -> None:
    pairs = list(rouge_of_sentences(outputs(["a b", "a"], [("a c",), ("a",)]), "rouge1"))
    assert pairs == [(pytest.approx(1 / 2), 1), (1, 1)]


def test_scores_of_the_same_outputs_do_not_mix() -> None:
    same = outputs(["banks cutting. jobs lost."], [("bank cuts. lost jobs.",)])
    names = ["rouge1", "rouge1_stem", "rougeLsum", "rouge2_stem", "rougeL", "rouge", "rougeL_stem"]
    together = [METRICS[name](same).value for name in names]
    apart = [score(name, "banks cutting. jobs lost.", "bank cuts. lost jobs.") for name in names]
    assert together == [one.value for one in apart]
    # Stems: bank cut job lost beside bank cut lost job; without, the first two words differ.
    assert together == pytest.approx([50, 100, 25, 100 / 3, 25, (50 + 0 + 25) / 3, 75])

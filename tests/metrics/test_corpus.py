"""Corpus scores on sentences small enough to count by hand."""

from __future__ import annotations

import math

import pytest

from seqrl.metrics.corpus import METRICS, corpus_scores, length_ratio
from seqrl.metrics.direction import MELODIES
from seqrl.metrics.outputs import Outputs, Score

HYPOTHESES = ["the cat sat on the mat", "a b c d e"]
REFERENCES = [("the cat is on the mat",), ("a b c d e f",)]


def score(
    name: str,
    hypotheses: list[str],
    references: list[tuple[str, ...]],
    natural_hypotheses: list[str] | None = None,
    natural_references: list[tuple[str, ...]] | None = None,
    raw: bool = True,
) -> Score:
    outputs = Outputs(
        [""] * len(hypotheses),
        hypotheses,
        references,
        natural_hypotheses or hypotheses,
        natural_references or references,
        raw,
    )
    [result] = corpus_scores([name], outputs)
    assert result.name == name
    return result


def test_tokenised_bleu_by_hand() -> None:
    # Matches 5 + 5, 3 + 4, 1 + 3, 0 + 2 of 6 + 5, 5 + 4, 4 + 3, 3 + 2; 11 tokens against 12.
    expected = 100 * math.exp(1 - 12 / 11) * (10 / 11 * 7 / 9 * 4 / 7 * 2 / 5) ** 0.25
    bleu = score("bleu", HYPOTHESES, REFERENCES)
    assert bleu.value == pytest.approx(expected, abs=1e-9)
    assert bleu.higher_is_better
    assert bleu.signature.startswith("nrefs:1|case:mixed|eff:no|tok:none|smooth:none|version:")


def test_tokenised_bleu_is_not_smoothed() -> None:
    assert score("bleu", ["a b c"], [("a b c",)]).value == 0.0
    assert score("bleu", ["a b c d"], [("a b c d",)]).value == pytest.approx(100)


def test_tokenised_bleu_with_different_numbers_of_references() -> None:
    # The first sentence's lengths 4 and 6 are equally close to 5: the shorter one counts, so
    # that 9 tokens stand against 4 + 4. "a b" and "d e" are in either reference.
    hypotheses = ["a b x d e", "a b c d"]
    references = [("a b y y d e", "d e z z"), ("a b c d",)]
    bleu = score("bleu", hypotheses, references)
    expected = 100 * (8 / 9 * 5 / 7 * 2 / 5 * 1 / 3) ** 0.25
    assert bleu.value == pytest.approx(expected, abs=1e-9)
    assert bleu.signature.startswith("nrefs:var|")


def test_unknown_word_matches_only_itself() -> None:
    hypothesis = ["a b c d <unk>"]
    matched = score("bleu", hypothesis, [("a b c d <unk>",)]).value
    missed = score("bleu", hypothesis, [("a b c d e",)]).value
    assert matched == pytest.approx(100)
    assert missed == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)


def test_sacrebleu_reads_the_natural_text() -> None:
    raw = score("sacrebleu", ["x"], [("y",)], ["One two four six."], [("One two four six.",)])
    assert raw.value == pytest.approx(100)
    assert "tok:13a|smooth:exp" in raw.signature
    assert "comparable" not in raw.signature
    other = score("sacrebleu", ["x"], [("x",)], ["One two four six."], [("One two five six.",)])
    # 13a separates the full stop. Matches 4/5 and 2/4; no trigram of 3 and no 4-gram of 2,
    # which smoothing counts as 1/2 and 1/4 of a match.
    expected = 100 * (4 / 5 * 2 / 4 * 1 / (2 * 3) * 1 / (4 * 2)) ** 0.25
    assert other.value == pytest.approx(expected, abs=1e-9)


def test_sacrebleu_lc_ignores_case_and_says_so() -> None:
    texts = ["x"], [("y",)], ["one two four six."], [("One two four six.",)]
    assert score("sacrebleu_lc", *texts).value == pytest.approx(100.0, abs=1e-9)
    assert score("sacrebleu", *texts).value < 100
    assert "case:lc" in score("sacrebleu_lc", *texts).signature


@pytest.mark.parametrize("name", ["sacrebleu", "chrf"])
def test_detokenised_references_are_marked(name: str) -> None:
    natural = score(name, HYPOTHESES, REFERENCES, raw=True)
    detokenised = score(name, HYPOTHESES, REFERENCES, raw=False)
    assert detokenised.value == natural.value
    assert detokenised.signature == (
        natural.signature + " (detokenised from tokens, not comparable)"
    )


def test_chrf_extremes() -> None:
    assert score("chrf", ["abcdef"], [("abcdef",)]).value == pytest.approx(100)
    assert score("chrf", ["abcdef"], [("uvwxyz",)]).value == 0.0


def test_token_error_rate_by_hand() -> None:
    # One substitution of 6; one insertion of 3; of two references at distance 1, with 4 and
    # 2 tokens, the shorter one; an empty hypothesis deletes both of the nearer reference's.
    hypotheses = ["the cat sat on the mat", "a b c d", "k l m", ""]
    references = [("the cat is on the mat",), ("a b c",), ("k l m n", "k l"), ("p q r", "s t")]
    rate = score("per", hypotheses, references)
    assert rate.value == pytest.approx(100 * (1 + 1 + 1 + 2) / (6 + 3 + 2 + 2), abs=1e-12)
    assert not rate.higher_is_better
    assert rate.signature == "nrefs:var|ref:nearest"


def test_token_error_rate_of_many_sentences() -> None:
    # More than one part, each padded to its own width.
    hypotheses = ["a " * (i % 7 + 1) for i in range(1000)]
    references = [("a " * (i % 7 + 1) + "b",) for i in range(1000)]
    tokens = sum(i % 7 + 2 for i in range(1000))
    assert score("per", hypotheses, references).value == pytest.approx(100 * 1000 / tokens)


def test_sequence_error_rate_by_hand() -> None:
    hypotheses = ["k ae t", "d ao g", "b er d", "", "t uw"]
    references = [("k ae t",), ("d aa g", "d ao g"), ("b er d z",), ("f",), ("t uw",)]
    rate = score("wer", hypotheses, references)
    assert rate.value == 40.0
    assert not rate.higher_is_better


def test_length_ratio_takes_the_closest_reference_and_of_two_the_shorter() -> None:
    hypotheses = ["a b c", "a b c", ""]
    references = [("a", "a b c d e f"), ("a b", "a b c d"), ("a b",)]
    assert length_ratio(hypotheses, references) == 6 / (1 + 2 + 2)


def test_scores_come_in_the_order_asked() -> None:
    special = {"oracle_nll", "melody_reward", *MELODIES}  # of tasks of their own
    names = [name for name in METRICS if name not in special][::-1]
    outputs = Outputs(["", ""], HYPOTHESES, REFERENCES, HYPOTHESES, REFERENCES, True)
    scores = corpus_scores(names, outputs)
    assert [s.name for s in scores] == names


def test_unknown_metric_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no metric bleuu; there are bleu, sacrebleu"):
        score("bleuu", HYPOTHESES, REFERENCES)


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        ([], [], "no tokenised hypotheses"),
        (["a"], [("a",), ("b",)], "1 tokenised hypotheses, but references for 2"),
        (["a", "b"], [("a",), ()], "no tokenised reference"),
    ],
)
def test_wrong_inputs_are_refused(
    hypotheses: list[str], references: list[tuple[str, ...]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        score("bleu", hypotheses, references)


def test_empty_references_have_no_rate() -> None:
    with pytest.raises(ValueError, match="empty references"):
        score("per", ["a"], [("",)])
    with pytest.raises(ValueError, match="empty references"):
        length_ratio(["a"], [("",)])


def test_distinct_bigrams_by_hand() -> None:
    """a b, b a, a b of the first, a b of the second: two of four; the references' five of five."""
    found = score("distinct", ["a b a b", "a b", "c"], [("a b c",), ("d e f",), ("b d",)])
    assert found.value == 50.0
    assert found.signature == "n:2|outputs:3|references:100.00"
    assert score("distinct", ["a"], [("a a a",)]).value == 0.0

"""BLEU of all prefixes at once against plain counting, sacreBLEU and numbers made by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentences import Sentence, arguments, letters, ngrams, padded, sentence, some_references, text
from torch import Tensor

from seqrl.metrics.bleu import closest_length, next_bleu, prefix_bleu


def sentence_bleu(*arguments: Tensor, order: int = 4, smooth: float = 1.0) -> Tensor:
    """Of whole hypotheses: that of their longest prefixes."""
    return prefix_bleu(*arguments, order=order, smooth=smooth)[:, -1]


def plain_bleu(
    hypothesis: Sentence, references: list[Sentence], order: int = 4, smooth: float = 1.0
) -> float:
    """BLEU of one sentence by counting its n-grams."""
    if not hypothesis:
        return 0.0
    logs = 0.0
    for n in range(1, order + 1):
        found = ngrams(hypothesis, n)
        matched = sum(
            min(count, max(ngrams(reference, n)[gram] for reference in references))
            for gram, count in found.items()
        )
        total = max(len(hypothesis) - n + 1, 0)
        if matched + smooth == 0:
            return 0.0
        logs += math.log((matched + smooth) / (total + smooth))
    length = len(hypothesis)
    closest = min((abs(len(r) - length), len(r)) for r in references)[1]
    return math.exp(min(0.0, 1 - closest / length)) * math.exp(logs / order)


GOLDEN = [
    ("abcde", [0.018316, 0.223130, 0.513417, 0.778801, 1.0]),
    ("abcxe", [0.018316, 0.223130, 0.513417, 0.520815, 0.537285]),
    ("aab", [0.018316, 0.169542, 0.363041]),
    ("abcdefg", [0.018316, 0.223130, 0.513417, 0.778801, 1.0, 0.809107, 0.680375]),
]
BY_HAND = [
    # One token of five: every precision is 1 (2/2, then 1/1 thrice).
    ("a", math.exp(1 - 5)),
    # Clipped: matches 2 of 3, 1 of 2, 0 of 1, 0 of 0.
    ("aab", math.exp(1 - 5 / 3) * (3 / 4 * 2 / 3 * 1 / 2 * 1) ** 0.25),
    # Matches 5, 4, 3, 2 of 7, 6, 5, 4; longer than the reference, so no penalty.
    ("abcdefg", (6 / 8 * 5 / 7 * 4 / 6 * 3 / 5) ** 0.25),
    # Matches 4 of 5, 2 of 4, 1 of 3, 0 of 2.
    ("abcxe", (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25),
    # Nothing matches.
    ("xyzuv", (1 / 6 * 1 / 5 * 1 / 4 * 1 / 3) ** 0.25),
]


@pytest.mark.parametrize(("hypothesis", "values"), GOLDEN)
def test_golden_values_of_every_prefix(hypothesis: str, values: list[float]) -> None:
    bleu = prefix_bleu(*arguments(letters(hypothesis), [letters("abcde")]))
    assert bleu[0, : len(values)].tolist() == pytest.approx(values, abs=5.1e-7)
    assert bleu[0, -1] == bleu[0, -2]


@pytest.mark.parametrize(("hypothesis", "value"), BY_HAND)
def test_values_by_hand(hypothesis: str, value: float) -> None:
    bleu = sentence_bleu(*arguments(letters(hypothesis), [letters("abcde")]))
    assert bleu.item() == pytest.approx(value, abs=1e-12)


def test_several_references_by_hand() -> None:
    # "a a b" has two a's in the first and the b in the second reference; lengths 2 and 4 are
    # equally close to 3, so the shorter one counts and there is no penalty. Bigrams: "a a" is
    # in the first, "a b" in the second. The trigram is in neither.
    references = [letters("aa"), letters("cabc")]
    bleu = sentence_bleu(*arguments(letters("aab"), references))
    assert bleu.item() == pytest.approx((1 * 1 * 1 / 2 * 1) ** 0.25, abs=1e-12)
    # Clipping takes the greatest count of one reference, not their sum: two of three a's.
    counted = sentence_bleu(*arguments(letters("aaa"), [letters("aaxb"), letters("ayyz")]))
    expected = math.exp(1 - 4 / 3) * (3 / 4 * 2 / 3 * 1 / 2 * 1) ** 0.25
    assert counted.item() == pytest.approx(expected, abs=1e-12)


def test_closest_length_ties_to_the_shorter_and_skips_absent_references() -> None:
    _, mask = padded([[1] * 6, [1] * 4, [], [1] * 9])
    lengths = torch.arange(11).unsqueeze(0)
    expected = [4, 4, 4, 4, 4, 4, 6, 6, 9, 9, 9]
    assert closest_length(lengths, mask.unsqueeze(0)).tolist() == [expected]


def test_absent_reference_changes_nothing() -> None:
    sentence = letters("ab")
    alone = prefix_bleu(*arguments(sentence, [letters("abcde")]))
    joined = prefix_bleu(*arguments(sentence, [letters("abcde"), []]))
    assert torch.equal(alone, joined)


def test_empty_reference_alone_is_a_reference() -> None:
    bleu = sentence_bleu(*arguments([1], [[]]))
    assert bleu.item() == pytest.approx((1 / 2) ** 0.25, abs=1e-12)


def test_empty_hypothesis_is_zero() -> None:
    assert prefix_bleu(*arguments([], [letters("abc")])).tolist() == [[0.0]]


def test_unsmoothed_is_zero_until_every_order_matches() -> None:
    bleu = prefix_bleu(*arguments(letters("abcd"), [letters("abcd")]), smooth=0.0)
    assert bleu.tolist() == [[0.0, 0.0, 0.0, 1.0, 1.0]]


def test_order_one_counts_words_only() -> None:
    bleu = sentence_bleu(*arguments(letters("cba"), [letters("abc")]), order=1)
    assert bleu.item() == 1.0


@settings(max_examples=300, deadline=None)
@given(
    sentence,
    some_references,
    st.integers(1, 5),
    st.sampled_from([1.0, 0.5, 0.0]),
    st.integers(1, 4),
)
def test_every_prefix_equals_the_plain_count(
    hypothesis: Sentence, references: list[Sentence], order: int, smooth: float, wider: int
) -> None:
    bleu = prefix_bleu(
        *arguments(hypothesis, references, wider), order=order, smooth=smooth
    ).squeeze(0)
    prefixes = [hypothesis[:t] for t in range(1, len(hypothesis) + 1)]
    expected = [plain_bleu(prefix, references, order, smooth) for prefix in prefixes]
    expected += [expected[-1] if expected else 0.0] * wider
    assert bleu.tolist() == pytest.approx(expected, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(sentence, some_references), min_size=2, max_size=4))
def test_rows_of_a_batch_do_not_touch(rows: list[tuple[Sentence, list[Sentence]]]) -> None:
    hypothesis, mask = padded([hyp for hyp, _ in rows], 10)
    count = max(len(refs) for _, refs in rows)
    references = [padded(refs + [[]] * (count - len(refs)), 10) for _, refs in rows]
    ids = torch.stack([ids for ids, _ in references])
    masks = torch.stack([mask for _, mask in references])
    expected = [plain_bleu(hyp, refs) for hyp, refs in rows]
    assert prefix_bleu(hypothesis, mask, ids, masks)[:, -1].tolist() == pytest.approx(expected)
    assert sentence_bleu(hypothesis, mask, ids, masks).tolist() == pytest.approx(expected)


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), some_references)
def test_equals_sacrebleu_with_every_order_smoothed(
    hypothesis: Sentence, references: list[Sentence]
) -> None:
    """sacreBLEU's counts, with one added to all orders, through sacreBLEU's own formula.

    Its `add-k` leaves unigrams alone, so the ones are added before, and its smoothing is off.
    """
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize="none", smooth_method="none", effective_order=True, force=True)
    counted = metric.sentence_score(text(hypothesis), [text(r) for r in references])
    smoothed = BLEU.compute_bleu(
        [matched + 1 for matched in counted.counts],
        [total + 1 for total in counted.totals],
        counted.sys_len,
        counted.ref_len,
        smooth_method="none",
    )
    bleu = prefix_bleu(*arguments(hypothesis, references))[0, -1]
    assert bleu.item() == pytest.approx(smoothed.score / 100, abs=1e-9)
    assert bleu.float().item() == pytest.approx(smoothed.score / 100, abs=1e-6)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=7), some_references, st.integers(1, 4))
def test_next_token_equals_the_difference(
    prefix: Sentence, references: list[Sentence], order: int
) -> None:
    _, _, ids, mask = arguments([], references)
    ahead = torch.tensor([prefix], dtype=torch.long).view(1, len(prefix))
    for first in {0, len(prefix) // 2, len(prefix)}:
        other, candidates = next_bleu(ahead, ids, mask, first=first, order=order)
        assert other.shape == (1, len(prefix) - first + 1)
        for q in range(other.shape[1]):
            begun = prefix[: first + q]
            now = plain_bleu(begun, references, order)
            new = plain_bleu([*begun, 9], references, order)
            assert other[0, q].item() == pytest.approx(new - now, abs=1e-12)
            for m, reference in enumerate(references):
                for s, token in enumerate(reference):
                    new = plain_bleu([*begun, token], references, order)
                    assert candidates[0, q, m, s].item() == pytest.approx(new - now, abs=1e-12)


def test_counts_beyond_what_half_precision_holds_are_exact_under_autocast() -> None:
    prefix, reference = torch.full((1, 300), 4), torch.full((1, 1, 301), 4)
    mask = torch.ones_like(reference, dtype=torch.bool)
    expected = next_bleu(prefix, reference, mask, first=299)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = next_bleu(prefix, reference, mask, first=299)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    assert expected[1][0, 1, 0, 0] > expected[0][0, 1]

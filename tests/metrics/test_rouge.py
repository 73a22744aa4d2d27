"""ROUGE of all prefixes at once against the package rouge-score and numbers made by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer
from sentences import Sentence, arguments, letters, padded, sentence, some_references, text

from seqrl.metrics.rouge import common_rows, next_rouge, prefix_rouge

EACH = [{name: 1.0} for name in ("rouge1", "rouge2", "rouge3", "rougeL")]
SUM = {"rouge1": 1.0, "rouge2": 0.5, "rougeL": 2.0}


class Blanks(Tokenizer):
    """Tokens as they stand."""

    def tokenize(self, text: str) -> list[str]:
        return text.split()


SCORER = RougeScorer(["rouge1", "rouge2", "rouge3", "rougeL"], tokenizer=Blanks())


def package(hypothesis: Sentence, references: list[Sentence], weights: dict[str, float]) -> float:
    """The package's F of one sentence, the best reference for each measure."""
    scores = SCORER.score_multi([text(r) for r in references], text(hypothesis))
    return sum(weight * float(scores[name].fmeasure) for name, weight in weights.items())


BY_HAND = [
    # Words a, b, c, e of five on both sides; bigrams ab, bc of four; abce in both.
    ("abcxe", {"rouge1": 8 / 10, "rouge2": 4 / 8, "rougeL": 8 / 10}),
    # The second a is clipped; of two bigrams ab; the subsequence is ab.
    ("aab", {"rouge1": 4 / 8, "rouge2": 2 / 6, "rougeL": 4 / 8}),
    # All words, no pair in order; the longest subsequence is one word.
    ("edcba", {"rouge1": 1.0, "rouge2": 0.0, "rougeL": 2 / 10}),
    ("a", {"rouge1": 2 / 6, "rouge2": 0.0, "rougeL": 2 / 6}),
    ("xyz", {"rouge1": 0.0, "rouge2": 0.0, "rougeL": 0.0}),
]


@pytest.mark.parametrize(("hypothesis", "values"), BY_HAND)
def test_values_by_hand(hypothesis: str, values: dict[str, float]) -> None:
    for name, value in values.items():
        rouge = prefix_rouge(
            *arguments(letters(hypothesis), [letters("abcde")]), weights={name: 1.0}
        )
        assert rouge[0, -1].item() == pytest.approx(value, abs=1e-12)


def test_the_best_reference_counts_for_each_measure_by_itself() -> None:
    # Of "abcd": all words are in the first, in no order; two of five, a pair, in the second.
    references = [letters("dcba"), letters("abxyz")]
    found = [
        prefix_rouge(*arguments(letters("abcd"), references), weights=weights)[0, -1].item()
        for weights in (*EACH, SUM)
    ]
    one, two, longest = 1.0, 2 / 7, 4 / 9
    assert found == pytest.approx([one, two, 0.0, longest, one + 0.5 * two + 2 * longest])


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=14), some_references)
def test_equals_the_package(hypothesis: Sentence, references: list[Sentence]) -> None:
    for weights in (*EACH, SUM):
        rouge = prefix_rouge(*arguments(hypothesis, references), weights=weights)[0, -1]
        expected = package(hypothesis, references, weights)
        assert rouge.item() == pytest.approx(expected, abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(sentence, some_references, st.integers(1, 4))
def test_every_prefix_equals_the_package(
    hypothesis: Sentence, references: list[Sentence], wider: int
) -> None:
    for weights in (*EACH, SUM):
        rouge = prefix_rouge(*arguments(hypothesis, references, wider), weights=weights)[0]
        prefixes = [hypothesis[:t] for t in range(1, len(hypothesis) + 1)]
        expected = [package(prefix, references, weights) for prefix in prefixes]
        expected += [expected[-1] if expected else 0.0] * wider
        assert rouge.tolist() == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=6), some_references)
def test_next_token_equals_the_difference(prefix: Sentence, references: list[Sentence]) -> None:
    _, _, ids, mask = arguments([], references)
    ahead = torch.tensor([prefix], dtype=torch.long).view(1, len(prefix))
    for weights in (EACH[1], EACH[3], SUM):
        for first in {0, len(prefix) // 2, len(prefix)}:
            other, candidates = next_rouge(ahead, ids, mask, first=first, weights=weights)
            assert other.shape == (1, len(prefix) - first + 1)
            for q in range(other.shape[1]):
                begun = prefix[: first + q]
                now = package(begun, references, weights)
                new = package([*begun, 9], references, weights) - now
                assert other[0, q].item() == pytest.approx(new, abs=1e-12)
                for m, reference in enumerate(references):
                    for s, token in enumerate(reference):
                        new = package([*begun, token], references, weights) - now
                        assert candidates[0, q, m, s].item() == pytest.approx(new, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(sentence, some_references), min_size=2, max_size=4))
def test_rows_of_a_batch_do_not_touch(rows: list[tuple[Sentence, list[Sentence]]]) -> None:
    hypothesis, mask = padded([hyp for hyp, _ in rows], 10)
    count = max(len(refs) for _, refs in rows)
    references = [padded(refs + [[]] * (count - len(refs)), 10) for _, refs in rows]
    ids = torch.stack([ids for ids, _ in references])
    masks = torch.stack([mask for _, mask in references])
    rouge = prefix_rouge(hypothesis, mask, ids, masks, weights=SUM)[:, -1]
    assert rouge.tolist() == pytest.approx([package(hyp, refs, SUM) for hyp, refs in rows])


def test_the_table_of_common_subsequences() -> None:
    rows = common_rows(*arguments(letters("bab"), [letters("abb")], wider=0))[0, :, 0]
    assert rows.tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 1, 1], [0, 1, 2, 2]]


def test_empty_texts_are_worth_nothing() -> None:
    assert prefix_rouge(*arguments([], [letters("abc")]), weights=SUM).tolist() == [[0.0]]
    assert prefix_rouge(*arguments([1], [[]]), weights=SUM).tolist() == [[0.0, 0.0]]

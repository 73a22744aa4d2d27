"""Distances of all prefixes at once against the plain recursion and numbers made by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentences import Sentence, arguments, padded

from seqrl.metrics.edit import (
    next_edit_distance,
    next_hamming,
    prefix_edit_distance,
    prefix_hamming,
)


def plain_edit(a: Sentence, b: Sentence) -> int:
    """Levenshtein's recursion, cell by cell."""
    table = [[i + j for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            table[i][j] = min(
                table[i - 1][j] + 1,
                table[i][j - 1] + 1,
                table[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
            )
    return table[-1][-1]


def plain_hamming(a: Sentence, b: Sentence) -> int:
    return sum(x != y for x, y in zip(a, b, strict=False)) + abs(len(a) - len(b))


DISTANCES = [
    (prefix_edit_distance, next_edit_distance, plain_edit),
    (prefix_hamming, next_hamming, plain_hamming),
]


def ids(word: str) -> Sentence:
    return [ord(letter) for letter in word]


def test_kitten_becomes_sitting() -> None:
    # k->s, e->i, +g at the end; before that the missing rest of "sitting" is inserted.
    distances = prefix_edit_distance(*arguments(ids("kitten"), [ids("sitting")]))
    assert distances.tolist() == [[7, 6, 5, 4, 4, 3, 3]]


def test_a_shift_costs_two_edits_but_every_position() -> None:
    shifted = arguments(ids("bcdea"), [ids("abcde")])
    assert prefix_edit_distance(*shifted)[0, -1] == 2
    assert prefix_hamming(*shifted).tolist() == [[5, 5, 5, 5, 5, 5]]


def test_hamming_adds_the_difference_of_the_lengths() -> None:
    longer = prefix_hamming(*arguments(ids("abxdef"), [ids("abc")]))
    assert longer.tolist() == [[2, 1, 1, 2, 3, 4, 4]]


@pytest.mark.parametrize("distance", [prefix_edit_distance, prefix_hamming])
def test_nearest_reference_counts_and_absent_ones_do_not(distance) -> None:
    references = [ids("xyz"), ids("abcd"), []]
    assert distance(*arguments(ids("abc"), references)).tolist() == [[3, 2, 1, 1]]
    assert distance(*arguments(ids("ab"), [[]])).tolist() == [[1, 2, 2]]
    assert distance(*arguments([], references)).tolist() == [[3]]


sentence = st.lists(st.integers(0, 3), max_size=9)
some_references = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=9), min_size=1, max_size=3
)


@pytest.mark.parametrize(("prefixes", "_", "plain"), DISTANCES)
@settings(max_examples=1000, deadline=None)
@given(hypothesis=sentence, references=some_references, wider=st.integers(1, 3))
def test_every_prefix_equals_the_plain_recursion(
    prefixes, _, plain, hypothesis: Sentence, references: list[Sentence], wider: int
) -> None:
    expected = [
        min(plain(hypothesis[:t], reference) for reference in references)
        for t in range(len(hypothesis) + 1)
    ]
    expected = expected[1:] + expected[-1:] * wider
    assert prefixes(*arguments(hypothesis, references, wider)).tolist() == [expected]


@pytest.mark.parametrize(("prefixes", "_", "plain"), DISTANCES)
@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(sentence, some_references), min_size=2, max_size=4))
def test_rows_of_a_batch_do_not_touch(prefixes, _, plain, rows) -> None:
    hypothesis, mask = padded([hyp for hyp, _ in rows], 10)
    count = max(len(refs) for _, refs in rows)
    references = [padded(refs + [[]] * (count - len(refs)), 10) for _, refs in rows]
    distances = prefixes(
        hypothesis,
        mask,
        torch.stack([tokens for tokens, _ in references]),
        torch.stack([mask for _, mask in references]),
    )
    assert distances[:, -1].tolist() == [min(plain(h, r) for r in refs) for h, refs in rows]


@pytest.mark.parametrize(("_", "following", "plain"), DISTANCES)
@settings(max_examples=300, deadline=None)
@given(prefix=st.lists(st.integers(0, 3), max_size=7), references=some_references)
def test_next_token_equals_the_difference(
    _, following, plain, prefix: Sentence, references: list[Sentence]
) -> None:
    def distance(hypothesis: Sentence) -> int:
        return min(plain(hypothesis, reference) for reference in references)

    _, _, tokens, mask = arguments([], references)
    ahead = torch.tensor([prefix], dtype=torch.long).view(1, len(prefix))
    for first in {0, len(prefix) // 2, len(prefix)}:
        other, candidates = following(ahead, tokens, mask, first=first)
        assert other.shape == (1, len(prefix) - first + 1)
        for q in range(other.shape[1]):
            begun = prefix[: first + q]
            assert other[0, q].item() == distance([*begun, 9]) - distance(begun)
            for token in {token for reference in references for token in reference}:
                least = candidates[:, q][(tokens == token) & mask].min()
                assert least.item() == distance([*begun, token]) - distance(begun)

"""Distances as rewards, on words short enough to count by hand."""

from __future__ import annotations

import pytest
import torch

from seqrl.rewards.edit import EditReward
from seqrl.types import Batch, Specials, Trajectories

PAD, UNK, BOS, EOS = 0, 1, 2, 3
WIDTH = 9


def ids(text: str) -> list[int]:
    return [ord(letter) - ord("a") + 4 for letter in text]


def row(text: str) -> list[int]:
    tokens = [*ids(text), EOS]
    return tokens + [PAD] * (WIDTH - len(tokens))


def setting(hypothesis: str, *references: str) -> tuple[Trajectories, Batch]:
    every = torch.tensor([[row(reference) for reference in references]])
    batch = Batch(every[:, 0], every[:, 0], every, PAD, Specials(PAD, UNK, BOS, EOS))
    targets = torch.tensor([row(hypothesis)])
    mask = targets != PAD
    return Trajectories(targets, targets, mask, mask, group=1), batch


def test_increments_of_the_edit_distance() -> None:
    # Distances 7 (empty), 7, 6, 5, 4, 4, 3: the first increment holds the empty prefix's -7.
    increments = EditReward().increments(*setting("kitten", "sitting"))
    assert increments.tolist() == [[-7, 1, 1, 1, 0, 1, 0, 0, 0]]
    assert EditReward().score(*setting("kitten", "sitting")).tolist() == [-3]


def test_increments_of_the_hamming_distance() -> None:
    increments = EditReward(distance="hamming").increments(*setting("abxdef", "abc"))
    assert increments.tolist() == [[-2, 1, 0, -1, -1, -1, 0, 0, 0]]
    assert EditReward(distance="hamming").score(*setting("bca", "abc")).tolist() == [-3]
    assert EditReward(distance="edit").score(*setting("bca", "abc")).tolist() == [-2]


@pytest.mark.parametrize("distance", ["edit", "hamming"])
def test_the_reference_scores_nothing_and_the_empty_sentence_minus_its_length(
    distance: str,
) -> None:
    reward = EditReward(distance=distance)
    assert reward.score(*setting("abc", "abc")).tolist() == [0]
    assert reward.score(*setting("", "abc")).tolist() == [-3]
    assert reward.increments(*setting("", "abc")).tolist() == [[-3] + [0] * (WIDTH - 1)]


@pytest.mark.parametrize("distance", ["edit", "hamming"])
def test_nearest_reference_and_the_first_one_s_length_as_scale(distance: str) -> None:
    reward = EditReward(scale="reference_length", distance=distance)
    assert reward.score(*setting("abd", "wxyz", "abc")).tolist() == [-4]


def test_lookahead_by_hand() -> None:
    # After "b" the distance to "abc" is 2 (insert a, c); a "c" makes it 1, nothing else helps.
    _, batch = setting("b", "abc")
    changes = EditReward().lookahead(torch.tensor([ids("b")]), batch, group=1, vocabulary=8)
    assert changes.tolist() == [[0, 0, 0, 0, 0, 0, 1, 0]]
    # Position by position "b" is wrong (3 - 2 + 1 = 3 in all); only b, the second, helps.
    changes = EditReward(distance="hamming").lookahead(
        torch.tensor([ids("b")]), batch, group=1, vocabulary=8
    )
    assert changes.tolist() == [[0, 0, 0, 0, 0, 1, 0, 0]]


def test_tokens_beyond_the_reference_cost_one() -> None:
    _, batch = setting("ab", "ab")
    for distance in ("edit", "hamming"):
        changes = EditReward(distance=distance).lookahead(
            torch.tensor([ids("ab")]), batch, group=1, vocabulary=7
        )
        assert changes.tolist() == [[-1, -1, -1, 0, -1, -1, -1]]


def test_hyper_parameters_are_checked() -> None:
    with pytest.raises(
        ValueError, match="distance must be one of edit, hamming, not 'levenshtein'"
    ):
        EditReward(distance="levenshtein")
    with pytest.raises(ValueError, match="scale must be one of"):
        EditReward(scale="tokens")

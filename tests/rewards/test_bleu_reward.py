"""BLEU as a reward: the numbers of the literature's definition."""

from __future__ import annotations

import pytest
import torch

from seqrl.rewards.bleu import BleuReward
from seqrl.types import Batch, Specials, Trajectories

PAD, UNK, BOS, EOS = 0, 1, 2, 3


def ids(text: str) -> list[int]:
    """Letters as ids from 4 on; `?` is the unknown word."""
    return [UNK if letter == "?" else ord(letter) - ord("a") + 4 for letter in text]


def setting(hypothesis: str, reference: str, width: int = 12) -> tuple[Trajectories, Batch]:
    def row(text: str) -> torch.Tensor:
        tokens = [*ids(text), EOS]
        return torch.tensor([tokens + [PAD] * (width - len(tokens))])

    target = row(reference)
    batch = Batch(target, target, target.unsqueeze(1), PAD, Specials(PAD, UNK, BOS, EOS))
    targets = row(hypothesis)
    mask = targets != PAD
    return Trajectories(targets, targets, mask, mask, group=1), batch


GOLDEN = [
    ("abcde", [0.091578, 1.024073, 1.451435, 1.326918, 1.105996], 5.0),
    ("abcxe", [0.091578, 1.024073, 1.451435, 0.036992, 0.082347], 2.686425),
    ("aab", [0.091578, 0.756133, 0.967492], 1.815204),
    (
        "abcdefg",
        [0.091578, 1.024073, 1.451435, 1.326918, 1.105996, -0.954466, -0.643659],
        3.401875,
    ),
]


@pytest.mark.parametrize(("hypothesis", "increments", "total"), GOLDEN)
def test_golden_increments_scaled_by_the_reference_length(
    hypothesis: str, increments: list[float], total: float
) -> None:
    reward = BleuReward(scale="reference_length")
    trajectories, batch = setting(hypothesis, "abcde")
    found = reward.increments(trajectories, batch)[0]
    assert found[: len(increments)].tolist() == pytest.approx(increments, abs=1e-6)
    assert (found[len(increments) :] == 0).all()
    assert reward.score(trajectories, batch).item() == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 11])
def test_the_reference_scores_one(length: int) -> None:
    text = "abcdefghijk"[:length]
    assert BleuReward().score(*setting(text, text)).item() == pytest.approx(1, abs=1e-7)
    scaled = BleuReward(scale="reference_length").score(*setting(text, text))
    assert scaled.item() == pytest.approx(length, abs=1e-6)


def test_unknown_words_match_only_if_they_may() -> None:
    trajectories, batch = setting("ab?d", "ab?d")
    assert BleuReward().score(trajectories, batch).item() == pytest.approx(1)
    # Without: matches 3 of 4 words, 1 of 3 bigrams, 0 of 2, 0 of 1; the length is still 4.
    expected = (4 / 5 * 2 / 4 * 1 / 3 * 1 / 2) ** 0.25
    strict = BleuReward(match_unk=False)
    assert strict.score(trajectories, batch).item() == pytest.approx(expected, abs=1e-7)


def test_lookahead_by_hand() -> None:
    # After "a" of "ab": b completes the reference, everything else leaves 1 of 2 words and
    # 0 of 1 bigrams; a second a is clipped.
    _, batch = setting("a", "ab")
    changes = BleuReward().lookahead(torch.tensor([ids("a")]), batch, group=1, vocabulary=8)
    now = torch.exp(torch.tensor(1 - 2 / 1)).item()
    wrong = (2 / 3 * 1 / 2) ** 0.25 - now
    expected = [wrong, wrong, wrong, 0, wrong, 1 - now, wrong, wrong]
    assert changes.tolist() == [pytest.approx(expected, abs=1e-6)]


def test_hyper_parameters_are_checked() -> None:
    with pytest.raises(ValueError, match="order must be at least 1, not 0"):
        BleuReward(order=0)
    with pytest.raises(ValueError, match="smooth must not be negative, not -1"):
        BleuReward(smooth=-1)
    with pytest.raises(ValueError, match="scale must be one of"):
        BleuReward(scale="length")

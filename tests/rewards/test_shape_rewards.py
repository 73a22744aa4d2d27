"""Lengths, repetitions, chrF and sums of rewards: numbers by hand."""

from __future__ import annotations

import pytest
import torch
from sacrebleu.metrics.chrf import CHRF

from seqrl.rewards.base import PrefixReward, Reward
from seqrl.rewards.bleu import BleuReward
from seqrl.rewards.chrf import ChrfReward
from seqrl.rewards.mix import mix
from seqrl.rewards.shape import LengthReward, RepetitionReward
from seqrl.types import Batch, Specials, Trajectories, shift_right

PAD, UNK, BOS, EOS = 0, 1, 2, 3
SPECIALS = Specials(PAD, UNK, BOS, EOS)
WIDTH = 9


def ids(text: str) -> list[int]:
    """Letters as ids from 4 on, and EOS."""
    return [*(ord(letter) - ord("a") + 4 for letter in text), EOS]


def rows(texts: tuple[str, ...]) -> torch.Tensor:
    return torch.tensor([ids(text) + [PAD] * (WIDTH - len(text) - 1) for text in texts])


def setting(hypothesis: str, *references: str) -> tuple[Trajectories, Batch]:
    targets = rows((hypothesis,))
    mask = targets != PAD
    batch = Batch(rows(references[:1]), rows(references[:1]), rows(references)[None], PAD, SPECIALS)
    return Trajectories(shift_right(targets, BOS), targets, mask, mask, group=1), batch


def score(reward: Reward, hypothesis: str, *references: str) -> float:
    return reward.score(*setting(hypothesis, *references)).item()


@pytest.mark.parametrize(
    ("hypothesis", "references", "expected"),
    [
        ("ab", ("abcd",), -2 / 4),
        ("abcdef", ("abcd",), -2 / 4),
        ("", ("abcd",), -1.0),
        ("xyzw", ("abcd",), 0.0),
        ("abc", ("abcdef", "ab"), -1 / 2),  # 3 of 6 and 1 of 2: the same
        ("abcde", ("abcdef", "ab"), -1 / 6),
    ],
)
def test_length_by_hand(hypothesis: str, references: tuple[str, ...], expected: float) -> None:
    assert score(LengthReward(), hypothesis, *references) == pytest.approx(expected)


def test_length_in_tokens() -> None:
    reward = LengthReward(scale="reference_length")
    trajectories, batch = setting("abcdef", "abcd")
    assert reward.increments(trajectories, batch)[0].tolist() == pytest.approx(
        [-3, 1, 1, 1, -1, -1, 0, 0, 0]
    )


@pytest.mark.parametrize(
    ("order", "hypothesis", "repetitions"),
    [
        (1, "abcab", [0, 0, 0, 1, 1]),
        (2, "abcab", [0, 0, 0, 0, 1]),
        (2, "aaaa", [0, 0, 1, 1]),
        (3, "abcabca", [0, 0, 0, 0, 0, 1, 1]),
        (2, "abba", [0, 0, 0, 0]),
        (3, "ab", [0, 0]),
    ],
)
def test_repetitions_by_hand(order: int, hypothesis: str, repetitions: list[int]) -> None:
    trajectories, batch = setting(hypothesis, "abcde")
    found = RepetitionReward(order=order).increments(trajectories, batch)[0]
    expected = [-again / 5 for again in repetitions] + [0.0] * (WIDTH - len(repetitions))
    assert found.tolist() == pytest.approx(expected)
    each = RepetitionReward(order=order, scale="reference_length")
    assert each.score(trajectories, batch).item() == pytest.approx(-sum(repetitions))


def letters(row: list[int]) -> str:
    kept = row[: row.index(EOS)] if EOS in row else row
    return " ".join(chr(word - 4 + ord("a")) for word in kept)


def test_chrf_is_that_of_the_text_and_its_best_reference() -> None:
    reward = ChrfReward(text=letters)
    for hypothesis, references in (
        ("abcxe", ("abcde",)),
        ("abc", ("xyz", "abcd")),
        ("", ("abc",)),
        ("abc", ("abc",)),
    ):
        expected = CHRF().sentence_score(hypothesis, list(references)).score / 100
        assert score(reward, hypothesis, *references) == pytest.approx(expected, abs=1e-6)
    assert score(ChrfReward(text=letters), "abc", "abc") == pytest.approx(1)


def test_a_mix_is_a_weighted_sum() -> None:
    parts = {"bleu": BleuReward(), "repetition": RepetitionReward(), "length": LengthReward()}
    reward = mix(parts=parts, bleu=1, repetition=0.2, length=0)
    hypothesis, reference = "abcab", "abcd"
    expected = score(parts["bleu"], hypothesis, reference) + 0.2 * -1 / 4
    assert isinstance(reward, PrefixReward)
    assert score(reward, hypothesis, reference) == pytest.approx(expected)
    scaled = mix(parts=parts, scale="reference_length", bleu=1, repetition=0.2)
    assert score(scaled, hypothesis, reference) == pytest.approx(4 * expected)


def test_a_mix_is_known_for_tokens_only_if_all_its_parts_are() -> None:
    parts: dict[str, Reward] = {"bleu": BleuReward(), "chrf": ChrfReward(text=letters)}
    assert isinstance(mix(parts=parts, bleu=1, chrf=0), PrefixReward)
    both = mix(parts=parts, bleu=0.5, chrf=0.5)
    assert not isinstance(both, PrefixReward)
    mean = (score(parts["bleu"], "abcx", "abcd") + score(parts["chrf"], "abcx", "abcd")) / 2
    assert score(both, "abcx", "abcd") == pytest.approx(mean)


def test_what_a_mix_cannot_be() -> None:
    parts: dict[str, Reward] = {"bleu": BleuReward()}
    with pytest.raises(ValueError, match="no part blue; there are bleu"):
        mix(parts=parts, blue=1)
    with pytest.raises(ValueError, match="needs a weight, for instance of bleu"):
        mix(parts=parts, bleu=0)
    with pytest.raises(ValueError, match="the mix has the scale, not its parts: bleu"):
        mix(parts={"bleu": BleuReward(scale="reference_length")}, bleu=1)


def test_chrf_of_samples_meets_their_own_sentence() -> None:
    reward = ChrfReward(text=letters)
    references, samples = rows(("abcd", "wxyz")), rows(("abc", "xyz", "wxy", "bcd"))
    batch = Batch(references, references, references.unsqueeze(1), PAD, SPECIALS)
    mask = samples != PAD
    drawn = Trajectories(shift_right(samples, BOS), samples, mask, mask, group=2)
    pairs = [("abc", "abcd"), ("xyz", "abcd"), ("wxy", "wxyz"), ("bcd", "wxyz")]
    expected = [CHRF().sentence_score(text, [reference]).score / 100 for text, reference in pairs]
    assert reward.score(drawn, batch).tolist() == pytest.approx(expected, abs=1e-6)
    longer = ChrfReward(text=letters, scale="reference_length").score(drawn, batch)
    assert longer.tolist() == pytest.approx([4 * value for value in expected], abs=1e-5)

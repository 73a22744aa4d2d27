"""Music theory as rewards: increments, what lies ahead, sums and scales."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from seqrl.melody import NUMBERS, SYMBOLS
from seqrl.metrics import music
from seqrl.rewards.base import PrefixReward
from seqrl.rewards.mix import PrefixMix, mix
from seqrl.rewards.music import (
    AutocorrelationReward,
    ExtremesReward,
    IntervalsReward,
    KeyReward,
    LeapsReward,
    MotifReward,
    MusicReward,
    RepeatedMotifReward,
    RepeatsReward,
    TonicReward,
)
from seqrl.types import Batch, Specials, Trajectories, shift_right

PAD, UNK, BOS, EOS = 0, 1, 2, 3
SPECIALS = Specials(PAD, UNK, BOS, EOS)
FIRST = 4
VOCABULARY = FIRST + len(SYMBOLS)

REWARDS: dict[str, MusicReward] = {
    "key": KeyReward(),
    "tonic": TonicReward(),
    "repeats": RepeatsReward(),
    "autocorrelation": AutocorrelationReward(),
    "motif": MotifReward(),
    "repeated_motif": RepeatedMotifReward(),
    "intervals": IntervalsReward(),
    "leaps": LeapsReward(),
    "extremes": ExtremesReward(),
}


def setting(*texts: str, group: int = 1) -> tuple[Trajectories, Batch]:
    """Melodies with EOS, padded, beside references of three symbols."""
    rows = [[FIRST + NUMBERS[word] for word in text.split()] + [EOS] for text in texts]
    width = max(map(len, rows))
    targets = torch.tensor([row + [PAD] * (width - len(row)) for row in rows])
    mask = targets != PAD
    reference = torch.tensor([[FIRST, FIRST + 1, FIRST + 2, EOS]] * (len(rows) // group))
    batch = Batch(reference, reference, reference.unsqueeze(1), PAD, SPECIALS)
    return Trajectories(shift_right(targets, BOS), targets, mask, mask, group), batch


def melody(seed: int, length: int = 32) -> str:
    choice = random.Random(seed)
    own = ["off", "-", "-", *choice.sample(SYMBOLS[2:], 4)]
    row = choice.choices(own, k=length)
    row[16:24] = row[:8]
    return " ".join(row)


MANY = [melody(seed) for seed in range(6)] + [melody(9, 11), "C4"]


def total() -> PrefixReward:
    reward = mix(parts=REWARDS, **dict.fromkeys(REWARDS, 1.0))
    assert isinstance(reward, PrefixMix)
    return reward


def test_constants_are_handed_on() -> None:
    trajectories, batch = setting("C4 C#4 G4 E4 B3 C4 C4")

    def found(reward: PrefixReward) -> list[float]:
        return reward.increments(trajectories, batch)[0].tolist()

    assert found(KeyReward(penalty=-2.0)) == [0, -2, 0, 0, 0, 0, 0, 0]
    assert found(TonicReward(reward=1.0, steps=9)) == [1, 0, 0, 0, 0, 1, 0, 0]
    assert found(RepeatsReward(penalty=-1.0, plain=0))[6] == -1
    assert found(RepeatsReward(penalty=-1.0, plain=1))[6] == 0
    assert found(MotifReward(reward=1.0, more=0.5))[6] == 0
    fifth = IntervalsReward(factor=1.0, fifth=7.0, fifth_in_key=8.0, fourth=9.0)
    assert found(fifth)[2] == 0  # C#4 to G4 is none
    assert found(fifth)[4] == 9
    assert found(LeapsReward(resolved=1.0)) == [0] * 8
    assert found(ExtremesReward(reward=2.0, steps=7)) == [0] * 6 + [4, 0]
    one = AutocorrelationReward(weight=1.0, threshold=0.0)
    both = AutocorrelationReward(weight=2.0, threshold=0.0)
    assert found(both) == pytest.approx([2 * value for value in found(one)])
    bar = "C4 D4 E4 C4 C4 C4 C4 D4"
    trajectories, batch = setting(f"{bar} {bar}")
    assert found(RepeatedMotifReward(reward=2.0)) == [0] * 15 + [2, 0]


@pytest.mark.parametrize("name", REWARDS)
def test_increments_are_the_rules_on_the_symbols(name: str) -> None:
    terms = dict(zip(REWARDS, music.TERMS, strict=True))
    trajectories, batch = setting(*MANY[:6])
    numbers = trajectories.targets[:, :-1] - FIRST
    found = REWARDS[name].increments(trajectories, batch)
    assert torch.allclose(found[:, :-1].double(), terms[name](numbers).double())
    assert found.dtype == torch.get_default_dtype()


@pytest.mark.parametrize("reward", [*REWARDS.values(), total()])
def test_increments_sum_to_the_score_and_end_with_the_melody(reward: PrefixReward) -> None:
    trajectories, batch = setting(*MANY)
    steps = reward.increments(trajectories, batch)
    assert torch.allclose(steps.sum(1), reward.score(trajectories, batch))
    over = ~trajectories.mask | (trajectories.targets == EOS)
    assert (steps[over] == 0).all()
    alone = [reward.score(*setting(text)).item() for text in MANY]
    assert reward.score(trajectories, batch).tolist() == pytest.approx(alone, abs=1e-4)


@pytest.mark.parametrize("reward", [*REWARDS.values(), total()])
def test_what_follows_changes_no_increment(reward: PrefixReward) -> None:
    texts = MANY[:6]
    cut = [" ".join(text.split()[:13]) for text in texts]
    whole = reward.increments(*setting(*texts))
    assert torch.allclose(reward.increments(*setting(*cut))[:, :13], whole[:, :13])


@pytest.mark.parametrize("name", REWARDS)
def test_lookahead_is_the_increment_of_the_longer_melody(name: str) -> None:
    reward = REWARDS[name]
    for length in (0, 1, 7, 15, 28, 31):
        prefixes = [text.split()[:length] for text in MANY[:3]]
        trajectories, batch = setting(*(" ".join(prefix) for prefix in prefixes))
        ahead = reward.lookahead(trajectories.targets[:, :-1], batch, 1, VOCABULARY)
        assert (ahead[:, :FIRST] == 0).all()
        for word in SYMBOLS:
            longer, _ = setting(*(" ".join([*prefix, word]) for prefix in prefixes))
            expected = reward.increments(longer, batch)[:, length]
            assert torch.allclose(ahead[:, FIRST + NUMBERS[word]], expected)


def test_lookaheads_of_a_sum_hold_its_increments() -> None:
    reward = total()
    trajectories, batch = setting(*MANY[:2], MANY[6], MANY[7], group=2)
    ahead = reward.lookaheads(trajectories, batch, VOCABULARY).dense(VOCABULARY)
    words = trajectories.flat(trajectories.targets).unsqueeze(1)
    expected = trajectories.flat(reward.increments(trajectories, batch))
    assert torch.allclose(ahead.gather(1, words).squeeze(1), expected, atol=1e-4)


@pytest.mark.parametrize("scale", ["none", "reference_length"])
def test_changes_of_a_sum_are_those_of_looking_ahead_before_each_symbol(scale: str) -> None:
    reward = mix(parts=REWARDS, scale=scale, key=2.0, motif=1.0, repeats=1.0, leaps=0.5)
    assert isinstance(reward, PrefixReward)
    trajectories, batch = setting(*MANY[:2], MANY[6], MANY[7], group=2)
    found = reward.changes(trajectories, batch, VOCABULARY)
    expected = PrefixReward.changes(reward, trajectories, batch, VOCABULARY)
    assert found.words.shape[1] == VOCABULARY
    assert torch.allclose(found.dense(VOCABULARY), expected.gains, atol=1e-4)


def test_the_scale_is_the_references_length() -> None:
    trajectories, batch = setting(*MANY, group=2)
    plain = mix(parts=REWARDS, key=2.0, motif=1.0)
    scaled = mix(parts=REWARDS, scale="reference_length", key=2.0, motif=1.0)
    expected = 2 * REWARDS["key"].score(trajectories, batch)
    expected += REWARDS["motif"].score(trajectories, batch)
    assert torch.allclose(plain.score(trajectories, batch), expected)
    assert torch.allclose(scaled.score(trajectories, batch), 3 * expected)


def test_what_is_no_symbol_is_worth_nothing_and_changes_nothing() -> None:
    trajectories, batch = setting("C4 - D4 F#4")
    tokens = trajectories.targets.clone()
    tokens[0, 1] = UNK

    def steps(targets: Tensor, reward: PrefixReward) -> list[float]:
        mask = targets != PAD
        read = shift_right(targets, BOS)
        return reward.increments(Trajectories(read, targets, mask, mask, 1), batch)[0].tolist()

    for reward in REWARDS.values():
        with_hold = steps(trajectories.targets, reward)
        with_unknown = steps(tokens, reward)
        assert with_unknown[1] == 0
        assert with_unknown[2:] == with_hold[2:]


def test_special_ids_may_be_others() -> None:
    trajectories, batch = setting("C4 D#4")
    shifted = Batch(
        batch.source, batch.target, batch.references, PAD, Specials(pad=0, unk=1, bos=2, eos=5)
    )
    targets = torch.where(trajectories.targets >= FIRST, trajectories.targets + 2, 5)
    moved = Trajectories(targets, targets, trajectories.mask, trajectories.mask, 1)
    assert KeyReward().increments(moved, shifted).tolist() == [[0, -1, 0]]


def test_other_words_than_a_melodys_are_refused() -> None:
    for words in (None, [], SYMBOLS[:-1], [*SYMBOLS[1:], SYMBOLS[0]]):
        with pytest.raises(ValueError, match="need a task whose target words are the symbols"):
            KeyReward(words=words)


def test_impossible_constants_are_refused() -> None:
    with pytest.raises(ValueError, match="steps must be at least 4, not 3"):
        TonicReward(steps=3)
    with pytest.raises(ValueError, match="broken must not be negative, not -1"):
        RepeatsReward(broken=-1)
    with pytest.raises(ValueError, match=r"threshold must lie in \[0, 1\], not 2"):
        AutocorrelationReward(threshold=2)

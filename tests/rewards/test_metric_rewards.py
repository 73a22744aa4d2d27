"""The contract of rewards on ids: score, increments and lookahead agree with each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from seqrl.rewards.base import PrefixReward
from seqrl.rewards.bleu import BleuReward
from seqrl.rewards.edit import EditReward
from seqrl.rewards.mix import mix
from seqrl.rewards.rouge import RougeReward
from seqrl.rewards.shape import LengthReward, RepetitionReward
from seqrl.types import Batch, Specials, Trajectories, shift_right

PAD, UNK, BOS, EOS = 0, 1, 2, 3
VOCABULARY = 9
A, B, C, D, E, X, Y = range(4, 11)


def padded(sentences: list[list[int]], width: int = 0) -> Tensor:
    width = max(width, *map(len, sentences))
    return torch.tensor([s + [PAD] * (width - len(s)) for s in sentences])


def batch_of(references: list[list[list[int]]], width: int = 0) -> Batch:
    """A batch from lists of references without EOS, for each sentence."""
    count = max(map(len, references))
    width = max([width] + [len(r) + 1 for rs in references for r in rs])
    rows = [padded([[*r, EOS] for r in rs] + [[]] * (count - len(rs)), width) for rs in references]
    return Batch(
        source=torch.full((len(references), 1), EOS),
        target=torch.stack([row[0] for row in rows]),
        references=torch.stack(rows),
        source_pad=PAD,
        specials=Specials(PAD, UNK, BOS, EOS),
    )


def trajectories_of(sentences: list[list[int]], width: int = 0, group: int = 1) -> Trajectories:
    """Sentences as they are, with or without EOS; an empty list is an absent trajectory."""
    targets = padded(sentences, width)
    lengths = torch.tensor([[len(s)] for s in sentences])
    mask = torch.arange(targets.shape[1]) < lengths
    return Trajectories(
        shift_right(targets, BOS), targets, mask, torch.zeros_like(mask), group=group
    )


PARTS = {
    "bleu": BleuReward(),
    "edit": EditReward(),
    "repetition": RepetitionReward(order=2),
    "length": LengthReward(),
}
REWARDS = {
    "bleu": BleuReward(),
    "scaled bleu": BleuReward(scale="reference_length"),
    "bleu without unk": BleuReward(match_unk=False, order=2, smooth=0.5),
    "edit": EditReward(),
    "scaled edit": EditReward(scale="reference_length"),
    "hamming": EditReward(distance="hamming"),
    "rouge": RougeReward(),
    "scaled rouge": RougeReward(scale="reference_length", rouge1=0.5, rouge2=0, match_unk=False),
    "length": LengthReward(),
    "repetition": RepetitionReward(order=1),
    "scaled repetition": RepetitionReward(scale="reference_length"),
    "mix": mix(parts=PARTS, scale="reference_length", bleu=2, repetition=0.5, edit=0.1, length=0),
}
every_reward = pytest.mark.parametrize("reward", REWARDS.values(), ids=REWARDS.keys())


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def tolerance(request: pytest.FixtureRequest) -> Iterator[float]:
    """Of numbers in a default floating type, which lasts as long as the test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield 2e-6 if request.param == torch.float32 else 1e-12
    torch.set_default_dtype(before)


def random_sentences(
    number: int, longest: int, generator: torch.Generator, shortest: int = 0
) -> list[list[int]]:
    """Of any ids but EOS: padding and BOS, too, are words that a policy can emit."""
    words = torch.tensor([i for i in range(VOCABULARY) if i != EOS])
    lengths = torch.randint(shortest, longest + 1, (number,), generator=generator).tolist()
    return [
        words[torch.randint(len(words), (length,), generator=generator)].tolist()
        for length in lengths
    ]


def random_batch(generator: torch.Generator, sentences: int = 6) -> Batch:
    counts = torch.randint(1, 4, (sentences,), generator=generator).tolist()
    references = [
        [[max(w, UNK) for w in r] for r in random_sentences(m, 7, generator, shortest=1)]
        for m in counts
    ]
    return batch_of(references)


@every_reward
@pytest.mark.parametrize("seed", range(5))
def test_increments_sum_to_the_score_and_are_differences_of_scores(
    reward: PrefixReward, seed: int, tolerance: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    batch = random_batch(generator)
    sentences = random_sentences(2 * len(batch), 9, generator, shortest=1)
    sentences = [s + [EOS] * (i % 3 > 0) for i, s in enumerate(sentences)]
    trajectories = trajectories_of(sentences, width=11, group=2)
    increments = reward.increments(trajectories, batch)
    score = reward.score(trajectories, batch)
    scale = max(1.0, batch.target_length.max().item() if reward.scale != "none" else 1)
    assert increments.dtype == score.dtype == torch.get_default_dtype()
    torch.testing.assert_close(increments.sum(1), score, rtol=1e-6, atol=tolerance * scale)
    assert (increments[~trajectories.mask] == 0).all()
    assert (increments[:, 1:][trajectories.targets[:, 1:] == EOS] == 0).all()
    before = torch.zeros_like(score)
    for t in range(11):
        cut = Trajectories(
            trajectories.inputs[:, : t + 1],
            trajectories.targets[:, : t + 1],
            trajectories.mask[:, : t + 1],
            trajectories.given[:, : t + 1],
            group=2,
        )
        after = reward.score(cut, batch)
        torch.testing.assert_close(
            increments[:, t], after - before, rtol=1e-6, atol=tolerance * scale
        )
        before = after


@every_reward
@pytest.mark.parametrize("steps", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("seed", range(3))
def test_lookahead_equals_trying_every_token(
    reward: PrefixReward, steps: int, seed: int, tolerance: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    batch = random_batch(generator)
    group = 2
    sentences = random_sentences(group * len(batch), steps, generator, shortest=steps)
    # Half of the prefixes start as a reference does, so that long n-grams match.
    for i in range(0, len(sentences), 2):
        reference = batch.references[i // group, 0].tolist()
        begin = [w for w in reference if w not in (PAD, EOS)][:steps]
        sentences[i][: len(begin)] = begin
    prefix = torch.tensor(sentences, dtype=torch.long).view(len(sentences), steps)
    changes = reward.lookahead(prefix, batch, group, VOCABULARY)

    now = reward.score(trajectories_of([[*s, EOS] for s in sentences], group=group), batch)
    expected = torch.stack(
        [
            reward.score(trajectories_of([[*s, w] for s in sentences], group=group), batch) - now
            for w in range(VOCABULARY)
        ],
        dim=1,
    )
    scale = batch.target_length.max().item() if reward.scale != "none" else 1
    assert changes.dtype == torch.get_default_dtype()
    assert (changes[:, EOS] == 0).all()
    torch.testing.assert_close(changes, expected, rtol=1e-6, atol=tolerance * scale)


@every_reward
@pytest.mark.parametrize("seed", range(3))
def test_changes_at_all_tokens_are_those_of_looking_ahead_before_each(
    reward: PrefixReward, seed: int, tolerance: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    batch = random_batch(generator)
    sentences = random_sentences(2 * len(batch), 8, generator, shortest=1)
    trajectories = trajectories_of([[*s, EOS] for s in sentences], group=2)
    found = reward.changes(trajectories, batch, VOCABULARY)
    expected = PrefixReward.changes(reward, trajectories, batch, VOCABULARY).gains
    scale = batch.target_length.max().item() if reward.scale != "none" else 1
    torch.testing.assert_close(found.dense(VOCABULARY), expected, rtol=1e-6, atol=tolerance * scale)
    each = torch.arange(VOCABULARY).expand_as(expected)
    torch.testing.assert_close(found.at(each), expected, rtol=1e-6, atol=tolerance * scale)


@every_reward
def test_wider_padding_changes_nothing(reward: PrefixReward) -> None:
    references = [[[A, B, C, D]], [[B, UNK], [C, C, C, A, B]]]
    sentences = [[A, B, UNK, EOS], [C, C], [B, UNK, EOS], []]
    narrow = reward.increments(trajectories_of(sentences, group=2), batch_of(references))
    wide = reward.increments(
        trajectories_of(sentences, width=9, group=2), batch_of(references, width=13)
    )
    assert torch.equal(wide[:, :4], narrow)
    assert (wide[:, 4:] == 0).all()


@every_reward
def test_trajectories_meet_their_own_sentence(reward: PrefixReward) -> None:
    references = [[[A, B, C]], [[D, E], [C]], [[B, B, B, B]]]
    sentences = [[A, B, EOS], [C, EOS], [D, E, EOS], [C, EOS], [B, EOS], [A, EOS]]
    together = reward.score(trajectories_of(sentences, group=2), batch_of(references))
    for i, sentence in enumerate(sentences):
        alone = reward.score(trajectories_of([sentence]), batch_of([references[i // 2]]))
        assert together[i] == alone[0]


@every_reward
def test_absent_trajectory_is_worth_the_empty_sentence(reward: PrefixReward) -> None:
    batch = batch_of([[[A, B, C]]])
    absent, empty = trajectories_of([[]], width=3), trajectories_of([[EOS]], width=3)
    assert reward.score(absent, batch) == reward.score(empty, batch)
    assert (reward.increments(absent, batch) == 0).all()


@every_reward
def test_a_finished_sentence_is_worth_as_much_as_its_words(reward: PrefixReward) -> None:
    batch = batch_of([[[A, B, C]]])
    finished = reward.score(trajectories_of([[A, C, EOS]]), batch)
    assert finished == reward.score(trajectories_of([[A, C]]), batch)


@every_reward
def test_padding_that_a_policy_emits_counts_as_a_word(reward: PrefixReward) -> None:
    batch = batch_of([[[A, B]]])
    emitted = reward.score(trajectories_of([[A, PAD, PAD, PAD, EOS]]), batch)
    assert emitted == reward.score(trajectories_of([[A, E, E, E, EOS]]), batch)
    assert emitted < reward.score(trajectories_of([[A, B, EOS]]), batch)


@every_reward
def test_no_value_leaves_the_device(reward: PrefixReward) -> None:
    """Tensors without contents: reading one, or mixing devices, fails."""
    batch = batch_of([[[A, B, C]], [[D, E], [C]]]).to("meta")
    targets = torch.empty((4, 6), dtype=torch.long, device="meta")
    mask = torch.empty((4, 6), dtype=torch.bool, device="meta")
    trajectories = Trajectories(targets, targets, mask, mask, group=2)
    assert reward.score(trajectories, batch).shape == (4,)
    assert reward.increments(trajectories, batch).shape == (4, 6)
    for steps in (0, 6):
        ahead = reward.lookahead(targets[:, :steps], batch, 2, VOCABULARY)
        assert ahead.shape == (4, VOCABULARY)

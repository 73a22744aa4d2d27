"""The numbers about trajectories: by hand, by counting, by enumeration."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from seqrl import losses
from seqrl.algorithms.base import WeightedLikelihood
from seqrl.algorithms.diagnostics import (
    effective_samples,
    repeat_rate,
    trajectory_metrics,
)
from seqrl.algorithms.likelihood import MLE
from seqrl.losses import entropies_of
from seqrl.proposals.sampling import Sampling
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    EOS,
    NODES,
    PAD,
    SIZE,
    Fixed,
    TabularPolicy,
    batch_of,
    padded,
    policy_table,
    trajectories_of,
)

ROWS = [(4, 5, 4, 5, 4, EOS), (6, 6, 6, EOS), (5, EOS), (EOS,)]
"""Bigrams 45, 54, 45, 54: two repeats of four; 66, 66: one of two; no bigrams."""


class Lengths(Reward):
    """R(y) is the number of tokens, EOS included."""

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        return trajectories.length.double()


class Weighted(WeightedLikelihood):
    """Weights that it was given; a reward only if it is asked for."""

    def __init__(self, *, given: Tensor, rewarded: bool = True, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        self.given = given
        self.rewarded = rewarded

    def weights(self, trajectories: Trajectories, log_probs: Tensor, batch: Batch) -> Tensor:
        if self.rewarded:
            self.rewards(trajectories, batch)
        return self.given


def metrics(rows: list[tuple[int, ...]], group: int = 1, **more: Tensor) -> dict[str, float]:
    drawn = trajectories_of(rows, group)
    references = batch_of([(4, 5, EOS), (6, EOS)][: len(rows) // group])
    entropies = torch.zeros(drawn.mask.shape)
    found = trajectory_metrics(drawn, references, **({"entropies": entropies} | more))
    return {name: value.item() for name, value in found.items()}


def test_repeats_are_bigrams_that_stand_in_the_same_sequence_before() -> None:
    tokens = padded(ROWS)
    words = (tokens != PAD) & (tokens != EOS)
    assert repeat_rate(tokens, words).item() == pytest.approx((2 + 1) / (4 + 2))
    rates = [repeat_rate(tokens[n : n + 1], words[n : n + 1]).item() for n in range(4)]
    assert rates == [0.5, 0.5, 0, 0]
    assert repeat_rate(padded([(EOS,)]), torch.zeros(1, 1).bool()).item() == 0


def test_repeats_are_those_that_counting_finds() -> None:
    choice = random.Random(0)
    rows = [(*choice.choices((4, 5, 6), k=choice.randint(0, 12)), EOS) for _ in range(200)]
    tokens = padded(rows)
    pairs = [list(pairwise(row[:-1])) for row in rows]
    repeated = sum(len(own) - len(set(own)) for own in pairs)
    expected = repeated / sum(map(len, pairs))
    assert 0.1 < expected < 0.9
    found = repeat_rate(tokens, (tokens != PAD) & (tokens != EOS))
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_lengths_are_words_over_the_words_of_first_references() -> None:
    # 5 + 3 and 1 + 0 words; the references have 2 and 1, each for two samples
    assert metrics(ROWS, group=2)["length_ratio"] == pytest.approx(9 / 6)


def test_rewards_have_the_mean_and_deviation_of_all_trajectories() -> None:
    found = metrics(ROWS, group=2, rewards=torch.tensor([1.0, 2.0, 3.0, 6.0]))
    assert found["reward"] == 3
    assert found["reward_std"] == pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 4))


def test_entropy_is_the_mean_of_a_token() -> None:
    entropies = torch.tensor([[1.0, 2.0, 3.0], [4.0, 9.0, 9.0]])
    found = metrics([(4, 5, EOS), (EOS,)], entropies=entropies)
    assert found["entropy"] == (1 + 2 + 3 + 4) / 4


def test_absent_trajectories_do_not_count() -> None:
    rows: list[tuple[int, ...]] = [(4, 5, EOS), (), (6, 6, EOS), (6, EOS)]
    found = metrics(rows, group=2, rewards=torch.tensor([1.0, 100.0, 2.0, 3.0]))
    assert found["reward"] == 2
    assert found["reward_std"] == pytest.approx(math.sqrt(2 / 3))
    # five words; references of two words once and of one word twice
    assert found["length_ratio"] == pytest.approx(5 / 4)
    assert found["repeats"] == 0


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([0.25, 0.25, 0.25, 0.25], 4),
        ([1.0, 0.0, 0.0, 0.0], 1),
        ([3.0, 1.0, 0.0, 0.0], 16 / 10),
        ([0.5, -0.5, 0.0, 0.0], 2),
        ([0.0, 0.0, 0.0, 0.0], 0),
    ],
)
def test_effective_samples(weights: list[float], expected: float) -> None:
    """That of a trajectory and that of each of its tokens are the same; scale is nothing."""
    drawn = trajectories_of(ROWS, group=4)
    of_rows = torch.tensor(weights).unsqueeze(1)
    of_tokens = (of_rows * 7).expand(drawn.mask.shape)
    assert effective_samples(of_rows, drawn).item() == pytest.approx(expected)
    assert effective_samples(of_tokens, drawn).item() == pytest.approx(expected)


def test_effective_samples_are_a_mean_over_sources() -> None:
    drawn = trajectories_of(ROWS, group=2)
    weights = torch.tensor([[1.0], [1.0], [1.0], [0.0]])
    assert effective_samples(weights, drawn).item() == (2 + 1) / 2
    # what a trajectory's padding weighs counts for nothing
    weights = torch.where(drawn.mask, weights, 99.0)
    assert effective_samples(weights, drawn).item() == (2 + 1) / 2


@pytest.mark.parametrize("at_once", [1, 3 * SIZE, 1 << 20])
def test_entropies_do_not_depend_on_how_many_are_computed_at_once(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "AT_ONCE", at_once)
    logits = policy_table(3, rows=5).requires_grad_()
    pi = torch.softmax(logits, -1)
    found = entropies_of(logits)
    assert not found.requires_grad
    torch.testing.assert_close(found, -(pi * pi.clamp(min=1e-300).log()).sum(-1))
    half = entropies_of(torch.zeros(2, 3, 8, dtype=torch.bfloat16))
    torch.testing.assert_close(half, torch.full((2, 3), math.log(8)))


def test_a_weighting_reports_them_without_any_code_of_its_own() -> None:
    rows: list[tuple[int, ...]] = [(4, 5, EOS), (EOS,)]
    algorithm = Weighted(
        policy=TabularPolicy(torch.zeros(SIZE, NODES, SIZE).double()),
        proposal=Fixed(trajectories_of(rows, group=2)),
        reward=Lengths(),
        given=torch.tensor([[1.0], [3.0]]),
    )
    algorithm.losses(batch_of([(4, EOS)]), Clock())
    found = {name: value.item() for name, value in algorithm.metrics().items()}
    assert found == {
        "nll_per_token": pytest.approx(math.log(SIZE)),
        "entropy": pytest.approx(math.log(SIZE)),
        "length_ratio": 1,
        "repeats": 0,
        "reward": 2,
        "reward_std": 1,
        "effective_samples": pytest.approx(16 / 10),
    }
    algorithm.rewarded = False
    algorithm.losses(batch_of([(4, EOS)]), Clock())
    assert not {"reward", "reward_std"} & set(algorithm.metrics())


def test_samples_tell_how_many_ended_by_themselves() -> None:
    """In the table of sentence 4 nothing ends, in that of sentence 5 everything does."""
    table = torch.full((9, NODES, SIZE), -1e4).double()
    table[4, :, 6], table[5, :, EOS] = 0.0, 0.0
    algorithm = MLE(policy=TabularPolicy(table), proposal=Sampling(samples=2, max_length=4))
    algorithm.losses(batch_of([(4, 5, EOS), (5, EOS)]), Clock())
    assert algorithm.metrics()["ended"].item() == 0.5
    assert algorithm.metrics()["length_ratio"].item() == pytest.approx((3 + 3) / (2 + 2 + 1 + 1))


def test_references_have_nothing_to_tell() -> None:
    algorithm = MLE(policy=TabularPolicy(policy_table(0, rows=9)))
    algorithm.losses(batch_of([(4, 5, EOS), (5, EOS)]), Clock())
    assert set(algorithm.metrics()) == {"nll_per_token"}

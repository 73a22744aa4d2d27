"""Plays with noise: their law by enumeration, and a prior that keeps step with a rollout."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from networks import NETWORKS, Make
from seqrl.decoding.rollout import rollout, sampler
from seqrl.proposals.exploring import Beside, Exploring, actions
from seqrl.proposals.sampling import Sampling
from seqrl.schedules import Linear
from seqrl.types import Batch, Clock
from tabular import (
    EOS,
    NODE,
    PAD,
    SEQUENCES,
    SIZE,
    SPECIALS,
    STEPS,
    WORDS,
    TabularPolicy,
    assert_fits,
    batch_of,
    law,
    padded,
    policy_table,
    rows_of,
    seeded,
)

PLAYS = 4000


def copies(count: int) -> Batch:
    """One sentence so many times."""
    target = padded([(4, 5, 6, EOS)] * count)
    return Batch(torch.full((count, 1), 4), target, target.unsqueeze(1), PAD, SPECIALS)


def played(batch: Batch, clock: Clock | None = None, **options: Any) -> Tensor:
    policy = TabularPolicy(policy_table(0))
    exploring = Exploring(prior=TabularPolicy(policy_table(1)), max_length=STEPS, **options)
    memory = policy.encode(batch.source, batch.source_mask)
    return exploring(policy, memory, batch, None, clock or Clock(seed=2)).targets


@pytest.mark.parametrize("noise", ["uniform", "prior"])
@pytest.mark.parametrize("exploration", ["greedy", "boltzmann"])
def test_plays_follow_their_law(exploration: str, noise: str) -> None:
    """The mixture's logits take the place of a policy's."""
    table, prior = policy_table(0)[4], policy_table(1)[4]
    own = torch.softmax(table, -1)
    if exploration == "greedy":
        own = torch.nn.functional.one_hot(table.argmax(-1), SIZE).to(table.dtype)
    other = torch.softmax(prior, -1)
    if noise == "uniform":
        other = torch.zeros_like(prior)
        other[:, [EOS, *WORDS]] = 1 / 4
    expected = law((0.7 * own + 0.3 * other).log())
    tokens = played(copies(PLAYS), exploration=exploration, noise=noise, epsilon=0.3)
    counts = Counter(rows_of(tokens))
    assert_fits([counts[y] for y in SEQUENCES], expected.tolist())


def test_without_noise_it_is_sampling_to_the_bit() -> None:
    batch, clock = copies(50), Clock(seed=2)
    policy = TabularPolicy(policy_table(0))
    memory = policy.encode(batch.source, batch.source_mask)
    samples = Sampling(samples=1, max_length=STEPS)(policy, memory, batch, None, clock)
    assert torch.equal(played(batch, clock, epsilon=0.0), samples.targets)


def test_greedy_without_noise_takes_the_most_probable_token() -> None:
    table, y = policy_table(0)[4], ()
    while len(y) < STEPS - 1 and EOS not in y:
        y = (*y, int(table[NODE[y]].argmax()))
    tokens = played(copies(3), exploration="greedy", epsilon=0.0)
    assert rows_of(tokens) == [y if EOS in y else (*y, EOS)] * 3


def test_a_schedule_says_how_often() -> None:
    """At first all is noise, which does not look at the policy, later none is."""
    fades = Linear(start=1.0, slope=0.02, unit="percent")
    for fraction, epsilon in ((0.0, 1.0), (0.25, 0.5), (0.6, 0.0)):
        clock = Clock(seed=2, fraction=fraction)
        found = played(copies(40), clock, epsilon=fades)
        assert torch.equal(found, played(copies(40), clock, epsilon=epsilon))


@pytest.mark.parametrize("noise", ["uniform", "prior"])
def test_parts_of_a_batch_play_what_the_whole_does(noise: str) -> None:
    batch = batch_of([(4, 5, EOS), (5, EOS), (6, 6, EOS)])
    whole = rows_of(played(batch, noise=noise, epsilon=0.5))
    parts = [y for part in batch.split(1) for y in rows_of(played(part, noise=noise, epsilon=0.5))]
    assert parts == whole


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_beside_says_what_teacher_forcing_does(make: Make) -> None:
    """Of rows that end at different times, and are then computed no longer."""
    policy, prior = (make(seed).double().eval() for seed in (0, 1))
    batch, longest = batch_of([(4, EOS)] * 6), 12
    noise, seen = torch.rand(longest, 6, generator=seeded(4)), {}
    beside = Beside(prior, batch)

    def choose(t: int, logits: Tensor, prefix: Tensor, rows: Tensor) -> Tensor:
        found = beside(prefix, rows)
        seen.update({(int(row), t): found[place] for place, row in enumerate(rows)})
        return torch.where(2 * rows == t, EOS, sampler(noise)(t, logits, prefix, rows))

    memory = policy.encode(batch.source, batch.source_mask)
    tokens, mask = rollout(policy, memory, rows=6, max_length=longest, choose=choose)
    assert len(set(mask.sum(1).tolist())) > 2
    inputs = torch.cat([torch.full((6, 1), SPECIALS.bos), tokens[:, :-1]], dim=1)
    expected = prior.logits(prior.encode(batch.source, batch.source_mask), inputs)
    for row, t in mask.nonzero().tolist():
        torch.testing.assert_close(seen[row, t], expected[row, t], rtol=0, atol=1e-9)


def test_actions_are_what_is_not_barred() -> None:
    logits = torch.zeros(2, SIZE)
    logits[1, [1, 5]] = -1e4
    assert actions(logits, SPECIALS).nonzero().tolist() == [
        *([0, word] for word in (1, 3, 4, 5, 6)),
        *([1, word] for word in (3, 4, 6)),
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("exploration", "x"), ("noise", "x"), ("epsilon", 1.5), ("epsilon", "much")],
)
def test_unusable_arguments_are_refused(name: str, value: float | str) -> None:
    with pytest.raises(ValueError, match=name):
        Exploring(prior=TabularPolicy(policy_table(0)), **{name: value})  # type: ignore[arg-type]

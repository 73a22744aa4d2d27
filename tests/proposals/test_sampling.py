"""Trajectories from the policy itself, and from the reference."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from networks import EVERY_NETWORK, Make
from seqrl.models.base import drops
from seqrl.proposals.base import Reference
from seqrl.proposals.sampling import Sampling
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    BOS,
    EOS,
    PAD,
    SEQUENCES,
    SIZE,
    STEPS,
    TabularMemory,
    TabularPolicy,
    assert_fits,
    batch_of,
    law,
    policy_table,
    rows_of,
)

REFERENCES = [(4, 5, EOS), (6, EOS), (4, 4, 4, EOS)]


def draw(proposal: Sampling, policy: TabularPolicy, batch: Batch, seed: int = 1) -> Trajectories:
    memory = policy.encode(batch.source, batch.source_mask)
    return proposal(policy, memory, batch, None, Clock(seed=seed))


def test_samples_follow_the_policy() -> None:
    policy = TabularPolicy(policy_table(0, rows=9))
    samples, batch = 20000, batch_of(REFERENCES[:2])
    drawn = draw(Sampling(samples=samples, max_length=STEPS), policy, batch)
    assert drawn.group == samples
    rows = rows_of(drawn.targets)
    for b in range(2):
        found = Counter(rows[b * samples : (b + 1) * samples])
        assert set(found) <= set(SEQUENCES)
        probabilities = law(policy.table[4 + b].detach()).tolist()
        assert_fits([found[y] for y in SEQUENCES], probabilities)


def test_samples_are_trajectories() -> None:
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)
    drawn = draw(Sampling(samples=5, max_length=STEPS), policy, batch)
    assert len(drawn) == 15
    assert drawn.inputs[:, 0].tolist() == [BOS] * 15
    assert torch.equal(drawn.inputs[:, 1:], drawn.targets[:, :-1])
    assert torch.equal(drawn.mask, drawn.targets != PAD)
    assert not drawn.given.any()
    assert not drawn.targets.requires_grad
    assert ((drawn.targets == EOS).sum(1) == 1).all()


@pytest.mark.parametrize(
    ("extra", "longest", "expected"), [(2, 50, 6), (0, 50, 4), (10, 5, 5), (10, 1, 1)]
)
def test_longest_sample(extra: int, longest: int, expected: int) -> None:
    """As much longer than the batch's longest reference, 4 with its EOS, as it may be."""
    table = torch.full((9, 42, SIZE), -1e4).double()
    table[..., 4] = 0.0  # never ends by itself
    batch = batch_of(REFERENCES)
    drawn = draw(Sampling(extra_length=extra, max_length=longest), TabularPolicy(table), batch)
    assert drawn.targets.tolist() == [[4] * (expected - 1) + [EOS]] * 3
    assert drawn.cut is not None
    assert drawn.cut.tolist() == [True] * 3


def test_a_sample_that_reaches_the_limit_is_cut() -> None:
    """Whatever it would have chosen there: three words before the last of four steps."""
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)
    drawn = draw(Sampling(samples=50, max_length=STEPS), policy, batch)
    assert drawn.cut is not None
    assert 0 < drawn.cut.sum() < len(drawn)
    assert torch.equal(drawn.cut, drawn.length == STEPS)
    ends = torch.full((9, 42, SIZE), -1e4).double()
    ends[..., EOS] = 0.0  # narrower than the limit
    drawn = draw(Sampling(max_length=STEPS), TabularPolicy(ends), batch)
    assert drawn.cut is not None
    assert drawn.cut.tolist() == [False] * 3


def test_the_samples_of_one_sentence_are_adjacent() -> None:
    table = torch.full((9, 42, SIZE), -1e4).double()
    for word in (4, 5, 6):
        table[word, 1, word] = 0.0  # the first word is the source's
        table[word, 2:, EOS] = 0.0
    drawn = draw(Sampling(samples=2), TabularPolicy(table), batch_of(REFERENCES))
    assert drawn.targets[:, 0].tolist() == [4, 4, 5, 5, 6, 6]


def test_a_split_batch_draws_what_the_whole_one_draws() -> None:
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)
    proposal = Sampling(samples=4, max_length=STEPS)
    whole = rows_of(draw(proposal, policy, batch).targets)
    parts = [
        row for part in batch.split(2) for row in rows_of(draw(proposal, policy, part).targets)
    ]
    assert parts == whole
    assert rows_of(draw(proposal, policy, batch, seed=2).targets) != whole


@pytest.mark.parametrize("make", EVERY_NETWORK.values(), ids=EVERY_NETWORK)
@pytest.mark.parametrize("active", [False, True])
def test_dropout_while_sampling_is_a_choice(active: bool, make: Make) -> None:
    policy = make(source_size=9, target_size=SIZE, dropout=0.5)
    batch = batch_of(REFERENCES * 5)
    memory = policy.encode(batch.source % 9, batch.source_mask)
    proposal = Sampling(samples=10, dropout=active)
    first, again = (
        rows_of(proposal(policy, memory, batch, None, Clock()).targets) for _ in range(2)
    )
    assert (first == again) is not active
    assert drops(policy)


def test_the_reference_proposes_itself() -> None:
    batch = batch_of(REFERENCES)
    found = Reference()(
        TabularPolicy(policy_table(0)), TabularMemory(batch.target[:, 0]), batch, None, Clock()
    )
    assert torch.equal(found.targets, batch.target)
    assert torch.equal(found.inputs, batch.target_inputs)
    assert torch.equal(found.given, batch.target_mask)
    assert found.group == 1


@pytest.mark.parametrize("options", [{"samples": 0}, {"extra_length": -1}, {"max_length": 0}])
def test_unusable_arguments_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Sampling(**options)

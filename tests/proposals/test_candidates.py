"""Samples with the reference among them."""

from __future__ import annotations

import pytest
import torch

from seqrl.proposals.candidates import Candidates
from seqrl.proposals.sampling import Sampling
from seqrl.types import Batch, Clock, Trajectories
from tabular import BOS, EOS, PAD, STEPS, TabularPolicy, batch_of, policy_table, rows_of

REFERENCES = [(4, 5, EOS), (6, EOS), (4, 4, 4, EOS)]


def draw(proposal: Candidates | Sampling, batch: Batch) -> Trajectories:
    policy = TabularPolicy(policy_table(0, rows=9))
    memory = policy.encode(batch.source, batch.source_mask)
    return proposal(policy, memory, batch, None, Clock(seed=1))


@pytest.mark.parametrize("longest", [2, STEPS])
def test_the_reference_is_the_first_of_each_group(longest: int) -> None:
    """Whichever are longer, samples or references."""
    batch = batch_of(REFERENCES)
    found = draw(Candidates(samples=4, max_length=longest), batch)
    drawn = draw(Sampling(samples=3, max_length=longest), batch)
    assert found.group == 4
    assert len(found) == 12
    rows = rows_of(found.targets)
    assert rows[::4] == REFERENCES
    assert [row for n, row in enumerate(rows) if n % 4] == rows_of(drawn.targets)
    assert found.cut is not None
    assert drawn.cut is not None
    assert found.cut.view(3, 4)[:, 1:].tolist() == drawn.cut.view(3, 3).tolist()
    assert not found.cut.view(3, 4)[:, 0].any()
    assert torch.equal(found.given.any(1), torch.arange(12) % 4 == 0)
    assert torch.equal(found.given[::4], found.mask[::4])
    assert torch.equal(found.mask, found.targets != PAD)
    assert found.inputs[:, 0].tolist() == [BOS] * 12
    assert torch.equal(found.inputs[:, 1:], found.targets[:, :-1])


def test_without_the_reference_they_are_samples() -> None:
    batch = batch_of(REFERENCES)
    found = draw(Candidates(samples=4, reference=False, max_length=STEPS), batch)
    expected = draw(Sampling(samples=4, max_length=STEPS), batch)
    for name in ("inputs", "targets", "mask", "given", "cut"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    assert found.group == 4


def test_a_split_batch_draws_what_the_whole_one_draws() -> None:
    batch, proposal = batch_of(REFERENCES), Candidates(samples=3, max_length=STEPS)
    whole = rows_of(draw(proposal, batch).targets)
    assert [
        row for part in batch.split(2) for row in rows_of(draw(proposal, part).targets)
    ] == whole


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"samples": 1}, "at least 2"),
        ({"samples": 0, "reference": False}, "at least 1"),
        ({"extra_length": -1}, "extra_length"),
        ({"max_length": 0}, "max_length"),
    ],
)
def test_unusable_arguments_are_refused(options: dict[str, int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Candidates(**options)

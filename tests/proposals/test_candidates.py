"""Sets of candidates: the reference, samples, and no repetitions."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch

from seqrl.proposals.candidates import Candidates
from seqrl.proposals.sampling import Sampling
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    BOS,
    EOS,
    PAD,
    SIZE,
    STEPS,
    TabularPolicy,
    batch_of,
    policy_table,
    rows_of,
)

REFERENCES = [(4, 5, EOS), (6, EOS), (4, 4, 4, EOS)]


def draw(
    proposal: Sampling, batch: Batch, policy: TabularPolicy | None = None, seed: int = 1
) -> Trajectories:
    policy = policy or TabularPolicy(policy_table(0, rows=9))
    memory = policy.encode(batch.source, batch.source_mask)
    return proposal(policy, memory, batch, None, Clock(seed=seed))


def candidates(**options: Any) -> Candidates:
    return Candidates(**({"samples": 12, "distinct": True, "max_length": STEPS} | options))


def all_rows(drawn: Trajectories) -> list[tuple[int, ...]]:
    return rows_of(drawn.targets)


def test_samples_follow_the_reference() -> None:
    batch = batch_of(REFERENCES)
    drawn = draw(candidates(distinct=False), batch)
    samples = draw(Sampling(samples=12, max_length=STEPS), batch)
    assert drawn.group == 13
    assert samples.cut is not None
    assert drawn.cut is not None
    rows = all_rows(drawn)
    assert rows[::13] == REFERENCES
    assert [y for n, y in enumerate(rows) if n % 13] == all_rows(samples)
    assert drawn.cut.view(-1, 13)[:, 1:].flatten().tolist() == samples.cut.tolist()
    assert not drawn.cut[::13].any()
    assert torch.equal(drawn.mask, drawn.targets != PAD)
    assert torch.equal(drawn.inputs[:, 1:], drawn.targets[:, :-1])
    assert (drawn.inputs[:, 0] == BOS).all()
    assert torch.equal(drawn.given[::13], drawn.mask[::13])
    assert drawn.given.sum() == drawn.given[::13].sum()


def test_repetitions_are_absent_and_the_first_stays() -> None:
    batch = batch_of(REFERENCES)
    plain, drawn = draw(candidates(distinct=False), batch), draw(candidates(), batch)
    present = drawn.mask.any(1).tolist()
    assert torch.equal(plain.targets, drawn.targets)
    rows = all_rows(plain)
    for b in range(3):
        seen: set[tuple[int, ...]] = set()
        for n in range(13 * b, 13 * b + 13):
            assert present[n] is (rows[n] not in seen)
            seen.add(rows[n])
    assert torch.equal(drawn.mask, plain.mask & torch.tensor(present).unsqueeze(1))
    assert 3 < sum(present) < 39
    assert all(present[::13])


def test_another_sentences_candidates_are_no_repetitions() -> None:
    ends = torch.full((9, 42, SIZE), -1e4).double()
    ends[..., EOS] = 0.0
    drawn = draw(candidates(samples=2), batch_of(REFERENCES), TabularPolicy(ends))
    assert drawn.mask.any(1).tolist() == [True, True, False] * 3


def test_without_the_reference() -> None:
    batch = batch_of(REFERENCES)
    drawn = draw(candidates(reference=False, distinct=False), batch)
    samples = draw(Sampling(samples=12, max_length=STEPS), batch)
    assert drawn.group == 12
    for field in fields(Trajectories):
        found, expected = getattr(drawn, field.name), getattr(samples, field.name)
        assert found == expected if field.name == "group" else torch.equal(found, expected)


@pytest.mark.parametrize("longest", [1, 2, 50])
def test_references_and_samples_of_any_lengths(longest: int) -> None:
    batch = batch_of(REFERENCES)
    drawn = draw(candidates(samples=3, max_length=longest, distinct=False), batch)
    rows = all_rows(drawn)
    assert rows[::4] == REFERENCES
    assert all(len(y) <= longest for n, y in enumerate(rows) if n % 4)


def test_a_split_batch_draws_what_the_whole_one_draws() -> None:
    batch = batch_of(REFERENCES)
    whole = draw(candidates(), batch)
    parts = [draw(candidates(), part) for part in batch.split(2)]
    assert [y for part in parts for y in all_rows(part)] == all_rows(whole)
    assert [n for part in parts for n in part.length.tolist()] == whole.length.tolist()

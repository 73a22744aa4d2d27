"""Trajectories that begin as the reference."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import Any

import pytest
import torch

from seqrl.proposals.mixing import Mixing
from seqrl.schedules import Constant, Linear, Stairs
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    EOS,
    SEQUENCES,
    SIZE,
    STEPS,
    TabularPolicy,
    assert_fits,
    batch_of,
    law,
    policy_table,
    rows_of,
)

REFERENCES = [(4, 5, 6, EOS), (6, EOS), (4, 4, EOS), (EOS,)]


def draw(
    proposal: Mixing, batch: Batch, clock: Clock | None = None, policy: Any = None
) -> Trajectories:
    policy = policy or TabularPolicy(policy_table(0, rows=9))
    memory = policy.encode(batch.source, batch.source_mask)
    return proposal(policy, memory, batch, None, clock or Clock(seed=1))


def tokens(s: float, **options: Any) -> Mixing:
    options = {"least": 0, "max_length": STEPS} | options
    return Mixing(prefix=Constant(value=s), relative=False, **options)


@pytest.mark.parametrize("s", [0, 1, 2, 3])
def test_the_first_tokens_are_given_and_the_rest_follows_the_policy(s: int) -> None:
    reference, samples = (4, 5, 6, EOS), 20000
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of([reference])
    drawn = draw(tokens(s, samples=samples), batch, policy=policy)
    assert (drawn.targets[:, :s] == torch.tensor(reference[:s])).all()
    found = Counter(rows_of(drawn.targets))
    possible = [y for y in SEQUENCES if y[:s] == reference[:s]]
    probabilities = dict(zip(SEQUENCES, law(policy.table[4].detach()).tolist(), strict=True))
    whole = sum(probabilities[y] for y in possible)
    assert set(found) <= set(possible)
    if len(possible) > 1:
        assert_fits([found[y] for y in possible], [probabilities[y] / whole for y in possible])
    assert torch.equal(drawn.given, drawn.mask & (torch.arange(drawn.mask.shape[1]) < s))
    assert torch.equal(drawn.inputs[:, 1:], drawn.targets[:, :-1])


@pytest.mark.parametrize("s", [4, 25])
@pytest.mark.parametrize("limit", [1, STEPS, 50])
def test_with_everything_given_it_is_the_reference(s: int, limit: int) -> None:
    """No limit on samples cuts a reference."""
    batch = batch_of(REFERENCES)
    drawn, expected = draw(tokens(s, max_length=limit), batch), batch.reference_trajectories()
    for field in fields(Trajectories):
        if field.name not in ("group", "cut"):
            assert torch.equal(getattr(drawn, field.name), getattr(expected, field.name))
    assert drawn.cut is not None
    assert not drawn.cut.any()


def test_a_reference_that_has_ended_is_the_whole_row() -> None:
    batch = batch_of(REFERENCES)
    drawn = draw(tokens(2, samples=3), batch)
    rows = rows_of(drawn.targets)
    assert rows[3:6] == [(6, EOS)] * 3
    assert rows[9:] == [(EOS,)] * 3
    assert torch.equal(drawn.given[3:6], drawn.mask[3:6])
    assert [row[:2] for row in rows[6:9]] == [(4, 4)] * 3


def test_a_share_is_each_references_own() -> None:
    batch, clock = batch_of(REFERENCES), Clock()

    def given(share: float, least: int = 0) -> list[int]:
        proposal = Mixing(prefix=Constant(value=share), least=least)
        found: list[int] = proposal.given_tokens(batch, clock).tolist()
        return found

    assert given(1.0) == [4, 2, 3, 1]
    assert given(0.5) == [2, 1, 2, 1]
    assert given(0.25) == [1, 1, 1, 1]
    assert given(0.0) == [0, 0, 0, 0]
    assert given(0.0, least=1) == [1, 1, 1, 1]
    absolute = Mixing(prefix=Constant(value=2.6), relative=False)
    assert absolute.given_tokens(batch, clock).tolist() == [3] * 4


def test_less_is_given_as_the_stage_goes_on() -> None:
    proposal = Mixing(prefix=Linear(slope=0.02, unit="percent"))
    batch = batch_of(REFERENCES[:1])
    found = [
        proposal.given_tokens(batch, Clock(fraction=x)).item() for x in (0, 0.1, 0.2, 0.4, 0.5, 1)
    ]
    assert found == [4, 4, 3, 1, 1, 1]


def test_the_schedule_of_the_paper() -> None:
    """Three tokens fewer every five epochs, down to the first."""
    prefix = Stairs(start=22, height=3, width=5, least=1, unit="epochs")
    proposal = Mixing(prefix=prefix, relative=False)
    batch = batch_of(REFERENCES[:1])
    found = [proposal.given_tokens(batch, Clock(epoch=e)).item() for e in (0, 4, 5, 34, 35, 99)]
    assert found == [22, 22, 19, 4, 1, 1]


def test_an_eos_is_forced_only_where_the_policy_was_to_choose() -> None:
    table = torch.full((9, 42, SIZE), -1e4).double()
    table[..., 4] = 0.0  # never ends by itself
    batch = batch_of(REFERENCES)
    drawn = draw(tokens(3), batch, policy=TabularPolicy(table))
    assert rows_of(drawn.targets) == [(4, 5, 6, EOS), (6, EOS), (4, 4, EOS), (EOS,)]
    assert drawn.cut is not None
    assert drawn.cut.tolist() == [True, False, False, False]
    assert drawn.drawn.tolist()[0] == [False] * 4
    longer = draw(tokens(1, extra_length=2, max_length=6), batch, policy=TabularPolicy(table))
    assert longer.targets[0].tolist() == [4, 4, 4, 4, 4, EOS]
    assert longer.drawn[0].tolist() == [False, True, True, True, True, False]


def test_a_split_batch_draws_what_the_whole_one_draws() -> None:
    batch, proposal = batch_of(REFERENCES), tokens(1, samples=4)
    whole = rows_of(draw(proposal, batch).targets)
    parts = [row for part in batch.split(3) for row in rows_of(draw(proposal, part).targets)]
    assert parts == whole
    assert rows_of(draw(proposal, batch, Clock(seed=2)).targets) != whole


def test_unusable_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="least"):
        tokens(1, least=-1)
    with pytest.raises(ValueError, match="samples"):
        tokens(1, samples=0)

"""Scheduled sampling: what is read, what is predicted, and when it is maximum likelihood."""

from __future__ import annotations

import pytest
import torch

from seqrl.algorithms.likelihood import MLE
from seqrl.proposals.scheduled import ScheduledInputs
from seqrl.schedules import Constant, Linear
from seqrl.types import Clock
from tabular import (
    BOS,
    EOS,
    NODE,
    STEPS,
    WORDS,
    Scripted,
    TabularPolicy,
    assert_fits,
    batch_of,
    policy_table,
)

REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, 6, EOS), (EOS,)]


def scheduled(truth: float, **options: str) -> ScheduledInputs:
    return ScheduledInputs(truth=Constant(value=truth), **options)


def test_with_the_truth_alone_it_is_maximum_likelihood_to_the_bit() -> None:
    policy = TabularPolicy(policy_table(0, rows=9).float())
    batch = batch_of(REFERENCES)
    found = MLE(policy=policy, proposal=scheduled(1.0)).losses(batch, Clock())["policy"]
    expected = MLE(policy=policy).losses(batch, Clock())["policy"]
    assert torch.equal(found, expected)
    gradients = [torch.autograd.grad(loss, policy.table)[0] for loss in (found, expected)]
    assert torch.equal(*gradients)


def test_a_share_so_near_to_one_that_no_coin_falls_otherwise_is_teacher_forcing_too() -> None:
    """The inputs of the loop, not only the way around it."""
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)
    memory = policy.encode(batch.source, batch.source_mask)
    found = scheduled(1 - 1e-9)(policy, memory, batch, None, Clock())
    mask = batch.target_mask
    assert torch.equal(found.inputs[mask], batch.target_inputs[mask])
    assert torch.equal(found.targets, batch.target)


def test_without_the_truth_the_inputs_are_samples_and_the_targets_are_not() -> None:
    """The input at t is drawn from the policy given the inputs before it, by enumeration."""
    size, reference = 6000, (4, 5, EOS)
    policy = TabularPolicy(policy_table(2, rows=size + 4)[4:5].expand(size + 4, -1, -1))
    batch = batch_of([reference] * size)
    memory = policy.encode(batch.source, batch.source_mask)
    found = scheduled(0.0)(policy, memory, batch, None, Clock(seed=3))
    assert torch.equal(found.targets, batch.target)
    assert (found.inputs[:, 0] == BOS).all()
    law = {}
    for first in (*WORDS, EOS):
        p = torch.softmax(policy.table[0, NODE[()]], -1)[first].item()
        for second in (*WORDS, EOS) if first != EOS else ():
            q = torch.softmax(policy.table[0, NODE[first,]], -1)[second].item()
            law[first, second] = p * q
    rows = [tuple(row[1:]) for row in found.inputs.tolist()]
    after_end = [row for row in rows if row[0] == EOS]
    assert after_end, "the policy goes on after an EOS of its own"
    assert_fits(
        [rows.count(pair) for pair in law] + [len(after_end)],
        [*law.values(), 1 - sum(law.values())],
    )


@pytest.mark.parametrize("coin", ["token", "sequence"])
def test_coins(coin: str) -> None:
    """One for every token, or the first of a sentence for all of its tokens."""
    table = policy_table(0)
    table[..., 6] = 50.0  # the policy writes nothing but 6
    policy, batch = TabularPolicy(table), batch_of([(4, 5, 4, EOS)])
    memory = policy.encode(batch.source, batch.source_mask)
    noise = torch.tensor([0.9, 0.1, 0.9, 0.1, 0.5, 0.5, 0.5, 0.5]).unsqueeze(1)
    found = scheduled(0.5, coin=coin)(policy, memory, batch, None, Scripted(noise))
    expected = {"token": [BOS, 6, 5, 6], "sequence": [BOS, 6, 6, 6]}[coin]
    assert found.inputs.tolist() == [expected]


def test_the_greedy_word_may_be_read_instead() -> None:
    policy, batch = TabularPolicy(policy_table(5)), batch_of([(4, 5, 4, EOS)])
    memory = policy.encode(batch.source, batch.source_mask)
    found = scheduled(0.0, word="greedy")(policy, memory, batch, None, Clock())
    first = policy.table[4, NODE[()]].argmax().item()
    assert found.inputs[0, 1] == first


def test_the_schedule_follows_the_clock() -> None:
    proposal = ScheduledInputs(truth=Linear(slope=0.01))
    policy, batch = TabularPolicy(policy_table(0, rows=504)), batch_of([(4, 5, 6, EOS)] * 500)
    memory = policy.encode(batch.source, batch.source_mask)
    shares = []
    for update in (0, 50, 100):
        found = proposal(policy, memory, batch, None, Clock(update=update))
        shares.append((found.inputs == batch.target_inputs)[:, 1:].double().mean().item())
    assert shares[0] == 1 > shares[1] > shares[2]


@pytest.mark.parametrize("rows", [1, 3])
def test_parts_read_what_the_whole_reads(rows: int) -> None:
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)
    clock = Clock(update=7, seed=3)
    proposal = scheduled(0.4)

    def inputs(part: object) -> torch.Tensor:
        memory = policy.encode(part.source, part.source_mask)  # type: ignore[attr-defined]
        return proposal(policy, memory, part, None, clock).inputs  # type: ignore[arg-type]

    assert torch.equal(torch.cat([inputs(part) for part in batch.split(rows)]), inputs(batch))
    assert torch.equal(inputs(batch), inputs(batch)), "the same clock, the same inputs"
    assert inputs(batch).shape[1] == STEPS


def test_what_is_no_coin_is_refused() -> None:
    with pytest.raises(ValueError, match="coin"):
        scheduled(0.5, coin="batch")
    with pytest.raises(ValueError, match="word"):
        scheduled(0.5, word="beam")

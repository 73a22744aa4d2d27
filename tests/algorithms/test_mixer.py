"""Cross-entropy on the given tokens and policy gradient on the others, against enumeration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from seqrl.algorithms.baselines import (
    Baseline,
    GreedyOutput,
    Learned,
    LeaveOneOut,
    NoBaseline,
)
from seqrl.algorithms.likelihood import MLE
from seqrl.algorithms.mixer import Mixer
from seqrl.algorithms.reinforce import Reinforce
from seqrl.proposals.mixing import Mixing
from seqrl.rewards.bleu import BleuReward
from seqrl.schedules import Constant
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    EOS,
    NODE,
    PAD,
    SEQUENCES,
    SPECIALS,
    STEPS,
    WORDS,
    Fixed,
    TabularPolicy,
    TabularReward,
    batch_of,
    padded,
    policy_table,
    seeded,
    sequence_log_prob,
    trajectories_of,
    value_table,
)

REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, 6, EOS), (EOS,), (4, 4, EOS)]


def mixing(prefix: float, relative: bool = False, **options: Any) -> Mixing:
    return Mixing(
        prefix=Constant(value=prefix), relative=relative, max_length=STEPS, least=0, **options
    )


def loss_and_gradient(algorithm: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    loss = algorithm.losses(batch, Clock(seed=4))["policy"]
    (gradient,) = torch.autograd.grad(loss, list(algorithm.policy.parameters()))
    return loss.detach(), gradient


def learned(policy: TabularPolicy, reward: Any) -> Baseline:
    baseline = Learned(policy=policy)
    baseline.unit.weight.data[:, [EOS, *WORDS]] = torch.randn(
        1, 4, generator=seeded(8), dtype=torch.float64
    )
    return baseline


def greedy(policy: TabularPolicy, reward: Any) -> Baseline:
    return GreedyOutput(policy=policy, reward=reward, max_length=STEPS)


def none(policy: TabularPolicy, reward: Any) -> Baseline:
    return NoBaseline()


@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
@pytest.mark.parametrize(("prefix", "relative"), [(STEPS, False), (1.0, True), (25, False)])
def test_with_everything_given_it_is_maximum_likelihood_to_the_bit(
    prefix: float, relative: bool, kind: torch.dtype
) -> None:
    policy, batch = TabularPolicy(policy_table(0, rows=9).to(kind)), batch_of(REFERENCES)
    algorithm = Mixer(
        policy=policy,
        proposal=mixing(prefix, relative),
        reward=BleuReward(),
        baseline=NoBaseline(),
        w_xe=1.0,
    )
    found = loss_and_gradient(algorithm, batch)
    expected = loss_and_gradient(MLE(policy=policy), batch)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


def test_several_samples_change_nothing_where_everything_is_given() -> None:
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)
    algorithm = Mixer(
        policy=policy,
        proposal=mixing(1.0, True, samples=3),
        reward=BleuReward(),
        baseline=LeaveOneOut(),
        w_xe=0.25,
    )
    found = loss_and_gradient(algorithm, batch)
    expected = loss_and_gradient(MLE(policy=policy), batch)
    assert found[0].item() == pytest.approx(0.25 * expected[0].item(), abs=1e-12)
    torch.testing.assert_close(found[1], 0.25 * expected[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("s", [1, 2, 3])
@pytest.mark.parametrize("make", [none, greedy, learned])
def test_the_expected_gradient(make: Callable[[TabularPolicy, Any], Baseline], s: int) -> None:
    """w grad CE of the first s tokens + (1 - w) grad E[-R | first s tokens], exactly."""
    reference, w = (4, 5, 6, EOS), 0.3
    policy, reward = TabularPolicy(policy_table(0)), TabularReward(value_table(1))
    rows = [y for y in SEQUENCES if y[:s] == reference[:s]]
    drawn = trajectories_of(rows)
    given = drawn.mask & (torch.arange(STEPS) < s)
    drawn = replace(drawn, given=given, cut=drawn.length == STEPS)
    target = padded([reference] * len(rows))
    source = torch.full((len(rows), 1), 4)
    batch = Batch(source, target, target.unsqueeze(1), PAD, SPECIALS)
    algorithm: Any = Mixer(
        policy=policy,
        proposal=Fixed(drawn),
        reward=reward,
        baseline=make(policy, reward),
        w_xe=w,
    )
    table = policy.table[4]
    chosen = torch.stack([sequence_log_prob(table, y, forced=True) for y in rows])
    steps = [torch.log_softmax(table[NODE[reference[:t]]], -1)[reference[t]] for t in range(s)]
    prefix = torch.stack(steps).sum()
    probabilities = (chosen - prefix).exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-12)
    weights = algorithm.weights
    share = (probabilities.detach() * len(rows)).unsqueeze(1)
    algorithm.weights = lambda *arguments: weights(*arguments) * share
    _, found = loss_and_gradient(algorithm, batch)
    # R of a whole sequence, by continuation: the prefix's own probability is not differentiated
    rewards = reward.score(drawn, batch)
    objective = -w * prefix - (1 - w) * (probabilities * rewards).sum()
    (expected,) = torch.autograd.grad(objective, policy.table)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def drawn_with(given: list[list[bool]]) -> Trajectories:
    drawn = trajectories_of([(4, 5, EOS), (4, EOS)], group=2)
    return replace(drawn, given=torch.tensor(given), cut=torch.tensor([True, False]))


def test_weights_by_hand() -> None:
    """s = 1: cross-entropy at the first step only; nothing for a forced EOS."""
    policy = TabularPolicy(policy_table(0))
    drawn = drawn_with([[True, False, False], [True, False, False]])
    algorithm = Mixer(
        policy=policy,
        proposal=Fixed(drawn),
        reward=BleuReward(),
        baseline=LeaveOneOut(),
        w_xe=0.2,
    )
    batch = batch_of([(4, 6, EOS)])
    scored = algorithm.scored(batch, Clock())
    found = algorithm.weights(drawn, scored.log_probs, batch)
    one, other = BleuReward().score(drawn, batch).tolist()
    assert one != other
    expected = torch.tensor(
        [[0.2, 0.8 * (one - other), 0.0], [0.2, 0.8 * (other - one), 0.0]]
    ).double()
    torch.testing.assert_close(found, expected / 2, rtol=0, atol=1e-7)


def test_with_nothing_given_it_is_the_policy_gradient() -> None:
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)
    proposal = mixing(0.0, samples=2)
    drawn = proposal(policy, policy.encode(batch.source, batch.source_mask), batch, None, Clock())
    assert not drawn.given.any()
    shared: Any = {"policy": policy, "reward": BleuReward(), "baseline": LeaveOneOut()}
    found = loss_and_gradient(Mixer(proposal=Fixed(drawn), w_xe=0.0, **shared), batch)
    expected = loss_and_gradient(Reinforce(proposal=Fixed(drawn), **shared), batch)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("make", [learned, greedy])
def test_parts_add_up_to_the_whole(
    make: Callable[[TabularPolicy, Any], Baseline], rows: int
) -> None:
    policy, batch = TabularPolicy(policy_table(3, rows=9)), batch_of(REFERENCES)
    clock, reward = Clock(update=7, seed=3), BleuReward()
    algorithm = Mixer(
        policy=policy,
        proposal=mixing(0.5, True, samples=2),
        reward=reward,
        baseline=make(policy, reward),
    )
    whole = algorithm.losses(batch, clock)
    parts = [algorithm.losses(part, clock) for part in batch.split(rows)]
    for name, loss in whole.items():
        assert sum(part[name].item() for part in parts) == pytest.approx(loss.item(), abs=1e-12)
    (expected,) = torch.autograd.grad(whole["policy"], policy.table)
    found = sum(torch.autograd.grad(part["policy"], policy.table)[0] for part in parts)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_what_is_reported() -> None:
    policy, batch = TabularPolicy(policy_table(0)), batch_of([(4, 6, EOS)])
    drawn = drawn_with([[True, False, False], [True, False, False]])
    options: Any = {"policy": policy, "proposal": Fixed(drawn), "reward": BleuReward()}
    algorithm = Mixer(baseline=NoBaseline(), w_xe=0.2, **options)
    algorithm.losses(batch, Clock())
    one, other = BleuReward().score(drawn, batch).tolist()
    assert algorithm.metrics()["given"].item() == pytest.approx(2 / 5)
    assert algorithm.metrics()["advantage"].item() == pytest.approx((one + other) / 2)
    supervised = Mixer(baseline=NoBaseline(), w_xe=1.0, **options)
    supervised.losses(batch, Clock())
    assert "advantage" not in supervised.metrics()


@pytest.mark.parametrize("w_xe", [-0.1, 1.1])
def test_unusable_weights_are_refused(w_xe: float) -> None:
    with pytest.raises(ValueError, match="w_xe"):
        Mixer(
            policy=TabularPolicy(policy_table(0)),
            proposal=mixing(1),
            reward=BleuReward(),
            baseline=NoBaseline(),
            w_xe=w_xe,
        )

"""The policy gradient of samples, against that of the expected reward by enumeration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from seqrl.algorithms.base import likelihood
from seqrl.algorithms.baselines import (
    Baseline,
    GreedyOutput,
    Learned,
    LeaveOneOut,
    NoBaseline,
    RunningMean,
    Samples,
)
from seqrl.algorithms.reinforce import Reinforce
from seqrl.models.lstm import LSTM
from seqrl.proposals.sampling import Sampling
from seqrl.rewards.bleu import BleuReward
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    EOS,
    NODE,
    PAD,
    SEQUENCES,
    SIZE,
    SPECIALS,
    STEPS,
    WORDS,
    Fixed,
    TabularPolicy,
    TabularReward,
    batch_of,
    law,
    padded,
    policy_table,
    seeded,
    trajectories_of,
    value_table,
)

REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, 6, EOS), (EOS,), (4, 4, EOS)]


def copies(count: int) -> Batch:
    """One sentence so many times."""
    target = padded([(4, 5, 6, EOS)] * count)
    return Batch(torch.full((count, 1), 4), target, target.unsqueeze(1), PAD, SPECIALS)


def cut_at_the_limit(trajectories: Trajectories) -> Trajectories:
    """As sampling leaves them: a sequence of four tokens ended because it had to."""
    return replace(trajectories, cut=trajectories.length == STEPS)


def expected_gradient(algorithm: Any, batch: Batch, probabilities: Tensor) -> Tensor:
    """The policy's, where each of the batch's sentences stands for an event of this probability."""
    weights = algorithm.weights
    share = (probabilities * len(batch)).repeat_interleave(algorithm.proposal.samples)
    algorithm.weights = lambda *arguments: weights(*arguments) * share.unsqueeze(1)
    return gradient_of(algorithm, batch)


def gradient_of(algorithm: Any, batch: Batch, clock: Clock | None = None) -> Tensor:
    loss = algorithm.losses(batch, clock or Clock())["policy"]
    (gradient,) = torch.autograd.grad(loss, list(algorithm.policy.parameters()))
    return gradient


def constant(policy: TabularPolicy, reward: Any) -> Baseline:
    baseline = RunningMean()
    baseline.load_state_dict({"total": torch.tensor(2.6).double(), "weight": 2.0})
    return baseline


def learned(policy: TabularPolicy, reward: Any) -> Baseline:
    """Values that depend on the prefix in no simple way."""
    baseline = Learned(policy=policy)
    weight = torch.zeros(1, SIZE).double()
    weight[:, [EOS, *WORDS]] = torch.randn(1, 4, generator=seeded(8), dtype=torch.float64)
    baseline.unit.weight.data = weight
    return baseline


def greedy(policy: TabularPolicy, reward: Any) -> Baseline:
    return GreedyOutput(policy=policy, reward=reward, max_length=STEPS)


def none(policy: TabularPolicy, reward: Any) -> Baseline:
    return NoBaseline()


def leave_one_out(policy: TabularPolicy, reward: Any) -> Baseline:
    return LeaveOneOut()


MakeBaseline = Callable[[TabularPolicy, Any], Baseline]
ALL = [none, constant, leave_one_out, greedy, learned]
each_baseline = pytest.mark.parametrize("make", ALL)


@pytest.mark.parametrize(
    ("make", "samples"),
    [(none, 1), (constant, 1), (greedy, 1), (learned, 1)]
    + [(make, 2) for make in (leave_one_out, greedy, learned)],
)
def test_the_expected_gradient_is_that_of_the_expected_reward(
    make: MakeBaseline, samples: int
) -> None:
    """Over all samples, or all pairs of them, with their probabilities."""
    policy, reward = TabularPolicy(policy_table(0)), TabularReward(value_table(1))
    groups = list(product(SEQUENCES, repeat=samples))
    probabilities = law(policy.table[4])
    drawn = cut_at_the_limit(trajectories_of([y for g in groups for y in g], group=samples))
    algorithm = Reinforce(
        policy=policy, proposal=Fixed(drawn), reward=reward, baseline=make(policy, reward)
    )
    joint = torch.tensor(list(product(probabilities.tolist(), repeat=samples)), dtype=torch.float64)
    found = expected_gradient(algorithm, copies(len(groups)), joint.prod(1))
    singles = trajectories_of(SEQUENCES)
    rewards = reward.score(singles, copies(len(SEQUENCES)))
    (expected,) = torch.autograd.grad(-(probabilities * rewards).sum(), policy.table)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@each_baseline
def test_no_baseline_is_zero_where_it_should_not_be(make: MakeBaseline) -> None:
    """So that the test above means something."""
    policy, reward = TabularPolicy(policy_table(0)), TabularReward(value_table(1))
    drawn = trajectories_of([(4, EOS), (5, 5, EOS)], group=2)
    rewards = reward.score(drawn, copies(1))
    memory = policy.encode(torch.full((2, 1), 4), torch.ones(2, 1))
    features = policy.features(memory, drawn.inputs, drawn.mask)
    found = make(policy, reward)(Samples(drawn, rewards, features.detach(), copies(1)))
    assert bool(found.any()) is (make is not none)
    assert found.shape == ((2, 3) if make is learned else (2, 1))
    assert not found.requires_grad


def test_the_increments_of_the_reward_explain_a_sample() -> None:
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of([(4, 5, EOS)])
    shown = trajectories_of([(4, 6, EOS)])
    algorithm = Reinforce(
        policy=policy, proposal=Sampling(), reward=BleuReward(), baseline=NoBaseline()
    )
    found = algorithm.explain(shown, batch)["reward"]
    assert torch.equal(found, BleuReward().increments(shown, batch))
    assert found.sum().item() == pytest.approx(BleuReward().score(shown, batch).item(), abs=1e-6)


def test_the_gradient_of_one_sample_and_its_eos() -> None:
    """(R - b)(p - onehot) at every step, the chosen EOS included, over K."""
    policy, reward = TabularPolicy(policy_table(2)), TabularReward(value_table(3))
    rows = [(4, 6, EOS), (EOS,)]
    algorithm = Reinforce(
        policy=policy,
        proposal=Fixed(trajectories_of(rows, group=2)),
        reward=reward,
        baseline=LeaveOneOut(),
    )
    batch = copies(1)
    rewards = reward.score(trajectories_of(rows, group=2), batch).tolist()
    expected = torch.zeros_like(policy.table)
    for k, y in enumerate(rows):
        for t, token in enumerate(y):
            node, weight = NODE[y[:t]], (rewards[k] - rewards[1 - k]) / 2
            expected[4, node] += weight * torch.softmax(policy.table[4, node].detach(), -1)
            expected[4, node, token] -= weight
    torch.testing.assert_close(gradient_of(algorithm, batch), expected, rtol=0, atol=1e-12)
    assert expected[4, NODE[4, 6], EOS].abs() > 0.01


def test_an_eos_that_was_forced_weighs_nothing() -> None:
    policy = TabularPolicy(policy_table(0))
    drawn = cut_at_the_limit(trajectories_of([(4, 5, 4, EOS), (6, EOS)], group=2))
    assert drawn.drawn.tolist() == [[True, True, True, False], [True, True, False, False]]
    assert torch.equal(replace(drawn, cut=None).drawn, drawn.mask)
    algorithm = Reinforce(
        policy=policy,
        proposal=Fixed(drawn),
        reward=TabularReward(value_table(1)),
        baseline=NoBaseline(),
    )
    gradient = gradient_of(algorithm, copies(1))
    assert not gradient[4, NODE[4, 5, 4]].any()
    assert gradient[4, NODE[4, 5]].any()
    assert gradient[4, NODE[(6,)]].any()


@pytest.mark.parametrize("samples", [1, 3])
def test_a_sample_that_is_the_greedy_output_has_no_gradient_at_all(samples: int) -> None:
    """To the bit, however wide samples and output are padded; cut outputs too."""
    table = policy_table(5, rows=10)
    table[8, :, EOS] = -1e4  # the last sentence's output is cut
    policy, reward, batch = TabularPolicy(table), BleuReward(), batch_of(REFERENCES)
    peaked = TabularPolicy(torch.where(table == table.amax(-1, keepdim=True), 100.0, -1e4).double())
    proposal = Sampling(samples=samples, max_length=STEPS)
    drawn = proposal(peaked, peaked.encode(batch.source, batch.source_mask), batch, None, Clock())
    assert drawn.cut is not None
    assert drawn.cut.any()
    assert not drawn.cut.all()
    algorithm = Reinforce(
        policy=policy, proposal=Fixed(drawn), reward=reward, baseline=greedy(policy, reward)
    )
    assert not gradient_of(algorithm, batch).any()
    other = replace(drawn, targets=drawn.targets.where(drawn.targets != 5, 6))
    algorithm.proposal = Fixed(other)
    assert gradient_of(algorithm, batch).any()


@each_baseline
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_parts_add_up_to_the_whole(make: MakeBaseline, rows: int) -> None:
    policy, reward = TabularPolicy(policy_table(3, rows=9)), BleuReward()
    batch, clock = batch_of(REFERENCES), Clock(update=7, seed=3)
    algorithm = Reinforce(
        policy=policy,
        proposal=Sampling(samples=3, max_length=STEPS),
        reward=reward,
        baseline=make(policy, reward),
        lambda_mle=0.3,
    )
    whole = algorithm.losses(batch, clock)
    parts = [algorithm.losses(part, clock) for part in batch.split(rows)]
    assert set(whole) == set(algorithm.learners())
    for name, loss in whole.items():
        assert sum(part[name].item() for part in parts) == pytest.approx(loss.item(), abs=1e-12)
    (expected,) = torch.autograd.grad(whole["policy"], policy.table)
    found = sum(torch.autograd.grad(part["policy"], policy.table)[0] for part in parts)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_padding_of_the_samples_is_not_scored() -> None:
    policy, reward = TabularPolicy(policy_table(0)), BleuReward()
    found = []
    for width in (3, 8):
        drawn = trajectories_of([(4, 5, EOS), (6, EOS), (5, EOS)], group=3, width=width)
        for make in (leave_one_out, learned):
            algorithm = Reinforce(
                policy=policy, proposal=Fixed(drawn), reward=reward, baseline=make(policy, reward)
            )
            losses = algorithm.losses(batch_of([(4, 5, EOS)]), Clock())
            found.append(torch.stack(list(losses.values())).sum().item())
    assert found[:2] == pytest.approx(found[2:], abs=1e-12)


def test_the_likelihood_of_the_references_beside_it() -> None:
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)

    def loss(lambda_mle: float) -> Tensor:
        return Reinforce(
            policy=policy,
            proposal=Sampling(samples=2),
            reward=BleuReward(),
            baseline=LeaveOneOut(),
            lambda_mle=lambda_mle,
        ).losses(batch, Clock())["policy"]

    expected = loss(0.0) + 0.7 * likelihood(policy, batch)
    assert loss(0.7).item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("active", [False, True])
def test_samples_are_scored_under_the_dropout_that_they_were_drawn_under(active: bool) -> None:
    torch.manual_seed(0)
    policy = LSTM(
        source_size=9, target_size=SIZE, specials=SPECIALS, embedding=4, hidden=8, dropout=0.5
    )
    algorithm = Reinforce(
        policy=policy,
        proposal=Sampling(samples=4, dropout=active),
        reward=BleuReward(),
        baseline=GreedyOutput(policy=policy, reward=BleuReward()),
    )
    batch = batch_of(REFERENCES)
    first, again = (algorithm.losses(batch, Clock())["policy"].item() for _ in range(2))
    assert (first == again) is not active
    assert policy.dropout.training


def test_what_is_reported() -> None:
    policy, reward = TabularPolicy(policy_table(0)), BleuReward()
    drawn = trajectories_of([(4, 5, EOS), (6, EOS)], group=2)
    algorithm = Reinforce(
        policy=policy, proposal=Fixed(drawn), reward=reward, baseline=LeaveOneOut()
    )
    batch = batch_of([(4, 5, EOS)])
    algorithm.losses(batch, Clock())
    one, other = reward.score(drawn, batch).tolist()
    assert algorithm.metrics()["reward"].item() == pytest.approx((one + other) / 2)
    assert algorithm.metrics()["advantage"].item() == pytest.approx(abs(one - other))


def test_too_few_samples_are_refused() -> None:
    policy = TabularPolicy(policy_table(0))
    with pytest.raises(ValueError, match="LeaveOneOut needs at least 2 samples"):
        Reinforce(
            policy=policy,
            proposal=Sampling(samples=1),
            reward=BleuReward(),
            baseline=LeaveOneOut(),
        )

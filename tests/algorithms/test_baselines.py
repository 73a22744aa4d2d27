"""Baselines by hand; that they leave the expected gradient alone is shown with what uses them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from seqrl.algorithms.baselines import (
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
from seqrl.types import Clock
from tabular import (
    EOS,
    SIZE,
    SPECIALS,
    TabularPolicy,
    batch_of,
    policy_table,
    seeded,
    trajectories_of,
)

REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, 6, EOS)]


def samples_of(rewards: list[float], group: int) -> Samples:
    trajectories = trajectories_of([(4, EOS)] * len(rewards), group)
    features = torch.zeros(2 * len(rewards), SIZE).double()
    batch = batch_of([(4, EOS)] * (len(rewards) // group))
    return Samples(trajectories, torch.tensor(rewards).double(), features, batch)


def flat(values: Tensor) -> list[float]:
    found: list[float] = values.flatten().tolist()
    return found


def test_leaving_one_out() -> None:
    found = LeaveOneOut()(samples_of([1.0, 2.0, 6.0, 0.0, 0.0, 3.0], group=3))
    assert found.shape == (6, 1)
    assert flat(found) == [4.0, 3.5, 1.5, 1.5, 1.5, 0.0]


def test_no_baseline() -> None:
    assert flat(NoBaseline()(samples_of([1.0, 2.0], group=2))) == [0.0, 0.0]


def test_the_mean_of_earlier_updates() -> None:
    baseline = RunningMean(decay=0.5)
    updates = [[1.0, 3.0], [5.0, 7.0], [0.0, 0.0]]
    expected = [0.0, 2.0, (0.5 * 2 + 6) / 1.5]
    for rewards, mean in zip(updates, expected, strict=True):
        found = flat(baseline(samples_of(rewards, group=1)))
        assert found == pytest.approx([mean, mean], abs=1e-12)
        baseline.after_update()
    assert flat(baseline(samples_of([9.0], group=1))) == pytest.approx([(0.25 * 2 + 3) / 1.75])
    everything = RunningMean(decay=1.0)
    for rewards in updates:
        everything(samples_of(rewards, group=1))
        everything.after_update()
    assert flat(everything(samples_of([9.0], group=1))) == pytest.approx([16 / 6])


def test_a_split_update_counts_once_and_all_its_parts_alike() -> None:
    whole, parts = RunningMean(decay=0.5), RunningMean(decay=0.5)
    for rewards in ([1.0, 3.0, 8.0], [2.0, 2.0, 5.0]):
        whole(samples_of(rewards, group=1))
        first = flat(parts(samples_of(rewards[:2], group=1)))
        assert flat(parts(samples_of(rewards[2:], group=1))) == first[:1]
        whole.after_update()
        parts.after_update()
        parts.after_update()  # nothing came in between
    assert parts.weight == whole.weight == 1.5
    assert torch.equal(parts.total, whole.total)


def test_a_resumed_mean_goes_on() -> None:
    straight, resumed = RunningMean(decay=0.9), RunningMean(decay=0.9)
    for rewards in ([1.0], [4.0]):
        straight(samples_of(rewards, group=1))
        straight.after_update()
    resumed.load_state_dict(straight.state_dict())
    for rewards in ([2.0], [3.0]):
        assert torch.equal(
            straight(samples_of(rewards, group=1)), resumed(samples_of(rewards, group=1))
        )
        straight.after_update()
        resumed.after_update()


def test_the_algorithm_keeps_the_baselines_state() -> None:
    def made() -> Reinforce:
        return Reinforce(
            policy=TabularPolicy(policy_table(0, rows=9)),
            proposal=Sampling(samples=2),
            reward=BleuReward(),
            baseline=RunningMean(),
        )

    straight, resumed = made(), made()
    clock = Clock()
    straight.losses(batch_of(REFERENCES), clock)
    assert straight.metrics()["reward"] > 0
    straight.after_update(clock)
    resumed.load_state_dict(straight.state_dict())
    found = [a.losses(batch_of(REFERENCES), clock)["policy"] for a in (straight, resumed, made())]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_foreign_state_is_refused() -> None:
    with pytest.raises(ValueError, match="LeaveOneOut keeps no state"):
        LeaveOneOut().load_state_dict({"total": 1})


def test_the_greedy_outputs_reward() -> None:
    """Every sentence's own, for each of its samples, cut where samples are."""
    table = torch.full((9, 42, SIZE), -1e4).double()
    table[4, ..., 4] = 0.0  # never ends
    table[5, ..., EOS] = 0.0
    table[6, ..., 6] = 0.0
    table[6, ..., EOS] = -1.0
    policy, reward = TabularPolicy(table), BleuReward()
    baseline = GreedyOutput(policy=policy, reward=reward, extra_length=0, max_length=3)
    batch = batch_of([(4, 4, EOS), (5, EOS), (6, 5, EOS)])
    drawn = trajectories_of([(4, EOS)] * 6, group=2)
    found = baseline(Samples(drawn, torch.zeros(6).double(), torch.zeros(6, 2, SIZE), batch))
    output = trajectories_of([(4, 4, EOS), (EOS,), (6, 6, EOS)])
    expected = reward.score(output, batch).double().repeat_interleave(2).unsqueeze(1)
    assert torch.equal(found, expected)
    assert found.dtype == torch.float64


def test_the_greedy_output_is_without_dropout() -> None:
    torch.manual_seed(0)
    policy = LSTM(
        source_size=9,
        target_size=SIZE,
        specials=SPECIALS,
        embedding=4,
        hidden=8,
        dropout=0.7,
        init=2.0,
    )
    baseline = GreedyOutput(policy=policy, reward=BleuReward())
    batch = batch_of(REFERENCES * 5)
    batch = replace(batch, source=4 + batch.source % 5)
    drawn = trajectories_of([(4, EOS)] * 15)
    samples = Samples(drawn, torch.zeros(15), torch.zeros(15, 2, 8), batch)
    found = [baseline(samples) for _ in range(4)]
    assert all(torch.equal(found[0], other) for other in found)
    assert policy.dropout.training


def test_what_the_learned_baseline_learns() -> None:
    """The whole sample's reward, at the steps where the policy chose."""
    policy = TabularPolicy(policy_table(0))
    baseline = Learned(policy=policy, scale=0.1)
    drawn = trajectories_of([(4, 5, EOS), (6, EOS)], group=2)
    given = torch.tensor([[True, False, False], [False, False, False]])
    drawn = replace(drawn, given=given, cut=torch.tensor([False, True]))
    rewards = torch.tensor([0.5, 0.25]).double()
    features = torch.randn(5, SIZE, generator=seeded(0), dtype=torch.float64)
    samples = Samples(drawn, rewards, features.requires_grad_(), batch_of([(4, EOS)]))
    assert flat(baseline(samples)) == pytest.approx([0.01] * 5 + [0])
    assert not baseline(samples).requires_grad
    loss = baseline.losses(samples)["baseline"]
    expected = 0.1 * (2 * (0.01 - 0.5) ** 2 + (0.01 - 0.25) ** 2) / 2
    assert loss.item() == pytest.approx(expected, abs=1e-9)
    unit = baseline.learners()["baseline"]
    unit.weight.data += 1.0
    assert flat(baseline(samples)) == pytest.approx([*flat(features.sum(-1) + 0.01), 0])


def test_the_learned_baseline_does_not_reach_the_policy() -> None:
    policy = TabularPolicy(policy_table(0, rows=9))
    baseline = Learned(policy=policy)
    algorithm = Reinforce(
        policy=policy, proposal=Sampling(), reward=BleuReward(), baseline=baseline
    )
    torch.nn.init.normal_(baseline.unit.weight, std=1e-3)
    losses = algorithm.losses(batch_of(REFERENCES), Clock())
    losses["baseline"].backward()
    assert policy.table.grad is None
    assert baseline.unit.bias.grad is not None
    baseline.unit.zero_grad()
    losses["policy"].backward()
    assert baseline.unit.bias.grad is None
    assert policy.table.grad is not None


@pytest.mark.parametrize("decay", [-0.1, 1.1])
def test_unusable_decay_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="decay"):
        RunningMean(decay=decay)


def test_unusable_arguments_are_refused() -> None:
    policy = TabularPolicy(policy_table(0))
    with pytest.raises(ValueError, match="scale"):
        Learned(policy=policy, scale=0.0)
    for option in ({"extra_length": -1}, {"max_length": 0}):
        with pytest.raises(ValueError, match=next(iter(option))):
            GreedyOutput(policy=policy, reward=BleuReward(), **option)

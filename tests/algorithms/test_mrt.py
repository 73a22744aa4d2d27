"""Minimum risk training, against the risk itself and in its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from seqrl.algorithms.base import likelihood
from seqrl.algorithms.mrt import MinimumRisk
from seqrl.proposals.candidates import Candidates
from seqrl.rewards.base import Reward
from seqrl.rewards.bleu import BleuReward
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    EOS,
    NODE,
    PREFIXES,
    SEQUENCES,
    STEPS,
    WORDS,
    Fixed,
    TabularPolicy,
    batch_of,
    law,
    policy_table,
    seeded,
    sequence_log_prob,
    trajectories_of,
)

REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, 6, EOS), (EOS,), (4, 4, EOS)]
SUBSPACE = [(4, 5, EOS), (EOS,), (6, 6, 6, EOS), (5, EOS)]


class Given(Reward):
    """Rewards that are given."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = values

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        return self.values


def made(
    rewards: Tensor,
    rows: Sequence[Sequence[int]] = SUBSPACE,
    alpha: float = 0.7,
    policy: TabularPolicy | None = None,
    group: int | None = None,
) -> MinimumRisk:
    return MinimumRisk(
        policy=policy or TabularPolicy(policy_table(0)),
        proposal=Fixed(trajectories_of(rows, group=group or len(rows))),
        reward=Given(rewards),
        alpha=alpha,
    )


def gradient_of(algorithm: Any, batch: Batch, clock: Clock | None = None) -> Tensor:
    loss = algorithm.losses(batch, clock or Clock())["policy"]
    (gradient,) = torch.autograd.grad(loss, list(algorithm.policy.parameters()))
    return gradient


def random_rewards(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, generator=seeded(seed), dtype=torch.float64)


def test_the_gradient_is_that_of_the_risk_itself() -> None:
    """Two sentences, EOS in p, Q renormalised over the candidates, the mean over sentences."""
    policy, alpha = TabularPolicy(policy_table(0)), 0.7
    rows = [*SUBSPACE, (5, 5, EOS), (4, EOS), (6, EOS), (6, 4, 4, EOS)]
    rewards = random_rewards(8)
    algorithm = made(rewards, rows, alpha, policy, group=4)
    found = gradient_of(algorithm, batch_of([(4, EOS), (5, EOS)]))
    risk = policy.table.new_zeros(())
    for b in range(2):
        group = slice(4 * b, 4 * b + 4)
        logs = [sequence_log_prob(policy.table[4 + b], y, forced=False) for y in rows[group]]
        powers = torch.stack(logs).mul(alpha).exp()
        risk = risk - (powers / powers.sum() * rewards[group]).sum() / 2
    (expected,) = torch.autograd.grad(risk, policy.table)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert algorithm.metrics()["risk"].item() == pytest.approx(risk.item(), abs=1e-12)
    assert algorithm.metrics()["candidates"].item() == 4


def test_with_all_sequences_and_alpha_one_it_is_the_policy_gradient() -> None:
    """And the risk the expected one; the last of four steps can only end here."""
    table = policy_table(0)
    for prefix in PREFIXES:
        if len(prefix) == STEPS - 1:
            table[:, NODE[prefix], list(WORDS)] = -1e4
    policy, rewards = TabularPolicy(table), random_rewards(len(SEQUENCES))
    algorithm = made(rewards, SEQUENCES, 1.0, policy)
    found = gradient_of(algorithm, batch_of([(4, EOS)]))
    expected_risk = -(law(policy.table[4]) * rewards).sum()
    (expected,) = torch.autograd.grad(expected_risk, policy.table)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    assert algorithm.metrics()["risk"].item() == pytest.approx(expected_risk.item(), abs=1e-9)


def test_small_alpha_makes_candidates_equal_and_the_gradient_proportional_to_it() -> None:
    rewards, batch = random_rewards(4), batch_of([(4, EOS)])
    policy = TabularPolicy(policy_table(0))
    logs = torch.stack([sequence_log_prob(policy.table[4], y, forced=False) for y in SUBSPACE])
    (slope,) = torch.autograd.grad((-(rewards - rewards.mean()) * logs).mean(), policy.table)
    for alpha in (1e-8, 1e-9):
        algorithm = made(rewards, SUBSPACE, alpha, policy)
        found = gradient_of(algorithm, batch)
        torch.testing.assert_close(found / alpha, slope, rtol=0, atol=1e-6)
        assert algorithm.metrics()["risk"].item() == pytest.approx(-rewards.mean().item(), abs=1e-6)


def test_a_constant_in_all_log_probabilities_changes_nothing() -> None:
    rewards, batch = random_rewards(4), batch_of([(4, EOS)])
    algorithm = made(rewards)
    drawn = trajectories_of(SUBSPACE, group=4)
    log_probs = -torch.rand(4, STEPS, generator=seeded(1), dtype=torch.float64)
    shifted = log_probs.clone()
    shifted[:, 0] -= 3.5
    found = [algorithm.weights(drawn, values, batch) for values in (log_probs, shifted)]
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-12)
    assert found[0].shape == (4, 1)
    shifted[0, 0] += 3.5
    assert not torch.allclose(algorithm.weights(drawn, shifted, batch), found[0])


def test_a_constant_in_the_reward_shifts_the_risk_alone() -> None:
    rewards, batch = random_rewards(4), batch_of([(4, EOS)])
    one, other = made(rewards), made(rewards + 2.5)
    torch.testing.assert_close(
        gradient_of(one, batch), gradient_of(other, batch), rtol=0, atol=1e-12
    )
    difference = one.metrics()["risk"] - other.metrics()["risk"]
    assert difference.item() == pytest.approx(2.5, abs=1e-12)


def test_absent_candidates_are_as_if_they_were_not() -> None:
    rewards, batch = random_rewards(4), batch_of([(4, EOS)])
    policy = TabularPolicy(policy_table(0))
    expected = made(rewards, SUBSPACE, policy=policy)
    rows = [SUBSPACE[0], (4, 4, 4, EOS), *SUBSPACE[1:]]
    padded_rewards = torch.cat([rewards[:1], torch.tensor([99.0]).double(), rewards[1:]])
    algorithm = made(padded_rewards, rows, policy=policy)
    drawn = trajectories_of(rows, group=5)
    mask = drawn.mask.clone()
    mask[1] = False
    algorithm.proposal = Fixed(replace(drawn, mask=mask))
    torch.testing.assert_close(
        gradient_of(algorithm, batch), gradient_of(expected, batch), rtol=0, atol=1e-12
    )
    assert algorithm.metrics()["risk"].item() == pytest.approx(expected.metrics()["risk"].item())
    assert algorithm.metrics()["candidates"].item() == 4


def test_duplicates_are_removed_before_normalising() -> None:
    """Samples with repetitions, and the distinct ones by hand."""
    policy, batch, reward = TabularPolicy(policy_table(0)), batch_of([(4, EOS)]), BleuReward()
    proposal = Candidates(samples=30, distinct=True, max_length=STEPS)
    memory = policy.encode(batch.source, batch.source_mask)
    drawn = proposal(policy, memory, batch, None, Clock())
    rows = [tuple(y[y != 0].tolist()) for y in drawn.targets[drawn.mask.any(1)]]  # without padding
    assert len(rows) == len(set(rows)) < 31
    distinct = trajectories_of(rows, group=len(rows))
    algorithm = MinimumRisk(policy=policy, proposal=proposal, reward=reward, alpha=0.4)
    exact = MinimumRisk(policy=policy, proposal=Fixed(distinct), reward=reward, alpha=0.4)
    torch.testing.assert_close(
        gradient_of(algorithm, batch), gradient_of(exact, batch), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_parts_add_up_to_the_whole(rows: int) -> None:
    policy, batch = TabularPolicy(policy_table(3, rows=9)), batch_of(REFERENCES)
    clock = Clock(update=7, seed=3)
    algorithm = MinimumRisk(
        policy=policy,
        proposal=Candidates(samples=6, distinct=True, max_length=STEPS),
        reward=BleuReward(),
        alpha=0.5,
        lambda_mle=0.2,
    )
    expected = gradient_of(algorithm, batch, clock)
    risk = algorithm.metrics()["risk"].item()
    found, shares = torch.zeros_like(expected), 0.0
    for part in batch.split(rows):
        found += gradient_of(algorithm, part, clock)
        shares += algorithm.metrics()["risk"].item() * len(part) / len(batch)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert shares == pytest.approx(risk, abs=1e-12)


def test_the_likelihood_of_the_references_beside_it() -> None:
    policy, batch = TabularPolicy(policy_table(0)), batch_of([(4, EOS)])

    def loss(lambda_mle: float) -> Tensor:
        return MinimumRisk(
            policy=policy,
            proposal=Fixed(trajectories_of(SUBSPACE, group=4)),
            reward=Given(random_rewards(4)),
            lambda_mle=lambda_mle,
        ).losses(batch, Clock())["policy"]

    expected = loss(0.0) + 0.7 * likelihood(policy, batch)
    assert loss(0.7).item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("option", [{"alpha": 0.0}, {"alpha": -1.0}, {"lambda_mle": -1.0}])
def test_unusable_arguments_are_refused(option: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        MinimumRisk(
            policy=TabularPolicy(policy_table(0)),
            proposal=Candidates(),
            reward=BleuReward(),
            **option,
        )

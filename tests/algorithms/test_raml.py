"""Reward augmented maximum likelihood, against enumeration and in its limits."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from seqrl.algorithms.base import WeightedLikelihood
from seqrl.algorithms.likelihood import MLE
from seqrl.algorithms.raml import RAML
from seqrl.proposals.perturbation import EditSampler, HammingSampler, NGramReplacement
from seqrl.rewards.base import Reward
from seqrl.rewards.bleu import BleuReward
from seqrl.rewards.edit import EditReward
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    EOS,
    NODES,
    SEQUENCES,
    SIZE,
    STEPS,
    Fixed,
    TabularPolicy,
    TabularReward,
    batch_of,
    padded,
    policy_table,
    sequence_log_prob,
    trajectories_of,
    value_table,
)

REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, 6, EOS), (EOS,), (4, 4, EOS)]


class Given(Reward):
    """Rewards that are given."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = values

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        return self.values


class Delta(Reward):
    """0 for the reference, minus infinity for all else."""

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        target = batch.target.repeat_interleave(trajectories.group, dim=0)
        same = (trajectories.targets == target).all(1)
        return torch.where(same, 0.0, -math.inf)


def weights(rewards: list[float], tau: float, group: int | None = None, **options: str) -> Tensor:
    group = group or len(rewards)
    trajectories = trajectories_of([(EOS,)] * len(rewards), group)
    algorithm = RAML(
        policy=TabularPolicy(policy_table(0)),
        proposal=Fixed(trajectories),
        reward=Given(torch.tensor(rewards)),
        tau=tau,
        **options,
    )
    log_probs = torch.zeros(len(rewards), 1).double()
    return algorithm.weights(trajectories, log_probs, batch_of([(EOS,)] * (len(rewards) // group)))


def loss_and_gradient(
    algorithm: WeightedLikelihood, batch: Batch, clock: Clock | None = None
) -> tuple[Tensor, Tensor]:
    loss = algorithm.losses(batch, clock or Clock())["policy"]
    (gradient,) = torch.autograd.grad(loss, list(algorithm.policy.parameters()))
    return loss.detach(), gradient


@pytest.mark.parametrize(
    ("tau", "expected"),
    [(1.0, [0.460658, 0.290018, 0.249324]), (0.4, [0.653593, 0.205552, 0.140855])],
)
def test_golden_weights(tau: float, expected: list[float]) -> None:
    found = weights([1, 0.537285, 0.386097], tau)
    assert found.shape == (3, 1)
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_golden_weights_from_bleu_itself() -> None:
    target = torch.tensor([[4, 5, 6, 7, 8, EOS]])
    batch = replace(batch_of([(EOS,)]), target=target, references=target.unsqueeze(1))
    samples = [(4, 5, 6, 7, 8, EOS), (4, 5, 6, 9, 8, EOS)]
    trajectories = trajectories_of(samples, group=2)
    algorithm = RAML(
        policy=TabularPolicy(policy_table(0)),
        proposal=Fixed(trajectories),
        reward=BleuReward(),
        tau=0.4,
    )
    found = algorithm.weights(trajectories, torch.zeros(2, 6), batch)
    ratio = math.exp((0.537285 - 1) / 0.4)
    assert found[:, 0].tolist() == pytest.approx([1 / (1 + ratio), ratio / (1 + ratio)], abs=1e-6)


def test_weights_are_normalised_for_every_sentence() -> None:
    found = weights([0.3, 0.9, -2.0, 40.0, 0.1, 0.0], 0.7, group=3)
    assert found.view(2, 3).sum(1).tolist() == pytest.approx([1, 1], abs=1e-12)
    torch.testing.assert_close(found[:3], weights([0.3, 0.9, -2.0], 0.7))


def test_weights_do_not_change_with_a_constant_in_the_reward() -> None:
    torch.testing.assert_close(
        weights([1.0, 0.5, 0.25], 0.4), weights([9.0, 8.5, 8.25], 0.4), rtol=0, atol=1e-9
    )


def test_weights_tend_to_equality_at_high_temperature() -> None:
    assert weights([1.0, 0.5, 0.0], 1e12).flatten().tolist() == pytest.approx([1 / 3] * 3, abs=1e-9)


def test_samples_of_the_payoff_itself_weigh_the_same() -> None:
    found = weights([1.0, 0.5, 0.0, 9.0], 0.4, group=2, weighting="uniform")
    assert found.flatten().tolist() == [0.5] * 4


def test_an_absent_candidate_weighs_nothing() -> None:
    trajectories = trajectories_of([(4, EOS), (5, EOS), (6, EOS)], group=3)
    mask = trajectories.mask.clone()
    mask[0] = False
    trajectories = replace(trajectories, mask=mask)
    algorithm = RAML(
        policy=TabularPolicy(policy_table(0)),
        proposal=Fixed(trajectories),
        reward=Given(torch.tensor([5.0, 1.0, 1.0])),
    )
    found = algorithm.weights(trajectories, torch.zeros(3, 2), batch_of([(4, EOS)]))
    assert found.flatten().tolist() == [0, 0.5, 0.5]


@pytest.mark.parametrize("tau", [0.2, 0.85, 3.0])
def test_with_every_sequence_as_a_sample_it_is_the_cross_entropy_to_the_payoff(
    tau: float,
) -> None:
    references = [(4, 5, EOS), (6, EOS)]
    reward = TabularReward(value_table(1))
    policy = TabularPolicy(policy_table(0, rows=8))
    proposal = Fixed(trajectories_of(SEQUENCES * 2, group=len(SEQUENCES)))
    algorithm = RAML(policy=policy, proposal=proposal, reward=reward, tau=tau)
    loss, gradient = loss_and_gradient(algorithm, batch_of(references))
    expected = torch.zeros(()).double()
    for b, reference in enumerate(references):
        batch = batch_of([reference])
        scores = [reward.score(trajectories_of([y]), batch).item() for y in SEQUENCES]
        unnormalised = [math.exp(score / tau) for score in scores]
        for y, mass in zip(SEQUENCES, unnormalised, strict=True):
            log_prob = sequence_log_prob(policy.table[4 + b], y, forced=False)
            expected = expected - mass / sum(unnormalised) * log_prob / 2
    assert loss.item() == pytest.approx(expected.item(), abs=1e-9)
    (by_enumeration,) = torch.autograd.grad(expected, policy.table)
    torch.testing.assert_close(gradient, by_enumeration, rtol=0, atol=1e-9)


def test_hamming_samples_estimate_the_cross_entropy_to_the_payoff_of_the_hamming_distance() -> None:
    """The sampler's law and uniform weights together are q: the mean of many batches shows it."""
    tau, reference = 0.9, (4, 5, 6, EOS)
    policy = TabularPolicy(policy_table(0))
    batch, reward = batch_of([reference]), EditReward(distance="hamming")
    sampler = HammingSampler(samples=20000, tau=tau, rescale=False)
    algorithm = RAML(policy=policy, proposal=sampler, reward=reward, weighting="uniform")
    loss, _ = loss_and_gradient(algorithm, batch)
    same = [y for y in SEQUENCES if len(y) == STEPS]
    exact = RAML(
        policy=policy, proposal=Fixed(trajectories_of(same, len(same))), reward=reward, tau=tau
    )
    expected, _ = loss_and_gradient(exact, batch)
    assert loss.item() == pytest.approx(expected.item(), rel=0.01)


def assert_is_mle(algorithm: RAML, batch: Batch) -> None:
    loss, gradient = loss_and_gradient(algorithm, batch)
    expected, expected_gradient = loss_and_gradient(MLE(policy=algorithm.policy), batch)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tau", [0.1, 1.0, 50.0])
def test_the_delta_reward_is_maximum_likelihood(tau: float) -> None:
    policy = TabularPolicy(policy_table(0, rows=9))
    batch = batch_of(REFERENCES)
    # only the first of a group is the reference: a copy of it by chance would share its weight
    rows = [y for r in REFERENCES for y in (r, *(s for s in SEQUENCES if s != r))]
    proposal = Fixed(trajectories_of(rows, group=len(SEQUENCES)))
    assert_is_mle(RAML(policy=policy, proposal=proposal, reward=Delta(), tau=tau), batch)


def test_zero_temperature_is_maximum_likelihood() -> None:
    policy = TabularPolicy(policy_table(0, rows=9))
    algorithm = RAML(
        policy=policy, proposal=NGramReplacement(samples=4), reward=EditReward(), tau=1e-3
    )
    assert_is_mle(algorithm, batch_of(REFERENCES))


def test_zero_temperature_samples_are_maximum_likelihood() -> None:
    policy = TabularPolicy(policy_table(0, rows=9))
    batch = batch_of(REFERENCES)
    for sampler in (HammingSampler(samples=3, tau=1e-3), EditSampler(samples=3, tau=1e-3)):
        algorithm = RAML(policy=policy, proposal=sampler, reward=BleuReward(), weighting="uniform")
        assert_is_mle(algorithm, batch)


def test_one_sample_is_maximum_likelihood_to_the_bit() -> None:
    batch = batch_of(REFERENCES)
    for table in (policy_table(0, rows=9), policy_table(0, rows=9).float()):
        policy = TabularPolicy(table)
        algorithm = RAML(policy=policy, proposal=NGramReplacement(samples=1), reward=BleuReward())
        found = loss_and_gradient(algorithm, batch)
        expected = loss_and_gradient(MLE(policy=policy), batch)
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])


def test_zero_temperature_weights_are_exactly_one_and_zero() -> None:
    """So that with zero-weight rows dropped, nothing but MLE is left."""
    batch, policy = batch_of(REFERENCES), TabularPolicy(policy_table(0, rows=9))
    algorithm = RAML(
        policy=policy, proposal=NGramReplacement(samples=5), reward=EditReward(), tau=1e-3
    )
    drawn = algorithm.proposal(policy, None, batch, None, Clock())
    found = algorithm.weights(drawn, torch.zeros(len(drawn), 1).double(), batch)
    same = (drawn.targets == batch.target.repeat_interleave(5, dim=0)).all(1)
    assert (found[~same] == 0).all()
    once = same & (same.view(-1, 5).sum(1) == 1).repeat_interleave(5)
    assert once.any()
    assert (found[once] == 1).all()


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize(
    ("proposal", "weighting"),
    [
        (NGramReplacement(samples=3), "reward"),
        (HammingSampler(samples=3, tau=0.9, rescale=False), "uniform"),
        (EditSampler(samples=2, tau=0.9, rescale=False), "uniform"),
    ],
)
def test_parts_add_up_to_the_whole_noise_included(
    proposal: NGramReplacement | HammingSampler | EditSampler, weighting: str, rows: int
) -> None:
    policy = TabularPolicy(policy_table(3, rows=9))
    algorithm = RAML(policy=policy, proposal=proposal, reward=BleuReward(), weighting=weighting)
    batch, clock = batch_of(REFERENCES), Clock(update=7, seed=3)
    loss, gradient = loss_and_gradient(algorithm, batch, clock)
    parts = [loss_and_gradient(algorithm, part, clock) for part in batch.split(rows)]
    assert sum(part.item() for part, _ in parts) == pytest.approx(loss.item(), abs=1e-12)
    torch.testing.assert_close(sum(part for _, part in parts), gradient, rtol=0, atol=1e-12)


def test_reported_numbers() -> None:
    policy = TabularPolicy(torch.zeros(SIZE, NODES, SIZE).double())
    rewards = torch.tensor([1.0, 0.0, 0.0])
    algorithm = RAML(
        policy=policy,
        proposal=Fixed(trajectories_of([(4, EOS), (EOS,), (5, 6, EOS)], group=3)),
        reward=Given(rewards),
        tau=1.0,
    )
    algorithm.losses(batch_of([(4, EOS)]), Clock())
    metrics = algorithm.metrics()
    mass = [math.e / (math.e + 2), 1 / (math.e + 2), 1 / (math.e + 2)]
    assert metrics["reward"].item() == pytest.approx(1 / 3)
    assert metrics["reward_std"].item() == pytest.approx(math.sqrt(2) / 3)
    assert metrics["entropy"].item() == pytest.approx(math.log(SIZE))
    assert metrics["length_ratio"].item() == pytest.approx((1 + 0 + 2) / 3)
    assert metrics["nll_per_token"].item() == pytest.approx(math.log(SIZE))
    assert metrics["effective_samples"].item() == pytest.approx(1 / sum(w * w for w in mass))


def test_unusable_arguments_are_refused() -> None:
    policy = TabularPolicy(policy_table(0))

    def raml(**options: float | str) -> RAML:
        return RAML(policy=policy, proposal=NGramReplacement(), reward=BleuReward(), **options)

    for tau in (0.0, -1.0):
        with pytest.raises(ValueError, match="tau"):
            raml(tau=tau)
    with pytest.raises(ValueError, match="weighting"):
        raml(weighting="importance")


def test_padding_of_the_samples_is_not_scored() -> None:
    rows = [(4, 5, EOS), (6, EOS), (5, EOS)]
    found = []
    for width in (3, 8):
        algorithm = RAML(
            policy=TabularPolicy(policy_table(0)),
            proposal=Fixed(trajectories_of(rows, group=3, width=width)),
            reward=BleuReward(),
        )
        found.append(loss_and_gradient(algorithm, batch_of([(4, 5, EOS)]))[1])
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-12)
    assert padded(rows, 8).shape == (3, 8)

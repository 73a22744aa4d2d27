"""Points of the framework and paths through it, against enumeration and in their limits."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from seqrl.algorithms.base import WeightedLikelihood, self_normalised
from seqrl.algorithms.erpo import ERPO, Path, log_ratio
from seqrl.algorithms.likelihood import MLE
from seqrl.algorithms.raml import RAML
from seqrl.proposals.base import Proposal
from seqrl.proposals.candidates import Candidates
from seqrl.proposals.perturbation import NGramReplacement
from seqrl.proposals.sampling import Sampling
from seqrl.rewards.base import Reward
from seqrl.rewards.bleu import BleuReward
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    COPIES,
    EOS,
    SEQUENCES,
    Fixed,
    TabularPolicy,
    TabularReward,
    batch_of,
    copies,
    cut_copies,
    dyadic_table,
    policy_table,
    seeded,
    sequence_log_prob,
    trajectories_of,
    value_table,
)

REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, 6, EOS), (EOS,), (4, 4, EOS)]
REFERENCE = (4, 5, EOS)
POINTS = [(0.0, 0.4), (1.0, 0.0), (0.3, 0.2), (0.05, 1.0)]


class Delta(Reward):
    """0 for the reference, minus infinity for all else."""

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        target = batch.target.repeat_interleave(trajectories.group, dim=0)
        width = min(target.shape[1], trajectories.targets.shape[1])
        same = (trajectories.targets[:, :width] == target[:, :width]).all(1)
        return torch.where(same, 0.0, -math.inf)


def erpo(
    policy: TabularPolicy,
    *,
    perturbation: Proposal | None = None,
    sampling: Any = None,
    reward: Reward | None = None,
    **options: Any,
) -> ERPO:
    return ERPO(
        policy=policy,
        perturbation=perturbation or NGramReplacement(samples=4),
        sampling=sampling or Candidates(samples=3),
        reward=reward or BleuReward(),
        **options,
    )


def loss_and_gradient(
    algorithm: WeightedLikelihood, batch: Batch, clock: Clock | None = None
) -> tuple[Tensor, Tensor]:
    loss = algorithm.losses(batch, clock or Clock())["policy"]
    (gradient,) = torch.autograd.grad(loss, list(algorithm.policy.parameters()))
    return loss.detach(), gradient


def world(seed: int = 0) -> tuple[TabularPolicy, TabularReward, Tensor, Tensor]:
    """A policy, a reward, and log p and R of all sequences for the one sentence."""
    policy, reward = TabularPolicy(dyadic_table(seed, rows=9)), TabularReward(value_table(1))
    log_p = torch.stack([sequence_log_prob(policy.table[4], y, forced=False) for y in SEQUENCES])
    batch = batch_of([REFERENCE])
    scores = torch.stack([reward.score(trajectories_of([y]), batch)[0] for y in SEQUENCES])
    return policy, reward, log_p.detach(), scores


def objective(q: Tensor, log_p: Tensor, scores: Tensor, alpha: float, beta: float) -> Tensor:
    """E_q[R] - alpha KL(q || p) + beta H(q)."""
    log_q = q.clamp(min=1e-300).log()
    return (q * (scores - alpha * (log_q - log_p) - beta * log_q)).sum()


@pytest.mark.parametrize(("alpha", "beta"), POINTS)
def test_with_every_sequence_as_a_candidate_the_weights_are_the_best_q(
    alpha: float, beta: float
) -> None:
    """It beats every other q, and its value is (alpha + beta) log sum exp(...)."""
    _, _, log_p, scores = world()
    logits = log_ratio(scores, log_p, alpha=alpha, beta=beta, sampled=False)
    everything = trajectories_of(SEQUENCES, group=len(SEQUENCES))
    q = self_normalised(logits, everything).flatten()
    assert q.sum().item() == pytest.approx(1, abs=1e-12)
    best = objective(q, log_p, scores, alpha, beta)
    exponents = (alpha * log_p + scores) / (alpha + beta)
    assert best.item() == pytest.approx(((alpha + beta) * exponents.logsumexp(0)).item(), abs=1e-9)
    noise = torch.randn(300, len(q), generator=seeded(2), dtype=torch.float64)
    for n, size in enumerate([0.01, 0.1, 1.0] * 100):
        other = torch.softmax(q.log() + size * noise[n], 0)
        assert objective(other, log_p, scores, alpha, beta) < best


@pytest.mark.parametrize(("alpha", "beta"), POINTS[1:])
def test_candidates_from_the_policy_weighed_against_it_are_the_best_q(
    alpha: float, beta: float
) -> None:
    """Each sequence as often as p says: the estimate's gradient is E_q[grad log p] itself."""
    policy, reward, log_p, scores = world()
    proposal = Fixed(trajectories_of(copies(policy.table[4].detach()), group=COPIES))
    algorithm = erpo(policy, sampling=proposal, reward=reward, alpha=alpha, beta=beta)
    _, gradient = loss_and_gradient(algorithm, batch_of([REFERENCE]))
    q = torch.softmax((alpha * log_p + scores) / (alpha + beta), 0)
    all_log_p = torch.stack(
        [sequence_log_prob(policy.table[4], y, forced=False) for y in SEQUENCES]
    )
    (expected,) = torch.autograd.grad(-(q * all_log_p).sum(), policy.table)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-9)
    value = algorithm.metrics()["objective"].item()
    assert value == pytest.approx(objective(q, log_p, scores, alpha, beta).item(), abs=1e-9)


def test_the_objective_is_told_of_samples_alone() -> None:
    """Not of perturbations, and the reference among the candidates is no sample."""
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)
    assert "objective" not in metrics_of(erpo(policy, alpha=0.0, beta=0.4), batch)
    options = {"alpha": 0.5, "beta": 0.25, "scale": 2.0}
    found = metrics_of(erpo(policy, sampling=Candidates(samples=3), **options), batch)
    expected = metrics_of(
        erpo(policy, sampling=Candidates(samples=3, reference=False), **options), batch
    )
    assert found["objective"].item() == pytest.approx(expected["objective"].item(), abs=1e-12)
    assert found["effective_samples"] != expected["effective_samples"]


def metrics_of(algorithm: ERPO, batch: Batch) -> dict[str, Tensor]:
    algorithm.losses(batch, Clock(seed=3))
    return algorithm.metrics()


@pytest.mark.parametrize("tau", [0.4, 1.0])
def test_without_alpha_it_is_reward_augmented_maximum_likelihood_to_the_bit(tau: float) -> None:
    batch, clock = batch_of(REFERENCES), Clock(update=3, seed=2)
    proposal = NGramReplacement(samples=5)
    for table in (policy_table(0, rows=9), policy_table(0, rows=9).float()):
        policy = TabularPolicy(table)
        found = loss_and_gradient(
            erpo(policy, perturbation=proposal, alpha=0.0, beta=tau), batch, clock
        )
        raml = RAML(policy=policy, proposal=proposal, reward=BleuReward(), tau=tau)
        expected = loss_and_gradient(raml, batch, clock)
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])


def test_the_delta_reward_is_maximum_likelihood() -> None:
    """(R_delta, 0, 1): q has all its mass on the reference."""
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of([REFERENCE, (6, EOS)])
    rows = [y for r in (REFERENCE, (6, EOS)) for y in (r, *(s for s in SEQUENCES if s != r))]
    algorithm = erpo(
        policy,
        perturbation=Fixed(trajectories_of(rows, group=len(SEQUENCES))),
        reward=Delta(),
        alpha=0.0,
        beta=1.0,
    )
    found, expected = (loss_and_gradient(a, batch) for a in (algorithm, MLE(policy=policy)))
    assert found[0].item() == pytest.approx(expected[0].item(), abs=1e-12)
    torch.testing.assert_close(found[1], expected[1], rtol=0, atol=1e-12)
    drawn = algorithm.perturbation(policy, None, batch, None, Clock())
    weights = algorithm.weights(drawn, torch.zeros(len(drawn), 1).double() - 3, batch)
    assert weights.view(2, -1).tolist() == [[1.0] + [0.0] * 39] * 2


def test_the_delta_reward_is_maximum_likelihood_near_zero_alpha_too() -> None:
    _, _, log_p, _ = world()
    scores = torch.tensor([0.0 if y == REFERENCE else -math.inf for y in SEQUENCES]).double()
    for sampled in (True, False):
        logits = log_ratio(scores, log_p, alpha=1e-3, beta=1.0, sampled=sampled)
        assert torch.softmax(logits, 0)[SEQUENCES.index(REFERENCE)] == 1


@pytest.mark.parametrize(("alpha", "beta"), POINTS)
def test_weights_from_their_definition(alpha: float, beta: float) -> None:
    """softmax of (alpha log p + scale R) / (alpha + beta) - log b over each group."""
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of([REFERENCE, (6, EOS)])
    rows = [(4, 5, EOS), (5, 4, 6, EOS), (EOS,), (6, EOS), (6, 6, EOS), (4, 4, 4, EOS)]
    trajectories = trajectories_of(rows, group=3)
    reward = TabularReward(value_table(1))
    proposal = Fixed(trajectories)
    algorithm = erpo(
        policy, perturbation=proposal, sampling=proposal, reward=reward, alpha=alpha, beta=beta,
        scale=1.5,
    )  # fmt: skip
    loss, _ = loss_and_gradient(algorithm, batch)
    log_p = torch.stack(
        [sequence_log_prob(policy.table[4 + n // 3], y, forced=False) for n, y in enumerate(rows)]
    ).detach()
    logits = (alpha * log_p + 1.5 * reward.score(trajectories, batch)) / (alpha + beta)
    logits = logits - (log_p if alpha else 0.0)
    weights = torch.softmax(logits.view(2, 3), 1)
    expected = -(weights * log_p.view(2, 3)).sum() / 2
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
    found = algorithm.weights(trajectories, torch.zeros_like(trajectories.mask).double(), batch)
    assert found.shape == (6, 1)


@pytest.mark.parametrize("sampled", [True, False])
def test_absent_candidates_weigh_nothing_and_tell_nothing(sampled: bool) -> None:
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of([REFERENCE])
    losses, values = [], []
    for rows in ([(4, 5, EOS), (6, EOS)], [(4, 5, EOS), (6, EOS), ()]):
        proposal = Fixed(trajectories_of(rows, group=len(rows), width=3))
        algorithm = erpo(
            policy, perturbation=proposal, sampling=proposal, alpha=float(sampled), beta=0.5
        )
        losses.append(loss_and_gradient(algorithm, batch)[0].item())
        values.append(algorithm.metrics().get("objective", torch.zeros(())).item())
    assert losses[0] == pytest.approx(losses[1], abs=1e-12)
    assert values[0] == pytest.approx(values[1], abs=1e-12)


def test_no_gradient_through_the_weights() -> None:
    """At a point where they depend on log p."""
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of([REFERENCE])
    trajectories = trajectories_of([(4, 5, EOS), (6, EOS)], group=2)
    algorithm = erpo(policy, sampling=Fixed(trajectories), alpha=0.5, beta=0.5)
    _, gradient = loss_and_gradient(algorithm, batch)
    log_p = torch.stack(
        [sequence_log_prob(policy.table[4], y, forced=False) for y in ((4, 5, EOS), (6, EOS))]
    )
    rewards = BleuReward().score(trajectories, batch).double()
    weights = torch.softmax(rewards - 0.5 * log_p.detach(), 0)
    (expected,) = torch.autograd.grad(-(weights * log_p).sum(), policy.table)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize(("alpha", "beta"), POINTS)
def test_parts_add_up_to_the_whole_noise_included(alpha: float, beta: float, rows: int) -> None:
    policy = TabularPolicy(policy_table(3, rows=9))
    algorithm = erpo(policy, alpha=alpha, beta=beta)
    batch, clock = batch_of(REFERENCES), Clock(update=7, seed=3)
    loss, gradient = loss_and_gradient(algorithm, batch, clock)
    parts = [loss_and_gradient(algorithm, part, clock) for part in batch.split(rows)]
    assert sum(part.item() for part, _ in parts) == pytest.approx(loss.item(), abs=1e-12)
    torch.testing.assert_close(sum(part for _, part in parts), gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("alpha", "beta"), POINTS[1:])
def test_samples_that_a_limit_ends_are_of_the_policy_as_it_is_cut(
    alpha: float, beta: float
) -> None:
    """q and its gradient are those of the policy that has no choice but EOS at the last step."""
    without_choice = dyadic_table(0, rows=9)
    table, samples = cut_copies(without_choice)
    assert samples.cut is not None
    assert 0 < samples.cut.sum() < len(samples)
    batch, reward, gradients = batch_of([REFERENCE, (6, EOS)]), TabularReward(value_table(1)), []
    for logits, cut in ((table, samples.cut), (without_choice, None)):
        proposal = Fixed(replace(samples, cut=cut))
        policy = TabularPolicy(logits)
        algorithm = erpo(policy, sampling=proposal, reward=reward, alpha=alpha, beta=beta)
        gradients.append(loss_and_gradient(algorithm, batch)[1])
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-9)
    assert gradients[0].abs().max() > 0.01


PATH = [
    {"alpha": 0.0, "beta": 0.4, "steps": 10},
    {"alpha": 0.0, "beta": 0.2, "steps": 20},
    {"alpha": 1.0, "beta": 0.1},
]


@pytest.mark.parametrize(
    ("update", "point"),
    [
        (0, (0.0, 0.4)),
        (5, (0.0, 0.3)),
        (10, (0.0, 0.2)),
        (15, (0.25, 0.175)),
        (30, (1.0, 0.1)),
        (999, (1.0, 0.1)),
    ],
)
def test_a_path_in_updates(update: int, point: tuple[float, float]) -> None:
    assert Path(PATH)(Clock(update=update, fraction=0.5)) == pytest.approx(point, abs=1e-12)


def test_a_path_in_shares_of_the_stage_with_a_jump() -> None:
    path = Path(
        [
            {"alpha": 0, "beta": 0.4, "share": 0.5},
            {"alpha": 0, "beta": 0.2, "share": 0},
            {"alpha": 0.1, "beta": 0},
        ]
    )
    found = [path(Clock(update=7, fraction=x)) for x in (0, 0.25, 0.499, 0.5, 1)]
    expected = [(0, 0.4), (0, 0.3), (0, 0.2004), (0.1, 0), (0.1, 0)]
    assert [pytest.approx(point, abs=1e-12) for point in expected] == found


def test_along_a_path_candidates_change_when_alpha_becomes_positive() -> None:
    """At every update the loss is that of the point where the path stands."""
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)
    walking = erpo(policy, path=PATH)
    for update in (0, 5, 10, 11, 20, 40):
        clock = Clock(update=update, seed=1)
        alpha, beta = Path(PATH)(clock)
        found = loss_and_gradient(walking, batch, clock)
        expected = loss_and_gradient(erpo(policy, alpha=alpha, beta=beta), batch, clock)
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])
        metrics = walking.metrics()
        assert metrics["alpha"].item() == pytest.approx(alpha)
        assert metrics["beta"].item() == pytest.approx(beta)
        assert ("objective" in metrics) == (alpha > 0)
        assert ("ended" in metrics) == (alpha > 0)
    assert not walking.state_dict(), "where it stands is the clock's"


def test_a_point_takes_the_place_of_the_path() -> None:
    policy = TabularPolicy(policy_table(0))
    algorithm = erpo(policy, path=PATH, alpha=0, beta=1)
    assert [algorithm.path(Clock(update=u)) for u in (0, 99)] == [(0, 1)] * 2


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"alpha": 0.0, "beta": 0.0}, r"alpha \+ beta must be positive"),
        ({"alpha": -0.1, "beta": 1.0}, "must not be negative"),
        ({"alpha": 0.5}, "given together"),
        ({"alpha": 1.0, "beta": 0.0, "scale": 0.0}, "scale"),
        ({}, "path must have a point"),
        ({"path": [{"alpha": 0, "beta": 1, "steps": 3}, {"alpha": 0, "beta": 0}]}, "at point 1"),
        ({"path": [{"alpha": 0, "beta": 1}, {"alpha": 1, "beta": 0}]}, "steps or all share"),
        (
            {
                "path": [
                    {"alpha": 0, "beta": 1, "steps": 3},
                    {"alpha": 0, "beta": 1, "share": 0.5},
                    {"alpha": 1, "beta": 0},
                ]
            },
            "steps or all share",
        ),
        ({"path": [{"alpha": 0, "beta": 1, "steps": -3}, {"alpha": 1, "beta": 0}]}, "lengths"),
        ({"path": [{"alpha": 0, "gamma": 1}]}, "point 0 of the path must have"),
        ({"path": [{"alpha": "x", "beta": 1}]}, "point 0 of the path must hold numbers"),
        (
            {
                "path": [
                    {"alpha": 0, "beta": 1, "share": 0.6},
                    {"alpha": 0, "beta": 2, "share": 0.5},
                    {"alpha": 1, "beta": 0},
                ]
            },
            "add up to 1.1: its end",
        ),
    ],
)
def test_unusable_arguments_are_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        erpo(TabularPolicy(policy_table(0)), **options)


def test_candidates_of_one_source_are_the_given_kind() -> None:
    """Nothing is drawn from the policy where it has no part, and nothing perturbed elsewhere."""

    class Forbidden(Sampling):
        def __call__(self, *arguments: Any) -> Trajectories:
            raise AssertionError

    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)
    erpo(policy, sampling=Forbidden(), alpha=0.0, beta=1.0).losses(batch, Clock())
    erpo(policy, perturbation=Forbidden(), alpha=1e-9, beta=1.0).losses(batch, Clock())

"""The softmax policy gradient, against enumeration and in its limits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqrl.algorithms.erpo import ERPO
from seqrl.algorithms.spg import SPG
from seqrl.proposals.base import Proposal
from seqrl.proposals.candidates import Candidates
from seqrl.proposals.guided import RewardGuided
from seqrl.proposals.perturbation import NGramReplacement
from seqrl.proposals.sampling import Sampling
from seqrl.rewards.base import Reward
from seqrl.rewards.bleu import BleuReward
from seqrl.rewards.edit import EditReward
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
    sequence_log_prob,
    trajectories_of,
    value_table,
)

REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, 6, EOS), (EOS,), (4, 4, EOS)]
TWO = [(4, 5, EOS), (6, EOS)]


class Constant(Reward):
    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        return torch.full((len(trajectories),), 0.7)


def spg(policy: TabularPolicy, proposal: Proposal, reward: Reward | None = None, **options) -> SPG:  # type: ignore[no-untyped-def]
    """With the same proposal at both levels."""
    reward = reward or BleuReward()
    return SPG(policy=policy, guided=proposal, candidates=proposal, reward=reward, **options)


def loss_and_gradient(
    algorithm: SPG | ERPO, batch: Batch, clock: Clock | None = None
) -> tuple[Tensor, Tensor]:
    loss = algorithm.losses(batch, clock or Clock())["policy"]
    (gradient,) = torch.autograd.grad(loss, list(algorithm.policy.parameters()))
    return loss.detach(), gradient


def in_proportion(policy: TabularPolicy) -> Fixed:
    """For each of two sentences all samples there can be, as often as p says."""
    rows = [y for row in (4, 5) for y in copies(policy.table[row].detach())]
    return Fixed(trajectories_of(rows, group=COPIES))


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_gradient_is_that_of_the_log_of_the_expected_exponential(scale: float) -> None:
    """And both are sum_y q(y) grad log p(y)."""
    policy = TabularPolicy(dyadic_table(0, rows=9))
    reward = TabularReward(value_table(1))
    algorithm = spg(policy, in_proportion(policy), reward, level="sequence", scale=scale)
    _, gradient = loss_and_gradient(algorithm, batch_of(TWO))
    value, cross_entropy = torch.zeros(2).double()
    for b, reference in enumerate(TWO):
        log_p = torch.stack(
            [sequence_log_prob(policy.table[4 + b], y, forced=False) for y in SEQUENCES]
        )
        rewards = torch.stack(
            [reward.score(trajectories_of([y]), batch_of([reference]))[0] for y in SEQUENCES]
        )
        tilted = log_p + scale * rewards
        value = value + tilted.logsumexp(0) / 2
        cross_entropy = cross_entropy - (torch.softmax(tilted, 0).detach() * log_p).sum() / 2
    (of_value,) = torch.autograd.grad(value, policy.table, retain_graph=True)
    (of_q,) = torch.autograd.grad(cross_entropy, policy.table)
    torch.testing.assert_close(gradient, -of_value, rtol=0, atol=1e-9)
    torch.testing.assert_close(gradient, of_q, rtol=0, atol=1e-9)
    assert gradient.abs().max() > 0.01


def test_a_constant_reward_teaches_nothing() -> None:
    policy = TabularPolicy(dyadic_table(0, rows=9))
    algorithm = spg(policy, in_proportion(policy), Constant(), level="sequence", scale=20.0)
    _, gradient = loss_and_gradient(algorithm, batch_of(TWO))
    assert gradient.abs().max() < 1e-12


def test_samples_of_the_policy_alone_teach_nothing() -> None:
    """At the level of tokens with all weights zero: sum_y p(y) grad log p(y) = 0."""
    policy = TabularPolicy(dyadic_table(0, rows=9))
    _, gradient = loss_and_gradient(spg(policy, in_proportion(policy)), batch_of(TWO))
    assert gradient.abs().max() < 1e-12


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_where_a_limit_ends_samples_nothing_is_learned(level: str) -> None:
    """Where no sample is preferred: sum_y p(y) grad log p(y) = 0 of the policy as it is cut."""
    table, samples = cut_copies(dyadic_table(0, rows=9))
    assert samples.cut is not None
    assert 0 < samples.cut.sum() < len(samples)
    policy = TabularPolicy(table)
    reward = TabularReward(torch.zeros_like(table))
    _, gradient = loss_and_gradient(spg(policy, Fixed(samples), reward, level=level), batch_of(TWO))
    assert gradient.abs().max() < 1e-12


def test_samples_without_a_choice_have_no_likelihood() -> None:
    policy = TabularPolicy(policy_table(0, rows=9))
    algorithm = spg(policy, RewardGuided(samples=2, max_length=1), level="token")
    loss, _ = loss_and_gradient(algorithm, batch_of(TWO))
    assert loss == algorithm.metrics()["nll_per_token"] == 0


def test_at_the_level_of_tokens_samples_weigh_the_same() -> None:
    policy = TabularPolicy(policy_table(0, rows=9))
    rows = [(4, EOS), (5, 6, EOS), (6, EOS), (EOS,)]
    algorithm = spg(policy, Fixed(trajectories_of(rows, group=2)))
    loss, _ = loss_and_gradient(algorithm, batch_of(TWO))
    log_probs = [
        sequence_log_prob(policy.table[4 + n // 2], y, forced=False).item()
        for n, y in enumerate(rows)
    ]
    assert loss.item() == pytest.approx(-sum(log_probs) / 4, abs=1e-12)


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_over_sequences_it_is_a_point_of_the_framework_to_the_bit(
    scale: float, reference: bool
) -> None:
    batch, clock = batch_of(REFERENCES), Clock(update=5, seed=2)
    for table in (policy_table(0, rows=9), policy_table(0, rows=9).float()):
        policy = TabularPolicy(table)
        candidates = Candidates(samples=4, reference=reference)
        found = loss_and_gradient(
            spg(policy, candidates, level="sequence", scale=scale), batch, clock
        )
        point = ERPO(
            policy=policy,
            perturbation=NGramReplacement(),
            sampling=candidates,
            reward=BleuReward(),
            alpha=1.0,
            beta=0.0,
            scale=scale,
        )
        expected = loss_and_gradient(point, batch, clock)
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])


def test_a_large_scale_leaves_the_best_candidate() -> None:
    policy = TabularPolicy(policy_table(0, rows=9))
    rows = [(4, EOS), (4, 5, EOS), (6, EOS), (6, 6, EOS)]
    algorithm = spg(policy, Fixed(trajectories_of(rows, group=2)), level="sequence", scale=1e6)
    loss, _ = loss_and_gradient(algorithm, batch_of(TWO))
    best = [
        sequence_log_prob(policy.table[4 + b], y, forced=False).item() for b, y in enumerate(TWO)
    ]
    assert loss.item() == pytest.approx(-sum(best) / 2, abs=1e-9)


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize(
    ("level", "proposal"),
    [
        ("token", RewardGuided(samples=3, weight=5.0, drop=0.5)),
        ("sequence", Candidates(samples=3)),
    ],
)
def test_parts_add_up_to_the_whole_noise_included(
    level: str, proposal: Proposal, rows: int
) -> None:
    policy = TabularPolicy(policy_table(3, rows=9))
    algorithm = spg(policy, proposal, level=level, scale=5.0)
    batch, clock = batch_of(REFERENCES), Clock(update=7, seed=3)
    loss, gradient = loss_and_gradient(algorithm, batch, clock)
    parts = [loss_and_gradient(algorithm, part, clock) for part in batch.split(rows)]
    assert sum(part.item() for part, _ in parts) == pytest.approx(loss.item(), abs=1e-12)
    torch.testing.assert_close(sum(part for _, part in parts), gradient, rtol=0, atol=1e-12)


def test_reported_numbers() -> None:
    policy = TabularPolicy(policy_table(0, rows=9))
    rows = [(4, 5, EOS), (6, EOS)]
    for level, shares in (("token", [0.5, 0.5]), ("sequence", [1.0, 0.0])):
        algorithm = spg(policy, Fixed(trajectories_of(rows, group=2)), level=level, scale=1e6)
        loss, _ = loss_and_gradient(algorithm, batch_of(TWO[:1]))
        tokens = shares[0] * 3 + shares[1] * 2
        metrics = algorithm.metrics()
        assert metrics["nll_per_token"].item() == pytest.approx(loss.item() / tokens, abs=1e-12)
        assert 0 < metrics["reward"] < 1
        assert metrics["effective_samples"].item() == pytest.approx(1 / sum(s * s for s in shares))


def test_tokens_need_a_reward_for_every_token_and_sequences_do_not() -> None:
    policy = TabularPolicy(policy_table(0, rows=9))
    with pytest.raises(
        ValueError, match=r"every token \(bleu, rouge, edit\), not Constant, which only"
    ):
        spg(policy, RewardGuided(), Constant(), level="token")
    with pytest.raises(ValueError, match=r"every token \(bleu, rouge, edit\), and there is none"):
        SPG(
            policy=policy,
            guided=RewardGuided(),
            candidates=Candidates(),
            reward=None,
            level="token",
        )  # type: ignore[arg-type]
    spg(policy, Candidates(), Constant(), level="sequence")


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_each_level_has_its_proposal(level: str) -> None:
    proposals = {"token": RewardGuided(), "sequence": Candidates()}
    algorithm = SPG(
        policy=TabularPolicy(policy_table(0)),
        guided=proposals["token"],
        candidates=proposals["sequence"],
        reward=BleuReward(),
        level=level,
    )
    assert algorithm.proposal is proposals[level]


def test_unusable_arguments_are_refused() -> None:
    policy = TabularPolicy(policy_table(0, rows=9))
    with pytest.raises(ValueError, match="level"):
        spg(policy, Sampling(), level="word")
    with pytest.raises(ValueError, match="scale"):
        spg(policy, Sampling(), scale=0.0)


@pytest.mark.parametrize(
    ("reward", "level"),
    [
        (BleuReward(), "token"),
        (EditReward(distance="hamming"), "token"),
        (EditReward(distance="edit"), "sequence"),
        (Constant(), "sequence"),
    ],
)
def test_the_level_is_that_at_which_the_reward_leads_to_the_reference(
    reward: Reward, level: str
) -> None:
    policy = TabularPolicy(policy_table(0))
    algorithm = SPG(policy=policy, guided=RewardGuided(), candidates=Candidates(), reward=reward)
    assert algorithm.level == level
    assert isinstance(algorithm.proposal, RewardGuided if level == "token" else Candidates)


@pytest.mark.parametrize(
    ("reward", "scale"),
    [
        (BleuReward(), 20.0),
        (BleuReward(scale="reference_length"), 2.5),
        (EditReward(distance="hamming"), 2.5),
        (EditReward(distance="edit"), 2.5),
    ],
)
def test_the_scale_is_that_of_the_rewards_unit(reward: Reward, scale: float) -> None:
    """A token wrong of ten costs a sample exp(2.5 or 2) of its weight, or nothing is told."""
    policy = TabularPolicy(policy_table(0))
    options = {"guided": RewardGuided(), "candidates": Candidates(), "reward": reward}
    assert SPG(policy=policy, **options).scale == scale
    assert SPG(policy=policy, **options, scale=7.0).scale == 7.0

"""What dropout may touch: what is learned, never what is proposed, nor weights that stand for p."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from networks import EVERY_NETWORK, Make, lstm
from seqrl.algorithms.base import WeightedLikelihood, log_probs_of
from seqrl.algorithms.erpo import ERPO
from seqrl.algorithms.interpolation import Interpolation
from seqrl.algorithms.likelihood import MLE
from seqrl.algorithms.mrt import MinimumRisk
from seqrl.algorithms.spg import SPG
from seqrl.models.base import Policy, dropout, drops
from seqrl.proposals.candidates import Candidates
from seqrl.proposals.guided import RewardGuided
from seqrl.proposals.mixture import TokenMixture
from seqrl.proposals.perturbation import NGramReplacement
from seqrl.proposals.scheduled import ScheduledInputs
from seqrl.rewards.bleu import BleuReward
from seqrl.schedules import Constant
from seqrl.types import Clock
from tabular import EOS, SIZE, batch_of

BATCH = batch_of([(4, 5, 6, EOS), (5, EOS), (6, 6, EOS)])


def network(make: Make = lstm, **options: int) -> Policy[Any, Any]:
    """Dropout between two layers reaches the encoder's output, so that proposals could feel it."""
    own = {"layers": 2} if make is lstm else {}
    sizes = {"source_size": 9, "target_size": SIZE}
    return make(**{**sizes, **own, "dropout": 0.8, **options}).double()


def spg(policy: Policy[Any, Any]) -> WeightedLikelihood:
    return SPG(
        policy=policy,
        guided=RewardGuided(samples=8),
        candidates=Candidates(),
        reward=BleuReward(),
    )


def erpo(policy: Policy[Any, Any], *, active: bool = False, alpha: float = 0.5) -> ERPO:
    return ERPO(
        policy=policy,
        perturbation=NGramReplacement(),
        sampling=Candidates(samples=8, dropout=active),
        reward=BleuReward(),
        alpha=alpha,
        beta=0.5,
    )


def mrt(policy: Policy[Any, Any]) -> WeightedLikelihood:
    proposal = Candidates(samples=8, distinct=True)
    return MinimumRisk(policy=policy, proposal=proposal, reward=BleuReward())


def interpolation(policy: Policy[Any, Any]) -> WeightedLikelihood:
    return Interpolation(
        policy=policy, proposal=TokenMixture(), reward=BleuReward(), lambdas=(0.9, 0.1, 0.0)
    )


def scheduled_sampling(policy: Policy[Any, Any]) -> WeightedLikelihood:
    return MLE(policy=policy, proposal=ScheduledInputs(truth=Constant(value=0.1)))


@pytest.mark.parametrize("kind", EVERY_NETWORK.values(), ids=EVERY_NETWORK)
@pytest.mark.parametrize("make", [spg, erpo, mrt, interpolation, scheduled_sampling])
def test_proposals_without_dropout_do_not_feel_that_of_the_encoder(
    make: Callable[[Policy[Any, Any]], WeightedLikelihood], kind: Make
) -> None:
    policy = network(kind)
    algorithm = make(policy)
    algorithm.scored(BATCH, Clock())
    assert not algorithm.proposal.dropout
    for update in range(12):
        clock = Clock(update=update)
        proposed = algorithm.scored(BATCH, clock).trajectories
        assert policy.dropout.training
        with dropout(policy, False):
            expected = algorithm.scored(BATCH, clock).trajectories
        assert torch.equal(proposed.inputs, expected.inputs)
        assert torch.equal(proposed.targets, expected.targets)


def test_the_likelihood_itself_is_learned_under_dropout() -> None:
    algorithm = erpo(network())
    log_probs = algorithm.scored(BATCH, Clock()).log_probs
    with dropout(algorithm.policy, False):
        without = algorithm.scored(BATCH, Clock()).log_probs
    assert not torch.allclose(log_probs, without, atol=0.1)


@pytest.mark.parametrize("layers", [1, 2])
def test_weights_that_stand_for_p_are_the_samplers(layers: int) -> None:
    """Between its ends the framework weighs by p, which must be what candidates were drawn from."""
    algorithm = erpo(network(layers=layers))
    clock = Clock(update=1)
    scored = algorithm.scored(BATCH, clock)
    found = algorithm.weights(scored.trajectories, scored.log_probs.detach(), BATCH)
    with dropout(algorithm.policy, False):
        quiet = algorithm.scored(BATCH, clock)
        expected = algorithm.weights(quiet.trajectories, quiet.log_probs.detach(), BATCH)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_weights_of_a_sampler_with_dropout_are_of_the_noisy_likelihood() -> None:
    algorithm = erpo(network(), active=True)
    scored = algorithm.scored(BATCH, Clock())
    log_probs = scored.log_probs.detach()
    found = algorithm.weights(scored.trajectories, log_probs, BATCH)
    again = algorithm.weights(scored.trajectories, 0.5 * log_probs, BATCH)
    assert not torch.allclose(found, again)


def test_log_probs_without_dropout() -> None:
    policy, references = network(), BATCH.reference_trajectories()
    with dropout(policy, False):
        memory = policy.encode(BATCH.source, BATCH.source_mask)
        logits = policy.logits(memory, references.inputs)
    expected = torch.log_softmax(logits, -1).gather(-1, references.targets.unsqueeze(-1))
    found = log_probs_of(references, policy, BATCH)
    assert not found.requires_grad
    expected = torch.where(references.mask, expected.squeeze(-1), 0.0).detach()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_whether_dropout_is_active() -> None:
    policy = network()
    assert drops(policy)
    with dropout(policy, False):
        assert not drops(policy)
    assert not drops(policy.eval())
    policy.train().dropout.p = 0.0
    assert not drops(policy)

"""A critic that is given every word's increment and learns the future alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from seqrl.algorithms.actor_critic import (
    ActorCritic,
    CriticTraining,
    with_rewards,
)
from seqrl.algorithms.critics import action_values, chosen
from seqrl.models.lstm import LSTM
from seqrl.models.recorded import Said
from seqrl.proposals.sampling import Sampling
from seqrl.rewards.base import Changes, PrefixReward
from seqrl.rewards.bleu import BleuReward
from seqrl.rewards.edit import EditReward
from seqrl.types import Batch, Clock, Specials, Trajectories, shift_right

PAD, UNK, BOS, EOS = range(4)
SPECIALS = Specials(PAD, UNK, BOS, EOS)
V = 9

REWARDS = [
    BleuReward(scale="reference_length"),
    BleuReward(),
    EditReward(),
    EditReward(distance="hamming"),
]


def padded(rows: list[list[int]]) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [PAD] * (width - len(row)) for row in rows])


BATCH = Batch(
    padded([[4, 5, 6], [7, 4, 4]]),
    padded([[4, 5, 6, 7, EOS], [8, 4, EOS]]),
    padded([[4, 5, 6, 7, EOS], [8, 4, EOS]]).unsqueeze(1),
    PAD,
    SPECIALS,
)
ROWS = [[4, 5, 8, EOS], [5, 4, 5, 6, 7, 7, EOS], [8, 4, EOS], [EOS]]


def trajectories() -> Trajectories:
    targets = padded(ROWS)
    mask = targets != PAD
    return Trajectories(shift_right(targets, BOS), targets, mask, torch.zeros_like(mask), group=2)


def network(**settings: Any) -> LSTM:
    return LSTM(
        source_size=V, target_size=V, specials=SPECIALS, embedding=6, hidden=6, dropout=0.0,
        **settings,
    )  # fmt: skip


def learner(kind: type[CriticTraining], reward: PrefixReward, **settings: Any) -> CriticTraining:
    torch.manual_seed(0)
    return kind(
        policy=network(),
        critic=network(bar_specials=False, init=1.0),
        reward=reward,
        proposal=Sampling(samples=2, extra_length=2),
        **settings,
    )


@pytest.mark.parametrize("reward", REWARDS, ids=lambda r: f"{type(r).__name__}-{r.scale}")
def test_increments_of_all_words_at_all_steps(reward: PrefixReward) -> None:
    """Those of the chosen words are the rewards; the others what choosing them would have given."""
    samples = trajectories()
    ahead = samples.padded(reward.lookaheads(samples, BATCH, V).dense(V))
    rewards = reward.increments(samples, BATCH)
    taken = ahead.gather(-1, samples.targets.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(torch.where(samples.mask, taken, 0.0), rewards, rtol=0, atol=1e-6)
    assert (ahead[~samples.mask] == 0).all()
    for row, tokens in enumerate(ROWS):
        for t in range(len(tokens)):
            for word in range(UNK, V):
                if word == BOS:
                    continue
                other = [*tokens[:t], word] if word == EOS else [*tokens[:t], word, EOS]
                targets = padded([*ROWS[:row], other, *ROWS[row + 1 :]])
                mask = targets != PAD
                changed = Trajectories(
                    shift_right(targets, BOS), targets, mask, torch.zeros_like(mask), group=2
                )
                expected = reward.increments(changed, BATCH)[row, t]
                assert ahead[row, t, word].item() == pytest.approx(expected.item(), abs=1e-6)


def test_the_future_after_eos_is_zero() -> None:
    future = torch.randn(4, V)
    words = torch.tensor([[4, 5, EOS], [4, 4, EOS], [8, 6, EOS], [EOS, EOS, EOS]])
    gains = torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 5.0], [0.5, 0.25, 0.0], [7.0, 7.0, 7.0]])
    known = Changes(torch.tensor([0.1, 0.2, 0.3, 0.4]), words, gains)
    values = with_rewards(future.clone(), known, BATCH)
    assert values[:, EOS].tolist() == [3.0, 5.0, 0.0, 7.0]
    others = [w for w in range(V) if w != EOS]
    expected = (future + known.dense(V))[..., others]
    torch.testing.assert_close(values[..., others], expected, rtol=0, atol=0)


def test_increments_of_all_words_by_the_few_that_differ() -> None:
    words = torch.tensor([[4, 5, EOS], [4, 4, EOS]])
    gains = torch.tensor([[1.0, 2.0, 0.0], [3.0, 3.0, 0.0]])
    known = Changes(torch.tensor([-1.0, 0.5]), words, gains)
    dense = torch.tensor([[-1.0, -1, -1, 0, 1, 2, -1, -1, -1], [0.5, 0.5, 0.5, 0, 3] + [0.5] * 4])
    assert torch.equal(known.dense(V), dense)
    assert torch.equal(known.of(torch.tensor([5, 4])), torch.tensor([2.0, 3.0]))
    assert torch.equal(known.of(torch.tensor([EOS, 8])), torch.tensor([0.0, 0.5]))
    more = torch.tensor([1.0, 2.0])
    assert torch.equal(known.plus(more).dense(V), dense + more.unsqueeze(1))
    p = torch.softmax(torch.randn(2, V), -1)
    torch.testing.assert_close(known.expected(p.log()), (p * dense).sum(-1))
    values = torch.randn(2, V)
    torch.testing.assert_close(known.add_to(values.clone()), values + dense)


@pytest.mark.parametrize("tau", [0.0, 0.3])
def test_targets_are_those_of_a_critic_with_the_same_values(tau: float) -> None:
    """r + E_pi[r' + F'] is what a critic that had learned Q = r + F itself would be told."""
    reward = REWARDS[0]
    evaluation = learner(CriticTraining, reward, tau=tau, known_rewards=True).evaluation
    samples = trajectories()
    log_pi = torch.log_softmax(torch.randn(len(samples), samples.targets.shape[1], V), -1)
    rewards = reward.increments(samples, BATCH)
    known = reward.lookaheads(samples, BATCH, V)
    said = Said.of(samples.flat(log_pi))
    found = evaluation.targets(BATCH, samples, rewards, said, known)
    future = action_values(evaluation.target_critic(), BATCH, samples)
    values = samples.padded(with_rewards(future, known, BATCH))
    for row, tokens in enumerate(ROWS):
        for t in range(len(tokens)):
            expected = rewards[row, t]
            if t + 1 < len(tokens):
                pi = log_pi[row, t + 1].exp()
                expected = expected + (pi * (values[row, t + 1] - tau * log_pi[row, t + 1])).sum()
            assert found[row, t].item() == pytest.approx(expected.item(), abs=1e-5)


def test_the_error_has_no_reward_in_it_and_the_penalty_is_on_the_future() -> None:
    """Q - Qhat = F(y_t) - E_pi[...]: at the last step F(EOS) = 0 = the target's future."""
    algorithm = learner(CriticTraining, REWARDS[0], known_rewards=True, lambda_var=0.5)
    samples = trajectories()
    log_pi = torch.log_softmax(torch.randn(int(samples.mask.sum()), V), -1)
    judged = algorithm.judge(BATCH, samples, Said.of(log_pi))
    for row, tokens in enumerate(ROWS):
        assert judged.error[row, len(tokens) - 1].item() == pytest.approx(0, abs=1e-6)
    future = action_values(algorithm.evaluation.critic, BATCH, samples)
    error = judged.error.square().sum() / 2 / len(ROWS)
    spread = future.var(-1).sum() / len(ROWS)
    assert judged.loss.item() == pytest.approx((error + 0.5 * spread).item(), rel=1e-5)


def test_a_flat_future_ranks_words_by_their_increments() -> None:
    """What the penalty pulls to: the policy gradient then follows the known increments."""
    algorithm = learner(ActorCritic, REWARDS[0], known_rewards=True)
    assert isinstance(algorithm, ActorCritic)
    with torch.no_grad():
        for parameter in algorithm.evaluation.critic.output.parameters():  # type: ignore[union-attr]
            parameter.zero_()
    samples = trajectories()
    log_pi = torch.full((int(samples.mask.sum()), V), 1 / V).log()
    judged = algorithm.judge(BATCH, samples, Said.of(log_pi))
    known = REWARDS[0].lookaheads(samples, BATCH, V).dense(V)
    torch.testing.assert_close(algorithm.values(judged, BATCH), known, rtol=0, atol=0)


def test_the_value_of_a_token_is_its_increment_and_its_future() -> None:
    algorithm = learner(CriticTraining, REWARDS[0], known_rewards=True)
    samples = trajectories()
    critic = algorithm.evaluation.critic
    values = with_rewards(
        action_values(critic, BATCH, samples), REWARDS[0].lookaheads(samples, BATCH, V), BATCH
    )
    judged = algorithm.judge(BATCH, samples, Said.of(torch.full((len(values), V), 1 / V).log()))
    torch.testing.assert_close(samples.flat(judged.taken), chosen(values, samples))


def test_an_update_with_known_rewards_moves_both_learners() -> None:
    algorithm = learner(ActorCritic, REWARDS[0], known_rewards=True, tau=0.1)
    losses = algorithm.losses(BATCH, Clock(update=3))
    for name, module in algorithm.learners().items():
        gradients = torch.autograd.grad(
            losses[name], list(module.parameters()), allow_unused=True, retain_graph=True
        )
        assert all(g is not None and g.isfinite().all() for g in gradients)
        assert any(g.abs().sum() > 0 for g in gradients if g is not None)

"""Actor-critic and its entropy-regularised form, against exact soft values by enumeration."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqrl.algorithms.actor_critic import (
    ActorCritic,
    CriticTraining,
    PolicyEvaluation,
    features_along,
    propose,
)
from seqrl.algorithms.critics import action_values, chosen
from seqrl.algorithms.likelihood import MLE
from seqrl.losses import entropy, expected_signal
from seqrl.models.lstm import LSTM
from seqrl.models.recorded import Said
from seqrl.proposals.sampling import Sampling
from seqrl.rewards.base import PrefixReward, Reward
from seqrl.rewards.bleu import BleuReward
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    BOS,
    EOS,
    NODE,
    NODES,
    PAD,
    PREFIXES,
    SEQUENCES,
    SIZE,
    SPECIALS,
    STEPS,
    Fixed,
    TabularPolicy,
    TabularReward,
    batch_of,
    law,
    nodes_of,
    policy_table,
    seeded,
    sequence_log_prob,
    soft_values,
    trajectories_of,
    value_table,
)

REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, 6, EOS), (4, EOS), (5, 4, EOS)]
TAU = 0.3


class Terminal(Reward):
    """A reward that only knows whole sequences."""

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        return torch.ones(len(trajectories))


def rewards(seed: int = 2) -> TabularReward:
    return TabularReward(value_table(seed))


def nothing() -> TabularReward:
    return TabularReward(torch.zeros(SIZE, NODES, SIZE).double())


def algorithm(
    kind: type[CriticTraining] = ActorCritic,
    *,
    policy: TabularPolicy | None = None,
    critic: TabularPolicy | None = None,
    reward: PrefixReward | None = None,
    proposal: Sampling | None = None,
    **options: Any,
) -> Any:
    return kind(
        policy=policy or TabularPolicy(policy_table(0, rows=9)),
        critic=critic or TabularPolicy(value_table(1), column=1),
        reward=reward or rewards(),
        proposal=proposal or Sampling(samples=2),
        **options,
    )


def exact_critic(policy: TabularPolicy, reward: TabularReward, tau: float) -> TabularPolicy:
    """The critic of one sentence with source 4 and a reference that begins with 4."""
    table = torch.zeros(SIZE, NODES, SIZE).double()
    table[4] = soft_values(policy.table[4].detach(), reward.table[4], tau)
    return TabularPolicy(table, column=1)


# The policy gradient


def soft_objective(logits: Tensor, reward: Tensor, tau: float) -> Tensor:
    """J = E[sum_t r_t + tau H(pi(. | y_<t))], sequence by sequence."""
    total = logits.new_zeros(())
    for y, probability in zip(SEQUENCES, law(logits), strict=True):
        nodes = [NODE[y[:t]] for t in range(len(y))]
        gains = sum(reward[node, token] for node, token in zip(nodes, y, strict=True))
        total = total + probability * (
            gains + tau * entropy(torch.log_softmax(logits[nodes], -1)).sum()
        )
    return total


def expected_actor_gradient(policy: TabularPolicy, reward: TabularReward, **options: Any) -> Tensor:
    """The actor loss's gradient with the exact critic, in expectation over all sequences."""
    critic = exact_critic(policy, reward, options["tau"])
    total = torch.zeros_like(policy.table)
    for y, probability in zip(SEQUENCES, law(policy.table[4].detach()), strict=True):
        learner = algorithm(
            policy=policy,
            critic=critic,
            reward=reward,
            proposal=Fixed(trajectories_of([y])),
            lambda_mle=0,
            **options,
        )
        loss = learner.losses(batch_of([(4, 5, EOS)]), Clock())["policy"]
        total += probability * torch.autograd.grad(loss, policy.table)[0]
    return total


@pytest.mark.parametrize("tau", [0.0, 0.04, 1.5])
def test_actor_gradient_with_the_exact_values_is_that_of_the_soft_return(tau: float) -> None:
    policy, reward = TabularPolicy(policy_table(0)), rewards()
    objective = soft_objective(policy.table[4], reward.table[4], tau)
    (expected,) = torch.autograd.grad(-objective, policy.table)
    assert expected.abs().max() > 0.01
    found = expected_actor_gradient(policy, reward, tau=tau)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_the_same_through_the_loss_alone() -> None:
    policy, reward = TabularPolicy(policy_table(0)), rewards()
    (expected,) = torch.autograd.grad(
        -soft_objective(policy.table[4], reward.table[4], TAU), policy.table
    )
    values = exact_critic(policy, reward, TAU).table[4].detach()
    found = torch.zeros_like(policy.table)
    for y, probability in zip(SEQUENCES, law(policy.table[4].detach()), strict=True):
        trajectories = trajectories_of([y])
        nodes = nodes_of(trajectories.inputs)
        logits = policy.table[4][nodes]
        signal = values[nodes] - TAU * torch.log_softmax(logits, -1)
        loss = -expected_signal(logits, signal).sum()
        found += probability * torch.autograd.grad(loss, policy.table)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_the_normalised_entropy_has_another_gradient() -> None:
    policy, reward = TabularPolicy(policy_table(0)), rewards()
    (expected,) = torch.autograd.grad(
        -soft_objective(policy.table[4], reward.table[4], TAU), policy.table
    )
    found = expected_actor_gradient(policy, reward, tau=TAU, normalize_entropy=True)
    assert (found - expected).abs().max() > 1e-3


def test_the_soft_values_are_those_of_the_objective() -> None:
    """Guards the helper: V(empty prefix) is J."""
    table, reward = policy_table(0)[4], value_table(2)[4]
    values = soft_values(table, reward, TAU)[NODE[()]]
    log_pi = torch.log_softmax(table[NODE[()]], -1)
    found = (log_pi.exp() * (values - TAU * log_pi)).sum().item()
    assert found == pytest.approx(soft_objective(table, reward, TAU).item(), abs=1e-12)


def test_signal_of_an_action() -> None:
    logits = torch.tensor([0.5, 0.25, 0.25]).double().log().view(1, 1, 3)
    values = torch.tensor([[[1.0, 2.0, 3.0]]]).double()
    log_pi = [-math.log(2), -2 * math.log(2), -2 * math.log(2)]

    def signal(**settings: Any) -> list[float]:
        found: Tensor = algorithm(**settings).signal(values.clone(), logits)
        return found.flatten().tolist()

    expected = [q - 0.1 * p for q, p in zip([1, 2, 3], log_pi, strict=True)]
    assert signal(tau=0.1) == pytest.approx(expected, abs=1e-9)
    norm = 3 * math.log(2)
    expected = [q - 0.1 * p / norm for q, p in zip([1, 2, 3], log_pi, strict=True)]
    assert signal(tau=0.1, normalize_entropy=True) == pytest.approx(expected, abs=1e-8)
    assert signal(tau=0.0) == [1.0, 2.0, 3.0]


def test_a_function_of_the_state_added_to_the_critic_does_not_move_the_actor() -> None:
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)
    state_values = 20 * torch.randn(SIZE, NODES, 1, generator=seeded(9), dtype=torch.float64)
    gradients = []
    for table in (value_table(1), value_table(1) + state_values):
        learner = algorithm(policy=policy, critic=TabularPolicy(table, column=1), tau=TAU)
        loss = learner.losses(batch, Clock(seed=4))["policy"]
        gradients.append(torch.autograd.grad(loss, policy.table)[0])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=1e-12)


def test_the_actor_loss_has_the_likelihood_of_the_references_in_it() -> None:
    policy, batch = TabularPolicy(policy_table(0, rows=9)), batch_of(REFERENCES)
    likelihood = MLE(policy=policy).losses(batch, Clock())["policy"]
    losses = [
        algorithm(policy=policy, lambda_mle=weight).losses(batch, Clock())["policy"]
        for weight in (0.0, 0.7)
    ]
    assert (losses[1] - losses[0]).item() == pytest.approx(0.7 * likelihood.item(), abs=1e-12)


def test_padding_that_the_critic_counts_does_not_move_the_actor() -> None:
    batch = batch_of(REFERENCES)
    found = [
        algorithm(tau=TAU, mask_padding=mask_padding).losses(batch, Clock(seed=4))
        for mask_padding in (True, False)
    ]
    assert torch.equal(found[0]["policy"], found[1]["policy"])
    assert found[0]["critic"] < found[1]["critic"]


def test_zero_temperature_is_the_actor_critic_to_the_bit() -> None:
    """The losses are those of Q without any entropy, computed here step by step."""
    batch, clock = batch_of(REFERENCES), Clock(seed=2)
    learner = algorithm(tau=0.0, lambda_mle=0.0)
    losses = learner.losses(batch, clock)
    trajectories, memory = propose(learner.policy, learner.proposal, batch, clock)
    logits = features_along(trajectories, learner.policy, learner.proposal, memory)
    values = action_values(learner.evaluation.critic, batch, trajectories).detach()
    expected = -expected_signal(logits, values).sum() / 10
    assert torch.equal(losses["policy"], expected)
    for off in ({"future_entropy": False}, {"normalize_entropy": True}):
        found = algorithm(tau=0.0, lambda_mle=0.0, **off).losses(batch, clock)
        assert torch.equal(found["policy"], losses["policy"])
        assert torch.equal(found["critic"], losses["critic"])
    state_values = (torch.softmax(logits, -1) * values).sum(-1).detach()
    targets = rewards().increments(trajectories, batch)
    targets[:, :-1] += trajectories.padded(state_values)[:, 1:]
    mask = trajectories.mask
    taken = values.gather(-1, trajectories.targets[mask].unsqueeze(-1)).squeeze(-1)
    spread = values.var(-1, correction=0) * SIZE
    found = learner.evaluation.loss(taken - targets[mask], spread, 10)
    assert found.item() == pytest.approx(losses["critic"].item(), abs=1e-12)
    assert (taken - targets[mask]).square().sum().item() > 0


# The critic's targets


@pytest.mark.parametrize("tau", [0.0, 0.5])
def test_exact_values_are_the_fixed_point_of_policy_evaluation(tau: float) -> None:
    policy, reward = TabularPolicy(policy_table(0)), rewards()
    learner = algorithm(
        policy=policy, critic=exact_critic(policy, reward, tau), reward=reward, tau=tau
    )
    trajectories = trajectories_of(SEQUENCES, group=len(SEQUENCES))
    batch = batch_of([(4, 6, EOS)])
    mask = trajectories.mask
    log_pi = torch.log_softmax(policy.table[4][nodes_of(trajectories.inputs)].detach(), -1)[mask]
    gains = reward.increments(trajectories, batch)
    targets = learner.evaluation.targets(batch, trajectories, gains, Said.of(log_pi))
    values = action_values(learner.evaluation.critic, batch, trajectories)
    taken = values.gather(-1, trajectories.targets[mask].unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(targets[mask], taken, rtol=0, atol=1e-9)
    assert (targets[~mask] == 0).all()


def targets_of(learner: Any, rows: list[tuple[int, ...]], batch: Batch) -> tuple[Tensor, Tensor]:
    trajectories = trajectories_of(rows, group=len(rows) // len(batch))
    logits = learner.policy.table[batch.source[0, 0]][nodes_of(trajectories.inputs)].detach()
    gains = learner.reward.increments(trajectories, batch)
    log_pi = torch.log_softmax(logits, -1)[trajectories.mask]
    return learner.evaluation.targets(batch, trajectories, gains, Said.of(log_pi)), gains


def test_the_last_target_is_the_last_reward() -> None:
    learner = algorithm(tau=TAU)
    targets, gains = targets_of(learner, SEQUENCES, batch_of([(4, EOS)]))
    for n, y in enumerate(SEQUENCES):
        assert targets[n, len(y) - 1] == gains[n, len(y) - 1]
        assert (targets[n, len(y) :] == 0).all()
        assert (targets[n, : len(y) - 1] != gains[n, : len(y) - 1]).all()


def test_a_uniform_policy_and_no_values_leave_the_entropy() -> None:
    zeros = torch.zeros(SIZE, NODES, SIZE).double()
    learner = algorithm(
        policy=TabularPolicy(zeros),
        critic=TabularPolicy(zeros, column=1),
        reward=nothing(),
        tau=TAU,
    )
    targets, _ = targets_of(learner, [(4, 5, 6, EOS), (EOS,)], batch_of([(4, EOS)]))
    bonus = TAU * math.log(SIZE)
    assert targets[0].tolist() == pytest.approx([bonus, bonus, bonus, 0], abs=1e-12)
    assert targets[1].tolist() == [0, 0, 0, 0]


def test_a_target_by_hand() -> None:
    """pi = (1/2, 1/4, 1/4) and Q = (1, 2, 4) after the first word, in the order of the words."""
    table, values = policy_table(0), torch.zeros(SIZE, NODES, SIZE).double()
    table[4, NODE[(5,)], [EOS, 4, 5, 6]] = torch.tensor([-1e4, 2.0, 1.0, 1.0]).double().log2()
    table[4, NODE[(5,)]] *= math.log(2)  # in natural units; what is barred stays barred
    table[4, NODE[(5,)], EOS] = -1e4
    values[4, NODE[(5,)], [4, 5, 6]] = torch.tensor([1.0, 2.0, 4.0]).double()
    reward = nothing()
    reward.table[4, NODE[()], 5] = 0.25
    learner = algorithm(
        policy=TabularPolicy(table), critic=TabularPolicy(values, column=1), reward=reward, tau=0.1
    )
    targets, _ = targets_of(learner, [(5, 6, EOS)], batch_of([(4, EOS)]))
    expected = 0.25 + (0.5 * 1 + 0.25 * 2 + 0.25 * 4) + 0.1 * 1.5 * math.log(2)
    assert targets[0, 0].item() == pytest.approx(expected, abs=1e-9)


def test_without_future_entropy_the_targets_know_no_temperature() -> None:
    rows, batch = [(4, 5, 6, EOS), (6, EOS)], batch_of([(4, EOS)])
    found, _ = targets_of(algorithm(tau=TAU, future_entropy=False), rows, batch)
    expected, _ = targets_of(algorithm(tau=0.0), rows, batch)
    assert torch.equal(found, expected)
    with_it, _ = targets_of(algorithm(tau=TAU), rows, batch)
    assert not torch.equal(found, with_it)
    logits, values = torch.randn(1, 1, 5), torch.randn(1, 1, 5)
    assert torch.equal(
        algorithm(tau=TAU, future_entropy=False).signal(values.clone(), logits),
        algorithm(tau=TAU).signal(values.clone(), logits),
    )


def test_targets_come_from_the_target_network() -> None:
    learner = algorithm(tau=TAU)
    rows, batch = [(4, 5, 6, EOS)], batch_of([(4, EOS)])
    before, _ = targets_of(learner, rows, batch)
    with torch.no_grad():
        learner.evaluation.critic.table += 1
    after, _ = targets_of(learner, rows, batch)
    assert torch.equal(before, after)
    assert not before.requires_grad


def test_rewards_sum_to_the_sentences_reward() -> None:
    reward, batch = BleuReward(scale="reference_length"), batch_of(REFERENCES)
    learner = algorithm(reward=reward, proposal=Sampling(samples=3))
    trajectories, _ = propose(learner.policy, learner.proposal, batch, Clock())
    torch.testing.assert_close(
        reward.increments(trajectories, batch).sum(1), reward.score(trajectories, batch)
    )
    learner.losses(batch, Clock())
    assert learner.metrics()["reward"].item() == pytest.approx(
        reward.score(trajectories, batch).mean().item(), abs=1e-6
    )


def test_the_critic_reads_bos_and_the_reference() -> None:
    seen = []

    class Spy(TabularPolicy):
        def encode(self, source: Tensor, mask: Tensor) -> Any:
            seen.append((source, mask))
            return super().encode(source, mask)

    batch = batch_of([(4, 5, EOS), (6, EOS)])
    action_values(Spy(value_table(0), column=1), batch, trajectories_of([(4, EOS), (EOS,)]))
    source, mask = seen[0]
    assert source.tolist() == [[BOS, 4, 5, EOS], [BOS, 6, EOS, PAD]]
    assert mask.tolist() == [[True] * 4, [True, True, True, False]]


# The critic's loss: one sentence of two tokens, one step of padding, three actions

VALUES = torch.tensor([[[1.0, 2.0, 6.0], [0.0, 3.0, 3.0], [2.0, 0.0, 1.0]]]).double()
TARGETS = torch.tensor([[5.0, 1.0, 0.0]]).double()
ROW = Trajectories(
    torch.tensor([[0, 1, 2]]),
    torch.tensor([[1, 2, 0]]),
    torch.tensor([[True, True, False]]),
    torch.zeros(1, 3, dtype=torch.bool),
)


def critic_loss(
    evaluation: PolicyEvaluation, values: Tensor, targets: Tensor, sentences: int
) -> tuple[Tensor, Tensor]:
    """Of ROW, from values [1, 3, 3] at all its places, of which the loss takes what it counts."""
    counted = evaluation.counted(ROW)
    evaluation.critic.target_size = 3
    found = counted.flat(values)
    error = chosen(found, counted) - counted.flat(targets)
    spread = (found - found.mean(-1, keepdim=True)).square().sum(-1)
    return evaluation.loss(error, spread, sentences), counted.padded(error)


# temporal differences 2 - 5 = -3 and 3 - 1 = 2, at padding 2 - 0;
# squared distances from the mean 4 + 1 + 9 = 14 and 4 + 1 + 1 = 6, at padding 1 + 1 + 0 = 2


@pytest.mark.parametrize(
    ("form", "mask_padding", "expected"),
    [
        ("paper", True, 9 + 4 + 0.1 * (14 + 6)),
        ("paper", False, 9 + 4 + 4 + 0.1 * (14 + 6 + 2)),
        ("released", True, (9 + 4) / 2 + 0.1 * (14 + 6) / 2),
        ("released", False, (9 + 4 + 4) / 2 + 0.1 * (14 + 6 + 2) / 2),
    ],
)
def test_critic_loss_by_hand(form: str, mask_padding: bool, expected: float) -> None:
    learner = algorithm(form=form, mask_padding=mask_padding, lambda_var=0.1)
    loss, error = critic_loss(learner.evaluation, VALUES, TARGETS, 4)
    assert loss.item() == pytest.approx(expected / 4, abs=1e-12)
    assert error.tolist() == [[-3, 2, 0 if mask_padding else 2]]


def test_the_released_penalty_is_the_papers_over_the_number_of_actions_less_one() -> None:
    def penalty(form: str) -> float:
        evaluation = algorithm(form=form, lambda_var=1.0).evaluation
        taken = VALUES.gather(-1, ROW.targets.unsqueeze(-1)).squeeze(-1)
        return critic_loss(evaluation, VALUES, taken, 1)[0].item()

    assert penalty("released") == pytest.approx(penalty("paper") / 2, abs=1e-12)
    variance = torch.var(VALUES[0, :2], dim=-1, correction=1).sum().item()
    assert penalty("released") == pytest.approx(variance, abs=1e-12)


@pytest.mark.parametrize("form", ["paper", "released"])
def test_values_that_are_the_same_for_every_action_cost_nothing(form: str) -> None:
    values = torch.tensor([[2.0, -1.0, 5.0]]).double().unsqueeze(-1).expand(1, 3, 3)
    targets = values[..., 0]
    for mask_padding in (True, False):
        evaluation = algorithm(form=form, mask_padding=mask_padding, lambda_var=9.0).evaluation
        assert critic_loss(evaluation, values, targets, 1)[0].item() == 0


def test_the_gradient_of_the_released_error_is_half_the_papers() -> None:
    gradients = []
    for form in ("paper", "released"):
        values = VALUES.clone().requires_grad_()
        evaluation = algorithm(form=form, lambda_var=0.0).evaluation
        loss, _ = critic_loss(evaluation, values, TARGETS, 1)
        gradients.append(torch.autograd.grad(loss, values)[0])
    expected = torch.zeros_like(VALUES)
    expected[0, 0, 1], expected[0, 1, 2] = -6, 4
    assert torch.equal(gradients[0], expected)
    assert torch.equal(gradients[1], expected / 2)


@pytest.mark.parametrize(("form", "divisor"), [("paper", 1), ("released", 2)])
def test_the_penalty_pulls_every_value_to_the_mean(form: str, divisor: int) -> None:
    values = VALUES.clone().requires_grad_()
    targets = VALUES.gather(-1, ROW.targets.unsqueeze(-1)).squeeze(-1)
    evaluation = algorithm(form=form, lambda_var=0.5).evaluation
    loss, _ = critic_loss(evaluation, values, targets, 4)
    (found,) = torch.autograd.grad(loss, values)
    # 2 lambda (Q - mean) / B with means 3 and 2, and none at padding
    spread = torch.tensor([[[-2.0, -1.0, 3.0], [-2.0, 1.0, 1.0], [0.0, 0.0, 0.0]]]).double()
    torch.testing.assert_close(found, 2 * 0.5 * spread / divisor / 4, rtol=0, atol=1e-12)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("mask_padding", [True, False])
@pytest.mark.parametrize("form", ["paper", "released"])
def test_what_a_critic_makes_of_samples_number_by_number(
    form: str, mask_padding: bool, known: bool
) -> None:
    """Of two samples, one of which is padded, whose padding counts in the loss or does not."""
    learner = algorithm(
        CriticTraining, tau=TAU, lambda_var=0.3, form=form, mask_padding=mask_padding,
        known_rewards=known,
    )  # fmt: skip
    slow = learner.evaluation.target_critic().table.detach().clone()
    with torch.no_grad():
        learner.evaluation.critic.table += value_table(7)
    fast = learner.evaluation.critic.table.detach()
    rows, batch = [(4, EOS), (5, 6, 4, EOS)], batch_of([(4, 5, EOS)])
    drawn = trajectories_of(rows, group=2)
    logits = learner.policy.table[4][nodes_of(drawn.inputs)].detach()
    said = Said.of(torch.log_softmax(drawn.flat(logits), -1))
    judged = learner.judge(batch, drawn, said)

    def values(table: Tensor, n: int, t: int) -> Tensor:
        node = nodes_of(drawn.inputs)[n, t]
        if not known:
            return table[4, node]
        gains = learner.reward.table[4, node] if t < len(rows[n]) else torch.zeros(SIZE)
        return gains + table[4, node].index_fill(0, torch.tensor([EOS]), 0.0)

    loss, tokens = 0.0, []
    for n, y in enumerate(rows):
        for t in range(4):
            inside, token = t < len(y), int(drawn.targets[n, t])
            target = judged.rewards[n, t].item()
            if t + 1 < len(y):
                log_pi = torch.log_softmax(logits[n, t + 1], -1)
                target += (log_pi.exp() * (values(slow, n, t + 1) - TAU * log_pi)).sum().item()
            found = values(fast, n, t)
            error = found[token].item() - target
            assert judged.error[n, t].item() == pytest.approx(error if inside else 0, abs=1e-9)
            if inside:
                tokens.append(found[drawn.targets[n, t]])
            if inside or not mask_padding:
                learned = fast[4, nodes_of(drawn.inputs)[n, t]]
                spread = (learned - learned.mean()).square().sum().item()
                halved = form == "released"
                loss += error**2 / (2 if halved else 1)
                loss += 0.3 * spread / (SIZE - 1 if halved else 1)
    assert judged.loss.item() == pytest.approx(loss / 2, abs=1e-9)
    found = judged.taken[drawn.mask]
    torch.testing.assert_close(found, torch.stack(tokens), rtol=0, atol=1e-9)


# The target network


def parameters_of(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


@pytest.mark.parametrize("beta", [0.001, 0.3, 1.0])
def test_the_target_network_follows_the_critic(beta: float) -> None:
    learner = algorithm(CriticTraining, beta=beta)
    target, critic = learner.evaluation.target_critic(), learner.evaluation.critic
    assert torch.equal(parameters_of(target), parameters_of(critic))
    expected = parameters_of(critic)
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.5)
    for update in range(3):
        optimizer.zero_grad()
        learner.losses(batch_of(REFERENCES), Clock(update))["critic"].backward()
        optimizer.step()
        learner.after_update(Clock(update))
        expected = beta * parameters_of(critic) + (1 - beta) * expected
        torch.testing.assert_close(parameters_of(target), expected, rtol=0, atol=1e-12)
        assert torch.equal(parameters_of(target), parameters_of(critic)) == (beta == 1)


def test_the_target_network_is_saved_and_put_back() -> None:
    learner = algorithm(beta=0.5)
    learner.evaluation.target_critic()
    with torch.no_grad():
        learner.evaluation.critic.table += torch.randn(SIZE, NODES, SIZE, generator=seeded(1))
    learner.after_update(Clock())
    saved = copy.deepcopy(learner.state_dict())
    resumed = algorithm(critic=copy.deepcopy(learner.evaluation.critic), beta=0.5)
    resumed.load_state_dict(saved)
    rows, batch = [(4, 5, EOS)], batch_of([(4, EOS)])
    assert torch.equal(targets_of(resumed, rows, batch)[0], targets_of(learner, rows, batch)[0])
    unlike = algorithm(critic=copy.deepcopy(learner.evaluation.critic), beta=0.5)
    assert not torch.equal(targets_of(unlike, rows, batch)[0], targets_of(learner, rows, batch)[0])


@pytest.mark.parametrize("training", [True, False])
def test_targets_are_without_dropout(training: bool) -> None:
    """Whichever mode the critic was in when it was copied."""
    torch.manual_seed(0)
    critic = LSTM(source_size=9, target_size=SIZE, specials=SPECIALS, embedding=4, hidden=4)
    learner = algorithm(critic=critic.train(training), tau=TAU)
    rows, batch = [(4, 5, 6, EOS)], batch_of([(4, 5, EOS)])
    first, _ = targets_of(learner, rows, batch)
    critic.train()
    assert torch.equal(targets_of(learner, rows, batch)[0], first)


# Who learns what


def gradients_of(learner: Any, losses: dict[str, Tensor], name: str) -> dict[str, bool]:
    """Which networks the loss `name` reaches."""
    networks = {
        "policy": learner.policy,
        "critic": learner.evaluation.critic,
        "target": learner.evaluation.target_critic(),
    }
    for network in networks.values():
        network.zero_grad(set_to_none=True)
    losses[name].backward(retain_graph=True)
    return {
        key: any(p.grad is not None and bool(p.grad.any()) for p in network.parameters())
        for key, network in networks.items()
    }


def test_each_loss_reaches_its_own_network_only() -> None:
    learner = algorithm(tau=TAU, lambda_mle=0.0)
    losses = learner.losses(batch_of(REFERENCES), Clock())
    assert set(losses) == {"policy", "critic"} == set(learner.learners())
    assert gradients_of(learner, losses, "policy") == {
        "policy": True,
        "critic": False,
        "target": False,
    }
    assert gradients_of(learner, losses, "critic") == {
        "policy": False,
        "critic": True,
        "target": False,
    }


def test_the_frozen_policy_gets_no_gradient() -> None:
    learner = algorithm(CriticTraining, tau=TAU)
    assert set(learner.learners()) == {"critic"}
    losses = learner.losses(batch_of(REFERENCES), Clock())
    assert set(losses) == {"critic"}
    losses["critic"].backward()
    assert not any(p.requires_grad for p in learner.policy.parameters())
    assert all(p.grad is None for p in learner.policy.parameters())
    assert learner.evaluation.critic.table.grad is not None


def test_critic_training_and_the_joint_stage_have_the_same_critic_loss() -> None:
    batch, clock = batch_of(REFERENCES), Clock(seed=5)
    alone = algorithm(CriticTraining, tau=TAU).losses(batch, clock)["critic"]
    jointly = algorithm(tau=TAU).losses(batch, clock)["critic"]
    assert torch.equal(alone, jointly)


# Batches in parts


@pytest.mark.parametrize("form", ["paper", "released"])
@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("kind", [CriticTraining, ActorCritic])
def test_parts_add_up_to_the_whole_noise_included(
    kind: type[CriticTraining], rows: int, form: str
) -> None:
    # references end early, so that the parts' samples have different widths
    table = policy_table(0, rows=9)
    table[:, :, EOS] += 2
    learner = algorithm(kind, policy=TabularPolicy(table), form=form, tau=TAU, lambda_var=0.5)
    batch, clock = batch_of(REFERENCES), Clock(update=3, seed=1)
    networks = learner.learners()

    def gradients(parts: list[Batch]) -> dict[str, Tensor]:
        for network in networks.values():
            network.zero_grad()
        for part in parts:
            losses = learner.losses(part, clock)
            torch.stack(list(losses.values())).sum().backward()
        return {name: network.table.grad.clone() for name, network in networks.items()}

    whole, parts = gradients([batch]), gradients(list(batch.split(rows)))
    for name in networks:
        assert whole[name].abs().max() > 0.01
        torch.testing.assert_close(parts[name], whole[name], rtol=0, atol=1e-12)


def test_losses_are_means_over_the_samples() -> None:
    """K copies of a trajectory give the loss of one."""
    rows = [(4, 5, EOS), (6, EOS)]
    found = []
    for group in (1, 3):
        trajectories = trajectories_of([y for y in rows for _ in range(group)], group)
        learner = algorithm(proposal=Fixed(trajectories), tau=TAU)
        found.append(learner.losses(batch_of([(4, EOS), (5, EOS)]), Clock()))
    for name in ("policy", "critic"):
        assert found[0][name].item() == pytest.approx(found[1][name].item(), abs=1e-12)


def test_losses_of_the_whole_objective_by_hand() -> None:
    """lambda_mle, entropy, errors and penalties of one trajectory, from the tables themselves."""
    policy, critic, reward = TabularPolicy(policy_table(3)), value_table(4), rewards(5)
    y, reference = (5, 6, EOS), (4, 4, EOS)
    learner = algorithm(
        policy=policy,
        critic=TabularPolicy(critic, column=1),
        reward=reward,
        proposal=Fixed(trajectories_of([y])),
        tau=TAU,
        lambda_var=0.2,
        lambda_mle=0.1,
        form="paper",
    )
    losses = learner.losses(batch_of([reference]), Clock())
    table = policy.table[4].detach()
    expected = -0.1 * sequence_log_prob(table, reference, forced=False).item()
    critic_loss = 0.0
    for t, token in enumerate(y):
        node = NODE[y[:t]]
        pi, q = torch.softmax(table[node], -1), critic[4, node]
        # the surrogate's value: expectation of Q - tau log pi
        expected -= (pi * q).sum().item() + TAU * entropy(torch.log_softmax(table[node], -1)).item()
        target = reward.table[4, node, token].item()
        if t + 1 < len(y):
            after = NODE[y[: t + 1]]
            pi_after = torch.softmax(table[after], -1)
            target += (pi_after * critic[4, after]).sum().item() + TAU * entropy(
                torch.log_softmax(table[after], -1)
            ).item()
        critic_loss += (q[token].item() - target) ** 2
        critic_loss += 0.2 * ((q - q.mean()) ** 2).sum().item()
    assert losses["policy"].item() == pytest.approx(expected, abs=1e-9)
    assert losses["critic"].item() == pytest.approx(critic_loss, abs=1e-9)
    taken = [critic[4, NODE[y[:t]], token].item() for t, token in enumerate(y)]
    assert learner.metrics()["q_min"].item() == pytest.approx(min(taken))
    assert learner.metrics()["q_max"].item() == pytest.approx(max(taken))
    spreads = [critic[4, NODE[y[:t]]].var(correction=0).item() for t in range(3)]
    assert learner.metrics()["q_spread"].item() == pytest.approx((sum(spreads) / 3) ** 0.5)


def test_dev_error_is_the_summed_temporal_difference_and_the_tokens() -> None:
    batch = batch_of(REFERENCES)
    learner = algorithm(CriticTraining, tau=TAU)
    total, count = learner.evaluate(batch, Clock(seed=8))["td_error"]
    learner.losses(batch, Clock(seed=8))
    assert (total / count).item() == pytest.approx(learner.metrics()["td_error"].item())
    joint = algorithm(tau=TAU).evaluate(batch, Clock(seed=8))
    assert joint["td_error"][0].item() == pytest.approx(total.item())
    assert joint["nll"][1].item() == batch.target_mask.sum().item()


def test_explained_samples_show_rewards_and_values() -> None:
    learner, batch = algorithm(), batch_of([(4, 5, EOS)])
    trajectories = trajectories_of([(6, EOS)])
    shown = learner.explain(trajectories, batch)
    values = learner.evaluation.critic.table[4]
    expected = [values[NODE[()], 6].item(), values[NODE[(6,)], EOS].item()]
    assert shown["Q"][0].tolist() == pytest.approx(expected)
    assert torch.equal(shown["reward"], learner.reward.increments(trajectories, batch))


# Arguments


@pytest.mark.parametrize("kind", [CriticTraining, ActorCritic])
@pytest.mark.parametrize(
    "options",
    [{"tau": -0.1}, {"beta": 0.0}, {"beta": 1.1}, {"lambda_var": -1.0}, {"form": "mine"}],
)
def test_unusable_arguments_are_refused(kind: type[CriticTraining], options: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        algorithm(kind, **options)


def test_unusable_arguments_of_the_actor_are_refused() -> None:
    with pytest.raises(ValueError, match="lambda_mle"):
        algorithm(lambda_mle=-0.1)
    with pytest.raises(ValueError, match="tau"):
        algorithm(tau=-0.1, future_entropy=False)


def test_a_reward_without_prefixes_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"bleu.*Terminal"):
        algorithm(reward=Terminal())  # type: ignore[arg-type]


def test_every_prefix_has_a_place() -> None:
    assert len(PREFIXES) == len(SEQUENCES) == sum(3**n for n in range(STEPS)) == 40
    assert law(policy_table(0)[4]).sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("tau", [0.0, 0.4])
def test_the_exact_values_have_no_bias_against_the_samples_returns(tau: float) -> None:
    """In expectation over all sequences, each with its own return."""
    policy, reward = TabularPolicy(policy_table(0)), rewards()
    critic, batch = exact_critic(policy, reward, tau), batch_of([(4, EOS)])
    bias, size = 0.0, 0.0
    for y, probability in zip(SEQUENCES, law(policy.table[4].detach()), strict=True):
        learner = algorithm(
            policy=policy,
            critic=critic,
            reward=reward,
            proposal=Fixed(trajectories_of([y])),
            tau=tau,
        )
        found = learner.evaluate(batch, Clock())
        assert found["return_bias"][1].item() == len(y)
        bias += probability.item() * found["return_bias"][0].item()
        size += probability.item() * found["return_error"][0].item()
    assert bias == pytest.approx(0, abs=1e-9)
    assert size > 0.1

"""Soft Q-learning and value augmented maximum likelihood, by enumeration and in their limits."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from seqrl.algorithms.base import Algorithm
from seqrl.algorithms.likelihood import MLE
from seqrl.algorithms.raml import RAML
from seqrl.algorithms.vaml import VAML, SoftQLearning, actions
from seqrl.models.lstm import LSTM
from seqrl.proposals.perturbation import NGramReplacement, TokenCorruption
from seqrl.rewards.base import Reward
from seqrl.rewards.bleu import BleuReward
from seqrl.types import Batch, Clock, Specials, Trajectories
from tabular import (
    BARRED,
    BOS,
    EOS,
    NODE,
    NODES,
    PAD,
    PREFIXES,
    SEQUENCES,
    SINK,
    SIZE,
    SPECIALS,
    STEPS,
    UNK,
    WORDS,
    Fixed,
    Scripted,
    TabularPolicy,
    TabularReward,
    batch_of,
    policy_table,
    seeded,
    sequence_log_prob,
    trajectories_of,
    value_table,
)

TAU = 0.4
REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, 6, EOS)]
ROWS = {4: 0, 5: 1, 6: 2}
"""The row of `RETURNS` of a reference's first token."""
RETURNS = torch.randn(3, len(SEQUENCES), generator=seeded(11), dtype=torch.float64) * 2


def returns(row: int, prefix: tuple[int, ...]) -> float:
    """R(prefix) = R(prefix + EOS) of the reference that begins with the token `row`."""
    return RETURNS[ROWS[row], SEQUENCES.index((*prefix, EOS))].item()


def increments() -> TabularReward:
    """r_t = R(y_1..t) - R(y_1..t-1), the first one with R(empty)."""
    table = torch.zeros(SIZE, NODES, SIZE).double()
    for row in ROWS:
        for prefix in PREFIXES:
            here = returns(row, prefix) if prefix else 0.0
            table[row, NODE[prefix], EOS] = returns(row, prefix) - here
            for word in WORDS if len(prefix) < STEPS - 1 else ():
                table[row, NODE[prefix], word] = returns(row, (*prefix, word)) - here
    return TabularReward(table)


def values_of(row: int, tau: float) -> Tensor:
    """The exact Q [nodes, V] by its definition: the payoff's mass of all that can follow.

    V(s) = tau log sum over the sequences y that begin with s of exp((R(y) - R(s)) / tau), and
    only EOS can follow at the last step.
    """
    table = torch.full((NODES, SIZE), BARRED).double()
    rewards = increments().table[row]

    def value(prefix: tuple[int, ...]) -> float:
        gains = [
            RETURNS[ROWS[row], n].item() - returns(row, prefix)
            for n, y in enumerate(SEQUENCES)
            if y[: len(prefix)] == prefix
        ]
        return tau * torch.logsumexp(torch.tensor(gains, dtype=torch.float64) / tau, 0).item()

    for prefix in PREFIXES:
        node = NODE[prefix]
        table[node, EOS] = rewards[node, EOS]
        for word in WORDS if len(prefix) < STEPS - 1 else ():
            table[node, word] = rewards[node, word] + value((*prefix, word))
    return table


def exact_critic(tau: float = TAU) -> TabularPolicy:
    table = torch.full((SIZE, NODES, SIZE), BARRED).double()
    for row in ROWS:
        table[row] = values_of(row, tau)
    return TabularPolicy(table, column=1)


def random_critic(seed: int = 1) -> TabularPolicy:
    table = value_table(seed)
    table[..., [PAD, BOS]] = BARRED
    return TabularPolicy(table, column=1)


def every_sequence(sentences: int) -> Fixed:
    return Fixed(trajectories_of(SEQUENCES * sentences, group=len(SEQUENCES)))


def soft_q(critic: TabularPolicy | None = None, **options: Any) -> SoftQLearning:
    chosen = {
        "reward": increments(),
        "proposal": every_sequence(len(REFERENCES)),
        "tau": TAU,
        **options,
    }
    return SoftQLearning(critic=critic or random_critic(), **chosen)


class Known(Reward):
    """R of all 40 sequences for each sentence, by its reference's first token."""

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        return torch.cat([RETURNS[ROWS[first]] for first in batch.target[:, 0].tolist()])


def vaml(policy: TabularPolicy, **options: Any) -> VAML:
    chosen = {
        "critic": exact_critic(),
        "reward": Known(),
        "proposal": every_sequence(len(REFERENCES)),
        "tau": TAU,
        "value_tau": TAU,
        **options,
    }
    return VAML(policy=policy, **chosen)


def loss_and_gradient(
    algorithm: Algorithm, batch: Batch, clock: Clock | None = None
) -> tuple[Tensor, Tensor]:
    ((name, loss),) = algorithm.losses(batch, clock or Clock()).items()
    (gradient,) = torch.autograd.grad(loss, list(algorithm.learners()[name].parameters()))
    return loss.detach(), gradient


# The exact values


@pytest.mark.parametrize("tau", [0.4, 1.0, 5.0])
def test_the_product_of_a_sequences_token_targets_is_its_payoff_probability(tau: float) -> None:
    """Proposition 1, with the targets that the algorithm gives its tokens."""
    policy = TabularPolicy(policy_table(0))
    algorithm = vaml(policy, critic=exact_critic(tau), kappa=1.0, value_tau=tau)
    batch = batch_of(REFERENCES)
    scored = algorithm.scored(batch, Clock())
    terms = algorithm.terms(scored, batch)
    mask = scored.trajectories.mask
    (slope,) = torch.autograd.grad(terms[mask].sum(), scored.features)
    targets = (slope + torch.softmax(scored.policy.project(scored.features), -1)).detach()
    taken = targets.gather(-1, scored.trajectories.targets[mask].unsqueeze(-1)).squeeze(-1)
    found = torch.where(mask, scored.trajectories.padded(taken), 1.0).prod(1)
    expected = torch.softmax(RETURNS / tau, 1).flatten()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_the_value_of_the_empty_prefix_is_the_log_partition_function() -> None:
    """With increments that start at R(empty), as the paper's do, less R(empty)."""
    for row in ROWS:
        values = values_of(row, TAU)[NODE[()]]
        rest = returns(row, ())
        log_z = TAU * torch.logsumexp(RETURNS[ROWS[row]] / TAU, 0).item()
        assert TAU * torch.logsumexp(values / TAU, 0).item() == pytest.approx(log_z, abs=1e-12)
        papers = TAU * torch.logsumexp((values - rest) / TAU, 0).item()
        assert papers == pytest.approx(log_z - rest, abs=1e-12)
        ends = values_of(row, TAU)[[NODE[p] for p in PREFIXES], EOS]
        assert ends[0].item() == pytest.approx(rest)
        assert (ends[1:] == 0).all()


@pytest.mark.parametrize("tau", [0.4, 1.0, 5.0])
def test_the_exact_values_have_no_residual(tau: float) -> None:
    algorithm = soft_q(exact_critic(tau), tau=tau)
    batch = batch_of(REFERENCES, width=6)
    loss, gradient = loss_and_gradient(algorithm, batch)
    assert loss < 1e-20
    assert gradient.abs().max() < 1e-10
    total, count = algorithm.evaluate(batch, Clock())["td_error"]
    assert total < 1e-10
    assert count == 3 * sum(map(len, SEQUENCES))


def test_soft_q_learning_finds_the_payoff_distribution() -> None:
    table = random_critic().table.detach()
    for prefix in PREFIXES:
        table[:, NODE[prefix], UNK] = BARRED
        if len(prefix) == STEPS - 1:
            table[:, NODE[prefix], list(WORDS)] = BARRED
    critic = TabularPolicy(table, column=1)
    algorithm, batch = soft_q(critic, tau=1.0), batch_of(REFERENCES)
    optimizer = torch.optim.LBFGS(
        critic.parameters(), max_iter=150, line_search_fn="strong_wolfe", tolerance_change=1e-14
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = algorithm.losses(batch, Clock())["critic"]
        loss.backward()
        return loss

    optimizer.step(closure)
    for row, payoffs in zip(ROWS, torch.softmax(RETURNS, 1), strict=True):
        found = [sequence_log_prob(critic.table[row], y, forced=False).exp() for y in SEQUENCES]
        torch.testing.assert_close(torch.stack(found), payoffs, rtol=0, atol=1e-4)


# Soft Q-learning


def residuals(
    values: Tensor, ahead: Tensor, y: tuple[int, ...], row: int, tau: float = TAU
) -> list[Tensor]:
    """Q(y_<t, y_t) - (r_t + tau logsumexp of `ahead`) along y, from tables [nodes, V]."""
    rewards, found = increments().table[row], []
    for t, token in enumerate(y):
        node = NODE[y[:t]]
        target = rewards[node, token]
        if t + 1 < len(y):
            target = target + tau * torch.logsumexp(ahead[NODE[y[: t + 1]]] / tau, 0)
        found.append(values[node, token] - target)
    return found


@pytest.mark.parametrize("beta", [None, 0.3])
@pytest.mark.parametrize("width", [4, 7])
def test_the_loss_and_its_gradient_go_through_both_sides_or_one(
    beta: float | None, width: int
) -> None:
    """A mean over sentences and their trajectories; with a target network V is a constant."""
    rows = [(4, EOS), (5, 6, EOS), (EOS,), (6, 4, 4, EOS)]
    critic = random_critic()
    drawn = Fixed(trajectories_of(rows, group=2, width=width))
    algorithm = soft_q(critic, proposal=drawn, beta=beta)
    loss, gradient = loss_and_gradient(algorithm, batch_of([(5, EOS), (4, EOS)]))
    expected = torch.zeros(()).double()
    for n, y in enumerate(rows):
        table = critic.table[(5, 4)[n // 2]]
        ahead = table if beta is None else table.detach()
        expected = expected + sum(
            e.square() for e in residuals(table, ahead, y, (5, 4)[n // 2])
        ) / len(rows)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
    (slope,) = torch.autograd.grad(expected, critic.table)
    torch.testing.assert_close(gradient, slope, rtol=0, atol=1e-12)


def test_the_target_network_follows_and_gives_the_values_ahead() -> None:
    critic, batch = random_critic(), batch_of(REFERENCES)
    algorithm = soft_q(critic, beta=0.3)
    first = critic.table.detach().clone()
    with torch.no_grad():
        critic.table += value_table(5)
    algorithm.after_update(Clock())
    slow = 0.7 * first + 0.3 * critic.table.detach()
    _, errors = algorithm.judge(batch, algorithm.proposed(batch, Clock()))
    for y in SEQUENCES:
        expected = torch.stack(residuals(critic.table[4], slow[4], y, 4))
        torch.testing.assert_close(errors[: len(y)], expected, rtol=0, atol=1e-12)
        errors = errors[len(y) :]
    assert not any(p.requires_grad for p in algorithm.target.parameters())
    assert soft_q().state_dict() == {}
    torch.testing.assert_close(algorithm.state_dict()["target"]["table"], slow)


def test_the_released_codes_bootstrap_changes_the_last_steps_of_shorter_sequences_alone() -> None:
    """There r_T becomes r_T + V(state after EOS), but not where the batch ends."""
    rows = [(4, EOS), (5, 6, EOS), (EOS,), (6, 4, 4, EOS)]
    critic, batch = random_critic(), batch_of([(4, EOS), (5, EOS)])
    drawn = trajectories_of(rows, group=2)
    errors = {}
    for bootstrap in (False, True):
        algorithm = soft_q(critic, proposal=Fixed(drawn), terminal_bootstrap=bootstrap)
        errors[bootstrap] = algorithm.judge(batch, drawn)[1]
        plain = errors[bootstrap].square().sum() / 4
        assert algorithm.losses(batch, Clock())["critic"].item() == pytest.approx(plain.item())
    change = drawn.padded(errors[True] - errors[False])
    expected = torch.zeros(4, 4).double()
    for n, y in enumerate(rows[:3]):
        after = critic.table[(4, 5)[n // 2], SINK]
        expected[n, len(y) - 1] = -TAU * torch.logsumexp(after / TAU, 0)
    torch.testing.assert_close(change, expected, rtol=0, atol=1e-12)


def test_the_penalty_is_on_the_spread_of_the_actions() -> None:
    """Not on padding and BOS, whose logits are barred."""
    critic, batch = random_critic(), batch_of(REFERENCES)
    plain, _ = loss_and_gradient(soft_q(critic), batch)
    loss, gradient = loss_and_gradient(soft_q(critic, lambda_var=0.7), batch)
    expected = 0.0
    for row in ROWS:
        for y in SEQUENCES:
            for t in range(len(y)):
                values = critic.table[row, NODE[y[:t]], [UNK, EOS, *WORDS]]
                expected += (values - values.mean()).square().sum().item() / 3 / len(SEQUENCES)
    assert loss.item() - plain.item() == pytest.approx(0.7 * expected, abs=1e-9)
    assert not gradient[..., [PAD, BOS]].any()


def test_padding_that_is_bos_too_is_left_out_once() -> None:
    values = torch.arange(12.0).view(2, 6)
    batch = batch_of(REFERENCES)
    for specials, words in ((Specials(0, 1, 2, 3), [1, 3, 4, 5]), (Specials(5, 1, 5, 0), range(5))):
        assert specials.no_actions == tuple(sorted({specials.pad, specials.bos}))
        found = actions(values, replace(batch, specials=specials))
        assert torch.equal(found, values[:, list(words)])


def test_dev_losses_and_reported_numbers() -> None:
    critic, batch = random_critic(), batch_of(REFERENCES, width=6)
    algorithm = soft_q(critic)
    algorithm.losses(batch, Clock())
    found = algorithm.evaluate(batch, Clock())
    errors = [
        error.abs().item()
        for row in ROWS
        for y in SEQUENCES
        for error in residuals(critic.table[row], critic.table[row], y, row)
    ]
    assert found["td_error"][0].item() == pytest.approx(sum(errors))
    assert found["td_error"][1].item() == len(errors)
    references = zip(ROWS, REFERENCES, strict=True)
    nll = [-sequence_log_prob(critic.table[row] / TAU, y, forced=False) for row, y in references]
    assert found["nll"][0].item() == pytest.approx(sum(nll).item())
    assert found["nll"][1].item() == 9
    metrics = algorithm.metrics()
    assert metrics["td_error"].item() == pytest.approx(sum(errors) / len(errors))
    visited = [
        (critic.table[row, NODE[y[:t]]], token)
        for row in ROWS
        for y in SEQUENCES
        for t, token in enumerate(y)
    ]
    taken = [values[token].item() for values, token in visited]
    assert metrics["q_max"].item() == max(taken)
    assert metrics["q_min"].item() == min(taken)
    spread = sum(values[[UNK, EOS, *WORDS]].var(correction=0) for values, _ in visited)
    assert metrics["q_spread"].item() == pytest.approx((spread / len(visited)).sqrt().item())
    assert metrics["reward"].item() == pytest.approx(RETURNS.mean().item())
    log_p = [
        torch.log_softmax(critic.table[row, NODE[y[:t]]] / TAU, 0)
        for row in ROWS
        for y in SEQUENCES
        for t in range(len(y))
    ]
    disorder = -sum((each.exp() * each).sum().item() for each in log_p) / len(log_p)
    assert metrics["entropy"].item() == pytest.approx(disorder)


def test_a_reward_of_whole_sequences_will_not_do() -> None:
    with pytest.raises(ValueError, match="reward for every token"):
        soft_q(reward=Known())


# Value augmented maximum likelihood


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("proposal", [NGramReplacement(samples=3), TokenCorruption(samples=4)])
def test_without_token_targets_it_is_raml_to_the_bit(proposal: Any, kind: torch.dtype) -> None:
    policy, batch = TabularPolicy(policy_table(0).to(kind)), batch_of(REFERENCES)
    critic = TabularPolicy(random_critic().table.detach().to(kind), column=1)
    options = {"policy": policy, "proposal": proposal, "reward": BleuReward(), "tau": 0.7}
    clock = Clock(update=3, seed=2)
    found = loss_and_gradient(VAML(critic=critic, kappa=0.0, **options), batch, clock)
    expected = loss_and_gradient(RAML(**options), batch, clock)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_of_the_reference_alone_it_is_maximum_likelihood_to_the_bit(kind: torch.dtype) -> None:
    policy, batch = TabularPolicy(policy_table(0).to(kind)), batch_of(REFERENCES)
    algorithm = vaml(
        policy,
        critic=TabularPolicy(random_critic().table.detach().to(kind), column=1),
        proposal=NGramReplacement(samples=1),
        reward=BleuReward(),
        kappa=0.0,
    )
    found, expected = (loss_and_gradient(a, batch) for a in (algorithm, MLE(policy=policy)))
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


def test_with_the_exact_values_and_every_sequence_it_is_raml_exactly() -> None:
    """Appendix A.2: both are the cross-entropy to the payoff distribution."""
    policy, batch = TabularPolicy(policy_table(0)), batch_of(REFERENCES)
    found = loss_and_gradient(vaml(policy, kappa=1.0), batch)
    expected = torch.zeros(()).double()
    for b, first in enumerate(ROWS):
        masses = torch.softmax(RETURNS[ROWS[first]] / TAU, 0)
        for y, mass in zip(SEQUENCES, masses, strict=True):
            log_prob = sequence_log_prob(policy.table[4 + b], y, forced=False)
            expected = expected - mass * log_prob / len(REFERENCES)
    assert found[0].item() == pytest.approx(expected.item(), abs=1e-9)
    (slope,) = torch.autograd.grad(expected, policy.table)
    torch.testing.assert_close(found[1], slope, rtol=0, atol=1e-9)
    other = loss_and_gradient(vaml(policy, kappa=1.0, critic=random_critic()), batch)
    assert (other[1] - slope).abs().max() > 0.01


def test_each_token_has_a_coin_of_its_own() -> None:
    rows = [(4, EOS), (5, 6, EOS), (EOS,), (6, 4, 4, EOS)]
    batch = batch_of([(4, EOS), (5, EOS)])
    noise = torch.tensor(
        [[0.1, 0.9, 0.3, 0.29], [0.31, 0.2, 0.0, 0.5], [0.0, 0.7, 0.0, 0.1], [0.0, 0.0, 0.0, 0.9]]
    )
    policy, critic = TabularPolicy(policy_table(0)), random_critic()
    algorithm = vaml(
        policy,
        critic=critic,
        proposal=Fixed(trajectories_of(rows, group=2)),
        reward=BleuReward(),
        kappa=0.3,
        value_tau=2.0,
    )
    scored = algorithm.scored(batch, Scripted(noise))
    terms = algorithm.terms(scored, batch)
    for n, y in enumerate(rows):
        row = 4 + n // 2
        for t, token in enumerate(y):
            node = NODE[y[:t]]
            log_p = torch.log_softmax(policy.table[row, node], -1)
            target = torch.softmax(critic.table[row, node] / 2.0, -1)
            expected = (target * log_p).sum() if noise[t, n] < 0.3 else log_p[token]
            assert terms[n, t].item() == pytest.approx(expected.item(), abs=1e-9)


def test_the_share_of_tokens_with_a_target_is_kappa() -> None:
    batch = batch_of([(4, 5, 6, EOS)] * 3)
    policy, seen = TabularPolicy(policy_table(0)), []
    algorithm = vaml(policy, proposal=Fixed(trajectories_of([(4, 5, 6, EOS)] * 6000, group=2000)))
    algorithm.kappa = 0.2
    project = algorithm.critic.project
    algorithm.critic.project = lambda features: seen.append(len(features)) or project(features)
    clock = Clock(update=2, seed=1)
    algorithm.reward = BleuReward()
    algorithm.losses(batch, clock)
    (asked,) = seen
    assert abs(asked / 24000 - 0.2) < 4 * math.sqrt(0.16 / 24000)


def test_the_weights_have_a_temperature_of_their_own() -> None:
    policy, batch = TabularPolicy(policy_table(0)), batch_of(REFERENCES)
    found = loss_and_gradient(vaml(policy, kappa=0.0, tau=1.3), batch)[0]
    raml = RAML(policy=policy, proposal=every_sequence(len(REFERENCES)), reward=Known(), tau=1.3)
    assert torch.equal(found, loss_and_gradient(raml, batch)[0])


def test_the_critic_is_frozen_and_has_no_dropout() -> None:
    torch.manual_seed(0)
    sizes = {"source_size": 9, "target_size": SIZE, "specials": SPECIALS, "embedding": 4}
    critic = LSTM(**sizes, hidden=4, dropout=0.9, init=0.5)
    policy = LSTM(**sizes, hidden=4, dropout=0.0, init=0.5)
    algorithm = VAML(
        policy=policy,
        critic=critic,
        proposal=NGramReplacement(samples=2),
        reward=BleuReward(),
        kappa=1.0,
    )
    assert set(algorithm.learners()) == {"policy"}
    losses = [algorithm.losses(batch_of(REFERENCES), Clock())["policy"] for _ in range(2)]
    assert torch.equal(*losses)
    losses[0].backward()
    assert not critic.training
    assert all(p.grad is None and not p.requires_grad for p in critic.parameters())


# Of both


def perturbing(kind: type[Algorithm]) -> Any:
    if kind is SoftQLearning:
        return soft_q(proposal=NGramReplacement(samples=3), reward=BleuReward(), lambda_var=0.1)
    return vaml(
        TabularPolicy(policy_table(0)),
        critic=random_critic(),
        proposal=NGramReplacement(samples=3),
        reward=BleuReward(),
        kappa=0.5,
    )


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("kind", [SoftQLearning, VAML])
def test_parts_add_up_to_the_whole_noise_included(kind: type[Algorithm], rows: int) -> None:
    batch, clock = batch_of(REFERENCES), Clock(update=7, seed=3)
    algorithm = perturbing(kind)
    loss, gradient = loss_and_gradient(algorithm, batch, clock)
    parts = [loss_and_gradient(algorithm, part, clock) for part in batch.split(rows)]
    assert sum(part.item() for part, _ in parts) == pytest.approx(loss.item(), abs=1e-12)
    torch.testing.assert_close(sum(part for _, part in parts), gradient, rtol=0, atol=1e-12)


def test_absent_trajectories_count_for_nothing() -> None:
    drawn = trajectories_of([(4, EOS), (5, EOS)], group=2)
    mask = drawn.mask.clone()
    mask[1] = False
    proposal = Fixed(replace(drawn, mask=mask))
    batch = batch_of([(4, EOS)])
    loss, _ = loss_and_gradient(soft_q(proposal=proposal), batch)
    alone, _ = loss_and_gradient(soft_q(proposal=Fixed(trajectories_of([(4, EOS)]))), batch)
    assert loss.item() == pytest.approx(alone.item() / 2)


def test_unusable_arguments_are_refused() -> None:
    policy = TabularPolicy(policy_table(0))
    for options, message in (
        ({"tau": 0.0}, "tau"),
        ({"beta": 0.0}, "beta"),
        ({"beta": 1.5}, "beta"),
        ({"lambda_var": -1.0}, "lambda_var"),
    ):
        with pytest.raises(ValueError, match=message):
            soft_q(**options)
    for options, message in (
        ({"kappa": -0.1}, "kappa"),
        ({"kappa": 1.1}, "kappa"),
        ({"value_tau": 0.0}, "value_tau"),
        ({"tau": 0.0}, "tau"),
    ):
        with pytest.raises(ValueError, match=message):
            vaml(policy, **options)

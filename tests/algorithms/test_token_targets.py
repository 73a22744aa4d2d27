"""Targets that are distributions: the shared terms, label smoothing and distillation."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from seqrl.algorithms.base import WeightedLikelihood
from seqrl.algorithms.likelihood import MLE
from seqrl.algorithms.raml import RAML
from seqrl.algorithms.token_targets import Distillation, LabelSmoothing, Places, mixed_terms
from seqrl.data.counts import TokenCounts
from seqrl.losses import tempered
from seqrl.models.lstm import LSTM
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    BARRED,
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
    UNK,
    WORDS,
    Fixed,
    TabularPolicy,
    batch_of,
    nodes_of,
    policy_table,
    seeded,
    sequence_log_prob,
    trajectories_of,
    value_table,
)

REFERENCES = [(4, 5, 6, EOS), (5, EOS), (EOS,), (6, 6, EOS)]
EMITTED = (UNK, EOS, *WORDS)
COUNTS = TokenCounts([(4, 5, 4, EOS), (UNK, 4, EOS)], size=SIZE, bos=BOS)


def free_table(seed: int, rows: int = 9) -> Tensor:
    """Random logits with what no policy may emit barred, and nothing else."""
    table = value_table(seed, rows)
    table[..., [PAD, BOS]] = BARRED
    return table


def policy_of(seed: int = 0) -> TabularPolicy:
    return TabularPolicy(free_table(seed))


def loss_and_gradient(
    algorithm: WeightedLikelihood, batch: Batch, clock: Clock | None = None
) -> tuple[Tensor, Tensor]:
    loss = algorithm.losses(batch, clock or Clock())["policy"]
    (gradient,) = torch.autograd.grad(loss, list(algorithm.policy.parameters()))
    return loss.detach(), gradient


def assert_same(
    found: WeightedLikelihood, expected: WeightedLikelihood, batch: Batch, tolerance: float
) -> None:
    pairs = zip(loss_and_gradient(found, batch), loss_and_gradient(expected, batch), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance)


def smoothing(policy: TabularPolicy, **options: Any) -> LabelSmoothing:
    return LabelSmoothing(policy=policy, **{"counts": COUNTS, **options})


def distillation(policy: TabularPolicy, **options: Any) -> Distillation:
    return Distillation(policy=policy, **{"teacher": policy_of(7), **options})


# The terms


def scored_on(policy: TabularPolicy, width: int = 0) -> tuple[Any, Batch]:
    batch = batch_of(REFERENCES, width)
    return MLE(policy=policy).scored(batch, Clock()), batch


def distributions(shape: tuple[int, ...], seed: int = 1) -> Tensor:
    noise = torch.randn(*shape, SIZE, generator=seeded(seed), dtype=torch.float64)
    noise[..., [PAD, BOS]] = -math.inf
    return torch.softmax(noise, -1)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0, "each"])
def test_a_term_is_the_mixture_of_likelihood_and_negative_cross_entropy(
    share: float | str,
) -> None:
    scored, batch = scored_on(policy_of())
    shape = batch.target.shape
    c = torch.rand(shape, generator=seeded(2)).double() if share == "each" else share
    if isinstance(c, Tensor):
        c[0, 1] = c[3, 0] = 0.0
        c[0, 2] = 1.0
    targets = distributions(tuple(shape))
    terms = mixed_terms(scored, c, lambda places: targets[batch.target_mask][places])
    log_p = torch.zeros(*shape, SIZE).double()
    log_p[batch.target_mask] = torch.log_softmax(
        scored.policy.project(scored.features).detach(), -1
    )
    for b, y in enumerate(REFERENCES):
        for t, token in enumerate(y):
            part = c[b, t] if isinstance(c, Tensor) else c
            cross = sum(targets[b, t, v] * log_p[b, t, v] for v in EMITTED)
            expected = (1 - part) * log_p[b, t, token] + part * cross
            assert terms[b, t].item() == pytest.approx(expected.item(), abs=1e-12)


def test_the_gradient_is_the_policy_less_the_mixed_target() -> None:
    scored, batch = scored_on(policy_of())
    c = torch.rand(batch.target.shape, generator=seeded(2)).double()
    targets = distributions(tuple(batch.target.shape)).requires_grad_()
    mask = batch.target_mask
    terms = mixed_terms(scored, c, lambda places: targets[mask][places])
    (found,) = torch.autograd.grad(-terms[mask].sum(), scored.features, retain_graph=True)
    onehot = torch.nn.functional.one_hot(batch.target, SIZE)
    mixed = (1 - c).unsqueeze(-1) * onehot + c.unsqueeze(-1) * targets.detach()
    expected = torch.softmax(scored.policy.project(scored.features), -1) - mixed[mask]
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=1e-12)
    (none,) = torch.autograd.grad(terms.sum(), targets, allow_unused=True)
    assert none is None


@pytest.mark.parametrize("share", [0.0, torch.zeros(4, 4)])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_no_share_is_the_plain_term_to_the_bit(share: float | Tensor, kind: torch.dtype) -> None:
    scored, batch = scored_on(TabularPolicy(free_table(0).to(kind)))
    targets = distributions(tuple(batch.target.shape)).to(kind)
    share = share.to(kind) if isinstance(share, Tensor) else share
    terms = mixed_terms(scored, share, lambda places: targets[batch.target_mask][places])
    assert torch.equal(terms, scored.log_probs)
    gradients = [
        torch.autograd.grad(values.sum(), scored.features, retain_graph=True)[0]
        for values in (terms, scored.log_probs)
    ]
    assert torch.equal(*gradients)


def test_distributions_are_asked_for_only_where_they_count() -> None:
    scored, batch = scored_on(policy_of(), width=6)
    share = torch.zeros(batch.target.shape).double()
    share[0, 1] = share[2, 0] = share[1, 4] = 0.5  # the last one is padding
    asked: list[Places] = []

    def distribution(places: Places) -> Tensor:
        asked.append(places)
        return distributions((2,))

    mixed_terms(scored, share, distribution)
    (places,) = asked
    assert isinstance(places, Tensor)
    found = torch.zeros_like(batch.target_mask)
    found[batch.target_mask] = places
    assert found.nonzero().tolist() == [[0, 1], [2, 0]]


def test_half_precision_logits_are_summed_in_single_precision() -> None:
    scored, batch = scored_on(TabularPolicy(free_table(0).float()))
    halved = replace(scored, features=scored.features.bfloat16())
    exact = replace(scored, features=halved.features.float())
    targets = distributions(tuple(batch.target.shape)).float()
    for share in (0.5, torch.full(batch.target.shape, 0.5)):
        found, expected = (
            mixed_terms(one, share, lambda places: targets[batch.target_mask][places])
            for one in (halved, exact)
        )
        assert torch.equal(found, expected)
    logits = halved.policy.project(halved.features).detach()
    assert torch.equal(tempered(logits, 0.7), torch.softmax(logits.float() / 0.7, -1))
    assert tempered(logits.double(), 0.7).dtype == torch.float64


# Label smoothing


@pytest.mark.parametrize("prior", ["uniform", "unigram"])
def test_priors_are_distributions_over_what_a_policy_may_emit(prior: str) -> None:
    found = smoothing(policy_of(), prior=prior).prior
    if prior == "uniform":
        assert found.tolist() == pytest.approx([0, 1 / 5, 0, *[1 / 5] * 4])
    else:  # 4 5 4 EOS UNK 4 EOS
        assert found.tolist() == pytest.approx([0, 1 / 7, 0, 2 / 7, 3 / 7, 1 / 7, 0])
    assert found.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("prior", ["uniform", "unigram"])
def test_smoothed_loss_and_gradient(prior: str) -> None:
    """Every position of the reference is smoothed, EOS's too."""
    policy, batch = policy_of(), batch_of(REFERENCES, width=7)
    algorithm = smoothing(policy, prior=prior, epsilon=0.3)
    loss, gradient = loss_and_gradient(algorithm, batch)
    expected, slope = 0.0, torch.zeros_like(policy.table)
    for b, y in enumerate(REFERENCES):
        for t, token in enumerate(y):
            logits = policy.table[4 + b, NODE[y[:t]]].detach()
            log_p = torch.log_softmax(logits, -1)
            target = 0.3 * algorithm.prior
            target[token] += 0.7
            expected -= sum((target[v] * log_p[v]).item() for v in EMITTED) / 4
            slope[4 + b, NODE[y[:t]]] = (log_p.exp() - target) / 4
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    torch.testing.assert_close(gradient, slope, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_without_smoothing_it_is_maximum_likelihood_to_the_bit(kind: torch.dtype) -> None:
    policy, batch = TabularPolicy(free_table(0).to(kind)), batch_of(REFERENCES)
    found = loss_and_gradient(smoothing(policy, epsilon=0.0), batch)
    expected = loss_and_gradient(MLE(policy=policy), batch)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


def strings_and_masses(reference: tuple[int, ...], prior: Tensor, epsilon: float) -> Any:
    """All strings of the reference's length, and q(y) = prod_t (1-eps) 1(y_t=y*_t) + eps u(y_t)."""
    strings = list(itertools.product(EMITTED, repeat=len(reference)))
    masses = [
        math.prod(
            (1 - epsilon) * (v == token) + epsilon * prior[v].item()
            for v, token in zip(y, reference, strict=True)
        )
        for y in strings
    ]
    return strings, masses


@pytest.mark.parametrize("prior", ["uniform", "unigram"])
@pytest.mark.parametrize("reference", [(4, 5, EOS), (EOS,), (6, 4, 5, EOS)])
def test_it_is_the_expectation_over_targets_drawn_at_every_position_of_the_reference(
    reference: tuple[int, ...], prior: str
) -> None:
    """The inputs stay the reference's; by enumeration of the drawn targets."""
    policy, batch = policy_of(), batch_of([reference])
    algorithm = smoothing(policy, prior=prior, epsilon=0.25)
    strings, masses = strings_and_masses(reference, algorithm.prior, 0.25)
    assert sum(masses) == pytest.approx(1)
    targets = torch.tensor(strings)
    inputs = batch.target_inputs.repeat(len(strings), 1)
    nodes = nodes_of(inputs)
    log_p = torch.log_softmax(policy.table[4][nodes], -1).gather(-1, targets.unsqueeze(-1))
    expected = -(torch.tensor(masses, dtype=torch.float64) * log_p.squeeze(-1).sum(1)).sum()
    loss, gradient = loss_and_gradient(algorithm, batch)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
    (slope,) = torch.autograd.grad(expected, policy.table)
    torch.testing.assert_close(gradient, slope, rtol=0, atol=1e-12)


class LogMass(Reward):
    """log q(y), so that RAML's payoff distribution at temperature 1 is q."""

    def __init__(self, masses: list[float]) -> None:
        super().__init__()
        self.masses = torch.tensor(masses, dtype=torch.float64)

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        return self.masses.log()


def payoff(policy: TabularPolicy, reference: tuple[int, ...], prior: Tensor, eps: float) -> RAML:
    """RAML with all strings of the reference's length, whose payoff distribution is q."""
    strings, masses = strings_and_masses(reference, prior, eps)
    drawn = trajectories_of(strings, group=len(strings))
    assert drawn.mask.all()
    return RAML(policy=policy, proposal=Fixed(drawn), reward=LogMass(masses), tau=1.0)


@pytest.mark.parametrize("reference", [(4, 5, EOS), (6, 4, 5, EOS)])
def test_of_a_policy_that_heeds_no_prefix_it_is_raml_with_independent_noise(
    reference: tuple[int, ...],
) -> None:
    """The equivalence of Norouzi et al.'s objective and label smoothing, where it is exact."""
    table = free_table(3)
    heedless = TabularPolicy(table[:, :1].expand_as(table))
    batch = batch_of([reference])
    algorithm = smoothing(heedless, epsilon=0.25)
    raml = payoff(heedless, reference, algorithm.prior, 0.25)
    found, expected = loss_and_gradient(algorithm, batch), loss_and_gradient(raml, batch)
    assert found[0].item() == pytest.approx(expected[0].item(), abs=1e-11)
    torch.testing.assert_close(found[1].sum(1), expected[1].sum(1), rtol=0, atol=1e-11)


def test_of_any_other_policy_it_is_not_since_raml_also_draws_what_the_policy_reads() -> None:
    policy, batch = policy_of(), batch_of([(4, 5, EOS)])
    algorithm = smoothing(policy, epsilon=0.25)
    raml = payoff(policy, (4, 5, EOS), algorithm.prior, 0.25)
    found, expected = loss_and_gradient(algorithm, batch), loss_and_gradient(raml, batch)
    assert abs(found[0].item() - expected[0].item()) > 0.01
    read = {NODE[()], NODE[(4,)], NODE[(4, 5)]}
    for node in range(NODES):
        assert found[1][4, node].any() == (node in read)
    assert expected[1][4, NODE[(5,)]].any()


# Distillation by words


def test_without_the_teacher_it_is_maximum_likelihood_to_the_bit() -> None:
    batch = batch_of(REFERENCES)
    for kind in (torch.float32, torch.float64):
        policy = TabularPolicy(free_table(0).to(kind))
        found = loss_and_gradient(distillation(policy, kappa=0.0), batch)
        expected = loss_and_gradient(MLE(policy=policy), batch)
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_teacher_that_is_sure_of_the_reference_teaches_maximum_likelihood(
    temperature: float,
) -> None:
    table = torch.full_like(free_table(0), BARRED)
    for b, y in enumerate(REFERENCES):
        for t, token in enumerate(y):
            table[4 + b, NODE[y[:t]], token] = 0.0
    policy = policy_of()
    learner = distillation(policy, teacher=TabularPolicy(table), kappa=1.0, temperature=temperature)
    assert_same(learner, MLE(policy=policy), batch_of(REFERENCES), 1e-12)


def test_of_one_who_is_the_teacher_nothing_changes() -> None:
    learner = distillation(policy_of(7), kappa=1.0)
    loss, gradient = loss_and_gradient(learner, batch_of(REFERENCES))
    assert loss > 0.1
    assert gradient.abs().max() < 1e-12
    assert loss_and_gradient(distillation(policy_of(6), kappa=1.0), batch_of(REFERENCES))[1].any()


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_share_mixes_likelihood_and_cross_entropy_to_the_teacher(temperature: float) -> None:
    policy, teacher, batch = policy_of(), policy_of(7), batch_of(REFERENCES, width=6)
    learner = distillation(policy, teacher=teacher, kappa=0.3, temperature=temperature)
    loss, gradient = loss_and_gradient(learner, batch)
    expected, slope = 0.0, torch.zeros_like(policy.table)
    for b, y in enumerate(REFERENCES):
        for t, token in enumerate(y):
            node = NODE[y[:t]]
            log_p = torch.log_softmax(policy.table[4 + b, node].detach(), -1)
            target = 0.3 * torch.softmax(teacher.table[4 + b, node] / temperature, -1)
            target[token] += 0.7
            expected -= sum((target[v] * log_p[v]).item() for v in EMITTED) / 4
            slope[4 + b, node] = (log_p.exp() - target) / 4
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    torch.testing.assert_close(gradient, slope, rtol=0, atol=1e-12)


def test_words_along_the_teachers_sequences_add_up_to_the_cross_entropy_of_sequences() -> None:
    """The chain rule: E_q[sum_t CE(q(. | y_<t) || p(. | y_<t))] = -E_q[log p(y)], q the teacher."""
    table = policy_table(7, rows=9)
    for prefix in PREFIXES:
        if len(prefix) == STEPS - 1:  # where only EOS is left
            table[:, NODE[prefix], list(WORDS)] = BARRED
    teacher, policy = TabularPolicy(table), TabularPolicy(policy_table(0, rows=9))
    total, expected = 0.0, 0.0
    for y in SEQUENCES:
        mass = sequence_log_prob(teacher.table[5], y, forced=False).exp().detach()
        learner = distillation(
            policy,
            teacher=teacher,
            kappa=1.0,
            proposal=Fixed(trajectories_of([(EOS,), y], width=STEPS)),
        )
        batch = batch_of([(EOS,), (4, EOS)])  # the sequence's source is the second's, 5
        first = -(
            torch.softmax(teacher.table[4, NODE[()]], -1)[3:]
            * torch.log_softmax(policy.table[4, NODE[()]], -1)[3:]
        ).sum()
        total = total + mass * (2 * learner.losses(batch, Clock())["policy"] - first)
        expected = expected - mass * sequence_log_prob(policy.table[5], y, forced=False)
    assert total.item() == pytest.approx(expected.item(), abs=1e-9)
    (found,) = torch.autograd.grad(total, policy.table)
    (slope,) = torch.autograd.grad(expected, policy.table)
    torch.testing.assert_close(found, slope, rtol=0, atol=1e-9)


def test_the_teacher_says_the_same_to_all_trajectories_of_a_source() -> None:
    policy, teacher = policy_of(), policy_of(7)
    rows = [(4, EOS), (5, 6, EOS), (6, EOS), (EOS,)]
    batch = batch_of([(4, EOS), (5, EOS)])
    learner = distillation(
        policy, teacher=teacher, kappa=1.0, proposal=Fixed(trajectories_of(rows, group=2))
    )
    found = learner.losses(batch, Clock())["policy"]
    expected = 0.0
    for n, y in enumerate(rows):
        for t in range(len(y)):
            node = NODE[y[:t]]
            target = torch.softmax(teacher.table[4 + n // 2, node], -1)
            log_p = torch.log_softmax(policy.table[4 + n // 2, node], -1)
            expected -= (target[list(EMITTED)] * log_p[list(EMITTED)]).sum().item() / 4
    assert found.item() == pytest.approx(expected, abs=1e-12)


def test_the_teacher_is_frozen_and_has_no_dropout() -> None:
    def network(seed: int, dropout: float) -> LSTM:
        torch.manual_seed(seed)
        return LSTM(
            source_size=9,
            target_size=SIZE,
            specials=SPECIALS,
            embedding=4,
            hidden=4,
            dropout=dropout,
            init=0.5,
        )

    policy, teacher = network(0, 0.0), network(1, 0.9)
    learner = Distillation(policy=policy, teacher=teacher, kappa=1.0)
    assert set(learner.learners()) == {"policy"}
    policy.train()
    losses = [learner.losses(batch_of(REFERENCES), Clock())["policy"] for _ in range(2)]
    assert torch.equal(*losses)
    losses[0].backward()
    assert not teacher.training
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())


# Of both


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("make", [smoothing, distillation])
def test_parts_add_up_to_the_whole(make: Any, rows: int) -> None:
    batch, clock = batch_of(REFERENCES), Clock(update=3, seed=1)
    algorithm = make(policy_of())
    loss, gradient = loss_and_gradient(algorithm, batch, clock)
    parts = [loss_and_gradient(algorithm, part, clock) for part in batch.split(rows)]
    assert sum(part.item() for part, _ in parts) == pytest.approx(loss.item(), abs=1e-12)
    torch.testing.assert_close(sum(part for _, part in parts), gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [smoothing, distillation])
def test_wider_padding_changes_nothing(make: Any) -> None:
    policy = policy_of()
    found = [loss_and_gradient(make(policy), batch_of(REFERENCES, width)) for width in (4, 9)]
    for narrow, wide in zip(*found, strict=True):
        torch.testing.assert_close(narrow, wide, rtol=0, atol=1e-12)


def test_the_reported_and_the_dev_loss_are_of_the_tokens_themselves() -> None:
    policy, batch = policy_of(), batch_of(REFERENCES)
    for algorithm in (smoothing(policy), distillation(policy)):
        plain = MLE(policy=policy)
        assert algorithm.evaluate(batch, Clock()) == plain.evaluate(batch, Clock())
        for each in (algorithm, plain):
            each.losses(batch, Clock())
        assert algorithm.metrics() == plain.metrics()


def test_unusable_arguments_are_refused() -> None:
    for value in (-0.1, 1.1):
        with pytest.raises(ValueError, match="epsilon"):
            smoothing(policy_of(), epsilon=value)
        with pytest.raises(ValueError, match="kappa"):
            distillation(policy_of(), kappa=value)
    with pytest.raises(ValueError, match="prior"):
        smoothing(policy_of(), prior="bigram")
    with pytest.raises(ValueError, match="temperature"):
        distillation(policy_of(), temperature=0.0)


def test_trajectories_that_are_absent_teach_nothing() -> None:
    rows = trajectories_of([(4, EOS), (5, EOS)], group=2)
    mask = rows.mask.clone()
    mask[1] = False
    policy, batch = policy_of(), batch_of([(4, EOS)])
    found = loss_and_gradient(
        distillation(policy, kappa=1.0, proposal=Fixed(replace(rows, mask=mask))), batch
    )
    alone = loss_and_gradient(distillation(policy, kappa=1.0), batch)
    torch.testing.assert_close(2 * found[0], alone[0], rtol=0, atol=1e-12)

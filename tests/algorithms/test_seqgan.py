"""Adversarial training against enumeration: values, gradients, turns, both losses."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from networks import lstm
from seqrl.algorithms.seqgan import Adversarial, DiscriminatorTraining
from seqrl.models.discriminator import CNNDiscriminator
from seqrl.proposals.sampling import Sampling
from seqrl.types import Batch, Clock, Trajectories
from tabular import (
    BARRED,
    EOS,
    PAD,
    SEQUENCES,
    SIZE,
    SPECIALS,
    STEPS,
    WORDS,
    Fixed,
    TabularPolicy,
    batch_of,
    law,
    padded,
    policy_table,
    rows_of,
    seeded,
    trajectories_of,
)


class TabularDiscriminator(nn.Module):
    """A free logit for every sequence."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits.clone())
        self.output = nn.Linear(1, 1).double()

    def read(self, batch: Batch) -> None:
        return None

    def forward(self, tokens: Tensor, mask: Tensor, sources: None) -> Tensor:
        rows = [tuple(r) for r in rows_of(tokens)]
        return self.logits[[SEQUENCES.index(row) for row in rows]]


def judge(seed: int = 3) -> TabularDiscriminator:
    logits = torch.randn(len(SEQUENCES), generator=seeded(seed), dtype=torch.float64)
    return TabularDiscriminator(logits)


def copies(count: int) -> Batch:
    """One sentence so many times."""
    target = padded([(4, 5, 6, EOS)] * count)
    return Batch(torch.full((count, 1), 4), target, target.unsqueeze(1), PAD, SPECIALS)


class ToTheEnd(Fixed):
    """Trajectories that were given, of samples that four tokens are the most of."""

    def longest(self, batch: Batch) -> int:
        return STEPS


def everything() -> Trajectories:
    """All sequences once, as sampling leaves them: a sequence of four tokens had to end."""
    found = trajectories_of(SEQUENCES)
    return replace(found, cut=found.length == STEPS)


def adversarial(policy: Any = None, discriminator: Any = None, **options: Any) -> Adversarial:
    settings: dict[str, Any] = {"proposal": ToTheEnd(everything()), "completions": 2} | options
    return Adversarial(
        policy=policy or TabularPolicy(policy_table(0)),
        discriminator=discriminator or judge(),
        **settings,
    )


def expected_judgement(logits: Tensor, judgements: Tensor) -> Tensor:
    """E[D(y) | y_1..t] [40, T] of every sequence's prefixes, D [40]; D(y) itself at the last."""
    probabilities = law(logits)
    found = torch.zeros(len(SEQUENCES), STEPS, dtype=torch.float64)
    for n, y in enumerate(SEQUENCES):
        for t in range(1, len(y) + 1):
            own = torch.tensor([z[:t] == y[:t] for z in SEQUENCES])
            found[n, t - 1] = (probabilities * judgements)[own].sum() / probabilities[own].sum()
    return found


def gradient(loss: Tensor, policy: nn.Module) -> Tensor:
    (found,) = torch.autograd.grad(loss, list(policy.parameters()))
    return found


def test_values_converge_to_the_expected_judgement() -> None:
    """Within four standard errors of D, which is at most 1/2, from 40,000 completions each."""
    policy, discriminator = TabularPolicy(policy_table(0)), judge()
    algorithm = adversarial(policy, discriminator, completions=40_000)
    values = algorithm.values(everything(), copies(len(SEQUENCES)), Clock())
    expected = expected_judgement(policy.table[4].detach(), discriminator.logits.sigmoid().detach())
    assert (values - expected).abs().max() < 4 * 0.5 / 200
    assert (values - expected).abs().max() > 0


def test_the_last_value_is_the_judgement_itself() -> None:
    discriminator = judge()
    values = adversarial(discriminator=discriminator).values(
        everything(), copies(len(SEQUENCES)), Clock()
    )
    last = values.gather(1, everything().length.unsqueeze(1) - 1).squeeze(1)
    assert torch.equal(last, discriminator.logits.sigmoid().detach())
    assert (values[~everything().mask] == 0).all()


def test_values_of_a_policy_without_a_choice_do_not_vary() -> None:
    """Whatever is drawn: every prefix leads to one sequence."""
    table = policy_table(0)
    table[..., [EOS, *WORDS]] = BARRED
    table[..., WORDS[1]] = 0.0  # on and on
    found = [
        adversarial(TabularPolicy(table), completions=5).values(
            everything(), copies(len(SEQUENCES)), Clock(seed=seed)
        )
        for seed in range(3)
    ]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    discriminator = judge().logits.sigmoid()
    after_four = SEQUENCES.index((4, 5, 5, EOS))
    own = SEQUENCES.index((4, 6, EOS))
    assert abs(found[0][own, 0] - discriminator[after_four]) < 1e-12


def weighed(algorithm: Adversarial, probabilities: Tensor) -> None:
    """Make each of the batch's sentences an event of this probability."""
    weights = algorithm.weights
    share = (probabilities * len(probabilities)).unsqueeze(1)
    algorithm.weights = lambda *arguments: weights(*arguments) * share  # type: ignore[method-assign]


@pytest.mark.parametrize("baseline", [0.0, 0.3])
def test_the_expected_gradient_is_that_of_the_expected_judgement(baseline: float) -> None:
    """d/dtheta E_p[D(y)], with the exact values, over all samples and their probabilities."""
    policy, discriminator = TabularPolicy(policy_table(0)), judge()
    judgements = discriminator.logits.sigmoid().detach()
    algorithm = adversarial(policy, discriminator, baseline=baseline)
    exact = expected_judgement(policy.table[4].detach(), judgements)
    algorithm.values = lambda *_: exact  # type: ignore[method-assign]
    weighed(algorithm, law(policy.table[4]).detach())
    found = gradient(algorithm.losses(copies(len(SEQUENCES)), Clock())["policy"], policy)
    expected = gradient(-(law(policy.table[4]) * judgements).sum(), policy)
    assert torch.allclose(found, expected, atol=1e-12)
    assert expected.abs().max() > 0.005


def test_completions_leave_the_gradient_without_bias() -> None:
    """The mean gradient over many draws of the completions, two for each prefix."""
    policy, discriminator = TabularPolicy(policy_table(0)), judge()
    algorithm = adversarial(policy, discriminator)
    weighed(algorithm, law(policy.table[4]).detach())
    batch = copies(len(SEQUENCES))
    draws = torch.stack(
        [
            gradient(algorithm.losses(batch, Clock(seed=seed))["policy"], policy)
            for seed in range(300)
        ]
    )
    judgements = discriminator.logits.sigmoid().detach()
    expected = gradient(-(law(policy.table[4]) * judgements).sum(), policy)
    error = draws.std(0) / 300**0.5
    assert ((draws.mean(0) - expected).abs() <= 4.5 * error + 1e-12).all()


def test_a_judge_who_knows_nothing_teaches_nothing() -> None:
    policy = TabularPolicy(policy_table(0))
    algorithm = adversarial(policy, TabularDiscriminator(torch.full((40,), 0.7).double()))
    weighed(algorithm, law(policy.table[4]).detach())
    loss = algorithm.losses(copies(len(SEQUENCES)), Clock())["policy"]
    assert gradient(loss, policy).abs().max() < 1e-15


def test_the_discriminators_loss() -> None:
    """-(1/2B) sum [log D(y*) + mean_k log(1 - D(y_k))] + (l2/2) |u|^2, and its accuracy."""
    samples = trajectories_of([(4, EOS), (5, EOS), (6, 6, 6, EOS), (EOS,)], group=2)
    batch = batch_of([(4, 5, EOS), (5, 5, EOS)])
    discriminator = judge()
    algorithm = DiscriminatorTraining(
        policy=TabularPolicy(policy_table(0)),
        discriminator=discriminator,  # type: ignore[arg-type]
        proposal=Fixed(samples),
        l2=0.3,
    )
    loss = algorithm.losses(batch, Clock())["discriminator"]
    judged = dict(zip(SEQUENCES, discriminator.logits.sigmoid().tolist(), strict=True))
    real = [judged[(4, 5, EOS)], judged[(5, 5, EOS)]]
    fake = [judged[y] for y in [(4, EOS), (5, EOS), (6, 6, 6, EOS), (EOS,)]]
    total = sum(torch.tensor(d).log() for d in real)
    total += sum(torch.tensor(1 - d).log() / 2 for d in fake)
    weight = discriminator.output.weight.detach()
    expected = -total / 4 + 0.15 * weight.square().sum()
    assert abs(float((loss - expected).detach())) < 1e-7  # the logarithms are in single precision
    right = sum(d > 0.5 for d in real) + sum(d <= 0.5 for d in fake) / 2
    assert float(algorithm.metrics()["accuracy"]) == right / 4
    errors = algorithm.evaluate(batch, Clock())
    wrong, count = errors["discriminator_error"]
    assert float(wrong / count) == 1 - right / 4
    total, count = errors["discriminator_loss"]
    assert abs(float(total / count - (expected - 0.15 * weight.square().sum()))) < 1e-7
    assert not any(p.requires_grad for p in algorithm.policy.parameters())


def test_turns() -> None:
    """Two updates of the policy, three of the discriminator, and so on; the other sits out."""
    algorithm = adversarial(policy_steps=2, discriminator_steps=3)
    batch = copies(len(SEQUENCES))
    turns = [list(algorithm.losses(batch, Clock(update=u))) for u in range(7)]
    assert turns == [["policy"]] * 2 + [["discriminator"]] * 3 + [["policy"]] * 2


def network(**options: Any) -> Any:
    return lstm(0, source_size=9, target_size=SIZE, hidden=4, dropout=0.0, **options).double()


def cnn(dropout: float = 0.0) -> CNNDiscriminator:
    torch.manual_seed(1)
    return CNNDiscriminator(
        source_size=9,
        target_size=SIZE,
        specials=SPECIALS,
        embedding=3,
        windows=[1, 2],
        filters=[4, 4],
        dropout=dropout,
    ).double()


REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, 6, EOS), (4, 4, EOS)]


@pytest.mark.parametrize("update", [0, 1])
def test_the_parts_of_a_batch_add_up(update: int) -> None:
    """Of either learner: the same samples, completions and penalties."""
    batch, clock = batch_of(REFERENCES), Clock(update=update, seed=3)
    algorithm = Adversarial(
        policy=network(),
        discriminator=cnn(),
        proposal=Sampling(samples=2, max_length=6),
        completions=3,
        discriminator_steps=1,
    )
    name = "policy" if update == 0 else "discriminator"
    learner = algorithm.learners()[name]
    whole = torch.autograd.grad(algorithm.losses(batch, clock)[name], list(learner.parameters()))
    parts = [
        torch.autograd.grad(algorithm.losses(part, clock)[name], list(learner.parameters()))
        for part in batch.split(3)
    ]
    for one, several in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.allclose(one, torch.stack(several).sum(0), atol=1e-12)


def test_judgements_are_made_without_dropout() -> None:
    algorithm = Adversarial(
        policy=network(), discriminator=cnn(dropout=0.5), proposal=Sampling(), completions=2
    )
    batch = batch_of(REFERENCES)
    trajectories = batch.reference_trajectories()
    sources = algorithm.discriminating.discriminator.read(batch)
    one, other = (
        algorithm.judged(trajectories.targets, trajectories.mask, sources) for _ in range(2)
    )
    assert torch.equal(one, other)


def test_the_policy_that_completes_follows_the_one_that_learns() -> None:
    policy = TabularPolicy(policy_table(0))
    algorithm = adversarial(policy, completion_speed=0.25, discriminator_steps=1)
    before = policy.table.detach().clone()
    policy.table.data += 1.0
    algorithm.after_update(Clock(update=1))  # the discriminator's
    assert torch.equal(algorithm.completing.table, before)
    algorithm.after_update(Clock(update=2))
    assert torch.allclose(algorithm.completing.table, before + 0.25)
    state = copy.deepcopy(algorithm.state_dict())
    other = adversarial(TabularPolicy(policy_table(1)), completion_speed=0.25)
    other.load_state_dict(state)
    assert torch.allclose(other.completing.table, before + 0.25)
    assert adversarial(policy).completing is policy


def test_an_end_that_the_limit_put_has_no_weight() -> None:
    algorithm = adversarial()
    algorithm.losses(copies(len(SEQUENCES)), Clock())
    weights = algorithm.weights(everything(), torch.zeros(0), copies(len(SEQUENCES)))
    forced = everything().forced
    assert forced.sum() == 27
    assert (weights[forced] == 0).all()
    assert (weights[everything().mask & ~forced] > 0).all()

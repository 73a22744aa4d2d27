"""What the trainer relies on, for every algorithm that there is."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import seqrl
from networks import NETWORKS, lstm
from seqrl import algorithms
from seqrl.algorithms.actor_critic import ActorCritic, CriticTraining
from seqrl.algorithms.base import Algorithm, Decision
from seqrl.algorithms.baselines import Learned, RunningMean
from seqrl.algorithms.erpo import ERPO
from seqrl.algorithms.gold import GOLD
from seqrl.algorithms.interpolation import Interpolation
from seqrl.algorithms.kl_control import KLControl
from seqrl.algorithms.likelihood import MLE
from seqrl.algorithms.mixer import Mixer
from seqrl.algorithms.mrt import MinimumRisk
from seqrl.algorithms.raml import RAML
from seqrl.algorithms.reinforce import Reinforce
from seqrl.algorithms.seqgan import Adversarial, DiscriminatorTraining
from seqrl.algorithms.sequence_tutor import SequenceTutor
from seqrl.algorithms.spg import SPG
from seqrl.algorithms.token_targets import Distillation, LabelSmoothing
from seqrl.algorithms.vaml import VAML, SoftQLearning
from seqrl.data.counts import TokenCounts
from seqrl.models.base import Policy
from seqrl.models.discriminator import CNNDiscriminator
from seqrl.proposals.candidates import Candidates
from seqrl.proposals.exploring import Exploring
from seqrl.proposals.guided import RewardGuided
from seqrl.proposals.mixing import Mixing
from seqrl.proposals.mixture import TokenMixture
from seqrl.proposals.perturbation import NGramReplacement
from seqrl.proposals.sampling import Sampling
from seqrl.rewards.bleu import BleuReward
from seqrl.schedules import Constant
from seqrl.types import Clock
from tabular import EOS, SIZE, SPECIALS, batch_of

REFERENCES = [(4, 5, 6, EOS), (5, EOS), (6, 6, EOS)]


Network = Callable[[int], Policy[Any, Any]]
"""A small network from a seed."""


def tiny(kind: str, seed: int) -> Policy[Any, Any]:
    return NETWORKS[kind](seed, source_size=9, target_size=SIZE, hidden=4, dropout=0.0).double()


def actor_critic(kind: type[CriticTraining], network: Network) -> CriticTraining:
    return kind(
        policy=network(0),
        critic=network(1),
        reward=BleuReward(scale="reference_length"),
        proposal=Sampling(samples=2),
        tau=0.1,
        beta=0.2,
    )


def mixer(network: Network) -> Mixer:
    policy, prefix = network(0), Constant(value=0.5)
    return Mixer(
        policy=policy,
        proposal=Mixing(prefix=prefix, samples=2),
        reward=BleuReward(),
        baseline=Learned(policy=policy),
    )


def erpo(network: Network) -> ERPO:
    """On its way from perturbations to samples, which the clock of `update` passes."""
    return ERPO(
        policy=network(0),
        perturbation=NGramReplacement(),
        sampling=Candidates(),
        reward=BleuReward(),
        path=[{"alpha": 0, "beta": 0.4, "steps": 3}, {"alpha": 0.5, "beta": 0.1}],
    )


def sequence_tutor(network: Network) -> SequenceTutor:
    """Whose memory is full after two updates."""
    prior = network(1)
    return SequenceTutor(
        policy=network(0),
        prior=prior,
        proposal=Exploring(prior=prior, epsilon=0.2),
        reward=BleuReward(),
        memory=4,
        eta=0.2,
    )


def interpolation(network: Network) -> Interpolation:
    return Interpolation(
        policy=network(0),
        proposal=TokenMixture(),
        reward=BleuReward(),
        lambdas=[0.3, 0.4, 0.3],
    )


def judge() -> CNNDiscriminator:
    torch.manual_seed(2)
    sizes = {"source_size": 9, "target_size": SIZE, "specials": SPECIALS, "embedding": 3}
    return CNNDiscriminator(**sizes, windows=[1, 3], filters=[4, 4], dropout=0.0).double()  # type: ignore[arg-type]


MAKERS: dict[type[Algorithm], Callable[[Network], Algorithm]] = {
    MLE: lambda network: MLE(policy=network(0)),
    RAML: lambda network: RAML(policy=network(0), proposal=NGramReplacement(), reward=BleuReward()),
    Reinforce: lambda network: Reinforce(
        policy=network(0),
        proposal=Sampling(samples=3),
        reward=BleuReward(),
        baseline=RunningMean(),
    ),
    Mixer: mixer,
    MinimumRisk: lambda network: MinimumRisk(
        policy=network(0), proposal=Candidates(samples=3), reward=BleuReward()
    ),
    LabelSmoothing: lambda network: LabelSmoothing(
        policy=network(0), counts=TokenCounts(REFERENCES, size=SIZE, bos=SPECIALS.bos)
    ),
    Distillation: lambda network: Distillation(policy=network(0), teacher=network(1)),
    SoftQLearning: lambda network: SoftQLearning(
        critic=network(1), proposal=NGramReplacement(), reward=BleuReward(), beta=0.2
    ),
    VAML: lambda network: VAML(
        policy=network(0),
        critic=network(1),
        proposal=NGramReplacement(),
        reward=BleuReward(),
        kappa=0.5,
    ),
    SPG: lambda network: SPG(
        policy=network(0), guided=RewardGuided(), candidates=Candidates(), reward=BleuReward()
    ),
    ERPO: erpo,
    Interpolation: interpolation,
    CriticTraining: partial(actor_critic, CriticTraining),
    ActorCritic: partial(actor_critic, ActorCritic),
    GOLD: lambda network: GOLD(policy=network(0), renew_every=2),
    DiscriminatorTraining: lambda network: DiscriminatorTraining(
        policy=network(0), discriminator=judge(), proposal=Sampling(samples=2)
    ),
    Adversarial: lambda network: Adversarial(
        policy=network(0),
        discriminator=judge(),
        proposal=Sampling(samples=2),
        completions=2,
        discriminator_steps=1,
        completion_speed=0.5,
    ),
    SequenceTutor: sequence_tutor,
    KLControl: lambda network: KLControl(
        policy=network(0),
        prior=network(1),
        proposal=Sampling(samples=3),
        reward=BleuReward(),
        baseline=RunningMean(),
    ),
}

each = pytest.mark.parametrize(
    "make",
    [partial(make, partial(tiny, kind)) for make in MAKERS.values() for kind in NETWORKS],
    ids=[f"{algorithm.__name__} of {kind}" for algorithm in MAKERS for kind in NETWORKS],
)


def update(algorithm: Algorithm, number: int) -> dict[str, torch.Tensor]:
    """One step of plain gradient descent on all learners, as the trainer does it."""
    clock = Clock(update=number, seed=3)
    losses = algorithm.losses(batch_of(REFERENCES), clock)
    torch.stack(list(losses.values())).sum().backward()
    for name in losses:
        for parameter in algorithm.learners()[name].parameters():
            if parameter.grad is not None:
                parameter.data -= 0.5 * parameter.grad
                parameter.grad = None
    algorithm.after_update(clock)
    return losses


def test_every_algorithm_is_here() -> None:
    found = set()
    for module in pkgutil.iter_modules(algorithms.__path__):
        members = vars(importlib.import_module(f"seqrl.algorithms.{module.name}")).values()
        found |= {
            member
            for member in members
            if inspect.isclass(member)
            and issubclass(member, Algorithm)
            and not inspect.isabstract(member)
        }
    assert found == set(MAKERS)


@each
def test_losses_are_scalars_of_learners(make: Callable[[], Algorithm]) -> None:
    algorithm = make()
    losses = algorithm.losses(batch_of(REFERENCES), Clock())
    assert losses
    assert set(losses) <= set(algorithm.learners())
    for name, loss in losses.items():
        assert loss.shape == ()
        assert loss.requires_grad
        loss.backward(retain_graph=True)
        assert any(p.grad is not None for p in algorithm.learners()[name].parameters())


@each
def test_a_loss_reaches_its_own_learner_only(make: Callable[[], Algorithm]) -> None:
    algorithm = make()
    learners = algorithm.learners()
    losses = algorithm.losses(batch_of(REFERENCES), Clock())
    for name in losses:
        for other, learner in learners.items():
            if other != name:
                gradients = torch.autograd.grad(
                    losses[name], list(learner.parameters()), retain_graph=True, allow_unused=True
                )
                assert all(g is None or not g.any() for g in gradients)


@each
def test_metrics_are_numbers_without_gradient(make: Callable[[], Algorithm]) -> None:
    algorithm = make()
    algorithm.losses(batch_of(REFERENCES), Clock())
    metrics = algorithm.metrics()
    assert metrics
    for value in metrics.values():
        assert value.shape == ()
        assert not value.requires_grad
        assert torch.isfinite(value)


@each
def test_dev_losses_are_sums_and_counts(make: Callable[[], Algorithm]) -> None:
    algorithm, batch = make(), batch_of(REFERENCES)
    found = algorithm.evaluate(batch, Clock())
    assert found
    for total, count in found.values():
        assert not total.requires_grad
        assert torch.isfinite(total)
        assert count > 0


@each
def test_the_score_alone_stops_nothing(make: Callable[[], Algorithm]) -> None:
    assert make().on_validation(1.0) is Decision.CONTINUE


@each
def test_a_resumed_algorithm_goes_on_as_if_never_interrupted(
    make: Callable[[], Algorithm],
) -> None:
    straight = make()
    for number in range(2):
        update(straight, number)
    resumed = make()
    for name, learner in resumed.learners().items():
        learner.load_state_dict(straight.learners()[name].state_dict())
    state = {name: _copied(value) for name, value in straight.state_dict().items()}
    resumed.load_state_dict(state)
    for number in range(2, 4):
        expected, found = update(straight, number), update(resumed, number)
        for name, loss in expected.items():
            assert torch.equal(found[name], loss)


def _copied(value: object) -> object:
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    return value.clone() if isinstance(value, torch.Tensor) else value


@each
def test_the_same_clock_gives_the_same_losses(make: Callable[[], Algorithm]) -> None:
    algorithm, batch = make(), batch_of(REFERENCES)
    first, again = (algorithm.losses(batch, Clock(seed=5)) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_foreign_state_is_refused() -> None:
    with pytest.raises(ValueError, match="MLE keeps no state"):
        MLE(policy=lstm(0)).load_state_dict({"target": {}})


NAMES = {"mle", "raml", "vaml", "ac", "erac", "spg", "mixer", "scst", "mrt", "reinforce", "erpo"}
NAMES |= {"gold", "seqgan", "interpolation", "distillation", "label_smoothing"}
NAMES |= {"sequence_tutor", "kl_control"}
NAMES |= {kind.__name__.lower() for kind in MAKERS}


def words_of(tree: ast.AST) -> set[str]:
    """Identifiers and strings of a program that are no documentation, in lower case."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {part for alias in node.names for part in alias.name.split(".")}
            if isinstance(node, ast.ImportFrom):
                found |= set((node.module or "").split("."))
        elif isinstance(node, ast.Constant) and len(str(node.value).split()) == 1:
            # a single word or name; a sentence is for people
            found |= set(str(node.value).replace(".", "/").split("/"))
    return {word.lower() for word in found}


def test_no_algorithm_is_named_outside_its_own_file() -> None:
    root = Path(seqrl.__file__).parent
    modules = {path.stem for path in (root / "algorithms").glob("*.py")} - {"__init__", "base"}
    found = {
        (str(path.relative_to(root)), word)
        for path in root.rglob("*.py")
        if path.parent.name != "algorithms"
        for word in words_of(ast.parse(path.read_text())) & (NAMES | modules)
    }
    assert not found

"""Stages of tiny networks in double precision, which every way of computing must agree on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from networks import lstm
from seqrl.algorithms.actor_critic import ActorCritic, CriticTraining
from seqrl.algorithms.base import Algorithm
from seqrl.algorithms.baselines import Baseline
from seqrl.algorithms.likelihood import MLE
from seqrl.algorithms.raml import RAML
from seqrl.algorithms.reinforce import Reinforce
from seqrl.models.base import Policy
from seqrl.proposals.perturbation import NGramReplacement
from seqrl.proposals.sampling import Sampling
from seqrl.rewards.bleu import BleuReward
from seqrl.tracking.progress import Measure
from seqrl.training.trainer import StageSettings, Trainer
from seqrl.types import Batch, Clock
from tabular import EOS, batch_of

SIZES = (5, 4, 7, 1, 6)
"""Sentences of the batches of an epoch."""


def network(seed: int, dropout: float) -> Policy[Any, Any]:
    sizes = {"source_size": 12, "target_size": 8, "embedding": 4, "hidden": 6}
    return lstm(seed, dropout=dropout, **sizes).double()


def judged(kind: type[CriticTraining], dropout: float) -> Algorithm:
    return kind(
        policy=network(0, dropout),
        critic=network(1, dropout),
        reward=BleuReward(scale="reference_length"),
        proposal=Sampling(samples=2),
        tau=0.1,
        beta=0.2,
    )


def reinforce(dropout: float, baseline: Baseline) -> Reinforce:
    return Reinforce(
        policy=network(0, dropout),
        proposal=Sampling(samples=2),
        reward=BleuReward(),
        baseline=baseline,
    )


ALGORITHMS: dict[str, Callable[[float], Algorithm]] = {
    "mle": lambda dropout: MLE(policy=network(0, dropout)),
    "raml": lambda dropout: RAML(
        policy=network(0, dropout), proposal=NGramReplacement(), reward=BleuReward()
    ),
    "critic": partial(judged, CriticTraining),
    "erac": partial(judged, ActorCritic),
}


def sentences(size: int, seed: int) -> Batch:
    """References of one to five words."""
    choice = random.Random(seed)
    return batch_of(
        [[*choice.choices((4, 5, 6, 7), k=choice.randint(1, 5)), EOS] for _ in range(size)]
    )


class Epochs:
    """Batches of these sizes, the same in every epoch."""

    def __init__(self, sizes: Sequence[int] = SIZES) -> None:
        self.batches = [sentences(size, seed) for seed, size in enumerate(sizes)]

    def length(self, epoch: int) -> int:
        return len(self.batches)

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        yield from self.batches[start:]


class Likelihood:
    """The learned networks' losses on a batch that is never trained on."""

    def higher_is_better(self, name: str) -> bool:
        return False

    def __call__(self, algorithm: Algorithm, update: int) -> dict[str, float]:
        found = algorithm.evaluate(sentences(6, 99), Clock())
        scores = {name: float(total) / float(count) for name, (total, count) in found.items()}
        return {"dev/score": next(iter(scores.values()))} | {
            f"dev/{name}": value for name, value in scores.items()
        }


class Silent:
    def advance(self, step: int, tokens: int, measure: Measure) -> None: ...

    def validated(self, step: int, scores: dict[str, float], selected: str) -> None: ...

    def resumed(self, step: int) -> None: ...

    def saved(self) -> None: ...


def stage(
    folder: Path,
    algorithm: Algorithm,
    *,
    sizes: Sequence[int] = SIZES,
    preempted: Callable[[], bool] = lambda: False,
    extra: dict[str, Any] | None = None,
    **settings: Any,
) -> Trainer:
    """Twenty updates, of which most clip.

    extra  what else the trainer is given
    """
    usual = {"epochs": 4, "batch_size": 5, "select": "score", "clip": 0.5, "log_every": 1}
    return Trainer(
        algorithm=algorithm,
        optimizers=dict.fromkeys(
            algorithm.learners(), partial(torch.optim.SGD, lr=0.2, momentum=0.9)
        ),
        settings=StageSettings(**(usual | settings)),
        batches=Epochs(sizes),
        validation=Likelihood(),
        reporter=Silent(),
        folder=folder,
        device=torch.device("cpu"),
        seed=1,
        preempted=preempted,
        **(extra or {}),
    )


def weights(algorithm: Algorithm) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value.clone()
        for name, learner in algorithm.learners().items()
        for key, value in learner.state_dict().items()
    }

"""Processes that learn a share of every batch each: where they are equal to one that learns all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
from test_contract import MAKERS, Network, tiny

from seqrl.algorithms.actor_critic import ActorCritic, CriticTraining
from seqrl.algorithms.base import Algorithm
from seqrl.algorithms.baselines import GreedyOutput, LeaveOneOut, NoBaseline
from seqrl.algorithms.reinforce import Reinforce
from seqrl.algorithms.vaml import SoftQLearning
from seqrl.models.base import Policy
from seqrl.proposals.perturbation import NGramReplacement
from seqrl.proposals.sampling import Sampling
from seqrl.rewards.bleu import BleuReward
from seqrl.types import Batch, Clock
from tabular import EOS, batch_of

BATCHES = [
    batch_of([(4, 5, 6, EOS), (5, EOS), (6, 6, EOS), (4, EOS), (5, 6, EOS)]),
    batch_of([(6, EOS), (5, 4, 4, EOS), (6, 5, EOS)]),
]
UPDATES = 4


def reinforced(baseline: str, network: Network) -> Algorithm:
    policy, reward = network(0), BleuReward()
    kinds = {"none": NoBaseline, "others": LeaveOneOut}
    chosen = GreedyOutput(policy=policy, reward=reward) if baseline == "greedy" else None
    return Reinforce(
        policy=policy,
        proposal=Sampling(samples=2),
        reward=reward,
        baseline=chosen or kinds[baseline](),
    )


def released_critic(kind: type[CriticTraining], network: Network) -> Algorithm:
    return kind(
        policy=network(0),
        critic=network(1),
        reward=BleuReward(),
        proposal=Sampling(samples=2),
        mask_padding=False,
    )


VARIANTS: dict[str, Callable[[Network], Algorithm]] = {
    **{kind.__name__: make for kind, make in MAKERS.items()},
    **{f"Reinforce, {name}": partial(reinforced, name) for name in ("none", "others", "greedy")},
    "CriticTraining, released": partial(released_critic, CriticTraining),
    "ActorCritic, released": partial(released_critic, ActorCritic),
}
REFUSED = {
    *("Reinforce", "KLControl", "SequenceTutor"),
    *("CriticTraining, released", "ActorCritic, released"),
}
"""Whose running mean, memory or padding is the whole batch's."""


def network(seed: int) -> Policy:  # type: ignore[type-arg]
    return tiny("lstm", seed)


def shares(batch: Batch, count: int) -> list[Batch]:
    """The first ones are the larger ones."""
    cuts = [-(-len(batch) * i // count) for i in range(count + 1)]
    return [batch.part(*cut) for cut in pairwise(cuts)]


def learn(processes: list[Algorithm]) -> None:
    """Plain gradient descent on the sum of what each has of its share."""
    for number in range(UPDATES):
        clock = Clock(update=number, seed=3)
        batch = BATCHES[number % 2]
        for algorithm, part in zip(processes, shares(batch, len(processes)), strict=True):
            torch.stack(list(algorithm.losses(part, clock).values())).sum().backward()
        everyones = [
            [p for learner in algorithm.learners().values() for p in learner.parameters()]
            for algorithm in processes
        ]
        for same in zip(*everyones, strict=True):
            gradients = [p.grad for p in same if p.grad is not None]
            for parameter in same:
                if gradients:
                    parameter.data -= 0.2 * torch.stack(gradients).sum(0)
                parameter.grad = None
        for algorithm in processes:
            algorithm.after_update(clock)


def distance(one: Algorithm, other: Algorithm) -> float:
    """The largest difference between weights, and between what else is kept."""
    found = [0.0]
    ours, theirs = (
        {"weights": {n: m.state_dict() for n, m in a.learners().items()}, "state": a.state_dict()}
        for a in (one, other)
    )
    pairs: list[tuple[object, object]] = [(ours, theirs)]
    while pairs:
        a, b = pairs.pop()
        if isinstance(a, dict) and isinstance(b, dict):
            pairs += [(a.get(name), b.get(name)) for name in a.keys() | b.keys()]
        elif isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
            found.append(
                float((a.double() - b.double()).abs().max()) if a.shape == b.shape else 1.0
            )
        else:
            found.append(float(a != b))
    return max(found)


@pytest.mark.parametrize("name", VARIANTS)
def test_shares_add_up_to_the_whole_or_are_refused(name: str) -> None:
    whole = VARIANTS[name](network)
    processes = [VARIANTS[name](network) for _ in range(3)]
    before = VARIANTS[name](network)
    learn([whole])
    learn(processes)
    assert distance(whole, before) > 1e-4
    found = max(distance(whole, one) for one in processes)
    if name in REFUSED:
        assert whole.indivisible()
        assert found > 1e-6
    else:
        assert whole.indivisible() is None
        assert found < 1e-12


def test_values_past_the_end_are_refused_whatever_proposes() -> None:
    """Perturbations of some kinds are padded as wide as the whole, of others not."""
    released = SoftQLearning(
        critic=network(1), proposal=NGramReplacement(), reward=BleuReward(), terminal_bootstrap=True
    )
    assert "terminal_bootstrap=false" in (released.indivisible() or "")


def test_an_algorithm_that_says_nothing_is_refused() -> None:
    class Own(Reinforce):
        def indivisible(self) -> str | None:
            return Algorithm.indivisible(self)

    own = Own(
        policy=network(0),
        proposal=Sampling(samples=2),
        reward=BleuReward(),
        baseline=NoBaseline(),
    )
    assert own.indivisible() == "Own does not say that shares of a batch add up to the whole"

"""What is no finite number ends the stage at the update that has it, before anything moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seqrl.algorithms.base import Algorithm
from seqrl.algorithms.baselines import LeaveOneOut
from seqrl.training.trainer import Diverged
from seqrl.types import Batch, Clock
from stages import ALGORITHMS, reinforce, stage, weights

WRONG = 3
"""The update at which something is no number."""

NAN, INFINITY = float("nan"), float("inf")


EVERY: dict[str, Callable[[float], Algorithm]] = {
    **ALGORITHMS,
    "reinforce": lambda dropout: reinforce(dropout, LeaveOneOut()),
}

Change = Callable[[dict[str, Tensor], Algorithm], dict[str, Tensor]]


def with_losses(algorithm: Algorithm, change: Change) -> None:
    """Change the losses of the wrong update."""
    losses = algorithm.losses

    def changed(batch: Batch, clock: Clock) -> dict[str, Tensor]:
        found = losses(batch, clock)
        return change(found, algorithm) if clock.update == WRONG else found

    algorithm.losses = changed  # type: ignore[method-assign]


def infinite_loss(found: dict[str, Tensor], algorithm: Algorithm) -> dict[str, Tensor]:
    """Whose gradient is what it was."""
    name = max(found)
    return found | {name: found[name] + INFINITY}


def no_gradient(found: dict[str, Tensor], algorithm: Algorithm) -> dict[str, Tensor]:
    """Of one weight, where the loss is what it was."""
    name = min(found)
    weight = next(iter(algorithm.learners()[name].parameters()))
    return found | {name: Poisoned.apply(found[name], weight)}


class Poisoned(torch.autograd.Function):
    """The first number; the second's gradient has one that is none."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, weight: Tensor) -> Tensor:
        ctx.shape = weight.shape
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        poison = torch.zeros(ctx.shape, dtype=gradient.dtype)
        poison.view(-1)[0] = NAN
        return gradient, poison


def no_metric(algorithm: Algorithm) -> None:
    metrics, updates = algorithm.metrics, []

    def changed() -> dict[str, Tensor]:
        updates.append(1)
        wrong = len(updates) == WRONG + 1
        return metrics() | ({"reward": torch.tensor(NAN)} if wrong else {})

    algorithm.metrics = changed  # type: ignore[method-assign]


def no_reward(algorithm: Algorithm) -> None:
    """One of a sample, and its increments."""
    reward, now = algorithm.reward, []  # type: ignore[attr-defined]
    score, increments, losses = reward.score, reward.increments, algorithm.losses

    def timed(batch: Batch, clock: Clock) -> dict[str, Tensor]:
        now[:] = [clock.update]
        return losses(batch, clock)

    def poisoned(values: Tensor) -> Tensor:
        if now == [WRONG]:
            values = values.clone()
            values.view(-1)[0] = NAN
        return values

    algorithm.losses = timed  # type: ignore[method-assign]
    reward.score = lambda *given: poisoned(score(*given))
    reward.increments = lambda *given: poisoned(increments(*given))


def no_probability(algorithm: Algorithm) -> None:
    """Of the first token that the policy says something of."""
    policy, losses = algorithm.policy, algorithm.losses  # type: ignore[attr-defined]
    project, log_probs, now = policy.project, policy.log_probs, []

    def timed(batch: Batch, clock: Clock) -> dict[str, Tensor]:
        now[:] = [clock.update]
        return losses(batch, clock)

    def projected(features: Tensor) -> Tensor:
        logits = project(features)
        return logits * NAN if now == [WRONG] else logits

    def said(*given: Any, **options: Any) -> Any:
        found, entropies = log_probs(*given, **options)
        if now == [WRONG]:
            found = torch.cat([found[:1] - INFINITY, found[1:]])
        return found, entropies

    algorithm.losses = timed  # type: ignore[method-assign]
    policy.project, policy.log_probs = projected, said


INJECTED: dict[str, tuple[Callable[[Algorithm], None], str]] = {
    "loss": (lambda a: with_losses(a, infinite_loss), r"loss/\w+ is inf at update 3$"),
    "gradient": (
        lambda a: with_losses(a, no_gradient),
        r"^the gradient of the \w+ is nan at update",
    ),
    "metric": (no_metric, r"reward is nan at update 3$"),
    "reward": (no_reward, r" is nan.* at update 3$"),
    "log-probability": (no_probability, r" is (nan|inf).* at update 3$"),
}


@pytest.mark.parametrize("what", INJECTED)
@pytest.mark.parametrize("name", EVERY)
def test_what_is_no_number_ends_the_stage_before_anything_moves(
    tmp_path: Path, name: str, what: str
) -> None:
    if (name, what) == ("mle", "reward"):
        pytest.skip("it has none")
    algorithm = EVERY[name](0.0)
    inject, message = INJECTED[what]
    inject(algorithm)
    kept: list[dict[str, Any]] = []
    one = stage(tmp_path, algorithm, save_every=1, validate_every=1, log_every=50)

    def saved() -> None:
        kept.append(
            {path.name: path.read_bytes() for path in tmp_path.iterdir()} | weights(algorithm)
        )

    one.reporter.saved = saved  # type: ignore[method-assign]
    after: list[int] = []
    after_update = algorithm.after_update

    def counted(clock: Clock) -> None:
        after.append(clock.update)
        after_update(clock)

    algorithm.after_update = counted  # type: ignore[method-assign]
    with pytest.raises(Diverged, match=r"at update 3$") as caught:
        one.train()
    assert caught.match(message)
    assert after == [0, 1, 2]
    assert len(kept) == WRONG
    for file in ("last.pt", "last.pt.previous", "best.safetensors", "metrics.jsonl"):
        assert (tmp_path / file).read_bytes() == kept[-1][file], file
    for key, value in weights(algorithm).items():
        assert torch.equal(value, kept[-1][key]), key


def test_a_dev_score_that_is_infinite_is_not_kept(tmp_path: Path) -> None:
    algorithm = ALGORITHMS["mle"](0.0)
    one = stage(tmp_path, algorithm, validate_every=1)
    scores = iter([2.0, -INFINITY])
    one.validation = lambda *_: {"dev/score": next(scores)}  # type: ignore[assignment]
    with pytest.raises(Diverged, match=r"dev/score is -inf at update 2"):
        one.train()
    assert one.best_update == 1

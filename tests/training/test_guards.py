"""Guards: which numbers trip them, in which stages, and what is left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
import torch
from test_trainer import Fixed, Mean, Scripted, batch, trainer
from torch import Tensor

from seqrl.algorithms.baselines import LeaveOneOut
from seqrl.algorithms.reinforce import Reinforce
from seqrl.proposals.sampling import Sampling
from seqrl.rewards.base import Reward
from seqrl.tracking.metrics_log import read_metrics
from seqrl.training.checkpoint import load_checkpoint, load_weights
from seqrl.training.guards import Guards
from seqrl.training.stopping import Preempted
from seqrl.training.trainer import Diverged, Trainer
from seqrl.types import Batch, Clock, Trajectories
from stages import network, stage

ALL = Guards(min_entropy=0.01, max_entropy_rise=2.0, max_length_ratio=2.0, min_dev_share=0.5)


def tripped(
    values: dict[str, float],
    first: dict[str, float] | None = None,
    guards: Guards = ALL,
    higher_is_better: bool = True,
) -> str | None:
    """The guard that the values trip; its message names its number, its limit, its switch."""
    first = values if first is None else first
    found = guards.problem(values, first, score="dev/score", higher_is_better=higher_is_better)
    if found is None:
        return None
    (limit,) = (
        limit
        for limit in guards.limits(first, score="dev/score", higher_is_better=higher_is_better)
        if limit.broken(values.get(limit.metric, limit.value))
    )
    assert f"{limit.metric} is {values[limit.metric]:.4g}, " in found
    assert f" {limit.value:.4g} (" in found
    assert f"trainer.guards.{limit.guard}=null switches this guard off); try " in found
    return limit.guard


@pytest.mark.parametrize(
    ("first", "value", "guard"),
    [
        (0.5, 0.011, None),
        (0.5, 0.009, "min_entropy"),
        (0.005, 0.001, None),  # it began so
        (1.0, 2.9, None),
        (1.0, 3.1, "max_entropy_rise"),
        (8.0, 3.1, None),
    ],
)
def test_entropy(first: float, value: float, guard: str | None) -> None:
    name = "train/entropy"
    assert tripped({name: value}, {name: first}) == guard


@pytest.mark.parametrize("name", ["train/length_ratio", "dev/length_ratio"])
@pytest.mark.parametrize(
    ("first", "value", "tripping"),
    [(1.0, 1.9, False), (1.0, 2.1, True), (0.1, 1.9, False), (1.5, 2.9, False), (1.5, 3.1, True)],
)
def test_lengths(name: str, first: float, value: float, tripping: bool) -> None:
    """Twice the reference, or twice what the stage began with if that was longer."""
    assert tripped({name: value}, {name: first}) == ("max_length_ratio" if tripping else None)


@pytest.mark.parametrize(
    ("first", "value", "higher", "tripping"),
    [
        (40.0, 21.0, True, False),
        (40.0, 19.0, True, True),
        (40.0, 90.0, True, False),
        (0.0, 0.0, True, False),  # nothing can be lost
        (12.0, 23.0, False, False),
        (12.0, 25.0, False, True),
        (12.0, 1.0, False, False),
        (0.0, 1.0, False, False),
    ],
)
def test_dev_scores(first: float, value: float, higher: bool, tripping: bool) -> None:
    found = tripped({"dev/score": value}, {"dev/score": first}, higher_is_better=higher)
    assert found == ("min_dev_share" if tripping else None)


def test_what_is_not_measured_is_not_guarded() -> None:
    assert tripped({}, {}) is None
    assert tripped({"train/loss/policy": 1e9, "dev/nll": 1e9}) is None
    assert tripped({"dev/score": 1.0}, {}) is None  # no score at the start


WRONG = {
    "min_entropy": {"train/entropy": 0.001},
    "max_entropy_rise": {"train/entropy": 9.0},
    "max_length_ratio": {"dev/length_ratio": 9.0},
    "min_dev_share": {"dev/score": 1.0},
}
START = {"train/entropy": 1.0, "dev/length_ratio": 1.0, "dev/score": 40.0}


@pytest.mark.parametrize("name", WRONG)
def test_each_is_switched_off_by_itself(name: str) -> None:
    values = {field: getattr(ALL, field) for field in WRONG}
    assert tripped(WRONG[name], START) == name
    assert tripped(WRONG[name], START, Guards(**(values | {name: None}))) is None
    assert tripped(WRONG[name], START, Guards(**{name: values[name]})) == name


def test_a_stage_has_the_guards_that_suit_it() -> None:
    assert ALL.suited(learns=True, trained=True) == ALL
    assert astuple(ALL.suited(learns=True, trained=False)) == (0.01, 2.0, None, None)
    for trained in (True, False):
        assert ALL.suited(learns=False, trained=trained) == Guards()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_entropy", 0.0),
        ("max_entropy_rise", -1.0),
        ("max_length_ratio", 1.0),
        ("min_dev_share", 0.0),
        ("min_dev_share", 1.0),
    ],
)
def test_ranges(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Guards(**{name: value})


class Measured(Mean):
    """Reports an entropy for every update, from a list."""

    def __init__(self, *entropies: float) -> None:
        super().__init__()
        self.entropies = entropies

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        self.entropy = torch.tensor(self.entropies[clock.update], dtype=torch.float64)
        return super().losses(batch, clock)

    def metrics(self) -> dict[str, Tensor]:
        return {"entropy": self.entropy}


def guarded(
    folder: Path,
    algorithm: Mean,
    *scores: float,
    guards: Guards = ALL,
    preempted: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> Trainer:
    """One with two updates an epoch, and a record of the training metrics at each second."""
    one = trainer(
        folder, algorithm, Scripted(*scores), Fixed(batch([8]), batch([8])), preempted=preempted,
        **({"epochs": 4, "log_every": 2} | settings),
    )  # fmt: skip
    one.guards = guards
    return one


def test_it_is_the_mean_over_the_records_window_that_counts(tmp_path: Path) -> None:
    # windows of 1 (the first), 2.5 (one update of 4 in it), 3.5
    algorithm = Measured(0.5, 1.5, 4.0, 1.0, 3.5, 3.5, 0.0, 0.0)
    with pytest.raises(Diverged, match=r"at update 6 train/entropy is 3\.5, above 3 \("):
        guarded(tmp_path, algorithm, 1, 2, 3).train()
    assert algorithm.updates == 6
    assert read_metrics(tmp_path / "metrics.jsonl")[-1]["train/entropy"] == 3.5
    assert load_checkpoint(tmp_path / "last.pt")["update"] == 4


def test_the_best_weights_of_a_stage_that_diverges_stay(tmp_path: Path) -> None:
    algorithm = Mean()
    with pytest.raises(Diverged, match=r"at update 6 dev/score is 4\.9, below 5 \("):
        guarded(tmp_path, algorithm, 10, 9, 9.5, 4.9, 9.9, start=True).train()
    # w = 8 (1 - 0.5^4) after the second epoch
    assert float(load_weights(tmp_path / "best.safetensors")["policy.weight"]) == 7.5


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_a_continued_stage_is_compared_with_its_own_beginning(tmp_path: Path, stop: int) -> None:
    """However often it is stopped, and started again after it has diverged."""
    entropies = (1.0, 1.0, 2.9, 2.9, 3.1, 3.1, 0.0, 0.0)
    one = Measured(*entropies)
    with pytest.raises(Preempted):
        guarded(tmp_path, one, preempted=lambda: one.updates == stop).train()
    for _ in range(2):
        again = Measured(*entropies)
        with pytest.raises(Diverged, match=r"at update 6 train/entropy is 3\.1, above 3 \("):
            guarded(tmp_path, again).train()
        steps = [r["step"] for r in read_metrics(tmp_path / "metrics.jsonl")]
        assert steps == [2, 2, 4, 4, 6]


def test_the_score_at_the_start_is_remembered(tmp_path: Path) -> None:
    one = Mean()
    with pytest.raises(Preempted):
        guarded(tmp_path, one, 10, 9, start=True, preempted=lambda: one.updates == 3).train()
    with pytest.raises(Diverged, match="dev/score is 4, below 5"):
        guarded(tmp_path, Mean(), 4, start=True).train()


def test_without_its_guard_the_same_stage_goes_on_as_if_never_guarded(tmp_path: Path) -> None:
    entropies = (1.0, 1.0, 2.0, 2.0, 9.0, 9.0, 9.0, 9.0)
    with pytest.raises(Diverged):
        guarded(tmp_path / "a", Measured(*entropies), 1, 2, 3, 4).train()
    for name, scores in (("a", (3, 4)), ("b", (1, 2, 3, 4))):
        summary = guarded(
            tmp_path / name, Measured(*entropies), *scores, guards=Guards(min_entropy=0.01)
        ).train()
        assert summary["updates"] == 8
    a, b = ((tmp_path / name / "metrics.jsonl").read_bytes() for name in "ab")
    assert a == b


class Lengths(Reward):
    """So much for every word: what is best is to write for ever, or nothing at all."""

    def __init__(self, each: float) -> None:
        super().__init__()
        self.each = each

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        return self.each * trajectories.length.double()


@pytest.mark.parametrize(
    ("reward", "settings", "guards", "problem"),
    [
        (Lengths(-0.5), {}, {"min_entropy": 0.05}, r"train/entropy is 0\.0\d+, below 0\.05 \("),
        (Lengths(0.2), {}, {"max_length_ratio": 2.0}, r"train/length_ratio is [2-9]\.\d+, above"),
        (Lengths(-0.5), {"start": True}, {"min_dev_share": 0.5}, r"dev/score is \d\.\d+, above"),
    ],
    ids=["collapse", "lengths", "dev"],
)
def test_policies_that_go_wrong_by_themselves_are_stopped(
    tmp_path: Path, reward: Reward, settings: dict[str, Any], guards: dict[str, float], problem: str
) -> None:
    """Policy gradients at too high a rate: the empty output for sure, or endless ones."""
    algorithm = Reinforce(
        policy=network(0, 0.0),
        proposal=Sampling(samples=4),
        reward=reward,
        baseline=LeaveOneOut(),
    )
    one = stage(
        tmp_path, algorithm, epochs=100, log_every=2, validate_every=2,
        extra={"guards": Guards(**guards), **settings},
    )  # fmt: skip
    with pytest.raises(Diverged, match=problem):
        one.train()
    assert 2 < one.update < 500
    steps = [r["step"] for r in read_metrics(tmp_path / "metrics.jsonl")]
    assert steps[-1] == one.update
    assert load_checkpoint(tmp_path / "last.pt")["update"] == one.update - 2
    assert (tmp_path / "best.safetensors").exists()

"""The trainer's arithmetic: budgets, clipping, decay, selection, micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from seqrl.algorithms.base import Algorithm, Decision
from seqrl.schedules import InverseSqrt, Linear, Schedule
from seqrl.tracking.metrics_log import read_metrics
from seqrl.tracking.progress import Measure
from seqrl.training.checkpoint import load_checkpoint, load_weights
from seqrl.training.ranks import ALONE, Ranks
from seqrl.training.stopping import Preempted
from seqrl.training.trainer import Diverged, NotMeasured, StageSettings, Trainer, fused
from seqrl.types import Batch, Clock, Specials

PAD, EOS = 0, 3


def batch(values: list[int]) -> Batch:
    """One token and EOS for each value, which are ids from 4."""
    target = torch.tensor([[value, EOS] for value in values])
    return Batch(target, target, target.unsqueeze(1), PAD, Specials(0, 1, 2, 3))


class Mean(Algorithm):
    """w follows the batches' first tokens: the loss is (1/B) sum (w - y)^2 / 2."""

    def __init__(self, decisions: list[Decision] | None = None) -> None:
        self.module = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.module.weight)
        self.decisions = decisions or []
        self.restores = bool(decisions)
        self.clocks: list[Clock] = []
        self.updates = 0

    def learners(self) -> dict[str, nn.Module]:
        return {"policy": self.module}

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        self.clocks.append(clock)
        error = self.module.weight.squeeze() - batch.target[:, 0]
        return {"policy": error.square().sum() / 2 / batch.total}

    def after_update(self, clock: Clock) -> None:
        self.updates += 1

    def on_validation(self, score: float) -> Decision:
        return self.decisions.pop(0) if self.decisions else Decision.CONTINUE


class Fixed:
    """The same batches in every epoch."""

    def __init__(self, *batches: Batch) -> None:
        self.batches = batches

    def length(self, epoch: int) -> int:
        return len(self.batches)

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        yield from self.batches[start:]


class Scripted:
    """Validation scores from a list."""

    def __init__(self, *scores: float, lower: bool = False) -> None:
        self.scores = list(scores)
        self.lower = lower

    def higher_is_better(self, name: str) -> bool:
        return not self.lower

    def __call__(self, algorithm: Algorithm, update: int) -> dict[str, float]:
        return {"dev/score": self.scores.pop(0) if self.scores else 0.0}


class Silent:
    def advance(self, step: int, tokens: int, measure: Measure) -> None: ...

    def validated(self, step: int, scores: dict[str, float], selected: str) -> None: ...

    def resumed(self, step: int) -> None: ...

    def saved(self) -> None: ...


def trainer(
    folder: Path,
    algorithm: Algorithm,
    validation: Scripted,
    batches: Fixed,
    *,
    lr: float = 0.5,
    lr_schedule: Schedule | None = None,
    start: bool = False,
    preempted: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> Trainer:
    return Trainer(
        algorithm=algorithm,
        optimizers={"policy": partial(torch.optim.SGD, lr=lr)},
        settings=StageSettings(
            **({"epochs": 1, "batch_size": 2, "select": "score", "clip": None} | settings)
        ),
        batches=batches,
        validation=validation,
        reporter=Silent(),
        folder=folder,
        device=torch.device("cpu"),
        seed=1,
        lr_schedule=lr_schedule,
        start=start,
        preempted=preempted,
    )


def weight(algorithm: Mean) -> float:
    return algorithm.module.weight.item()


def test_an_update_is_a_gradient_step_on_the_whole_batch(tmp_path: Path) -> None:
    mean = Mean()
    trainer(tmp_path, mean, Scripted(), Fixed(batch([4, 6]), batch([8, 8]))).train()
    # w = 0 - 0.5 (0 - 5) = 2.5, then 2.5 - 0.5 (2.5 - 8) = 5.25
    assert weight(mean) == 5.25
    assert mean.updates == 2


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_micro_batches_add_up_to_the_whole_batch(tmp_path: Path, rows: int) -> None:
    mean = Mean()
    trainer(tmp_path, mean, Scripted(), Fixed(batch([4, 6, 5, 9, 11])), micro_batch=rows).train()
    assert weight(mean) == pytest.approx(0.5 * 7, abs=1e-6)
    assert mean.updates == 1
    records = read_metrics(tmp_path / "metrics.jsonl")
    assert [r["dev/score"] for r in records if "dev/score" in r] == [0.0]


def test_clipping_bounds_the_norm_of_the_gradient(tmp_path: Path) -> None:
    mean = Mean()
    trainer(tmp_path, mean, Scripted(), Fixed(batch([4, 6])), clip=2.0, lr=1.0).train()
    assert weight(mean) == pytest.approx(2.0, abs=1e-5)


def test_the_budget_is_the_smaller_of_epochs_and_steps(tmp_path: Path) -> None:
    for name, settings, updates in (
        ("a", {"epochs": 3}, 6),
        ("b", {"epochs": 3, "max_steps": 5}, 5),
        ("c", {"epochs": 2, "max_steps": 9}, 4),
    ):
        mean = Mean()
        one = trainer(tmp_path / name, mean, Scripted(), Fixed(batch([4]), batch([5])), **settings)
        assert one.total_updates == updates
        assert one.train()["updates"] == updates
        assert [clock.update for clock in mean.clocks] == list(range(updates))
        assert [clock.fraction for clock in mean.clocks] == [u / updates for u in range(updates)]
        assert [clock.epoch for clock in mean.clocks] == [u // 2 for u in range(updates)]


def test_validation_at_epochs_at_intervals_and_at_the_end(tmp_path: Path) -> None:
    batches = Fixed(*[batch([4])] * 3)
    for name, settings, steps in (
        ("epochs", {"epochs": 2}, [3, 6]),
        ("interval", {"epochs": 2, "validate_every": 4}, [4, 6]),
        ("capped", {"epochs": 2, "max_steps": 5}, [3, 5]),
        ("start", {"epochs": 1, "start": True}, [0, 3]),
    ):
        trainer(tmp_path / name, Mean(), Scripted(), batches, **settings).train()
        records = read_metrics(tmp_path / name / "metrics.jsonl")
        assert [r["step"] for r in records if "dev/score" in r] == steps


def test_the_best_weights_are_kept_and_a_tie_keeps_the_earlier(tmp_path: Path) -> None:
    mean = Mean()
    batches = Fixed(batch([8]))
    summary = trainer(tmp_path, mean, Scripted(1, 3, 3, 2), batches, epochs=4).train()
    assert (summary["best"], summary["best_update"]) == (3, 2)
    # after two steps w = 8 (1 - 0.5^2) = 6
    assert float(load_weights(tmp_path / "best.safetensors")["policy.weight"]) == 6.0
    assert weight(mean) == 7.5


def test_what_dev_is_not_measured_by_selects_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotMeasured, match="select=bleu: dev is measured by score"):
        trainer(tmp_path, Mean(), Scripted(1), Fixed(batch([8])), select="bleu").train()


def test_lower_scores_win_where_lower_is_better(tmp_path: Path) -> None:
    validation = Scripted(3, 1, 2, lower=True)
    summary = trainer(tmp_path, Mean(), validation, Fixed(batch([8])), epochs=3).train()
    assert (summary["best"], summary["best_update"]) == (1, 2)


def test_the_start_is_recorded_and_never_selected(tmp_path: Path) -> None:
    validation = Scripted(9, 1, 2)
    summary = trainer(tmp_path, Mean(), validation, Fixed(batch([8])), epochs=2, start=True).train()
    assert (summary["best"], summary["best_update"]) == (2, 2)
    assert read_metrics(tmp_path / "metrics.jsonl")[0] == {"step": 0, "epoch": 0, "dev/score": 9}


def test_rates_halve_without_improvement_and_the_stage_stops_in_time(tmp_path: Path) -> None:
    # a tie is an improvement; the third failure would be the third decay of two: it stops
    validation = Scripted(2, 2, 1, 3, 1, 1, 9, 9)
    one = trainer(
        tmp_path, Mean(), validation, Fixed(batch([4])), epochs=8, decay_factor=0.5, decay_times=2,
        log_every=1,
    )  # fmt: skip
    summary = one.train()
    assert summary["updates"] == 6
    assert summary["decays"] == 3
    rates = [r["train/lr/policy"] for r in read_metrics(tmp_path / "metrics.jsonl") if len(r) > 3]
    assert rates == [0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


def test_the_schedule_multiplies_what_the_decays_left_of_the_rate(tmp_path: Path) -> None:
    # four updates of one epoch each, of which 0, 25, 50 and 75 percent are spent before
    one = trainer(
        tmp_path, Mean(), Scripted(3, 2, 3, 3), Fixed(batch([4])), epochs=4, decay_factor=0.5,
        log_every=1, lr_schedule=Linear(slope=0.01, unit="percent"),
    )  # fmt: skip
    one.train()
    rates = [r["train/lr/policy"] for r in read_metrics(tmp_path / "metrics.jsonl") if len(r) > 3]
    assert rates == [0.5, 0.5 * 0.75, 0.5 * 0.5 / 2, 0.5 * 0.25 / 2]


@pytest.mark.parametrize(("unit", "warmup"), [("updates", 2), ("percent", 50)])
def test_a_warm_up_begins_with_the_first_update(unit: str, warmup: float, tmp_path: Path) -> None:
    one = trainer(
        tmp_path, Mean(), Scripted(), Fixed(batch([4])), epochs=4,
        log_every=1, lr_schedule=InverseSqrt(warmup=warmup, unit=unit),
    )  # fmt: skip
    one.train()
    rates = [r["train/lr/policy"] for r in read_metrics(tmp_path / "metrics.jsonl") if len(r) > 3]
    assert rates == pytest.approx([0.25, 0.5, 0.5 * (2 / 3) ** 0.5, 0.5 * 0.5**0.5])


def test_a_rate_of_zero_moves_no_weight(tmp_path: Path) -> None:
    mean, batches = Mean(), Fixed(batch([4, 6]))
    trainer(tmp_path, mean, Scripted(), batches, epochs=3, lr_schedule=Linear(slope=1.0)).train()
    assert weight(mean) == 2.5  # the first update's; the others have max(0, 1 - u) = 0


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop])
def test_an_optimizer_in_one_pass_does_what_it_always_does(kind: type) -> None:
    found = []
    for make in (fused, lambda factory, parameters: factory(parameters)):
        torch.manual_seed(0)
        network = nn.Linear(5, 3)
        optimizer = make(partial(kind, lr=0.1), network.parameters())
        for _ in range(3):
            network(torch.ones(2, 5)).square().sum().backward()
            optimizer.step()
        found.append((optimizer.defaults.get("fused"), network.weight))
    torch.testing.assert_close(found[0][1], found[1][1])
    assert found[0][0] is (None if kind is torch.optim.RMSprop else True)
    assert found[1][0] is None


@pytest.mark.parametrize(
    "said", [{"fused": False}, {"foreach": True}, {"foreach": False}, {"differentiable": True}]
)
def test_who_says_how_a_step_is_made_has_his_way(said: dict[str, bool]) -> None:
    optimizer = fused(partial(torch.optim.Adam, lr=0.1, **said), nn.Linear(2, 2).parameters())
    assert {name: optimizer.defaults[name] for name in said} == said


def test_patience_counts_validations_in_a_row(tmp_path: Path) -> None:
    validation = Scripted(5, 4, 5, 4, 4, 4, 4)
    one = trainer(
        tmp_path, Mean(), validation, Fixed(batch([4])), epochs=7, decay_factor=0.5, decay_times=1,
        decay_patience=2,
    )  # fmt: skip
    assert one.train()["updates"] == 7  # decays at the fifth, stops at the seventh
    assert one.decays == 2


class Two(Mean):
    """A second learner, the critic, of two groups of parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(1, 1)

    def learners(self) -> dict[str, nn.Module]:
        return super().learners() | {"critic": self.other}

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        return super().losses(batch, clock) | {"critic": self.other(torch.ones(1, 1)).sum()}


def in_two_groups(parameters: Any) -> torch.optim.Optimizer:
    first, second = parameters
    groups = [{"params": [first], "lr": 1.0}, {"params": [second], "lr": 10.0}]
    return torch.optim.SGD(groups, lr=1.0)


SCORES = (5, 4, 3, 6, 7, 8)


def two_rates(
    folder: Path, scores: tuple[int, ...] = SCORES, stop_after: int | None = None
) -> tuple[Trainer, Two]:
    """Six epochs of one update; the policy's rate decays too; interrupted, or not."""
    two = Two()
    nn.init.zeros_(two.other.weight)
    nn.init.zeros_(two.other.bias)
    return Trainer(
        algorithm=two,
        optimizers={"policy": partial(torch.optim.SGD, lr=0.5), "critic": in_two_groups},
        settings=StageSettings(
            epochs=6, batch_size=1, select="score", clip=None, decay_factor=0.5, log_every=1,
            decay_learners=("policy",),
        ),
        batches=Fixed(batch([8])),
        validation=Scripted(*scores),
        reporter=Silent(),
        folder=folder,
        device=torch.device("cpu"),
        seed=1,
        lr_schedule=Linear(slope=0.1, unit="epochs"),
        preempted=lambda: two.updates == stop_after,
    ), two  # fmt: skip


def test_decays_are_of_the_chosen_learners_and_the_schedule_is_everybodys(tmp_path: Path) -> None:
    one, two = two_rates(tmp_path)
    one.train()
    records = [r for r in read_metrics(tmp_path / "metrics.jsonl") if "train/lr/policy" in r]
    assert [r["train/lr/policy"] for r in records] == pytest.approx(
        [
            0.5 * s * d
            for s, d in zip([1, 0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 0.5, *[0.25] * 3], strict=True)
        ]
    )
    assert [r["train/lr/critic"] for r in records] == pytest.approx([1, 0.9, 0.8, 0.7, 0.6, 0.5])
    # gradients of one: each group falls by the sum of its own rates
    assert two.other.weight.item() == pytest.approx(-4.5)
    assert two.other.bias.item() == pytest.approx(-45)


def test_a_resumed_stage_goes_on_at_the_rates_that_it_would_have_had(tmp_path: Path) -> None:
    whole, one = two_rates(tmp_path / "whole")
    whole.train()
    stopped, _ = two_rates(tmp_path / "parts", stop_after=3)
    with pytest.raises(Preempted):
        stopped.train()
    resumed, other = two_rates(tmp_path / "parts", SCORES[3:])
    resumed.train()
    assert resumed.decays == 2
    assert torch.equal(one.module.weight, other.module.weight)
    assert torch.equal(one.other.bias, other.other.bias)
    found = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "parts")]
    assert found[0] == found[1]


def test_restore_puts_back_the_weights_of_the_validation_before(tmp_path: Path) -> None:
    mean = Mean([Decision.CONTINUE, Decision.RESTORE, Decision.STOP])
    trainer(tmp_path, mean, Scripted(1, 0, 1), Fixed(batch([8])), epochs=5).train()
    # w: 4 (kept), 6 -> 4 (restored), 6, stop
    assert weight(mean) == 6.0
    assert mean.updates == 3


def test_a_stop_is_saved_within_one_update(tmp_path: Path) -> None:
    mean = Mean()
    batches = Fixed(*[batch([8])] * 10)
    with pytest.raises(Preempted):
        trainer(tmp_path, mean, Scripted(), batches, preempted=lambda: mean.updates == 3).train()
    assert load_checkpoint(tmp_path / "last.pt")["update"] == 3
    again = Mean()
    trainer(tmp_path, again, Scripted(), batches).train()
    assert again.updates == 7


def stopped_after(updates: int) -> Callable[[], bool]:
    asked = iter([False] * (updates - 1) + [True])
    return lambda: next(asked, False)


def test_what_was_validated_is_not_validated_again(tmp_path: Path) -> None:
    """Killed after the checkpoint of a validation, which knows that it was made."""

    class Killed(BaseException):
        pass

    class Killing(Silent):
        def saved(self) -> None:
            raise Killed

    batches = Fixed(*[batch([8])] * 4)
    killed = trainer(tmp_path, Mean(), Scripted(1), batches, validate_every=2)
    killed.reporter = Killing()
    with pytest.raises(Killed):
        killed.train()
    trainer(tmp_path, Mean(), Scripted(2), batches, validate_every=2).train()
    records = read_metrics(tmp_path / "metrics.jsonl")
    scores = [(r["step"], r["dev/score"]) for r in records if "dev/score" in r]
    assert scores == [(2, 1.0), (4, 2.0)]


class Second(Ranks):
    """The second of two processes, the first of which had these sums."""

    count, index = 2, 1
    OTHERS: ClassVar = {"sums": {"loss/policy": 100.0}, "counts": {"loss/policy": 2}, "rows": 3}

    def gathered(self, value: Any) -> list[Any]:
        return [self.OTHERS, value]


def test_each_process_continues_its_own_sums_and_another_number_of_them_all(
    tmp_path: Path,
) -> None:
    def made(ranks: Ranks) -> Trainer:
        batches = Fixed(*[batch([8])] * 4)
        one = trainer(
            tmp_path, Mean(), Scripted(), batches, preempted=stopped_after(2), log_every=100
        )
        one.ranks = ranks
        return one

    def restored(ranks: Ranks) -> Trainer:
        one = made(ranks)
        with one._logs():
            one._restore()
        return one

    whole = made(Second())
    with pytest.raises(Preempted):
        whole.train()
    own = float(whole._sums["loss/policy"])
    second, alone = restored(Second()), restored(ALONE)
    assert (float(second._sums["loss/policy"]), second._counts, second.rows) == (
        *(own, whole._counts, None),
    )
    assert (float(alone._sums["loss/policy"]), alone._counts["loss/policy"], alone.rows) == (
        *(100 + own, 2, 3),
    )


def test_a_loss_that_is_no_number_stops_before_the_weights_change(tmp_path: Path) -> None:
    class Broken(Mean):
        def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
            losses = super().losses(batch, clock)
            return {"policy": losses["policy"] * (float("nan") if clock.update == 2 else 1)}

    broken = Broken()
    with pytest.raises(Diverged, match="update 2"):
        trainer(tmp_path, broken, Scripted(), Fixed(*[batch([8])] * 5), save_every=1).train()
    assert weight(broken) == 6.0
    assert load_checkpoint(tmp_path / "last.pt")["update"] == 2


def test_an_absent_learner_sits_the_update_out(tmp_path: Path) -> None:
    class Absent(Two):
        def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
            losses = super().losses(batch, clock)
            return {"policy": losses["policy"]}

    two = Absent()
    before = two.other.weight.clone()
    Trainer(
        algorithm=two,
        optimizers={
            "policy": partial(torch.optim.SGD, lr=0.5),
            "critic": partial(torch.optim.Adam, lr=0.5, weight_decay=0.1),
        },
        settings=StageSettings(epochs=1, batch_size=1, select="score"),
        batches=Fixed(batch([8])),
        validation=Scripted(),
        reporter=Silent(),
        folder=tmp_path,
        device=torch.device("cpu"),
        seed=1,
    ).train()
    assert torch.equal(two.other.weight, before)


class Watching(Silent):
    """Notes what it is told, and what it would show at every second update."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.shown: list[dict[str, float]] = []
        self.scores: list[tuple[int, dict[str, float], str]] = []

    def advance(self, step: int, tokens: int, measure: Measure) -> None:
        self.tokens.append(tokens)
        if step % 2 == 0:
            self.shown.append(dict(measure()))

    def validated(self, step: int, scores: dict[str, float], selected: str) -> None:
        self.scores.append((step, scores, selected))


class Rewarded(Mean):
    """With a critic that has a loss of 7, and a reward that is the number of the update."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(1, 1)

    def learners(self) -> dict[str, nn.Module]:
        return {"critic": self.other} | super().learners()

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        return {"critic": 0 * self.other.weight.sum() + 7} | super().losses(batch, clock)

    def metrics(self) -> dict[str, Tensor]:
        return {"reward": torch.tensor(float(self.updates)), "reward_std": torch.tensor(1.0)}


def test_what_is_worth_showing_is_short_and_of_late(tmp_path: Path) -> None:
    watching = Watching()
    batches = Fixed(*[batch([4, 4]), batch([4])] * 3)
    one = trainer(tmp_path / "mean", Mean(), Scripted(5), batches, lr=0.0, log_every=4)
    one.reporter = watching
    one.train()
    assert watching.tokens == [4, 2] * 3  # with EOS
    assert watching.shown == [{"loss": 8.0}] * 3
    assert watching.scores == [(6, {"score": 5}, "score")]
    assert one._measured() == {"loss": 8.0}  # of the last record, when there is nothing newer
    watching = Watching()
    two = Trainer(
        algorithm=Rewarded(),
        optimizers={name: partial(torch.optim.SGD, lr=0.0) for name in ("policy", "critic")},
        settings=StageSettings(epochs=1, batch_size=1, select="score", log_every=4),
        batches=batches,
        validation=Scripted(),
        reporter=watching,
        folder=tmp_path / "two",
        device=torch.device("cpu"),
        seed=1,
    )
    two.train()
    rewards = [0.5, 1.5, 4.5]  # of updates 0 and 1, 0 to 3, and 4 and 5 after the record
    assert watching.shown == [{"critic": 7.0, "loss": 8.0, "reward": mean} for mean in rewards]


def test_a_metric_is_the_mean_of_the_updates_that_had_it(tmp_path: Path) -> None:
    class Late(Mean):
        def metrics(self) -> dict[str, Tensor]:
            value = {"late": torch.tensor(float(self.updates))}
            return value if self.updates >= 2 else {}

    batches = Fixed(*[batch([4])] * 4)
    trainer(tmp_path, Late(), Scripted(5), batches, lr=0.0, log_every=4).train()
    records = read_metrics(tmp_path / "metrics.jsonl")
    (late,) = [record["train/late"] for record in records if "train/late" in record]
    assert late == 2.5  # of updates 2 and 3


def test_the_last_updates_of_a_budget_are_recorded_too(tmp_path: Path) -> None:
    batches = Fixed(*[batch([4])] * 6)
    trainer(tmp_path, Mean(), Scripted(5), batches, lr=0.0, log_every=4).train()
    records = read_metrics(tmp_path / "metrics.jsonl")
    assert [record["step"] for record in records if "train/loss/policy" in record] == [4, 6]


def test_optimizers_must_match_the_learners(tmp_path: Path) -> None:
    class Nobody(Mean):
        def learners(self) -> dict[str, nn.Module]:
            return {"critic": self.module}

    with pytest.raises(ValueError, match=r"given for \['policy'\], learners are \['critic'\]"):
        trainer(tmp_path, Nobody(), Scripted(), Fixed(batch([4])))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("max_steps", 0),
        ("clip", 0.0),
        ("micro_batch", -1),
        ("decay_factor", 1.0),
        ("decay_times", -1),
        ("decay_patience", 0),
        ("precision", "fp8"),
        ("log_every", 0),
        ("save_every", 0),
    ],
)
def test_ranges_of_settings(name: str, value: Any) -> None:
    good = {"epochs": 1, "batch_size": 1, "select": "score"}
    with pytest.raises(ValueError, match=name):
        StageSettings(**(good | {name: value}))

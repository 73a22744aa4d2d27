"""Trains one stage: batches in, best weights out. It knows no algorithm.

What a stage becomes is a pure function of its configuration, data and seed. Dropout and
sampling are seeded anew at every update from (seed, update), so that a checkpoint needs no
generator's state and a killed stage continues bit for bit.
"""

from __future__ import annotations

import inspect
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from seqrl.algorithms.base import Algorithm, Decision
from seqrl.data.batching import UNITS
from seqrl.memory import OutOfMemory, ran_out, release
from seqrl.models.weights import load_stored, stored_weights
from seqrl.ranges import is_number, require
from seqrl.schedules import Schedule
from seqrl.tracking.metrics_log import MetricsLog, read_metrics
from seqrl.tracking.progress import Measure, resident_bytes
from seqrl.training.checkpoint import (
    CheckpointError,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)
from seqrl.training.guards import Guards
from seqrl.training.ranks import ALONE, Ranks
from seqrl.training.stopping import AtOnce, Preempted, within
from seqrl.types import Batch, Clock, derived_seed

logger = logging.getLogger(__name__)

PRECISIONS = ("fp32", "bf16")
ATTEMPTS = 3
"""At an update; without memory in all of them the stage ends."""
NO_GUARDS = Guards()

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class Diverged(Exception):
    """A number is not finite or trips a guard; the last checkpoint and the best stay.

    Whoever continues that checkpoint arrives here again.
    """


class NotMeasured(Exception):
    """A stage is to be selected by what no validation of it measures."""


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """How long and how fast a stage learns.

    epochs          passes over the training split, at most
    max_steps       updates, at most
    batch_size      in `batch_unit`s
    batch_unit      `sentences` or `tokens` (of the longer side, padding included)
    clip            largest global norm of a learner's gradient
    validate_every  updates between validations; none: once an epoch
    select          the dev score that chooses the weights
    decay_factor    what the learning rates are multiplied by when `decay_patience`
                    validations in a row brought no improvement (a tie is one); none: nothing
    decay_times     how often at most; the stage stops instead of the next time
    decay_learners  whose rates decay; none: everybody's
    micro_batch     sentences in memory at once; none: the whole batch
    precision       `fp32`, or `bf16` autocast
    log_every       updates between records of the training metrics; the last is at the budget's end
    save_every      updates between checkpoints, beside those at validations
    """

    epochs: int
    batch_size: int
    select: str
    batch_unit: str = "sentences"
    max_steps: int | None = None
    clip: float | None = 5.0
    validate_every: int | None = None
    decay_factor: float | None = None
    decay_times: int = 6
    decay_patience: int = 1
    decay_learners: tuple[str, ...] | None = None
    micro_batch: int | None = None
    precision: str = "fp32"
    log_every: int = 50
    save_every: int = 500

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "decay_patience", "log_every", "save_every"):
            value = getattr(self, name)
            require(is_number(value) and value >= 1, f"{name} must be at least 1, not {value}")
        for name in ("max_steps", "validate_every", "micro_batch", "clip"):
            value = getattr(self, name)
            positive = value is None or (is_number(value) and value > 0)
            require(positive, f"{name} must be positive or null, not {value}")
        factor, unit, precision = self.decay_factor, self.batch_unit, self.precision
        require(factor is None or 0 < factor < 1, f"decay_factor must lie in (0, 1), not {factor}")
        require(self.decay_times >= 0, f"decay_times must not be negative, not {self.decay_times}")
        require(unit in UNITS, f"batch_unit must be one of {', '.join(UNITS)}, not {unit!r}")
        require(
            precision in PRECISIONS,
            f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}",
        )


class Batches(Protocol):
    """The training split in an order that is a function of (seed, epoch)."""

    def length(self, epoch: int) -> int:
        """Batches in an epoch."""

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the one numbered `start`."""


class Validation(Protocol):
    """Scores on the dev split; `better` tells which of two values of a score is better."""

    def __call__(self, algorithm: Algorithm, update: int) -> dict[str, float]: ...

    def higher_is_better(self, name: str) -> bool: ...


class Reporter(Protocol):
    """Who is told how the stage is doing."""

    def advance(self, step: int, tokens: int, measure: Measure) -> None:
        """An update is done; `measure` gives what is worth showing, at the cost of a wait."""

    def validated(self, step: int, scores: dict[str, float], selected: str) -> None:
        """Scores of dev by name, among them the one that the stage is selected by."""

    def resumed(self, step: int) -> None:
        """The stage continues a checkpoint."""

    def saved(self) -> None:
        """A checkpoint was written: `metrics.jsonl` is on the disk up to here."""


class Trainer:
    """One stage.

    folder     holds last.pt, best.safetensors, metrics.jsonl and timings.jsonl
    lr_schedule
               what the learning rates are multiplied by at every update, beside the decays;
               none: 1
    start      whether the weights come from an earlier stage: they are then validated first,
               for comparison; they are never selected
    preempted  asked after every update
    at_once    around every validation: one that is broken off by it is made anew
    guards     that end the stage as diverged
    ranks      the processes that train the stage together
    """

    def __init__(
        self,
        *,
        algorithm: Algorithm,
        optimizers: dict[str, OptimizerFactory],
        settings: StageSettings,
        batches: Batches,
        validation: Validation,
        reporter: Reporter,
        folder: Path,
        device: torch.device,
        seed: int,
        lr_schedule: Schedule | None = None,
        start: bool = False,
        preempted: Callable[[], bool] = lambda: False,
        at_once: AtOnce = nullcontext,
        guards: Guards = NO_GUARDS,
        ranks: Ranks = ALONE,
    ) -> None:
        self.algorithm = algorithm
        self.learners = algorithm.learners()
        require(
            set(optimizers) == set(self.learners),
            f"optimizers are given for {sorted(optimizers)}, learners are {sorted(self.learners)}",
        )
        self.optimizers = {
            name: fused(factory, self.learners[name].parameters())
            for name, factory in optimizers.items()
        }
        self.rates = {
            name: [group["lr"] for group in optimizer.param_groups]
            for name, optimizer in self.optimizers.items()
        }
        self.lr_schedule = lr_schedule
        self.settings = settings
        self.batches = batches
        self.validation = validation
        self.reporter = reporter
        self.folder = folder
        self.device = device
        self.seed = seed
        self.start = start
        self.preempted = preempted
        self.at_once = at_once
        self.guards = guards
        self.ranks = ranks
        self.sign = 1.0 if validation.higher_is_better(settings.select) else -1.0
        self.update = 0
        self.epoch = 0
        self.position = 0  # batches of this epoch already used
        self.best = -math.inf  # times sign: higher is better
        self.best_update = 0
        self.plateau_best = -math.inf
        self.since_best = 0
        self.decays = 0
        self.stopped = False
        self.due = False  # a validation, after the last update
        self.seconds = 0.0
        self.rows = settings.micro_batch  # fewer where memory ran out
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}  # of the updates that had each
        self._recorded: dict[str, float] = {}  # the means of the last record
        self._tokens = 0  # since the last record of the timings
        self._first: dict[str, float] = {}  # the first value of each metric

    @property
    def total_updates(self) -> int:
        """Updates in the whole budget."""
        everything = self.settings.epochs * self.batches.length(0)
        return min(everything, self.settings.max_steps or everything)

    @property
    def finished(self) -> bool:
        return (
            self.stopped
            or self.epoch >= self.settings.epochs
            or (self.settings.max_steps is not None and self.update >= self.settings.max_steps)
        )

    def clock(self) -> Clock:
        total = self.total_updates
        return Clock(self.update, self.epoch, self.update / total, self.seed, 1 / total)

    def train(self) -> dict[str, Any]:
        """Train to the end of the budget; the summary of the stage.

        Continues the folder's checkpoint. Raises Diverged, Preempted and OutOfMemory.
        """
        with self.ranks.held(self._logs()):
            self._restore()
            self._began = time.monotonic() - self.seconds
            self._measured_from = self.seconds
            if self.update:
                self.reporter.resumed(self.update)
            if self.start and self.update == 0:
                scores = self._scores()
                self._guard(scores)
            if self.due:
                self._validate_and_save()
            for learner in self.learners.values():
                learner.train()
            while not self.finished:
                self._epoch()
        return {
            "updates": self.update,
            "epochs": self.epoch,
            "select": self.settings.select,
            "best": self.sign * self.best,
            "best_update": self.best_update,
            "decays": self.decays,
            "seconds": round(self.seconds, 1),
        }

    @contextmanager
    def _logs(self) -> Iterator[None]:
        """The folder with its logs, which are the first process's."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = MetricsLog(self.folder / "metrics.jsonl")
        self.timings = MetricsLog(self.folder / "timings.jsonl")
        try:
            yield
        finally:
            self.log.close()
            self.timings.close()

    def _epoch(self) -> None:
        count = self.batches.length(self.epoch)
        for batch in self.batches.iterate(self.epoch, self.position):
            self._step(batch)
            self.update += 1
            self.position += 1
            epoch_ended = self.position == count
            if epoch_ended:
                self.epoch, self.position = self.epoch + 1, 0
            if self.update % self.settings.log_every == 0 or self.finished:
                self._record_training()
            every = self.settings.validate_every
            due = epoch_ended if every is None else self.update % every == 0
            self.due = due or self.finished
            if self.due:
                self._validate_and_save()
            elif self.update % self.settings.save_every == 0:
                self._save()
            if self.ranks.any(self.preempted()) and not self.finished:
                self._save()
                raise Preempted
            if epoch_ended or self.finished:
                return

    def _step(self, batch: Batch) -> None:
        """One update of every learner whose loss takes part."""
        clock = self.clock()
        self._set_rates(clock)
        share = self.ranks.share(batch).to(self.device)
        present, values = self.ranks.alike(lambda: self._gradients(share, clock))
        present, check = self.ranks.add_up(self.learners, present, self._check(values))
        norms = {}
        for name in sorted(present):
            parameters = [p for p in self.learners[name].parameters() if p.grad is not None]
            norms[name] = nn.utils.clip_grad_norm_(parameters, self.settings.clip or math.inf)
        self._refuse_infinite(norms, values, check)
        for name in norms:
            self.optimizers[name].step()
            self.optimizers[name].zero_grad(set_to_none=True)
        self.algorithm.after_update(clock)
        if self.ranks.is_first:  # they are everybody's
            values |= {f"grad_norm/{name}": norm for name, norm in norms.items()}
        self._accumulate(values)
        tokens = int(batch.target_mask.sum())
        self._tokens += tokens
        self.reporter.advance(self.update + 1, tokens, self._measured)

    def _gradients(self, batch: Batch, clock: Clock) -> tuple[set[str], dict[str, Tensor]]:
        """Leave the gradients of the whole batch in the weights; the learners that have one, and
        the losses and metrics.

        Where memory runs out all is done again with smaller parts, to which the stage then keeps.
        Raises OutOfMemory.
        """
        for attempt in range(ATTEMPTS):
            try:
                found = self._added_up(batch, clock)
            except RuntimeError as error:
                if not ran_out(error):
                    raise
                problem = str(error).splitlines()[0]
            else:
                if attempt:
                    logger.warning(
                        "at update %d there was not enough memory for so many sentences at once; "
                        "from here on there are at most %d, as with trainer.micro_batch=%d",
                        *(self.update, self.rows, self.rows),
                    )
                return found
            # out of the handler, which would keep the tensors that did not fit
            for optimizer in self.optimizers.values():
                optimizer.zero_grad(set_to_none=True)
            self.algorithm.forget()
            release()
            tried = min(self.rows or len(batch), len(batch))
            if tried == 1:
                break
            self.rows = -(-tried // 2)
        raise OutOfMemory(
            f"at update {self.update} there is not enough memory for {tried} sentences at once "
            f"({problem}); try trainer.micro_batch={max(1, tried // 2)}, a smaller batch_size or "
            "network, shorter outputs, fewer samples, or precision=bf16"
        )

    def _added_up(self, batch: Batch, clock: Clock) -> tuple[set[str], dict[str, Tensor]]:
        """The same for parts of the size that the stage has come to."""
        own = [self.ranks.index] if self.ranks.index else []
        torch.manual_seed(derived_seed(self.seed, self.update, "dropout", *own))
        present: set[str] = set()
        values: dict[str, Tensor] = {}
        for part in batch.split(self.rows or max(1, len(batch))):
            with self._autocast():
                losses = self.algorithm.losses(part, clock)
            present |= set(losses)
            total = torch.stack(
                [loss.float() if loss.dtype != torch.float64 else loss for loss in losses.values()]
            ).sum()
            total.backward()  # type: ignore[no-untyped-call]
            share = len(part) / part.total
            _add(values, {f"loss/{name}": loss for name, loss in losses.items()})
            _add(values, {k: v * share for k, v in self.algorithm.metrics().items()})
        return present, values

    def _check(self, values: dict[str, Tensor]) -> Tensor:
        """Zero where all values are finite, else no number."""
        numbers = torch.zeros(1, dtype=torch.float64, device=self.device)
        if values:
            numbers = torch.stack(
                [v.to(self.device, torch.float64, non_blocking=True) for v in values.values()]
            )
        return (numbers - numbers).sum()

    def _refuse_infinite(
        self, norms: dict[str, Tensor], values: dict[str, Tensor], check: Tensor
    ) -> None:
        """Raises Diverged unless all is finite; the device is waited for once.

        check  of the values in all processes
        """
        numbers = torch.stack([check.double(), *(norm.double() for norm in norms.values())])
        if torch.isfinite(numbers).all():
            return
        named = {f"the gradient of the {name}": float(norm) for name, norm in norms.items()}
        for found in self.ranks.gathered({name: float(v) for name, v in values.items()}):
            named |= {k: v for k, v in found.items() if math.isfinite(named.get(k, 0.0))}
        bad = [f"{name} is {value}" for name, value in named.items() if not math.isfinite(value)]
        raise Diverged(f"{', '.join(bad)} at update {self.update}")

    def _validate_and_save(self) -> None:
        """The validation that is due; one that is broken off is still due in the checkpoint."""
        try:
            self._validate()
        except Preempted:
            self._save()
            raise
        self.due = False
        self._save()

    def _validate(self) -> None:
        scores = self._scores()
        for learner in self.learners.values():
            learner.train()
        score = self.sign * scores[f"dev/{self.settings.select}"]
        if not math.isfinite(score):
            raise Diverged(
                f"dev/{self.settings.select} is {self.sign * score} at update {self.update}"
            )
        if score > self.best:
            self.best, self.best_update = score, self.update
            self._keep("best.safetensors")
        self._guard(scores)
        decision = self.algorithm.on_validation(score)
        if decision is Decision.RESTORE:
            before = self.folder / "validated.safetensors"
            self._load_weights(self.ranks.first(lambda: load_weights(before)))
        elif self.algorithm.restores:
            self._keep("validated.safetensors")
        self.stopped = decision is Decision.STOP or self._decay(score)

    def _scores(self) -> dict[str, float]:
        """The dev scores, which are recorded."""
        validate = partial(self.validation, self.algorithm, self.update)
        scores = self.ranks.first(partial(within, self.at_once, validate))
        if f"dev/{self.settings.select}" not in scores:
            measured = ", ".join(name.removeprefix("dev/") for name in scores)
            raise NotMeasured(f"select={self.settings.select}: dev is measured by {measured}")
        self._write(scores)
        named = {name.removeprefix("dev/"): value for name, value in scores.items()}
        self.reporter.validated(self.update, named, self.settings.select)
        return scores

    def _keep(self, name: str) -> None:
        """Save the weights under a name."""
        self.ranks.first(lambda: save_weights(self.folder / name, self._weights()))

    def _decay(self, score: float) -> bool:
        """Count a decay where the score has stopped rising; whether to stop."""
        if self.settings.decay_factor is None:
            return False
        if score >= self.plateau_best:
            self.plateau_best, self.since_best = score, 0
            return False
        self.since_best += 1
        if self.since_best < self.settings.decay_patience:
            return False
        self.since_best = 0
        self.decays += 1
        return self.decays > self.settings.decay_times

    def _set_rates(self, clock: Clock) -> None:
        """The learning rates of an update: those given, after the decays and the schedule."""
        scheduled = 1.0 if self.lr_schedule is None else self.lr_schedule(clock)
        decayed = (self.settings.decay_factor or 1.0) ** self.decays
        names = self.settings.decay_learners
        for name, optimizer in self.optimizers.items():
            factor = scheduled * (decayed if names is None or name in names else 1.0)
            for group, rate in zip(optimizer.param_groups, self.rates[name], strict=True):
                group["lr"] = rate * factor

    @contextmanager
    def _autocast(self) -> Iterator[None]:
        enabled = self.settings.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled):
            yield

    def _accumulate(self, values: dict[str, Tensor]) -> None:
        """Count the values of one update."""
        _add(self._sums, values)
        for name in values:
            self._counts[name] = self._counts.get(name, 0) + 1

    def _measured(self) -> dict[str, float]:
        """Mean losses and reward since the last record, or of it; short names for one line.

        `loss` is the policy's, or the only one; the others go by their learners.
        """
        names = {f"loss/{name}": name for name in self.learners} | {"reward": "reward"}
        names["loss/policy" if "policy" in self.learners else next(iter(names))] = "loss"
        means = self._recorded
        if self._counts and self.ranks.count == 1:  # others are not asked for what is only shown
            means = {k: float(self._sums[k]) / self._counts[k] for k in names if k in self._sums}
        return {short: means[name] for name, short in names.items() if name in means}

    def _record_training(self) -> None:
        here = {name: float(value) for name, value in self._sums.items()}
        sums, counts = totals(self.ranks.gathered((here, self._counts)))
        means = {name: value / counts[name] for name, value in sums.items()}
        self._recorded = dict(means)
        for name, optimizer in self.optimizers.items():
            means[f"lr/{name}"] = float(optimizer.param_groups[0]["lr"])
        record = {f"train/{k}": v for k, v in means.items()}
        self._write(record)
        self._clear()
        bad = [name for name, value in means.items() if not math.isfinite(value)]
        if bad:
            raise Diverged(f"{', '.join(bad)} became infinite or no number by update {self.update}")
        self._guard(record)

    def _guard(self, record: dict[str, float]) -> None:
        """Raises Diverged where a record trips one of the guards."""
        self._first = record | self._first
        problem = self.guards.problem(
            record,
            self._first,
            score=f"dev/{self.settings.select}",
            higher_is_better=self.sign > 0,
        )
        if problem is not None:
            raise Diverged(f"at update {self.update} {problem}")

    def _clear(self) -> None:
        self._sums, self._counts = {}, {}

    def _write(self, record: dict[str, float]) -> None:
        self.ranks.first(lambda: self.log.write(self._stamp() | record))

    def _stamp(self) -> dict[str, float]:
        return {"step": self.update, "epoch": self.epoch}

    def _weights(self) -> dict[str, Tensor]:
        """The learners' weights by `learner.parameter`, tied ones once."""
        return {
            f"{name}.{key}": value
            for name, learner in self.learners.items()
            for key, value in stored_weights(learner).items()
        }

    def _load_weights(self, weights: dict[str, Tensor]) -> None:
        for name, learner in self.learners.items():
            prefix = f"{name}."
            load_stored(
                learner,
                {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)},
            )

    def _save(self) -> None:
        own = {
            "sums": {name: float(value) for name, value in self._sums.items()},
            "counts": self._counts,
            "rows": self.rows,
        }
        shares = self.ranks.gathered(own)
        self.ranks.first(lambda: self._checkpoint(shares))

    def _checkpoint(self, shares: list[dict[str, Any]]) -> None:
        """Write the checkpoint, for the first process.

        shares  what differs between the processes, in their order
        """
        self.seconds = time.monotonic() - self._began
        speed = self._tokens / max(self.seconds - self._measured_from, 1e-9)
        self.timings.write(
            self._stamp()
            | {
                "seconds": round(self.seconds, 3),
                "tokens_per_second": round(speed, 1),
                "memory_mb": resident_bytes() // 2**20,
            }
        )
        self._tokens, self._measured_from = 0, self.seconds
        self.timings.sync()
        state = {
            "weights": self._weights(),
            "optimizers": {k: o.state_dict() for k, o in self.optimizers.items()},
            "algorithm": self.algorithm.state_dict(),
            "metrics_offset": self.log.sync(),
            "shares": shares,
            **{name: getattr(self, name) for name in PROGRESS},
        }
        save_checkpoint(self.folder / "last.pt", state)
        self.reporter.saved()

    def _restore(self) -> None:
        state, self._first = self.ranks.first(self._reached)
        if state is None:
            return
        self._load_weights(state["weights"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.algorithm.load_state_dict(state["algorithm"])
        for name in PROGRESS:
            setattr(self, name, state.get(name, getattr(self, name)))  # older ones lack some
        self._take(state.get("shares", [state]))  # older ones hold what all had

    def _take(self, shares: list[dict[str, Any]]) -> None:
        """Continue with this process's share; where others were at work, the first has all sums."""
        self.rows = min((s["rows"] for s in shares if s.get("rows")), default=self.rows)
        if len(shares) == self.ranks.count:
            shares = [shares[self.ranks.index]]
            self.rows = shares[0].get("rows", self.rows)
        elif not self.ranks.is_first:
            return
        sums, counts = totals((s["sums"], s["counts"]) for s in shares)
        self._counts = counts
        self._sums = {
            name: torch.tensor(value, dtype=torch.float64, device=self.device)
            for name, value in sums.items()
        }

    def _check_best(self) -> None:
        """CheckpointError where the weights that the stage is to deliver are gone."""
        path = self.folder / "best.safetensors"
        try:
            load_weights(path)
        except (FileNotFoundError, CheckpointError) as error:
            known = isinstance(error, CheckpointError)
            raise CheckpointError(
                f"{error if known else f'{path} is missing'}, and last.pt does not hold these "
                "weights; remove the folder to train the stage anew"
            ) from None

    def _reached(self) -> tuple[dict[str, Any] | None, dict[str, float]]:
        """The checkpoint, if there is one, and the first value of each metric up to there.

        What was recorded after it is dropped.
        """
        first: dict[str, float] = {}
        try:
            state = load_checkpoint(self.folder / "last.pt")
        except FileNotFoundError:
            if (self.folder / "best.safetensors").is_file():
                logger.warning("%s has no checkpoint: the stage is trained again", self.folder)
            self.log.truncate(0)
            return None, first
        if state["best_update"]:
            self._check_best()
        self.log.truncate(state["metrics_offset"])
        for record in read_metrics(self.log.path):
            first = {k: v for k, v in record.items() if isinstance(v, int | float)} | first
        return state, first


def totals(
    shares: Iterable[tuple[dict[str, float], dict[str, int]]],
) -> tuple[dict[str, float], dict[str, int]]:
    """Sums over all processes, and over how many updates, of each one's."""
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for found, updates in shares:
        for name, value in found.items():
            sums[name] = sums[name] + value if name in sums else value
            counts[name] = max(counts.get(name, 0), updates[name])
    return sums, counts


def _add(sums: dict[str, Tensor], values: dict[str, Tensor]) -> None:
    """Add values by name, in double precision and without gradient."""
    for name, value in values.items():
        value = value.detach().double()
        sums[name] = sums[name] + value if name in sums else value


def fused(factory: OptimizerFactory, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer, its step in one pass over the weights where its class knows how to.

    A factory that says itself how the step is made, by `fused`, `foreach` or `differentiable`,
    has its way.
    """
    known = inspect.signature(factory).parameters
    silent = all(name in known and known[name].default is None for name in ("fused", "foreach"))
    if silent and known["differentiable"].default is False:
        return factory(parameters, fused=True)  # type: ignore[call-arg]
    return factory(parameters)


PROGRESS = (
    "update",
    "epoch",
    "position",
    "best",
    "best_update",
    "plateau_best",
    "since_best",
    "decays",
    "stopped",
    "due",
    "seconds",
)
"""What a checkpoint holds of the trainer itself."""

"""A run: its stages in order, each trained once and shared through the stage store."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from seqrl.memory import OutOfMemory
from seqrl.models.weights import load_stored
from seqrl.tracking.files import write_json_atomic, write_text_atomic
from seqrl.tracking.metrics_log import merge_metrics
from seqrl.tracking.progress import Measure, Progress
from seqrl.tracking.wandb_mirror import WandbMirror
from seqrl.training.checkpoint import load_weights
from seqrl.training.ranks import ALONE, Ranks
from seqrl.training.stopping import AtOnce, Preempted, within
from seqrl.training.store import StageRecord, StageStore, Start, stage_key
from seqrl.training.trainer import Diverged, NotMeasured, Trainer

BEST = "best.safetensors"
SAMPLES = "samples.txt"


@dataclass(frozen=True)
class Stage:
    """One stage of a run, before its networks exist.

    name         within the run
    label        in tables
    delivers_policy
                 whether a policy is among its learners
    starts       learner or frozen network -> what an earlier stage delivers
    description  all that can change the result, the earlier stages' keys aside
    prepare      makes the trainer, given the folder, the start weights by network, a reporter
    """

    name: str
    label: str
    delivers_policy: bool
    starts: Mapping[str, Start]
    description: dict[str, Any]
    prepare: Callable[[Path, Mapping[str, Mapping[str, Tensor]], Reporter], Trainer]


@dataclass(frozen=True)
class StageResult:
    """A finished stage: where its weights are, and whether it was there already."""

    stage: Stage
    key: str
    folder: Path
    reused: bool
    record: StageRecord


class Reporter:
    """Shows a stage's progress and keeps the run's metrics and its mirror up to date."""

    def __init__(self, progress: Progress, merge: Callable[[], None]) -> None:
        self._progress = progress
        self._merge = merge

    def advance(self, step: int, tokens: int, measure: Measure) -> None:
        self._progress.advance(step, tokens, measure)

    def validated(self, step: int, scores: Mapping[str, float], selected: str) -> None:
        self._progress.validated(step, scores, selected)

    def resumed(self, step: int) -> None:
        self._progress.resumed(step)

    def saved(self) -> None:
        self._merge()


class Pipeline:
    """Runs the stages; `run` may be called again after any interruption.

    folder   of the run
    store    where stages are trained and kept
    mirror   W&B's copy of the metrics, or none
    preempted
             asked while another process trains a stage
    at_once  around the work before a stage's first update
    ranks    the processes that are at this run together
    """

    def __init__(
        self,
        *,
        folder: Path,
        store: StageStore,
        progress: Progress,
        mirror: WandbMirror | None,
        preempted: Callable[[], bool] = lambda: False,
        at_once: AtOnce = nullcontext,
        ranks: Ranks = ALONE,
    ) -> None:
        self.folder = folder
        self.store = store
        self.progress = progress
        self.mirror = mirror
        self.preempted = preempted
        self.at_once = at_once
        self.ranks = ranks
        self._parts: list[tuple[str, Path]] = []

    def run(self, stages: list[Stage]) -> list[StageResult]:
        """Train or reuse every stage. Raises Diverged, NotMeasured, OutOfMemory, Preempted and
        WaitEnded.
        """
        keys = stage_keys(stages)
        self.ranks.first(lambda: write_json_atomic(self.folder / "stages.json", keys))
        results: dict[str, StageResult] = {}
        for stage in stages:
            self._parts.append((stage.name, self.store.folder(keys[stage.name]) / "metrics.jsonl"))
            results[stage.name] = self._stage(stage, keys[stage.name], results)
            self.ranks.first(self._merge)
            self.ranks.first(partial(self._keep, results[stage.name]))
        self.ranks.first(lambda: self._collect(list(results.values())))
        return list(results.values())

    def _stage(self, stage: Stage, key: str, results: Mapping[str, StageResult]) -> StageResult:
        record = self.ranks.first(lambda: self.store.finished(key))
        if record is None:
            with self.ranks.held(self.store.lock(key, self.preempted)):
                record = self.ranks.first(lambda: self.store.finished(key))
                if record is None:
                    record = self._train(stage, key, results)
                    return StageResult(stage, key, self.store.folder(key), False, record)
        self.progress.message(
            f"{stage.name}: reused, trained before ({record.summary['updates']} updates, "
            f"best {record.summary['select']} {record.best:.4g}) in {self.store.folder(key)}"
        )
        return StageResult(stage, key, self.store.folder(key), True, record)

    def _train(self, stage: Stage, key: str, results: Mapping[str, StageResult]) -> StageRecord:
        folder = self.store.folder(key)
        starts = self.ranks.first(
            partial(within, self.at_once, partial(self._starts, stage, results))
        )
        reporter = Reporter(self.progress, self._merge)
        prepare = partial(stage.prepare, folder, starts, reporter)
        trainer = self.ranks.alike(partial(within, self.at_once, prepare))
        self.progress.message(f"{stage.name}: training in {folder}")
        self.progress.start(stage.name, trainer.total_updates)
        began = time.monotonic()
        try:
            summary = trainer.train()
        except (Diverged, NotMeasured, OutOfMemory) as error:
            self.ranks.first(self._merge)
            raise type(error)(f"stage {stage.name}: {error}") from None
        except Preempted:
            self.ranks.first(self._merge)
            raise
        finally:
            self.progress.finish()
        self.progress.message(
            f"{stage.name}: best {summary['select']} {summary['best']:.4g} at update "
            f"{summary['best_update']} of {summary['updates']}, "
            f"{time.monotonic() - began:.0f} s"
        )
        record = StageRecord(key, stage.description, summary["best"], summary)
        self.ranks.first(partial(self._finish, key, record))
        return record

    def _finish(self, key: str, record: StageRecord) -> None:
        keep = [BEST] + [SAMPLES] * (self.store.folder(key) / SAMPLES).is_file()
        self.store.finish(key, record, keep=keep)

    def _starts(
        self, stage: Stage, results: Mapping[str, StageResult]
    ) -> dict[str, dict[str, Tensor]]:
        """The weights that the stage's networks begin with, by network."""
        return {
            network: delivered(results[start.stage].folder, start.network)
            for network, start in stage.starts.items()
        }

    def _merge(self) -> None:
        """The run's metrics: those of its stages so far, in order. For the first process alone."""
        path = self.folder / "metrics.jsonl"
        merge_metrics(path, [(name, part) for name, part in self._parts if part.is_file()])
        if self.mirror is not None:
            self.mirror.sync(path)

    def _keep(self, result: StageResult) -> None:
        """The stage's weights in the run's own folder, which then stands alone."""
        target = self.folder / "checkpoints" / result.stage.name
        target.mkdir(parents=True, exist_ok=True)
        link(result.folder / BEST, target / BEST)

    def _collect(self, results: list[StageResult]) -> None:
        """One file each of all stages' timings and samples."""
        timings = [(r.stage.name, r.folder / "timings.jsonl") for r in results]
        merge_metrics(self.folder / "timings.jsonl", timings)
        samples = [
            f"##### {r.stage.name}\n\n{(r.folder / SAMPLES).read_text(encoding='utf-8')}"
            for r in results
            if (r.folder / SAMPLES).is_file()
        ]
        write_text_atomic(self.folder / SAMPLES, "\n".join(samples))


def stage_keys(stages: list[Stage]) -> dict[str, str]:
    """The key of each stage, which covers those of the stages that it starts from."""
    keys: dict[str, str] = {}
    for stage in stages:
        missing = [start.stage for start in stage.starts.values() if start.stage not in keys]
        if missing:
            raise ValueError(
                f"stage {stage.name} starts from {', '.join(missing)}, which is no earlier stage"
            )
        parents = {
            network: keys[start.stage] + (f".{start.network}" if start.network != network else "")
            for network, start in stage.starts.items()
        }
        keys[stage.name] = stage_key({**stage.description, "from": parents})
    return keys


def delivered(folder: Path, network: str) -> dict[str, Tensor]:
    """The best weights of one network of a finished stage."""
    prefix = f"{network}."
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in load_weights(folder / BEST).items()
        if name.startswith(prefix)
    }
    if not weights:
        raise ValueError(f"{folder / BEST} holds no weights of {network}")
    return weights


def load_start(module: nn.Module, weights: Mapping[str, Tensor], network: str) -> None:
    """Put start weights into a network; ValueError when they belong to another one."""
    try:
        load_stored(module, weights)
    except RuntimeError as error:
        first = next(iter(str(error).splitlines()[1:]), str(error)).strip()
        raise ValueError(f"the start weights do not fit the {network}: {first}") from None


def link(source: Path, target: Path) -> None:
    """A second name for the file where the file system allows it, else a copy."""
    if target.exists() and target.samefile(source):
        return  # replacing a file by another name of itself would leave both names
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

"""What the runs of a sweep are, how far they are, and what is left to do.

Nothing is trained here.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from seqrl.cli.configuration import Groups, OverrideError, parsed, traced
from seqrl.cli.runs import finished_result
from seqrl.identity import (
    Config,
    ConfigError,
    known_folder,
    plain,
    run_folder,
    seed_problems,
    shape_problems,
)
from seqrl.reports.table_spec import TableSpec
from seqrl.tracking.run_folder import LOCK, RESULT, read_status
from seqrl.training.store import STAGES, StageStore

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

FAILED = ("failed", "diverged")
"""States of runs that are not started again unless that is asked for."""

SHOWN = 60  # runs that a list shows


@dataclass(frozen=True)
class Planned:
    """One run of a sweep.

    overrides  of the sweep's settings, which tell it from the other runs
    config     resolved
    folder     of the run
    stages     name -> a key that is equal where stages are shared
    kinds      name -> the same without regard to seeds
    """

    overrides: tuple[str, ...]
    config: Config
    folder: Path
    stages: dict[str, str]
    kinds: dict[str, str]

    def __str__(self) -> str:
        return " ".join(self.overrides) or "/".join(self.folder.parts[-4:])

    @property
    def state(self) -> str:
        """`done`, what `status.json` says, or `new`; `interrupted`: nobody is at it any more."""
        if finished_result(self.folder, quiet=True) is not None:
            return "done"
        status = read_status(self.folder)
        if status is None:
            return "new"
        if status.state == "done" or (status.state == "running" and self._free):
            return "interrupted"
        return status.state

    @property
    def reason(self) -> str:
        """Why it failed or diverged."""
        status = read_status(self.folder)
        return status.reason if status else ""

    @property
    def unfinished(self) -> set[str]:
        """The keys of the stages that nobody has finished yet, as far as the folder tells."""
        try:
            real = json.loads((self.folder / "stages.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            real = {}
        return {
            key
            for name, key in self.stages.items()
            if name not in real or self._store.finished(real[name]) is None
        }

    @property
    def _store(self) -> StageStore:
        reuse = self.config["reuse"]
        return StageStore((Path(self.config["outputs"]) if reuse else self.folder) / STAGES)

    @property
    def _free(self) -> bool:
        """Whether no process holds the run's lock."""
        lock = FileLock(self.folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        lock.release()
        return True


@dataclass(frozen=True)
class Sweep:
    """The runs of one command line, in its order.

    retry  whether failed and diverged runs are started again
    table  that is printed at the end
    """

    runs: tuple[Planned, ...]
    retry: bool
    table: TableSpec

    @cached_property
    def name(self) -> str:
        """Eight hexadecimal digits that stand for the runs' folders: W&B's group."""
        folders = "\n".join(sorted(str(run.folder) for run in self.runs))
        return hashlib.sha256(folders.encode()).hexdigest()[:8]

    @property
    def pending(self) -> list[Planned]:
        """Runs that are to be started."""
        ended = ("done", *(() if self.retry else FAILED))
        return [run for run in self.runs if run.state not in ended]

    @property
    def states(self) -> Counter[str]:
        return Counter(run.state for run in self.runs)

    @property
    def overview(self) -> str:
        """How many runs there are, how far, and how many are to be started."""
        states = ", ".join(f"{count} {state}" for state, count in self.states.items())
        return f"{_counted(len(self.runs), 'run')}: {states}; {len(self.pending)} to do"


def planned(groups: Groups, typed: Sequence[str]) -> tuple[Sweep, Config]:
    """All runs, checked, and the first one's configuration.

    Raises OverrideError and ConfigError, which list all problems, and RequestError for a table
    that makes no sense.
    """
    points = expanded(groups, typed)
    swept_keys = [key for key in points[0] if len({point[key] for point in points}) > 1]
    problems: dict[str, list[str]] = {}
    runs: dict[Path, Planned] = {}
    first: Config = {}
    checked: dict[str, dict[str, str]] = {}
    for point in points:
        told = tuple(point[key] for key in swept_keys)
        try:
            config = plain(groups.composed(list(point.values())))
            first = first or config
            run = _run(told, config, checked)
            if run.folder in runs:
                raise ConfigError(
                    f"the same run as {runs[run.folder]}: only what changes no result"
                )
            runs[run.folder] = run
        except (ConfigError, OverrideError) as error:
            kept = None if isinstance(error, ConfigError) else 1  # the rest of Hydra's is context
            for line in str(error).splitlines()[:kept]:
                message = traced(
                    line, [text for key, text in point.items() if key not in swept_keys]
                )
                problems.setdefault(message, []).append(" ".join(told))
    if problems:
        raise ConfigError("\n".join(_placed(message, at) for message, at in problems.items()))
    table = TableSpec.from_node(first.get("report") or {})
    return Sweep(tuple(runs.values()), first["retry_failed"], table), first


def _placed(message: str, places: Sequence[str]) -> str:
    """A problem and the first run that has it."""
    others = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return f"{message} ({places[0]}{others})" if places[0] else message


def _run(told: tuple[str, ...], config: Config, checked: dict[str, dict[str, str]]) -> Planned:
    """The run of a configuration, which is built once, unless the like was or it has ended."""
    folder = known_folder(config)
    if folder is not None and finished_result(folder, quiet=True) is not None:
        return Planned(told, config, folder, {}, {})
    if shape_problems(config):
        raise ConfigError("\n".join(shape_problems(config)))
    from seqrl.build import check, planned_keys

    alike = seedless(config)
    kind = json.dumps(alike, sort_keys=True, default=str)
    if kind not in checked:
        check(config)
        checked[kind] = planned_keys(alike)
    elif seed_problems(config):
        raise ConfigError("\n".join(seed_problems(config)))
    folder = run_folder(config)
    store = config["outputs"] if config["reuse"] else folder
    stages = {name: f"{store} {key}" for name, key in planned_keys(config).items()}
    return Planned(told, config, folder, stages, checked[kind])


def seedless(config: Config) -> Config:
    """The configuration with all seeds 0."""
    stages = {name: stage | {"seed": 0} for name, stage in config["algorithm"]["stages"].items()}
    return config | {"seed": 0, "algorithm": config["algorithm"] | {"stages": stages}}


def expanded(groups: Groups, typed: Sequence[str]) -> list[dict[str, str]]:
    """The overrides of each run by key: all combinations, the last settings changing fastest.

    What a chosen experiment sweeps goes before what is typed.
    """
    overrides, problems = parsed(typed)
    problems += [
        f"{o.input_line}: has no meaning in a sweep; launcher= says where runs are made"
        for o in overrides
        if o.key_or_group.startswith("hydra") and o.key_or_group != "hydra.mode"
    ]
    if problems:
        raise OverrideError("\n".join(problems))
    values = {o.get_key_element(): _values(o) for o in groups.sweep(overrides)}
    return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]


def _values(override: Override) -> list[str]:
    """What an override says, once for each of its values."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [override.input_line or ""]
    if not override.is_discrete_sweep():
        raise OverrideError(f"{override.input_line}: an interval has no end of values; list some")
    values = list(dict.fromkeys(override.sweep_string_iterator()))
    if not values:
        raise OverrideError(f"{override.input_line}: there is no value")
    return [f"{key}={value}" for value in values]


def description(sweep: Sweep, jobs: int) -> list[str]:
    """What a sweep would do: its runs by state, the stages that they share, and the time."""
    pending = sweep.pending
    lines = [sweep.overview]
    lines += [f"  {run.state:<11} {run.folder}  {run}" for run in sweep.runs[:SHOWN]]
    if len(sweep.runs) > SHOWN:
        lines.append(f"  and {len(sweep.runs) - SHOWN} more")
    wanted: dict[str, tuple[Planned, str]] = {}
    for run in pending:
        left = run.unfinished
        for name, key in run.stages.items():
            if key in left:
                wanted.setdefault(key, (run, name))
    uses = Counter(key for run in pending for key in run.stages.values())
    alone = sum(len(run.unfinished) for run in pending)
    lines.append(f"stages to train: {len(wanted)}; {alone} if the runs shared none")
    shared: dict[str, list[str]] = {}
    for key, (_, name) in wanted.items():
        if uses[key] > 1:
            shared.setdefault(name, []).append(key)
    for name, keys in shared.items():
        users = sum(uses[key] for key in keys)
        lines.append(f"  {name}: {_counted(len(keys), 'training')} for {_counted(users, 'run')}")
    time = [(run.kinds[name], f"{name} of {run.config['algorithm']['name']}")
            for run, name in wanted.values()]  # fmt: skip
    return [*lines, _estimate(time, jobs, seconds_of_kinds(sweep))]


def seconds_of_kinds(sweep: Sweep) -> dict[str, float]:
    """By kind of stage, the mean time that a finished one took, of these runs and other seeds."""
    from seqrl.build import planned_keys

    found: dict[str, list[float]] = {}
    for folder in dict.fromkeys(run.folder.parent for run in sweep.runs):
        run = next(run for run in sweep.runs if run.folder.parent == folder)
        kinds = run.kinds or planned_keys(seedless(run.config))
        for path in folder.glob(f"*/{RESULT}"):
            try:
                stages = json.loads(path.read_text(encoding="utf-8"))["stages"]
            except (OSError, ValueError, KeyError):
                continue
            for name, summary in stages.items():
                if name in kinds:
                    found.setdefault(kinds[name], []).append(float(summary["seconds"]))
    return {kind: sum(seconds) / len(seconds) for kind, seconds in found.items()}


def _estimate(stages: Sequence[tuple[str, str]], jobs: int, known: dict[str, float]) -> str:
    """The time that stages take, given by kind and name, of which some kinds are known."""
    if not stages:
        return "time: nothing is left to train"
    seconds = sum(known.get(kind, 0.0) for kind, _ in stages)
    told = f"time: about {_duration(seconds / jobs)} of training with {jobs} at a time"
    unknown = Counter(name for kind, name in stages if kind not in known)
    if not unknown:
        return told
    names = ", ".join(list(unknown)[:3]) + (", ..." if len(unknown) > 3 else "")
    rest = f"{_counted(unknown.total(), 'stage')} whose like was never trained: {names}"
    return f"{told}, and {rest}" if seconds else f"time: unknown; {rest}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{round(seconds)} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

"""Finished and unfinished runs as rows of statistics over seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

CONFIG, RESULT, STATUS = "config.yaml", "result.json", "status.json"
LENGTH_RATIO = "length_ratio"

IRRELEVANT = (
    *("seed", "device", "threads", "outputs", "reuse", "tracker"),
    *("launcher", "dry_run", "retry_failed", "report"),
)
SPECTATORS = ("log_every", "save_every", "guards")  # change no weight of a finished stage
"""Settings, the latter of the trainer, that runs of one group may differ in."""
SHOWN_SETTINGS = 3


class ReportError(Exception):
    """Runs that no table can be made of."""


@dataclass(frozen=True)
class RunRecord:
    """What a run's folder tells.

    status   as `status.json` has it, `done` where there is a result
    reason   why it is not done, where that is known
    entries  the lines of `result.json`, none without it
    seconds  of training, by stage in their order; none without it
    """

    folder: Path
    config: dict[str, Any]
    status: str
    reason: str
    entries: list[dict[str, Any]]
    seconds: dict[str, float] = field(default_factory=dict)

    def minutes(self, stage: str) -> float:
        """Of training up to the end of the stage, whoever trained the stages before it."""
        stages = list(self.seconds)
        before = stages[: stages.index(stage) + 1] if stage in stages else []
        return sum(self.seconds[name] for name in before) / 60

    @property
    def task(self) -> str:
        return str(self.config["task"]["name"])

    @property
    def algorithm(self) -> str:
        return str(self.config["algorithm"]["name"])

    @property
    def seed(self) -> int:
        seed: int = self.config["seed"]
        return seed

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The dotted settings that decide the result, the seed aside."""
        relevant = {k: v for k, v in self.config.items() if k not in IRRELEVANT}
        trainer = relevant.get("trainer") or {}
        relevant["trainer"] = {k: v for k, v in trainer.items() if k not in SPECTATORS}
        flat = dict(flattened(relevant))
        return {
            key: value
            for key, value in flat.items()
            if not (key.endswith(".seed") and value == self.seed)
        }


@dataclass(frozen=True)
class Statistics:
    """Of one score over seeds; the deviation is the sample's (n - 1), none for one value."""

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        return statistics.stdev(self.values) if self.n > 1 else None

    @property
    def minimum(self) -> float:
        return min(self.values)

    @property
    def maximum(self) -> float:
        return max(self.values)


@dataclass(frozen=True)
class Row:
    """One policy on one split, decoded in one way, over the seeds of a group.

    identity    of the group: the name of its folder
    settings    what sets the group apart from others of the same task and algorithm
    runs        of the group, finished or not
    scores      by name, the length ratio last
    minutes     of training until the policy was there, the stages before it included
    signatures  of each score, more than one where the seeds' differ
    """

    task: str
    algorithm: str
    identity: str
    settings: dict[str, Any]
    stage: str
    label: str
    split: str
    decoding: str
    runs: int
    scores: dict[str, Statistics]
    minutes: Statistics
    signatures: dict[str, tuple[str, ...]]

    @property
    def n(self) -> int:
        """Finished runs."""
        return self.scores[LENGTH_RATIO].n


def find_runs(folders: Iterable[Path]) -> list[Path]:
    """The folders of runs at and below the given ones, each once.

    Raises ReportError naming those without any.
    """
    found: dict[Path, Path] = {}
    empty = []
    for folder in folders:
        if (folder / CONFIG).is_file():
            runs = [folder]
        else:
            runs = sorted(
                path.parent
                for path in folder.rglob(CONFIG)
                if (path.parent / STATUS).is_file() or (path.parent / RESULT).is_file()
            )
        if not runs:
            empty.append(folder)
        for run in runs:
            found.setdefault(run.resolve(), run)
    if empty:
        raise ReportError(
            "\n".join(f"{folder}: neither a run nor a folder of runs" for folder in empty)
        )
    return list(found.values())


def read_run(folder: Path) -> RunRecord:
    """What the folder tells. Raises ReportError where its files are damaged."""
    import yaml

    try:
        config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
        if (folder / RESULT).is_file():
            result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
            seconds = {
                name: float(stage["seconds"]) for name, stage in result.get("stages", {}).items()
            }
            return RunRecord(folder, config, "done", "", result["scores"], seconds)
        status: dict[str, Any] = {}
        if (folder / STATUS).is_file():
            status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
        state = status.get("status", "unfinished")
        return RunRecord(folder, config, state, status.get("reason") or "", [])
    except (OSError, ValueError, LookupError, yaml.YAMLError) as error:
        raise ReportError(f"{folder} is no readable run: {error!r}") from None


def flattened(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Dotted keys with their values; lists are values."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def grouped(records: Sequence[RunRecord]) -> list[list[RunRecord]]:
    """Runs that differ in nothing but their seed, by seed.

    Neighbours, whose folders stand in one, have the same data however their folders are spelled.
    Raises ReportError where a group has two runs of a seed.
    """
    groups: dict[str, list[RunRecord]] = {}
    neighbours: dict[str, str] = {}
    for record in records:
        key = json.dumps(record.settings, sort_keys=True, default=str)
        placeless = {k: v for k, v in record.settings.items() if not k.endswith("_dir")}
        place = json.dumps([str(record.folder.resolve().parent), placeless], default=str)
        groups.setdefault(neighbours.setdefault(place, key), []).append(record)
    for group in groups.values():
        group.sort(key=lambda record: record.seed)
        for first, second in pairwise(group):
            if first.seed == second.seed:
                raise ReportError(
                    f"{first.folder} and {second.folder} are the same run with the same seed; "
                    "name one of them"
                )
    return list(groups.values())


def aggregate(
    records: Sequence[RunRecord],
    *,
    splits: Sequence[str] = (),
    decodings: Sequence[str] = (),
    final: bool = False,
) -> list[Row]:
    """Rows by task, split and decoding, then in the order of the runs and of their stages.

    splits, decodings  the only ones to show; none named: all
    final              only the last policy of each run
    """
    groups = grouped(records)
    apart = distinguishing([group[0] for group in groups])
    rows = [
        row for group, own in zip(groups, apart, strict=True) for row in _rows(group, own, final)
    ]
    chosen = [
        row
        for row in rows
        if (not splits or row.split in splits) and (not decodings or row.decoding in decodings)
    ]
    return sorted(chosen, key=lambda row: (row.task, row.split, row.decoding))


def distinguishing(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """For each run the settings in which runs of its task and algorithm differ.

    Of settings that differ together, as a setting and its copies in the stages do, the one
    with the shortest key stands for all.
    """
    families: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        families.setdefault((record.task, record.algorithm), []).append(record)
    keys = {name: _differing(family) for name, family in families.items()}
    return [
        {
            key: record.settings[key]
            for key in keys[record.task, record.algorithm]
            if key in record.settings
        }
        for record in records
    ]


def _differing(family: Sequence[RunRecord]) -> list[str]:
    every = dict.fromkeys(key for record in family for key in record.settings)
    kept: dict[str, str] = {}
    for key in sorted(every, key=lambda key: key.count(".")):
        values = [json.dumps(record.settings.get(key), default=str) for record in family]
        if len(set(values)) > 1:
            kept.setdefault(json.dumps(values), key)
    return list(kept.values())


def _rows(group: Sequence[RunRecord], settings: dict[str, Any], final: bool) -> list[Row]:
    cells: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    minutes: dict[str, list[float]] = {}
    for record in group:
        stages = list(dict.fromkeys(entry["stage"] for entry in record.entries))
        shown = stages[-1:] if final else stages
        for stage in shown:
            minutes.setdefault(stage, []).append(record.minutes(stage))
        for entry in record.entries:
            if entry["stage"] in shown:
                place = (entry["stage"], entry["split"], entry["decoding"])
                cells.setdefault(place, []).append(entry)
    first = group[0]
    return [
        Row(
            task=first.task,
            algorithm=first.algorithm,
            identity=first.folder.resolve().parent.name,
            settings=settings,
            stage=stage,
            label=entries[0]["label"],
            split=split,
            decoding=decoding,
            runs=len(group),
            scores=_scores(entries),
            minutes=Statistics(tuple(minutes[stage])),
            signatures={
                name: tuple(dict.fromkeys(entry["scores"][name]["signature"] for entry in entries))
                for name in entries[0]["scores"]
            },
        )
        for (stage, split, decoding), entries in cells.items()
    ]


def _scores(entries: Sequence[Mapping[str, Any]]) -> dict[str, Statistics]:
    values = {
        name: [float(entry["scores"][name]["value"]) for entry in entries]
        for name in entries[0]["scores"]
    }
    values[LENGTH_RATIO] = [float(entry[LENGTH_RATIO]) for entry in entries]
    return {name: Statistics(tuple(column)) for name, column in values.items()}


def settings_text(settings: Mapping[str, Any]) -> str:
    """`algorithm.tau=0.04 ...`, the first few."""
    shown = [f"{key}={value}" for key, value in settings.items()]
    more = [f"and {len(shown) - SHOWN_SETTINGS} more"] if len(shown) > SHOWN_SETTINGS else []
    return ", ".join([*shown[:SHOWN_SETTINGS], *more])

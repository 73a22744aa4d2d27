"""Finished and unfinished runs as rows of statistics over seeds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise, product
from pathlib import Path
from textwrap import shorten
from typing import Any

from seqrl.reports.statistics import Statistics
from seqrl.tracking.run_folder import CONFIG, RESULT, STATUS, Status, read_status

LENGTH_RATIO = "length_ratio"

DONE, DIVERGED, MISSING = "done", "diverged", "missing"

IRRELEVANT = (
    *("seed", "device", "deterministic", "threads", "outputs", "reuse", "tracker"),
    *("launcher", "dry_run", "retry_failed", "report"),
)
SPECTATORS = ("log_every", "save_every", "guards")  # change no weight of a finished stage
"""Settings, the latter of the trainer, that runs of one group may differ in."""
SHOWN_SETTINGS = 3
SHOWN_REASON = 200  # letters of why a run is not finished


Seeds = tuple[int, tuple[tuple[str, int], ...]]
"""Of a run, and by name those of its stages that differ from it."""


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
    def seeds(self) -> Seeds:
        """The run's seed, and those of stages that have another."""
        stages, seed = self.config["algorithm"]["stages"], self.config["seed"]
        own = [(name, stage.get("seed", seed)) for name, stage in stages.items()]
        return seed, tuple((name, value) for name, value in own if value != seed)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The dotted settings that decide the result, the seeds aside."""
        relevant = {k: v for k, v in self.config.items() if k not in IRRELEVANT}
        trainer = relevant.get("trainer") or {}
        relevant["trainer"] = {k: v for k, v in trainer.items() if k not in SPECTATORS}
        stages = relevant["algorithm"]["stages"]
        seedless = {n: {k: v for k, v in s.items() if k != "seed"} for n, s in stages.items()}
        relevant["algorithm"] = relevant["algorithm"] | {"stages": seedless}
        return dict(flattened(relevant))


@dataclass(frozen=True)
class Row:
    """One policy on one split, decoded in one way, over the seeds of a group.

    identity       of the group: the name of its folder
    settings       what sets the group apart from others of the same task and algorithm
    configuration  all dotted settings of the group
    final          whether this is the last policy of its runs
    seeds          of the finished runs, in the order of the scores' values
    runs           of the group, finished or not
    diverged       how many of these diverged
    scores         by name, the length ratio last; none where no run finished
    minutes        of training until the policy was there, the stages before it included
    signatures     of each score, more than one where the seeds' differ
    """

    task: str
    algorithm: str
    identity: str
    settings: dict[str, Any]
    configuration: dict[str, Any]
    stage: str
    label: str
    final: bool
    split: str
    decoding: str
    seeds: tuple[Seeds, ...]
    runs: int
    diverged: int
    scores: dict[str, Statistics]
    minutes: Statistics | None
    signatures: dict[str, tuple[str, ...]]

    @property
    def n(self) -> int:
        """Finished runs."""
        return len(self.seeds)

    @property
    def block(self) -> tuple[str, str, str]:
        """What rows must share to be compared with each other."""
        return self.task, self.split, self.decoding

    @property
    def name(self) -> str:
        """The group's algorithm, and its settings where there are others."""
        return " ".join(filter(None, [self.algorithm, settings_text(self.settings)]))

    def by_seed(self, score: str) -> dict[Seeds, float]:
        """The score's value of each finished run."""
        return dict(zip(self.seeds, self.scores[score].values, strict=True))


@dataclass(frozen=True)
class Unfinished:
    """A run without a result, and why; its status is `missing` where it was never started."""

    folder: Path
    status: str
    reason: str = ""

    def __str__(self) -> str:
        why = shorten(self.reason, SHOWN_REASON, placeholder=" ...")
        return f"{self.folder} ({self.status}{': ' if why else ''}{why})"


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
            return RunRecord(folder, config, DONE, "", result["scores"], seconds)
        status = read_status(folder) or Status("unfinished", "")
        return RunRecord(folder, config, status.state, " ".join(status.reason.split()), [])
    except (OSError, ValueError, LookupError, yaml.YAMLError) as error:
        raise ReportError(f"{folder} is no readable run: {error!r}") from None


def read_started(folders: Iterable[Path]) -> list[RunRecord]:
    """Those of the folders in which a run was ever started. Raises ReportError, see `read_run`."""
    return [read_run(folder) for folder in folders if (folder / CONFIG).is_file()]


def unfinished(records: Sequence[RunRecord], expected: Iterable[Path] = ()) -> list[Unfinished]:
    """Runs without a result, but those that diverged, which is one.

    expected  folders of runs that there should be: one that no record is of is missing
    """
    there = {record.folder.resolve() for record in records}
    found = [
        Unfinished(record.folder, record.status, record.reason)
        for record in records
        if record.status not in (DONE, DIVERGED)
    ]
    missing = [folder for folder in expected if folder.resolve() not in there]
    return [*found, *(Unfinished(folder, MISSING) for folder in missing)]


def flattened(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Dotted keys with their values; lists are values."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def grouped(records: Sequence[RunRecord]) -> list[list[RunRecord]]:
    """Runs that differ in nothing but their seeds, by these.

    Neighbours, whose folders stand in one, have the same data however their folders are spelled.
    Raises ReportError where a group has two runs of the same seeds.
    """
    groups: dict[str, list[RunRecord]] = {}
    neighbours: dict[str, str] = {}
    for record in records:
        key = json.dumps(record.settings, sort_keys=True, default=str)
        placeless = {k: v for k, v in record.settings.items() if not k.endswith("_dir")}
        place = json.dumps([str(record.folder.resolve().parent), placeless], default=str)
        groups.setdefault(neighbours.setdefault(place, key), []).append(record)
    for group in groups.values():
        group.sort(key=lambda record: record.seeds)
        for first, second in pairwise(group):
            if first.seeds == second.seeds:
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
    missing: Sequence[Path] = (),
) -> list[Row]:
    """Rows by task, split and decoding, then in the order of the runs and of their stages.

    splits, decodings  the only ones to show; none named: all
    final              only the last policy of each run
    missing            folders of runs never started, which count for the group beside them

    A group that has no result, since it diverged, has the splits and decodings of the others.
    """
    groups = grouped(records)
    apart = distinguishing([group[0] for group in groups])
    places: dict[str, dict[tuple[str, str], None]] = {}
    for record in records:
        for entry in record.entries:
            places.setdefault(record.task, {})[entry["split"], entry["decoding"]] = None
    named = list(product(splits or [""], decodings or [""]))
    rows = []
    for group, own in zip(groups, apart, strict=True):
        above = group[0].folder.resolve().parent
        runs = len(group) + sum(folder.resolve().parent == above for folder in missing)
        if any(record.entries for record in group):
            rows += _rows(group, own, final, runs)
        elif any(record.status == DIVERGED for record in group):
            shown = list(places.get(group[0].task, named))
            rows += [_empty_row(group, own, runs, place) for place in shown]
    chosen = [
        row
        for row in rows
        if (not splits or row.split in splits) and (not decodings or row.decoding in decodings)
    ]
    return sorted(chosen, key=lambda row: row.block)


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


def _rows(
    group: Sequence[RunRecord], settings: dict[str, Any], final: bool, runs: int
) -> list[Row]:
    cells: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    seeds: dict[tuple[str, str, str], list[Seeds]] = {}
    minutes: dict[str, list[float]] = {}
    last = ""
    for record in group:
        stages = list(dict.fromkeys(entry["stage"] for entry in record.entries))
        shown = stages[-1:] if final else stages
        last = stages[-1] if stages else last
        for stage in shown:
            minutes.setdefault(stage, []).append(record.minutes(stage))
        for entry in record.entries:
            if entry["stage"] in shown:
                place = (entry["stage"], entry["split"], entry["decoding"])
                cells.setdefault(place, []).append(entry)
                seeds.setdefault(place, []).append(record.seeds)
    return [
        Row(
            **_of_group(group, settings, runs),
            stage=stage,
            label=entries[0]["label"],
            final=stage == last,
            split=split,
            decoding=decoding,
            seeds=tuple(seeds[stage, split, decoding]),
            scores=_scores(entries),
            minutes=Statistics(tuple(minutes[stage])),
            signatures={
                name: tuple(dict.fromkeys(entry["scores"][name]["signature"] for entry in entries))
                for name in entries[0]["scores"]
            },
        )
        for (stage, split, decoding), entries in cells.items()
    ]


def _empty_row(
    group: Sequence[RunRecord], settings: dict[str, Any], runs: int, place: tuple[str, str]
) -> Row:
    """Of a group without results: its last policy, had there been one."""
    stages = group[0].config["algorithm"]["stages"]
    policies = [name for name in stages if "policy" in stages[name].get("optimizers", ())]
    stage = [*stages, *policies][-1]
    return Row(
        **_of_group(group, settings, runs),
        stage=stage,
        label=str(stages[stage].get("label", stage)),
        final=True,
        split=place[0],
        decoding=place[1],
        seeds=(),
        scores={},
        minutes=None,
        signatures={},
    )


def _of_group(group: Sequence[RunRecord], settings: dict[str, Any], runs: int) -> dict[str, Any]:
    first = group[0]
    return {
        "task": first.task,
        "algorithm": first.algorithm,
        "identity": first.folder.resolve().parent.name,
        "settings": settings,
        "configuration": first.settings,
        "runs": runs,
        "diverged": sum(record.status == DIVERGED for record in group),
    }


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

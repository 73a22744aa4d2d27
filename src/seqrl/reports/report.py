"""A table of runs: rows, tests against a baseline, and published scores, by its specification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqrl.reports.aggregate import (
    DIVERGED,
    LENGTH_RATIO,
    MISSING,
    ReportError,
    Row,
    RunRecord,
    Unfinished,
    aggregate,
    settings_text,
    unfinished,
)
from seqrl.reports.statistics import Comparison, corrected, paired
from seqrl.reports.table_spec import Published, RequestError, TableSpec, has_settings

Block = tuple[str, str, str]


class IncompleteError(ReportError):
    """Runs are not finished, so that there are no statistics of them."""


@dataclass(frozen=True)
class Line:
    """A row with what stands beside its scores, by their names.

    is_baseline  whether the others of its block are tested against it
    """

    row: Row
    is_baseline: bool = False
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    published: Mapping[str, Sequence[Published]] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What is to be printed.

    records     of the runs, for the curves
    lines       of the table, in its order
    unfinished  runs that are missing in it
    """

    spec: TableSpec
    records: Sequence[RunRecord]
    lines: Sequence[Line]
    unfinished: Sequence[Unfinished]

    @property
    def rows(self) -> list[Row]:
        return [line.row for line in self.lines]

    @property
    def diverged(self) -> list[Unfinished]:
        """The runs that diverged, with their reasons."""
        return [
            Unfinished(record.folder, record.status, record.reason)
            for record in self.records
            if record.status == DIVERGED
        ]


def sweep_report(
    records: Sequence[RunRecord],
    spec: TableSpec | None = None,
    expected: Sequence[Path] = (),
    *,
    incomplete: bool = False,
) -> Report:
    """The report of runs.

    expected    folders of the runs that there should be; none: as many as there are
    incomplete  whether runs without a result are tolerated; one that diverged has a result

    Raises IncompleteError with the list of runs that are not finished, RequestError for a
    baseline that is not one row or a setting that no run has, ReportError where there is
    nothing to show.
    """
    spec = spec or TableSpec()
    absent = unfinished(records, expected)
    if absent and not incomplete:
        raise IncompleteError(_refusal(absent))
    rows = aggregate(
        records,
        splits=spec.split,
        decodings=spec.decoding,
        final=spec.final,
        missing=[run.folder for run in absent if run.status == MISSING],
    )
    if not rows:
        found = ", ".join(sorted({record.status for record in records})) or MISSING
        raise ReportError(f"nothing to show: no finished run has such scores (runs are {found})")
    if spec.curve and not any(spec.curve in row.configuration for row in rows):
        raise RequestError(f"report.curve: no run has a setting {spec.curve}")
    rows = sorted(rows, key=lambda row: (row.block, _place(row, spec.published)))
    tested_against = found_baselines(rows, spec.baseline) if spec.baseline else {}
    tests = _comparisons(rows, tested_against)
    lines = [
        Line(
            row,
            is_baseline=tested_against.get(row.block) is row,
            comparisons=tests[index],
            published=_published(row, spec.published),
        )
        for index, row in enumerate(rows)
    ]
    return Report(spec, records, lines, absent)


def found_baselines(rows: Sequence[Row], text: str) -> dict[Block, Row]:
    """The row of each task, split and decoding that a text names; blocks may have none.

    The text is an algorithm's name, which means the last policy of its runs, a policy's label,
    or settings such as `algorithm=erac,algorithm.tau=0.04`, likewise of the last policy.
    Raises RequestError where no row has it, or several rows of a block.
    """
    blocks: dict[Block, list[Row]] = {}
    for row in rows:
        blocks.setdefault(row.block, []).append(row)
    found = {block: _named(block_rows, text) for block, block_rows in blocks.items()}
    problem = ""
    if not any(found.values()):
        problem = "there is no such row"
    elif any(len(matches) > 1 for matches in found.values()):
        problem = "several rows are meant; add settings, as in algorithm=erac,algorithm.tau=0.04"
    if problem:
        names = dict.fromkeys(
            f"  algorithm={row.algorithm}"
            + (f" ({settings_text(row.settings)})" if row.settings else "")
            + f", policy {row.label}"
            for row in rows
        )
        raise RequestError("\n".join([f"baseline {text}: {problem}. There are:", *names]))
    return {block: matches[0] for block, matches in found.items() if matches}


def _named(rows: Sequence[Row], text: str) -> list[Row]:
    """The rows that a text names: by algorithm, else by label, else by settings."""
    by_algorithm = [row for row in rows if row.algorithm == text and row.final]
    by_label = [row for row in rows if row.label == text]
    if by_algorithm or by_label or "=" not in text:
        return by_algorithm or by_label
    settings = _settings(text)
    return [row for row in rows if row.final and has_settings(row, settings)]


def _settings(text: str) -> dict[str, Any]:
    import yaml

    settings = {}
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        if not equals:
            raise RequestError(f"baseline {text}: settings are written KEY=VALUE,KEY=VALUE")
        try:
            plain = yaml.safe_load(value)
        except yaml.YAMLError:
            raise RequestError(f"baseline {text}: {value} is no value") from None
        name = f"{key}.name" if key in ("algorithm", "task") else key
        settings[name] = None if plain == "None" else plain  # as tables have it
    return settings


def _comparisons(
    rows: Sequence[Row], tested_against: Mapping[Block, Row]
) -> list[dict[str, Comparison]]:
    """Of every row with the baseline of its block, corrected over the rows of the block."""
    tests: list[dict[str, Comparison]] = [{} for _ in rows]
    for block, baseline in tested_against.items():
        for name in baseline.scores:
            if name == LENGTH_RATIO:
                continue
            places = [
                index
                for index, row in enumerate(rows)
                if row.block == block and row is not baseline and name in row.scores
            ]
            found = [paired(rows[i].by_seed(name), baseline.by_seed(name)) for i in places]
            for index, comparison in zip(places, corrected(found), strict=True):
                if comparison.pairs:
                    tests[index][name] = comparison
    return tests


def _published(row: Row, published: Sequence[Published]) -> dict[str, list[Published]]:
    found: dict[str, list[Published]] = {}
    for entry in published:
        if entry.is_for(row) and (entry.score in row.scores or not row.scores):
            found.setdefault(entry.score, []).append(entry)
    return found


def _place(row: Row, published: Sequence[Published]) -> int:
    """Where the row stands in its block: as the published scores do, the others after them."""
    matches = (i for i, entry in enumerate(published) if has_settings(row, entry.where))
    return next(matches, len(published))


def _refusal(absent: Sequence[Unfinished]) -> str:
    return "\n".join(
        [
            f"{len(absent)} run{'s are' if len(absent) > 1 else ' is'} not finished, "
            "so that there are no statistics yet:",
            *(f"  {run}" for run in absent),
            "The command that started a run continues it when it is given again, as does "
            "`seqrl-rerun RUN`. The folder of one that was a mistake may be deleted; "
            "--incomplete shows what there is.",
        ]
    )

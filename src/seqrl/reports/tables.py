"""A report as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from seqrl.metrics.direction import LOWER_IS_BETTER
from seqrl.reports.aggregate import LENGTH_RATIO, Row, settings_text
from seqrl.reports.report import Line, Report
from seqrl.reports.statistics import (
    EXACT_PAIRS,
    LEVEL,
    Comparison,
    Statistics,
    least_p,
)
from seqrl.reports.table_spec import Published

TEXT_COLUMNS = ("task", "algorithm", "settings", "policy", "split", "decoding")
CSV_COLUMNS = (
    *("task", "algorithm", "identity", "settings", "stage", "policy", "split", "decoding"),
    *("score", "mean", "std", "min", "max", "n", "runs", "signature"),
    *("diverged", "low", "high", "baseline", "difference", "pairs", "p", "p_holm", "p_t_test"),
    *("published", "published_std", "published_min", "published_max", "source"),
)
TASK = "task.name"
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def markdown(report: Report) -> str:
    """A table, and what its numbers are, their signatures, and the runs that are not in it."""
    header, body = cells(report, "±")
    escaped_cells = [[cell.replace("|", r"\|") for cell in row] for row in (header, *body)]
    texts = text_columns(header)
    widths = [max(3, *map(len, column)) for column in zip(*escaped_cells, strict=True)]
    lines = [
        " | ".join(
            cell.ljust(width) if i < texts else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in escaped_cells
    ]
    rule = ["-" * w if i < texts else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    lines.insert(1, " | ".join(rule))
    title = [f"## {report.spec.title}", ""] if report.spec.title else []
    return "\n".join([*title, *(f"| {line} |" for line in lines), "", *notes(report)])


def latex(report: Report) -> str:
    """A tabular in booktabs' style; title and notes stand in comments."""
    header, body = cells(report, r"$\pm$")
    texts = text_columns(header)
    columns = "l" * texts + "r" * (len(header) - texts)
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(escaped, header)) + r" \\",
        r"\midrule",
    ]
    for row in body:
        numbers = [cell.replace("<", "$<$") for cell in row[texts:]]
        words = [escaped(cell) for cell in row[:texts]] + numbers
        lines.append(" & ".join(words) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    title = [report.spec.title] if report.spec.title else []
    comments = [line for note in [*title, *notes(report)] for line in note.splitlines()]
    return "\n".join([*(f"% {comment}" for comment in comments), *lines])


def comma_separated(report: Report) -> str:
    """One line for each row's score, with every number in full; of a row without any, one."""
    file = io.StringIO()
    writer = csv.DictWriter(file, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in report.lines:
        row = line.row
        common = {
            "task": row.task,
            "algorithm": row.algorithm,
            "identity": row.identity,
            "settings": settings_text(row.settings),
            "stage": row.stage,
            "policy": row.label,
            "split": row.split,
            "decoding": row.decoding,
            "n": row.n,
            "runs": row.runs,
            "diverged": row.diverged,
        }
        minutes = {} if row.minutes is None else {"minutes": row.minutes}
        for name, score in (row.scores | minutes).items():
            writer.writerow(common | _score_values(line, name, score))
        if not row.scores:
            writer.writerow(common)
    return file.getvalue().rstrip("\n")


def notes(report: Report) -> list[str]:
    """What the numbers are, the signatures, and the runs that are missing."""
    rows = report.rows
    lines = []
    if any(row.n > 1 for row in rows):
        lines.append("mean ± sample standard deviation over n seeds")
    if _with_intervals(rows):
        lines.append("95 %: bootstrap interval of the mean over seeds, too narrow for a few")
    lines += _test_notes(report)
    lines.append("minutes: of training, the stages before included, whichever run trained them")
    signatures: dict[str, dict[str, None]] = {}
    for row in rows:
        for name, texts in row.signatures.items():
            signatures.setdefault(name, {}).update(dict.fromkeys(texts))
    lines += [f"{name}: {text}" for name, texts in signatures.items() for text in texts]
    lines += _published_notes(report)
    if report.diverged and any(row.n for row in rows):
        lines.append("runs that diverged have no scores: all numbers are of the others")
    lines += [f"diverged: {run.folder}{_reason(run.reason)}" for run in report.diverged]
    lines += [f"not finished: {run}" for run in report.unfinished]
    return [*lines, report.spec.note.strip()] if report.spec.note else lines


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_LATEX.get(character, character) for character in text)


def cells(report: Report, plus_minus: str) -> tuple[list[str], list[list[str]]]:
    """Header and body; columns are left out where there is nothing to say in them."""
    rows = report.rows
    names = score_names(rows)
    columns = {name: _Columns(report.lines, name, plus_minus) for name in names}
    header = [*TEXT_COLUMNS, "n"]
    for name in names:
        header += columns[name].header()
    header += ["length ratio", "minutes"]
    body = []
    for line in report.lines:
        row = line.row
        line_cells = [row.task, row.algorithm, settings_text(row.settings), row.label, row.split]
        line_cells += [row.decoding, count(row)]
        for name in names:
            line_cells += columns[name].cells(line)
        ratio = row.scores.get(LENGTH_RATIO)
        line_cells.append("" if ratio is None else f"{ratio.mean:.3f}")
        line_cells.append("" if row.minutes is None else f"{row.minutes.mean:.1f}")
        body.append(line_cells)
    if not any(row.settings for row in rows):
        column = header.index("settings")
        for texts in (header, *body):
            del texts[column]
    return header, body


def score_names(rows: Sequence[Row]) -> list[str]:
    """The scores of all rows; the length ratio is none."""
    names = dict.fromkeys(name for row in rows for name in row.scores)
    return [name for name in names if name != LENGTH_RATIO]


def count(row: Row) -> str:
    """How many runs the row is of, of how many there are: `3`, `2/3`, `2/3 (1 diverged)`."""
    finished = str(row.n) if row.n == row.runs else f"{row.n}/{row.runs}"
    return f"{finished} ({row.diverged} diverged)" if row.diverged else finished


def text_columns(header: Sequence[str]) -> int:
    """How many columns hold words; they come first."""
    return list(header).index("n")


class _Columns:
    """The columns of one score."""

    def __init__(self, lines: Sequence[Line], name: str, plus_minus: str) -> None:
        rows = [line.row for line in lines]
        self.name = name
        self.plus_minus = plus_minus
        self.several = any(row.n > 1 for row in rows)
        self.intervals = _with_intervals(rows)
        self.compared = any(line.comparisons for line in lines)
        self.published = any(name in line.published for line in lines)

    def header(self) -> list[str]:
        return [
            self.name,
            *(["min", "max"] if self.several else []),
            *(["95 %"] if self.intervals else []),
            *(["difference", "p (Holm)"] if self.compared else []),
            *(["published"] if self.published else []),
        ]

    def cells(self, line: Line) -> list[str]:
        score = line.row.scores.get(self.name)
        found = [self._spread(score)]
        if self.several:
            found += ["", ""] if score is None else [_short(score.minimum), _short(score.maximum)]
        if self.intervals:
            interval = score.interval if score else None
            found.append("" if interval is None else f"[{interval[0]:.2f}, {interval[1]:.2f}]")
        if self.compared:
            found += self._test(line)
        if self.published:
            entries = line.published.get(self.name, ())
            found.append("; ".join(self._of_paper(entry) for entry in entries))
        return found

    def _spread(self, score: Statistics | None) -> str:
        if score is None:
            return ""
        return self._with_deviation(score.mean, score.deviation)

    def _with_deviation(self, mean: float, deviation: float | None) -> str:
        return (
            _short(mean) if deviation is None else f"{mean:.2f} {self.plus_minus} {deviation:.2f}"
        )

    def _test(self, line: Line) -> list[str]:
        if line.is_baseline:
            return ["baseline", ""]
        comparison = line.comparisons.get(self.name)
        if comparison is None:
            return ["", ""]
        p = "" if comparison.adjusted is None else p_text(comparison.adjusted)
        return [f"{comparison.mean:+z.2f}", p]

    def _of_paper(self, entry: Published) -> str:
        known = entry.min is not None and entry.max is not None
        ends = f" ({entry.min:.2f} to {entry.max:.2f})" if known else ""
        return self._with_deviation(entry.mean, entry.std) + ends


def p_text(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def _score_values(line: Line, name: str, score: Statistics) -> dict[str, object]:
    low, high = score.interval or ("", "")
    values: dict[str, object] = {
        "score": name,
        "mean": score.mean,
        "std": score.deviation,
        "min": score.minimum,
        "max": score.maximum,
        "signature": " / ".join(line.row.signatures.get(name, ())),
        "low": low,
        "high": high,
        "baseline": "yes" if line.is_baseline else "",
    }
    if name in line.comparisons:
        comparison = line.comparisons[name]
        values |= {
            "difference": comparison.mean,
            "pairs": comparison.pairs,
            "p": comparison.p,
            "p_holm": comparison.adjusted,
            "p_t_test": comparison.t_test_p,
        }
    entries = line.published.get(name, ())
    for column in ("mean", "std", "min", "max"):
        texts = [getattr(entry, column) for entry in entries]
        key = "published" if column == "mean" else f"published_{column}"
        values[key] = " / ".join("" if text is None else str(text) for text in texts)
    values["source"] = " / ".join(entry.source for entry in entries)
    return values


def _test_notes(report: Report) -> list[str]:
    tested_against = {line.row.block: line.row for line in report.lines if line.is_baseline}
    if not tested_against:
        return []
    lines = [
        f"difference: of the score to that of {report.spec.baseline}, mean over the seeds that "
        "both have",
    ]
    comparisons = [test for line in report.lines for test in line.comparisons.values()]
    tested = [comparison for comparison in comparisons if comparison.p is not None]
    if tested:
        lines.append(
            f"p: two-sided sign-flip test of the difference ({_how(tested)}), after Holm's "
            "correction over the rows of one task, split, decoding and score"
        )
    limited = sorted({test.pairs for test in tested if least_p(test.pairs) > LEVEL})
    if limited:
        limits = ", ".join(f"{p_text(least_p(pairs))} with {pairs} pairs" for pairs in limited)
        lines.append(
            f"no p can be below {limits}, even before the correction; below {LEVEL} it takes 6"
        )
    lower = [name for name in score_names(report.rows) if name in LOWER_IS_BETTER]
    if lower:
        lines.append(f"{', '.join(lower)}: lower is better")
    without = dict.fromkeys(line.row.block for line in report.lines)
    lines += [
        f"no baseline {report.spec.baseline} in: {' '.join(block)}"
        for block in without
        if block not in tested_against
    ]
    return lines


def _how(comparisons: Sequence[Comparison]) -> str:
    exact = all(comparison.pairs <= EXACT_PAIRS for comparison in comparisons)
    return "exact" if exact else f"exact for up to {EXACT_PAIRS} pairs"


def _published_notes(report: Report) -> list[str]:
    shown = [entry for line in report.lines for found in line.published.values() for entry in found]
    sources = dict.fromkeys(entry.source for entry in shown if entry.source)
    lines = [f"published: {source}" for source in sources]
    absent = [entry for entry in report.spec.published if entry not in shown]
    tasks = {row.task for row in report.rows}
    elsewhere = {str(e.where.get(TASK)) for e in absent if e.where.get(TASK) not in (None, *tasks)}
    lines += [f"published scores are of {task}, not in this table" for task in sorted(elsewhere)]
    near = [entry for entry in absent if str(entry.where.get(TASK)) not in elsewhere]
    return lines + [f"published, but no such row: {entry}" for entry in near]


def _with_intervals(rows: Sequence[Row]) -> bool:
    return any(score.interval for row in rows for score in row.scores.values())


def _short(value: float) -> str:
    return f"{value:.2f}"


def _reason(reason: str) -> str:
    return f" ({reason})" if reason else ""

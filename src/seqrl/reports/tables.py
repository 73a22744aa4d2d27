"""Rows of statistics as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from seqrl.reports.aggregate import LENGTH_RATIO, Row, RunRecord, Statistics, settings_text

TEXT_COLUMNS = ("task", "algorithm", "settings", "policy", "split", "decoding")
CSV_COLUMNS = (
    *("task", "algorithm", "identity", "settings", "stage", "policy", "split", "decoding"),
    *("score", "mean", "std", "min", "max", "n", "runs", "signature"),
)
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def markdown(rows: Sequence[Row], unfinished: Sequence[RunRecord] = ()) -> str:
    """A table, the signatures of its scores, and the runs that are not in it."""
    header, body = _cells(rows, "±")
    cells = [[cell.replace("|", r"\|") for cell in row] for row in (header, *body)]
    texts = _text_columns(header)
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        " | ".join(
            cell.ljust(width) if i < texts else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    rule = ["-" * w if i < texts else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    lines.insert(1, " | ".join(rule))
    table = [f"| {line} |" for line in lines]
    return "\n".join([*table, "", *notes(rows, unfinished)])


def latex(rows: Sequence[Row]) -> str:
    """A tabular in booktabs' style; the signatures stand in comments."""
    header, body = _cells(rows, r"$\pm$")
    texts = _text_columns(header)
    columns = "l" * texts + "r" * (len(header) - texts)
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(escaped, header)) + r" \\",
        r"\midrule",
    ]
    for row in body:
        words = [escaped(cell) for cell in row[:texts]] + row[texts:]
        lines.append(" & ".join(words) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*(f"% {note}" for note in notes(rows)), *lines])


def comma_separated(rows: Sequence[Row]) -> str:
    """One line for each row's score, with every number in full."""
    file = io.StringIO()
    writer = csv.DictWriter(file, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        for name, score in (row.scores | {"minutes": row.minutes}).items():
            writer.writerow(
                {
                    "task": row.task,
                    "algorithm": row.algorithm,
                    "identity": row.identity,
                    "settings": settings_text(row.settings),
                    "stage": row.stage,
                    "policy": row.label,
                    "split": row.split,
                    "decoding": row.decoding,
                    "score": name,
                    "mean": score.mean,
                    "std": score.deviation,
                    "min": score.minimum,
                    "max": score.maximum,
                    "n": score.n,
                    "runs": row.runs,
                    "signature": " / ".join(row.signatures.get(name, ())),
                }
            )
    return file.getvalue().rstrip("\n")


def notes(rows: Sequence[Row], unfinished: Sequence[RunRecord] = ()) -> list[str]:
    """What the numbers are, the signatures, and the runs that are missing."""
    lines = ["minutes: of training, the stages before included, whichever run trained them"]
    if any(row.n > 1 for row in rows):
        lines.insert(0, "mean ± sample standard deviation over n seeds")
    signatures: dict[str, dict[str, None]] = {}
    for row in rows:
        for name, texts in row.signatures.items():
            signatures.setdefault(name, {}).update(dict.fromkeys(texts))
    lines += [f"{name}: {text}" for name, texts in signatures.items() for text in texts]
    for record in unfinished:
        reason = f": {record.reason}" if record.reason else ""
        lines.append(f"not finished: {record.folder} ({record.status}{reason})")
    return lines


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_LATEX.get(character, character) for character in text)


def _cells(rows: Sequence[Row], plus_minus: str) -> tuple[list[str], list[list[str]]]:
    """Header and body; settings, minima and maxima are left out where there is nothing to say."""
    names = list(dict.fromkeys(name for row in rows for name in row.scores))
    names.remove(LENGTH_RATIO)
    several = any(row.n > 1 for row in rows)
    header = [*TEXT_COLUMNS, "n"]
    for name in names:
        header += [name, "min", "max"] if several else [name]
    header += ["length ratio", "minutes"]
    body = []
    for row in rows:
        cells = [row.task, row.algorithm, settings_text(row.settings), row.label, row.split]
        cells += [row.decoding, str(row.n) if row.n == row.runs else f"{row.n}/{row.runs}"]
        for name in names:
            cells += _score_cells(row.scores.get(name), several, plus_minus)
        cells += [f"{row.scores[LENGTH_RATIO].mean:.3f}", f"{row.minutes.mean:.1f}"]
        body.append(cells)
    if not any(row.settings for row in rows):
        column = header.index("settings")
        for line in (header, *body):
            del line[column]
    return header, body


def _score_cells(score: Statistics | None, several: bool, plus_minus: str) -> list[str]:
    if score is None:
        return ["", "", ""] if several else [""]
    spread = "" if score.deviation is None else f" {plus_minus} {score.deviation:.2f}"
    cells = [f"{score.mean:.2f}{spread}"]
    return [*cells, f"{score.minimum:.2f}", f"{score.maximum:.2f}"] if several else cells


def _text_columns(header: Sequence[str]) -> int:
    return list(header).index("n")

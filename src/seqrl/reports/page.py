"""A report as one page of HTML that needs no other file."""

from __future__ import annotations

import base64
import io
import json
import shlex
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING

from seqrl.reports.aggregate import RunRecord
from seqrl.reports.curves import DPI, learning_figure, reward_figure, sweep_figure
from seqrl.reports.report import Report
from seqrl.reports.tables import cells, notes, text_columns
from seqrl.tracking.run_folder import ENVIRONMENT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE = "page.html"
COMMAND = "seqrl-train"


def html(report: Report) -> str:
    """The table with its notes, the curves, and the commands that the runs were started with.

    Pictures of which there is nothing to draw are left out.
    """
    import jinja2

    template = (resources.files("seqrl.reports") / TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    header, body = cells(report, "±")
    drawn = [
        {"title": title, "text": text, "data": picture(figure)}
        for title, text, figure in (
            (
                "Learning curves",
                "Mean over seeds, and faint each seed.",
                learning_figure(report.records),
            ),
            (
                "Training reward and dev score",
                "One point a validation, its reward the mean since the one before; a curve "
                "begins at its hollow point.",
                reward_figure(report.records),
            ),
            (
                "One setting",
                "Mean ± sample standard deviation over seeds, the seeds as hollow dots.",
                sweep_figure(report),
            ),
        )
        if figure is not None
    ]
    return environment.from_string(template).render(
        title=report.spec.title or default_title(report.records),
        header=header,
        texts=text_columns(header),
        rows=[
            {"cells": row, "is_baseline": line.is_baseline}
            for line, row in zip(report.lines, body, strict=True)
        ],
        notes=notes(report),
        pictures=drawn,
        commands=commands(report.records),
        runs=len(report.records),
    )


def default_title(records: Sequence[RunRecord]) -> str:
    """Which tasks the runs are of."""
    return f"Runs on {', '.join(dict.fromkeys(record.task for record in records))}"


def commands(records: Sequence[RunRecord]) -> list[str]:
    """The command lines of the runs that noted theirs, each once."""
    found: dict[str, None] = {}
    for record in records:
        try:
            noted = json.loads((record.folder / ENVIRONMENT).read_text(encoding="utf-8"))
            found[shlex.join([COMMAND, *map(str, noted["command"][1:])])] = None
        except (OSError, ValueError, LookupError, TypeError):
            continue
    return list(found)


def picture(figure: Figure) -> str:
    """A figure as PNG in base64."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return base64.b64encode(file.getvalue()).decode("ascii")

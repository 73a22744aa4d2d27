"""What one run shows at its end: a table, and a picture of how it learned."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from seqrl.tracking.metrics_log import Record, read_metrics


def result_table(entries: list[dict[str, Any]]) -> str:
    """The scores of a run's policies, one row each, and below them their signatures."""
    names = list(entries[0]["scores"])
    signatures: dict[str, str] = {}
    header = ["", "split", "decoding", *names, "length ratio"]
    rows = [header]
    for entry in entries:
        values = [_value(entry["scores"][name]) for name in names]
        rows.append(
            [
                entry["label"],
                entry["split"],
                entry["decoding"],
                *values,
                f"{entry['length_ratio']:.3f}",
            ]
        )
        signatures |= {name: entry["scores"][name]["signature"] for name in names}
    lines = aligned(rows, text_columns=3)
    notes = [f"{name}: {text}" for name, text in signatures.items()]
    if any("interval" in score for entry in entries for score in entry["scores"].values()):
        notes.append("[..]: 95 % interval of resampled sentences")
    return "\n".join([*lines, "", *notes])


def _value(score: dict[str, Any]) -> str:
    """A score, and the interval of 95 % where it has one."""
    if "interval" not in score:
        return f"{score['value']:.2f}"
    low, high = score["interval"]
    return f"{score['value']:.2f} [{low:.2f}, {high:.2f}]"


def aligned(rows: list[list[str]], text_columns: int) -> list[str]:
    """Rows as lines of equal columns, the first ones flush left, a rule below the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i < text_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    lines.insert(1, "-" * len(lines[0]))
    return [line.rstrip() for line in lines]


def plot_curves(metrics: Path, target: Path, *, score: str) -> None:
    """Draw the dev score, the training reward and the TD error over all stages' updates.

    Panels without data are left out; stages are set apart by colour and named.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    records = read_metrics(metrics)
    panels = [
        (title, names)
        for title, names in (
            (f"dev {score.upper()}", (f"dev/{score}",)),
            ("reward of samples", ("train/reward",)),
            ("TD error per token", ("train/td_error", "dev/td_error")),
            ("training NLL per token", ("train/nll_per_token",)),
        )
        if any(name in record for record in records for name in names)
    ]
    offsets = stage_offsets(records)
    figure, axes = pyplot.subplots(
        len(panels), 1, figsize=(8, 2.4 * len(panels)), sharex=True, squeeze=False
    )
    for axis, (title, names) in zip(axes[:, 0], panels, strict=True):
        for colour, stage in enumerate(offsets):
            for name, style in zip(names, ("-", "--"), strict=False):
                points = [
                    (offsets[stage] + updates(record), record[name])
                    for record in records
                    if record["stage"] == stage and is_number(record.get(name))
                ]
                if points:
                    marker = "o" if name.startswith("dev/") else None
                    axis.plot(
                        *zip(*points, strict=True),
                        style,
                        color=f"C{colour}",
                        marker=marker,
                        markersize=4,
                        label=f"{stage} ({name.split('/')[0]})",
                    )
        axis.set_ylabel(title)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    axes[-1, 0].set_xlabel("updates")
    figure.tight_layout()
    figure.savefig(target, dpi=120)
    pyplot.close(figure)


def stage_offsets(records: list[Record]) -> dict[str, int]:
    """The updates made before each stage, in the stages' order."""
    offsets: dict[str, int] = {}
    total = 0
    last: dict[str, int] = {}
    for record in records:
        stage, step = str(record["stage"]), updates(record)
        if stage not in offsets:
            total += sum(last.values())
            last = {}
            offsets[stage] = total
        last[stage] = step
    return offsets


def updates(record: Record) -> int:
    """The updates of its stage that were made before a record."""
    step = record["step"]
    assert isinstance(step, int)
    return step


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)

"""How several runs learned, in pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from seqrl.metrics.direction import LOWER_IS_BETTER, UNITS
from seqrl.reports.aggregate import (
    ReportError,
    Row,
    RunRecord,
    distinguishing,
    grouped,
    settings_text,
)
from seqrl.reports.report import Line, Report
from seqrl.reports.run_report import is_number, stage_offsets, updates
from seqrl.reports.table_spec import as_number
from seqrl.reports.tables import score_names
from seqrl.tracking.metrics_log import Record, read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = list[tuple[float, float]]

METRICS = "metrics.jsonl"
REWARD = "train/reward"
TARGET = "_target_"
WIDTH, HEIGHT = 7.5, 3.8
LINE, MARGINS, GAP = 0.2, 1.1, 0.12
"""Inches: of a picture, of a legend's line, of what is above and below an axis, between two."""

DPI = 150
COLOURS = 10
DASHES = ("-", "--", ":", "-.")
LABEL_WIDTH = 30
DIVERGED_SHARE = 0.12
LOGARITHMIC = 10.0
"""A setting whose largest value is more than so many times its least is drawn on such an axis."""


@dataclass(frozen=True, eq=False)
class _Group:
    """Runs that differ in their seed alone, and how they are drawn."""

    records: Sequence[RunRecord]
    label: str
    colour: str
    dash: str

    @property
    def task(self) -> str:
        return self.records[0].task


def dev_curve(record: RunRecord) -> dict[str, Points]:
    """Of each stage that was scored on dev, (updates of the run so far, the task's metric)."""
    records = _metrics(record)
    offsets = stage_offsets(records)
    curve: dict[str, Points] = {}
    for entry in records:
        value, stage = _number(entry, f"dev/{_metric(record)}"), str(entry["stage"])
        if value is not None:
            curve.setdefault(stage, []).append((offsets[stage] + updates(entry), value))
    return curve


def reward_curve(record: RunRecord) -> dict[str, Points]:
    """Of each stage with rewards, (their mean since the validation before, the task's metric)."""
    curve: dict[str, Points] = {}
    rewards: dict[str, list[float]] = {}
    for entry in _metrics(record):
        stage = str(entry["stage"])
        reward, value = _number(entry, REWARD), _number(entry, f"dev/{_metric(record)}")
        if reward is not None:
            rewards.setdefault(stage, []).append(reward)
        if value is not None and stage in rewards:
            curve.setdefault(stage, []).append((fmean(rewards.pop(stage)), value))
    return curve


def mean_curve(curves: Sequence[Points]) -> Points:
    """The mean of several curves where all of them have a point."""
    values = [dict(curve) for curve in curves]
    shared = sorted(set.intersection(*map(set, values)) if values else ())
    return [(place, fmean(curve[place] for curve in values)) for place in shared]


def plot_runs(records: Sequence[RunRecord], target: Path) -> None:
    """Draw the dev scores over the updates into a file, see `learning_figure`.

    Raises ReportError where no run has a score.
    """
    figure = learning_figure(records)
    if figure is None:
        raise ReportError("no run has a dev score yet: there is nothing to plot")
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=DPI)


def learning_figure(records: Sequence[RunRecord]) -> Figure | None:
    """The dev score of every run over its updates, one panel a task; none without any score.

    Runs that differ in their seed alone have one colour: a strong line for their mean, a faint
    one for each. A stage without a dev score, such as a critic's, is a gap. Of runs that share
    a stage the one with the fewest is on top. The axis leaves out how a run begins, where that
    is far from all that comes later.
    """
    groups = _groups(records)
    curves = {record.folder: dev_curve(record) for record in records}
    shown = [group for group in groups if any(curves[r.folder] for r in group.records)]
    if not shown:
        return None
    figure, panels = _panels([(group.task, group.label) for group in shown])
    later: dict[str, list[float]] = {}
    for group in shown:
        axis = panels[group.task]
        own = [curves[record.folder] for record in group.records]
        stages = dict.fromkeys(stage for curve in own for stage in curve)
        for stage in stages:
            seeds = [curve[stage] for curve in own if stage in curve]
            _draw_seeds(axis, seeds, group, 2 + 1 / len(stages))
            later.setdefault(group.task, []).extend(
                value for points in seeds for _, value in points[len(points) // 3 :]
            )
        _legend_entry(axis, group)
    for task, axis in panels.items():
        metric = next(_metric(r) for r in records if r.task == task)
        axis.set(
            title=_plain(task), xlabel="updates of all stages", ylabel=_axis_label("dev", metric)
        )
        margin = 0.08 * (max(later[task]) - min(later[task])) or 1.0
        axis.set_ylim(min(later[task]) - margin, max(later[task]) + margin)
        _finish(axis)
    return figure


def reward_figure(records: Sequence[RunRecord]) -> Figure | None:
    """The dev score over the reward of the training samples; none where there are no rewards.

    One point a validation, whose reward is the mean since the one before; a curve begins at the
    hollow point. One panel for each task and reward, since rewards differ in their scales.
    """
    drawn = [
        (group, _reward(record, stage), points)
        for group in _groups(records)
        for record in group.records
        for stage, points in reward_curve(record).items()
    ]
    if not drawn:
        return None
    names = _reward_names([(group.task, reward) for group, reward, _ in drawn])
    entries = {(name, group): None for name, (group, _, _) in zip(names, drawn, strict=True)}
    figure, panels = _panels([(name, group.label) for name, group in entries])
    for name, (group, _, points) in zip(names, drawn, strict=True):
        xs, ys = zip(*points, strict=True)
        axis, colour = panels[name], group.colour
        axis.plot(xs, ys, group.dash, marker=".", color=colour, lw=1, ms=5, alpha=0.7)
        axis.plot(xs[0], ys[0], "o", color=colour, ms=6, mfc="white")
        metric = _metric(group.records[0])
        axis.set(xlabel="mean reward of the training samples", ylabel=_axis_label("dev", metric))
    for name, group in entries:
        _legend_entry(panels[name], group)
    for name, axis in panels.items():
        axis.set_title(_plain(name))
        _finish(axis)
    return figure


def sweep_figure(report: Report) -> Figure | None:
    """The task's score against one setting that varies, over seeds; none without such a setting.

    The setting is the specification's, or the only one in which an algorithm's rows differ, if
    it is a number. Mean ± sample standard deviation, the seeds as hollow dots; where runs
    diverged their number is written below. The baseline is a dashed line.
    """
    setting = report.spec.curve or varying_setting(report.rows)
    if setting is None:
        return None
    lines = [line for line in report.lines if _value(line.row, setting) is not None]
    series: dict[tuple[str, ...], list[Row]] = {}
    for line in lines:
        series.setdefault(_series(line.row, setting), []).append(line.row)
    series = {key: rows for key, rows in series.items() if len(rows) > 1}
    if not series:
        return None
    blocks = [_place(rows[0]) for rows in series.values()]
    labels = [_wrapped(key[-1]) for key in series]
    figure, panels = _panels(list(zip(blocks, labels, strict=True)))
    drawn: dict[str, int] = {}
    for block, label, rows in zip(blocks, labels, series.values(), strict=True):
        number = drawn[block] = drawn.get(block, -1) + 1
        name = _task_score(report, rows[0])
        _draw_setting(panels[block], rows, setting, name, f"C{number % COLOURS}", label)
        panels[block].set(xlabel=_plain(setting), ylabel=_axis_label(rows[0].split, name))
    for block, axis in panels.items():
        rows = [row for found in series.values() for row in found if _place(row) == block]
        values = [value for row in rows if (value := _value(row, setting)) is not None]
        if min(values) > 0 and max(values) / min(values) > LOGARITHMIC:
            axis.set_xscale("log")
            axis.set_xticks(sorted(set(values)), [f"{value:g}" for value in sorted(set(values))])
            axis.minorticks_off()
        _draw_baselines(axis, [line for line in report.lines if _place(line.row) == block], report)
        if any(row.diverged for row in rows):
            axis.plot([], [], "x", color="crimson", label="diverged, of all runs")
            low, high = axis.get_ylim()
            axis.set_ylim(low - DIVERGED_SHARE * (high - low), high)
        axis.set_title(_plain(block))
        _finish(axis)
    return figure


def varying_setting(rows: Sequence[Row]) -> str | None:
    """The one setting in which rows of an algorithm differ, if all its values are numbers."""
    found: dict[str, set[float | None]] = {}
    for row in rows:
        if len(row.settings) > 1:
            return None
        for key, value in row.settings.items():
            found.setdefault(key, set()).add(as_number(value))
    if len(found) != 1:
        return None
    ((setting, values),) = found.items()
    return setting if None not in values and len(values) > 1 else None


def _draw_setting(
    axis: Axes, rows: Sequence[Row], setting: str, score: str, colour: str, label: str
) -> None:
    placed = sorted((_value(row, setting) or 0.0, index) for index, row in enumerate(rows))
    scored = [(x, rows[i].scores[score]) for x, i in placed if score in rows[i].scores]
    axis.errorbar(
        [x for x, _ in scored],
        [found.mean for _, found in scored],
        yerr=[found.deviation or 0.0 for _, found in scored],
        fmt="o-",
        color=colour,
        capsize=3,
        lw=1.5,
        label=label,
    )
    for x, found in scored:
        axis.plot([x] * found.n, found.values, "o", mfc="white", mec=colour, ms=4, zorder=3)
    place = axis.get_xaxis_transform()
    for x, index in placed:
        if rows[index].diverged:
            axis.plot(x, 0.03, "x", color="crimson", transform=place)
            axis.annotate(
                f"{rows[index].diverged}/{rows[index].runs}",
                (x, 0.03),
                xycoords=place,
                xytext=(0, 5),
                textcoords="offset points",
                fontsize=9,
                color="crimson",
                ha="center",
            )


def _draw_baselines(axis: Axes, lines: Sequence[Line], report: Report) -> None:
    for line in lines:
        name = _task_score(report, line.row)
        if line.is_baseline and name in line.row.scores:
            mean = line.row.scores[name].mean
            axis.axhline(mean, color="gray", ls="--", lw=1, label=_wrapped(line.row.name))


def _draw_seeds(axis: Axes, seeds: Sequence[Points], group: _Group, height: float) -> None:
    mean = mean_curve(seeds)
    for points in seeds:
        alone = len(seeds) == 1 or not mean
        style: dict[str, Any] = {"lw": 1.6, "marker": "."} if alone else {"lw": 0.7, "alpha": 0.35}
        axis.plot(
            *zip(*points, strict=True), group.dash, color=group.colour, zorder=height, **style
        )
    if len(seeds) > 1 and mean:
        axis.plot(*zip(*mean, strict=True), group.dash, color=group.colour, zorder=height, lw=1.8)


def _groups(records: Sequence[RunRecord]) -> list[_Group]:
    """Each with a colour, and beyond the tenth of a task with another dash."""
    groups = grouped(records)
    apart = distinguishing([group[0] for group in groups])
    numbers: dict[str, int] = {}
    made = []
    for group, settings in zip(groups, apart, strict=True):
        number = numbers[group[0].task] = numbers.get(group[0].task, -1) + 1
        label = " ".join(filter(None, [group[0].algorithm, settings_text(settings)]))
        dash = DASHES[number // COLOURS % len(DASHES)]
        made.append(_Group(group, _wrapped(label), f"C{number % COLOURS}", dash))
    return made


def _panels(curves: Sequence[tuple[str, str]]) -> tuple[Figure, dict[str, Axes]]:
    """A figure with panels below each other, as high as their legends need.

    curves  of each one the name of its panel and its label
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    lines: dict[str, int] = {}
    for name, label in curves:
        lines[name] = lines.get(name, 0) + label.count("\n") + 1
    heights = [max(HEIGHT, LINE * number + MARGINS) for number in lines.values()]
    figure = Figure(figsize=(WIDTH, sum(heights)), layout=ConstrainedLayoutEngine(h_pad=GAP))
    axes = figure.subplots(len(lines), 1, squeeze=False, height_ratios=heights)
    return figure, dict(zip(lines, axes[:, 0], strict=True))


def _legend_entry(axis: Axes, group: _Group) -> None:
    axis.plot([], [], group.dash, color=group.colour, label=group.label)


def _finish(axis: Axes) -> None:
    axis.grid(alpha=0.3)
    axis.legend(
        fontsize=9, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0
    )


def _axis_label(split: str, metric: str) -> str:
    notes = [UNITS.get(metric, "%"), *["lower is better"] * (metric in LOWER_IS_BETTER)]
    return f"{split} {metric} ({', '.join(note for note in notes if note)})".removesuffix(" ()")


def _wrapped(label: str) -> str:
    return textwrap.fill(_plain(label), LABEL_WIDTH)


def _plain(text: str) -> str:
    """Text that matplotlib takes for no formula."""
    return text.replace("$", r"\$")


def _series(row: Row, setting: str) -> tuple[str, ...]:
    """What rows of one curve share; the last one is its name."""
    others = {key: value for key, value in row.settings.items() if key != setting}
    policy = "" if row.final else row.label
    name = " ".join(filter(None, [row.algorithm, policy, settings_text(others)]))
    return (*row.block, policy, name)


def _place(row: Row) -> str:
    return " ".join(row.block)


def _value(row: Row, setting: str) -> float | None:
    return as_number(row.configuration.get(setting))


def _task_score(report: Report, row: Row) -> str:
    """What the task's models are selected by, or the first score where that is not shown."""
    metric = next(_metric(record) for record in report.records if record.task == row.task)
    names = score_names([other for other in report.rows if other.task == row.task])
    return metric if metric in names or not names else names[0]


def _metric(record: RunRecord) -> str:
    return str(record.config["task"]["metric"])


def _reward(record: RunRecord, stage: str) -> dict[str, Any]:
    """The reward of a stage, which may change settings of the run's."""
    own = record.config["algorithm"]["stages"].get(stage, {}).get("reward")
    return {**(record.config.get("reward") or {}), **(own or {})}


def _reward_names(rewards: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """Of each task and reward: the task, the class, and the settings that are not all the same."""
    every = dict.fromkeys(key for _, reward in rewards for key in reward)
    differing = [
        key
        for key in every
        if key != TARGET and len({str(reward.get(key)) for _, reward in rewards}) > 1
    ]
    return [
        ", ".join(
            [task, str(reward.get(TARGET, "reward")).rpartition(".")[2]]
            + [f"{key}={reward[key]}" for key in differing if key in reward]
        )
        for task, reward in rewards
    ]


def _metrics(record: RunRecord) -> list[Record]:
    path = record.folder / METRICS
    return read_metrics(path) if path.is_file() else []


def _number(entry: Record, name: str) -> float | None:
    value = entry.get(name)
    if not is_number(value):
        return None
    assert isinstance(value, int | float)
    return float(value)

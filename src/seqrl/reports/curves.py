"""How several runs learned, in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqrl.reports.aggregate import ReportError, RunRecord, distinguishing, grouped, settings_text
from seqrl.reports.run_report import is_number, stage_offsets, updates
from seqrl.tracking.metrics_log import read_metrics

Points = list[tuple[int, float]]


def dev_curve(record: RunRecord) -> dict[str, Points]:
    """Of each stage that was scored on dev, (updates of the run so far, the task's metric)."""
    path = record.folder / "metrics.jsonl"
    if not path.is_file():
        return {}
    records = read_metrics(path)
    offsets = stage_offsets(records)
    name = f"dev/{record.config['task']['metric']}"
    curve: dict[str, Points] = {}
    for entry in records:
        value, stage = entry.get(name), str(entry["stage"])
        if is_number(value):
            assert isinstance(value, int | float)
            curve.setdefault(stage, []).append((offsets[stage] + updates(entry), value))
    return curve


def plot_runs(records: Sequence[RunRecord], target: Path) -> None:
    """Draw the dev score of every run over its updates, one panel a task.

    Runs that differ in their seed alone have one colour; a stage without a dev score, such
    as a critic's, is a gap. Raises ReportError where no run has a score.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    curves = {record.folder: dev_curve(record) for record in records}
    if not any(curves.values()):
        raise ReportError("no run has a dev score yet: there is nothing to plot")
    groups = grouped(records)
    apart = distinguishing([group[0] for group in groups])
    tasks = list(dict.fromkeys(record.task for record in records))
    figure, axes = pyplot.subplots(
        len(tasks), 1, figsize=(8, 3.6 * len(tasks)), squeeze=False, layout="constrained"
    )
    panels = dict(zip(tasks, axes[:, 0], strict=True))
    for number, (group, settings) in enumerate(zip(groups, apart, strict=True)):
        axis = panels[group[0].task]
        label = " ".join(filter(None, [group[0].algorithm, settings_text(settings)]))
        for record in group:
            for points in curves[record.folder].values():
                axis.plot(
                    *zip(*points, strict=True), ".-", color=f"C{number % 10}", lw=1, label=label
                )
                label = ""  # one entry of the legend for all seeds and stages
    for task, axis in panels.items():
        metric = next(r.config["task"]["metric"] for r in records if r.task == task)
        axis.set(title=task, xlabel="updates", ylabel=f"dev {metric}")
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=8)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=120)
    pyplot.close(figure)

"""How runs learned: what is drawn, taken from made-up metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from run_folders import configuration, make_run

from seqrl.reports import curves
from seqrl.reports.aggregate import ReportError, RunRecord, find_runs, read_run
from seqrl.reports.curves import (
    dev_curve,
    learning_figure,
    mean_curve,
    plot_runs,
    reward_curve,
    reward_figure,
    sweep_figure,
)
from seqrl.reports.report import Report, sweep_report
from seqrl.reports.table_spec import RequestError, TableSpec

DIVERGED = {"status": "diverged", "reason": "the loss is nan"}


def write_metrics(folder: Path, records: list[dict[str, Any]]) -> None:
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))


def test_a_curve_goes_on_where_the_stage_before_ended(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "seed1", configuration(1), 20.0)
    write_metrics(
        folder,
        [
            {"stage": "actor", "step": 5, "dev/bleu": 1.0},
            {"stage": "actor", "step": 10, "dev/bleu": "nan"},
            {"stage": "critic", "step": 20, "dev/td_error": 0.1},
            {"stage": "joint", "step": 0, "dev/bleu": 2.0},
            {"stage": "joint", "step": 4, "dev/bleu": 3.0},
        ],
    )
    assert dev_curve(read_run(folder)) == {"actor": [(5, 1.0)], "joint": [(30, 2.0), (34, 3.0)]}


def test_curves_are_drawn_where_there_are_any(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "seed1", configuration(1), 20.0)
    bare = make_run(tmp_path / "seed2", configuration(2))
    with pytest.raises(ReportError, match="nothing to plot"):
        plot_runs([read_run(bare)], tmp_path / "none.png")
    write_metrics(folder, [{"stage": "actor", "step": 5, "dev/bleu": 1.0}])
    picture = tmp_path / "new" / "curves.png"
    plot_runs([read_run(folder), read_run(bare)], picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_rewards_are_the_mean_since_the_validation_before(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "seed1", configuration(1), 20.0)
    write_metrics(
        folder,
        [
            {"stage": "actor", "step": 5, "dev/bleu": 1.0},
            {"stage": "joint", "step": 0, "dev/bleu": 1.0},
            {"stage": "joint", "step": 2, "train/reward": 0.25},
            {"stage": "joint", "step": 4, "train/reward": 0.75},
            {"stage": "joint", "step": 4, "dev/bleu": 2.0},
            {"stage": "joint", "step": 6, "train/reward": 1.0, "dev/bleu": 3.0},
            {"stage": "joint", "step": 8, "train/reward": 9.0},
        ],
    )
    assert reward_curve(read_run(folder)) == {"joint": [(0.5, 2.0), (1.0, 3.0)]}


def test_the_mean_of_curves_is_where_all_have_points() -> None:
    assert mean_curve([[(1, 2.0), (2, 4.0)], [(2, 5.0), (3, 1.0)]]) == [(2, 4.5)]
    assert mean_curve([]) == []


@pytest.fixture
def sweep(tmp_path: Path) -> list[RunRecord]:
    """Three temperatures over two seeds, of which the highest diverged, and MLE."""
    for tau, bleu in ((0.01, 20.0), (0.1, 24.0), (1.0, None)):
        for seed in (1, 2):
            folder = tmp_path / f"toy/erac/{tau}/seed{seed}"
            value = None if bleu is None else bleu + seed
            status = DIVERGED if bleu is None else None
            make_run(folder, configuration(seed, tau), value, status=status)
            write_metrics(
                folder,
                [
                    {"stage": "joint", "step": step, "dev/bleu": tau + seed + step}
                    for step in (1, 2, 3)
                ],
            )
    for seed in (1, 2):
        config = configuration(seed, algorithm="mle")
        del config["algorithm"]["tau"], config["algorithm"]["stages"]["joint"]["algorithm"]
        make_run(tmp_path / f"toy/mle/a/seed{seed}", config, 19.0 + seed)
    return [read_run(folder) for folder in find_runs([tmp_path])]


def reported(records: list[RunRecord], **node: Any) -> Report:
    return sweep_report(records, TableSpec.from_node({"split": "test"} | node))


def test_each_group_is_a_colour_with_a_line_for_its_mean(sweep: list[RunRecord]) -> None:
    figure = learning_figure(sweep)
    assert figure is not None
    (axis,) = figure.axes
    drawn = [line for line in axis.lines if len(line.get_xdata())]
    assert len({line.get_color() for line in drawn}) == 3
    assert len(drawn) == 3 * (2 + 1)
    assert [float(y) for y in drawn[2].get_ydata()] == [0.01 + 1.5 + step for step in (1, 2, 3)]
    legend = axis.get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == [f"erac algorithm.tau={tau}" for tau in (0.01, 0.1, 1.0)]
    assert reward_figure(sweep) is None


def test_a_sweep_of_one_setting_has_its_deviations_and_what_diverged(
    sweep: list[RunRecord],
) -> None:
    figure = sweep_figure(reported(sweep, baseline="mle"))
    assert figure is not None
    (axis,) = figure.axes
    (bars,) = [c for c in axis.containers if type(c).__name__ == "ErrorbarContainer"]
    assert [list(map(float, part)) for part in bars.lines[0].get_data()] == [
        [0.01, 0.1],
        [21.5, 25.5],
    ]
    segments = [segment.tolist() for segment in bars.lines[2][0].get_segments()]
    deviation = 0.5**0.5
    assert segments[0] == [[0.01, 21.5 - deviation], [0.01, 21.5 + deviation]]
    assert [text.get_text() for text in axis.texts] == ["2/2"]
    assert axis.texts[0].xy[0] == 1.0
    assert (axis.get_xlabel(), axis.get_xscale()) == ("algorithm.tau", "log")
    baseline = next(line for line in axis.lines if line.get_label() == "mle")
    assert list(baseline.get_ydata()) == [20.5, 20.5]


def test_without_one_setting_that_varies_there_is_no_sweep(sweep: list[RunRecord]) -> None:
    assert sweep_figure(reported([r for r in sweep if r.algorithm == "mle"])) is None
    with pytest.raises(RequestError, match=r"curve: no run has a setting algorithm\.beta"):
        reported(sweep, curve="algorithm.beta")
    assert sweep_figure(reported(sweep, curve="algorithm.name")) is None
    assert sweep_figure(reported(sweep, curve="algorithm.tau")) is not None


def test_rewards_of_other_scales_have_panels_of_their_own(tmp_path: Path) -> None:
    for name, scale in (("erac", "reference_length"), ("mrt", "none"), ("raml", "none")):
        config = configuration(1, algorithm=name) | {"reward": {"_target_": "a.Bleu", "order": 4}}
        config["algorithm"]["stages"]["joint"]["reward"] = {"scale": scale}
        folder = make_run(tmp_path / name / "seed1", config, 20.0)
        write_metrics(folder, [{"stage": "joint", "step": 1, "dev/bleu": 3.0, "train/reward": 1.0}])
    figure = reward_figure([read_run(folder) for folder in find_runs([tmp_path])])
    assert figure is not None
    shown = {
        axis.get_title(): [text.get_text() for text in axis.get_legend().get_texts()]
        for axis in figure.axes
    }
    assert shown == {
        "toy, Bleu, scale=reference_length": ["erac"],
        "toy, Bleu, scale=none": ["mrt", "raml"],
    }


@pytest.mark.parametrize(
    ("metric", "label"),
    [
        ("bleu", "dev bleu (%)"),
        ("per", "dev per (%, lower is better)"),
        ("oracle_nll", "dev oracle_nll (nats a word, lower is better)"),
        ("melody_reward", "dev melody_reward"),
    ],
)
def test_an_axis_has_its_scores_unit(metric: str, label: str) -> None:
    assert curves._axis_label("dev", metric) == label

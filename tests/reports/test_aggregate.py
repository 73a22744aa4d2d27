"""Runs become rows over seeds; all numbers are worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from run_folders import configuration, make_run

from seqrl.reports.aggregate import (
    ReportError,
    aggregate,
    distinguishing,
    find_runs,
    grouped,
    read_run,
    settings_text,
)
from seqrl.reports.report import Report, sweep_report
from seqrl.reports.statistics import Statistics
from seqrl.reports.table_spec import TableSpec
from seqrl.reports.tables import comma_separated, escaped, latex, markdown


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Three seeds of one setting, one of which diverged, and one seed of another."""
    for seed, bleu in ((1, 20.0), (3, 26.0)):
        make_run(tmp_path / "toy/erac/aaaa" / f"seed{seed}", configuration(seed), bleu)
    broken = {"status": "diverged", "reason": "the loss is nan"}
    make_run(tmp_path / "toy/erac/aaaa/seed2", configuration(2), status=broken)
    make_run(tmp_path / "toy/erac/bbbb/seed1", configuration(1, tau=0.5), 22.5)
    (tmp_path / ".stages" / "key").mkdir(parents=True)
    return tmp_path


def on_test(*folders: Path) -> Report:
    """The report on the test split."""
    records = [read_run(folder) for folder in find_runs(folders)]
    return sweep_report(records, TableSpec(split=("test",)), incomplete=True)


def test_statistics_of_a_sample() -> None:
    score = Statistics((20.0, 26.0, 23.0))
    assert score.mean == 23.0
    assert score.deviation == 3.0  # sqrt((9 + 9 + 0) / 2)
    assert (score.minimum, score.maximum, score.n) == (20.0, 26.0, 3)
    assert Statistics((20.0,)).deviation is None


def test_seeds_of_one_setting_are_one_row(outputs: Path) -> None:
    records = [read_run(folder) for folder in find_runs([outputs])]
    assert len(records) == 4
    rows = aggregate(records, splits=["test"])
    assert [(row.identity, row.n, row.runs) for row in rows] == [("aaaa", 2, 3), ("bbbb", 1, 1)]
    score = rows[0].scores["bleu"]
    assert score.values == (20.0, 26.0)
    assert score.mean == 23.0
    assert score.deviation == pytest.approx(math.sqrt(18))
    assert rows[0].settings == {"algorithm.tau": 0.04}
    assert rows[1].settings == {"algorithm.tau": 0.5}


def test_what_only_watches_a_training_sets_no_runs_apart(tmp_path: Path) -> None:
    """Seeds trained before there were guards, and with others, are seeds of one setting."""
    trainers: list[dict[str, Any]] = [
        {"precision": "fp32"},
        {"precision": "fp32", "guards": {"min_entropy": 0.1}, "log_every": 5},
        {"precision": "bf16"},
    ]
    for seed, trainer in enumerate(trainers, start=1):
        config = configuration(seed) | {"trainer": trainer}
        make_run(tmp_path / "toy/erac/aaaa" / f"seed{seed}", config, 20.0)
    rows = aggregate([read_run(folder) for folder in find_runs([tmp_path])], splits=["test"])
    assert [(row.n, row.settings) for row in rows] == [
        (2, {"trainer.precision": "fp32"}),
        (1, {"trainer.precision": "bf16"}),
    ]


def test_rows_are_sorted_by_split_and_can_be_chosen(outputs: Path) -> None:
    records = [read_run(folder) for folder in find_runs([outputs])]
    assert [(r.split, r.identity) for r in aggregate(records)] == [
        ("dev", "aaaa"),
        ("dev", "bbbb"),
        ("test", "aaaa"),
        ("test", "bbbb"),
    ]
    assert aggregate(records, decodings=["greedy"]) == []


def test_runs_are_found_once_and_stores_are_no_runs(outputs: Path) -> None:
    folder = outputs / "toy/erac/bbbb"
    assert find_runs([folder, folder / "seed1"]) == [folder / "seed1"]
    with pytest.raises(ReportError, match="key: neither a run nor a folder of runs"):
        find_runs([folder, outputs / ".stages" / "key"])


def test_moved_runs_of_one_setting_are_grouped_by_what_they_are(tmp_path: Path) -> None:
    make_run(tmp_path / "here/seed1", configuration(1), 20.0)
    make_run(tmp_path / "there/seed2", configuration(2), 22.0)
    make_run(tmp_path / "here/seed3", configuration(3, tau=0.1), 24.0)
    groups = grouped([read_run(folder) for folder in find_runs([tmp_path])])
    assert [[run.seeds for run in group] for group in groups] == [[(1, ()), (2, ())], [(3, ())]]


def test_seeds_of_stages_are_seeds(tmp_path: Path) -> None:
    for name, critic, bleu in (("seed1", 1, 20.0), ("seed1-critic2", 2, 23.0)):
        config = configuration(1)
        stage = next(iter(config["algorithm"]["stages"].values()))
        config["algorithm"]["stages"]["critic"] = {**stage, "seed": critic}
        make_run(tmp_path / "toy/erac/aaaa" / name, config, bleu)
    (row,) = aggregate([read_run(run) for run in find_runs([tmp_path])], splits=["test"])
    assert row.by_seed("bleu") == {(1, ()): 20.0, (1, (("critic", 2),)): 23.0}


def test_one_seed_twice_is_refused(tmp_path: Path) -> None:
    for name in ("here", "there"):
        make_run(tmp_path / name, configuration(1), 20.0)
    with pytest.raises(ReportError, match="are the same run with the same seed"):
        aggregate([read_run(tmp_path / name) for name in ("here", "there")])


def test_runs_are_told_apart_by_as_few_settings_as_possible(tmp_path: Path) -> None:
    first = read_run(make_run(tmp_path / "1", configuration(1, tau=0.1), 1.0))
    other = {**configuration(1, tau=0.2), "model": {"hidden": 8}}
    second = read_run(make_run(tmp_path / "2", other, 1.0))
    third = read_run(make_run(tmp_path / "3", configuration(1, algorithm="mle"), 1.0))
    assert distinguishing([first, second, third]) == [
        {"algorithm.tau": 0.1},  # stands for its copy in the stage
        {"algorithm.tau": 0.2, "model.hidden": 8},
        {},
    ]


def test_long_settings_are_cut() -> None:
    assert settings_text({"a": 1, "b": None}) == "a=1, b=None"
    assert settings_text(dict.fromkeys("abcde", 1)) == "a=1, b=1, c=1, and 2 more"


def test_markdown_has_the_spread_the_signatures_and_what_is_missing(outputs: Path) -> None:
    lines = markdown(on_test(outputs)).splitlines()
    cells = [cell.strip() for cell in lines[2].split(" | ")]
    assert cells == [
        *("| toy", "erac", "algorithm.tau=0.04", r"ER\|AC", "test", "beam5"),
        *("2/3 (1 diverged)", "23.00 ± 4.24", "20.00", "26.00", "1.000", "2.5 |"),
    ]
    assert "| 22.50 |" in lines[3].replace("  ", "")
    assert len({len(line) for line in lines[:4]}) == 1
    assert "bleu: v1" in lines
    folder = outputs / "toy/erac/aaaa/seed2"
    assert lines[-1] == f"diverged: {folder} (the loss is nan)"


def test_one_run_alone_has_no_spread_and_no_settings(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "seed1", configuration(1), 20.0)
    header, _, row, *rest = markdown(on_test(folder)).splitlines()
    assert [cell.strip() for cell in header.strip("| ").split(" | ")] == [
        *(
            "task",
            "algorithm",
            "policy",
            "split",
            "decoding",
            "n",
            "bleu",
            "length ratio",
            "minutes",
        )
    ]
    assert "20.00" in row
    assert rest == [
        "",
        "minutes: of training, the stages before included, whichever run trained them",
        "bleu: v1",
    ]


def test_different_signatures_are_all_shown(tmp_path: Path) -> None:
    make_run(tmp_path / "seed1", configuration(1), 20.0, signature="v1")
    make_run(tmp_path / "seed2", configuration(2), 20.0, signature="v2")
    report = on_test(tmp_path)
    assert report.rows[0].signatures == {"bleu": ("v1", "v2")}
    assert markdown(report).splitlines()[-2:] == ["bleu: v1", "bleu: v2"]


def test_comma_separated_values_are_in_full(outputs: Path) -> None:
    lines = comma_separated(on_test(outputs)).splitlines()
    assert lines[0].startswith("task,algorithm,identity,settings,stage,policy,split,decoding,")
    assert lines[1] == (
        "toy,erac,aaaa,algorithm.tau=0.04,joint,ER|AC,test,beam5,"
        f"bleu,23.0,{math.sqrt(18)},20.0,26.0,2,3,v1,1,,,,,,,,,,,,,"
    )
    assert lines[3].endswith("minutes,2.5,0.0,2.5,2.5,2,3,,1,,,,,,,,,,,,,")
    assert lines[4].endswith("bleu,22.5,,22.5,22.5,1,1,v1,0,,,,,,,,,,,,,")
    assert len(lines) == 7  # bleu, length ratio and minutes of both groups


def test_latex_is_escaped(outputs: Path) -> None:
    lines = latex(on_test(outputs)).splitlines()
    assert r"\begin{tabular}{llllllrrrrrr}" in lines
    assert (
        r"toy & erac & algorithm.tau=0.04 & ER|AC & test & beam5 & 2/3 (1 diverged) & "
        r"23.00 $\pm$ 4.24 & 20.00 & 26.00 & 1.000 & 2.5 \\" in lines
    )
    assert escaped("a_b & 50% \\ {~^}") == (
        r"a\_b \& 50\% \textbackslash{} \{\textasciitilde{}\textasciicircum{}\}"
    )


def test_seeds_of_one_corpus_are_one_row_however_its_folder_is_spelled(tmp_path: Path) -> None:
    def run(group: str, seed: int, data_dir: str) -> Path:
        config = configuration(seed)
        config["task"]["data_dir"] = data_dir
        return make_run(tmp_path / group / f"seed{seed}", config, 20.0)

    folders = [run("aaaa", 1, "/data/a"), run("aaaa", 2, "../a"), run("bbbb", 1, "/data/b")]
    rows = aggregate([read_run(folder) for folder in folders], splits=["test"])
    assert [(row.n, row.settings) for row in rows] == [
        (2, {"task.data_dir": "/data/a"}),
        (1, {"task.data_dir": "/data/b"}),
    ]


def test_minutes_are_those_of_all_stages_up_to_the_policy(tmp_path: Path) -> None:
    folders = [
        make_run(tmp_path / f"seed{k}", configuration(k), 20.0, seconds=60 * k) for k in (1, 3)
    ]
    records = [read_run(folder) for folder in folders]
    assert (records[1].minutes("actor"), records[1].minutes("joint")) == (1, 4)
    (row,) = aggregate(records, splits=["test"])
    assert row.minutes == Statistics((2, 4))


def test_the_final_policies_alone_can_be_shown(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "seed1", configuration(1), 20.0)
    result = json.loads((folder / "result.json").read_text())
    before = [entry | {"stage": "actor", "label": "MLE"} for entry in result["scores"]]
    result["scores"] = before + result["scores"]
    (folder / "result.json").write_text(json.dumps(result))
    records = [read_run(folder)]
    shown = [(row.stage, row.split) for row in aggregate(records)]
    assert shown == [("actor", "dev"), ("joint", "dev"), ("actor", "test"), ("joint", "test")]
    shown = [(row.stage, row.split) for row in aggregate(records, final=True)]
    assert shown == [("joint", "dev"), ("joint", "test")]


def test_a_damaged_run_is_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "seed1", configuration(1))
    (folder / "result.json").write_text("{")
    with pytest.raises(ReportError, match=r"seed1 is no readable run"):
        read_run(folder)

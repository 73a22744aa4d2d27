"""Tables with a baseline, published scores and runs that are missing."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from run_folders import configuration, make_run

from seqrl.reports.aggregate import ReportError, find_runs, read_run, read_started
from seqrl.reports.report import IncompleteError, Report, sweep_report
from seqrl.reports.table_spec import RequestError, TableSpec
from seqrl.reports.tables import comma_separated, latex, markdown

DIVERGED = {"status": "diverged", "reason": "the loss is nan"}
MLE = [20.0, 21.0, 22.0]
TAUS: dict[float, list[float | None]] = {0.04: [21.0, 23.0, 25.0], 0.5: [19.0, None, 21.5]}


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """MLE over three seeds, and ERAC at two temperatures, one run of which diverged."""
    for seed, bleu in enumerate(MLE, start=1):
        folder = tmp_path / "toy/mle/aaaa" / f"seed{seed}"
        make_run(folder, configuration(seed, 0.0, "mle"), bleu, label="MLE")
    for tau, scores in TAUS.items():
        for seed, score in enumerate(scores, start=1):
            status = DIVERGED if score is None else None
            folder = tmp_path / f"toy/erac/{tau}" / f"seed{seed}"
            make_run(folder, configuration(seed, tau), score, status=status)
    return tmp_path


def reported(folder: Path, expected: list[Path] | None = None, **node: Any) -> Report:
    records = [read_run(run) for run in find_runs([folder])]
    return sweep_report(records, TableSpec.from_node({"split": "test"} | node), expected or [])


def cells(report: Report) -> dict[str, dict[str, str]]:
    """The Markdown table: the cells of each row by their column, the rows by their settings."""
    lines = [line for line in markdown(report).splitlines() if line.startswith("|")]
    split = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in lines]
    header, _, *body = split
    place = header.index("settings")
    return {row[place] or row[1]: dict(zip(header, row, strict=True)) for row in body}


def test_rows_are_tested_against_the_baseline(outputs: Path) -> None:
    table = cells(reported(outputs, baseline="mle"))
    assert table["mle"]["difference"] == "baseline"
    good, bad = table["algorithm.tau=0.04"], table["algorithm.tau=0.5"]
    assert good["difference"] == "+2.00"  # (1 + 2 + 3) / 3
    assert good["p (Holm)"] == "0.500"  # 2 / 2^3, the less of two
    assert bad["difference"] == "-0.75"  # (-1 - 0.5) / 2: seed 2 diverged
    assert bad["p (Holm)"] == "0.500"  # 2 / 2^2
    assert bad["n"] == "2/3 (1 diverged)"
    assert [good["95 %"], bad["95 %"]] == ["[21.00, 25.00]", ""]


def test_what_the_test_cannot_show_is_said(outputs: Path) -> None:
    text = markdown(reported(outputs, baseline="mle"))
    assert "no p can be below 0.500 with 2 pairs, 0.250 with 3 pairs, even before" in text
    assert "no p can" not in markdown(reported(outputs))
    assert "runs that diverged have no scores: all numbers are of the others" in text
    assert "diverged: " in text
    assert "(the loss is nan)" in text


def test_each_split_is_corrected_by_itself(outputs: Path) -> None:
    report = reported(outputs, baseline="mle", split=None)
    tests = [
        (line.row.split, line.comparisons["bleu"]) for line in report.lines if line.comparisons
    ]
    assert [(split, test.pairs, test.adjusted) for split, test in tests] == [
        *[("dev", 3, 0.5), ("dev", 2, 0.5)],
        *[("test", 3, 0.5), ("test", 2, 0.5)],
    ]


def test_six_seeds_can_tell_a_difference(tmp_path: Path) -> None:
    for seed in range(1, 7):
        for algorithm, bleu in (("mle", 20.0), ("erac", 21.0 + seed)):
            config = configuration(seed, algorithm=algorithm)
            make_run(tmp_path / "toy" / algorithm / f"a/seed{seed}", config, bleu)
    text = markdown(reported(tmp_path, baseline="mle"))
    assert "|      +4.50 |    0.031 |" in text  # 2 / 2^6
    assert "no p can be below" not in text


def test_an_algorithm_as_the_baseline_means_its_last_policy(outputs: Path) -> None:
    for path in outputs.glob("toy/mle/aaaa/*/result.json"):
        result = json.loads(path.read_text())
        before = [entry | {"stage": "actor", "label": "before"} for entry in result["scores"]]
        path.write_text(json.dumps(result | {"scores": before + result["scores"]}))
    lines = reported(outputs, baseline="mle").lines
    assert [line.row.label for line in lines if line.is_baseline] == ["MLE"]
    lines = reported(outputs, baseline="before").lines
    assert [line.row.stage for line in lines if line.is_baseline] == ["actor"]


@pytest.mark.parametrize(
    ("baseline", "settings"),
    [
        ("mle", {}),
        ("MLE", {}),
        ("algorithm=erac,algorithm.tau=0.04", {"algorithm.tau": 0.04}),
        ("algorithm.tau=5e-1", {"algorithm.tau": 0.5}),
    ],
)
def test_names_of_a_baseline(outputs: Path, baseline: str, settings: dict[str, Any]) -> None:
    lines = reported(outputs, baseline=baseline).lines
    assert [line.row.settings for line in lines if line.is_baseline] == [settings]


@pytest.mark.parametrize("baseline", ["erac", "raml", "algorithm.tau=0.1", "algorithm=erac,tau"])
def test_a_baseline_must_be_one_row(outputs: Path, baseline: str) -> None:
    with pytest.raises(RequestError, match=f"baseline {baseline}: ") as raised:
        reported(outputs, baseline=baseline)
    if baseline != "algorithm=erac,tau":
        assert "  algorithm=mle, policy MLE" in str(raised.value).splitlines()
        assert "  algorithm=erac (algorithm.tau=0.5), policy ER|AC" in str(raised.value)


def test_blocks_without_the_baseline_are_named(outputs: Path) -> None:
    config = configuration(1)
    config["task"]["name"] = "other"
    make_run(outputs / "other/erac/cccc/seed1", config, 30.0)
    report = reported(outputs, baseline="mle")
    assert "no baseline mle in: other test beam5" in markdown(report).splitlines()


def test_statistics_of_unfinished_runs_are_refused(outputs: Path) -> None:
    running = make_run(
        outputs / "toy/erac/0.04/seed4", configuration(4), status={"status": "running"}
    )
    stopped = make_run(
        outputs / "toy/erac/0.04/seed5",
        configuration(5),
        status={"status": "failed", "reason": "no\nmemory"},
    )
    with pytest.raises(IncompleteError) as raised:
        reported(outputs)
    assert str(raised.value).splitlines()[:3] == [
        "2 runs are not finished, so that there are no statistics yet:",
        f"  {running} (running)",
        f"  {stopped} (failed: no memory)",
    ]
    records = [read_run(run) for run in find_runs([outputs])]
    report = sweep_report(records, TableSpec(split=("test",)), incomplete=True)
    assert cells(report)["algorithm.tau=0.04"]["n"] == "3/5"
    assert f"not finished: {running} (running)" in markdown(report)


def test_expected_runs_that_were_never_started_are_missing(outputs: Path) -> None:
    expected = [outputs / "toy/erac/0.04" / f"seed{seed}" for seed in (1, 2, 3, 4)]
    records = read_started(expected)
    assert [record.seeds[0] for record in records] == [1, 2, 3]
    with pytest.raises(IncompleteError, match=r"1 run is not.*\n  .*seed4 \(missing\)"):
        sweep_report(records, None, expected)
    report = sweep_report(records, None, expected, incomplete=True)
    assert {(row.n, row.runs) for row in report.rows} == {(3, 4)}
    assert len(sweep_report(records, None, expected[:3]).rows) == 2
    with pytest.raises(ReportError, match=r"runs are missing"):
        sweep_report([], None, expected[3:], incomplete=True)


def test_a_group_that_diverged_is_a_row_without_scores(outputs: Path) -> None:
    for seed in (1, 2):
        make_run(outputs / f"toy/erac/9/seed{seed}", configuration(seed, 9.0), status=DIVERGED)
    table = cells(reported(outputs, baseline="mle", final=True))
    row = table["algorithm.tau=9.0"]
    assert row["n"] == "0/2 (2 diverged)"
    assert [row[name] for name in ("bleu", "min", "difference", "minutes")] == [""] * 4
    lines = list(csv.DictReader(io.StringIO(comma_separated(reported(outputs)))))
    assert [(line["n"], line["runs"]) for line in lines if line["score"] == ""] == [("0", "2")]


def test_all_runs_diverged(tmp_path: Path) -> None:
    make_run(tmp_path / "toy/erac/a/seed1", configuration(1), status=DIVERGED)
    (line,) = reported(tmp_path).lines
    assert (line.row.n, line.row.runs, line.row.split, line.row.label) == (0, 1, "test", "joint")


PUBLISHED = [
    {
        "where": {"algorithm.name": "erac", "algorithm.tau": "4e-2"},
        "score": "bleu",
        "mean": 28.34,
        "std": 0.2,
        "min": 28.0,
        "max": 28.6,
        "source": "Dai et al. 2018",
    },
    {"where": {"algorithm": {"name": "mle"}}, "score": "bleu", "mean": 28.06},
    {"where": {"algorithm.name": "ac"}, "score": "bleu", "mean": 1},
]


def test_published_scores_stand_beside_the_rows_and_give_their_order(outputs: Path) -> None:
    report = reported(outputs, published=PUBLISHED, title="Table 1", note="As it was.")
    table = cells(report)
    assert list(table) == ["algorithm.tau=0.04", "mle", "algorithm.tau=0.5"]
    assert [row["published"] for row in table.values()] == [
        "28.34 ± 0.20 (28.00 to 28.60)",
        "28.06",
        "",
    ]
    lines = markdown(report).splitlines()
    assert lines[0] == "## Table 1"
    assert lines[-1] == "As it was."
    assert "published: Dai et al. 2018" in lines
    assert "published, but no such row: bleu 1.0 where algorithm.name=ac" in lines
    assert r"28.34 $\pm$ 0.20 (28.00 to 28.60)" in latex(report)
    first = next(csv.DictReader(io.StringIO(comma_separated(report))))
    assert [first["published"], first["published_std"], first["source"]] == [
        *("28.34", "0.2", "Dai et al. 2018"),
    ]


def test_published_scores_are_of_the_test_split(outputs: Path) -> None:
    report = reported(outputs, published=PUBLISHED, split=None)
    assert {line.row.split for line in report.lines if line.published} == {"test"}


def test_true_is_no_number(outputs: Path) -> None:
    config = configuration(1, 1.0) | {"model": {"input_feeding": True}}
    make_run(outputs / "toy/erac/feeding/seed1", config, 30.0)
    for value, found in ((True, 1), (1, 0), (False, 0), ("true", 0)):
        entry = {"where": {"model.input_feeding": value}, "score": "bleu", "mean": 1.0}
        report = reported(outputs, published=[entry])
        assert sum(bool(line.published) for line in report.lines) == found


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        ({"basline": "mle"}, "report has no basline; there are title, baseline, final"),
        ({"published": [{"where": {"a": 1}, "mean": 1}]}, "an entry has no score"),
        ({"published": [{"where": {}, "score": "bleu", "mean": 1}]}, "where must be settings"),
        ({"published": [{"where": {"a": 1}, "score": "bleu", "mean": "high"}]}, "must be a number"),
        ({"published": [{"mean": 1, "deviation": 2}]}, "report.published has no deviation"),
        ({"published": {"mean": 1}}, "report.published must be a list"),
        ({"final": "yes"}, "report.final must be true or false"),
        ({"split": 3}, "report.split must be a name or a list of them, not 3"),
        ("mle", "report must be a mapping"),
    ],
)
def test_a_specification_is_checked(node: Any, problem: str) -> None:
    with pytest.raises(RequestError, match=problem):
        TableSpec.from_node(node)


def test_an_empty_specification_shows_everything() -> None:
    node = {"title": None, "split": None, "decoding": None, "published": None, "curve": None}
    assert TableSpec.from_node(node) == TableSpec.from_node({}) == TableSpec()


def test_how_a_sweep_was_run_sets_no_runs_apart(tmp_path: Path) -> None:
    for seed, further in enumerate(({}, {"report": {"title": "a"}, "launcher": {"jobs": 2}}), 1):
        config = configuration(seed) | further | {"dry_run": seed == 1, "retry_failed": seed == 2}
        make_run(tmp_path / "toy/erac/a" / f"seed{seed}", config, 20.0)
    (line,) = reported(tmp_path).lines
    assert (line.row.n, line.row.settings) == (2, {})

"""The papers' tables: what they consist of, and that each of their cells can be made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from seqrl.cli.configuration import Groups, conf_folder
from seqrl.cli.planning import planned
from seqrl.cli.sweep import main
from seqrl.reports.aggregate import RunRecord
from seqrl.reports.table_spec import same

CELLS = {
    "table1": 5 * 2,
    "table3": 2 * 4,
    "table4": 3,
    "table7": 2,
    "figure1": 7,
    "erpo_mt": 5,
    "erpo_sum": 5,
    "seqgan": 4,
}
"""By experiment, its cells at the paper's size, each over nine seeds."""

SUMMARIES = ("erpo_sum",)
"""Of these, tables of summarization."""

TASKS = dict.fromkeys(SUMMARIES, "gigaword_200k") | {"seqgan": "oracle"}
"""Of those that are not of translation."""


def test_every_table_is_known_here() -> None:
    found = [
        path.stem
        for path in (conf_folder() / "experiment").glob("*.yaml")
        if "\nreport:" in path.read_text()
    ]
    assert sorted(found) == sorted(CELLS)


@pytest.mark.parametrize("table", CELLS)
def test_a_table_has_its_cells_and_each_published_score_belongs_to_one(table: str) -> None:
    sweep, _ = planned(Groups(), [f"experiment={table}", "seed=1"])
    task = TASKS.get(table, "iwslt14")
    assert {run.config["task"]["name"] for run in sweep.runs} == {task}
    cells = {run.folder.parent: RunRecord(run.folder, run.config, "", "", []) for run in sweep.runs}
    assert len(cells) == len(sweep.runs) == CELLS[table]
    for entry in sweep.table.published:
        having = [
            folder
            for folder, record in cells.items()
            if all(same(record.settings.get(key), value) for key, value in entry.where.items())
        ]
        assert len(having) == 1, entry


def test_a_table_shares_one_actor_a_seed() -> None:
    sweep, _ = planned(Groups(), ["experiment=table4"])
    assert len(sweep.runs) == 9 * CELLS["table4"]
    keys = {name: {run.stages[name] for run in sweep.runs} for name in ("actor", "critic", "joint")}
    # the critics of AC and of ERAC without future entropy are the same
    assert {name: len(own) for name, own in keys.items()} == {"actor": 9, "critic": 18, "joint": 27}


@pytest.mark.full
@pytest.mark.parametrize(
    "table",
    [
        pytest.param(name, marks=[] if name == "table1" else pytest.mark.full)
        for name in CELLS
    ],
)  # fmt: skip
def test_every_cell_of_a_table_can_be_made(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["seed=1", "threads=1", f"outputs={tmp_path}"]
    if table == "table1":
        small.append("model.input_feeding=false")
    task, smoke = ("reports", "smoke_reports") if table in SUMMARIES else ("phrases", "smoke")
    assert main(["-m", f"experiment=[{table},{smoke}]", *small]) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"## .*({table[-1]}|Tan|Yu)", shown)
    rows = re.findall(rf"^\| {task} +\| (\w+)", shown, re.MULTILINE)
    assert len(rows) == CELLS[table] / (2 if table == "table1" else 1)
    page = re.search(r"^page: (.+)$", shown, re.MULTILINE)
    assert page is not None
    text = Path(page[1]).read_text()
    assert "data:image/png" in text
    assert "<title>" in text

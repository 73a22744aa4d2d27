"""seqrl-train on corpora that cannot be used, in this process."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from seqrl.cli import train as train_command
from tiny import TINY


def started(monkeypatch: pytest.MonkeyPatch, *overrides: str) -> int:
    """The exit code of `seqrl-train`."""
    monkeypatch.setattr(sys, "argv", ["seqrl-train", *TINY, "algorithm=mle", *overrides])
    try:
        train_command.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def status(run: Path) -> str:
    return str(json.loads((run / "status.json").read_text())["status"])


def test_a_run_on_a_bad_corpus_leaves_nothing_that_the_next_takes_for_whole(
    tiny_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    data, outputs = tmp_path / "data", tmp_path / "outputs"
    data.mkdir()
    whole = {path.name: path.read_bytes() for path in tiny_data.iterdir()}
    for name, content in whole.items():
        (data / name).write_bytes(content)
    (data / "train.de").write_bytes(whole["train.de"].replace(b"\n", b"\0\n", 1))
    where = [f"task.data_dir={data}", f"outputs={outputs}"]
    assert started(monkeypatch, *where) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith(
        f"data: the corpus in {data} cannot be used:\n  - {data}/train.de: NUL"
    )
    assert shown.err.count("\n") == 2
    (refused,) = outputs.glob("text/mle/*/seed1")
    assert shown.out == f"run: {refused}\n"
    assert status(refused) == "failed"
    left = [*refused.glob("tokenizers"), *refused.glob("result.json"), *outputs.glob(".stages/*")]
    assert left == []

    (data / "train.de").write_bytes(whole["train.de"])
    (data / os.fsdecode(b"notes\xff")).touch()
    assert started(monkeypatch, *where) == 0
    said = [record.getMessage() for record in caplog.records]
    assert [line.split(" pairs ")[0] for line in said] == [
        "task text: 3 of 12 dev",
        "task text: 5 of 15 test",
    ]
    (run,) = {*outputs.glob("text/mle/*/seed1")} - {refused}  # another corpus is another run
    assert status(run) == "done"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["task.filters.min_tokens=9"],
            "data: nothing is left of train after filtering (train had",
        ),
        (["task.target_tokenizer.min_frequency=999"], "data: no word occurs 999 times in the"),
    ],
)
def test_runs_end_with_1_and_one_message(
    overrides: list[str],
    message: str,
    tiny_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = [f"task.data_dir={tiny_data}", f"outputs={tmp_path}"]
    assert started(monkeypatch, *where, *overrides) == 1
    errors = capsys.readouterr().err
    assert errors.startswith(message)
    assert "Traceback" not in errors


def test_a_corpus_that_cannot_be_read_whole_is_a_wrong_configuration(
    tiny_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(folder: Path) -> str:
        raise PermissionError(13, "Permission denied", str(folder / "dev.en"))

    monkeypatch.setattr("seqrl.identity.files_hash", refuse)
    assert started(monkeypatch, f"task.data_dir={tiny_data}", f"outputs={tmp_path}") == 2
    errors = capsys.readouterr().err
    assert f"task.data_dir={tiny_data}: must be a folder of files that can all be read" in errors
    assert f"Permission denied: '{tiny_data / 'dev.en'}'" in errors
    assert [*tmp_path.iterdir()] == []


def test_a_home_of_nobody_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert started(monkeypatch, 'task.data_dir="~nobody-here/x"', f"outputs={tmp_path}") == 2
    assert "task.data_dir=~nobody-here/x: must be" in capsys.readouterr().err

"""The screens of `--help`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from seqrl.cli import data, evaluate, export, generate, melodies, report, rerun, train
from seqrl.cli.configuration import Groups


def shown(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
    code: int = 0,
) -> str:
    monkeypatch.setattr(sys, "argv", ["seqrl-train", *arguments])
    with pytest.raises(SystemExit) as end:
        train.main()
    assert end.value.code == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def test_the_help_of_a_training_is_one_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(monkeypatch, capsys, "--help")
    assert len(text.splitlines()) <= 45
    assert max(map(len, text.splitlines()[:-1])) <= 100
    assert "exit codes: 0 done, 1 failed, 2 configuration error, 3 diverged, 75" in text
    assert shown(monkeypatch, capsys, "algorithm=erac", "-h") == text


def test_it_lists_what_can_be_chosen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "algorithm").mkdir()
    (tmp_path / "algorithm" / "mine.yaml").touch()
    text = shown(monkeypatch, capsys, "--help", f"--config-dir={tmp_path}")
    text = text.replace(",\n" + " " * 14, ", ")
    listed = dict(re.findall(r"^  ([\w@.]+) +(\w+(?:, \w+)*)$", text, re.MULTILINE))
    groups = Groups([tmp_path])
    main = (
        *("task", "algorithm", "model", "reward", "decoding", "trainer", "tracker"),
        *("launcher", "experiment"),
    )
    budgets = {"budget@task.budget": ", ".join(groups.names("budget"))}
    assert listed == {group: ", ".join(groups.names(group)) for group in main} | budgets
    assert "mine" in listed["algorithm"]


def test_every_setting_that_it_names_exists(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(monkeypatch, capsys, "--help")
    keys = re.findall(r"(?<![-\w.])([a-z_.]+)=[\w.]+", text)
    config = Groups().compose(["algorithm=erac"])
    for key in keys:
        node = config
        for part in key.split("."):
            assert part in node, key
            node = node[part]


def test_a_folder_of_groups_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = shown(monkeypatch, capsys, "--help", "--config-dir=nowhere", code=2)
    assert "there is no such folder" in told


@pytest.mark.parametrize("command", [data, evaluate, export, generate, melodies, report, rerun])
def test_the_other_commands_say_their_exit_codes(
    command: object, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        command.main(["--help"])  # type: ignore[attr-defined]
    assert "\nexit codes: " in capsys.readouterr().out

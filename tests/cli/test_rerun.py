"""`seqrl-rerun`: what a run's configuration becomes with overrides, and that it is trained."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from seqrl.cli.evaluate import main as evaluate
from seqrl.cli.rerun import main
from tiny import TINY


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """A training notes signals in its own way."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_the_same_run_again_is_the_same(tiny_run: Path, tmp_path: Path) -> None:
    assert main([str(tiny_run), f"outputs={tmp_path}"]) == 0
    identity = tiny_run.parent.name
    again = tmp_path / "text" / "erac" / identity / "seed1"
    for name in ("metrics.jsonl", "test.hyp.txt", "checkpoints/joint/best.safetensors"):
        assert (again / name).read_bytes() == (tiny_run / name).read_bytes(), name


@pytest.fixture
def project(tiny_data: Path, tmp_path: Path) -> Path:
    """A folder with a finished run of relative paths, `outputs/text/mle/*/seed1`."""
    folder = tmp_path / "project"
    shutil.copytree(tiny_data, folder / "data")
    overrides = ["algorithm=mle", *TINY, "task.data_dir=data", "trainer.max_steps=2"]
    done = subprocess.run(
        [sys.executable, "-c", "from seqrl.cli.train import main; main()", *overrides],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def run_in(project: Path) -> Path:
    (found,) = project.glob("outputs/text/mle/*/seed1")
    return found


def test_a_run_of_relative_paths_is_repeated_from_anywhere(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run = run_in(project)
    assert main([os.path.relpath(run)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"run: {run}"
    assert main([str(run), "outputs=again"]) == 0
    again = elsewhere / "again" / run.relative_to(project / "outputs")
    assert (again / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()
    # of this one the place says nothing, but the record does
    apart = Path(shutil.copytree(run, tmp_path / "apart"))
    assert main([str(apart)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"run: {run}"
    assert evaluate([str(apart)]) == 0
    assert (apart / "evaluations/test.greedy.hyp.txt").read_text() == (
        run / "test.hyp.txt"
    ).read_text()
    assert [path.name for path in elsewhere.iterdir()] == ["again"]


def test_a_project_that_was_moved_is_the_same(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    moved = project.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    run = run_in(moved)
    (run / "result.json").unlink()
    assert main([str(run)]) == 0
    shown = capsys.readouterr().out
    assert "reused, trained before" in shown
    assert shown.splitlines()[-1] == f"run: {run}"
    assert (run / "result.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["moved"]


def test_an_override_reaches_everything_that_uses_it(tiny_run: Path, tmp_path: Path) -> None:
    overrides = ["seed=2", "algorithm.tau=0.1", "trainer.max_steps=1", f"outputs={tmp_path}"]
    assert main([str(tiny_run), *overrides]) == 0
    (folder,) = tmp_path.glob("text/erac/*/seed2")
    assert folder.parent.name != tiny_run.parent.name
    config = yaml.safe_load((folder / "config.yaml").read_text())
    stages = config["algorithm"]["stages"]
    assert [stage["seed"] for stage in stages.values()] == [2, 2, 2]
    assert stages["joint"]["algorithm"]["tau"] == 0.1
    own = yaml.safe_load((tiny_run / "config.yaml").read_text())
    assert config["task"] == own["task"]
    assert config["model"] == own["model"]


def test_a_finished_run_answers_at_once(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*") if path.is_file()}
    assert main([str(tiny_run)]) == 0
    shown = capsys.readouterr().out
    assert "finished before" in shown
    assert f"run: {tiny_run}" in shown
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_an_unfinished_run_is_accepted(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(tiny_run, tmp_path / "copy"))
    (copy / "result.json").unlink()
    assert main([str(copy), "seed=x"]) == 2
    assert capsys.readouterr().err == "seed=x: must be a whole number, such as 1\n"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["algorithm.taau=1", "seed=x"], "algorithm.taau=1: no such setting; did you mean"),
        (["seed=1,2"], "seed=1,2: one value is needed here"),
        (["algorithm=eracc"], "there is no such algorithm; did you mean erac?"),
        (["algorithm.tau=-1"], "tau"),
    ],
)
def test_overrides_are_checked_as_those_of_a_training(
    tiny_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    overrides: list[str],
    told: str,
) -> None:
    assert main([str(tiny_run), *overrides, f"outputs={tmp_path}"]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())

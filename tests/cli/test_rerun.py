"""`seqrl-rerun`: what a run's configuration becomes with overrides, and that it is trained."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from seqrl.cli.rerun import main


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

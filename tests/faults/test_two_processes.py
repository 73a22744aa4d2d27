"""Of two processes at one run or stage one works; a dead one is never waited for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from children import Child, Undisturbed, arguments, configured, progress

from tiny import Figures

OVERRIDES = ("algorithm=erac", "trainer.guards=null")


@pytest.fixture(scope="module")
def whole(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed") / "whole", tiny_data, *OVERRIDES)


@pytest.mark.parametrize(
    "pause", [0.0, *(pytest.param(k / 4, marks=pytest.mark.faults) for k in range(1, 10))]
)
def test_two_of_one_run_make_it_once(
    pause: float, whole: Undisturbed, tmp_path: Path, figures: Figures
) -> None:
    folder = tmp_path / "two"
    first = Child(whole.config, folder)
    first.begun()
    time.sleep(pause)
    second = Child(whole.config, folder)
    codes = [first.wait(), second.wait()]
    texts = first.text + second.text
    assert codes == [0, 0], texts
    for stage in ("actor", "critic", "joint"):
        assert texts.count(f"{stage}: training in") == 1
    assert "waiting for another process" in texts or "finished before" in texts
    assert texts.count("finished before") == 1
    assert whole.differing(folder) == []
    figures("two processes", "pairs at one run", 1)


@pytest.mark.faults
def test_two_runs_train_the_stage_that_they_share_once(
    whole: Undisturbed, tiny_data: Path, tmp_path: Path, figures: Figures
) -> None:
    other = configured(tuple(arguments(tiny_data, *OVERRIDES, "algorithm.tau=0.02")))
    folder = tmp_path / "two"
    first, second = Child(whole.config, folder), Child(other, folder)
    codes = [first.wait(), second.wait()]
    texts = first.text + second.text
    assert codes == [0, 0], texts
    assert texts.count("actor: training in") == 1
    assert texts.count("critic: training in") == 2
    assert texts.count("actor: reused, trained before") == 1
    assert whole.differing(folder) == []
    figures("two processes", "pairs at one stage", 1)


@pytest.mark.parametrize("count", [1, pytest.param(10, marks=pytest.mark.faults)])
def test_a_dead_owner_is_not_waited_for(
    count: int, whole: Undisturbed, tmp_path: Path, figures: Figures
) -> None:
    folder = tmp_path / "dead"
    for update in range(1, count + 1):
        child = Child(whole.config, folder)
        assert child.until(lambda: bool(progress(folder)))
        time.sleep(0.05 * update)
        if not child.kill():
            break
        figures("two processes", "dead owners", 1)
    child = Child(whole.config, folder)
    assert child.wait() == 0, child.text
    assert "waiting" not in child.text
    assert whole.differing(folder) == []


@pytest.mark.faults
def test_a_lock_that_names_a_living_process_of_another_kind_holds_nothing(
    whole: Undisturbed, tmp_path: Path
) -> None:
    """The number of a dead owner may be somebody else's by now: ours."""
    folder = tmp_path / "reused"
    child = Child(whole.config, folder)
    assert child.until(lambda: bool(progress(folder)))
    child.kill()
    owners = list(folder.glob("out/.stages/.locks/*.json"))
    assert len(owners) == 1
    owner = json.loads(owners[0].read_text())
    assert owner["pid"] == child.pid
    owners[0].write_text(json.dumps(owner | {"pid": os.getpid()}))
    child = Child(whole.config, folder)
    assert child.wait() == 0, child.text
    assert "waiting" not in child.text
    assert whole.differing(folder) == []


@pytest.mark.faults
def test_a_service_that_outlives_its_owner_holds_no_lock(
    whole: Undisturbed, tiny_data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("wandb")
    folder = tmp_path / "service"
    folder.mkdir()
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from seqrl.cli.train import main; main()"),
            *arguments(tiny_data, *OVERRIDES, "tracker=wandb"),
        ],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not progress(folder):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)  # its service is told nothing
    process.wait()
    child = Child(whole.config, folder)
    assert child.wait() == 0, child.text
    assert "waiting" not in child.text
    assert whole.differing(folder) == []

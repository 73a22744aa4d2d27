"""SIGKILL at any moment costs what was not saved yet, and nothing else."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from children import CASES, Child, Undisturbed, arguments, leftovers, progress

from seqrl.training.checkpoint import CheckpointError
from tiny import Figures

AIMED = 0.3
"""Share of kills that wait for a checkpoint to be written."""


def moment(child: Child, folder: Path, seconds: float, rng: random.Random) -> None:
    """Wait for some moment of a run that takes so long."""
    child.begun()
    if rng.random() < AIMED:
        chance = rng.uniform(0.02, 0.5)  # of being killed in each look at a write
        child.until(lambda: any(folder.glob("out/.stages/*/.last.pt.*")) and rng.random() < chance)
    else:
        deadline = time.monotonic() + rng.uniform(0, seconds)
        child.until(lambda: time.monotonic() > deadline)


@pytest.mark.parametrize(
    ("case", "kills"),
    [
        ("erac", 3),
        *(pytest.param(case, 20, marks=pytest.mark.faults) for case in CASES),
    ],
)
def test_a_killed_run_loses_nothing(
    case: str, kills: int, tiny_data: Path, tmp_path: Path, figures: Figures
) -> None:
    rng = random.Random(f"{case} {kills}")
    whole = Undisturbed(tmp_path / "whole", tiny_data, *CASES[case].split(), "trainer.guards=null")
    folder = tmp_path / "killed"
    differing, unreadable, restarts, left = [], 0, 0, []
    count = 0
    before: dict[str, float] = {}
    while count < kills or folder.exists():
        child = Child(whole.config, folder)
        if count < kills:
            moment(child, folder, whole.seconds, rng)
            killed = child.kill()
        else:
            killed = child.wait() != 0
            assert not killed, child.text
        try:
            after = progress(folder)
        except CheckpointError:
            unreadable += 1
            after = {}
        restarts += any(after.get(key, 0) < update for key, update in before.items())
        before = after
        count += killed
        if not killed:
            differing += whole.differing(folder)
            left += leftovers(folder)
            shutil.rmtree(folder)
            before = {}
    figures("kills", "kills", count)
    figures("kills", "unreadable checkpoints", unreadable)
    figures("kills", "restarts from the beginning", restarts)
    figures("kills", "differing results", len(differing))
    assert count == kills
    assert (unreadable, restarts, differing, left) == (0, 0, [], [])


@pytest.mark.faults
def test_a_real_process_and_its_group_are_killed(tiny_data: Path, tmp_path: Path) -> None:
    """The command as a user starts it, W&B's process with it."""
    whole = Undisturbed(tmp_path / "whole", tiny_data, "algorithm=erac", "trainer.guards=null")
    command = [
        *(sys.executable, "-c", "from seqrl.cli.train import main; main()"),
        *arguments(tiny_data, "algorithm=erac", "trainer.guards=null", "tracker=wandb"),
    ]
    folder = tmp_path / "killed"
    folder.mkdir()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, start_new_session=True, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while 2 not in progress(folder).values():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    child = Child(whole.config, folder)
    assert child.wait() == 0, child.text
    assert "continuing at update" in child.text
    assert whole.differing(folder) == []
    assert list(leftovers(folder)) == []

"""Where the runs of a sweep are made: here one after another, or in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from seqrl.cli.interruption import Interruption
from seqrl.cli.train import EXIT_DONE, EXIT_FAILED, EXIT_PREEMPTED
from seqrl.ranges import require

if TYPE_CHECKING:
    from seqrl.cli.sweep import Planned

Announce = Callable[["Planned", int, str], None]
"""Told of each run that has ended: its exit code, and its last lines if it failed."""

LOG = "log.txt"
LAST_LINES = 15
POLL = 0.1  # seconds between looks at processes


class Launcher(ABC):
    """jobs: runs at a time."""

    jobs: int = 1

    @abstractmethod
    def launch(self, runs: Sequence[Planned], announce: Announce) -> int:
        """Make the runs. EXIT_DONE when all have ended, EXIT_PREEMPTED when asked to stop."""


class Basic(Launcher):
    """One after another, in this process; what one raises ends that one alone."""

    def launch(self, runs: Sequence[Planned], announce: Announce) -> int:
        from seqrl.cli.running import run_training

        with Interruption() as interrupted:
            for run in runs:
                if interrupted():
                    return EXIT_PREEMPTED
                print(f"\n{run} ({run.folder})", flush=True)
                code, problem = EXIT_FAILED, ""
                try:
                    code = run_training(run.config)
                except KeyboardInterrupt:
                    raise
                except BaseException:  # SystemExit of a user's code, or of a library, among them
                    problem = traceback.format_exc()
                if code == EXIT_PREEMPTED:
                    return code
                announce(run, code, problem)
        return EXIT_DONE


@dataclass
class _Job:
    run: Planned
    process: subprocess.Popen[str]
    slot: int


class Local(Launcher):
    """A process for each run, several at a time on this machine.

    A run waits for another one that trains a stage which both need. Each writes what it would
    show to its folder's log.txt. A process that outlives the sweep goes on and is waited for by
    the next one.

    jobs     at a time; none: `per_gpu` on each CUDA device, without one as many as there are cores
    per_gpu  runs that share a CUDA device
    """

    def __init__(self, *, jobs: int | None = None, per_gpu: int = 1) -> None:
        require(jobs is None or jobs >= 1, f"jobs must be at least 1 or null, not {jobs}")
        require(per_gpu >= 1, f"per_gpu must be at least 1, not {per_gpu}")
        self.devices = visible_devices()
        self.jobs = jobs or per_gpu * len(self.devices) or cores()

    def launch(self, runs: Sequence[Planned], announce: Announce) -> int:
        waiting, jobs = list(runs), list[_Job]()
        with Interruption() as interrupted:
            while waiting or jobs:
                if interrupted():
                    return self._stop(jobs)
                for job in [job for job in jobs if job.process.poll() is not None]:
                    jobs.remove(job)
                    announce(job.run, job.process.returncode, last_lines(job.run.folder / LOG))
                self._fill(jobs, waiting)
                time.sleep(POLL)
        return EXIT_DONE

    def _fill(self, jobs: list[_Job], waiting: list[Planned]) -> None:
        """Start runs while there is room, each only if none at work trains what it needs."""
        while len(jobs) < self.jobs:
            busy = set[str]().union(*(job.run.unfinished for job in jobs))
            run = next((run for run in waiting if not run.unfinished & busy), None)
            if run is None:
                return
            waiting.remove(run)
            slot = min(set(range(self.jobs)) - {job.slot for job in jobs})
            jobs.append(_Job(run, start(run, self._environment(slot)), slot))

    def _environment(self, slot: int) -> dict[str, str]:
        """Of the run in a slot: its device, and its share of the cores."""
        found = dict(os.environ)
        if self.devices:
            found["CUDA_VISIBLE_DEVICES"] = self.devices[slot % len(self.devices)]
        found.setdefault("OMP_NUM_THREADS", str(max(1, cores() // self.jobs)))
        return found

    def _stop(self, jobs: Sequence[_Job]) -> int:
        """Have all save what they have, and wait for that."""
        print("stopping: the runs at work save what they have", flush=True)
        for job in jobs:
            job.process.terminate()
        for job in jobs:
            job.process.wait()
        return EXIT_PREEMPTED


def start(run: Planned, environment: dict[str, str]) -> subprocess.Popen[str]:
    """A process at a run, which gets its configuration as it was checked."""
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / LOG).open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from seqrl.cli.launchers import job; job()"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,  # the terminal's Ctrl-C is the sweep's, which passes it on
        )
    assert process.stdin is not None
    send(process.stdin, run)
    return process


def send(stream: IO[str], run: Planned) -> None:
    """What `job` reads."""
    with stream:
        json.dump({"config": run.config, "command": list(sys.argv), "path": sys.path}, stream)


def job() -> None:
    """A process of a sweep: makes the run that is described on its standard input."""
    given: dict[str, Any] = json.load(sys.stdin)
    sys.argv, sys.path = given["command"], given["path"]
    from seqrl.cli.running import run_training

    sys.exit(run_training(given["config"]))


def last_lines(path: Path) -> str:
    """The end of a file, or as much as there is."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(["...", *lines[-LAST_LINES:]] if len(lines) > LAST_LINES else lines)


def cores() -> int:
    """Of this machine that the process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_devices() -> list[str]:
    """The CUDA devices, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    if not torch.cuda.is_available():
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named:
        return [name.strip() for name in named.split(",")]
    return [str(number) for number in range(torch.cuda.device_count())]

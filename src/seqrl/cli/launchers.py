"""Where the runs of a sweep are made: here one after another, or in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqrl.cli.interruption import Interruption
from seqrl.cli.train import EXIT_DIVERGED, EXIT_DONE, EXIT_FAILED, EXIT_PREEMPTED, leave
from seqrl.ranges import require
from seqrl.tracking.run_folder import write_status
from seqrl.trust import trust, trusted

if TYPE_CHECKING:
    from seqrl.cli.planning import Planned

Announce = Callable[["Planned", int, str], None]
"""Told of each run that has ended: its exit code, and its last lines if it failed."""

OUTCOMES = {EXIT_DONE: "done", EXIT_DIVERGED: "diverged", EXIT_PREEMPTED: "preempted"}
"""By the exit code of a run; all others are failures."""

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
                except BaseException:  # SystemExit of a user's code, or of a library, among them
                    problem = traceback.format_exc()
                if code == EXIT_PREEMPTED:
                    return code
                announce(run, code, problem)
        return EXIT_DONE


class Job(ABC):
    """A run that was started somewhere else."""

    def __init__(self, run: Planned, slot: int) -> None:
        self.run = run
        self.slot = slot

    @property
    @abstractmethod
    def log(self) -> Path:
        """Where it writes what it would show."""

    @abstractmethod
    def code(self) -> int | None:
        """The exit code; none while it runs."""

    @abstractmethod
    def last_lines(self) -> str:
        """The end of what it said."""

    @abstractmethod
    def stop(self) -> None:
        """Have it save what it has and end."""

    def how(self, code: int) -> str:
        """In what way it ended that could not say that it failed."""
        if code == -signal.SIGKILL:
            return f"killed by signal {-code} (was there too little memory?)"
        return f"killed by signal {-code}" if code < 0 else f"left with exit code {code}"


class Parallel(Launcher):
    """Several runs at a time; one waits for another that trains a stage which both need.

    jobs  at a time
    """

    def __init__(self, *, jobs: int) -> None:
        positive = type(jobs) is int and jobs >= 1
        require(positive, f"jobs must be at least 1 or null, not {jobs}")
        self.jobs = jobs

    @abstractmethod
    def start(self, run: Planned, slot: int) -> Job:
        """Start a run; slot is the number of its place among those at work."""

    def stop(self, jobs: Sequence[Job]) -> None:
        """Have all save what they have, and wait for that."""
        print("stopping: the runs at work save what they have", flush=True)
        for job in jobs:
            job.stop()
        while any(job.code() is None for job in jobs):
            time.sleep(POLL)

    def launch(self, runs: Sequence[Planned], announce: Announce) -> int:
        waiting, jobs = list(runs), list[Job]()
        with Interruption() as interrupted:
            while waiting or jobs:
                if interrupted():
                    self.stop(jobs)
                    return EXIT_PREEMPTED
                for job in list(jobs):
                    code = job.code()
                    if code is not None:
                        jobs.remove(job)
                        announce(job.run, *_ended(job, code))
                self._fill(jobs, waiting, announce)
                time.sleep(POLL)
        return EXIT_DONE

    def _fill(self, jobs: list[Job], waiting: list[Planned], announce: Announce) -> None:
        """Start runs while there is room, each only if none at work trains what it needs."""
        while len(jobs) < self.jobs:
            busy = set[str]().union(*(job.run.unfinished for job in jobs))
            run = next((run for run in waiting if not run.unfinished & busy), None)
            if run is None:
                return
            waiting.remove(run)
            slot = min(set(range(self.jobs)) - {job.slot for job in jobs})
            try:
                jobs.append(self.start(run, slot))
            except OSError as error:
                announce(run, EXIT_FAILED, str(error))
                continue
            print(f"started: {run} ({jobs[-1].log})", flush=True)


class Local(Parallel):
    """A process for each run, on this machine; each writes what it would show to its log.txt.

    A process that outlives the sweep goes on, and is waited for by the next one.

    jobs     at a time; none: `per_gpu` on each CUDA device, without one as many as there are cores
    per_gpu  runs that share a CUDA device
    """

    def __init__(self, *, jobs: int | None = None, per_gpu: int = 1) -> None:
        shared = type(per_gpu) is int and per_gpu >= 1
        require(shared, f"per_gpu must be at least 1, not {per_gpu}")
        self.devices = visible_devices()
        usual = per_gpu * len(self.devices) or cores()
        super().__init__(jobs=usual if jobs is None else jobs)

    def start(self, run: Planned, slot: int) -> Job:
        """Its device is the slot's, and its threads are its share of the cores."""
        environment = dict(os.environ)
        if self.devices:
            environment["CUDA_VISIBLE_DEVICES"] = self.devices[slot % len(self.devices)]
        environment.setdefault("OMP_NUM_THREADS", str(max(1, cores() // self.jobs)))
        return Process(run, slot, environment)


class Process(Job):
    """A run in a process of its own, which gets its configuration as it was checked."""

    def __init__(self, run: Planned, slot: int, environment: dict[str, str]) -> None:
        super().__init__(run, slot)
        run.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from seqrl.cli.launchers import main; main()"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
                start_new_session=True,  # the terminal's Ctrl-C is the sweep's, which passes it on
            )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as stream:
            json.dump(vars(Training.of(run)), stream)

    @property
    def log(self) -> Path:
        return self.run.folder / LOG

    def code(self) -> int | None:
        return self._process.poll()

    def last_lines(self) -> str:
        return ending(self.log.read_text(encoding="utf-8", errors="replace"))

    def stop(self) -> None:
        self._process.terminate()


def _ended(job: Job, code: int) -> tuple[int, str]:
    """The exit code that a run's folder bears out, and its last lines.

    A process that was killed, or left Python by a way that no program sees, could not say that
    it failed: it is said for it.
    """
    lines, state = job.last_lines(), job.run.state
    if OUTCOMES.get(code) == state or (code == EXIT_PREEMPTED and state != "failed"):
        return code, lines
    if state != "failed":
        write_status(job.run.folder, "failed", job.how(code))
        lines = f"{lines}\n{job.how(code)}"
    return EXIT_FAILED, lines


@dataclass(frozen=True)
class Training:
    """What a process elsewhere needs to make a run.

    config   as it was checked
    command  that the run's record names
    path     where Python finds modules
    trusted  the packages that are trusted beside seqrl
    """

    config: dict[str, Any]
    command: list[str]
    path: list[str]
    trusted: list[str]

    @classmethod
    def of(cls, run: Planned) -> Training:
        return cls(run.config, list(sys.argv), list(sys.path), trusted())

    def __call__(self) -> int:
        sys.argv, sys.path = self.command, self.path
        trust(self.trusted)
        from seqrl.cli.running import run_training

        return run_training(self.config)


def main() -> None:
    """A process of a sweep: makes the run that is described on its standard input."""
    with Interruption():  # from here on: importing what a run needs takes a while
        leave(Training(**json.load(sys.stdin))())


def ending(text: str) -> str:
    """The last lines of a text."""
    lines = text.splitlines()
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

"""The runs of a sweep as jobs of Slurm, through submitit."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqrl.cli.interruption import Interruption
from seqrl.cli.launchers import Job, Parallel, Training, cores, ending
from seqrl.cli.train import EXIT_FAILED, EXIT_PREEMPTED
from seqrl.ranges import is_number, require

if TYPE_CHECKING:
    from seqrl.cli.planning import Planned

LOOK_EVERY = 10.0  # seconds between questions to Slurm's queue
PATIENCE = 20.0  # seconds in which the files of a job that has ended appear here

FAILED = ("FAILED", "OUT_OF_MEMORY", "COMPLETED", "BOOT_FAIL")
"""States of jobs that ended by themselves, which without a result is a failure."""

STOPPED = ("CANCELLED", "TIMEOUT", "NODE_FAIL", "DEADLINE", "REVOKED")
"""States of jobs that somebody ended."""

GONE = "gone"
"""The state of a job that the queue does not name: it ended a while ago, or was not seen yet."""


class Slurm(Parallel):
    """A job of Slurm for each run; the command stays and waits for them.

    A job that is preempted, or whose time is over, saves what it has, is queued again and
    continues. Jobs outlive the command; the same command then waits for those that are left.

    jobs        in the queue or at work at a time
    cluster     `slurm`, or `local`: the same on this machine, to try it
    folder      where submitit keeps its files
    timeouts    how many times a job whose time is over is queued again
    parameters  of submitit's executor: timeout_min, slurm_partition, gpus_per_node, ...
    """

    def __init__(
        self, *, jobs: int, cluster: str, folder: str, timeouts: int, parameters: dict[str, Any]
    ) -> None:
        super().__init__(jobs=jobs)
        require(cluster in ("slurm", "local"), f"cluster must be slurm or local, not {cluster!r}")
        counted = is_number(timeouts) and timeouts >= 0
        require(counted, f"timeouts must be at least 0, not {timeouts}")
        installed = find_spec("submitit") is not None
        require(installed, "submitit is not installed: pip install 'seqrl[slurm]'")
        delay, minutes = parameters.get("slurm_signal_delay_s"), parameters.get("timeout_min")
        require(
            delay is None or minutes is None or delay <= 30 * minutes,
            "slurm_signal_delay_s must be at most half of timeout_min, so that a job has time "
            f"to work before it is told to stop; not {delay} seconds of {minutes} minutes",
        )
        import submitit

        if cluster == "local":  # the cores are shared; of Slurm each job gets its own
            os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // jobs)))
        self.queue = Queue() if cluster == "slurm" else None
        self.executor = submitit.AutoExecutor(
            folder=folder, cluster=cluster, slurm_max_num_timeout=timeouts
        )
        self.executor.update_parameters(**parameters)

    def start(self, run: Planned, slot: int) -> Job:
        """Submit it, or find the job that an earlier command submitted for it."""
        name = job_name(run.folder)
        left = self.queue.named(name) if self.queue else None
        if left is not None:
            import submitit

            return Submitted(run, slot, submitit.SlurmJob(self.executor.folder, left), self.queue)
        self.executor.update_parameters(name=name)
        try:
            job = self.executor.submit(Submission(Training.of(run)))
        except Exception as error:  # submitit's own, when sbatch refuses the job
            raise OSError(str(error)) from error
        return Submitted(run, slot, job, self.queue)


def job_name(folder: Path) -> str:
    """By which a run's job is found in the queue."""
    return f"seqrl-{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Submission:
    """What a job does: the run, and if it is taken off its machine, what Slurm needs for more."""

    training: Training

    def __call__(self) -> int:
        """The run's exit code.

        A run that was stopped leaves no result, so that its job may be queued again: by
        submitit, of whose signal it is told, or by Slurm itself.
        """
        with Interruption() as interrupted:
            code = self.training()
        if code != EXIT_PREEMPTED:
            return code
        if signal.SIGUSR2 in interrupted.signals:
            signal.raise_signal(signal.SIGUSR2)
        sys.exit(code)

    def checkpoint(self) -> Any:
        """What submitit is to queue: the same again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class Submitted(Job):
    """A run that submitit has handed to a cluster.

    queue  of Slurm; none where submitit has started a process of this machine
    """

    def __init__(self, run: Planned, slot: int, job: Any, queue: Queue | None) -> None:
        super().__init__(run, slot)
        self._job = job
        self._queue = queue
        self._ended: float | None = None

    @property
    def log(self) -> Path:
        return Path(self._job.paths.stdout)

    def code(self) -> int | None:
        if self._job.paths.result_pickle.exists():
            if self._job.exception() is not None:
                return self._code_without_result
            code: int = self._job.result()
            return code
        if self._queue is None:
            return self._code_without_result if self._job.done() else None
        state = self._queue.state(self._job.job_id)
        if state in STOPPED:
            return EXIT_PREEMPTED
        if state not in (*FAILED, GONE):
            self._ended = None
            return None
        if self._ended is None:
            self._ended = time.monotonic()
        if time.monotonic() - self._ended < PATIENCE:
            return None
        return EXIT_FAILED if state in FAILED else EXIT_PREEMPTED

    @property
    def _code_without_result(self) -> int:
        return EXIT_PREEMPTED if self.run.state == "preempted" else EXIT_FAILED

    def last_lines(self) -> str:
        return ending((self._job.stdout() or "") + (self._job.stderr() or ""))

    def how(self, code: int) -> str:
        state = self._queue.state(self._job.job_id) if self._queue else None
        return f"Slurm's job {self._job.job_id}: {state}" if state in FAILED else super().how(code)

    def stop(self) -> None:
        self._job.cancel(check=False)


class Queue:
    """What Slurm's queue says of a user's jobs; it needs no accounting, which `sacct` would.

    It is asked at most every LOOK_EVERY seconds; states and names are those of the last answer.
    """

    def __init__(self) -> None:
        self._asked = -float("inf")
        self._jobs: dict[str, tuple[str, str]] = {}

    def state(self, job_id: str) -> str:
        """Slurm's word for it, or GONE."""
        self._look()
        return self._jobs[job_id][0] if job_id in self._jobs else GONE

    def named(self, name: str) -> str | None:
        """The number of the job of that name that waits or is at work."""
        self._look()
        ended = (*FAILED, *STOPPED)
        return next((job_id for job_id, (state, other) in self._jobs.items()
                     if other == name and state not in ended), None)  # fmt: skip

    def _look(self) -> None:
        """Ask, if the last answer is old; one that does not come changes nothing."""
        if time.monotonic() - self._asked < LOOK_EVERY:
            return
        command = ["squeue", "--me", "--noheader", "--states=all", "--format=%i %T %j"]
        try:
            answer = subprocess.run(
                command, capture_output=True, text=True, check=True, timeout=60
            ).stdout
        except (OSError, subprocess.SubprocessError):
            return
        self._asked = time.monotonic()
        lines = (line.split(maxsplit=2) for line in answer.splitlines())
        self._jobs = {job_id: (state, name) for job_id, state, name in lines}

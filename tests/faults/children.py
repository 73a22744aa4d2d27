"""Small runs in children of a process that has imported everything: killing many costs little."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from seqrl.cli.configuration import conf_folder
from seqrl.identity import plain, run_folder
from seqrl.training.checkpoint import load_checkpoint
from tiny import TINY

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["pytest", "torch._dynamo", "scipy.stats", "matplotlib.pyplot", "seqrl.cli.running",
     "hydra.main", "hydra._internal.hydra", "hydra.core.override_parser.overrides_parser"]
)  # fmt: skip
PATIENCE = 180.0

FREQUENT = ("trainer.max_steps=5", "trainer.validate_every=3", "trainer.save_every=1")
JUDGED = (
    "algorithm.completions=2 algorithm.discriminator_steps=2 algorithm.discriminator.filters=[4] "
    "algorithm.discriminator.windows=[2]"
)
CASES = {
    "erac": "algorithm=erac",
    "ac": "algorithm=ac",
    "learned baseline": "algorithm=reinforce",
    "moving baseline": "algorithm=reinforce baseline@algorithm.baseline=running_mean",
    "mixer": "algorithm=mixer",
    "scheduled sampling": "algorithm=scheduled_sampling",
    "seqgan": f"algorithm=seqgan {JUDGED} algorithm.completion_speed=0.5",
    "replay": "algorithm=sequence_tutor algorithm.memory=60",
    "vaml": "algorithm=vaml",
    "interpolation": "algorithm=interpolation",
}
"""Algorithms that have a state of their own."""


def arguments(data: Path, *more: str) -> list[str]:
    """The command line of a run of a second or two, saved after every update, below `out`."""
    return [*TINY, f"task.data_dir={data}", "outputs=out", *FREQUENT, *more]


@cache
def configured(overrides: tuple[str, ...]) -> dict[str, Any]:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        return plain(compose(config_name="train", overrides=list(overrides)))


class Child:
    """A `seqrl-train` in `folder`.

    work     the configuration of a run that was checked before, or a command line
    prepare  called in the child before anything else; `functools.partial`s travel
    """

    def __init__(
        self,
        work: dict[str, Any] | list[str],
        folder: Path,
        prepare: Callable[[], object] | None = None,
    ) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # no threads before a fork
        folder.mkdir(exist_ok=True)
        self._output, writer = CONTEXT.Pipe(duplex=False)
        self._begun = CONTEXT.Event()
        self._process = CONTEXT.Process(
            target=_train, args=(work, folder, writer, self._begun, prepare)
        )
        self._process.start()
        writer.close()
        self._read = b""

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def text(self) -> str:
        """What it has printed so far."""
        while self._output.poll():
            block = os.read(self._output.fileno(), 1 << 16)
            if not block:
                break
            self._read += block
        return self._read.decode(errors="replace")

    @property
    def running(self) -> bool:
        return self._process.exitcode is None

    def begun(self) -> None:
        """Wait until it is about to call the command."""
        assert self._begun.wait(PATIENCE)

    def send(self, number: int) -> bool:
        """Whether the child was still there."""
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
                return True
        return False

    def kill(self) -> bool:
        """SIGKILL; whether that is what ended it."""
        self.send(signal.SIGKILL)
        return self.wait() == -signal.SIGKILL

    def wait(self, seconds: float = PATIENCE) -> int:
        """The exit code, that of a signal negative."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
            raise TimeoutError(f"it did not end within {seconds:.0f} s:\n{self.text}")
        return self._process.exitcode

    def until(self, met: Callable[[], object]) -> bool:
        """Wait for a condition; false where the child has ended without it."""
        deadline = time.monotonic() + PATIENCE
        while not met():
            assert time.monotonic() < deadline, self.text
            if not self.running:
                return bool(met())
            time.sleep(0.001)
        return True


def _train(
    work: dict[str, Any] | list[str],
    folder: Path,
    output: Any,
    begun: Any,
    prepare: Callable[[], object] | None,
) -> None:
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    sys.stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    os.chdir(folder)
    if prepare is not None:
        prepare()
    if isinstance(work, dict):
        from seqrl.cli.running import run_training

        begun.set()
        sys.exit(run_training(work))
    sys.argv = ["seqrl-train", *work]
    from seqrl.cli.train import main

    begun.set()
    main()


class Undisturbed:
    """A run that nothing happened to, and how long it took."""

    def __init__(self, folder: Path, data: Path, *overrides: str) -> None:
        self.arguments = arguments(data, *overrides)
        self.config = configured(tuple(self.arguments))
        self.folder = folder
        child = Child(self.config, folder)
        child.begun()
        began = time.monotonic()
        assert child.wait() == 0, child.text
        self.seconds = time.monotonic() - began

    @property
    def run(self) -> Path:
        return self.folder / run_folder(self.config)

    def differing(self, folder: Path) -> list[str]:
        """The files of the same run below another folder that are not the same bytes."""
        other = folder / run_folder(self.config)
        names = [
            path.relative_to(self.run)
            for pattern in ("metrics.jsonl", "**/best.safetensors", "**/*.hyp.txt", "samples.txt")
            for path in self.run.glob(pattern)
        ]
        assert len(names) >= 5
        found = [
            str(name)
            for name in names
            if not (other / name).is_file()
            or (self.run / name).read_bytes() != (other / name).read_bytes()
        ]
        results = [
            timeless(json.loads((run / "result.json").read_text())) for run in (self.run, other)
        ]
        return found + ["result.json"] * (results[0] != results[1])


def timeless(result: Any) -> Any:
    """A result without what depends on the clock or on how often a run was begun."""
    if isinstance(result, dict):
        gone = ("seconds", "reused", "versions")
        return {key: timeless(value) for key, value in result.items() if key not in gone}
    return [timeless(value) for value in result] if isinstance(result, list) else result


def progress(folder: Path) -> dict[str, float]:
    """By key, the update that each stage below a folder would continue after; finished: infinity.

    Raises CheckpointError.
    """
    found = {}
    for stage in folder.glob("out/.stages/[!.]*"):
        if (stage / "stage.json").is_file():
            found[stage.name] = float("inf")
        else:
            with suppress(FileNotFoundError):
                found[stage.name] = load_checkpoint(stage / "last.pt")["update"]
    return found


def leftovers(folder: Path) -> Iterator[Path]:
    """Temporary files, and second names, of what was being written."""
    for pattern in (".*.tmp", ".*.old"):
        yield from folder.rglob(pattern)

"""A copy of `metrics.jsonl` for Weights & Biases, which a training never depends on."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from seqrl.ranges import require
from seqrl.tracking.metrics_log import Record, read_records

logger = logging.getLogger(__name__)

Mode = Literal["offline", "online", "disabled"]

CONNECT_SECONDS = 20.0
"""How long a training waits at its start for the service, before the record stays offline."""

UPLOAD_SECONDS = 300.0
"""How long a finished training waits for what is still to be uploaded."""


class WandbMirror:
    """One W&B run for one run of seqrl, written from its `metrics.jsonl`.

    folder   of the run; W&B keeps its files in `wandb/` below it
    mode     `offline` writes a file that `wandb sync` uploads; `online` uploads while the
             run trains; `disabled` does nothing
    run_id   the same for every continuation of the run, and different for every other run

    Each record is one step of W&B, counted from 0, with the names of `metrics.jsonl` and one
    more, `updates`: the updates made in all stages so far, on which the charts are drawn.
    An offline record cannot be continued: it is written anew, from the first line of
    `metrics.jsonl`. An online record is continued after the last step that the service has.

    Whatever fails here, the first failure is logged as a warning and nothing is sent any more;
    without a key or without a connection `online` becomes `offline`.
    """

    def __init__(
        self,
        *,
        folder: Path,
        mode: Mode,
        project: str,
        name: str,
        group: str | None,
        config: dict[str, Any],
        run_id: str,
    ) -> None:
        require(
            mode in ("offline", "online", "disabled"),
            f"mode must be offline, online or disabled, not {mode!r}",
        )
        self._folder = folder
        self._mode: Mode = mode
        self._project = project
        self._name = name
        self._group = group
        self._run_id = run_id
        self._config = config
        self._run: Any = None
        self._logged = 0
        self._records = _Records()
        self._artifacts: dict[str, list[Path]] = {}
        if mode != "disabled":
            self._guarded(self._start)

    def sync(self, metrics_path: Path) -> None:
        """Log the records of the file that are not logged yet, in their order."""

        def log() -> None:
            for index, values in self._records.new(metrics_path):
                if index >= self._logged:
                    self._run.log(values, step=index, commit=True)

        if self._run is not None:
            self._guarded(log)

    def artifact(self, name: str, files: list[Path]) -> None:
        """Keep the files with the run: at once online; offline those that exist at the end."""
        if self._run is None:
            return
        if self._mode == "offline":
            self._artifacts[name] = list(files)
        else:
            self._guarded(lambda: self._log_artifact(name, files, policy="mutable"))

    def finish(self, status: str) -> None:
        """End the record and wait for its last byte; only the status "done" is a success."""

        def end() -> None:
            import wandb

            for name, files in self._artifacts.items():
                existing = [file for file in files if file.is_file()]
                if existing:
                    self._log_artifact(name, existing, policy="immutable")
            self._run.summary["status"] = status
            self._run.finish(exit_code=0 if status == "done" else 1)
            wandb.teardown()

        if self._run is not None:
            self._guarded(end)
        self._run = None

    def _start(self) -> None:
        import wandb

        wandb.setup(settings=wandb.Settings(silent=True))
        if self._mode == "online":
            self._run = self._connect()
        if self._run is None:
            self._mode = "offline"
            self._run = self._begin(resume=None)
        self._remove_earlier_records()
        self._run.define_metric("updates", hidden=True)
        self._run.define_metric("*", step_metric="updates")

    def _connect(self) -> Any:
        """The online run, or None where there is no key or no connection."""
        import wandb

        try:
            if not wandb.login(prompt=False, verify=False):
                logger.warning("no W&B key is configured: the record stays offline")
                return None
            run = self._begin(resume="allow")
        except Exception as error:
            reason = one_line(error)
            logger.warning("W&B cannot be reached (%s): the record stays offline", reason)
            wandb.teardown()
            return None
        self._logged = run.step if run.resumed else 0
        return run

    def _begin(self, *, resume: Literal["allow"] | None) -> Any:
        import wandb

        return wandb.init(
            config=self._config,
            settings=wandb.Settings(
                project=self._project,
                run_name=self._name,
                run_group=self._group,
                run_id=self._run_id,
                mode=self._mode,
                resume=resume,
                root_dir=str(self._folder),
                reinit="create_new",
                init_timeout=CONNECT_SECONDS,
                finish_timeout=UPLOAD_SECONDS,
                silent=True,
                console="off",
                symlink=False,
                disable_git=True,
                disable_code=True,
                save_code=False,
                x_disable_meta=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
            ),
        )

    def _remove_earlier_records(self) -> None:
        """Remove what earlier attempts of this run left: all of it is in `metrics.jsonl`."""
        current = Path(self._run.settings.sync_dir)
        for earlier in current.parent.glob(f"*run-*-{self._run_id}*"):
            if earlier.name != current.name:
                shutil.rmtree(earlier, ignore_errors=True)

    def _log_artifact(
        self, name: str, files: list[Path], *, policy: Literal["mutable", "immutable"]
    ) -> None:
        """`immutable` lets W&B refer to the files where they are, `mutable` makes it copy them."""
        import wandb

        artifact = wandb.Artifact(f"{self._run_id}-{name}", type="checkpoint")
        for file in files:
            artifact.add_file(str(file), policy=policy, skip_cache=policy == "immutable")
        self._run.log_artifact(artifact)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            logger.warning("W&B failed (%s): nothing more is sent to it", one_line(error))
            self._run = None
            with suppress(Exception):  # or its exit handler would print its own failure
                sys.modules["wandb"].teardown(exit_code=1)


def one_line(error: Exception) -> str:
    """An error's type and text, without line breaks."""
    return " ".join(f"{type(error).__name__}: {error}".split())


class _Records:
    """Reads a growing file of metrics, and counts the updates of all stages together."""

    def __init__(self) -> None:
        self._offset = 0
        self._index = 0
        self._stage: object = None
        self._step = 0
        self._before = 0

    def new(self, path: Path) -> list[tuple[int, Record]]:
        """The records since the last call, each with its index in the file and `updates`."""
        records: list[tuple[int, Record]] = []
        if not path.exists():
            return records
        for end, record in read_records(path, self._offset):
            self._offset = end
            records.append((self._index, {**record, "updates": self._updates(record)}))
            self._index += 1
        return records

    def _updates(self, record: Record) -> int:
        if record.get("stage") != self._stage:
            self._stage = record.get("stage")
            self._before += self._step
            self._step = 0
        step = record.get("step")
        if isinstance(step, int):
            self._step = step
        return self._before + self._step

"""The stages that several runs share: each is trained once, under a key made of its description.

    <root>/<key>/           checkpoints, metrics and at last `stage.json` of one stage
    <root>/.locks/<key>     held, as a lock of the operating system, while the stage is trained
    <root>/.locks/<key>.json  process and host of the holder, for messages only

A lock of the operating system goes with its process, however that ends, so that a dead owner
is never waited for.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from seqrl.tracking.files import remove_leftovers, write_json_atomic

logger = logging.getLogger(__name__)

STAGES = ".stages"
RECORD = "stage.json"
LOGS = ("metrics.jsonl", "timings.jsonl")
WEIGHTS = ("best.safetensors",)


@dataclass(frozen=True)
class Start:
    """Where a network's first weights come from: an earlier stage's network."""

    stage: str
    network: str


@dataclass(frozen=True)
class StageRecord:
    """What is known of a finished stage.

    key          of its folder
    description  that the key is the hash of
    best         the selection score of the weights that were kept
    summary      numbers and texts for reports
    """

    key: str
    description: dict[str, Any]
    best: float
    summary: dict[str, Any]


def stage_key(description: dict[str, Any]) -> str:
    """16 hexadecimal digits that depend on every value and on no order of keys.

    1 and 1.0 are the same number, true and 1 are not. TypeError or ValueError for what has
    no canonical form: other types, keys that are no strings, NaN.
    """
    canonical = json.dumps(
        _canonical(description, "description"), sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


class WaitEnded(Exception):
    """Somebody asked the process to stop while it waited for another one."""


def wait_for(lock: BaseFileLock, stopped: Callable[[], bool]) -> None:
    """Take a lock that somebody holds, when he gives it back. Raises WaitEnded."""
    while True:
        if stopped():
            raise WaitEnded
        with suppress(Timeout):
            lock.acquire(timeout=0.5)
            return


class StageStore:
    """Folders of stages below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, key: str) -> Path:
        return self.root / key

    def finished(self, key: str) -> StageRecord | None:
        """The record of a stage that is finished and whose files are all there."""
        path = self.folder(key) / RECORD
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            record = StageRecord(
                stored["key"], stored["description"], float(stored["best"]), stored["summary"]
            )
            files = [self.folder(key) / name for name in stored["files"]]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("%s is damaged (%r): the stage is trained again", path, error)
            return None
        missing = [file.name for file in files if not file.is_file()]
        if missing or record.key != key:
            what = f"without {', '.join(missing)}" if missing else f"that of {record.key}"
            logger.warning("%s is %s: the stage is trained again", path, what)
            return None
        return record

    def finish(self, key: str, record: StageRecord, *, keep: Sequence[str] = WEIGHTS) -> None:
        """Declare the stage finished, then remove all but the files `keep`, logs and record.

        FileNotFoundError, and nothing is changed, when one of `keep` is not there.
        """
        if record.key != key:
            raise ValueError(f"the record of stage {record.key} does not belong to stage {key}")
        folder = self.folder(key)
        for name in keep:
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder / name} is to be kept and does not exist")
        write_json_atomic(
            folder / RECORD,
            {
                "key": key,
                "best": record.best,
                "summary": record.summary,
                "files": list(keep),
                "description": record.description,
            },
        )
        for path in folder.iterdir():
            if path.name not in {*keep, *LOGS, RECORD}:
                _remove(path)

    @contextmanager
    def lock(self, key: str, stopped: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Hold the stage; waits, and says once for whom, while another process does.

        stopped  asked while it waits; raises WaitEnded where the answer is yes
        """
        lock = self._file_lock(key)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            owner = self._owner(key)
            logger.warning("waiting for %s, which is training this stage (%s)", owner, key)
            wait_for(lock, stopped)
        owner_path = self._owner_path(key)
        try:
            remove_leftovers(owner_path.parent, owner_path.name)
            write_json_atomic(owner_path, {"pid": os.getpid(), "host": socket.gethostname()})
            yield
        finally:
            owner_path.unlink(missing_ok=True)
            lock.release()

    def remove(self, key: str) -> bool:
        """Delete a stage; false, and nothing is deleted, while somebody holds its lock."""
        with self._attempt(key) as ours:
            if ours:
                # The record first: half a stage must not look like a finished one.
                (self.folder(key) / RECORD).unlink(missing_ok=True)
                shutil.rmtree(self.folder(key))
            return ours

    def is_free(self, key: str) -> bool:
        """Whether nobody holds the stage's lock at this moment."""
        with self._attempt(key) as ours:
            return ours

    @contextmanager
    def _attempt(self, key: str) -> Iterator[bool]:
        """Hold the lock if that needs no waiting; whether it is held."""
        lock = self._file_lock(key)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _file_lock(self, key: str) -> BaseFileLock:
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / key)

    def _owner_path(self, key: str) -> Path:
        return self.root / ".locks" / f"{key}.json"

    def _owner(self, key: str) -> str:
        try:
            owner = json.loads(self._owner_path(key).read_text(encoding="utf-8"))
            return f"process {owner['pid']} on {owner['host']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"


def collect_garbage(outputs: Path, *, dry_run: bool = False) -> list[Path]:
    """Remove the stages that no run below `outputs` names in its `stages.json`.

    Stages that are being trained stay. Returns the folders removed, or those that would be.
    ValueError, before anything is removed, when a `stages.json` cannot be read: what it names
    is unknown.
    """
    store = StageStore(outputs / STAGES)
    if not store.root.is_dir():
        return []
    used = _stages_of_runs(outputs)
    folders = sorted(path for path in store.root.iterdir() if path.is_dir())
    unused = [path for path in folders if path.name not in used and path.name[0] != "."]
    if dry_run:
        return [path for path in unused if store.is_free(path.name)]
    return [path for path in unused if store.remove(path.name)]


def _stages_of_runs(outputs: Path) -> set[str]:
    used: set[str] = set()
    for path in outputs.rglob("stages.json"):
        try:
            stages = json.loads(path.read_text(encoding="utf-8"))
            used.update(stages.values())
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(
                f"{path} does not say which stages its run uses ({error}); "
                "repair it or remove the run first"
            ) from None
    return used


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _canonical(value: Any, place: str) -> Any:
    """`value` in the one form in which equal descriptions are equal texts."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isnan(value):
            raise ValueError(f"{place} is NaN, which equals nothing")
        return int(value) if value.is_integer() else float(value)
    if isinstance(value, list | tuple):
        return [_canonical(item, f"{place}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{place} has the key {key!r}, which is no string")
        return {key: _canonical(item, f"{place}.{key}") for key, item in value.items()}
    raise TypeError(f"{place} is a {type(value).__name__}, which has no canonical form")

"""The metrics of a run: one JSON object a line, the truth that everything else mirrors.

A record holds nothing that depends on the clock. A checkpoint keeps the offset that `sync`
returns, and a resumed stage cuts the file back to it, so that an interrupted run writes the
same bytes as one that was not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from seqrl.tracking.files import NON_FINITE, finite, naming, sync_folder, temporary_file

Value = int | float | str | None
Record = dict[str, Value]


class MetricsError(ValueError):
    """A file of metrics is damaged; the message says which, and where."""


class MetricsLog:
    """Appends records to a file; they are buffered until `sync`.

    A last line that a killed process left without its end is cut off first.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        if not is_new:
            _drop_torn_line(path)
        self.path = path
        self._file = path.open("ab")
        if is_new:
            sync_folder(path.parent)

    def write(self, record: Mapping[str, Value]) -> None:
        """Append one record, its keys in their order.

        NaN and infinities, which JSON does not have, become the strings "nan", "inf" and
        "-inf"; those are therefore no legal strings. TypeError for values of other types.
        """
        for key, value in record.items():
            if not isinstance(value, int | float | str | None):
                raise TypeError(f"metric {key!r} is a {type(value).__name__}, not a plain value")
            if isinstance(value, str) and value in NON_FINITE:
                raise ValueError(f"metric {key!r} is the string {value!r}, which means a float")
        with naming(self.path):
            self._file.write(as_line(finite(dict(record))))

    def sync(self) -> int:
        """Wait until all records are on the disk; the length of the file in bytes."""
        with naming(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            return self._file.tell()

    def truncate(self, offset: int) -> None:
        """Drop what was written after `sync` returned `offset`.

        MetricsError when no record ends there: the offset belongs to another file.
        """
        self._file.flush()
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(offset - 1, 0))
            if not 0 <= offset <= size or (offset and file.read(1) != b"\n"):
                raise MetricsError(
                    f"{self.path} is damaged: no record ends at byte {offset} of {size}, where the "
                    "checkpoint was saved; remove the folder to train the stage anew"
                )
        os.truncate(self.path, offset)
        self._file.seek(offset)

    def close(self) -> None:
        """Sync, then release the file."""
        try:
            self.sync()
        finally:
            with naming(self.path):
                self._file.close()


def as_line(record: Mapping[str, Value]) -> bytes:
    """A record as JSON, floats so that they read back exactly."""
    return json.dumps(record, allow_nan=False).encode() + b"\n"


def read_records(path: Path, offset: int = 0) -> Iterator[tuple[int, Record]]:
    """The records that start at or after the byte `offset`, each with the offset of its end.

    A last line without its end is torn, or still being written, and is left out. MetricsError
    names a line that is damaged in the middle of the file.
    """
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield offset, _parse(line, path, offset)


def read_metrics(path: Path) -> list[Record]:
    """All whole records of a file, with NaN and infinities as floats again."""
    return [record for _, record in read_records(path)]


def merge_metrics(target: Path, parts: list[tuple[str, Path]]) -> None:
    """Write the records of the stages' files to `target`, in order, `stage` their first key."""
    with temporary_file(target) as (temporary, file):
        for stage, path in parts:
            for _, record in read_records(path):
                named = {"stage": stage, **record} | {"stage": stage}
                file.write(as_line(finite(named)))
    os.replace(temporary, target)
    sync_folder(target.parent)


def _drop_torn_line(path: Path) -> None:
    with path.open("rb") as file:
        whole = sum(len(line) for line in file if line.endswith(b"\n"))
    os.truncate(path, whole)


def _parse(line: bytes, path: Path, end: int) -> Record:
    try:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise MetricsError(f"{path}: damaged record before byte {end}: {error}") from None
    return {key: _number(value) for key, value in record.items()}


def _number(value: Value) -> Value:
    return NON_FINITE.get(value, value) if isinstance(value, str) else value

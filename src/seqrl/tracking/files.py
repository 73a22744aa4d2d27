"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""How the floats that JSON does not have are written, and what they mean."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError of the block names this file, if it names none: that of a write does not."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def temporary_file(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A file beside `path` to write; on the disk when the block ends, removed when it fails.

    Its name holds the process id, so that two processes never write the same one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path), temporary.open("wb") as file:
            yield temporary, file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove what killed processes left of files called `name`, in the folder and below.

    Only for whoever holds the lock under which these files are written.
    """
    for temporary in folder.rglob(f".{name}.*.tmp"):
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Wait until the names in `folder` are on the disk, where the system can say so."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Replace `path` by `data`: a reader, or a crash, finds the old file or the new one."""
    with temporary_file(path) as (temporary, file):
        file.write(data)
    os.replace(temporary, path)
    sync_folder(path.parent)


def write_text_atomic(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8, see `write_bytes_atomic`."""
    write_bytes_atomic(path, text.encode())


def write_json_atomic(path: Path, obj: Any) -> None:
    """Replace `path` by `obj` as indented JSON; NaN and infinities become strings.

    Half a surrogate pair, as in the name of a file that is not UTF-8, is written as JSON's escape.
    """
    text = json.dumps(finite(obj), indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes_atomic(path, f"{text}\n".encode(errors="backslashreplace"))


def finite(value: Any) -> Any:
    """`value` with every float that JSON does not have replaced by its name in `NON_FINITE`."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value

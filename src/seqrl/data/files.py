"""Files of text, read byte by byte so that what is wrong with them can be said exactly.

Only "\\n" separates lines (with or without "\\r" before it): text may hold a lone carriage
return, a form feed or one of Unicode's own separators, and taking those for the end of a
line would put the two sides of a corpus out of step.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from seqrl.data.corpus import CorpusError

SHOWN = 10


@dataclass
class Problems:
    """Everything found wrong with a corpus, to be told at once."""

    where: str
    found: list[str] = field(default_factory=list)

    def add(self, message: str) -> None:
        self.found.append(message)

    def check(self) -> None:
        """Raise a CorpusError that lists all problems, if there are any."""
        if self.found:
            listed = "".join(f"\n  - {problem}" for problem in self.found)
            raise CorpusError(f"{self.where} cannot be used:{listed}")


def listed(numbers: Sequence[int]) -> str:
    """The first few of some line numbers, and how many more there are."""
    shown = ", ".join(map(str, numbers[:SHOWN]))
    more = len(numbers) - SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def find(path: Path) -> Path | None:
    """The file, or the one with `.gz` added, or None."""
    return next((p for p in (path, path.with_name(f"{path.name}.gz")) if p.is_file()), None)


def find_or_report(path: Path, problems: Problems) -> Path | None:
    """As `find`; a missing file is a problem that says what the folder does hold."""
    found = find(path)
    if found is None:
        problems.add(f"{path} (or {path.name}.gz) is missing; {contents(path.parent)}")
    return found


def contents(folder: Path) -> str:
    """What a folder holds, in words."""
    present = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    if not present:
        return "there is no such folder, or it is empty"
    names = ", ".join(present[:SHOWN]) + (", ..." if len(present) > SHOWN else "")
    return f"the folder holds {names}"


def read_lines(path: Path, problems: Problems) -> list[str] | None:
    """The lines of a UTF-8 file, `.gz` unpacked; None, and a problem, where it cannot be read."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        problems.add(f"{path} cannot be read ({error}): replace it by a whole copy")
        return None
    return decode_lines(data, str(path), problems)


def decode_lines(data: bytes, name: str, problems: Problems) -> list[str] | None:
    """The lines of UTF-8 bytes; None, and a problem naming the lines, if there are others."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not lines[-1]:
        lines.pop()
    try:
        return [line.decode().rstrip("\r") for line in lines]
    except UnicodeDecodeError:
        bad = [number for number, line in enumerate(lines, 1) if not _is_utf8(line)]
        problems.add(f"{name}: not UTF-8 in line {listed(bad)}; convert the file, e.g. with iconv")
        return None


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines as a `.gz` file whose bytes depend on nothing else."""
    write_whole(path, gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A scratch folder that is moved to `output` when the block ends, and removed if it fails.

    Another process that was faster with the same folder has the last word. Raises CorpusError
    where `output` is there already or cannot be written.
    """
    if output.exists():
        raise CorpusError(f"{output} exists already; remove it to prepare the corpus again")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    except OSError as error:
        raise CorpusError(f"{output} cannot be written: {error}; name another folder") from error
    try:
        scratch.chmod(0o755)
        yield scratch
        try:
            scratch.rename(output)
        except OSError:
            if not output.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

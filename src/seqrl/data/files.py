"""Files of text, read byte by byte so that what is wrong with them can be said exactly.

Only "\\n" separates lines (with or without "\\r" before it): text may hold a lone carriage
return, a form feed or one of Unicode's own separators, and taking those for the end of a
line would put the two sides of a corpus out of step.
"""

from __future__ import annotations

import codecs
import gzip
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from seqrl.data.corpus import CorpusError

SHOWN = 10
ICONV = "iconv -f {} -t UTF-8"
MARKS = {
    "UTF-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "UTF-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),  # the little one begins UTF-32's too
}
PACKED = {
    "gzip": rb"\x1f\x8b",
    "zip": rb"PK\x03\x04",
    "bzip2": rb"BZh[1-9]1AY&SY",
    "xz": rb"\xfd7zXZ\x00",
    "zstd": rb"\x28\xb5\x2f\xfd",
}
"""How files begin that no text is in yet."""


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


def listed(items: Sequence[object]) -> str:
    """The first few of some line numbers or names, and how many more there are."""
    shown = ", ".join(map(str, items[:SHOWN]))
    more = len(items) - SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def find(path: Path) -> Path | None:
    """The file, or the one with `.gz` added, or None."""
    return next((place for place in _places(path) if os.path.isfile(place)), None)


def find_or_report(path: Path, problems: Problems) -> Path | None:
    """As `find`; a missing file is a problem that says what the folder does hold."""
    found = find(path)
    if found is None:
        other = next(filter(os.path.lexists, _places(path)), None)
        if other is None:
            problems.add(f"{path} (or {path.name}.gz) is missing; {contents(path.parent)}")
        else:
            problems.add(f"{other} is {_kind(other)}; put the file itself there")
    return found


def _places(path: Path) -> tuple[Path, Path]:
    return path, path.with_name(f"{path.name}.gz")


def _kind(path: Path) -> str:
    """What stands where a file should be."""
    if path.is_symlink() and not os.path.exists(path):
        return "a link that leads to no file"
    return "a folder" if os.path.isdir(path) else "no regular file"


def contents(folder: Path) -> str:
    """What a folder holds, in words."""
    try:
        present = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        present = []
    except OSError as error:
        return f"the folder cannot be read ({error.strerror})"
    if not present:
        return "there is no such folder, or it is empty"
    names = ", ".join(present[:SHOWN]) + (", ..." if len(present) > SHOWN else "")
    return f"the folder holds {names}"


def read_lines(path: Path, problems: Problems) -> list[str] | None:
    """The lines of a UTF-8 file, `.gz` unpacked; None, and a problem, where it cannot be read."""
    try:
        data = path.read_bytes()
        packing = next((name for name, first in PACKED.items() if re.match(first, data)), None)
        if path.suffix == ".gz" and packing != "gzip":
            problems.add(f"{path} is no gzip file: take .gz off its name, or fetch it again")
            return None
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        elif packing is not None:
            advice = f"call it {path.name}.gz" if packing == "gzip" else "unpack it"
            problems.add(f"{path} is packed by {packing}: {advice}")
            return None
    except (OSError, EOFError, zlib.error) as error:
        problems.add(f"{path} cannot be read ({error}): replace it by a whole copy")
        return None
    return decode_lines(data, str(path), problems)


def decode_lines(data: bytes, name: str, problems: Problems) -> list[str] | None:
    """The lines of UTF-8 bytes; None, and a problem naming the lines, if there are others."""
    for encoding, marks in MARKS.items():
        if data.startswith(marks):
            problems.add(f"{name} is {encoding}: convert it, {ICONV.format(encoding)}")
            return None
    if b"\n" not in data and b"\r" in data.rstrip(b"\r"):
        problems.add(f"{name}: carriage returns alone end its lines; convert it: tr '\\r' '\\n'")
        return None
    while data.startswith(codecs.BOM_UTF8):
        data = data.removeprefix(codecs.BOM_UTF8)
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if b"\0" in data:
        bad = [number for number, line in enumerate(lines, 1) if b"\0" in line]
        problems.add(
            f"{name}: NUL bytes in line {listed(bad)}; convert the file if it is UTF-16, "
            f"{ICONV.format('UTF-16LE')}, or remove them: tr -d '\\0'"
        )
        return None
    try:
        return [line.decode().rstrip("\r") for line in lines]
    except UnicodeDecodeError:
        bad = [number for number, line in enumerate(lines, 1) if not _is_utf8(line)]
        problems.add(
            f"{name}: not UTF-8 in line {listed(bad)}; convert it, e.g. {ICONV.format('LATIN1')}"
        )
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

"""Reading archives that come from elsewhere: nothing leaves the folder, and not everything enters.

Refused are members with absolute paths or `..` in them, links, devices, and archives whose files
are said to be larger together than expected.
"""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from seqrl.data.corpus import CorpusError
from seqrl.data.files import listed

DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,  # a password is asked for, or an unknown way of packing
)
"""What the libraries raise where an archive cannot be read."""


def extract(archive: Path, folder: Path, *, most: int) -> None:
    """Unpack a tar archive's files, of `most` bytes together, into a folder.

    Raises CorpusError, before anything is written, where a member is to be refused or all are
    larger; and where the archive is damaged.
    """
    try:
        with tarfile.open(archive) as tar:
            members, refused, size = [], [], 0
            for member in tar:
                members.append(member)
                known = member.size >= 0 and (member.isfile() or member.isdir())
                if not (known and _leads_inside(member.name)):
                    refused.append(member.name)
                size += member.size
                if size > most or member.size < 0:  # what follows need not be unpacked to know
                    break
            _check(archive, refused, size, most)
            tar.extractall(folder, members, filter="data")
    except DAMAGED as error:
        raise CorpusError(
            f"{archive} cannot be unpacked ({error}); delete it and fetch it again"
        ) from error


@contextmanager
def opened_zip(archive: Path, *, most: int) -> Iterator[zipfile.ZipFile]:
    """A zip archive, of `most` bytes unpacked, to read members of.

    Raises CorpusError where a member is to be refused or all are larger; and one of `DAMAGED`.
    """
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        refused = [m.filename for m in members if not (_leads_inside(m.filename) and _is_plain(m))]
        _check(archive, refused, sum(member.file_size for member in members), most)
        yield opened


def _check(archive: Path, refused: list[str], size: int, most: int) -> None:
    if refused:
        raise CorpusError(
            f"{archive} holds links, devices or paths that lead outside: {listed(refused)}; "
            "it is not the published archive"
        )
    if size > most:
        raise CorpusError(
            f"{archive} would unpack to more than {most:,} bytes; it is not the published archive"
        )


def _leads_inside(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return not path.is_absolute() and ".." not in path.parts


def _is_plain(member: zipfile.ZipInfo) -> bool:
    """Whether it is a file or a folder, as far as the archive says what it is."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    return kind in (0, stat.S_IFREG, stat.S_IFDIR)

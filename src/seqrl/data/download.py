"""Fetching files: resumed where they were interrupted, checked, and there whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from seqrl.data.corpus import CorpusError

log = logging.getLogger(__name__)

CHUNK = 1 << 18
INTERRUPTIONS = (urllib.error.URLError, http.client.HTTPException, OSError)


@dataclass(frozen=True)
class Source:
    """A file on the network.

    mirror     another address of the same file, tried when the first fails
    size, md5  what it is expected to be
    trusted    whether these are the publisher's own; if not, a difference is only warned of
    """

    url: str
    mirror: str | None = None
    size: int | None = None
    md5: str | None = None
    trusted: bool = True


def download(source: Source, target: Path, *, attempts: int = 3, timeout: float = 30.0) -> Path:
    """Fetch a file to `target`, unless it is there already.

    The bytes go to `target` + `.part`, from which an interrupted download is resumed, in this
    call (`attempts` times for each address) or in a later one.

    Raises CorpusError, naming the addresses and the way without a network.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    failures = []
    for url in filter(None, (source.url, source.mirror)):
        log.info("downloading %s", url)
        for _ in range(attempts):
            try:
                _fetch(url, part, timeout)
            except INTERRUPTIONS as error:
                failures.append(f"{url}: {error}")
                if _is_final(error):
                    break
            else:
                _check(source, part)
                os.replace(part, target)
                return target
    told = "".join(f"\n  - {failure}" for failure in dict.fromkeys(failures))
    raise CorpusError(
        f"{target.name} could not be downloaded:{told}\nRun the same command again to resume, or "
        "fetch the file by other means and name its folder: task.data_dir=DIR"
    )


def _is_final(error: Exception) -> bool:
    """Whether asking the same address again is useless."""
    return isinstance(error, urllib.error.HTTPError) and error.code < 500


def _fetch(url: str, part: Path, timeout: float) -> None:
    """Append what is missing to `part`.

    Raises OSError or HTTPException when it is interrupted; `part` then holds what came.
    """
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if error.headers.get("Content-Range") != f"bytes */{done}":
            part.unlink()
            raise ConnectionError("what was fetched before is of another file") from error
        return
    with answer:
        resumed = answer.status == HTTPStatus.PARTIAL_CONTENT
        expected = answer.headers.get("Content-Length")
        came = 0
        with part.open("ab" if resumed else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                came += len(chunk)
    if expected is not None and came < int(expected):
        raise ConnectionError(f"the connection broke after {came} of {expected} bytes")


def _check(source: Source, part: Path) -> None:
    """Compare size and checksum with the expected ones.

    Raises CorpusError, and removes the file, where a trusted one differs.
    """
    differences = []
    size = part.stat().st_size
    if source.size is not None and size != source.size:
        differences.append(f"it has {size} bytes, not {source.size}")
    if source.md5 is not None and (md5 := checksum(part)) != source.md5:
        differences.append(f"its MD5 is {md5}, not {source.md5}")
    if not differences:
        return
    message = f"{source.url} is not the expected file: {'; '.join(differences)}"
    if source.trusted:
        part.unlink()
        raise CorpusError(f"{message}. Try again, or set task.data_dir=DIR to a good copy")
    log.warning("%s. The expected values come from a third party; going on", message)


def checksum(path: Path) -> str:
    """MD5 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()

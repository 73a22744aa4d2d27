import hashlib
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from seqrl.data.corpus import CorpusError
from seqrl.data.download import Source, download

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves CONTENT; `/breaks` stops after 300,000 bytes of every answer."""

    asked: ClassVar[list[str]] = []

    def do_GET(self):
        wanted = self.headers.get("Range")
        type(self).asked.append(f"{self.path} {wanted}")
        if self.path == "/missing":
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if self.path == "/ignores-range":
            start = 0
        elif start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.end_headers()
            return
        rest = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[:300_000] if self.path == "/breaks" else rest)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    Server.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def is_whole(target: Path) -> bool:
    return target.read_bytes() == CONTENT and [p.name for p in target.parent.iterdir()] == [
        target.name
    ]


def test_a_whole_download_is_checked_and_not_repeated(server, tmp_path):
    source = Source(f"{server}/file", size=len(CONTENT), md5=MD5)
    target = tmp_path / "deep" / "file"
    assert download(source, target) == target
    assert is_whole(target)
    download(source, target)
    assert Server.asked == ["/file None"]


def test_an_interrupted_download_resumes(server, tmp_path):
    source = Source(f"{server}/breaks", size=len(CONTENT), md5=MD5)
    target = tmp_path / "file"
    with pytest.raises(
        CorpusError, match=r"(?s)broke after 300000 of .*task\.data_dir=DIR"
    ) as caught:
        download(source, target, attempts=2)
    assert source.url in str(caught.value)
    assert not target.exists()
    assert (tmp_path / "file.part").read_bytes() == CONTENT[:600_000]
    download(source, target, attempts=2)
    assert is_whole(target)
    assert Server.asked == [
        "/breaks None", "/breaks bytes=300000-", "/breaks bytes=600000-", "/breaks bytes=900000-",
    ]  # fmt: skip


def test_what_was_fetched_already_is_kept_or_begun_anew(server, tmp_path):
    source = Source(f"{server}/file", md5=MD5)
    (tmp_path / "file.part").write_bytes(CONTENT)
    download(source, tmp_path / "file")
    assert is_whole(tmp_path / "file")
    (tmp_path / "file").unlink()
    (tmp_path / "file.part").write_bytes(CONTENT + b"more")
    download(source, tmp_path / "file")
    assert is_whole(tmp_path / "file")


def test_a_server_that_ignores_ranges_sends_everything_again(server, tmp_path):
    (tmp_path / "file.part").write_bytes(b"old")
    download(Source(f"{server}/ignores-range", md5=MD5), tmp_path / "file")
    assert is_whole(tmp_path / "file")


def test_the_mirror_is_tried_and_both_are_named(server, tmp_path):
    good = Source(f"{server}/missing", mirror=f"{server}/file", md5=MD5)
    download(good, tmp_path / "file")
    assert is_whole(tmp_path / "file")
    assert Server.asked == ["/missing None", "/file None"]
    bad = Source(f"{server}/missing", mirror=f"{server}/missing?2")
    with pytest.raises(CorpusError, match=r"(?s)/missing: .*404.*/missing\?2"):
        download(Source(bad.url, mirror="http://127.0.0.1:9/missing?2"), tmp_path / "other")


def test_a_wrong_file_is_refused_or_only_warned_of(server, tmp_path, caplog):
    wrong = {"size": 5, "md5": "0" * 32}
    with pytest.raises(CorpusError, match=rf"{len(CONTENT)} bytes, not 5; its MD5 is {MD5}, not 0"):
        download(Source(f"{server}/file", **wrong), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
    with caplog.at_level(logging.WARNING):
        download(Source(f"{server}/file", trusted=False, **wrong), tmp_path / "file")
    assert is_whole(tmp_path / "file")
    assert "third party" in caplog.text

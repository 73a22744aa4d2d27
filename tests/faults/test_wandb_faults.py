"""Whatever happens to W&B, the run is the one without it."""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from children import Undisturbed, arguments, progress
from test_signals import PHASES

from tiny import Figures

pytest.importorskip("wandb")
pytestmark = pytest.mark.faults

OVERRIDES = ("algorithm=erac", "trainer.guards=null")
KEY = "k3y5" * 10
HERE = Path(__file__).parent
SIGNALLED = f"""
import sys
sys.path[:0] = [{str(HERE)!r}, {str(HERE.parent)!r}]
from test_signals import signal_in
signal_in(*{{}}, 1, [{{}}])
from seqrl.cli.train import main
main()
"""


@pytest.fixture(scope="module")
def whole(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed") / "whole", tiny_data, *OVERRIDES)


def start(
    folder: Path, command: list[str], *, url: str = "http://127.0.0.1:9", program: str | None = None
) -> subprocess.Popen[str]:
    """The command with a key of W&B, whose service is at `url`."""
    (folder / "home").mkdir(parents=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    environment |= {"OMP_NUM_THREADS": "1", "HOME": str(folder / "home"), "WANDB_API_KEY": KEY}
    environment |= {"WANDB_BASE_URL": url, "WANDB_CACHE_DIR": str(folder / "home")}
    return subprocess.Popen(
        [sys.executable, "-c", program or "from seqrl.cli.train import main; main()", *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: subprocess.Popen[str], seconds: float = 240) -> tuple[int, str]:
    try:
        text, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, text


class Refusing(BaseHTTPRequestHandler):
    """A service that knows nobody."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b'{"errors": [{"message": "invalid key"}]}')

    do_GET = do_POST  # noqa: N815

    def log_message(self, format: str, *values: object) -> None:
        pass


@contextmanager
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@contextmanager
def silent() -> Iterator[str]:
    """A service that never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def key_is_nowhere(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


@pytest.mark.parametrize("fault", ["no network", "wrong key", "no answer"])
def test_without_the_service_the_run_is_the_same(
    fault: str, whole: Undisturbed, tiny_data: Path, tmp_path: Path, figures: Figures
) -> None:
    folder = tmp_path / "run"
    command = arguments(tiny_data, *OVERRIDES, "tracker=wandb", "tracker.mode=online")
    with refusing() as refusal, silent() as silence:
        url = {"no network": "http://127.0.0.1:9", "wrong key": refusal, "no answer": silence}
        code, text = finished(start(folder, command, url=url[fault]))
    assert code == 0, text
    assert "Traceback" not in text
    assert text.count("W&B") == 1, text
    assert "the record stays offline" in text
    assert whole.differing(folder) == []
    key_is_nowhere(folder)
    figures("W&B", "runs with a fault", 1)


def services(pid: int) -> list[int]:
    """The processes that a process has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in children.read_text().split()] if children.exists() else []


@pytest.mark.parametrize("updates", [1, 3])
def test_a_service_that_is_killed_changes_nothing(
    updates: int, whole: Undisturbed, tiny_data: Path, tmp_path: Path, figures: Figures
) -> None:
    if not Path("/proc/self/task").exists():
        pytest.skip("finds the service in /proc")
    folder = tmp_path / "run"
    process = start(folder, arguments(tiny_data, *OVERRIDES, "tracker=wandb"))
    deadline = time.monotonic() + 120
    while updates not in progress(folder).values():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    found = services(process.pid)
    for child in found:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    code, text = finished(process)
    assert len(found) == 1
    assert code == 0, text
    assert "Traceback" not in text
    assert text.count("W&B failed (") == 1, text
    assert whole.differing(folder) == []
    figures("W&B", "runs with a fault", 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("phase", ["start of W&B", "finish of W&B", "step"])
def test_a_signal_stops_a_process_that_has_the_service(
    phase: str,
    number: signal.Signals,
    whole: Undisturbed,
    tiny_data: Path,
    tmp_path: Path,
    figures: Figures,
) -> None:
    folder = tmp_path / "run"
    command = arguments(tiny_data, *OVERRIDES, "tracker=wandb")
    program = SIGNALLED.format(PHASES[phase], int(number))
    code, text = finished(start(folder, command, program=program))
    waited = time.time() - json.loads((folder / "sent").read_text())[0]
    assert code == 75, text
    assert "Traceback" not in text
    assert "stopped on request; the same command continues" in text
    assert waited < 10
    figures("W&B", "signals", 1)
    figures("W&B", "most seconds from signal to exit", waited)


def test_a_signal_while_the_service_does_not_answer(
    tiny_data: Path, tmp_path: Path, figures: Figures
) -> None:
    folder = tmp_path / "run"
    command = arguments(tiny_data, *OVERRIDES, "tracker=wandb", "tracker.mode=online")
    with silent() as url:
        process = start(folder, command, url=url)
        deadline = time.monotonic() + 120
        while not services(process.pid):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        sent = time.time()
        code, text = finished(process)
    waited = time.time() - sent
    assert code == 75, text
    assert "Traceback" not in text
    assert waited < 10
    figures("W&B", "most seconds from signal to exit", waited)


def test_what_the_mirror_costs(tiny_data: Path, tmp_path: Path, figures: Figures) -> None:
    """Seconds of training with it over those without, of medians of five runs each in turn.

    Updates of some twenty milliseconds, and a validation after every second: less than most runs
    have between two records.
    """
    seconds: dict[str, list[float]] = {"none": [], "wandb": []}
    long = ["trainer.max_steps=300", "trainer.validate_every=50", "trainer.save_every=50"]
    long += ["model.hidden=256", "model.embedding=256"]
    for number in range(5):
        for tracker, measured in seconds.items():
            folder = tmp_path / f"{tracker}{number}"
            command = arguments(tiny_data, "algorithm=mle", *long, f"tracker={tracker}")
            code, text = finished(start(folder, command))
            assert code == 0, text
            (path,) = folder.glob("out/text/mle/*/seed1/result.json")
            measured.append(json.loads(path.read_text())["stages"]["actor"]["seconds"])
    none, wandb = (statistics.median(measured) for measured in seconds.values())
    figures("W&B", "percent more time", 100 * (wandb / none - 1))

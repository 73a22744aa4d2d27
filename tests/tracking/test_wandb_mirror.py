"""The W&B record equals metrics.jsonl, whatever was interrupted, and nothing in it is secret."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from seqrl.tracking.metrics_log import MetricsLog, Record
from seqrl.tracking.wandb_mirror import WandbMirror
from wandb_file import assert_mirrored, offline_file, offline_history, offline_records


def records(stage: str, steps: range) -> list[Record]:
    return [
        {
            "stage": stage,
            "step": step,
            "train/loss": 1 / (step + 3),
            "train/reward": math.nan if step % 7 == 0 else -math.inf if step % 11 == 0 else 0.1,
            "dev/bleu": None,
        }
        for step in steps
    ]


def append(folder: Path, entries: list[Record]) -> Path:
    log = MetricsLog(folder / "metrics.jsonl")
    for entry in entries:
        log.write(entry)
    log.close()
    return log.path


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if entry.name.startswith("seqrl")]


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No account, no network and no files of the user."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_RUN_ID", "WANDB_DIR", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    path.mkdir()
    return path


def mirror(folder: Path, mode: Any = "offline") -> WandbMirror:
    return WandbMirror(
        folder=folder,
        mode=mode,
        project="project",
        name="erac seed1",
        group="sweep",
        config={"algorithm": {"tau": 0.04, "stages": ["actor", "joint"]}},
        run_id="0a1b2c3d",
    )


def test_an_offline_record_equals_metrics_jsonl(
    folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    best, gone = folder / "best.safetensors", folder / "last.pt"
    best.write_bytes(b"weights")
    gone.write_bytes(b"state")
    wandb = mirror(folder)
    wandb.sync(folder / "metrics.jsonl")
    for stage, steps in (("actor", range(0, 100, 10)), ("joint", range(10, 60))):
        metrics = append(folder, records(stage, steps))
        with metrics.open("ab") as file:
            file.write(b'{"stage": "torn')
        wandb.sync(metrics)
        wandb.artifact("best", [best, gone])
    MetricsLog(metrics).close()
    gone.unlink()
    wandb.finish("done")
    assert len(offline_history(folder)) == 60
    assert_mirrored(folder)

    messages = {m.WhichOneof("record_type"): m for m in offline_records(offline_file(folder))}
    run, artifact = messages["run"].run, messages["artifact"].artifact
    assert (run.run_id, run.project, run.display_name) == ("0a1b2c3d", "project", "erac seed1")
    assert run.run_group == "sweep"
    config = {update.key: json.loads(update.value_json) for update in run.config.update}
    assert config["algorithm"] == {"tau": 0.04, "stages": ["actor", "joint"]}
    assert artifact.name == "0a1b2c3d-best"
    assert [entry.path for entry in artifact.manifest.contents] == ["best.safetensors"]
    assert messages["exit"].exit.exit_code == 0
    metric = messages["metric"].metric
    assert (metric.glob_name, metric.step_metric) == ("*", "updates")
    assert capfd.readouterr() == ("", "")
    assert warnings(caplog) == []


INTERRUPTED = """
import os, sys
sys.path[:0] = [sys.argv[1], os.path.dirname(sys.argv[1])]
from pathlib import Path
from test_wandb_mirror import append, mirror, records
folder = Path(sys.argv[2])
wandb = mirror(folder)
wandb.sync(append(folder, records("actor", range(5, 30))))
os._exit(9)
"""


def test_a_resumed_offline_record_is_complete_and_the_only_one(folder: Path) -> None:
    here = str(Path(__file__).parent)
    killed = subprocess.run([sys.executable, "-c", INTERRUPTED, here, str(folder)], check=False)
    assert killed.returncode == 9
    assert offline_file(folder).exists()
    foreign = folder / "wandb" / "offline-run-20200101_000000-ffffffff"
    foreign.mkdir()

    log = MetricsLog(folder / "metrics.jsonl")
    log.truncate(0)
    log.close()
    wandb = mirror(folder)
    wandb.sync(append(folder, records("actor", range(5, 20))))
    wandb.sync(append(folder, records("joint", range(1, 10))))
    wandb.finish("preempted")
    assert_mirrored(folder)
    assert foreign.exists()
    *_, last = offline_records(offline_file(folder))
    assert last.exit.exit_code == 1


def test_no_key_reaches_a_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "k3y5" * 10
    monkeypatch.setenv("WANDB_API_KEY", key)
    wandb = mirror(folder)
    wandb.sync(append(folder, records("actor", range(3))))
    wandb.finish("done")
    assert len(offline_history(folder)) == 3
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if key.encode() in path.read_bytes()]


def test_disabled_does_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    wandb = mirror(folder, "disabled")
    wandb.sync(append(folder, records("actor", range(3))))
    wandb.artifact("best", [])
    wandb.finish("done")
    assert [path.name for path in folder.iterdir()] == ["metrics.jsonl"]


def test_an_unknown_mode_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="offline, online or disabled, not 'onlin'"):
        mirror(folder, "onlin")


def test_without_wandb_there_is_one_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    wandb = mirror(folder)
    for _ in range(3):
        wandb.sync(append(folder, records("actor", range(3))))
        wandb.artifact("best", [folder / "absent"])
    wandb.finish("done")
    (warning,) = warnings(caplog)
    assert "nothing more is sent" in warning


def test_without_a_key_online_becomes_offline_and_asks_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_prompt(*_: object) -> str:
        raise AssertionError("asked for input")

    monkeypatch.setattr("builtins.input", no_prompt)
    wandb = mirror(folder, "online")
    wandb.sync(append(folder, records("actor", range(3))))
    wandb.finish("done")
    assert_mirrored(folder)
    assert warnings(caplog) == ["no W&B key is configured: the record stays offline"]


def test_without_a_connection_online_becomes_offline(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "k3y5" * 10)
    monkeypatch.setattr("seqrl.tracking.wandb_mirror.CONNECT_SECONDS", 1.0)
    wandb = mirror(folder, "online")
    wandb.sync(append(folder, records("actor", range(3))))
    wandb.finish("done")
    assert_mirrored(folder)
    (warning,) = warnings(caplog)
    assert "W&B cannot be reached" in warning
    assert "\n" not in warning


def test_a_service_that_dies_stops_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    program = """
import logging, os, signal, subprocess, sys, time
sys.path[:0] = [sys.argv[1], os.path.dirname(sys.argv[1])]
from pathlib import Path
from test_wandb_mirror import append, mirror, records
logging.basicConfig(format="%(message)s")
folder = Path(sys.argv[2])
wandb = mirror(folder)
children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
for child in children:
    os.kill(int(child), signal.SIGKILL)
time.sleep(0.2)
for _ in range(5):
    wandb.sync(append(folder, records("actor", range(500))))
wandb.finish("done")
print(len(children), "killed, training goes on")
"""
    if not Path("/proc/self/task").exists():
        pytest.skip("finds the service in /proc")
    done = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent), str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout == "1 killed, training goes on\n"
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("W&B failed (")


class FakeRun:
    """The part of an online run that the mirror uses."""

    def __init__(self, folder: Path, settings: Any, held: int) -> None:
        self.resumed = held > 0
        self.step = held
        self.settings = types.SimpleNamespace(sync_dir=str(folder / "wandb" / "run-now-0a1b2c3d"))
        self.requested = settings
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.artifacts: list[Any] = []
        self.summary: dict[str, Any] = {}
        self.exit_code: int | None = None

    def log(self, values: dict[str, Any], step: int, commit: bool) -> None:
        assert commit
        self.logged.append((step, values))

    def define_metric(self, name: str, **options: Any) -> None:
        pass

    def log_artifact(self, artifact: Any) -> None:
        self.artifacts.append(artifact)

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code


class FakeArtifact:
    def __init__(self, name: str, type: str) -> None:
        self.name = name
        self.type = type
        self.files: list[str] = []

    def add_file(self, path: str, policy: str, skip_cache: bool) -> None:
        assert (policy, skip_cache) == ("mutable", False)
        self.files.append(path)


@pytest.mark.parametrize("held", [0, 7])
def test_an_online_record_continues_after_what_the_service_holds(
    folder: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    runs: list[FakeRun] = []

    def init(config: dict[str, Any], settings: Any) -> FakeRun:
        runs.append(FakeRun(folder, settings, held))
        return runs[-1]

    fake = types.SimpleNamespace(
        setup=lambda settings: None,
        teardown=lambda: None,
        login=lambda prompt, verify: True,
        init=init,
        Settings=lambda **values: types.SimpleNamespace(**values),
        Artifact=FakeArtifact,
    )
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for old in ("offline-run-old-0a1b2c3d", "run-old-0a1b2c3d", "run-now-0a1b2c3d"):
        (folder / "wandb" / old).mkdir(parents=True)

    wandb = mirror(folder, "online")
    metrics = append(folder, records("actor", range(5)))
    wandb.sync(metrics)
    append(folder, records("joint", range(5)))
    wandb.sync(metrics)
    wandb.artifact("best", [metrics])
    wandb.finish("diverged")

    (run,) = runs
    assert (run.requested.mode, run.requested.resume) == ("online", "allow")
    assert run.requested.run_id == "0a1b2c3d"
    assert [step for step, _ in run.logged] == list(range(held, 10))
    assert [values["updates"] for _, values in run.logged] == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8][held:]
    assert [(a.name, a.type, a.files) for a in run.artifacts] == [
        ("0a1b2c3d-best", "checkpoint", [str(metrics)])
    ]
    assert (run.summary["status"], run.exit_code) == ("diverged", 1)
    assert [path.name for path in (folder / "wandb").iterdir()] == ["run-now-0a1b2c3d"]

"""Sweeps through Slurm: a real one, of this machine alone, that the tests start for themselves.

They run where Slurm's programs are, and install them from Debian's packages where the variable
SEQRL_SLURM says `install`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tiny import TINY

pytestmark = pytest.mark.full

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue")
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")

MUNGE = """\
munged --force --key-file={0}/key --socket={0}/socket --pid-file={0}/munged.pid
--log-file={0}/munged.log --seed-file={0}/seed"""

CONFIGURATION = """\
ClusterName=seqrl
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={port}
SlurmdPort={other_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def waited(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


def told(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Slurm without accounting whose node is this machine."""
    if os.environ.get("SEQRL_SLURM") == "install" and not shutil.which("slurmctld"):
        install = ("apt-get", "install", "--yes", "--no-install-recommends", *PACKAGES)
        subprocess.run(install, check=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    if not all(map(shutil.which, PROGRAMS)):
        pytest.skip("Slurm is not installed (SEQRL_SLURM=install)")
    folder = tmp_path_factory.mktemp("slurm")
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o600)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    text = CONFIGURATION.format(
        host=socket.gethostname().partition(".")[0],
        user=told("id", "--user", "--name").strip(),
        folder=folder,
        port=free_port(),
        other_port=free_port(),
        cores=os.cpu_count(),
    )
    (folder / "slurm.conf").write_text(text)
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    started = [["munged"], ["slurmctld"], ["slurmd"]]
    started[0] = MUNGE.format(folder).split()
    try:
        for command in started:
            subprocess.run(command, check=True)
        waited(lambda: "idle" in told("sinfo", "--noheader"))
        yield
    finally:
        told("scancel", "--me")
        for name in ("slurmd", "slurmctld", "munged"):
            path = folder / f"{name}.pid"
            if path.is_file():
                told("kill", path.read_text().strip())
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before


@pytest.fixture
def settings(cluster: None, tiny_data: Path, tmp_path: Path) -> list[str]:
    """Of a sweep in a folder of its own."""
    return [
        *TINY,
        *("algorithm=mle", "trainer.max_steps=3", f"task.data_dir={tiny_data}"),
        *("launcher=slurm", "launcher.parameters.gpus_per_node=0"),
        *("launcher.parameters.cpus_per_task=1", f"outputs={tmp_path}/o"),
    ]


FASTER = """\
import sys
import seqrl.cli.slurm as slurm
slurm.LOOK_EVERY, slurm.PATIENCE = 0.5, 1.0
from seqrl.cli.train import main
main()
"""

SLOW = '''
import os, time
from pathlib import Path
from seqrl.algorithms.likelihood import MLE

class Slow(MLE):
    """Waits at the second update until it may go on; tells which update it is at."""

    def losses(self, batch, clock):
        folder = Path(os.environ["SLOW"])
        (folder / f"update{clock.update}").touch()
        while clock.update == 1 and not (folder / "go").is_file():
            time.sleep(0.05)
            if (folder / "kill").is_file():
                os.kill(os.getpid(), 9)
            if (folder / "step").is_file():
                break
        return super().losses(batch, clock)
'''


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The override that has runs wait until the file `go` is there; `step`, `kill` likewise."""
    (tmp_path / "slow_likelihood.py").write_text(SLOW)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("SLOW", str(tmp_path))
    return "algorithm.stages.actor.algorithm._target_=slow_likelihood.Slow"


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", FASTER, "-m", "--trust=slow_likelihood", *arguments],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=180)
    return process.returncode, output


def status(tmp_path: Path) -> str:
    (path,) = tmp_path.glob("o/text/*/*/*/status.json")
    return str(json.loads(path.read_text())["status"])


def scores(folder: Path) -> list[dict[str, object]]:
    (path,) = folder.glob("o/text/*/*/*/result.json")
    return list(json.loads(path.read_text())["scores"])


def jobs(*, what: str = "%i") -> list[str]:
    """Their numbers, or their states (%T), in the queue."""
    return told("squeue", "--me", "--noheader", f"--format={what}").split()


def test_runs_are_made_by_jobs_and_finished_ones_need_none(
    settings: list[str], tmp_path: Path
) -> None:
    code, output = ended(start(tmp_path, *settings, "seed=1,2"))
    assert code == 0, output
    assert "[2/2] done" in output
    assert "| text" in output
    results = list((tmp_path / "o/.slurm").glob("*_result.pkl"))
    assert len(results) == 2
    code, output = ended(start(tmp_path, *settings, "seed=1,2"))
    assert code == 0
    assert "0 to do" in output
    assert list((tmp_path / "o/.slurm").glob("*_result.pkl")) == results


def test_a_job_whose_time_is_over_is_queued_again_and_loses_nothing(
    settings: list[str], slow: str, tmp_path: Path
) -> None:
    process = start(tmp_path, *settings, slow)
    waited((tmp_path / "update1").is_file)
    (job,) = jobs()
    told("scancel", "--signal=USR2", job)
    (tmp_path / "step").touch()  # the update at hand is done
    waited(lambda: status(tmp_path) == "preempted")
    waited(lambda: jobs() == [job])
    assert process.poll() is None
    (tmp_path / "update0").unlink()
    (tmp_path / "go").touch()
    code, output = ended(process)
    assert code == 0, output
    assert not (tmp_path / "update0").is_file(), "it began anew instead of going on"
    alone = tmp_path / "alone"
    here = [setting for setting in settings if not setting.startswith("launcher")]
    process = start(tmp_path, *here, slow, f"outputs={alone}/o")
    assert ended(process)[0] == 0
    assert scores(tmp_path) == scores(alone)


def test_a_job_that_dies_has_failed_and_slurm_says_how(
    settings: list[str], slow: str, tmp_path: Path
) -> None:
    process = start(tmp_path, *settings, slow)
    (tmp_path / "kill").touch()
    code, output = ended(process)
    assert code == 1, output
    assert status(tmp_path) == "failed"
    assert "[1/1] failed" in output
    assert "FAILED" in output


def test_a_job_that_somebody_cancels_continues_with_the_same_command(
    settings: list[str], slow: str, tmp_path: Path
) -> None:
    process = start(tmp_path, *settings, slow)
    waited((tmp_path / "update1").is_file)
    told("scancel", *jobs())
    waited(lambda: jobs(what="%T") == ["COMPLETING"])
    (tmp_path / "step").touch()
    code, output = ended(process)
    assert code == 75, output
    assert status(tmp_path) == "preempted"
    (tmp_path / "update0").unlink()
    assert ended(start(tmp_path, *settings, slow))[0] == 0
    assert not (tmp_path / "update0").is_file()


def test_a_stopped_sweep_cancels_its_jobs_which_save_what_they_have(
    settings: list[str], slow: str, tmp_path: Path
) -> None:
    process = start(tmp_path, *settings, slow)
    waited((tmp_path / "update1").is_file)
    process.terminate()
    waited(lambda: jobs(what="%T") == ["COMPLETING"])
    (tmp_path / "step").touch()
    code, output = ended(process)
    assert code == 75, output
    assert "the same command continues" in output
    assert status(tmp_path) == "preempted"
    waited(lambda: not jobs())


def test_jobs_outlive_the_command_and_the_next_one_finds_them(
    settings: list[str], slow: str, tmp_path: Path
) -> None:
    process = start(tmp_path, *settings, slow)
    waited((tmp_path / "update1").is_file)
    process.kill()
    process.wait()
    before = jobs()
    process = start(tmp_path, *settings, slow)
    time.sleep(5)
    assert jobs() == before, "the run was submitted a second time"
    (tmp_path / "go").touch()
    code, output = ended(process)
    assert code == 0, output

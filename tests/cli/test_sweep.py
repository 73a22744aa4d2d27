"""Sweeps: what they plan, what they share, what they survive."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from seqrl.cli.configuration import Groups, OverrideError, check_overrides
from seqrl.cli.launchers import Job, Local, Parallel
from seqrl.cli.planning import Planned, Sweep, expanded, planned
from seqrl.cli.sweep import group, main
from seqrl.cli.train import asks, is_sweep
from seqrl.identity import ConfigError
from seqrl.tracking.run_folder import write_status
from tiny import TINY

FAULTY = '''
import os, sys
from seqrl.algorithms.likelihood import MLE

class Faulty(MLE):
    """Leaves Python at the second update, or has no loss there, if it is told the seed."""

    def losses(self, batch, clock):
        seeds, _, how = os.environ.get("FAULT", "").partition(":")
        if clock.update == 1 and str(clock.seed) in seeds.split(","):
            if how == "nan":
                return {"policy": super().losses(batch, clock)["policy"] * float("nan")}
            if how == "kill":
                os.kill(os.getpid(), 9)
            sys.exit(0 if how == "0" else how)
        return super().losses(batch, clock)
'''


@pytest.fixture
def overrides(tiny_data: Path, tmp_path: Path) -> list[str]:
    """Of runs of a second each, in a folder of their own."""
    return [*TINY, "trainer.max_steps=2", f"task.data_dir={tiny_data}", f"outputs={tmp_path}/o"]


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The override that has likelihood training fail where the variable FAULT says so."""
    (tmp_path / "faulty_likelihood.py").write_text(FAULTY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("seqrl.trust._trusted", {"faulty_likelihood"})
    return "algorithm.stages.actor.algorithm._target_=faulty_likelihood.Faulty"


def plan(*typed: str) -> Sweep:
    return planned(Groups(), typed)[0]


def results(outputs: Path) -> set[str]:
    """Algorithm and seed of the finished runs."""
    found = outputs.glob("text/*/*/*/result.json")
    return {f"{path.parts[-4]} {path.parts[-2]}" for path in found}


TRUST = "--trust=faulty_likelihood"


def start(*arguments: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from seqrl.cli.train import main; main()", "-m", TRUST, *arguments],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_all_combinations_the_last_setting_changing_fastest() -> None:
    points = expanded(Groups(), ["algorithm=mle,raml", "model.hidden=8", "seed=range(1,3)"])
    assert [" ".join(point.values()) for point in points] == [
        "algorithm=mle model.hidden=8 seed=1",
        "algorithm=mle model.hidden=8 seed=2",
        "algorithm=raml model.hidden=8 seed=1",
        "algorithm=raml model.hidden=8 seed=2",
    ]


def test_an_experiment_sweeps_what_is_not_typed() -> None:
    points = expanded(Groups(), ["experiment=[table3,g2p_small]", "algorithm.beta=0.5", "seed=1,2"])
    assert {point["algorithm.beta"] for point in points} == {"algorithm.beta=0.5"}
    assert {point["algorithm.lambda_var"] for point in points} == {
        *("algorithm.lambda_var=0", "algorithm.lambda_var=0.001")
    }
    assert len(points) == 4
    typed = ["-m", "experiment=table3", "algorithm.betta=1"]
    assert "betta" in check_overrides(typed)[0]
    assert not check_overrides(["-m", "experiment=table3", "algorithm.beta=1"])


def test_an_interval_is_no_list_of_values() -> None:
    with pytest.raises(OverrideError, match="interval"):
        expanded(Groups(), ["algorithm=erac", "algorithm.tau=interval(0,1)"])


def test_every_run_is_checked_before_the_first_starts(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ["algorithm=erac", "algorithm.tau=0.1,-1", "trainer.precision=fp32,fp8", "seed=1,2"]
    assert main(["-m", *overrides, *wrong]) == 2
    errors = capsys.readouterr().err
    assert "tau must not be negative, not -1" in errors
    assert "precision must be one of" in errors
    assert "(algorithm.tau=-1 trainer.precision=fp32 seed=1 and 3 more)" in errors
    assert not (tmp_path / "o").exists()


def test_all_data_are_read_before_the_first_run_starts(
    overrides: list[str], tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(tiny_data, folder, ignore=shutil.ignore_patterns("test.de"))
    typed = ["-m", *overrides, "algorithm=mle,raml", f"task.data_dir={folder}"]
    assert main(typed) == 1
    shown = capsys.readouterr()
    assert shown.err.count(f"{folder}/test.de (or test.de.gz) is missing") == 1
    assert "started" not in shown.out
    assert not (tmp_path / "o").exists()
    shutil.copy(tiny_data / "test.de", folder)
    assert main(typed) == 0


def test_the_same_run_twice_is_an_error(overrides: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"the same run as device=cpu.*\(device=auto\)"):
        plan(*overrides, "algorithm=mle", "device=cpu,auto")


def test_shared_stages_are_planned_and_trained_once(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = [*overrides, "algorithm=mle,ac,erac", "seed=1,2"]
    assert main(["-m", *typed, "dry_run=true"]) == 0
    text = capsys.readouterr().out
    assert "6 runs: 6 new; 6 to do" in text
    assert "stages to train: 10; 14 if the runs shared none" in text
    assert "actor: 2 trainings for 6 runs" in text
    assert "time: unknown; 10 stages whose like was never trained: actor of mle" in text
    assert not (tmp_path / "o").exists()

    assert main(["-m", *typed]) == 0
    stages = [path for path in (tmp_path / "o/.stages").iterdir() if path.name[0] != "."]
    assert len(stages) == 10
    assert results(tmp_path / "o") == {
        f"{algorithm} seed{seed}" for algorithm in ("mle", "ac", "erac") for seed in (1, 2)
    }
    assert re.search(r"\| text *\| erac .*\| +2 \|", capsys.readouterr().out)

    began = time.monotonic()
    assert main(["-m", *typed]) == 0
    assert time.monotonic() - began < 5
    assert "6 runs: 6 done; 0 to do" in capsys.readouterr().out
    assert main(["-m", *overrides, "algorithm=mle,ac,erac", "seed=3", "dry_run=true"]) == 0
    assert re.search(r"time: about \d+ s of training with 1 at a time$", capsys.readouterr().out)


def test_stages_have_seeds_of_their_own(overrides: list[str]) -> None:
    runs = plan(*overrides, "algorithm=erac", "algorithm.stages.actor.seed=1",
                "algorithm.stages.critic.seed=1,2", "seed=1,2").runs  # fmt: skip
    assert [run.folder.name for run in runs] == [
        *("seed1", "seed2-actor1-critic1", "seed1-critic2", "seed2-actor1")
    ]
    assert len({run.folder.parent for run in runs}) == 1
    counts = {name: len({run.stages[name] for run in runs}) for name in runs[0].stages}
    assert counts == {"actor": 1, "critic": 2, "joint": 4}


def test_a_run_that_leaves_python_ends_no_other(
    overrides: list[str],
    faulty: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed = ["-m", *overrides, "algorithm=mle", faulty, "seed=1,2,3"]
    monkeypatch.setenv("FAULT", "2:of the user's own")
    assert main(typed) == 1
    shown = capsys.readouterr()
    assert "failed: seed=2" in shown.out
    assert "SystemExit: of the user's own" in shown.err
    assert results(tmp_path / "o") == {"mle seed1", "mle seed3"}
    monkeypatch.setenv("FAULT", "")
    assert main(typed) == 1
    text = capsys.readouterr().out
    assert "3 runs: 2 done, 1 failed; 0 to do" in text
    assert re.search(r"not tried again without retry_failed=true:\n  failed: seed=2 .*own", text)
    assert main([*typed, "retry_failed=true"]) == 0
    assert results(tmp_path / "o") == {"mle seed1", "mle seed2", "mle seed3"}


def test_a_run_that_diverges_ends_no_other(
    overrides: list[str], faulty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAULT", "2:nan")
    assert main(["-m", *overrides, "algorithm=mle", faulty, "seed=1,2,3"]) == 1
    assert results(tmp_path / "o") == {"mle seed1", "mle seed3"}
    (path,) = (tmp_path / "o").glob("text/mle/*/seed2/status.json")
    status = json.loads(path.read_text())
    assert status["status"] == "diverged"
    assert status["reason"] == (
        "stage actor: the gradient of the policy is nan, loss/policy is nan at update 1"
    )


def test_processes_show_their_failures_and_the_rest_goes_on(
    overrides: list[str], faulty: str, tmp_path: Path
) -> None:
    process = start(
        *(*overrides, "algorithm=mle", faulty, "seed=1,2", "launcher=local", "launcher.jobs=2"),
        cwd=tmp_path, FAULT="1:gone", PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]),
    )  # fmt: skip
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 1, text
    assert "failed: seed=1" in text
    assert text.index("gone") < text.index("no table: 1 run is not finished")
    assert results(tmp_path / "o") == {"mle seed2"}
    assert "gone" in next((tmp_path / "o").glob("text/mle/*/seed1/log.txt")).read_text()


@pytest.mark.parametrize("fault", ["1:kill", pytest.param("1:0", marks=pytest.mark.full)])
def test_what_a_process_does_not_say_is_said_for_it(
    overrides: list[str], faulty: str, tmp_path: Path, fault: str
) -> None:
    process = start(
        *(*overrides, "algorithm=mle", faulty, "seed=1", "launcher=local"),
        cwd=tmp_path, FAULT=fault, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]),
    )  # fmt: skip
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 1, text
    assert "[1/1] failed: text/mle" in text
    status = json.loads(next((tmp_path / "o").glob("text/mle/*/seed1/status.json")).read_text())
    assert status["status"] == "failed"
    if fault.endswith("kill"):
        assert "killed by signal 9" in text
        assert "killed by signal 9" in status["reason"]


def test_a_wait_for_another_process_can_be_stopped(overrides: list[str], tmp_path: Path) -> None:
    (run,) = plan(*overrides, "algorithm=mle", "seed=1").runs
    run.folder.mkdir(parents=True)
    lock = FileLock(run.folder / ".lock")
    lock.acquire()
    try:
        process = start(*overrides, "algorithm=mle", "seed=1", "launcher=local", cwd=tmp_path)
        wait_for(lambda: "waiting" in (run.folder / "log.txt").read_text()
                 if (run.folder / "log.txt").is_file() else False)  # fmt: skip
        process.send_signal(signal.SIGTERM)
        text, _ = process.communicate(timeout=30)
    finally:
        lock.release()
    assert process.returncode == 75, text
    assert not (run.folder / "status.json").exists(), "the folder is the other process's"


def test_states_are_what_the_folder_bears_out(overrides: list[str]) -> None:
    (run,) = plan(*overrides, "algorithm=mle", "seed=1").runs
    run.folder.mkdir(parents=True)
    assert run.state == "new"
    for said, meant in (("done", "interrupted"), ("running", "interrupted"), ("failed", "failed")):
        (run.folder / "status.json").write_text(json.dumps({"status": said}))
        assert run.state == meant
    lock = FileLock(run.folder / ".lock")
    with lock:
        (run.folder / "status.json").write_text(json.dumps({"status": "running"}))
        assert run.state == "running"
    (run.folder / "status.json").write_text("[]")
    assert run.state == "new"
    (run.folder / "result.json").write_text('{"scores": []}')
    assert run.state == "done"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("seed=1,-1", r"seed must be a whole number from 0 .*not -1 \(seed=-1\)"),
        ("algorithm.stages.actor.seed=0,99999999999999999999", "actor.seed must be a whole number"),
        ("seed=range(1,1)", "there is no value"),
        ("launcher.jobs=x", None),
        ("hydra.launcher.n_jobs=3", "has no meaning in a sweep"),
        ("experiment=figure1,table3", "is a sweep by itself"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_starts(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    typed: str, message: str | None,
) -> None:  # fmt: skip
    extra = ["launcher=local"] if typed.startswith("launcher") else []
    assert main(["-m", *overrides, "algorithm=mle", *extra, typed]) == 2
    errors = capsys.readouterr().err
    assert re.search(message or "jobs must be at least 1 or null, not x", errors), errors
    assert not (tmp_path / "o").exists()


def test_outputs_must_be_a_place_for_files(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["-m", *overrides, "algorithm=mle", f"outputs={tmp_path}/file,{tmp_path}/new"]) == 2
    assert "no folder that can be written to" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_the_later_of_two_overrides_counts_as_without_a_sweep() -> None:
    groups = Groups()
    for typed in (["model.hidden=8", "++model.hidden=16"], ["++model.hidden=8", "model.hidden=16"]):
        assert groups.composed(typed).model.hidden == 16
    points = expanded(groups, ["experiment=figure1", "++algorithm.tau=0.5", "seed=1"])
    assert len(points) == 1


def test_a_run_whose_result_is_damaged_is_not_done(
    overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = plan(*overrides, "algorithm=mle", "seed=1").runs
    run.folder.mkdir(parents=True)
    for content, state in (('{"scores": []}', "done"), ('{"scores": [', "interrupted")):
        (run.folder / "result.json").write_text(content)
        write_status(run.folder, "done")
        assert plan(*overrides, "algorithm=mle", "seed=1").runs[0].state == state
    assert capsys.readouterr().out == ""


def test_without_m_a_dry_run_trains_nothing(overrides: list[str]) -> None:
    for typed in ("dry_run=true", "dry_run=True", "++dry_run=true"):
        assert is_sweep([*overrides, typed])
    assert not is_sweep([*overrides, "dry_run=false"])
    assert asks([*overrides, "dry_run=true", "--cfg", "job"])


def test_wandb_shows_the_runs_of_a_sweep_together(overrides: list[str]) -> None:
    typed = ("algorithm=mle", "seed=1,2", "tracker=wandb")
    sweep = plan(*overrides, *typed)
    group(sweep.runs, f"sweep-{sweep.name}")
    assert {run.config["tracker"]["group"] for run in sweep.runs} == {f"sweep-{sweep.name}"}
    assert plan(*overrides, *typed).name == sweep.name
    assert plan(*overrides, *typed, "algorithm=raml").name != sweep.name
    chosen = plan(*overrides, *typed, "tracker.group=mine").runs
    group(chosen, "sweep")
    assert {run.config["tracker"]["group"] for run in chosen} == {"mine"}


def test_a_run_that_could_not_start_is_a_failure(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Local, run: Planned, slot: int) -> Job:
        raise OSError("no room")

    monkeypatch.setattr(Local, "start", refuse)
    assert main(["-m", *overrides, "algorithm=mle", "launcher=local"]) == 1


def test_runs_share_nothing_where_they_keep_their_stages_apart(overrides: list[str]) -> None:
    for typed in ("reuse=false", f"outputs={overrides[-1].partition('=')[2]},other"):
        runs = plan(*overrides, "algorithm=mle,erac", typed).runs
        keys = [key for run in runs for key in run.stages.values()]
        shared = len(keys) - len(set(keys))
        assert shared == (0 if typed == "reuse=false" else 2)


@pytest.mark.full
def test_a_sweep_that_is_stopped_stops_its_runs_and_continues(
    overrides: list[str], tmp_path: Path
) -> None:
    long = ["algorithm=mle", "trainer.max_steps=150", "trainer.max_epochs=null",
            "task.budget.actor.epochs=300", "trainer.validate_every=300", "seed=1,2",
            "trainer.save_every=100", "trainer.log_every=50",
            "launcher=local", "launcher.jobs=2"]  # fmt: skip
    process = start(*overrides, *long, cwd=tmp_path)
    wait_for(lambda: len(list((tmp_path / "o/.stages").glob("*/metrics.jsonl"))) == 2)
    process.send_signal(signal.SIGTERM)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 75, text
    status = [json.loads(path.read_text()) for path in tmp_path.glob("o/text/mle/*/*/status.json")]
    assert [one["status"] for one in status] == ["preempted"] * 2
    process = start(*overrides, *long, cwd=tmp_path)
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text
    assert "2 runs: 2 preempted; 2 to do" in text
    logs = [path.read_text() for path in tmp_path.glob("o/text/mle/*/*/log.txt")]
    assert all("resumed" in log or "continu" in log for log in logs)


@pytest.mark.full
def test_runs_outlive_the_sweep_and_the_next_one_waits_for_them(
    overrides: list[str], tmp_path: Path
) -> None:
    long = ["algorithm=mle", "trainer.max_steps=600", "trainer.max_epochs=null",
            "task.budget.actor.epochs=300", "trainer.validate_every=600", "seed=1",
            "trainer.save_every=200", "trainer.log_every=50", "launcher=local"]  # fmt: skip
    process = start(*overrides, *long, cwd=tmp_path)
    wait_for(lambda: list((tmp_path / "o/.stages").glob("*/metrics.jsonl")))
    process.kill()
    process.wait()
    process = start(*overrides, *long, cwd=tmp_path)
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text
    log = next(tmp_path.glob("o/text/mle/*/*/log.txt")).read_text()
    assert log.count("actor: training in") == 1


def test_two_equal_sweeps_at_once_train_everything_once(
    overrides: list[str], tmp_path: Path
) -> None:
    both = [start(*overrides, "algorithm=mle", "seed=1,2", cwd=tmp_path) for _ in range(2)]
    texts = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], texts
    assert sum(text.count("actor: training in") for text in texts) == 2
    assert all(re.search(r"\| text *\| mle", text) for text in texts)


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


class FakeJob(Job):
    """Ends when it was looked at three times."""

    def __init__(self, run: Planned, slot: int, launcher: FakeLauncher) -> None:
        super().__init__(run, slot)
        self.launcher, self.looks = launcher, 0

    @property
    def log(self) -> Path:
        return self.run.folder / "log.txt"

    def code(self) -> int | None:
        self.looks += 1
        if self.looks < 3:
            return None
        self.launcher.working.remove(self)
        self.launcher.finished |= set(self.run.stages.values())
        return 0

    def last_lines(self) -> str:
        return ""

    def stop(self) -> None:
        raise NotImplementedError


class FakeLauncher(Parallel):
    def __init__(self, jobs: int) -> None:
        super().__init__(jobs=jobs)
        self.working: list[FakeJob] = []
        self.finished: set[str] = set()
        self.most = 0
        self.order: list[str] = []

    def start(self, run: Planned, slot: int) -> Job:
        for other in self.working:
            common = set(run.stages.values()) & set(other.run.stages.values())
            assert common <= self.finished, "two runs at once train the same stage"
            assert slot != other.slot
        job = FakeJob(run, slot, self)
        self.working.append(job)
        self.most = max(self.most, len(self.working))
        self.order.append(str(run))
        return job


def test_runs_that_need_the_same_stage_wait_for_each_other_and_others_do_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    launcher = FakeLauncher(jobs=2)
    monkeypatch.setattr(
        Planned, "unfinished", property(lambda run: set(run.stages.values()) - launcher.finished)
    )
    monkeypatch.setattr("seqrl.cli.launchers.POLL", 0.0)
    stages: Sequence[tuple[str, ...]] = (("a", "b"), ("a", "c"), ("a", "d"), ("e",), ("f",))
    runs = [
        Planned((f"run={n}",), {}, tmp_path / str(n), {key: key for key in own}, {})
        for n, own in enumerate(stages)
    ]
    ended: list[str] = []
    assert launcher.launch(runs, lambda run, code, lines: ended.append(str(run))) == 0
    assert launcher.order == ["run=0", "run=3", "run=1", "run=2", "run=4"]
    assert sorted(ended) == sorted(map(str, runs))
    assert launcher.most == 2


def test_a_cluster_runs_what_is_submitted(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("submitit")
    cluster = ["launcher=slurm", "launcher.cluster=local", "launcher.parameters.gpus_per_node=0"]
    assert main(["-m", *overrides, "algorithm=mle", "seed=1,2", *cluster]) == 0
    assert results(tmp_path / "o") == {"mle seed1", "mle seed2"}
    assert len(list((tmp_path / "o/.slurm").glob("*_result.pkl"))) == 2
    assert main(["-m", *overrides, "algorithm=mle", "seed=3", *cluster, "launcher.jobs=0"]) == 2
    assert "jobs must be at least 1" in capsys.readouterr().err

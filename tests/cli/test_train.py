"""seqrl-train as a command of its own: its files, its signals, its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from seqrl.tracking.metrics_log import read_metrics
from seqrl.training.checkpoint import load_weights
from tiny import TINY
from wandb_file import assert_mirrored, offline_file, offline_records

COMMAND = [sys.executable, "-c", "from seqrl.cli.train import main; main()"]


def start(folder: Path, data: Path, *overrides: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *TINY, f"task.data_dir={data}", "outputs=out put", *overrides],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        *(pytest.param(n, marks=pytest.mark.full) for n in (signal.SIGINT, signal.SIGUSR1)),
    ],
)
def test_a_signal_stops_with_75_and_the_same_command_continues(
    number: signal.Signals, tiny_data: Path, tmp_path: Path
) -> None:
    long = ("algorithm=mle", "trainer.max_steps=20000", "trainer.max_epochs=100000")
    process = start(tmp_path, tiny_data, *long)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out put/.stages/*/last.pt")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(number)
    code, output, errors = finish(process)
    assert code == 75
    assert "stopped on request; the same command continues" in errors
    assert "Traceback" not in errors
    (folder,) = tmp_path.glob("out put/text/mle/*/seed1")
    assert output.splitlines()[-1] == f"run: {folder.relative_to(tmp_path)}"
    assert json.loads((folder / "status.json").read_text())["status"] == "preempted"
    steps = [r["step"] for r in read_metrics(folder / "metrics.jsonl")]
    assert steps == sorted(steps)


def test_a_finished_run_has_its_files_and_its_last_line(tiny_data: Path, tmp_path: Path) -> None:
    code, output, errors = finish(start(tmp_path, tiny_data, "algorithm=erac"))
    assert code == 0, errors
    (folder,) = tmp_path.glob("out put/text/erac/*/seed1")
    assert output.splitlines()[-1] == f"run: {folder.relative_to(tmp_path)}"
    for name in (
        "config.yaml",
        "metrics.jsonl",
        "timings.jsonl",
        "result.json",
        "status.json",
        "environment.json",
        "samples.txt",
        "test.hyp.txt",
        "curves.png",
        "checkpoints/actor/best.safetensors",
        "checkpoints/critic/best.safetensors",
        "checkpoints/joint/best.safetensors",
    ):
        assert (folder / name).stat().st_size > 0, name
    assert len((folder / "test.hyp.txt").read_text().splitlines()) == 15
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "done"
    assert [(s, d["reused"]) for s, d in result["stages"].items()] == [
        ("actor", False), ("critic", False), ("joint", False),
    ]  # fmt: skip
    assert {e["label"] for e in result["scores"]} == {"MLE", "ERAC"}
    for entry in result["scores"]:
        assert entry["scores"]["bleu"]["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:none")
    records = read_metrics(folder / "metrics.jsonl")
    stages = list(dict.fromkeys(r["stage"] for r in records))
    assert stages == ["actor", "critic", "joint"]
    for stage in stages:
        keys = [
            (r["step"], any(k.startswith("dev/") for k in r))
            for r in records
            if r["stage"] == stage
        ]
        assert len(keys) == len(set(keys))
    assert not {"seconds", "time", "tokens_per_second"} & {k for r in records for k in r}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out put"]
    again, output, _ = finish(start(tmp_path, tiny_data, "algorithm=erac"))
    assert again == 0
    assert "finished before" in output


NOISY = [
    *("algorithm=erac", "algorithm.tau=5", "task.budget.joint.optimizers.policy.lr=0.003"),
    *("task.budget.actor.epochs=20", "task.budget.joint.epochs=10", "trainer.max_steps=120"),
    *("trainer.log_every=2", "trainer.validate_every=4"),
]
"""The entropy is worth fifteen times a token's reward: samples turn into noise."""


@pytest.mark.full
def test_a_run_that_goes_wrong_exits_with_3_as_often_as_it_is_started(
    tiny_data: Path, tmp_path: Path
) -> None:
    code, output, errors = finish(
        start(tmp_path, tiny_data, *NOISY, "trainer.guards.max_entropy_rise=0.3")
    )
    assert code == 3, errors
    assert "diverged: stage joint: at update" in errors
    assert (
        "trainer.guards.max_entropy_rise=null switches this guard off); try a lower tau" in errors
    )
    assert "Traceback" not in errors
    (folder,) = tmp_path.glob("out put/text/erac/*/seed1")
    assert output.splitlines()[-1] == f"run: {folder.relative_to(tmp_path)}"
    status = json.loads((folder / "status.json").read_text())
    assert status["status"] == "diverged"
    assert status["reason"].startswith("stage joint: at update")
    assert status["reason"] in errors
    stage = tmp_path / "out put/.stages" / json.loads((folder / "stages.json").read_text())["joint"]
    best = load_weights(stage / "best.safetensors")
    records = read_metrics(folder / "metrics.jsonl")
    joint = [r for r in records if "train/entropy" in r and r["stage"] == "joint"]
    entropies = [float(r["train/entropy"]) for r in joint]  # type: ignore[arg-type]
    limit = entropies[0] + 0.3
    assert max(entropies[:-1]) <= limit < entropies[-1]
    assert f"at update {joint[-1]['step']} train/entropy is {entropies[-1]:.4g}, above" in errors

    again = finish(start(tmp_path, tiny_data, *NOISY, "trainer.guards.max_entropy_rise=0.3"))
    assert (again[0], again[2]) == (3, errors)
    assert read_metrics(folder / "metrics.jsonl") == records
    kept = load_weights(stage / "best.safetensors")
    assert all(torch.equal(kept[name], best[name]) for name in best)

    code, output, errors = finish(start(tmp_path, tiny_data, *NOISY))
    assert code == 0, errors
    assert "continuing at update" in output
    assert output.splitlines()[-1] == f"run: {folder.relative_to(tmp_path)}"
    assert read_metrics(folder / "metrics.jsonl")[: len(records)] == records


SECRET = "0123456789abcdef" * 2 + "feedbeef"
"""In the form of a key of W&B."""


def test_wandb_has_the_runs_metrics_and_weights_and_no_file_has_its_key(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    code, output, errors = finish(
        start(tmp_path, tiny_data, "algorithm=ac", "tracker=wandb", "trainer.max_steps=6")
    )
    assert code == 0, errors
    assert "W&B" not in output + errors
    (folder,) = tmp_path.glob("out put/text/ac/*/seed1")
    assert_mirrored(folder)
    records = list(offline_records(offline_file(folder)))
    artifacts = {r.request.log_artifact.artifact.name for r in records} | {
        r.artifact.name for r in records
    }
    for stage in ("actor", "critic", "joint"):
        assert any(f"{stage}-best" in name for name in artifacts), artifacts
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert (folder / "environment.json") in files
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    "setting",
    [
        *("+tracker.api_key=SECRET", "task.name=${oc.env:WANDB_API_KEY}"),
        *(
            pytest.param(setting, marks=pytest.mark.full)
            for setting in (
                *("tracker.project=SECRET", "tracker.group=my-SECRET"),
                "algorithm.stages.actor.label=SECRET",
            )
        ),
    ],
)
def test_a_key_of_wandb_in_the_configuration_reaches_no_file(
    setting: str, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    typed = setting.replace("SECRET", SECRET)
    code, output, errors = finish(start(tmp_path, tiny_data, "algorithm=mle", typed))
    assert code == 2
    assert "holds the key of W&B" in errors or "no such setting" in errors
    assert SECRET not in output
    assert not list(tmp_path.iterdir())


def test_a_configuration_error_says_everything_and_exits_with_2(
    tiny_data: Path, tmp_path: Path
) -> None:
    code, _, errors = finish(
        start(tmp_path, tiny_data, "algorithm=erac", "algorithm.tau=-1", "trainer.precision=fp8")
    )
    assert code == 2
    assert "tau must not be negative, not -1" in errors
    assert "precision must be one of" in errors
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_exits_with_2_and_leaves_nothing(tmp_path: Path) -> None:
    code, output, errors = finish(start(tmp_path, Path("/does/not/exist"), "algorithm=mle"))
    assert code == 2
    assert "task.data_dir=/does/not/exist: must be the folder of the corpus" in errors
    assert not output
    assert not list(tmp_path.iterdir())


def test_a_sweep_leaves_nothing_beside_its_outputs(tiny_data: Path, tmp_path: Path) -> None:
    overrides = ("algorithm=mle", "seed=1,2", "trainer.max_steps=1", "-m")
    code, _, errors = finish(start(tmp_path, tiny_data, *overrides))
    assert code == 0, errors
    assert [path.name for path in tmp_path.iterdir()] == ["out put"]
    assert len(list(tmp_path.glob("out put/text/mle/*/seed[12]/result.json"))) == 2


def test_a_bad_corpus_exits_with_1_and_one_message(tiny_data: Path, tmp_path: Path) -> None:
    bad = tmp_path / "data"
    bad.mkdir()
    for path in tiny_data.iterdir():
        (bad / path.name).write_bytes(path.read_bytes())
    (bad / "dev.en").write_text("one line only\n")
    process = start(tmp_path, bad, "algorithm=mle")
    code, _, errors = finish(process)
    assert code == 1
    assert "12" in errors
    assert "dev" in errors
    assert "Traceback" not in errors

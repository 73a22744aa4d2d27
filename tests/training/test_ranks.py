"""Several processes are one: what they learn, what they leave behind, and how they end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

from seqrl.build import check, choose_device
from seqrl.cli.configuration import conf_folder
from seqrl.identity import ConfigError, plain
from seqrl.tracking.metrics_log import Record, read_metrics
from seqrl.training import ranks
from seqrl.training.checkpoint import load_checkpoint
from seqrl.types import Batch
from stages import ALGORITHMS, Epochs, sentences, stage, weights

HERE = Path(__file__).resolve().parent
OURS = os.pathsep.join([str(HERE), str(HERE.parent), *sys.path])

EXACT = {
    *("step", "epoch", "dev/score", "dev/nll", "dev/td_error"),
    *("train/loss/policy", "train/loss/critic", "train/lr/policy", "train/lr/critic"),
    *("train/grad_norm/policy", "train/grad_norm/critic"),
}
"""Sums over sentences, and what follows from them; means over tokens are those of the shares."""


def start(folder: Path, count: int, death: str) -> list[subprocess.Popen[str]]:
    """The processes of the scenarios, as torchrun starts them."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return [
        subprocess.Popen(
            [sys.executable, str(HERE / "rank_scenarios.py"), str(folder), death],
            env=os.environ
            | {"RANK": str(index), "LOCAL_RANK": str(index), "WORLD_SIZE": str(count)}
            | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            | {"OMP_NUM_THREADS": "1", "PYTHONPATH": OURS},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(count)
    ]


def assert_all_end(folder: Path, processes: list[subprocess.Popen[str]], death: str) -> None:
    """Within half a minute of the last one's death, the others as failed."""
    try:
        outputs = [process.communicate(timeout=300)[0] for process in processes]
        ended = time.time()
    finally:
        for process in processes:
            process.kill()
    assert processes[-1].returncode == -signal.SIGKILL, outputs[-1]
    for process, output in zip(processes[:-1], outputs, strict=False):
        assert process.returncode == 1, output
    assert any("another process of this run is gone" in output for output in outputs)
    assert ended - float((folder / "killed").read_text()) < 30
    load_checkpoint(folder / death / "last.pt")


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.full)])
def together(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict[str, Any]]]:
    """The folder of all scenarios, the last of which was a death, and what each process found."""
    folder = tmp_path_factory.mktemp("ranks")
    assert_all_end(folder, start(folder, request.param, "dying"), "dying")
    return folder, [torch.load(folder / f"rank{i}.pt") for i in range(request.param)]


Together = tuple[Path, list[dict[str, Any]]]


def close(one: dict[str, Any], other: dict[str, Any], bound: float = 1e-9) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=bound)


def the_same(found: list[dict[str, Any]]) -> None:
    """Bit for bit."""
    for other in found[1:]:
        close(found[0], other, bound=0.0)


def compare(ours: list[Record], theirs: list[Record], exact: set[str] | None = None) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert list(one) == list(other)
        for key in one if exact is None else exact & one.keys():
            assert one[key] == pytest.approx(other[key], rel=0, abs=1e-9), key


class Shared(Epochs):
    """Has a process that is alone take each batch in the shares that two would have."""

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for batch in super().iterate(epoch, start):
            self.trainer.rows = -(-len(batch) // 2)
            yield batch

    def __init__(self, trainer: Any) -> None:
        super().__init__()
        self.trainer = trainer


@pytest.mark.parametrize("name", ALGORITHMS)
def test_they_learn_what_one_learns(name: str, together: Together, tmp_path: Path) -> None:
    """Batches of 5, 4, 7, 1 and 6 sentences; of one sentence not all have a share."""
    folder, found = together
    alone = ALGORITHMS[name](0.0)
    stage(tmp_path / "alone", alone).train()
    everyones = [each["equal"][name] for each in found]
    assert {each.pop("updates") for each in everyones} == {20}
    the_same(everyones)
    close(everyones[0], weights(alone))
    ours = read_metrics(folder / "equal" / name / "metrics.jsonl")
    compare(ours, read_metrics(tmp_path / "alone/metrics.jsonl"), EXACT)
    if len(found) == 2:  # all metrics are those of one that takes the shares one by one
        one = stage(tmp_path / "shares", ALGORITHMS[name](0.0))
        one.batches = Shared(one)
        one.train()
        compare(ours, read_metrics(tmp_path / "shares/metrics.jsonl"))
    files = {path.name for path in (tmp_path / "alone").iterdir()}
    assert {path.name for path in (folder / "equal" / name).iterdir()} == files


def test_whoever_is_asked_to_stop_all_do_and_continue_bit_for_bit(together: Together) -> None:
    folder, everyones = together
    found = [each["stopped"] for each in everyones]
    for each in found:
        assert each["together asked"] == each["alone asked"] == 7
        close(each["whole"], each["together"], bound=0.0)
    the_same([each["together"] for each in found])
    assert load_checkpoint(folder / "stopped/alone/last.pt")["update"] == 7
    logs = [
        (folder / "stopped" / name / "metrics.jsonl").read_bytes() for name in ("whole", "together")
    ]
    assert logs[0] == logs[1]


def test_one_process_continues_what_several_began(together: Together) -> None:
    """With other dropout, on the same batches."""
    folder, _ = together
    again = ALGORITHMS["erac"](0.3)
    summary = stage(folder / "stopped/alone", again, save_every=4, epochs=2).train()
    assert summary["updates"] == 10
    ours, theirs = (
        read_metrics(folder / "stopped" / name / "metrics.jsonl") for name in ("alone", "whole")
    )
    assert [list(record) for record in ours] == [list(record) for record in theirs]
    assert [r for r in ours if r["step"] <= 7] == [r for r in theirs if r["step"] <= 7]  # type: ignore[operator]


def test_a_process_without_memory_takes_its_share_in_parts(together: Together) -> None:
    found = [each["without_memory"] for each in together[1]]
    for each in found:
        close(each["whole"], each["parts"])
    the_same([each["parts"] for each in found])


def test_where_it_has_too_little_all_end(together: Together) -> None:
    problems = {each["without_memory"]["problem"] for each in together[1]}
    (problem,) = problems
    assert problem.startswith("at update 7 there is not enough memory for")


def test_what_is_no_number_in_one_ends_all_before_anything_moves(together: Together) -> None:
    folder, everyones = together
    found = [each["infinite"] for each in everyones]
    assert {each.pop("problem") for each in found} == {"reward is nan at update 2"}
    the_same(found)
    state = load_checkpoint(folder / "infinite/last.pt")
    assert state["update"] == 2
    close(found[0], state["weights"], bound=0.0)


def test_a_killed_process_ends_all(together: Together) -> None:
    """Within half a minute: see `assert_all_end`."""
    assert (together[0] / "killed").exists()


@pytest.mark.full
def test_a_killed_process_ends_all_while_the_first_validates(tmp_path: Path) -> None:
    assert_all_end(tmp_path, start(tmp_path, 2, "dying_meanwhile"), "dying_meanwhile")


def test_shares_are_the_rows_in_order() -> None:
    batch = sentences(7, 1)
    for count in (1, 2, 3, 7, 9):
        group = ranks.Group.__new__(ranks.Group)
        group.count = count
        found = []
        for group.index in range(count):
            part = group.share(batch)
            assert part.total == 7
            assert part.offset == len(found)
            assert len(part) <= -(-7 // count)
            found += part.target[:, 0].tolist()
        assert found == batch.target[:, 0].tolist()
        assert len(group.share(batch)) == 0 or count < 9


def test_buckets_hold_everything_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "BUCKET", 5)
    tensors = [
        torch.zeros(size, dtype=kind)
        for size, kind in ((1, torch.float32), (3, torch.float32), (9, torch.float32))
    ] + [torch.zeros(2, dtype=torch.float64), torch.zeros(4)]
    found = [[len(tensor) for tensor in bucket] for bucket in ranks.buckets(tensors)]
    assert found == [[1, 3, 9], [4], [2]]


def composed(*overrides: str) -> dict[str, Any]:
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        return plain(compose(config_name="train", overrides=["tracker=none", *overrides]))


@pytest.fixture
def among_two(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "1"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("algorithm", "reason"),
    [
        ("mle", None),
        ("raml", None),
        ("erac", None),
        ("reinforce baseline@algorithm.baseline=running_mean", "running mean"),
        ("sequence_tutor", "memory holds"),
        ("erac_released", "mask_padding=true"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_any_data_are_read(
    algorithm: str, reason: str | None, among_two: None, tmp_path: Path
) -> None:
    name, *overrides = algorithm.split()
    config = composed(f"algorithm={name}", *overrides, f"outputs={tmp_path}", "device=cpu")
    if reason is None:
        check(config)
        return
    with pytest.raises(ConfigError, match="several processes cannot share the stage") as caught:
        check(config)
    assert reason in str(caught.value)


def test_each_process_has_a_device_of_its_own(
    among_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 1)
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="a CUDA device of its own"):
        choose_device("cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="more processes than CUDA devices"):
        choose_device("auto")


def test_a_process_that_is_alone_exchanges_nothing() -> None:
    code = (
        "import sys\n"
        "from seqrl.training.ranks import joined, is_first, local_number\n"
        "assert is_first() and local_number() is None\n"
        "with joined() as ranks:\n"
        "    assert (ranks.count, ranks.is_first, ranks.gathered(3)) == (1, True, [3])\n"
        "assert not any(name.split('.')[0] == 'torch' for name in sys.modules)\n"
    )
    alone = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
    subprocess.run([sys.executable, "-c", code], env=alone | {"PYTHONPATH": OURS}, check=True)


# Whole runs, by torchrun


def torchrun(
    overrides: list[str], outputs: Path, *more: str, count: int = 2
) -> subprocess.Popen[str]:
    return command(
        *("torch.distributed.run", "--standalone", "--nproc-per-node", str(count)),
        *("-m", "seqrl.cli.train", *overrides, f"outputs={outputs}", *more),
    )


def command(*words: str) -> subprocess.Popen[str]:
    """A module and its arguments, as a process that says everything in one stream."""
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": OURS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.full
def test_torchrun_leaves_what_one_process_leaves(tiny_overrides: list[str], tmp_path: Path) -> None:
    dropout = ["model.policy.dropout=0.0", "model.critic.dropout=0.0"]
    overrides = [*tiny_overrides, "algorithm=erac", *dropout]
    output, _ = torchrun(overrides, tmp_path / "two").communicate(timeout=300)
    alone = command("seqrl.cli.train", *overrides, f"outputs={tmp_path}/one")
    shown, _ = alone.communicate(timeout=300)
    assert alone.returncode == 0, shown
    assert files(tmp_path / "two") == files(tmp_path / "one"), output
    (one,), (two,) = (tmp_path.glob(f"{name}/text/erac/*/seed1") for name in ("one", "two"))
    for name in ("config.yaml", "test.hyp.txt", "stages.json"):
        ours, theirs = ((folder / name).read_text() for folder in (two, one))
        assert ours.replace(str(tmp_path / "two"), "") == theirs.replace(str(tmp_path / "one"), "")
    assert output.count("joint: best") == 1  # one speaks
    again, _ = torchrun(overrides, tmp_path / "two").communicate(timeout=300)
    assert again.count("finished before") == 1


LONG = ["trainer.max_steps=60", "trainer.validate_every=60", "algorithm=raml"]


@pytest.mark.full
def test_runs_that_are_killed_and_stopped_continue_bit_for_bit(
    tiny_overrides: list[str], tmp_path: Path
) -> None:
    """First the first process is killed, then it is asked to stop, then torchrun is."""
    torchrun(tiny_overrides, tmp_path / "whole", *LONG).communicate(timeout=300)
    for number, how in ((signal.SIGKILL, "first"), (signal.SIGTERM, "first"), (15, "torchrun")):
        process = torchrun(tiny_overrides, tmp_path / "pieces", *LONG)
        pid = at_work(tmp_path / "pieces")
        before = time.time()
        os.kill(pid if how == "first" else process.pid, number)
        output, _ = process.communicate(timeout=120)
        assert time.time() - before < 40
        assert process.returncode != 0
        (path,) = (tmp_path / "pieces").glob("text/raml/*/seed1/status.json")
        state = json.loads(path.read_text())["status"]
        if number == signal.SIGTERM:
            assert state == "preempted", output
        if (number, how) == (signal.SIGTERM, "first"):
            assert "exitcode  : 75" in output
    output, _ = torchrun(tiny_overrides, tmp_path / "pieces", *LONG).communicate(timeout=300)
    assert "continuing at update" in output
    whole, pieces = (next((tmp_path / n).glob("text/raml/*/seed1")) for n in ("whole", "pieces"))
    assert (whole / "metrics.jsonl").read_bytes() == (pieces / "metrics.jsonl").read_bytes()


def at_work(outputs: Path) -> int:
    """The first process of a run, once it has learned something."""
    known = {path: path.stat().st_mtime_ns for path in outputs.glob(".stages/*/last.pt")}
    for _ in range(6000):
        time.sleep(0.01)
        now = {path: path.stat().st_mtime_ns for path in outputs.glob(".stages/*/last.pt")}
        if now and now != known:
            (status,) = outputs.glob("text/raml/*/seed1/status.json")
            pid = int(json.loads(status.read_text())["pid"])
            assert b"seqrl.cli.train" in Path(f"/proc/{pid}/cmdline").read_bytes()
            return pid
    raise AssertionError("it has learned nothing in a minute")

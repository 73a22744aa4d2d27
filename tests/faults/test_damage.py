"""A damaged file is noticed and named; the one before is used, or nothing, and never in silence."""

from __future__ import annotations

import json
import logging
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import torch
from children import Child, Undisturbed, leftovers
from test_signals import PHASES, signal_in

from seqrl.training.checkpoint import CheckpointError, load_checkpoint, load_weights
from tiny import Figures

OVERRIDES = ("algorithm=erac", "trainer.guards=null")


@pytest.fixture(scope="module")
def whole(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed") / "whole", tiny_data, *OVERRIDES)


@pytest.fixture(scope="module")
def stopped(whole: Undisturbed) -> Path:
    """Stopped in the actor's fifth update, after its validation."""
    folder = whole.folder.parent / "stopped"
    child = Child(whole.config, folder, partial(signal_in, *PHASES["step"], 4, [15]))
    assert child.wait() == 75, child.text
    return folder


@pytest.fixture
def copy(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "copy"))


def last(folder: Path) -> Path:
    (path,) = folder.glob("out/.stages/*/last.pt")
    return path


def damaged(data: bytes, how: str, count: int) -> list[bytes]:
    """So many versions of a file, each damaged in another place."""
    rng = random.Random(how)
    if how == "truncated":
        return [data[: rng.randrange(1, len(data))] for _ in range(count)]
    if how == "flipped":
        places = [rng.randrange(len(data)) for _ in range(count)]
        flips = [bytes([data[k] ^ rng.randrange(1, 256)]) for k in places]
        return [data[:k] + flip + data[k + 1 :] for k, flip in zip(places, flips, strict=True)]
    return [b""]


@pytest.mark.parametrize(
    ("how", "count"),
    [
        ("truncated", 10),
        ("flipped", 10),
        ("emptied", 1),
        pytest.param("truncated", 100, marks=pytest.mark.faults),
        pytest.param("flipped", 100, marks=pytest.mark.faults),
    ],
)
def test_damage_of_a_checkpoint_is_noticed_and_the_one_before_is_used(
    how: str, count: int, copy: Path, caplog: pytest.LogCaptureFixture, figures: Figures
) -> None:
    path = last(copy)
    previous = path.with_name("last.pt.previous")
    updates = load_checkpoint(path)["update"], load_checkpoint(previous)["update"]
    assert updates[0] == updates[1] + 1 or updates[0] == updates[1]
    noticed = 0
    for data in damaged(path.read_bytes(), how, count):
        path.write_bytes(data)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            state = load_checkpoint(path)
        assert state["update"] == updates[1]
        assert caplog.messages == [
            f"{path} is damaged: its checksum does not match; continuing from {previous}"
        ]
        noticed += 1
    figures("damaged files", f"checkpoints {how}", count)
    figures("damaged files", "noticed", noticed)


@pytest.mark.parametrize("how", ["flipped", pytest.param("truncated", marks=pytest.mark.faults)])
def test_a_run_with_a_damaged_checkpoint_ends_as_if_nothing_had_been(
    how: str, whole: Undisturbed, copy: Path
) -> None:
    path = last(copy)
    path.write_bytes(damaged(path.read_bytes(), how, 1)[0])
    child = Child(whole.config, copy)
    assert child.wait() == 0, child.text
    relative = path.relative_to(copy)
    assert f"{relative} is damaged: its checksum does not match" in child.text
    assert f"continuing from {relative}.previous" in child.text
    assert "continuing at update" in child.text
    assert whole.differing(copy) == []


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    path.write_bytes(damaged(path.read_bytes(), "flipped", 1)[0])


def shortened(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"\n", 0, -1) + 1])


def garbled(path: Path) -> None:
    path.write_bytes(b"\xff" + path.read_bytes()[1:])


REFUSED: dict[str, tuple[dict[str, Callable[[Path], object]], str]] = {
    "both checkpoints": ({"last.pt": emptied, "last.pt.previous": flipped}, "last.pt.previous"),
    "best weights flipped": ({"best.safetensors": flipped}, "best.safetensors is damaged"),
    "best weights emptied": ({"best.safetensors": emptied}, "best.safetensors holds no whole"),
    "best weights missing": ({"best.safetensors": Path.unlink}, "best.safetensors is missing"),
    "metrics shorter": ({"metrics.jsonl": shortened}, "metrics.jsonl is damaged: no record ends"),
    "metrics missing": ({"metrics.jsonl": Path.unlink}, "metrics.jsonl is damaged: no record"),
    "metrics garbled": ({"metrics.jsonl": garbled}, "metrics.jsonl: damaged record before byte"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_mended_is_refused_and_nothing_begins_anew(
    what: str, whole: Undisturbed, copy: Path, figures: Figures
) -> None:
    stage = last(copy).parent
    changes, message = REFUSED[what]
    for name, change in changes.items():
        change(stage / name)
    kept = {name: (stage / name).read_bytes() for name in ("last.pt", "last.pt.previous")}
    child = Child(whole.config, copy)
    code, text = child.wait(), child.text
    assert code == 1, text
    assert message in text
    assert "Traceback" not in text
    assert {name: (stage / name).read_bytes() for name in kept} == kept
    status = json.loads(next(copy.glob("out/text/*/*/*/status.json")).read_text())
    assert status["status"] == "failed"
    assert message in status["reason"]
    assert list(leftovers(copy)) == []
    figures("damaged files", "other files refused", 1)


@pytest.mark.faults
@pytest.mark.parametrize(
    "name",
    [
        *("stages.json", "status.json", "config.yaml", "environment.json", "metrics.jsonl"),
    ],
)
def test_damaged_files_of_a_run_are_written_anew(
    name: str, whole: Undisturbed, copy: Path, figures: Figures
) -> None:
    (path,) = copy.glob(f"out/text/*/*/*/{name}")
    path.write_bytes(b"\xff{")
    child = Child(whole.config, copy)
    assert child.wait() == 0, child.text
    assert "continuing at update" in child.text
    assert whole.differing(copy) == []
    assert path.read_bytes()[:1] != b"\xff"
    figures("damaged files", "of a run, written anew", 1)


@pytest.mark.faults
@pytest.mark.parametrize(
    "content",
    [b"[]", b"{", b"{}", b"\xff"],
)
def test_a_damaged_result_is_made_anew(content: bytes, whole: Undisturbed, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(whole.folder, copy)
    (path,) = copy.glob("out/text/*/*/*/result.json")
    path.write_bytes(content)
    child = Child(whole.config, copy)
    assert child.wait() == 0, child.text
    assert "result.json is damaged: the run is evaluated again" in child.text
    assert whole.differing(copy) == []


@pytest.mark.faults
@pytest.mark.parametrize("damage", ["emptied", "missing"])
def test_a_stage_without_its_record_is_trained_anew_and_it_is_told(
    damage: str, whole: Undisturbed, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(whole.folder, copy)
    (run,) = copy.glob("out/text/*/*/*")
    (run / "result.json").unlink()
    key = json.loads((run / "stages.json").read_text())["critic"]
    record = copy / "out/.stages" / key / "stage.json"
    record.write_bytes(b"") if damage == "emptied" else record.unlink()
    child = Child(whole.config, copy)
    assert child.wait() == 0, child.text
    assert f"critic: training in out/.stages/{key}" in child.text
    what = "/stage.json is damaged" if damage == "emptied" else " has no checkpoint"
    assert f"{key}{what}" in child.text
    assert "the stage is trained again" in child.text
    assert whole.differing(copy) == []


def test_damaged_weights_of_a_finished_stage_are_refused(
    whole: Undisturbed, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(whole.folder, copy)
    (run,) = copy.glob("out/text/*/*/*")
    (run / "result.json").unlink()
    key = json.loads((run / "stages.json").read_text())["actor"]
    flipped(copy / "out/.stages" / key / "best.safetensors")
    child = Child(whole.config, copy)
    assert child.wait() == 1, child.text
    assert f"{key}/best.safetensors is damaged: its checksum does not match" in child.text
    assert "Traceback" not in child.text


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.faults)])
def test_damage_of_weights_is_noticed(count: int, whole: Undisturbed, tmp_path: Path) -> None:
    source = next(whole.run.glob("checkpoints/*/best.safetensors"))
    weights = load_weights(source)
    path = tmp_path / "best.safetensors"
    for data in damaged(source.read_bytes(), "flipped", count):
        path.write_bytes(data)
        with suppress(CheckpointError):
            found = load_weights(path)
            # the byte was one of the head that says nothing of the weights
            assert found.keys() == weights.keys()
            assert all(torch.equal(found[name], weights[name]) for name in weights)

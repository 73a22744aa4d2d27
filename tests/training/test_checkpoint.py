"""A checkpoint is whole or passed over, runs no code, and always leaves one that is found."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

import seqrl.training.checkpoint as checkpoint
from seqrl.training.checkpoint import (
    MAGIC,
    CheckpointError,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
    write_json_atomic,
    write_text_atomic,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "last.pt"


def step_of(path: Path) -> int:
    return int(load_checkpoint(path)["step"])


def test_a_state_comes_back_as_it_was(path: Path) -> None:
    shared = torch.arange(6.0).reshape(2, 3)
    state = {
        "model": OrderedDict(weight=shared, tied=shared, mask=torch.tensor([True, False])),
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "betas": (0.9, 0.98)},
        "history": [1, 2.5, "text", None, float("inf")],
        "step": 2**70,
        "flag": True,
    }
    save_checkpoint(path, state)
    loaded = load_checkpoint(path)
    assert list(loaded) == list(state)
    assert type(loaded["model"]) is dict
    assert loaded["model"]["weight"].equal(shared)
    assert loaded["model"]["weight"].data_ptr() == loaded["model"]["tied"].data_ptr()
    assert loaded["model"]["mask"].dtype is torch.bool
    assert loaded["optimizer"]["betas"] == (0.9, 0.98)
    assert loaded["optimizer"]["state"][0]["step"].item() == 3.0
    assert loaded["history"] == state["history"]
    assert loaded["step"] == 2**70
    assert loaded["flag"] is True


def test_states_of_modules_and_optimizers_are_plain(path: Path) -> None:
    module = torch.nn.LSTM(3, 4)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(2, 1, 3))[0].sum().backward()
    optimizer.step()
    save_checkpoint(path, {"module": module.state_dict(), "optimizer": optimizer.state_dict()})
    loaded = load_checkpoint(path)
    other = torch.nn.LSTM(3, 4)
    other.load_state_dict(loaded["module"])
    torch.optim.AdamW(other.parameters()).load_state_dict(loaded["optimizer"])
    assert all(a.equal(b) for a, b in zip(module.parameters(), other.parameters(), strict=True))


def test_a_small_view_does_not_carry_its_large_storage(path: Path) -> None:
    save_checkpoint(path, {"view": torch.zeros(1_000_000)[:3]})
    assert path.stat().st_size < 10_000


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ({"a": {"b": [0, {1, 2}]}}, r"state\['a'\]\['b'\]\[1\] is a set"),
        ({"lr": np.float64(0.1)}, r"state\['lr'\] is a float64"),
        ({"w": torch.nn.Parameter(torch.ones(1))}, r"state\['w'\] is a Parameter"),
        ({"f": (1, len)}, r"state\['f'\]\[1\] is a builtin_function"),
        ({"k": {(1, 2): 3}}, r"state\['k'\] has the key \(1, 2\)"),
        ({"s": torch.eye(2).to_sparse()}, r"state\['s'\] is a tensor without plain storage"),
        ({"m": torch.empty(2, device="meta")}, r"state\['m'\] is a tensor without plain storage"),
    ],
)
def test_what_is_not_plain_is_refused_by_its_place(
    path: Path, state: dict[str, object], place: str
) -> None:
    save_checkpoint(path, {"step": 1})
    with pytest.raises(TypeError, match=place):
        save_checkpoint(path, state)
    assert step_of(path) == 1


def test_no_checkpoint_is_file_not_found(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"last\.pt"):
        load_checkpoint(path)


def test_the_one_before_stays_as_previous(path: Path) -> None:
    for step in (1, 2, 3):
        save_checkpoint(path, {"step": step})
    assert step_of(path) == 3
    assert sorted(os.listdir(path.parent)) == ["last.pt", "last.pt.previous"]
    path.unlink()
    assert step_of(path) == 2


def test_every_truncation_is_noticed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_checkpoint(path, {"step": 1, "w": torch.arange(50.0)})
    save_checkpoint(path, {"step": 2, "w": torch.arange(50.0)})
    whole = path.read_bytes()
    lengths = {*range(0, len(whole), 97), *range(len(whole) - 60, len(whole))}
    for length in lengths:
        path.write_bytes(whole[:length])
        assert step_of(path) == 1, length
    assert "last.pt is damaged" in caplog.text
    assert "last.pt.previous" in caplog.text


def test_every_flipped_byte_is_noticed(path: Path) -> None:
    save_checkpoint(path, {"step": 1})
    save_checkpoint(path, {"step": 2})
    whole = path.read_bytes()
    for position in [*range(0, len(whole), 41), *range(len(whole) - 50, len(whole))]:
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        assert step_of(path) == 1, position
    path.write_bytes(whole + b"\0")
    assert step_of(path) == 1


def test_two_damaged_files_are_an_error_that_names_both(path: Path) -> None:
    save_checkpoint(path, {"step": 1})
    save_checkpoint(path, {"step": 2})
    path.write_bytes(b"")
    (path.parent / "last.pt.previous").write_bytes(b"rubbish" * 30)
    with pytest.raises(
        CheckpointError, match=r"last\.pt is damaged.*last\.pt\.previous is damaged"
    ):
        load_checkpoint(path)


class Payload:
    """A pickle that would create a file when it is loaded by plain `pickle`."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.victim), "w")


@pytest.mark.parametrize("as_torch", [True, False])
def test_a_payload_is_refused_even_with_a_right_checksum(path: Path, as_torch: bool) -> None:
    victim = path.parent / "victim"
    if as_torch:
        torch.save({"step": Payload(victim)}, path)
    else:
        path.write_bytes(pickle.dumps({"step": Payload(victim)}, protocol=2))
    data = path.read_bytes()
    path.write_bytes(data + MAGIC + hashlib.sha256(data).digest())
    with pytest.raises(CheckpointError, match="no checkpoint of plain tensors"):
        load_checkpoint(path)
    assert not victim.exists()


class PowerCut(BaseException):
    pass


@pytest.mark.parametrize(
    ("links", "first_is_damaged"), [(True, False), (True, True), (False, False)]
)
def test_a_whole_checkpoint_is_found_at_every_instant(
    path: Path, monkeypatch: pytest.MonkeyPatch, links: bool, first_is_damaged: bool
) -> None:
    """Saving is cut off before each of its changes to the folder, one after the other."""
    calls = {"left": 0}

    def cut_before(operation: object) -> object:
        def run(*arguments: object) -> object:
            if calls["left"] == 0:
                raise PowerCut
            calls["left"] -= 1
            return operation(*arguments)  # type: ignore[operator]

        return run

    def no_links(*_: object) -> None:
        raise OSError("this file system has no hard links")

    monkeypatch.setattr(os, "replace", cut_before(os.replace))
    monkeypatch.setattr(os, "link", cut_before(os.link) if links else no_links)
    monkeypatch.setattr(os, "fsync", cut_before(os.fsync))
    cuts = 0
    for allowed in range(20):
        calls["left"] = 100
        for old in path.parent.iterdir():
            old.unlink()
        save_checkpoint(path, {"step": 1})
        save_checkpoint(path, {"step": 2})
        if first_is_damaged:
            path.write_bytes(b"damaged")
        calls["left"] = allowed
        try:
            save_checkpoint(path, {"step": 3})
        except PowerCut:
            cuts += 1
        expected = {1, 3} if first_is_damaged else {2, 3}
        assert step_of(path) in expected, allowed
    assert 4 <= cuts < 20
    assert step_of(path) == 3


def save_forever(path: Path) -> None:
    weights = torch.arange(20_000.0)
    for step in range(1_000_000):
        save_checkpoint(path, {"step": step, "w": weights + step})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_process_leaves_a_whole_checkpoint(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for milliseconds in range(5, 65, 4):
        process = context.Process(target=save_forever, args=(path,))
        process.start()
        while not path.exists():
            time.sleep(0.001)
        time.sleep(milliseconds / 1000)
        process.kill()
        process.join()
        state = load_checkpoint(path)
        assert state["w"].equal(torch.arange(20_000.0) + state["step"])


def test_what_a_killed_process_left_is_removed(path: Path) -> None:
    stale = path.parent / ".last.pt.999999.tmp"
    stale.write_bytes(b"half")
    save_checkpoint(path, {"step": 1})
    assert os.listdir(path.parent) == ["last.pt"]


def test_the_warning_names_both_files(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_checkpoint(path, {"step": 1})
    save_checkpoint(path, {"step": 2})
    path.write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING, logger=checkpoint.__name__):
        load_checkpoint(path)
    (record,) = caplog.records
    assert str(path) in record.getMessage()
    assert f"continuing from {path}.previous" in record.getMessage()


def test_weights_come_back_and_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    tied = torch.arange(6.0).reshape(2, 3)
    weights = {"a": tied, "b": tied, "c": tied.t(), "d": torch.tensor([1, 2])}
    save_weights(path, weights)
    loaded = load_weights(path)
    assert loaded.keys() == weights.keys()
    assert all(loaded[name].equal(weights[name]) for name in weights)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"best\.safetensors holds no whole weights"):
            load_weights(path)
    with pytest.raises(FileNotFoundError):
        load_weights(tmp_path / "absent.safetensors")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_json_atomic(path, {"status": "running"})
    with pytest.raises(TypeError):
        write_json_atomic(path, {"status": object()})
    assert json.loads(path.read_text()) == {"status": "running"}
    assert os.listdir(tmp_path) == ["status.json"]


def test_a_disk_that_fills_up_is_an_error_of_the_system(tmp_path: Path) -> None:
    """With more than the buffer of a file, of which `torch.save` says only that it failed."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path / "last.pt"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{errno.EFBIG} {tmp_path / 'last.pt'}\n"
    assert list(tmp_path.iterdir()) == []


FULL = """
import resource, sys, torch
from pathlib import Path
from seqrl.training.checkpoint import save_checkpoint

resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    save_checkpoint(Path(sys.argv[1]), {"weights": torch.ones(100_000)})
except OSError as error:
    print(error.errno, error.filename)
"""


def test_json_holds_names_that_are_not_utf8(tmp_path: Path) -> None:
    write_json_atomic(tmp_path / "a.json", {"name": "d\udce9v"})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "\\udce9" in text
    assert json.loads(text) == {"name": "d\udce9v"}


def test_json_names_the_floats_that_it_does_not_have(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "result.json"
    write_json_atomic(path, {"dev": [float("nan"), 1.5], "test": float("-inf")})
    assert json.loads(path.read_text()) == {"dev": ["nan", 1.5], "test": "-inf"}


def test_text_is_utf8_with_its_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "samples.txt"
    write_text_atomic(path, "Grüße\r\n你好\n")
    assert path.read_bytes() == "Grüße\r\n你好\n".encode()

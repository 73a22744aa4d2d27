"""Stages are trained once: their keys, their records, their locks, and what may be removed."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqrl.training.store import StageRecord, StageStore, collect_garbage, stage_key

KEY = "0123456789abcdef"

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.fixture
def store(tmp_path: Path) -> StageStore:
    return StageStore(tmp_path / "outputs" / ".stages")


def record(key: str = KEY, best: float = 27.5) -> StageRecord:
    return StageRecord(key, {"algorithm": "mle", "seed": 1}, best, {"epochs": 3, "name": "Grüße"})


def fill(store: StageStore, key: str) -> Path:
    folder = store.folder(key)
    (folder / "checkpoints").mkdir(parents=True)
    for name in ("best.safetensors", "metrics.jsonl", "timings.jsonl", "last.pt", ".x.tmp"):
        (folder / name).write_text(name)
    (folder / "checkpoints" / "step10.pt").write_text("old")
    return folder


def test_a_key_is_the_hash_of_the_canonical_text() -> None:
    # echo -n '{"a":[1,0.5,null],"b":true}' | sha256sum
    expected = "9ce8cbb2fb0fbe80"
    assert stage_key({"b": True, "a": (1.0, 0.5, None)}) == expected


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"beta": 1}, {"beta": 1.0}),
        ({"lr": 1e-3}, {"lr": 0.001}),
        ({"x": 0.0}, {"x": -0.0}),
        ({"betas": (0.9, 0.98)}, {"betas": [0.9, 0.98]}),
    ],
)
def test_equal_descriptions_have_one_key(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert stage_key(left) == stage_key(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": "1"}),
        ({"a": None}, {}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": [[1], 2]}, {"a": [1, [2]]}),
        ({"a": float("inf")}, {"a": "inf"}),
        ({"a": 0.1}, {"a": 0.1 + 2**-56}),
        ({"a": {"b": 1}}, {"a.b": 1}),
    ],
)
def test_different_descriptions_have_two_keys(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert stage_key(left) != stage_key(right)


@settings(max_examples=40)
@given(st.dictionaries(st.text(), plain, min_size=1))
def test_a_key_survives_json_and_any_order(description: dict[str, Any]) -> None:
    key = stage_key(description)
    assert len(key) == 16
    assert int(key, 16) >= 0
    backwards = dict(reversed(description.items()))
    assert stage_key(json.loads(json.dumps(backwards))) == key


@pytest.mark.parametrize(
    ("description", "error", "message"),
    [
        ({"a": {"b": float("nan")}}, ValueError, r"description\.a\.b is NaN"),
        ({"a": [{1: 2}]}, TypeError, r"description\.a\[0\] has the key 1"),
        ({"path": Path("x")}, TypeError, r"description\.path is a \w*PosixPath"),
    ],
)
def test_what_has_no_canonical_form_is_refused(
    description: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        stage_key(description)


def test_a_stage_is_finished_when_its_record_is_there(store: StageStore) -> None:
    assert store.finished(KEY) is None
    folder = fill(store, KEY)
    assert store.finished(KEY) is None
    store.finish(KEY, record())
    assert store.finished(KEY) == record()
    assert sorted(path.name for path in folder.iterdir()) == [
        "best.safetensors",
        "metrics.jsonl",
        "stage.json",
        "timings.jsonl",
    ]


def test_the_weights_to_keep_are_named(store: StageStore) -> None:
    folder = fill(store, KEY)
    (folder / "critic.safetensors").write_text("critic")
    store.finish(KEY, record(), keep=["best.safetensors", "critic.safetensors"])
    assert (folder / "critic.safetensors").exists()
    assert not (folder / "last.pt").exists()


def test_a_stage_without_its_weights_cannot_be_finished(store: StageStore) -> None:
    folder = fill(store, KEY)
    with pytest.raises(FileNotFoundError, match=r"critic\.safetensors is to be kept"):
        store.finish(KEY, record(), keep=["best.safetensors", "critic.safetensors"])
    assert (folder / "last.pt").exists()
    assert store.finished(KEY) is None


def test_a_diverged_score_is_kept(store: StageStore) -> None:
    fill(store, KEY)
    store.finish(KEY, record(best=float("-inf")))
    finished = store.finished(KEY)
    assert finished is not None
    assert finished.best == float("-inf")


@pytest.mark.parametrize("damage", ["no weights", "rubbish", "foreign", "incomplete"])
def test_a_damaged_stage_is_not_finished(
    store: StageStore, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = fill(store, KEY)
    store.finish(KEY, record())
    stage = folder / "stage.json"
    if damage == "no weights":
        (folder / "best.safetensors").unlink()
    elif damage == "rubbish":
        stage.write_bytes(b"\xff{")
    elif damage == "foreign":
        stage.write_text(stage.read_text().replace(KEY, "f" * 16))
    else:
        stage.write_text("{}")
    assert store.finished(KEY) is None
    assert "the stage is trained again" in caplog.text


def test_a_record_belongs_to_its_folder(store: StageStore) -> None:
    fill(store, KEY)
    with pytest.raises(ValueError, match="does not belong to stage"):
        store.finish(KEY, record(key="f" * 16))


HOLD = """
import sys, time
from pathlib import Path
from seqrl.training.store import StageStore
with StageStore(Path(sys.argv[1])).lock(sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def holder(store: StageStore, key: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of a stage."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.root), key], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_lock_of_a_killed_process_is_free_and_its_name_is_told(
    store: StageStore, caplog: pytest.LogCaptureFixture
) -> None:
    with holder(store, KEY) as process:
        assert not store.is_free(KEY)
        assert store.is_free("f" * 16)
        killer = threading.Timer(0.3, os.kill, (process.pid, signal.SIGKILL))
        killer.start()
        with caplog.at_level(logging.WARNING), store.lock(KEY):
            assert process.wait() == -signal.SIGKILL
            owner = json.loads((store.root / ".locks" / f"{KEY}.json").read_text())
            assert owner["pid"] == os.getpid()
    (message,) = [entry.getMessage() for entry in caplog.records]
    assert message.startswith(f"waiting for process {process.pid} on ")
    assert KEY in message


def test_a_free_lock_is_taken_at_once_and_given_back_after_an_error(
    store: StageStore, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        with store.lock(KEY):
            assert not store.is_free(KEY)
            raise ZeroDivisionError

    begin = time.monotonic()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            fail()
    assert store.is_free(KEY)
    assert time.monotonic() - begin < 0.5
    assert not caplog.records
    assert not (store.root / ".locks" / f"{KEY}.json").exists()


def add_run(outputs: Path, name: str, stages: dict[str, str]) -> Path:
    folder = outputs / name
    folder.mkdir(parents=True)
    (folder / "stages.json").write_text(json.dumps(stages))
    return folder


def test_garbage_is_what_no_run_names_and_nobody_trains(store: StageStore) -> None:
    outputs = store.root.parent
    used, shared, unused, unfinished, training = (c * 16 for c in "abcde")
    for key in (used, shared, unused, unfinished, training):
        fill(store, key)
    store.finish(unused, record(key=unused))
    add_run(outputs, "phrases/mle/00000001/seed1", {"actor": shared})
    add_run(outputs, "phrases/erac/00000002/seed1", {"actor": shared, "critic": used})
    with holder(store, training):
        expected = [store.folder(unused), store.folder(unfinished)]
        assert collect_garbage(outputs, dry_run=True) == expected
        assert all(folder.exists() for folder in expected)
        assert collect_garbage(outputs) == expected
    left = {path.name for path in store.root.iterdir()}
    assert left == {".locks", used, shared, training}
    assert collect_garbage(outputs) == [store.folder(training)]


def test_nothing_is_removed_while_a_run_does_not_say_what_it_uses(store: StageStore) -> None:
    outputs = store.root.parent
    fill(store, KEY)
    run = add_run(outputs, "phrases/mle/00000001/seed1", {})
    (run / "stages.json").write_text('{"actor": ')
    with pytest.raises(ValueError, match=r"seed1/stages\.json does not say"):
        collect_garbage(outputs)
    assert store.folder(KEY).exists()


def test_outputs_without_stages_hold_no_garbage(tmp_path: Path) -> None:
    assert collect_garbage(tmp_path) == []
    assert list(tmp_path.iterdir()) == []

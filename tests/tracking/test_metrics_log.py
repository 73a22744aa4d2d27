"""metrics.jsonl: what is written is read, and a resumed file has the bytes of an unbroken one."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqrl.tracking.files import NON_FINITE
from seqrl.tracking.metrics_log import (
    MetricsLog,
    Record,
    as_line,
    merge_metrics,
    read_metrics,
    read_records,
)


def record(step: int) -> Record:
    return {"step": step, "epoch": step // 4, "train/loss": 1 / (step + 3), "dev/bleu": None}


def write(path: Path, steps: range) -> list[int]:
    log = MetricsLog(path)
    offsets = []
    for step in steps:
        log.write(record(step))
        offsets.append(log.sync())
    log.close()
    return offsets


def test_lines_are_json_with_keys_in_order_and_exact_floats(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "metrics.jsonl"
    log = MetricsLog(path)
    log.write({"step": 3, "stage": "é\n", "b": 0.1 + 0.2, "a": None})
    log.write({"nan": math.nan, "up": math.inf, "down": -math.inf})
    log.close()
    assert path.read_bytes() == (
        b'{"step": 3, "stage": "\\u00e9\\n", "b": 0.30000000000000004, "a": null}\n'
        b'{"nan": "nan", "up": "inf", "down": "-inf"}\n'
    )
    first, second = read_metrics(path)
    assert list(first.items()) == [("step", 3), ("stage", "é\n"), ("b", 0.1 + 0.2), ("a", None)]
    assert math.isnan(second["nan"])  # type: ignore[arg-type]
    assert (second["up"], second["down"]) == (math.inf, -math.inf)


values = st.none() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(st.dictionaries(st.text(), values.filter(lambda value: value not in NON_FINITE)))
def test_every_record_is_one_line_that_reads_back(
    tmp_path_factory: pytest.TempPathFactory, entry: Record
) -> None:
    path = tmp_path_factory.getbasetemp() / "property.jsonl"
    log = MetricsLog(path)
    log.truncate(0)
    log.write(entry)
    log.close()
    assert path.read_bytes().count(b"\n") == 1
    assert read_metrics(path) == [entry]


@pytest.mark.parametrize("value", [[1], {"a": 1}, b"x", 1j])
def test_a_value_that_is_not_plain_is_refused_by_name(tmp_path: Path, value: object) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    with pytest.raises(TypeError, match=r"metric 'train/x' is a \w+"):
        log.write({"step": 1, "train/x": value})  # type: ignore[dict-item]
    assert log.sync() == 0


def test_a_string_that_means_a_float_is_refused(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    with pytest.raises(ValueError, match="which means a float"):
        log.write({"word": "nan"})


def test_records_are_on_the_disk_after_sync_only(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    log.write(record(0))
    assert path.stat().st_size == 0
    assert log.sync() == path.stat().st_size > 0


def test_a_resumed_file_is_byte_identical(tmp_path: Path) -> None:
    unbroken, resumed = tmp_path / "unbroken.jsonl", tmp_path / "resumed.jsonl"
    offsets = write(unbroken, range(20))
    for checkpoint in range(20):
        resumed.unlink(missing_ok=True)
        write(resumed, range(checkpoint + 1))
        write(resumed, range(100, 103))
        with resumed.open("ab") as file:
            file.write(b'{"step": 104, "tr')
        log = MetricsLog(resumed)
        log.truncate(offsets[checkpoint])
        for step in range(checkpoint + 1, 20):
            log.write(record(step))
        log.close()
        assert resumed.read_bytes() == unbroken.read_bytes()


def test_unsynced_records_are_dropped_by_truncate(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write(record(0))
    offset = log.sync()
    log.write(record(1))
    log.truncate(offset)
    assert log.sync() == offset
    assert read_metrics(log.path) == [record(0)]


@pytest.mark.parametrize("offset", [-1, 1, 10, 10_000])
def test_an_offset_where_no_record_ends_is_refused(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, range(3))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="no record ends at byte"):
        MetricsLog(path).truncate(offset)
    assert path.read_bytes() == before


def test_a_torn_last_line_is_not_read_at_any_length(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    offsets = write(path, range(3))
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        expected = sum(offset <= length for offset in offsets)
        assert read_metrics(path) == [record(step) for step in range(expected)]


def test_a_log_that_continues_a_torn_file_starts_a_new_line(tmp_path: Path) -> None:
    path = tmp_path / "timings.jsonl"
    write(path, range(2))
    os.truncate(path, path.stat().st_size - 5)
    write(path, range(7, 8))
    assert read_metrics(path) == [record(0), record(7)]


@pytest.mark.parametrize("line", [b"\0\0\n", b'{"a": }\n', b"[1]\n", b"\n"])
def test_damage_in_the_middle_is_an_error_that_says_where(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"a": 1}\n' + line + b'{"a": 2}\n')
    with pytest.raises(ValueError, match=rf"metrics\.jsonl: damaged .* byte {9 + len(line)}"):
        read_metrics(path)


def test_reading_continues_at_the_end_of_a_record(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    offsets = write(path, range(5))
    assert [end for end, _ in read_records(path)] == offsets
    assert list(read_records(path, offsets[2])) == [
        (offsets[3], record(3)),
        (offsets[4], record(4)),
    ]
    assert list(read_records(path, offsets[4])) == []


def test_a_run_has_the_records_of_its_stages_in_order(tmp_path: Path) -> None:
    actor, joint, target = (tmp_path / name for name in ("actor", "joint", "run/metrics.jsonl"))
    write(actor, range(2))
    log = MetricsLog(joint)
    log.write({"step": 1, "stage": "wrong", "loss": math.nan})
    log.close()
    with joint.open("ab") as file:
        file.write(b'{"torn')
    merge_metrics(target, [("actor", actor), ("joint", joint)])
    assert target.read_bytes() == b"".join(
        as_line(line)
        for line in (
            {"stage": "actor", **record(0)},
            {"stage": "actor", **record(1)},
            {"stage": "joint", "step": 1, "loss": "nan"},
        )
    )
    assert [json.loads(line)["stage"] for line in target.open()] == ["actor", "actor", "joint"]


def test_a_merge_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target, actor = tmp_path / "metrics.jsonl", tmp_path / "actor"
    target.write_text("old\n")
    write(actor, range(2))
    with pytest.raises(FileNotFoundError):
        merge_metrics(target, [("actor", actor), ("critic", tmp_path / "absent")])
    assert target.read_text() == "old\n"
    assert sorted(os.listdir(tmp_path)) == ["actor", "metrics.jsonl"]


def log_forever(path: Path) -> None:
    log = MetricsLog(path)
    for step in range(10_000_000):
        log.write(record(step))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_process_leaves_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    process = multiprocessing.get_context("fork").Process(target=log_forever, args=(path,))
    process.start()
    while not path.exists() or path.stat().st_size < 100_000:
        pass
    process.kill()
    process.join()
    records = read_metrics(path)
    assert records == [record(step) for step in range(len(records))]
    assert len(records) > 1000

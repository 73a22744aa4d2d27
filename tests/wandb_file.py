"""Reads the record that W&B writes offline, to compare it with metrics.jsonl.

The file is read by its format, which is that of LevelDB's log: blocks of 32 KiB, in each of
which stand chunks of a 7-byte head (checksum, length, kind) and a body; a record is one whole
chunk, or a first, middle and last ones.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqrl.tracking.metrics_log import read_metrics

BLOCK = 32 * 1024
HEAD = struct.Struct("<IHB")
WHOLE, LAST = 1, 4


def offline_records(path: Path) -> Iterator[Any]:
    """The protobuf records of a `.wandb` file, checksums verified."""
    from wandb.proto.wandb_internal_pb2 import Record as Message

    data = path.read_bytes()
    assert data[:6] == b":W&B\xe1\xbe"
    position, body = 7, b""
    while position + HEAD.size <= len(data):
        left_in_block = BLOCK - position % BLOCK
        if left_in_block < HEAD.size:
            position += left_in_block
            continue
        checksum, length, kind = HEAD.unpack_from(data, position)
        start = position + HEAD.size
        chunk = data[start : start + length]
        assert zlib.crc32(chunk, zlib.crc32(bytes([kind]))) == checksum
        position = start + length
        body += chunk
        if kind in (WHOLE, LAST):
            message = Message()
            message.ParseFromString(body)
            body = b""
            yield message


def offline_file(folder: Path) -> Path:
    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    return path


def offline_history(folder: Path) -> list[dict[str, Any]]:
    """The logged values of each step, W&B's own time stamps left out."""
    history = []
    for message in offline_records(offline_file(folder)):
        if message.WhichOneof("record_type") == "history":
            items = {
                "/".join(item.nested_key) or item.key: json.loads(item.value_json)
                for item in message.history.item
            }
            assert items.pop("_step") == message.history.step.num
            history.append({k: v for k, v in items.items() if k[0] != "_"})
    return history


def expected(metrics: Path) -> list[dict[str, Any]]:
    """What W&B is to hold: the records, and the updates of all stages together."""
    history, before, last, stage = [], 0, 0, None
    for record in read_metrics(metrics):
        if record["stage"] != stage:
            stage, before, last = record["stage"], before + last, 0
        assert isinstance(record["step"], int)
        last = record["step"]
        history.append({**record, "updates": before + last})
    return history


def assert_mirrored(folder: Path) -> None:
    metrics = folder / "metrics.jsonl"
    assert repr(sorted_items(offline_history(folder))) == repr(sorted_items(expected(metrics)))


def sorted_items(history: list[dict[str, Any]]) -> list[list[tuple[str, Any]]]:
    return [
        sorted((k, float(v) if isinstance(v, int | float) else v) for k, v in step.items())
        for step in history
    ]

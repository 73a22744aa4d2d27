"""Checkpoints that survive a crash at any instant, and run no code when they are loaded.

A checkpoint is the file that `torch.save` writes, followed by `MAGIC` and the SHA-256 of all
bytes before. It is replaced in an order that leaves, at every instant, one whole file that
`load_checkpoint` finds, either under its name or as `<name>.previous`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch
from torch import Tensor

from seqrl.tracking.files import (
    sync_folder,
    temporary_file,
    write_bytes_atomic,
    write_json_atomic,
    write_text_atomic,
)

__all__ = [
    "CheckpointError",
    "load_checkpoint",
    "load_weights",
    "save_checkpoint",
    "save_weights",
    "write_json_atomic",
    "write_text_atomic",
]

logger = logging.getLogger(__name__)

MAGIC = b"seqrl-checkpoint"
TRAILER = len(MAGIC) + hashlib.sha256().digest_size
BLOCK = 1 << 20
CHECKSUM = "sha256"


class CheckpointError(Exception):
    """A file exists and cannot be read; the message says which, why, and what to do."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state`, keeping the file that was there as `<name>.previous`.

    `state` may hold tensors, bools, ints, floats, strings, None, lists, tuples and dicts;
    TypeError names the place of anything else, before a file is touched.
    """
    plain = _plain(state, "state")
    for stale in path.parent.glob(f".{path.name}.*.tmp"):
        stale.unlink(missing_ok=True)
    with temporary_file(path) as (temporary, file):
        writer = _HashingWriter(file)
        try:
            torch.save(plain, cast(IO[bytes], writer))
        except RuntimeError as error:
            raise writer.problem or error from None
        file.write(MAGIC + writer.digest())
    _replace_keeping_previous(path, temporary)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The last state saved under `path`, its tensors on the CPU.

    A damaged file is passed over, with a warning, for the previous one. CheckpointError when
    files exist and none is whole; FileNotFoundError when there is none.
    """
    previous = _previous(path)
    problems = []
    for candidate in (path, previous):
        try:
            state = _load_verified(candidate)
        except FileNotFoundError:
            continue
        except CheckpointError as error:
            problems.append(str(error))
            continue
        if problems:
            logger.warning("%s; continuing from %s", problems[0], candidate)
        return state
    if problems:
        raise CheckpointError("; ".join(problems) + "; remove the files to start anew")
    raise FileNotFoundError(f"no checkpoint at {path}")


def save_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Write named tensors as safetensors, atomically; each name has its own copy."""
    from safetensors.torch import save

    copies = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in weights.items()
    }
    write_bytes_atomic(path, save(copies, metadata={CHECKSUM: _checksum(copies)}))


def load_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU; CheckpointError when it is damaged.

    A file of another program may be without our checksum.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = path.read_bytes()
    try:
        weights = load(data)
        head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} holds no whole weights: {error}") from None
    checksum = head.get("__metadata__", {}).get(CHECKSUM)
    if checksum is not None and checksum != _checksum(weights):
        raise CheckpointError(f"{path} is damaged: its checksum does not match")
    return weights


def _checksum(weights: dict[str, Tensor]) -> str:
    """SHA-256 of contiguous tensors on the CPU: their names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class _HashingWriter:
    """Passes bytes on to a file and hashes them on their way: all that `torch.save` calls."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.problem: OSError | None = None  # which `torch.save` replaces by one of its own

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.problem = error
            raise

    def flush(self) -> None:
        self._file.flush()

    def digest(self) -> bytes:
        return self._hash.digest()


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".previous")


def _replace_keeping_previous(path: Path, temporary: Path) -> None:
    """Move `temporary` to `path`, and what was there to `<name>.previous`.

    The old file gets a second name before it loses its first, and the old previous one goes
    only after the new one is in place: even if `path` was damaged, a whole file is found.
    """
    second_name = path.with_name(f".{path.name}.old")
    second_name.unlink(missing_ok=True)
    had_one = path.exists()
    if had_one:
        try:
            os.link(path, second_name)
        except OSError:  # a file system without hard links
            os.replace(path, _previous(path))
            had_one = False
    os.replace(temporary, path)
    sync_folder(path.parent)
    if had_one:
        os.replace(second_name, _previous(path))
        sync_folder(path.parent)


def _load_verified(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        _verify(path, file)
        file.seek(0)
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            raise CheckpointError(f"{path} is no checkpoint of plain tensors: {error}") from None
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__} and no state")
    return state


def _verify(path: Path, file: BinaryIO) -> None:
    """CheckpointError unless the file ends in the checksum of what stands before."""
    remaining = path.stat().st_size - TRAILER
    digest = hashlib.sha256()
    while block := file.read(max(0, min(BLOCK, remaining))):
        digest.update(block)
        remaining -= len(block)
    if remaining != 0 or file.read() != MAGIC + digest.digest():
        raise CheckpointError(f"{path} is damaged: its checksum does not match")


def _plain(value: Any, place: str) -> Any:
    """A copy of nested containers whose leaves are all plain; `place` is where `value` stands.

    Types are compared exactly: a subclass (of float by numpy, of dict by a library) would need
    its own code to be loaded.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is Tensor:
        return _compact(value, place)
    if type(value) in (list, tuple):
        items = [_plain(item, f"{place}[{index}]") for index, item in enumerate(value)]
        return items if type(value) is list else tuple(items)
    if type(value) in (dict, OrderedDict):
        for key in value:
            if type(key) not in (str, int):
                raise TypeError(f"{place} has the key {key!r}: neither a string nor an int")
        return {key: _plain(item, f"{place}[{key!r}]") for key, item in value.items()}
    raise TypeError(f"{place} is a {type(value).__qualname__}: not allowed in a checkpoint")


def _compact(tensor: Tensor, place: str) -> Tensor:
    """The tensor without gradient; a copy where it is a small part of a larger storage."""
    if tensor.layout is not torch.strided or tensor.is_meta or tensor.is_quantized:
        raise TypeError(f"{place} is a tensor without plain storage: not allowed in a checkpoint")
    tensor = tensor.detach()
    used = math.prod(tensor.shape) * tensor.element_size()
    return tensor if tensor.untyped_storage().nbytes() == used else tensor.clone()

"""How far updates are from what the machine could do at best.

An update multiplies and adds so many numbers in products of matrices, and its operations read and
write so many bytes. At the rates that the machine reaches in one large product and in one long copy
these would take

    operations / matrix rate        and        bytes / bandwidth.

No update is faster than the first. The second counts every operation as if it found nothing in a
cache: fused operations, and tensors that stay in a cache, do better.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol

import torch
from parts import timed
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from seqrl.types import Batch

aten = torch.ops.aten


@dataclass(frozen=True)
class Work:
    """What one update does."""

    operations: int
    bytes: int


@dataclass(frozen=True)
class Machine:
    """Operations and bytes a second, measured."""

    matrix_rate: float
    bandwidth: float


@dataclass(frozen=True)
class Floors:
    """Medians over batches: seconds at the two rates, and those that the update took."""

    operations: float
    bytes: float
    matrix_seconds: float
    memory_seconds: float
    seconds: float


class Row(Protocol):
    """Something that makes an update."""

    def update(self, batch: Batch, number: int) -> None: ...


class Traffic(TorchDispatchMode):
    """Counts the bytes of the tensors that operations read and write; a view moves nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if not (func.is_view or func in UNTOUCHED):
            self.bytes += size_of((args, kwargs)) + size_of(found)
        return found


UNTOUCHED = {aten.detach.default, aten.empty.memory_format, aten.empty_like.default}


def size_of(values: Any) -> int:
    """Bytes of all tensors in nested containers; an expanded number counts once."""
    tensors = (value for value in tree_leaves(values) if isinstance(value, Tensor))
    return sum(min(t.numel() * t.element_size(), t.untyped_storage().nbytes()) for t in tensors)


def recurrent(passes: int) -> Callable[..., int]:
    """Operations of a recurrent layer: two for each number of its matrices, row and pass."""

    def count(values: Tensor, first: Any, second: Any, *_: Any, **__: Any) -> int:
        matrices = [first, second] if isinstance(first, Tensor) else first  # or a list of all
        numbers = sum(weight.numel() for weight in matrices if weight.dim() == 2)
        return 2 * passes * numbers * (values.numel() // values.shape[-1])

    count._get_raw = True  # type: ignore[attr-defined]  # it is given tensors, not shapes
    return count


RECURRENT = {
    aten.mkldnn_rnn_layer: recurrent(1),
    aten.mkldnn_rnn_layer_backward: recurrent(2),  # for what it reads, and for its weights
    aten._cudnn_rnn: recurrent(1),
    aten._cudnn_rnn_backward: recurrent(2),
}
"""Operations that hold products of matrices and are unknown to the library's counter."""


def work_of(action: Callable[[], None]) -> Work:
    """What an action does, its way back included."""
    with (
        FlopCounterMode(display=False, custom_mapping=RECURRENT) as operations,
        Traffic() as traffic,
    ):
        action()
    return Work(operations.get_total_flops(), traffic.bytes)


def measure_machine(device: torch.device, precision: torch.dtype, repeats: int = 9) -> Machine:
    """The rates of a product of two matrices and of a copy that fits into no cache."""
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.rand(size, size, device=device).to(precision) for _ in range(2))
    here = torch.rand(2**28 if device.type == "cuda" else 2**26, device=device)
    there = torch.empty_like(here)
    product = min(timed(lambda: a @ b) for _ in range(repeats))
    copy = min(timed(lambda: there.copy_(here)) for _ in range(repeats))
    return Machine(2 * size**3 / product, 2 * here.numel() * here.element_size() / copy)


def measure_floors(
    rows: Mapping[str, Row], batches: Iterable[Batch], machine: Machine
) -> dict[str, Floors]:
    """By row; each update is made three times, and the fastest counts."""
    found: dict[str, list[Floors]] = {name: [] for name in rows}
    for number, batch in enumerate(islice(batches, 5)):
        for name, row in rows.items():
            update = partial(row.update, batch, number)
            work, seconds = work_of(update), min(timed(update) for _ in range(3))
            matrix = work.operations / machine.matrix_rate
            memory = work.bytes / machine.bandwidth
            found[name].append(Floors(work.operations, work.bytes, matrix, memory, seconds))
    fields = list(Floors.__dataclass_fields__)
    return {
        name: Floors(*(statistics.median(getattr(one, field) for one in own) for field in fields))
        for name, own in found.items()
    }


def floors_table(found: Mapping[str, Floors], machine: Machine) -> list[str]:
    """A line a row: what it does, the two floors, what it takes."""
    heads = ["GFLOP", "MB", "ms, matrix", "ms, memory", "ms", "of matrix"]
    lines = [
        f"{machine.matrix_rate / 1e9:,.0f} GFLOP/s in a product of matrices, "
        f"{machine.bandwidth / 1e9:,.1f} GB/s in a copy",
        f"{'update':<22}" + "".join(f"{head:>12}" for head in heads),
    ]
    for row, one in found.items():
        cells = [
            f"{one.operations / 1e9:.2f}",
            f"{one.bytes / 1e6:.0f}",
            f"{1000 * one.matrix_seconds:.1f}",
            f"{1000 * one.memory_seconds:.1f}",
            f"{1000 * one.seconds:.1f}",
            f"{one.seconds / one.matrix_seconds:.2f}",
        ]
        lines.append(f"{row:<22}" + "".join(f"{cell:>12}" for cell in cells))
    return lines

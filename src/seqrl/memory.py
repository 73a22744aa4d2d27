"""Where memory runs out: on a CUDA device, or what the CPU's allocator says of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from seqrl.types import Batch

FoundT = TypeVar("FoundT")


class OutOfMemory(Exception):
    """Smaller parts do not help; the message says what does."""


def ran_out(error: RuntimeError) -> bool:
    """Whether the error is a lack of memory; the CPU's allocator has no class of its own for it."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def in_parts(work: Callable[[Batch], FoundT], batch: Batch) -> list[FoundT]:
    """What `work` makes of a batch, or of its halves, or of theirs, as far as memory asks for it.

    For work whose results can be put together, and that leaves nothing behind where it fails.
    """
    try:
        return [work(batch)]
    except RuntimeError as error:
        if len(batch) == 1 or not ran_out(error):
            raise
    # out of the handler, which would keep the tensors that did not fit
    release()
    return [found for half in batch.split(-(-len(batch) // 2)) for found in in_parts(work, half)]


def release() -> None:
    """Give back what a CUDA device keeps of freed memory, which may lie in pieces."""
    torch.cuda.empty_cache()  # which does nothing where there is none

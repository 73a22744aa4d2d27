"""Several processes that train one run together, each on its share of every batch.

    torchrun --nproc-per-node 2 -m seqrl.cli.train algorithm=erac

Each has all weights and all data. Gradients of the shares are added up, after which all do the
same. The first process alone reads and writes the run's folder; what it finds there it tells the
others, which say nothing. Whoever dies takes all with him, see `Watch`.

Nothing of `torch.distributed` is imported in a process that is alone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from seqrl.training.stopping import Preempted

if TYPE_CHECKING:
    from torch import Tensor, nn

    from seqrl.types import Batch

FoundT = TypeVar("FoundT")

PATIENCE = timedelta(days=30)
"""For the others, while the first prepares data, validates, or waits for another run's stage."""

GRACE = 10.0
"""Seconds for a process to notice by itself that another one is gone."""

PARTING = 20.0
"""Seconds that the others wait for the first when all leave in order."""

BUCKET = 1 << 25
"""Numbers that are added up in one call, about."""


class Lost(RuntimeError):
    """Another process of the run is gone."""


def process_count() -> int:
    """Processes that train together, as torchrun has set it; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def is_first() -> bool:
    """Whether this process is the one that reads, writes and speaks."""
    return process_count() == 1 or os.environ["RANK"] == "0"


def local_number() -> int | None:
    """This process among those of its machine; none where it is alone."""
    if process_count() == 1:
        return None
    return int(os.environ.get("LOCAL_RANK", os.environ["RANK"]))


class Ranks:
    """A process that is alone: what several would have to exchange is what it has itself.

    count  of processes
    index  of this one
    """

    count: int = 1
    index: int = 0

    @property
    def is_first(self) -> bool:
        return self.index == 0

    def share(self, batch: Batch) -> Batch:
        """The sentences of a batch that this process learns; maybe none."""
        return batch

    def any(self, here: bool) -> bool:
        """Whether it is so in any process."""
        return here

    def gathered(self, value: FoundT) -> list[FoundT]:
        """What each has, in their order."""
        return [value]

    def alike(self, work: Callable[[], FoundT]) -> FoundT:
        """What each makes of it by itself, or the exception that one of them raises."""
        return work()

    def first(self, work: Callable[[], FoundT]) -> FoundT:
        """What the first process makes of it, or the exception that it raises."""
        return work()

    @contextmanager
    def held(self, what: AbstractContextManager[Any]) -> Iterator[None]:
        """The block, inside a context that the first process alone is in."""
        with what:
            yield

    def add_up(
        self, learners: Mapping[str, nn.Module], present: set[str], check: Tensor
    ) -> tuple[set[str], Tensor]:
        """Replace all gradients by their sums over the processes.

        present  learners that have some here; returned is who has some anywhere
        check    a scalar, which is added up as well
        """
        return present, check


ALONE = Ranks()


class Group(Ranks):
    """One of several processes. What only numbers can tell goes through the CPUs, by gloo."""

    def __init__(self) -> None:
        import torch.distributed as dist

        self.index, self.count = dist.get_rank(), dist.get_world_size()

    def share(self, batch: Batch) -> Batch:
        start, stop = (-(-len(batch) * i // self.count) for i in (self.index, self.index + 1))
        return batch.part(start, stop)

    def any(self, here: bool) -> bool:
        import torch
        import torch.distributed as dist

        found = torch.tensor(here, dtype=torch.uint8)
        with together():
            dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found)

    def gathered(self, value: FoundT) -> list[FoundT]:
        import torch.distributed as dist

        found: list[Any] = [None] * self.count
        with together():
            dist.all_gather_object(found, value)
        return found

    def alike(self, work: Callable[[], FoundT]) -> FoundT:
        found, problem = None, None
        try:
            found = work()
        except (Exception, Preempted) as error:
            problem = error
        if self.any(problem is not None):
            others = next(filter(None, self.gathered(problem)))
            raise problem or others
        return found  # type: ignore[return-value]

    def first(self, work: Callable[[], FoundT]) -> FoundT:
        import torch
        import torch.distributed as dist

        outcome: list[Any] = [None, None]
        if self.is_first:
            try:
                outcome[0] = work()
            except (Exception, Preempted) as error:
                outcome[1] = error
        told = list(outcome)
        with together():
            dist.broadcast_object_list(told, src=0, device=torch.device("cpu"))
        found, problem = outcome if self.is_first else told
        if problem is not None:
            raise problem
        return found  # type: ignore[no-any-return]

    @contextmanager
    def held(self, what: AbstractContextManager[Any]) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            # what a context gives is the first's own; that it was entered is what the others need
            self.first(lambda: stack.enter_context(what) and None)
            yield

    def add_up(
        self, learners: Mapping[str, nn.Module], present: set[str], check: Tensor
    ) -> tuple[set[str], Tensor]:
        import torch
        import torch.distributed as dist

        weights = [p for name in learners for p in learners[name].parameters()]
        has = [name in present for name in learners] + [p.grad is not None for p in weights]
        marks = torch.tensor(has, dtype=torch.uint8)
        with together():
            dist.all_reduce(marks, dist.ReduceOp.MAX)
        everywhere = marks.bool().tolist()
        present = {name for name, mark in zip(learners, everywhere, strict=False) if mark}
        gradients = []
        for weight, mark in zip(weights, everywhere[len(learners) :], strict=True):
            if mark:
                weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
                gradients.append(weight.grad)
        check = check.reshape(1).to(gradients[0])
        for bucket in buckets([check, *gradients]):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            with together():
                dist.all_reduce(flat)
            sums = torch.split(flat, [tensor.numel() for tensor in bucket])
            for tensor, total in zip(bucket, sums, strict=True):
                tensor.copy_(total.view_as(tensor))
        return present, check.squeeze(0)


def buckets(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors of one type and device each, in order, of about `BUCKET` numbers together."""
    kinds: dict[Any, list[Tensor]] = {}
    for tensor in tensors:
        kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    for alike in kinds.values():
        bucket, size = list[Any](), 0
        for tensor in alike:
            bucket.append(tensor)
            size += tensor.numel()
            if size >= BUCKET:
                yield bucket
                bucket, size = [], 0
        if bucket:
            yield bucket


@contextmanager
def together() -> Iterator[None]:
    """Something that all processes do; Lost where one is gone."""
    try:
        yield
    except RuntimeError as error:
        raise Lost(f"another process of this run is gone ({str(error).splitlines()[0]})") from error


@contextmanager
def joined(lost: Callable[[str], None] = lambda reason: None) -> Iterator[Ranks]:
    """What this process is among those that torchrun has started.

    lost  told, before the first process is ended, that another one is gone
    """
    if process_count() == 1:
        yield ALONE
        return
    import torch
    import torch.distributed as dist

    # NCCL connects the devices when they first have something to add up, which on a CPU is never
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE
    )
    ranks = Group()
    watch = Watch(ranks, lost)
    yield ranks
    if watch.leave():
        dist.destroy_process_group()


class Watch:
    """A connection of each process with the first, which ends with either of the two.

    A process that waits for one that is gone may wait for ever: inside a kernel of a device, or
    for a validation. So whoever sees a connection end that nobody has taken leave on has
    `GRACE` seconds, and ends at once if its own work has not ended by then.
    """

    def __init__(self, ranks: Ranks, lost: Callable[[str], None]) -> None:
        self._lost = lost
        self._leaving = False
        self._whole = True
        self._is_first = ranks.is_first
        server = socket.create_server(("", 0)) if ranks.is_first else None
        address = ranks.first(
            lambda: (server.getsockname()[1] if server else 0, secrets.token_bytes(16))
        )
        self._peers = self._connected(ranks.count, server, *address)
        self._parted = threading.Semaphore(0)
        for peer in self._peers:
            threading.Thread(target=self._listen, args=(peer,), daemon=True).start()

    def _connected(
        self, count: int, server: socket.socket | None, port: int, token: bytes
    ) -> list[socket.socket]:
        if server is None:
            peer = socket.create_connection((os.environ["MASTER_ADDR"], port), timeout=60)
            peer.sendall(token)
            return [_kept_alive(peer)]
        peers: list[socket.socket] = []
        with server:
            while len(peers) < count - 1:
                peer, _ = server.accept()
                peer.settimeout(60)
                if peer.recv(len(token), socket.MSG_WAITALL) == token:  # nobody else's
                    peers.append(_kept_alive(peer))
        return peers

    def _listen(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if peer.recv(1):
                self._parted.release()
                return
        self._whole = False
        self._parted.release()
        time.sleep(GRACE)
        if not self._leaving:
            reason = "another process of this run is gone"
            print(reason, file=sys.__stderr__, flush=True)
            if self._is_first:
                with contextlib.suppress(OSError):
                    self._lost(reason)
            os._exit(1)

    def leave(self) -> bool:
        """Take leave; whether all others do.

        They wait for the first, whose end would else be cut short by what started them.
        """
        self._leaving = True
        deadline = time.monotonic() + PARTING
        if not self._is_first:
            self._parted.acquire(timeout=PARTING)
        for peer in self._peers:
            with contextlib.suppress(OSError):
                if self._whole:
                    peer.sendall(b".")
                else:  # for those who do not notice it by themselves
                    peer.shutdown(socket.SHUT_RDWR)
        if self._is_first:
            for _ in self._peers:
                self._parted.acquire(timeout=max(0.0, deadline - time.monotonic()))
        return self._whole


def _kept_alive(peer: socket.socket) -> socket.socket:
    """A connection that ends half a minute after the machine at its other end."""
    peer.settimeout(None)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return peer

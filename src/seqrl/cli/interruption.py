"""Requests to stop, noted while somebody looks for them."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, ClassVar, Self

from seqrl.training.stopping import Preempted

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
STOPPED = "stopped on request; the same command continues"


class Interruption:
    """Inside the block, notes the first signal of each kind; a second one ends the process at once.

    Python hears of signals between two of its own steps. So that the second one ends a long call
    of a library too, a thread counts them as they come.

    Saves nothing: whoever has something to save asks, at a point of his choice, whether a
    signal came. Blocks may stand in each other; what one knows, all know.

    signals  that came
    """

    _outer: ClassVar[Interruption | None] = None

    def __init__(self) -> None:
        self.signals = set[int]()
        self._before: dict[int, Any] = {}
        self._raises = False
        self._within: Interruption | None = None
        self._wakeup = -1

    def __enter__(self) -> Self:
        self._within = Interruption._outer
        if self._within is not None:
            self.signals = self._within.signals
        else:
            Interruption._outer = self
            ours, self._waker = socket.socketpair()
            self._waker.setblocking(False)
            self._wakeup = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
            threading.Thread(target=_count, args=(ours,), daemon=True).start()
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        if self._within is None:
            for number, handler in self._before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._wakeup)
            self._waker.close()
            Interruption._outer = None

    def __call__(self) -> bool:
        return bool(self.signals)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """A block of work that leaves nothing to save: a signal, one noted before too, ends it.

        Raises Preempted.
        """
        outermost = self._within or self
        before = outermost._raises
        outermost._raises = True
        try:
            if outermost.signals:
                raise Preempted
            yield
        finally:
            outermost._raises = before and not outermost.signals

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signals.add(number)
        signal.signal(number, signal.SIG_DFL)
        if self._raises:
            self._raises = False  # another kind of signal is not to break off the cleaning up
            raise Preempted


def _count(signals: socket.socket) -> None:
    """Leave as a shell tells of a signal, when one comes again that nobody has looked at."""
    seen = set[int]()
    with signals:
        while number := int.from_bytes(signals.recv(1)):
            if number in seen:
                os._exit(128 + number)
            if number in SIGNALS:
                seen.add(number)

"""Where the time of an update goes: calls of watched objects, each second charged to one phase."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Stopwatch:
    """Seconds by phase. Within a phase another one may run, whose seconds are its own.

    on  off: nothing is measured, and on a CUDA device nothing waits
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.on = False
        self.seconds: dict[str, float] = {}
        self._stack: list[str] = []
        self._since = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        if not self.on:
            yield
            return
        self._charge()
        self._stack.append(name)
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    def watch(self, owner: Any, method: str, name: str, *, within: str | None = None) -> None:
        """Calls of the method are the phase `name`, unless they are part of the phase `within`.

        The owner becomes one of a class of its own, so that copies of it are watched too, each
        with its own weights.
        """
        kind = type(owner)
        call: Callable[..., Any] = getattr(kind, method)

        def watched(owner: Any, *arguments: Any, **named: Any) -> Any:
            if within is not None and within in self._stack:
                return call(owner, *arguments, **named)
            with self.phase(name):
                return call(owner, *arguments, **named)

        owner.__class__ = type(kind.__name__, (kind,), {method: watched})

    def now(self) -> float:
        """The time when the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _charge(self) -> None:
        now = self.now()
        if self._stack:
            name = self._stack[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now

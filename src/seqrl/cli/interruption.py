"""Requests to stop, noted while somebody looks for them."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


class Interruption:
    """Inside the block, notes the first of the signals; a second one stops the process at once.

    Blocks may stand in each other: what the inner one noted, the outer one knows.

    signals  that came
    """

    def __init__(self) -> None:
        self.signals = set[int]()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
            outer = getattr(handler, "__self__", None)
            if isinstance(outer, Interruption):
                outer.signals |= self.signals

    def __call__(self) -> bool:
        return bool(self.signals)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signals.add(number)
        signal.signal(number, signal.SIG_DFL)

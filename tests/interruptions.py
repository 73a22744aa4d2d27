"""Stand-ins for `Interruption`, for runs that are stopped where a test wants it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any


class Never(nullcontext[None]):
    """Stands in the place of `Interruption`; asks for no stop."""

    def __enter__(self) -> Any:
        return self

    def at_once(self) -> nullcontext[None]:
        return nullcontext()

    def __call__(self) -> bool:
        return False


class After(Never):
    """Asks for a stop after so many updates of the whole process."""

    def __init__(self, updates: int) -> None:
        super().__init__()
        self.left = updates

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0

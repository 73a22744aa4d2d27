"""How work ends that somebody asked to stop. Imports nothing slow."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

FoundT = TypeVar("FoundT")


class Preempted(BaseException):
    """Somebody asked the process to stop; what was learned is saved.

    No `Exception`, so that it passes whatever handles errors.
    """


AtOnce = Callable[[], AbstractContextManager[None]]
"""A block of work that leaves nothing to save: whoever asks to stop ends it where it is."""


def within(at_once: AtOnce, work: Callable[[], FoundT]) -> FoundT:
    """What the work makes, all of it in such a block."""
    with at_once():
        return work()

"""What constructors require of their arguments, one at a time or all told together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_kept: ContextVar[list[str] | None] = ContextVar("kept", default=None)


def require(condition: bool, message: str) -> None:
    """ValueError where the condition is not met; inside `unmet` the message is kept instead."""
    if condition:
        return
    kept = _kept.get()
    if kept is None:
        raise ValueError(message)
    kept.append(message)


def is_number(value: object) -> bool:
    """Whether it can be compared with numbers; command lines hold words where they should not."""
    return isinstance(value, int | float)


@contextmanager
def unmet() -> Iterator[list[str]]:
    """The messages of all requirements that are not met inside the block.

    Constructors go on after these: what they make is not to be used, and an error that they
    end with may be the consequence.
    """
    messages: list[str] = []
    token = _kept.set(messages)
    try:
        yield messages
    finally:
        _kept.reset(token)

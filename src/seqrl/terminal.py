"""Text of corpora and models on a terminal, which it must not steer."""

from __future__ import annotations

import logging
import sys
import unicodedata
from typing import TextIO


def printable(text: str) -> str:
    """`text` with control characters escaped, so that a corpus cannot steer a terminal.

    Spaces of every script and the joiners that some scripts spell with are left as they are;
    marks of direction are not.
    """
    return text if text.isprintable() else "".join(map(_harmless, text))


def shown(text: str, stream: TextIO) -> str:
    """Lines of text as they go to a stream: `printable` on a terminal, exact elsewhere."""
    return "\n".join(map(printable, text.split("\n"))) if stream.isatty() else text


def say(text: object, stream: TextIO | None = None, *, flush: bool = False) -> None:
    """Print a text, or what an error says, see `shown`; to standard output if nowhere else."""
    stream = sys.stdout if stream is None else stream
    print(shown(str(text), stream), file=stream, flush=flush)


class Messages(logging.StreamHandler[TextIO]):
    """Log messages as they are said, with nothing before them: see `shown`."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.setFormatter(logging.Formatter())  # `logging.basicConfig` would give it one of its own

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record), self.stream)


def _harmless(character: str) -> str:
    is_space = character == "\t" or unicodedata.category(character) == "Zs"
    if character.isprintable() or is_space or character in "\u200c\u200d":
        return character
    return character.encode("unicode_escape").decode("ascii")

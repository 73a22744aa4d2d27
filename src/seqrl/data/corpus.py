"""What every reader of a corpus returns."""

from __future__ import annotations

from dataclasses import dataclass, field


class CorpusError(Exception):
    """Something is wrong with the user's files; the message says what, where, and what to do."""


@dataclass(frozen=True)
class Example:
    """One source with its references, as text.

    source      in the task's own tokenisation: tokens separated by single spaces
    references  likewise; the first one is the training target
    raw         the references before tokenisation and lower-casing, for scores on natural
                text, a sentence a line where the task tells sentences apart; empty where it
                has none
    line        where it stands in its file, counted from 1; 0 where there is no file
    """

    source: str
    references: tuple[str, ...]
    raw: tuple[str, ...] = ()
    line: int = field(default=0, compare=False, repr=False)


Corpus = dict[str, list[Example]]
"""Examples of the splits `train`, `dev` and `test`."""

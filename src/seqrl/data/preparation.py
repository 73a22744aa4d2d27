"""From the text in users' files to examples in a task's own tokenisation."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from seqrl.data import moses
from seqrl.data.corpus import Example
from seqrl.data.files import Problems, listed
from seqrl.ranges import require

TOKENIZE = ("none", "moses")
PREPARED = "prepared"
"""Folder inside a corpus's own where a task puts what it makes of it."""
SENTENCE = "<n>"
"""Token between the sentences of a reference, where a task tells them apart."""

_BLANKS = re.compile(r"[ \t]+")
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ufeff]")  # a mark of byte order among them

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preparation:
    """What is done to the text of one side.

    tokenize   `none`: tokens stand between blanks already; `moses`: by Moses' rules
    normalize  punctuation to its plain forms first
    lowercase  at the end, since Moses' rules look at capitals
    language   code whose abbreviations Moses knows; English ones for an unknown language
    """

    tokenize: str = "none"
    normalize: bool = False
    lowercase: bool = False
    language: str = "en"

    def __post_init__(self) -> None:
        require(
            self.tokenize in TOKENIZE,
            f"tokenize must be one of {', '.join(TOKENIZE)}, not {self.tokenize!r}",
        )

    def __call__(self, text: str) -> str:
        """The tokens, separated by single spaces."""
        if self.normalize:
            text = moses.normalize(text, self.language)
        if self.tokenize == "moses":
            text = moses.tokenize(text, self.language)
        if self.lowercase:
            text = text.lower()
        return _BLANKS.sub(" ", text).strip(" ")


@dataclass(frozen=True)
class Row:
    """One source with its references as they stand in the file, and where that is."""

    line: int
    source: str
    references: tuple[str, ...]
    raw: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assembly:
    """How rows become examples.

    source, target  the two sides' preparations
    natural         the references are natural text: keep them as `raw` too
    sentences       line breaks inside a reference separate its sentences: SENTENCE stands
                    between these, and "\\n" in `raw`; otherwise a line break is a blank
    drop_empty      leave out pairs with an empty side, instead of refusing the corpus
    """

    source: Preparation
    target: Preparation
    natural: bool = False
    sentences: bool = False
    drop_empty: bool = False

    def __call__(self, rows: Iterable[Row], where: str, problems: Problems) -> list[Example]:
        """Examples of one split; `where` names it in the problems.

        An empty first reference is an empty side; further ones that are empty are absent.
        Control characters are warned of, but for tabs and ends of lines, which are blanks.
        """
        examples, empty, odd = [], [], []
        for row in rows:
            example = self._example(row)
            if example.source and example.references and example.references[0]:
                examples.append(example)
            else:
                empty.append(row.line)
            if any(map(has_control_characters, (row.source, *row.references))):
                odd.append(row.line)
        if empty and not self.drop_empty:
            problems.add(
                f"{where}: an empty side in line {listed(empty)}; remove these pairs "
                "(task=text and task=jsonl do so with task.corpus.drop_empty=true)"
            )
        elif empty and not examples:
            problems.add(f"{where}: every pair has an empty side")
        elif empty:
            log.warning("%s: left out for an empty side: line %s", where, listed(empty))
        if odd:
            log.warning(
                "%s: control characters in line %s; they are kept as parts of words",
                where,
                listed(odd),
            )
        return examples

    def _example(self, row: Row) -> Example:
        first, *others = [self._reference(text) for text in row.references] or [""]
        raw = row.raw or (row.references if self.natural else ())
        return Example(
            self.source(_one_line(row.source)),
            (first, *(other for other in others if other)),
            tuple(text for text in map(self._natural, raw) if text),
            row.line,
        )

    def _reference(self, text: str) -> str:
        return f" {SENTENCE} ".join(filter(None, map(self.target, self._sentences(text))))

    def _natural(self, text: str) -> str:
        return "\n".join(filter(None, (line.strip() for line in self._sentences(text))))

    def _sentences(self, text: str) -> list[str]:
        return text.split("\n") if self.sentences else [_one_line(text)]


def has_control_characters(text: str) -> bool:
    """Whether there are any but tabs and line feeds, or marks of byte order."""
    return not text.isprintable() and _CONTROL.search(text) is not None


def natural_sentences(text: str) -> str:
    """The sentences of an output between which SENTENCE stands, one a line."""
    return "\n".join(filter(None, (sentence.strip() for sentence in text.split(SENTENCE))))


def _one_line(text: str) -> str:
    return text.replace("\n", " ")


def compared(counts: Mapping[str, int], expected: Mapping[str, int]) -> str:
    """The number of pairs of each split beside the expected one, in one line."""
    return ", ".join(
        f"{split} {count:,} pairs (expected {expected[split]:,}, {count - expected[split]:+,})"
        for split, count in counts.items()
    )

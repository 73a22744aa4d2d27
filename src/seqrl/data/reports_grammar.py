"""How the task `reports` writes: templates, and the events that fill them with facts.

A template is text with choices, [dies|is killed], and facts, {place}; `reports_facts` says which
forms a fact has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from random import Random
from typing import NamedTuple

from seqrl.data import reports_lexicon as lexicon
from seqrl.data.reports_facts import Fact, Facts, Name, lines

# --- Templates ------------------------------------------------------------------------------


class Slot(NamedTuple):
    """The place of a fact in a template."""

    name: str


class Choice(NamedTuple):
    """The alternatives at one place of a template, all as probable."""

    options: tuple[tuple[str | Slot | Choice, ...], ...]


Template = tuple[str | Slot | Choice, ...]

_PART = re.compile(r"[][|]|\{[^}]*\}|[^][|{]+")


@cache
def parsed(text: str) -> Template:
    """A template as its parts; ValueError where brackets do not match."""
    parts = _PART.findall(text)[::-1]
    template = _sequence(parts)
    if parts:
        raise ValueError(f"{text!r} has a {parts[-1]} too many")
    return template


def _sequence(parts: list[str]) -> Template:
    """The parts up to the end of an alternative, taken from the end of the list."""
    found: list[str | Slot | Choice] = []
    while parts and parts[-1] not in ("|", "]"):
        part = parts.pop()
        if part == "[":
            found.append(_choice(parts))
        else:
            found.append(Slot(part[1:-1]) if part.startswith("{") else part)
    return tuple(found)


def _choice(parts: list[str]) -> Choice:
    options = [_sequence(parts)]
    while parts:
        if parts.pop() == "]":
            return Choice(tuple(options))
        options.append(_sequence(parts))
    raise ValueError(f"a choice is not closed: {options}")


class Writer:
    """Writes one text about one event, and remembers what it has named."""

    def __init__(self, facts: Mapping[str, str], rng: Random) -> None:
        self.facts = facts
        self.rng = rng
        self.named: set[str] = set()

    def write(self, text: str) -> str:
        """A template with its choices made and its facts filled in."""
        return self._written(parsed(text))

    def _written(self, template: Template) -> str:
        return "".join([part if isinstance(part, str) else self._part(part) for part in template])

    def _part(self, part: Slot | Choice) -> str:
        if isinstance(part, Choice):
            return self._written(self.rng.choice(part.options))
        again = f"{part.name}+"
        value = self.facts[again if part.name in self.named else part.name]
        if again in self.facts:
            self.named.add(part.name)
        return self.write(value) if "[" in value or "{" in value else value


# --- Events ---------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What came of an event, which is what its headlines are about.

    details    sentences that every report has, each with its choices
    headlines  templates that all say the same
    asides     sentences that a report may have, besides those of the kind
    """

    details: tuple[str, ...]
    headlines: tuple[str, ...]
    asides: tuple[str, ...] = ()


class Kind(NamedTuple):
    """A kind of event.

    facts     what is drawn first; no two have the same form in headlines
    scenes    sentences with which a report may begin, before it comes to the event
    openings  sentences that tell of the event, one of which every report has
    asides    sentences of which a report has some
    """

    facts: tuple[Fact, ...]
    scenes: tuple[str, ...]
    openings: tuple[str, ...]
    asides: tuple[str, ...]
    outcomes: tuple[Outcome, ...]


def kind(text: str, *facts: Fact) -> Kind:
    """A kind of event from its sentences, under headings, and its facts.

    The headings are scenes, openings and asides, and for each outcome "outcome" and then
    details, headlines and perhaps asides. A heading ends in a colon; a line that starts with a
    space continues the one before.
    """
    general, *outcomes = (_sections(part) for part in text.split("\noutcome:\n"))
    return Kind(
        facts,
        general["scenes"],
        general["openings"],
        general["asides"],
        tuple(
            Outcome(part["details"], part["headlines"], part.get("asides", ())) for part in outcomes
        ),
    )


def _sections(text: str) -> dict[str, tuple[str, ...]]:
    """The lines under each heading, which is a line that ends in a colon."""
    found: dict[str, tuple[str, ...]] = {}
    heading = ""
    for line in lines(text):
        if line.endswith(":"):
            heading = line[:-1]
            found[heading] = ()
        else:
            found[heading] += (line,)
    return found


MONTH = Name("month", lexicon.MONTHS)
PHRASES = {"police": "[police|officers|a police spokeswoman|a police spokesman]"}


class Event(NamedTuple):
    """An event of some kind, with all facts drawn."""

    kind: Kind
    outcome: Outcome
    facts: Facts

    @classmethod
    def draw(cls, kind: Kind, rng: Random) -> Event:
        """Facts until all differ in headlines, so that a number or name there stands for one."""
        while True:
            facts = dict(PHRASES)
            for fact in (MONTH, *kind.facts):
                facts.update(fact.draw(rng))
            titles = [value for name, value in facts.items() if name[0].isupper()]
            if len(set(titles)) == len(titles):
                return cls(kind, rng.choice(kind.outcomes), facts)

    def report(self, rng: Random) -> str:
        """Three to five sentences: perhaps a scene, the opening, then details and asides."""
        kind, outcome = self.kind, self.outcome
        told = [rng.choice(kind.openings)]
        if rng.random() < SCENE:
            told.insert(0, rng.choice(kind.scenes))
        asides = rng.choice(SENTENCES) - len(told) - len(outcome.details)
        rest = [*outcome.details, *rng.sample(kind.asides + outcome.asides, max(asides, 0))]
        rng.shuffle(rest)
        writer = Writer(self.facts, rng)
        return " ".join([writer.write(sentence) for sentence in told + rest])

    def headline(self, rng: Random) -> str:
        """One of the headlines, with a capital at its beginning and no full stop."""
        writer = Writer(self.facts, rng)
        text = " ".join(writer.write(rng.choice(self.outcome.headlines)).split())
        return text[0].upper() + text[1:]


SCENE = 0.4
"""How often a report begins with a scene."""
SENTENCES = (3, 4, 4, 5)
"""How many sentences a report may have."""

"""The facts of the task `reports`: what an event leaves open, drawn with all its forms.

A fact has one form in reports and another, with a capital, in headlines: {place} may be "the
port of Halvik" and {Place} is "Halvik". {place+} is what {place} becomes once a text has named
it. The forms are templates, which `reports_grammar` writes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Generic, NamedTuple, Protocol, TypeVar

from seqrl.data import reports_lexicon as lexicon

T = TypeVar("T")
Facts = dict[str, str]
"""Templates by name: lower-case names in reports, capitalised ones in headlines."""


class Table(Generic[T]):
    """Entries that become rarer: that at rank r, counted from 1, as (r + 2) ** -slope."""

    def __init__(self, entries: Sequence[T], slope: float = 1) -> None:
        self.entries = tuple(entries)
        self._sums = list(accumulate((rank + 3) ** -slope for rank in range(len(self.entries))))

    def draw(self, rng: Random) -> T:
        return rng.choices(self.entries, cum_weights=self._sums)[0]


def lines(text: str) -> list[str]:
    """The lines of a table; one that starts with a space continues the one before."""
    return [line for line in text.replace("\n ", " ").splitlines() if line]


class Fact(Protocol):
    """What a kind of event leaves open, such as a number or a person."""

    def draw(self, rng: Random) -> Facts:
        """The fact in reports and headlines, with what belongs to it."""


class Number(NamedTuple):
    """A number from `low` to `high` in steps of `step`; small ones are often in words."""

    name: str
    low: int
    high: int
    step: int = 1

    def draw(self, rng: Random) -> Facts:
        value = rng.randrange(self.low, self.high + 1, self.step)
        in_words = rng.random() < (0.9 if value <= 10 else 0.5 if value <= 20 else 0)
        return {
            self.name: _WORDS[value] if in_words else f"{value:,}",
            self.name.capitalize(): _WORDS[value] if value < 10 else f"{value:,}",
        }


_WORDS = lexicon.NUMBERS.split()


class Year(NamedTuple):
    """A year from `low` to `high` in steps of `step`."""

    name: str
    low: int
    high: int
    step: int = 1

    def draw(self, rng: Random) -> Facts:
        return {self.name: str(rng.randrange(self.low, self.high + 1, self.step))}


class Mention(NamedTuple):
    """What is called one thing first and another from then on."""

    name: str
    first: str
    again: str

    def draw(self, rng: Random) -> Facts:
        return {self.name: self.first, f"{self.name}+": self.again}


class Score(NamedTuple):
    """The goals of a match: the winner's first, or the same number twice."""

    name: str
    level: bool = False

    def draw(self, rng: Random) -> Facts:
        more = rng.choice((1, 2, 2, 3, 3, 4))
        less = more if self.level else rng.randrange(more)
        goals = "goal" if more == 1 else "goals"
        words = f"by {_WORDS[more]} {goals} to {_WORDS[less] if less else 'nil'}"
        if self.level:
            words = f"with {_WORDS[more]} {goals} each"
        digits = f"{more}-{less}"
        return {self.name: f"[{digits}|{digits}|{words}]", self.name.capitalize(): digits}


class Rows:
    """Several facts that go together: a row of a table.

    A row has a cell for each name, separated by ";". A cell is the form in reports and, after
    ">", that in headlines, which else is the same without its article. {site.a} is "a museum",
    and "the museum" from then on.
    """

    def __init__(self, names: str, table: str) -> None:
        rows = [self._facts(names.split(), row.split(";")) for row in lines(table)]
        self.rows = Table(rows)

    @staticmethod
    def _facts(names: Sequence[str], cells: Sequence[str]) -> Facts:
        facts: Facts = {}
        for name, cell in zip(names, cells, strict=True):
            report, _, headline = (part.strip() for part in cell.partition(">"))
            bare = re.sub("^(a|an|the) ", "", report)
            facts[name] = report
            facts[f"{name}.a"] = f"a {bare}"
            facts[f"{name}.a+"] = f"the {bare}"
            facts[name.capitalize()] = headline or bare
        return facts

    def draw(self, rng: Random) -> Facts:
        return self.rows.draw(rng)


class Name:
    """One of the names of a list, as it is; all as probable."""

    def __init__(self, name: str, names: str) -> None:
        self.name = name
        self.names = names.split()

    def draw(self, rng: Random) -> Facts:
        name = rng.choice(self.names)
        return {self.name: name, self.name.capitalize(): name}


class When(NamedTuple):
    """The time of an event: {when}, "that day" from then on, {day} and {Day}."""

    days: Name
    times: str

    def draw(self, rng: Random) -> Facts:
        return {"when": self.times, "when+": "that day", **self.days.draw(rng)}


ANY_DAY, WORKING_DAY = Name("day", lexicon.DAYS), Name("day", lexicon.WORKING_DAYS)
AT_ANY_TIME = When(
    ANY_DAY, "[on {day}|on {day} [morning|afternoon|evening]|late on {day}|early on {day}]"
)
AT_LEISURE = When(ANY_DAY, "on {day}[|| afternoon| evening]")
AT_WORK = When(WORKING_DAY, "on {day}[|| morning| afternoon]")


class Place:
    """A place of one of the kinds: {place}, {Place} and {Inplace}.

    From its second mention on it may be "the town", if it is the place of the event.
    """

    def __init__(self, name: str, kinds: str, *, main: bool = True) -> None:
        self.name = name
        self.main = main
        places = {kind: Table(lexicon.PLACES[kind].split()) for kind in kinds.split()}
        self.places = places
        self.kinds = tuple(kind for kind in places for _ in range(_SHARES[kind]))

    def draw(self, rng: Random) -> Facts:
        kind = rng.choice(self.kinds)
        place, _, region = self.places[kind].draw(rng).partition(":")
        capital = kind == "capital"
        long = "the capital" if capital else f"the {region} {kind} of {place}"
        name, title = self.name, self.name.capitalize()
        return {
            name: f"[{place}|{place}|{long}]",
            f"{name}+": f"[{place}|the {kind}|the {kind}]" if self.main else place,
            title: place,
            f"In{name}": f"in [{place}|capital]" if capital else f"in {place}",
        }


_SHARES = {"capital": 1, "city": 3, "port": 2, "town": 5, "village": 3}
"""How often each kind of place is drawn where several are possible."""


class Person:
    """Somebody: {name} with an age or without, then the surname; {name.he}, {name.his}."""

    def __init__(self, name: str, youngest: int = 28, oldest: int = 69) -> None:
        self.name = name
        self.ages = range(youngest, oldest + 1)

    def draw(self, rng: Random) -> Facts:
        first, he, his = rng.choice(((_WOMEN, "she", "her"), (_MEN, "he", "his")))
        surname = _SURNAMES.draw(rng)
        full = f"{first.draw(rng)} {surname}"
        return {
            self.name: f"[{full}|{full}, {rng.choice(self.ages)},]",
            f"{self.name}+": surname,
            f"{self.name}.he": he,
            f"{self.name}.his": his,
            self.name.capitalize(): surname,
        }


_WOMEN = Table(lexicon.WOMEN.split())
_MEN = Table(lexicon.MEN.split())
_SURNAMES = Table(lexicon.SURNAMES.split(), slope=1.6)


class Club:
    """A football club: its place and its name, and one of the two from then on."""

    def __init__(self, name: str) -> None:
        self.name = name

    def draw(self, rng: Random) -> Facts:
        place = _HOMES.draw(rng).partition(":")[0]
        name = _CLUBS.draw(rng)
        return {
            self.name: f"{place} {name}",
            f"{self.name}+": f"[{place}|{place} {name}]",
            self.name.capitalize(): place,
        }


_HOMES = Table([name for kind in ("city", "port", "town") for name in lexicon.PLACES[kind].split()])
_CLUBS = Table(lexicon.CLUBS.split())

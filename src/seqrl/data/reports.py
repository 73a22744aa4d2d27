"""News reports with their headlines, from a built-in grammar: a corpus that needs no download.

A report is drawn as an event: its kind, the facts, and what came of it. It tells them in three
to five sentences, among others that do not matter. The headline says what came of it; it is one
of several that an editor might write. The pairs of a training set have one drawn headline, as
real corpora do; those of dev and test have several.

What makes the task hard: the outcome is rarely in the first sentence; there are more numbers,
names and days in a report than belong in its headline; headlines have words of their own
("lost their lives": "die"), present tense, no articles, and digits from ten on; a score is told
from either side; and names have a long tail.

The names are in `reports_lexicon`, what can be drawn in `reports_facts`, the events in
`reports_mishaps` and `reports_affairs`, and how they are written in `reports_grammar`.
"""

from __future__ import annotations

import re
from collections.abc import Container
from random import Random

from seqrl.data import reports_affairs as affairs
from seqrl.data import reports_lexicon as lexicon
from seqrl.data import reports_mishaps as mishaps
from seqrl.data.corpus import Corpus, Example
from seqrl.data.drawn import drawn
from seqrl.data.reports_grammar import Event, Kind

KINDS: dict[str, Kind] = {
    "accident": mishaps.ACCIDENT,
    "fire": mishaps.FIRE,
    "storm": mishaps.STORM,
    "theft": mishaps.THEFT,
    "ruling": mishaps.RULING,
    "rescue": mishaps.RESCUE,
    "escape": mishaps.ESCAPE,
    "election": affairs.ELECTION,
    "match": affairs.MATCH,
    "museum": affairs.MUSEUM,
    "strike": affairs.STRIKE,
    "takeover": affairs.TAKEOVER,
    "discovery": affairs.DISCOVERY,
    "concert": affairs.CONCERT,
    "factory": affairs.FACTORY,
}

ATTEMPTS = 12
REPORT = range(25, 81)
HEADLINE = range(5, 13)
"""How many tokens a report and a headline may have."""


def reports(
    *, train: int = 20_000, dev: int = 500, test: int = 1000, references: int = 3, seed: int = 0
) -> Corpus:
    """Reports and headlines, lower-cased and tokenised, with the headlines as natural text too.

    The splits are drawn from one distribution and share no source; dev and test do not
    depend on `train`. Reports have 25 to 80 tokens, headlines 5 to 12.

    references  most headlines of a dev or test report; a training report has one
    """
    return drawn(
        "reports", _example, train=train, dev=dev, test=test, references=references, seed=seed
    )


def tokenize(text: str) -> str:
    """Natural text as lower-cased tokens, among them "'s", "12,000" and "ex-mayor"."""
    return " ".join(_TOKEN.findall(text.lower()))


def naturalize(tokens: str) -> str:
    """A headline's tokens as natural text, the inverse of `tokenize` on what the grammar writes."""
    words = [_PROPER.get(word, word) for word in tokens.split()]
    text = re.sub(r" ('s|[.,:;?!])(?= |$)", r"\1", " ".join(words))
    return text[:1].upper() + text[1:]


_TOKEN = re.compile(r"'s|\w+(?:[-,]\w+)*|[^\w\s]")
_PROPER = {
    name.lower(): name
    for names in (
        *lexicon.PLACES.values(),
        lexicon.SURNAMES,
        lexicon.COMPANIES,
        lexicon.STORMS,
        lexicon.DAYS,
        lexicon.MONTHS,
    )
    for name in re.findall(r"[A-Z]\w+", names)
}
_ARTICLE = re.compile(r"\ba (?=[aeio]|u(?!ni))")


def _example(rng: Random, references: int, seen: Container[str]) -> Example | None:
    """A report that is not in `seen`, with its headlines."""
    event = Event.draw(rng.choice(list(KINDS.values())), rng)
    source = _tidy(tokenize(event.report(rng)))
    natural = _headlines(event, rng, references)
    if natural and source not in seen and len(source.split()) in REPORT:
        return Example(source, tuple(map(tokenize, natural)), natural)
    return None


def _headlines(event: Event, rng: Random, wanted: int) -> tuple[str, ...]:
    """Distinct headlines in the order in which they are drawn."""
    found: list[str] = []
    for _ in range(ATTEMPTS):
        headline = event.headline(rng)
        if headline not in found and len(tokenize(headline).split()) in HEADLINE:
            found.append(headline)
        if len(found) == wanted:
            break
    return tuple(found)


def _tidy(tokens: str) -> str:
    """Without the comma that closes an age where another mark follows; "an" before vowels."""
    return _ARTICLE.sub("an ", re.sub(r", (?=[,.;:])", "", tokens))

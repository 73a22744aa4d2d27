"""What the task `phrases` talks about: random noun phrases, times and clauses."""

from __future__ import annotations

from random import Random

from seqrl.data import phrases_english as english
from seqrl.data import phrases_german as german
from seqrl.data.phrases_lexicon import (
    ACTIONS,
    CALLED,
    CLOCK,
    COMPLETION,
    DAY,
    FAR_SPOTS,
    FREQUENCY,
    MANNER,
    MODAL_VERBS,
    MONTH,
    MOOD,
    PROCESSES,
    RELATION,
    SPOTS,
    STATE,
    TIME,
    UNIT,
    VEHICLE,
    WALL,
    Adverb,
    Menu,
    Noun,
    Verb,
    adjectives,
    menu,
    nouns,
    zipf,
)
from seqrl.data.phrases_meaning import Clause, Phrase

# Homographs that a verb tells apart, so that no sentence without one may speak of them.
DURATIVE = frozenset("arbeiten wohnen warten lernen suchen spielen schlafen kennen".split())

NAME = Menu(CALLED, zipf(len(CALLED), 2))
PRONOUN = Menu(["er", "ich", "sie", "wir", "du", "they"], [6, 5, 5, 4, 3, 1])
RECIPIENT = Menu(["er", "ich", "sie", "wir", "du", "they"], [3, 4, 3, 2, 2, 1])
COUNT = Menu(range(2, 13), zipf(11, 1))
SINGULAR = Menu(["der", "mein", "ein", "dieser", "genitiv", "jeder"], [40, 22, 20, 7, 7, 2])
PLURAL = Menu(["der", "zahl", "mein", "", "viele", "einige", "alle"], [30, 16, 16, 8, 8, 7, 6])
MASS = Menu(["", "der", "mein", "dieser"], [50, 35, 8, 4])
OWNER = Menu(["ich", "du", "er", "wir"], [5, 3, 3, 2])

# The times a clause may have, as (tense, timing): the present ones, and the past ones.
PRESENT = Menu(
    [
        ("present", ""),
        ("present", "habit"),
        ("present", "future"),
        ("present", "now"),
        ("future", "future"),
        ("future", ""),
        ("modal", ""),
        ("present", "gern"),
        ("present", "since"),
    ],
    [20, 14, 8, 8, 4, 5, 26, 7, 8],
)
PAST = Menu(
    [("perfect", ""), ("perfect", "past"), ("perfect", "recent"), ("modal", "past")],
    [32, 34, 18, 16],
)


# --- Noun phrases -------------------------------------------------------------------------


def nominal(rng: Random, noun: Noun, owner: str = "", *, simple: bool = False) -> Phrase:
    """A phrase around a noun. `owner` is the subject, whose things they often are."""
    if noun.name:
        return Phrase(noun, determiner="")
    plural = not noun.mass and rng.random() < 0.25
    kind = (MASS if noun.mass else PLURAL if plural else SINGULAR).draw(rng)
    if "kin" in noun.classes and rng.random() < 0.7:
        kind = "mein"
    if kind == "jeder" and noun.pair or kind == "zahl" and noun.pair:
        kind = "der"
    phrase = Phrase(noun, plural=plural, determiner=kind)
    if kind == "mein":
        theirs = owner if owner and rng.random() < 0.6 else OWNER.draw(rng)
        phrase = phrase._replace(owner=theirs)
    if kind == "genitiv":
        phrase = phrase._replace(possessor=possessor(rng))
    if kind == "zahl":
        phrase = phrase._replace(count=COUNT.draw(rng))
    if not simple and rng.random() < 0.22:
        quality = adjectives(noun.classes)
        phrase = phrase._replace(adjective=quality.draw(rng) if quality else None)
    return phrase


def possessor(rng: Random) -> Phrase:
    if rng.random() < 0.4:
        return Phrase(NAME.draw(rng), determiner="")
    noun = nouns(("person",)).draw(rng)
    if "kin" in noun.classes:
        return Phrase(noun, determiner="mein", owner=OWNER.draw(rng))
    return Phrase(noun, plural=rng.random() < 0.15)


def person(rng: Random) -> Phrase:
    """Someone who acts."""
    chance = rng.random()
    if chance < 0.38:
        return Phrase(pronoun=PRONOUN.draw(rng))
    if chance < 0.5:
        return Phrase(NAME.draw(rng), determiner="")
    return nominal(rng, nouns(("person",)).draw(rng))


def other_person(rng: Random, subject: Phrase, pronouns: float = 0.3) -> Phrase:
    """Someone to whom something happens, told apart from the subject."""
    if rng.random() < pronouns:
        code = RECIPIENT.draw(rng)
        third = subject.personal is None or subject.personal.agreement == "3s"
        clash = code == subject.pronoun or (third and code in ("er", "sie", "they"))
        if not clash and not (subject.pronoun == "wir" and code in ("ich", "wir")):
            if not (subject.pronoun == "ich" and code == "wir"):
                return Phrase(pronoun=code)
    return nominal(rng, nouns(("person",)).draw(rng), _owner(subject))


def _owner(subject: Phrase) -> str:
    from seqrl.data.phrases_meaning import reference

    return reference(subject)

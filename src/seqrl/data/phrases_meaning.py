"""What a sentence of the task `phrases` says, before it is German or English."""

from __future__ import annotations

from typing import NamedTuple

from seqrl.data.phrases_words import PRONOUNS, Adjective, Adverb, Modal, Noun, Pronoun, Verb

GAP = "gap"
NOBODY = "nobody"


class Phrase(NamedTuple):
    """A noun phrase.

    `pronoun` is a key of PRONOUNS, "gap" (what a relative pronoun stands for; the noun is
    that of the phrase the clause belongs to), "man", or "nobody" (an unnamed agent).
    `determiner` is der, ein, kein, dieser, jeder, alle, viele, einige, zahl, mein, genitiv
    or nothing; mein goes with an `owner` that is a key of PRONOUNS, genitiv with a phrase.
    """

    noun: Noun | None = None
    pronoun: str = ""
    plural: bool = False
    determiner: str = "der"
    owner: str = ""
    possessor: Phrase | None = None
    amount: int = 0
    adjective: Adjective | None = None
    relative: Clause | None = None

    @property
    def personal(self) -> Pronoun | None:
        return PRONOUNS.get(self.pronoun)


class Clause(NamedTuple):
    """A proposition with its time: who does what to whom, when, where and how.

    Without a verb, the clause says that the subject is what `state` says. `tense` is
    present, perfect, past, pluperfect or future, as in German; `timing` (past, recent, now,
    habit, future, since or nothing) is what decides the English tense besides. `front` names
    the part that the German main clause begins with.
    """

    subject: Phrase
    verb: Verb | None = None
    object: Phrase | None = None
    recipient: Phrase | None = None
    where: Adverb | None = None
    state: Adverb | None = None
    tense: str = "present"
    timing: str = ""
    modal: Modal | None = None
    gern: bool = False
    negated: bool = False
    yet: bool = False
    passive: bool = False
    time: Adverb | None = None
    adverb: Adverb | None = None
    mood: Adverb | None = None
    manner: Adverb | None = None
    vehicle: Adverb | None = None
    place: Adverb | None = None
    front: str = "subject"

    @property
    def flags(self) -> str:
        return self.verb.flags if self.verb else "t"

    @property
    def indefinite_object(self) -> bool:
        """Whether a negation is expressed at the object: "kein Buch", "no book"."""
        return (
            self.verb is not None
            and self.verb.case == "acc"
            and not self.verb.preposition
            and self.object is not None
            and not self.object.pronoun
            and self.object.determiner in ("ein", "")
        )


def reference(phrase: Phrase) -> str:
    """The pronoun that takes up a phrase, as a key of PRONOUNS; nothing where none is clear."""
    noun = phrase.noun
    if noun is None or phrase.pronoun == GAP:
        return phrase.pronoun if phrase.personal and phrase.pronoun != "man" else ""
    if "person" in noun.classes:
        if phrase.plural:
            return "they"
        return {"m": "er", "f": "sie", "": ""}[noun.sex]
    if phrase.plural:
        return "they"
    if noun.pair:
        return ""
    return {"m": "er_it", "f": "sie_it", "n": "es_it"}[noun.gender]

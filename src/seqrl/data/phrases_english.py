"""The English side of the task `phrases`: verb groups, noun phrases, and the choices of a speaker.

Every function that has a choice takes it with a generator, so that calls differ as speakers
do: the first reference and the further ones are draws from one distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from seqrl.data import phrases_lexicon as lexicon
from seqrl.data.phrases_meaning import GAP, NOBODY, Clause, Phrase
from seqrl.data.phrases_words import (
    COMPARATIVE_FORMS,
    DOUBLED,
    IRREGULAR_FORMS,
    PRONOUNS,
    USUAL,
    Menu,
    Rendering,
    listed,
    pick,
)

UNITS = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
TENS = listed("twenty thirty forty fifty sixty seventy eighty ninety")

FINITE = {
    ("be", "present"): {"1s": "am", "3s": "is", "p": "are"},
    ("be", "past"): {"1s": "was", "3s": "was", "p": "were"},
    ("have", "present"): {"1s": "have", "3s": "has", "p": "have"},
}
INVARIANT = frozenset(listed("can could may must should would will"))
NEGATED = {"can": "can't / cannot", "will": "won't / will not", "may": "may not", "am": "am not"}
CONTRACTED = {
    "am": "'m",
    "is": "'s",
    "are": "'re",
    "will": "'ll",
    "have": "'ve",
    "has": "'s",
    "would": "'d",
}

# How a German tense is put in English, by (tense, timing). In a verb group, lemma:form is
# inflected and V is the verb itself; the first word agrees with the subject.
GROUPS = {
    ("present", "habit"): "V:present",
    ("present", "now"): "be:present V:ing",
    ("present", "future"): "will V:base / be:present going to V:base / be:present V:ing",
    ("present", "since"): "have:present been V:ing / have:present V:participle",
    ("present", "consequence"): "will V:base / V:present",
    ("present", ""): "be:present V:ing / V:present",
    ("perfect", "past"): "V:past",
    ("perfect", "recent"): "have:present V:participle / V:past",
    ("perfect", "yet"): "have:present V:participle",
    ("perfect", ""): "V:past / have:present V:participle",
    ("past", ""): "V:past",
    ("past", "past"): "V:past",
    ("pluperfect", ""): "have:past V:participle / V:past",
    ("future", ""): "will V:base / be:present going to V:base",
    ("future", "future"): "will V:base / be:present going to V:base",
}
STATE_GROUPS = {
    ("present", "since"): "have:present V:participle",
    ("present", "future"): "will V:base",
    ("present", "consequence"): "will V:base / V:present",
    ("perfect", "recent"): "have:present V:participle / V:past",
    ("perfect", "yet"): "have:present V:participle",
    ("pluperfect", ""): "have:past V:participle",
    ("future", ""): "will V:base",
    ("future", "future"): "will V:base",
}


def number(value: int) -> str:
    """A number from 1 to 99 in words."""
    if value < 20:
        return UNITS[value]
    tens, unit = TENS[value // 10 - 2], value % 10
    return f"{tens}-{UNITS[unit]}" if unit else tens


def comparative(adjective: str) -> str:
    return COMPARATIVE_FORMS.get(adjective, f"more {adjective}")


# --- Verb forms -----------------------------------------------------------------------------


def inflected(lemma: str, form: str, person: str = "p") -> str:
    """A verb as base, present, past, participle or ing."""
    if lemma in INVARIANT or form == "base":
        return lemma
    if (lemma, form) in FINITE:
        return FINITE[lemma, form][person]
    if form == "present":
        return _third(lemma) if person == "3s" else lemma
    if form == "ing":
        return _stem(lemma, "ing") + "ing"
    if lemma == "be":
        return "been"
    if lemma in IRREGULAR_FORMS:
        return IRREGULAR_FORMS[lemma][form == "participle"]
    if lemma.endswith("y") and lemma[-2] not in "aeiou":
        return lemma[:-1] + "ied"
    return _stem(lemma, "ed") + "ed"


def _third(lemma: str) -> str:
    if lemma.endswith(("s", "x", "ch", "sh", "o")):
        return lemma + "es"
    if lemma.endswith("y") and lemma[-2] not in "aeiou":
        return lemma[:-1] + "ies"
    return lemma + "s"


def _stem(lemma: str, ending: str) -> str:
    if lemma in DOUBLED:
        return lemma + lemma[-1]
    if lemma.endswith("ie"):
        return lemma[:-2] + "y" if ending == "ing" else lemma[:-1]
    if lemma.endswith("e") and not lemma.endswith("ee") and lemma != "be":
        return lemma[:-1]
    return lemma


def verb_group(group: str, head: str, person: str, *, split: bool) -> tuple[str, str]:
    """The auxiliary that agrees (or nothing) and the rest, from a group such as "will V:base".

    With `split` there always is an auxiliary, "do" where the group has none, as a negation
    and a question need it.
    """
    links = [link.partition(":") for link in group.replace("V", head).split()]
    lemma, _, form = links[0]
    rest = [inflected(word, shape, person) if shape else word for word, _, shape in links[1:]]
    perfect = lemma == "have" and links[1:] and ("participle" in group or rest[0] == "been")
    if lemma == "be" or lemma in INVARIANT or perfect:
        return inflected(lemma, form, person), " ".join(rest)
    if split:
        auxiliary = {"past": "did"}.get(form) or ("does" if person == "3s" else "do")
        return auxiliary, " ".join([lemma, *rest])
    return "", " ".join([inflected(lemma, form, person), *rest])


def negation(auxiliary: str, rng: Random) -> str:
    return pick(rng, NEGATED.get(auxiliary, f"{auxiliary}n't / {auxiliary} not"))


# --- Noun phrases ---------------------------------------------------------------------------


def person_of(phrase: Phrase) -> str:
    """The person and number of the English verb: 1s, 3s or p (which "you" takes too)."""
    if phrase.personal:
        return phrase.personal.english_agreement
    plural = phrase.plural or (phrase.noun is not None and phrase.noun.pair)
    return "p" if plural and phrase.determiner != "jeder" else "3s"


def article(text: str) -> str:
    """a or an, before `text`."""
    return "an" if text[0] in "aeiou" else "a"


def determiner(phrase: Phrase, rest: str, rng: Random) -> str:
    """What stands before the rest of the phrase."""
    many = phrase.plural or (phrase.noun is not None and phrase.noun.pair)
    kind = phrase.determiner
    if kind == "der":
        return "the"
    if kind == "mein":
        return PRONOUNS[phrase.owner].english_possessive
    if kind == "dieser":
        return "these" if many else "this"
    if kind == "jeder":
        return pick(rng, "every / each")
    if kind == "alle":
        return pick(rng, "all the / all")
    if kind == "viele":
        return pick(rng, "many / a lot of")
    if kind == "einige":
        return pick(rng, "some / a few / several")
    if kind == "zahl":
        return number(phrase.amount)
    if kind == "any":
        return "any"
    if kind == "no":
        return "no"
    if kind == "ein":
        if phrase.noun and phrase.noun.pair:
            return "a pair of" if not phrase.plural else ""
        return article(rest)
    return ""


def noun_phrase(phrase: Phrase, rng: Random, *, subject: bool = False) -> str:
    """A phrase with its relative clause; pronouns by their role."""
    if phrase.personal:
        return phrase.personal.subject if subject else phrase.personal.object
    if phrase.pronoun in (GAP, NOBODY):
        return ""
    noun = phrase.noun
    assert noun is not None
    text = noun.english.draw(rng)[phrase.plural]
    if noun.name:
        return text
    if phrase.adjective:
        text = f"{phrase.adjective.english.draw(rng)} {text}"
    if phrase.possessor:
        text = possessed(phrase.possessor, text, rng)
    else:
        text = f"{determiner(phrase, text, rng)} {text}".strip()
    if phrase.relative:
        text += " " + relative_clause(phrase.relative, "person" in noun.classes, rng)
    return text


def possessed(owner: Phrase, text: str, rng: Random) -> str:
    """Anna's car, the parents' car, the car of the parents."""
    name = noun_phrase(owner, rng)
    if not (owner.noun and owner.noun.name) and rng.random() < 0.2:
        return f"the {text} of {name}"
    return f"{name}'{'' if name.endswith('s') and owner.plural else 's'} {text}"


def relative_clause(clause: Clause, person: bool, rng: Random) -> str:
    """who/that/which for a subject; for an object often nothing at all."""
    if clause.subject.pronoun == GAP:
        word = pick(rng, "who / that" if person else "that / which")
    else:
        word = pick(rng, "/ that / who" if person else "/ that / which")
    return f"{word} {statement(clause, rng)}".strip()


# --- Clauses --------------------------------------------------------------------------------


class Roles:
    """Who is what in the English clause, and its verb, after the choice of a construction."""

    def __init__(self, clause: Clause, rng: Random) -> None:
        thing = clause.object
        self.subject, self.object = clause.subject, thing
        self.agent: Phrase | None = None
        self.negated = clause.negated
        self.verb = Rendering("be")
        self.passive = False
        if clause.verb:
            self.verb = clause.verb.english.draw(rng)
        if thing is None:
            return
        if "k" in clause.flags:
            self.subject, self.object = thing, clause.subject
        elif self._is_passive(clause, rng):
            self._make_passive(thing, clause)
        elif clause.negated and clause.indefinite_object:
            self._negate_object(thing, clause, rng)

    def _is_passive(self, clause: Clause, rng: Random) -> bool:
        if clause.passive:
            return clause.subject.pronoun == NOBODY or rng.random() < 0.7
        possible = clause.front == "object" and "b" in clause.flags and not clause.recipient
        simple = not clause.subject.pronoun and not clause.negated and not clause.modal
        return possible and simple and clause.timing != "now" and rng.random() < 0.4

    def _make_passive(self, thing: Phrase, clause: Clause) -> None:
        verb = self.verb
        words = f"{inflected(verb.head, 'participle')} {verb.particle} {verb.after}".split()
        self.verb = Rendering("be", " ".join(words))
        self.passive = True
        self.subject, self.object = thing, None
        self.agent = None if clause.subject.pronoun == NOBODY else clause.subject

    def _negate_object(self, thing: Phrase, clause: Clause, rng: Random) -> None:
        if rng.random() < 0.15 and not clause.modal and not clause.yet:
            self.negated = False
            self.object = thing._replace(determiner="no")
        elif thing.determiner == "" or thing.plural or (thing.noun and thing.noun.pair):
            self.object = thing._replace(determiner="any")


def group_of(clause: Clause, roles: Roles, rng: Random) -> str:
    """The verb group for the clause's tense, time and modality."""
    if clause.gern:
        return pick(rng, lexicon.GERN)
    tense = "past" if clause.tense == "past" else "present"
    if clause.modal:
        groups = clause.modal.english[tense, clause.negated]
        group = groups.draw(rng)
        return groups.options[0] if roles.passive and " able " in group else group
    timing = "yet" if clause.yet else clause.timing
    if "t" in clause.flags or (roles.verb.head == "be" and not roles.passive):
        default = "V:present" if clause.tense == "present" else "V:past"
        return pick(rng, STATE_GROUPS.get((clause.tense, timing), default))
    return pick(rng, GROUPS[clause.tense, timing])


def complements(clause: Clause, roles: Roles, rng: Random) -> str:
    """What follows the verb: its particle and preposition, its objects, its place."""
    verb = roles.verb
    thing = noun_phrase(roles.object, rng) if roles.object else ""
    words = [verb.after, thing]
    if verb.particle:
        long = roles.object is not None and roles.object.relative is not None
        pronoun = roles.object is not None and roles.object.pronoun
        split = pronoun or (not long and rng.random() < 0.4)
        words = [thing, verb.particle] if split else [verb.particle, thing]
    if clause.recipient:
        recipient = noun_phrase(clause.recipient, rng)
        moved = rng.random() < 0.7 or bool(roles.object and roles.object.relative)
        if verb.shifts and moved and not (roles.object and roles.object.pronoun):
            words = [recipient, thing]
        else:
            words = [thing, verb.after, verb.recipient, recipient]
    if roles.agent:
        words += ["by", noun_phrase(roles.agent, rng)]
    words += [part.english.draw(rng) for part in (clause.state, clause.where) if part]
    return " ".join(word for word in words if word)


def adjuncts(clause: Clause, rng: Random) -> list[str]:
    """Manner, means and place, which end the clause; "yet" too."""
    parts = (clause.manner, clause.vehicle, clause.place)
    words = [part.english.draw(rng) for part in parts if part]
    return [*words, "yet"] if clause.yet else words


def statement(clause: Clause, rng: Random, *, fronting: bool = False) -> str:
    """A finite clause in the order of a statement.

    With `fronting` the time may come first, the more so where it does in German.
    """
    roles = Roles(clause, rng)
    subject = noun_phrase(roles.subject, rng, subject=True)
    group = group_of(clause, roles, rng)
    person = person_of(roles.subject)
    auxiliary, rest = verb_group(group, roles.verb.head, person, split=roles.negated)
    inner = clause.adverb.english.draw(rng) if clause.adverb else ""
    mood = clause.mood.english.draw(rng) if clause.mood else ""
    if mood == "probably":
        mood, inner = "", mood
    if roles.negated:
        auxiliary = negation(auxiliary, rng)
    plain = auxiliary.removesuffix(" not")
    be_only = not roles.negated or plain in ("am", "is", "are")
    if roles.subject.personal and plain in CONTRACTED and be_only and rng.random() < 0.4:
        subject += CONTRACTED[plain]
        auxiliary = auxiliary[len(plain) + 1 :]
    time = clause.time.english.draw(rng) if clause.time else ""
    first = fronting and not mood and rng.random() < (0.65 if clause.front == "time" else 0.1)
    words = [mood, time if first else "", subject, auxiliary, inner, rest]
    words += [complements(clause, roles, rng), *adjuncts(clause, rng), "" if first else time]
    return " ".join(word for word in words if word)


def question(clause: Clause, rng: Random) -> str:
    """A clause with its auxiliary before the subject."""
    roles = Roles(clause, rng)
    group = group_of(clause, roles, rng)
    person = person_of(roles.subject)
    auxiliary, rest = verb_group(group, roles.verb.head, person, split=True)
    inner = clause.adverb.english.draw(rng) if clause.adverb else ""
    words = [auxiliary, noun_phrase(roles.subject, rng, subject=True), inner, rest]
    words += [complements(clause, roles, rng), *adjuncts(clause, rng)]
    words += [clause.time.english.draw(rng)] if clause.time else []
    return " ".join(word for word in words if word)


def nonfinite(clause: Clause, form: str, rng: Random) -> str:
    """The clause without its subject, its verb as base or ing."""
    roles = Roles(clause, rng)
    words = [inflected(roles.verb.head, form), complements(clause, roles, rng)]
    words += adjuncts(clause, rng)
    words += [clause.time.english.draw(rng)] if clause.time else []
    return " ".join(word for word in words if word)


def product(prepositions: Sequence[str], names: Sequence[str]) -> Menu[str]:
    """The menu of all prepositions with all names of a place."""
    pairs = [
        (USUAL ** (i + j), f"{preposition} {name}")
        for i, preposition in enumerate(prepositions)
        for j, name in enumerate(names)
    ]
    return Menu([text for _, text in pairs], [weight for weight, _ in pairs])

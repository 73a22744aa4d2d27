"""German-English sentences from a synchronous grammar: a corpus that needs no download.

A sentence is drawn as what it says; its German follows from that, and its English is one of
several that a translator might write, each with its probability. The pairs of a training set
have one drawn rendering, as real corpora do; dev and test sentences have several.

What makes the task hard: the verb at the end of subordinate clauses, separable prefixes,
participles and infinitives at the end, objects and adverbials before the verb, case and
gender, words that only their context tells apart (Schloss: castle or lock; tragen: carry or
wear; sie: she, they, you or it), numbers, and a lexicon with a long tail.

The words are in `phrases_lexicon`, what is said in `phrases_meaning` and `phrases_sampling`,
the two grammars in `phrases_german` and `phrases_english`; the kinds of sentences are here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from itertools import pairwise
from random import Random
from typing import NamedTuple

from seqrl.data import phrases_english as english
from seqrl.data import phrases_german as german
from seqrl.data import phrases_lexicon as lexicon
from seqrl.data.corpus import Corpus, Example
from seqrl.data.drawn import drawn
from seqrl.data.phrases_meaning import Clause, Phrase, reference
from seqrl.data.phrases_sampling import (
    ANTERIOR,
    ANY,
    CONSEQUENCE,
    HOMOGRAPHS,
    HYPOTHESIS,
    NARRATIVE,
    PAST,
    POSSIBILITY,
    PRESENT,
    QUALITY,
    SIMPLE_PAST,
    action,
    activity,
    clause,
    nominal,
    passive,
    person,
    relative,
    untimed,
    verbs_for,
)
from seqrl.data.phrases_words import (
    ATTITUDE,
    CONNECTOR,
    CONTROLLED,
    DEGREE,
    EXTENSION,
    IMPRESSION,
    INTERROGATIVE,
    PURPOSE,
    SPOTS,
    SUBORDINATOR,
    TASK,
    Adverb,
    Menu,
    menu,
    nouns,
    pick,
    rows,
)

IT_IS = "it is / it's"
DO_NOT = "don't / do not"
ATTEMPTS = 10
SHORTEST, LONGEST = 4, 30


class Sentence(NamedTuple):
    """A German sentence as tokens, and a function that draws an English rendering of it."""

    german: str
    english: Callable[[Random], str]


# --- The corpus -----------------------------------------------------------------------------


def phrases(
    *, train: int = 20_000, dev: int = 500, test: int = 1000, references: int = 2, seed: int = 0
) -> Corpus:
    """German-English pairs, lower-cased and tokenised, with the English as natural text too.

    The splits are drawn from one distribution and share no source; dev and test do not
    depend on `train`. Sentences have 4 to 30 tokens on both sides.

    references  most renderings of a dev or test sentence; a training sentence has one
    """
    return drawn(
        "phrases", _example, train=train, dev=dev, test=test, references=references, seed=seed
    )


def tokenize(text: str) -> str:
    """Natural English as lower-cased tokens: "He doesn't." becomes "he does n't ."."""
    return " ".join(_TOKEN.findall(text.lower()))


def naturalize(tokens: str) -> str:
    """Tokens as natural English, the inverse of `tokenize` on what the grammar writes."""
    words = tokens.split()
    written = [_capitalized(word, before) for before, word in pairwise(["", *words])]
    text = re.sub(r" (n't|'\w*|[.,?!])(?= |$)", r"\1", " ".join(written)).replace(" - ", "-")
    return text[:1].upper() + text[1:]


_TOKEN = re.compile(r"o'clock|\w+?(?=n't)|n't|'\w*|\w+|[^\w\s]")
_PROPER = {
    word.lower(): word
    for word in [
        *(cells[1] for table in (lexicon.DAYS, lexicon.MONTHS) for cells in rows(table)),
        *(cells[2].split()[1] for cells in rows(lexicon.FAR_PLACES)),
        *(entry.partition(":")[0].capitalize() for entry in lexicon.NAMES.split()),
        *("I", "TV", "TVs"),
    ]
}
_PROPER.update({f"{word}s": f"{_PROPER[word]}s" for word in list(_PROPER) if word.endswith("day")})


def _capitalized(word: str, before: str) -> str:
    """A name, a day or a month; "may" only where a month can stand."""
    if word == "may" and before not in ("in", "last", "next"):
        return word
    return _PROPER.get(word, word)


def _example(rng: Random, references: int, seen: Container[str]) -> Example | None:
    """A sentence that is not in `seen`, with its renderings."""
    sentence = PATTERN.draw(rng)(rng)
    source = _tidy(sentence.german)
    if source in seen or not SHORTEST <= len(source.split()) <= LONGEST:
        return None
    natural = _renderings(sentence, rng, references)
    targets = tuple(tokenize(text) for text in natural)
    if all(SHORTEST <= len(target.split()) <= LONGEST for target in targets):
        return Example(source, targets, natural)
    return None


def _renderings(sentence: Sentence, rng: Random, wanted: int) -> tuple[str, ...]:
    """Distinct renderings in the order in which they are drawn, the first one unconditionally."""
    found = [_natural(sentence.english(rng))]
    for _ in range(ATTEMPTS if wanted > 1 else 0):
        rendering = _natural(sentence.english(rng))
        if rendering not in found:
            found.append(rendering)
        if len(found) == wanted:
            break
    return tuple(found)


def _natural(text: str) -> str:
    text = re.sub(r" ([,.?!])", r"\1", text)
    return text[0].upper() + text[1:]


def _tidy(text: str) -> str:
    """German tokens without the comma that closes a clause where the sentence goes on anyway."""
    return re.sub(r", (?=[,.?!])", "", text)


# --- Kinds of sentences ----------------------------------------------------------------------


def statement(rng: Random) -> Sentence:
    said = clause(rng)
    return Sentence(
        f"{german.sentence(said, 'main')} .",
        lambda draw: f"{english.statement(said, draw, fronting=True)}.",
    )


TENSES = {
    "any": (ANY, ANY),
    "condition": (CONSEQUENCE, HYPOTHESIS),
    "past": (NARRATIVE, SIMPLE_PAST),
    "anterior": (SIMPLE_PAST, ANTERIOR),
}


def follower(rng: Random, subject: Phrase) -> Phrase | None:
    """The subject of a second clause: often the same person, as a pronoun."""
    human = subject.noun is None or "person" in subject.noun.classes
    code = reference(subject) if human else ""
    return Phrase(pronoun=code) if code and rng.random() < 0.6 else None


def subordination(rng: Random) -> Sentence:
    """Er liest, weil er müde ist. Weil er müde ist, liest er."""
    word, renderings, kind = SUBORDINATOR.draw(rng)
    times, inner_times = TENSES[kind]
    main = clause(rng, times, full=False)
    inner = clause(rng, inner_times, follower(rng, main.subject) or person(rng), full=False)
    if kind in ("past", "anterior"):
        inner = inner._replace(negated=False, yet=False)
    first = rng.random() < (0.4 if word != "da" else 0.8)
    text = f"{word} {german.sentence(inner, 'final')}"
    if first:
        text = f"{text} , {german.sentence(main, 'question')} ."
    else:
        text = f"{german.sentence(main, 'main')} , {text} ."

    def rendered(draw: Random) -> str:
        outer = english.statement(main, draw)
        subordinate = f"{pick(draw, renderings)} {english.statement(inner, draw)}"
        if draw.random() < (0.75 if first else 0.12):
            return f"{subordinate}, {outer}."
        return f"{outer} {subordinate}."

    return Sentence(text, rendered)


def coordination(rng: Random) -> Sentence:
    """Er war müde, aber er hat gearbeitet. ..., deshalb hat er geschlafen."""
    word, renderings, order = CONNECTOR.draw(rng)
    times = rng.choice((PRESENT, PAST))
    one = clause(rng, times, full=False)
    two = clause(rng, times, follower(rng, one.subject), full=False)
    return Sentence(
        f"{german.sentence(one, 'main')} , {word} {german.sentence(two, order)} .",
        lambda draw: (
            f"{english.statement(one, draw)} {pick(draw, renderings)} "
            f"{english.statement(two, draw)}."
        ),
    )


def resumption(rng: Random) -> Sentence:
    """Er hat den Schlüssel gesucht, aber er hat ihn nicht gefunden."""
    subject = person(rng, pronoun=0.5)
    one = action(rng, PAST, subject, full=False)
    while not (one.verb and one.verb.case == "acc" and one.object and one.object.noun):
        one = action(rng, PAST, subject, full=False)
    code, verbs = reference(one.object), verbs_for(one.object.noun.classes)
    if not code or verbs is None or "person" in one.object.noun.classes or one.object.noun.mass:
        return statement(rng)
    word, renderings = rng.choice((("und", "and / , and"), ("aber", ", but")))
    again = Phrase(pronoun=reference(subject) or "ich")
    verb = verbs.draw(rng)
    if verb.preposition or one.negated or verb is one.verb:
        return statement(rng)
    two = action(rng, ANY, again, verb=verb, about=Phrase(pronoun=code), full=False)
    return Sentence(
        f"{german.sentence(one, 'main')} , {word} {german.sentence(two, 'main')} .",
        lambda draw: (
            f"{english.statement(one, draw)} {pick(draw, renderings)} "
            f"{english.statement(two, draw)}."
        ),
    )


def attitude(rng: Random) -> Sentence:
    """Er glaubt, dass sie krank ist. Ich weiß nicht, ob der Zug kommt. Sie fragt, wann ..."""
    verb, kinds = ATTITUDE.draw(rng)
    kind = kinds.draw(rng)
    past = verb.stem != "wissen" and rng.random() < 0.3
    subject = person(rng, pronoun=0.6)
    doubt = verb.stem == "wissen" and kind != "dass" and rng.random() < 0.85
    outer = Clause(subject, verb, tense="perfect" if past else "present", negated=doubt)
    times = PAST if past else ANY
    inner = clause(rng, times, follower(rng, subject) or person(rng), full=False)
    word, renderings = {"dass": ("dass", "that /"), "ob": ("ob", "whether / if")}.get(
        kind, ("", "")
    )
    if kind == "w":
        question = INTERROGATIVE.draw(rng)
        word, renderings = question.german, question.english.options[0]
        inner = untimed(inner)
        if word == "wo" and (inner.where or inner.state):
            return statement(rng)
    return Sentence(
        f"{german.sentence(outer, 'main')} , {word} {german.sentence(inner, 'final')} .",
        lambda draw: (
            f"{english.statement(outer, draw)} "
            f"{pick(draw, renderings)} {english.statement(inner, draw)}."
        ).replace("  ", " "),
    )


def impression(rng: Random) -> Sentence:
    """Es ist schade, dass er krank ist."""
    view = IMPRESSION.draw(rng)
    inner = clause(rng, ANY, person(rng), full=False)
    return Sentence(
        f"es ist {view.german} , dass {german.sentence(inner, 'final')} .",
        lambda draw: (
            f"{pick(draw, IT_IS)} {view.english.draw(draw)} that {english.statement(inner, draw)}."
        ),
    )


def difficulty(rng: Random) -> Sentence:
    """Es ist schwer, das Buch zu verstehen."""
    view = TASK.draw(rng)
    inner = activity(rng, Phrase(pronoun="man"))

    def rendered(draw: Random) -> str:
        word = view.english.draw(draw)
        if draw.random() < 0.2:
            return f"{english.nonfinite(inner, 'ing', draw)} is {word}."
        return f"{pick(draw, IT_IS)} {word} to {english.nonfinite(inner, 'base', draw)}."

    return Sentence(f"es ist {view.german} , {german.sentence(inner, 'zu')} .", rendered)


def relation(rng: Random) -> Sentence:
    """Der Mann, der dort arbeitet, kennt das Buch, das ich gelesen habe."""
    said = untimed(clause(rng, full=False))
    if said.object and (rng.random() < 0.5 or said.subject.noun is None):
        said = said._replace(object=relative(rng, said.object, said.verb))
    else:
        said = said._replace(subject=relative(rng, said.subject, said.verb))
    return Sentence(
        f"{german.sentence(said, 'main')} .", lambda draw: f"{english.statement(said, draw)}."
    )


def control(rng: Random) -> Sentence:
    """Er versucht, seinen Bruder anzurufen."""
    subject = person(rng)
    tense = "perfect" if rng.random() < 0.5 else "present"
    outer = Clause(subject, CONTROLLED.draw(rng), tense=tense)
    code = reference(subject)
    inner = activity(rng, subject if subject.pronoun else Phrase(pronoun=code or "es_it"))

    def rendered(draw: Random) -> str:
        text = english.statement(outer, draw)
        if text.endswith(" -ing"):
            return f"{text[:-5]} {english.nonfinite(inner, 'ing', draw)}."
        return f"{text} {english.nonfinite(inner, 'base', draw)}."

    return Sentence(
        f"{german.sentence(outer, 'main')} , {german.sentence(inner, 'zu')} .", rendered
    )


def purpose(rng: Random) -> Sentence:
    """Sie geht in die Stadt, um einen Mantel zu kaufen."""
    word, renderings, form = PURPOSE.draw(rng)
    main = action(rng, ANY, person(rng), full=False)._replace(negated=False, yet=False)
    code = reference(main.subject)
    inner = activity(rng, Phrase(pronoun=code or "es_it"))
    return Sentence(
        f"{german.sentence(main, 'main')} , {word} {german.sentence(inner, 'zu')} .",
        lambda draw: (
            f"{english.statement(main, draw)} {pick(draw, renderings)} "
            f"{english.nonfinite(inner, form, draw)}."
        ),
    )


def addressed(rng: Random) -> Phrase:
    """Whom a question is about: mostly the one who is asked."""
    if rng.random() < 0.6:
        return Phrase(pronoun="du" if rng.random() < 0.6 else "formal")
    chosen = person(rng, pronoun=0.3)
    return Phrase(pronoun="er") if chosen.pronoun in ("ich", "they") else chosen


def question(rng: Random) -> Sentence:
    """Hast du den Schlüssel gefunden?"""
    said = clause(rng, subject=addressed(rng), full=False)._replace(negated=False, yet=False)
    return Sentence(
        f"{german.sentence(said, 'question')} ?", lambda draw: f"{english.question(said, draw)}?"
    )


def open_question(rng: Random) -> Sentence:
    """Wann fährst du nach Berlin? Was hat er gekauft? Wer hat dich angerufen?"""
    said = action(rng, ANY, addressed(rng), full=False)
    said = said._replace(negated=False, yet=False)
    chance = rng.random()
    if chance < 0.25:
        said = said._replace(subject=Phrase(pronoun="wer"))
        return Sentence(
            f"{german.sentence(said, 'main')} ?", lambda draw: f"{english.statement(said, draw)}?"
        )
    verb = said.verb
    if chance < 0.55 and verb and verb.case == "acc" and not verb.preposition and said.object:
        human = said.object.noun is None or "person" in said.object.noun.classes
        if "person" not in verb.objects or human:
            words = ("wen", "who") if human else ("was", "what")
            return asked(said._replace(object=None), *words)
    word = INTERROGATIVE.draw(rng)
    if word.german == "wo" and said.where:
        return question(rng)
    return asked(untimed(said), word.german, word.english.options[0])


def asked(said: Clause, word: str, english_word: str) -> Sentence:
    return Sentence(
        f"{word} {german.sentence(said, 'question')} ?",
        lambda draw: f"{english_word} {english.question(said, draw)}?",
    )


def request(rng: Random) -> Sentence:
    """Machen Sie bitte das Fenster zu!"""
    inner = activity(rng, Phrase(pronoun="formal"))
    please = Adverb("bitte", menu("please"))
    said = inner._replace(mood=please)
    forbidden = rng.random() < 0.15 and not inner.indefinite_object
    said = said._replace(negated=forbidden)

    def rendered(draw: Random) -> str:
        text = english.nonfinite(inner, "base", draw)
        if forbidden:
            text = f"{pick(draw, DO_NOT)} {text}"
        return f"please {text}." if draw.random() < 0.7 else f"{text}, please."

    return Sentence(f"{german.sentence(said, 'question')} !", rendered)


def undone(rng: Random) -> Sentence:
    """Das Auto wurde gestern repariert. Der Brief muss geschrieben werden."""
    said = passive(rng)
    return Sentence(
        f"{german.sentence(said, 'main')} .",
        lambda draw: f"{english.statement(said, draw, fronting=True)}.",
    )


def custom(rng: Random) -> Sentence:
    """Hier kann man gutes Brot kaufen."""
    said = activity(rng, Phrase(pronoun="man"))._replace(modal=POSSIBILITY.draw(rng))
    if not said.where and not said.place:
        front = "time" if rng.random() < 0.5 else "subject"
        said = said._replace(time=Adverb("hier", menu("here")), front=front)
    said = said._replace(negated=rng.random() < 0.3 and not said.indefinite_object)

    def rendered(draw: Random) -> str:
        who = Phrase(pronoun=pick(draw, "man / people / one"))
        return f"{english.statement(said._replace(subject=who), draw)}."

    return Sentence(f"{german.sentence(said, 'main')} .", rendered)


def existence(rng: Random) -> Sentence:
    """In der Stadt gibt es viele Kirchen."""
    row = SPOTS.draw(rng)
    noun = nouns(("sight", "surface", "animal", "person")).draw(rng)
    while noun.german in HOMOGRAPHS or {"kin", "spouse"} & set(noun.classes):
        noun = nouns(("sight", "surface", "animal", "person")).draw(rng)
    found = nominal(rng, noun)
    if found.determiner not in ("ein", "zahl", "viele", "einige"):
        found = found._replace(determiner="viele" if found.plural else "ein", possessor=None)
    place, what = row[0], german.noun_phrase(found, "acc")
    first = rng.random() < 0.5
    text = f"{place} gibt es {what} ." if first else f"es gibt {what} {place} ."

    def rendered(draw: Random) -> str:
        where = pick(draw, row[2])
        be = "are" if english.person_of(found) == "p" else pick(draw, "is / 's")
        body = f"there {be} {english.noun_phrase(found, draw)}".replace(" 's", "'s")
        return f"{where} {body}." if first and draw.random() < 0.4 else f"{body} {where}."

    return Sentence(text, rendered)


def quality(rng: Random) -> Sentence:
    """Das Haus ist sehr alt. Mein Koffer ist schwerer als dein Koffer."""
    adjective = QUALITY.draw(rng)
    noun = nouns(adjective.classes).draw(rng)
    while noun.german in HOMOGRAPHS:
        noun = nouns(adjective.classes).draw(rng)
    one = nominal(rng, noun, adjective=0.0)
    if one.determiner not in ("mein", "dieser", "genitiv"):
        one = one._replace(determiner="der")
    verb = "sind" if one.plural else "ist"
    be = "are" if english.person_of(one) == "p" else "is"
    if rng.random() < 0.5:
        degree = DEGREE.draw(rng)
        return Sentence(
            f"{german.noun_phrase(one, 'nom')} {verb} {degree.german} {adjective.german} .",
            lambda draw: (
                f"{english.noun_phrase(one, draw, subject=True)} {be} "
                f"{degree.english.draw(draw)} {adjective.english.draw(draw)}."
            ),
        )
    other = nominal(rng, nouns(noun.classes[:1]).draw(rng), adjective=0.0)
    if other.determiner not in ("mein", "dieser", "genitiv"):
        other = other._replace(determiner="der")
    return Sentence(
        f"{german.noun_phrase(one, 'nom')} {verb} {adjective.comparative} als "
        f"{german.noun_phrase(other, 'nom')} .",
        lambda draw: (
            f"{english.noun_phrase(one, draw, subject=True)} {be} "
            f"{english.comparative(adjective.english.draw(draw))} than "
            f"{english.noun_phrase(other, draw)}."
        ),
    )


def age(rng: Random) -> Sentence:
    """Meine Schwester ist einundzwanzig Jahre alt."""
    years = rng.randrange(2, 100)
    who = person(rng, pronoun=0.4)
    if who.plural or who.determiner not in ("der", "mein", "genitiv", ""):
        who = Phrase(pronoun="sie")
    state = Adverb(
        f"{german.number(years)} jahre alt",
        menu(f"{english.number(years)} years old / {english.number(years)}"),
    )
    said = Clause(who, state=state)
    return Sentence(
        f"{german.sentence(said, 'main')} .", lambda draw: f"{english.statement(said, draw)}."
    )


def price(rng: Random) -> Sentence:
    """Der Mantel hat neunundvierzig Euro gekostet."""
    amount = rng.randrange(2, 100)
    noun = nouns(("clothes", "food", "goods")).draw(rng)
    one = nominal(rng, noun)
    if one.determiner not in ("der", "mein", "dieser", "genitiv"):
        one = one._replace(determiner="der")
    past = rng.random() < 0.4
    many = english.person_of(one) == "p"
    auxiliary = "haben" if one.plural else "hat"
    verb = "kosten" if one.plural else "kostet"
    euros = f"{german.number(amount)} euro"
    tail = f"{auxiliary} {euros} gekostet" if past else f"{verb} {euros}"
    cost = "cost" if past or many else "costs"
    return Sentence(
        f"{german.noun_phrase(one, 'nom')} {tail} .",
        lambda draw: (
            f"{english.noun_phrase(one, draw, subject=True)} {cost} {english.number(amount)} euros."
        ),
    )


def extension(rng: Random) -> Sentence:
    """A sentence of some other kind with its reason: ..., weil er müde ist."""
    base = EXTENSIBLE.draw(rng)(rng)
    word, renderings = EXTENSION.draw(rng)
    inner = clause(rng, ANY, full=False)
    return Sentence(
        f"{base.german[:-2]} , {word} {german.sentence(inner, 'final')} .",
        lambda draw: (
            f"{base.english(draw)[:-1]} {pick(draw, renderings)} {english.statement(inner, draw)}."
        ),
    )


EXTENSIBLE: Menu[Callable[[Random], Sentence]] = Menu(
    [statement, relation, attitude, control, purpose, resumption, undone], [4, 4, 4, 4, 3, 2, 2]
)
PATTERN: Menu[Callable[[Random], Sentence]] = Menu(
    [
        extension,
        subordination,
        statement,
        relation,
        coordination,
        attitude,
        control,
        resumption,
        question,
        open_question,
        undone,
        purpose,
        request,
        quality,
        impression,
        difficulty,
        custom,
        existence,
        age,
        price,
    ],
    [26, 18, 12, 10, 10, 8, 5, 5, 5, 4, 4, 4, 2, 2, 2, 2, 2, 2, 1, 1],
)

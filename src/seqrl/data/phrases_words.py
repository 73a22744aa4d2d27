"""The words of the task `phrases`, as records made of the tables in `phrases_lexicon`."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from random import Random
from typing import Generic, NamedTuple, TypeVar

from seqrl.data import phrases_lexicon as lexicon

T = TypeVar("T")

USUAL = 0.55
"""How probable a rendering is, compared with the one before it."""


class Menu(Generic[T]):
    """Options with probabilities; without `weights` each is `USUAL` times the one before."""

    def __init__(self, options: Sequence[T], weights: Sequence[float] | None = None) -> None:
        self.options = tuple(options)
        sums = list(accumulate(weights or [USUAL**rank for rank in range(len(self.options))]))
        self._bounds = [total / sums[-1] for total in sums[:-1]]

    def draw(self, rng: Random) -> T:
        return self.options[bisect(self._bounds, rng.random())]


@cache
def menu(renderings: str) -> Menu[str]:
    """The menu of renderings separated by "/"."""
    return Menu([option.strip() for option in renderings.split("/")])


def listed(text: str) -> list[str]:
    return text.split()


def pick(rng: Random, renderings: str) -> str:
    """One of the renderings separated by "/"."""
    return menu(renderings).draw(rng)


class Noun(NamedTuple):
    """A noun in one sense; a German word with two senses is two nouns.

    `gender` is m, f or n. `oblique` is the singular outside the nominative, which only weak
    masculines have. `sex` decides the English pronoun of persons. `english` holds pairs of
    singular and plural; a noun with `pair` is plural in English ("trousers").
    """

    german: str
    gender: str
    plural: str
    oblique: str
    genitive: str
    classes: tuple[str, ...]
    english: Menu[tuple[str, str]]
    sex: str = ""
    mass: bool = False
    pair: bool = False
    name: bool = False


class Rendering(NamedTuple):
    """An English verb: its head, what always follows it, and how a recipient is expressed.

    "look for" has `after`, "turn +on" a `particle`, and "give ~to" a `recipient`, which
    stands before the object, or after it with the preposition; "explain >to" allows the
    latter only.
    """

    head: str
    after: str = ""
    particle: str = ""
    recipient: str = ""
    shifts: bool = False


class Verb(NamedTuple):
    """A German verb with its object, its place and its English renderings.

    `case` is acc or dat (or nothing), `objects` the classes of nouns that fit,
    `preposition` what governs the object. `recipient` says that a dative person comes
    before the object. `where` is loc, dir, far, on, onto or wall. `flags`:
    s perfect with sein, r and R reflexive (accusative, dative), t state (no progressive),
    k the German object is the English subject, p place, m manner, v vehicle, b passive
    """

    stem: str
    prefix: str
    third: str
    participle: str
    preposition: str
    case: str
    objects: tuple[str, ...]
    recipient: bool
    where: str
    english: Menu[Rendering]
    flags: str


class Adjective(NamedTuple):
    """An adjective: predicative form, stem before endings, comparative, English renderings."""

    german: str
    stem: str
    comparative: str
    classes: tuple[str, ...]
    english: Menu[str]


class Adverb(NamedTuple):
    """A phrase that is the same wherever it stands; `timing` decides the English tense."""

    german: str
    english: Menu[str]
    timing: str = ""


class Modal(NamedTuple):
    """Forms of a modal verb: (ich/er, du, wir) in both tenses; its English verb groups."""

    present: tuple[str, str, str]
    past: tuple[str, str, str]
    english: dict[tuple[str, bool], Menu[str]]


class Pronoun(NamedTuple):
    """A personal pronoun. Agreement: 1s, 2s, 3s or p, in German and in English."""

    nominative: str
    accusative: str
    dative: str
    possessive: str
    agreement: str
    subject: str
    object: str
    english_possessive: str
    english_agreement: str


PRONOUNS = {
    "ich": Pronoun("ich", "mich", "mir", "mein", "1s", "I", "me", "my", "1s"),
    "du": Pronoun("du", "dich", "dir", "dein", "2s", "you", "you", "your", "p"),
    "er": Pronoun("er", "ihn", "ihm", "sein", "3s", "he", "him", "his", "3s"),
    "sie": Pronoun("sie", "sie", "ihr", "ihr", "3s", "she", "her", "her", "3s"),
    "wir": Pronoun("wir", "uns", "uns", "unser", "p", "we", "us", "our", "p"),
    "they": Pronoun("sie", "sie", "ihnen", "ihr", "p", "they", "them", "their", "p"),
    "formal": Pronoun("sie", "sie", "ihnen", "ihr", "p", "you", "you", "your", "p"),
    "er_it": Pronoun("er", "ihn", "ihm", "sein", "3s", "it", "it", "its", "3s"),
    "sie_it": Pronoun("sie", "sie", "ihr", "ihr", "3s", "it", "it", "its", "3s"),
    "wer": Pronoun("wer", "wen", "wem", "sein", "3s", "who", "who", "their", "3s"),
    "man": Pronoun("man", "einen", "einem", "sein", "3s", "you", "you", "your", "p"),
    "people": Pronoun("man", "einen", "einem", "sein", "3s", "people", "people", "their", "p"),
    "one": Pronoun("man", "einen", "einem", "sein", "3s", "one", "one", "one's", "3s"),
    "es_it": Pronoun("es", "es", "ihm", "sein", "3s", "it", "it", "its", "3s"),
}

REFLEXIVES = {"ich": ("mich", "mir"), "du": ("dich", "dir"), "wir": ("uns", "uns")}
"""Accusative and dative; every other person has "sich"."""

# --- Reading the tables -----------------------------------------------------------------------


def rows(table: str) -> list[list[str]]:
    """The cells of a table's lines; a line that starts with spaces continues the one before."""
    lines = table.replace("\n  ", " ").strip("\n").split("\n")
    return [[" ".join(cell.split()) for cell in line.split("|")] for line in lines]


def zipf(count: int, offset: float) -> list[float]:
    """Weights 1 / (rank + offset)."""
    return [1 / (rank + offset) for rank in range(count)]


def pluralized(noun: str) -> str:
    """The regular English plural."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def _english_forms(option: str) -> tuple[str, str]:
    singular, _, plural = option.strip().lstrip("!").partition(":")
    if option.strip().startswith("!"):
        return singular, singular
    return singular, plural or pluralized(singular)


def _noun(cells: list[str], common: tuple[str, ...] = ()) -> Noun:
    german, gender, plural = cells[0].split()
    classes = (*cells[1].split(), *common)
    genitive = german + ("es" if german in SHORT_GENITIVES else "s")
    if gender == "f":
        genitive = german
    if gender == "w":
        genitive = plural
    if "person" in common and "young" not in classes:
        classes = (*classes, "grown")
    return Noun(
        german=german,
        gender="m" if gender == "w" else gender,
        plural=plural,
        oblique=plural if gender == "w" else german,
        genitive=genitive,
        classes=classes,
        english=Menu([_english_forms(option) for option in cells[2].split("/")]),
        sex="m" if "male" in classes else "f" if "female" in classes else "",
        mass=plural == "-",
        pair=cells[2].startswith("!"),
    )


def _name(entry: str) -> Noun:
    german, sex = entry.split(":")
    english = german.capitalize()
    genitive = german + "s"
    forms = Menu([(english, english)])
    return Noun(german, sex, "-", german, genitive, ("person",), forms, sex=sex, name=True)


SHORT_GENITIVES = frozenset(listed(lexicon.SHORT))
DOUBLED = frozenset(listed(lexicon.DOUBLED))
PEOPLE = [_noun(cells, ("person",)) for cells in rows(lexicon.PERSONS)]
CALLED = [_name(entry) for entry in lexicon.NAMES.split()]
OBJECTS = [_noun(cells) for cells in rows(lexicon.THINGS)]
_RANKED = [
    *zip(zipf(len(PEOPLE), 8), PEOPLE, strict=True),
    *zip(zipf(len(OBJECTS), 10), OBJECTS, strict=True),
]


@cache
def nouns(classes: tuple[str, ...]) -> Menu[Noun]:
    """The nouns that are in one of the classes, common ones first."""
    fitting = [(weight, noun) for weight, noun in _RANKED if set(classes) & set(noun.classes)]
    return Menu([noun for _, noun in fitting], [weight for weight, _ in fitting])


def _rendering(text: str) -> Rendering:
    """See Rendering."""
    head, _, rest = text.strip().partition(" ")
    words = rest.split()
    particle = "".join(word[1:] for word in words if word[0] == "+")
    recipient = "".join(word[1:] for word in words if word[0] in "~>")
    after = " ".join(word for word in words if word[0] not in "+~>")
    return Rendering(head, after, particle, recipient, "~" in rest)


_PREPOSITIONS = frozenset(listed("auf mit an für um von über in"))
_PLACES = frozenset(listed("loc dir far on onto wall"))


def _verb(cells: list[str]) -> Verb:
    infinitive, third, participle = cells[0].split()
    prefix, _, stem = infinitive.rpartition("·")
    words = cells[1].split()
    recipient = words[:2] == ["dat", "acc"]
    words = words[1:] if recipient else words
    return Verb(
        stem=stem,
        prefix=prefix,
        third=third,
        participle=participle,
        preposition=next((word for word in words if word in _PREPOSITIONS), ""),
        case=next((word for word in words if word in ("acc", "dat")), ""),
        objects=tuple(w for w in words if w not in {"acc", "dat", *_PREPOSITIONS, *_PLACES}),
        recipient=recipient,
        where=next((word for word in words if word in _PLACES), ""),
        english=Menu([_rendering(option) for option in cells[2].split("/")]),
        flags=cells[3] if len(cells) > 3 else "",
    )


def _verbs(table: str) -> Menu[Verb]:
    verbs = [_verb(cells) for cells in rows(table)]
    return Menu(verbs, zipf(len(verbs), 4))


def _adjective(cells: list[str]) -> Adjective:
    form, comparative = cells[0].split()
    german, _, stem = form.partition(":")
    return Adjective(german, stem or german, comparative, tuple(cells[1].split()), menu(cells[2]))


def _adverbs(table: str, timing: str = "") -> Menu[Adverb]:
    adverbs = [Adverb(cells[0], menu(cells[1]), timing) for cells in rows(table)]
    return Menu(adverbs, zipf(len(adverbs), 2))


def _modal(cells: list[str]) -> Modal:
    forms = cells[0].split()
    keys = [(tense, negated) for tense in ("present", "past") for negated in (False, True)]
    english = {key: menu(options) for key, options in zip(keys, cells[1:], strict=True)}
    return Modal((forms[1], forms[2], forms[3]), (forms[4], forms[5], forms[6]), english)


ACTIONS = _verbs(lexicon.PERSON_VERBS)
PROCESSES = {
    tuple(classes.split()): _verbs(table) for classes, table in lexicon.THING_VERBS.items()
}
QUALITIES = [_adjective(cells) for cells in rows(lexicon.ADJECTIVES)]
MODAL_VERBS = Menu([_modal(cells) for cells in rows(lexicon.MODALS)], zipf(6, 3))


@cache
def adjectives(classes: tuple[str, ...]) -> Menu[Adjective] | None:
    """The adjectives that fit a noun of these classes."""
    fitting = [
        (weight, quality)
        for weight, quality in zip(zipf(len(QUALITIES), 6), QUALITIES, strict=True)
        if set(classes) & set(quality.classes)
    ]
    return Menu([q for _, q in fitting], [w for w, _ in fitting]) if fitting else None


TIME = {timing: _adverbs(table, timing) for timing, table in lexicon.TIMES.items()}
FREQUENCY = _adverbs(lexicon.FREQUENCIES)
COMPLETION = _adverbs(lexicon.COMPLETIONS)
MOOD = _adverbs(lexicon.MOODS)
MANNER = _adverbs(lexicon.MANNERS)
VEHICLE = _adverbs(lexicon.VEHICLES)
STATE = _adverbs(lexicon.STATES)
WALL = _adverbs(lexicon.WALLS)
SPOTS = Menu(rows(lexicon.PLACES), zipf(len(rows(lexicon.PLACES)), 4))
FAR_SPOTS = Menu(rows(lexicon.FAR_PLACES), zipf(len(rows(lexicon.FAR_PLACES)), 3))
RELATION = Menu(rows(lexicon.RELATIONS), zipf(len(rows(lexicon.RELATIONS)), 2))
UNIT = Menu(rows(lexicon.UNITS), zipf(len(rows(lexicon.UNITS)), 3))
DAY = Menu(rows(lexicon.DAYS), zipf(7, 4))
MONTH = Menu(rows(lexicon.MONTHS), zipf(len(rows(lexicon.MONTHS)), 3))
SUBORDINATOR = Menu(rows(lexicon.SUBORDINATORS), zipf(len(rows(lexicon.SUBORDINATORS)), 3))
EXTENSION = Menu(rows(lexicon.EXTENSIONS), zipf(len(rows(lexicon.EXTENSIONS)), 3))
CONNECTOR = Menu(rows(lexicon.CONNECTORS), zipf(len(rows(lexicon.CONNECTORS)), 3))
ATTITUDE = Menu(
    [
        (_verb(cells), Menu(cells[4].split(), [1] * len(cells[4].split())))
        for cells in rows(lexicon.ATTITUDES)
    ],
    zipf(len(rows(lexicon.ATTITUDES)), 4),
)
CONTROLLED = _verbs(lexicon.CONTROL)
PURPOSE = Menu(rows(lexicon.PURPOSES), [5, 2, 1])
INTERROGATIVE = _adverbs(lexicon.INTERROGATIVES)
IMPRESSION = _adverbs(lexicon.IMPRESSIONS)
TASK = _adverbs(lexicon.TASKS)
DEGREE = _adverbs(lexicon.DEGREES)
CLOCK = Menu(rows(lexicon.CLOCKS), [5, 2, 1, 1])


def _irregular() -> dict[str, tuple[str, str]]:
    entries = [entry.split() for entry in lexicon.IRREGULAR.split(",")]
    return {base: (past, participle) for base, past, participle in entries}


IRREGULAR_FORMS = _irregular()
COMPARATIVE_FORMS = dict(entry.split(":") for entry in lexicon.COMPARATIVES.split())

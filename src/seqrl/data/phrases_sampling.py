"""What the task `phrases` talks about: random noun phrases, times and clauses."""

from __future__ import annotations

from functools import cache
from random import Random

from seqrl.data import phrases_english as english
from seqrl.data import phrases_german as german
from seqrl.data.phrases_meaning import GAP, NOBODY, Clause, Phrase, reference
from seqrl.data.phrases_words import (
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
    OBJECTS,
    PEOPLE,
    PROCESSES,
    QUALITIES,
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
    listed,
    menu,
    nouns,
    zipf,
)

NAME = Menu(CALLED, zipf(len(CALLED), 2))
PRONOUN = Menu(["er", "ich", "sie", "wir", "du", "they"], [6, 5, 5, 4, 3, 1])
MARKED = Menu(["er", "ich", "wir", "du"], [6, 5, 4, 3])
COUNT = Menu(range(2, 13), zipf(11, 1))
SINGULAR = Menu(["der", "mein", "ein", "dieser", "genitiv", "jeder"], [40, 22, 20, 7, 7, 2])
PLURAL = Menu(["der", "zahl", "mein", "", "viele", "einige", "alle"], [30, 16, 16, 8, 8, 7, 6])
MASS = Menu(["", "der", "mein", "dieser"], [50, 35, 8, 4])
OWNER = Menu(["ich", "du", "er", "wir"], [5, 3, 3, 2])

# Tense and timing of a clause. "modal" and "gern" are not timings of `Clause`, but its modality.
PRESENT = Menu(
    [
        ("present", ""),
        ("present", "habit"),
        ("present", "future"),
        ("present", "now"),
        ("future", "future"),
        ("future", ""),
        ("present", "modal"),
        ("present", "gern"),
        ("present", "since"),
    ],
    [20, 14, 8, 8, 4, 5, 24, 7, 10],
)
PAST = Menu(
    [("perfect", ""), ("perfect", "past"), ("perfect", "recent"), ("past", "modal")],
    [32, 34, 18, 16],
)
ANY = Menu([*PRESENT.options, *PAST.options], [20, 14, 8, 8, 4, 5, 24, 7, 10, 30, 32, 17, 14])
HYPOTHESIS = Menu([("present", "habit"), ("present", "modal")], [3, 1])
CONSEQUENCE = Menu([("present", "consequence"), ("future", ""), ("present", "modal")], [4, 1, 2])
NARRATIVE = Menu([("perfect", "past"), ("past", "modal")], [4, 1])
ANTERIOR = Menu([("pluperfect", "")])
SIMPLE_PAST = Menu([("perfect", "past")])
PASTS = (PAST, SIMPLE_PAST, NARRATIVE, ANTERIOR)
STATIC = Menu([("present", ""), ("perfect", ""), ("present", "habit")], [5, 3, 2])

DURATIVE = frozenset(listed("arbeiten wohnen warten lernen suchen spielen schlafen kennen"))
"""Verbs for "seit drei Jahren"."""

UNWANTED = frozenset(
    listed(
        "verlieren vergessen finden kümmern ärgern erinnern stehlen hören sehen kennen "
        "verstehen interessieren liegen"
    )
)
"""Verbs for what is not done on purpose or not at a moment: no modal, no "gern", no "now"."""

SPOUSES = frozenset(noun.german for noun in PEOPLE if "spouse" in noun.classes)
"""Man and woman, who are husband and wife after a possessive, and never otherwise."""

COUPLES = {"m": ("ich", "du", "sie"), "f": ("ich", "du", "er")}
"""Whose a husband and a wife are."""

DEFINITE = ("der", "mein", "dieser", "genitiv")


# --- Noun phrases -------------------------------------------------------------------------


def nominal(rng: Random, noun: Noun, owner: str = "", *, adjective: float = 0.22) -> Phrase:
    """A phrase around a noun. `owner` is the subject, whose things they often are."""
    if noun.name:
        return Phrase(noun, determiner="")
    single = noun.mass or "unique" in noun.classes or "spouse" in noun.classes
    plural = not single and rng.random() < 0.25
    kind = (MASS if noun.mass else PLURAL if plural else SINGULAR).draw(rng)
    if "spouse" in noun.classes or ("kin" in noun.classes and rng.random() < 0.7):
        kind = "mein"
    elif kind in ("mein", "genitiv") and noun.german in SPOUSES:
        kind = "der"
    if noun.pair and kind in ("jeder", "zahl"):
        kind = "der"
    phrase = Phrase(noun, plural=plural, determiner=kind)
    if kind == "mein":
        theirs = owner if owner and rng.random() < 0.6 else OWNER.draw(rng)
        if "spouse" in noun.classes and theirs not in COUPLES[noun.sex]:
            theirs = "ich"
        phrase = phrase._replace(owner=theirs)
    elif kind == "genitiv":
        phrase = phrase._replace(possessor=possessor(rng))
    elif kind == "zahl":
        phrase = phrase._replace(amount=COUNT.draw(rng))
    if rng.random() < adjective:
        quality = adjectives(noun.classes)
        phrase = phrase._replace(adjective=quality.draw(rng) if quality else None)
    return phrase


def possessor(rng: Random) -> Phrase:
    if rng.random() < 0.4:
        return Phrase(NAME.draw(rng), determiner="")
    noun = nouns(("person",)).draw(rng)
    if "spouse" in noun.classes:
        return nominal(rng, noun, adjective=0.0)
    plural = "unique" not in noun.classes and rng.random() < 0.15
    if "kin" in noun.classes:
        return Phrase(noun, plural=plural, determiner="mein", owner=OWNER.draw(rng))
    return Phrase(noun, plural=plural)


def person(rng: Random, pronoun: float = 0.38) -> Phrase:
    """Someone who acts."""
    chance = rng.random()
    if chance < pronoun:
        return Phrase(pronoun=PRONOUN.draw(rng))
    if chance < pronoun + 0.12:
        return Phrase(NAME.draw(rng), determiner="")
    return nominal(rng, nouns(("person",)).draw(rng))


def other_person(rng: Random, subject: Phrase, case: str = "dat") -> Phrase:
    """Someone else than the subject. "sie" in the accusative is "her" here, never "them"."""
    if rng.random() < 0.3:
        code = PRONOUN.draw(rng)
        same = code == subject.pronoun or {code, subject.pronoun} == {"ich", "wir"}
        if not same and (code != "they" or case == "dat"):
            return Phrase(pronoun=code)
    if rng.random() < 0.12:
        return Phrase(NAME.draw(rng), determiner="")
    human = subject.noun is None or "person" in subject.noun.classes
    return nominal(rng, nouns(("person",)).draw(rng), reference(subject) if human else "")


def thing(rng: Random, verb: Verb, subject: Phrase) -> Phrase:
    """An object that fits the verb."""
    if verb.objects == ("person",) or ("person" in verb.objects and rng.random() < 0.5):
        return other_person(rng, subject, "acc" if verb.preposition else verb.case)
    classes = tuple(name for name in verb.objects if name != "person")
    return nominal(rng, nouns(classes).draw(rng), reference(subject))


# --- Times and places -----------------------------------------------------------------------


def filled(rng: Random, adverb: Adverb) -> Adverb:
    """A time with its day, month, hour or span drawn."""
    if "{" not in adverb.german:
        return adverb
    if "{day}" in adverb.german:
        (word, english_word), key = DAY.draw(rng), "{day}"
    elif "{month}" in adverb.german:
        (word, english_word), key = MONTH.draw(rng), "{month}"
    elif "{clock}" in adverb.german:
        return clock(rng)._replace(timing=adverb.timing)
    else:
        (word, english_word), key = span(rng), "{ago}"
    options = " / ".join(adverb.english.options).replace(key, english_word)
    return adverb._replace(german=adverb.german.replace(key, word), english=menu(options))


def span(rng: Random) -> tuple[str, str]:
    """drei Tagen, three days."""
    unit, english_unit = UNIT.draw(rng)
    count = COUNT.draw(rng)
    return f"{german.number(count)} {unit}", f"{english.number(count)} {english_unit}s"


def clock(rng: Random) -> Adverb:
    """A time of day; German counts "halb" and "viertel vor" from the next hour."""
    pattern, renderings = CLOCK.draw(rng)
    hour = rng.randrange(2, 12)
    text = pattern.format(hour=german.number(hour), next=german.number(hour + 1))
    options = renderings.format(hour=english.number(hour), next=english.number(hour + 1))
    return Adverb(text, menu(options))


def spot(rng: Random, verb: Verb) -> Adverb:
    """The place or direction that the verb asks for."""
    if verb.where == "wall":
        return WALL.draw(rng)
    if verb.where in ("on", "onto"):
        return relation(rng, verb.where == "onto")
    far = verb.where == "far" or (verb.stem in ("wohnen", "fahren") and rng.random() < 0.5)
    row = (FAR_SPOTS if far else SPOTS).draw(rng)
    direction = verb.where != "loc"
    return Adverb(row[direction], menu(row[2 + direction]))


def relation(rng: Random, direction: bool) -> Adverb:
    """auf dem Tisch, on the table; auf den Tisch, onto the table."""
    preposition, kind, *options = RELATION.draw(rng)
    noun = nouns((kind,)).draw(rng)
    article = german.ARTICLES["acc" if direction else "dat"]["mfn".index(noun.gender)]
    place = f"{preposition} {article} {noun.german}"
    place = place.replace("in dem ", "im ", 1) if place.startswith("in ") else place
    prepositions = options[direction].split(" / ")
    names = [f"the {singular}" for singular, _ in noun.english.options]
    return Adverb(place, english.product(prepositions, names))


# --- Clauses --------------------------------------------------------------------------------


def clause(
    rng: Random,
    times: Menu[tuple[str, str]] = ANY,
    subject: Phrase | None = None,
    *,
    full: bool = True,
) -> Clause:
    """A clause about a person, or now and then about a thing.

    Only a `full` clause has a mood and a fronted part; in others the time is rarer, too.
    """
    if subject is None and rng.random() < 0.1:
        return process(rng, times)
    subject = subject or person(rng)
    if rng.random() < 0.12:
        return description(rng, times, subject, full=full)
    return action(rng, times, subject, full=full)


def action(
    rng: Random,
    times: Menu[tuple[str, str]],
    subject: Phrase,
    *,
    verb: Verb | None = None,
    about: Phrase | None = None,
    full: bool = True,
) -> Clause:
    """Someone does something; with a given verb and object, if there are any."""
    verb = verb or ACTIONS.draw(rng)
    recipient = other_person(rng, subject) if verb.recipient else None
    if about is None and verb.case:
        about = thing(rng, verb, subject)
        while about.noun and subject.noun and about.noun.german == subject.noun.german:
            about = thing(rng, verb, subject)
    where = spot(rng, verb) if verb.where else None
    result = Clause(subject, verb, about, recipient, where)
    return adorned(rng, timed(rng, result, times, full=full), full=full)


def process(rng: Random, times: Menu[tuple[str, str]]) -> Clause:
    """Something happens, or someone likes, misses or owns something."""
    classes, verbs = PROCESS.draw(rng)
    verb = verbs.draw(rng)
    noun = nouns(classes).draw(rng)
    subject = nominal(rng, noun, adjective=0.15)
    if subject.determiner in ("ein", "", "zahl", "jeder"):
        subject = subject._replace(determiner="der")
    result = Clause(subject, verb)
    if verb.case:
        result = result._replace(object=other_person(rng, subject))
    if verb.where:
        result = result._replace(where=spot(rng, verb))
    if "t" in verb.flags:
        times = Menu([("perfect", "")]) if times in PASTS else STATIC
    return timed(rng, result, times, full=True)


PROCESS = Menu(list(PROCESSES.items()), [5, 5, 3, 6, 3, 2, 3, 3, 2])


def description(
    rng: Random, times: Menu[tuple[str, str]], subject: Phrase, *, full: bool
) -> Clause:
    """What someone is like, or is by profession."""
    past = times in PASTS or (times is ANY and rng.random() < 0.4)
    state = STATE.draw(rng)
    job = profession(rng, subject) if rng.random() < 0.2 else None
    result = Clause(subject, state=job or state, tense="past" if past else "present")
    if job or not full:
        return result
    if rng.random() < 0.4:
        timing = "past" if past else "since"
        result = result._replace(time=filled(rng, TIME[timing].draw(rng)))
        result = result._replace(timing=timing)
    elif not past and rng.random() < 0.4:
        result = result._replace(adverb=FREQUENCY.draw(rng))
    elif plain(subject) and rng.random() < 0.2:
        result = result._replace(negated=True)
    return arranged(rng, result)


def profession(rng: Random, subject: Phrase) -> Adverb | None:
    """Lehrer, a teacher: of the subject's sex, and without an article in German."""
    noun = nouns(("job",)).draw(rng)
    code = reference(subject)
    if code not in ({"m": "er", "f": "sie"}[noun.sex], "ich"):
        return None
    singular = [forms[0] for forms in noun.english.options]
    return Adverb(noun.german, menu(" / ".join(f"{english.article(s)} {s}" for s in singular)))


def plain(phrase: Phrase | None) -> bool:
    """Whether a phrase has no quantity, with which a negation would mean two things."""
    return phrase is None or bool(phrase.pronoun) or phrase.determiner in (*DEFINITE, "")


def timed(rng: Random, result: Clause, times: Menu[tuple[str, str]], *, full: bool) -> Clause:
    """The clause with a tense, a time and perhaps a negation."""
    tense, timing = times.draw(rng)
    verb = result.verb
    assert verb is not None
    infinitive = verb.prefix + verb.stem
    human = result.subject.noun is None or "person" in result.subject.noun.classes
    deliberate = human and infinitive not in UNWANTED
    static = "t" in verb.flags
    if (
        (timing in ("modal", "gern", "now") and not deliberate)
        or (timing in ("now", "gern", "recent") and static)
        or (timing == "since" and infinitive not in DURATIVE)
    ):
        tense, timing = "perfect" if tense == "past" else tense, ""
    if timing == "modal":
        result = result._replace(tense=tense, modal=MODAL_VERBS.draw(rng))
        if full and tense == "present" and rng.random() < 0.3:
            result = result._replace(time=filled(rng, TIME["future"].draw(rng)))
    elif timing == "gern":
        result = result._replace(gern=True)
    else:
        result = result._replace(tense=tense, timing=timing)
        result = with_time(rng, result, full=full, given=times is HYPOTHESIS)
    free = result.adverb is None and not result.gern and timing not in ("now", "habit", "since")
    definite = plain(result.object) or result.indefinite_object
    if free and definite and plain(result.subject) and rng.random() < 0.17:
        yet = timing == "" and tense == "perfect" and rng.random() < 0.5
        result = result._replace(negated=True, yet=yet)
    return result


def with_time(rng: Random, result: Clause, *, full: bool, given: bool) -> Clause:
    """The clause with the adverb that goes with its timing. `given`: it needs none."""
    timing = result.timing
    if timing == "recent":
        return result._replace(adverb=COMPLETION.draw(rng))
    if timing == "habit":
        if given:
            return result
        if rng.random() < 0.45:
            return result._replace(adverb=FREQUENCY.draw(rng))
    if timing in ("", "consequence") or (timing == "past" and not full and rng.random() < 0.6):
        return result
    time = TIME[timing].draw(rng)
    while "{clock}" in time.german and ("t" in result.flags or lasting(result)):
        time = TIME[timing].draw(rng)
    return result._replace(time=filled(rng, time))


def lasting(result: Clause) -> bool:
    """Whether the clause says where someone lives or stays, which has no hour."""
    return result.verb is not None and result.verb.where == "loc"


def untimed(result: Clause) -> Clause:
    """The clause without time, frequency and place, and with a tense that needs none."""
    timing = result.timing if result.timing in ("past", "recent", "habit") else ""
    adverb = result.adverb if timing == "recent" else None
    return result._replace(time=None, place=None, adverb=adverb, timing=timing)


def adorned(rng: Random, result: Clause, *, full: bool) -> Clause:
    """The clause with manner, means and place, where the verb allows them."""
    flags = result.flags
    if not result.negated:
        if "m" in flags and rng.random() < 0.3:
            result = result._replace(manner=MANNER.draw(rng))
        if "v" in flags and rng.random() < 0.3:
            result = result._replace(vehicle=VEHICLE.draw(rng))
        if "p" in flags and not result.where and rng.random() < (0.3 if full else 0.15):
            row = SPOTS.draw(rng)
            result = result._replace(place=Adverb(row[0], menu(row[2])))
    return arranged(rng, result) if full else result


def arranged(rng: Random, result: Clause) -> Clause:
    """The clause with a mood now and then, and with what German puts first."""
    if result.adverb is None and not result.gern and rng.random() < 0.1:
        front = "mood" if rng.random() < 0.6 else "subject"
        return result._replace(mood=MOOD.draw(rng), front=front)
    if result.time and result.time.german != "gerade" and rng.random() < 0.5:
        return result._replace(front="time")
    if object_is_marked(result) and rng.random() < 0.15:
        return result._replace(front="object")
    if result.place and rng.random() < 0.2:
        return result._replace(front="place")
    return result


def object_is_marked(result: Clause) -> bool:
    """Whether an object before the verb would be seen to be one."""
    verb, about, subject = result.verb, result.object, result.subject
    if verb is None or about is None or about.noun is None or about.noun.name:
        return False
    if verb.case != "acc" or verb.preposition or "R" in verb.flags or result.indefinite_object:
        return False
    masculine = about.noun.gender == "m" and not about.plural and about.determiner != ""
    return masculine or subject.pronoun in ("ich", "du", "er", "wir")


# --- Special clauses -----------------------------------------------------------------------


def activity(rng: Random, subject: Phrase) -> Clause:
    """What someone tries, promises or forgets to do: an action out of time."""
    verb = ACTIONS.draw(rng)
    while verb.prefix + verb.stem in UNWANTED or "t" in verb.flags:
        verb = ACTIONS.draw(rng)
    about = thing(rng, verb, subject) if verb.case else None
    recipient = other_person(rng, subject) if verb.recipient else None
    where = spot(rng, verb) if verb.where else None
    return adorned(rng, Clause(subject, verb, about, recipient, where), full=False)


def passive(rng: Random) -> Clause:
    """Something is done to something, perhaps by somebody who is named."""
    verb = PASSIVE_VERBS.draw(rng)
    agent = person(rng, pronoun=0.0) if rng.random() < 0.3 else Phrase(pronoun=NOBODY)
    classes = tuple(name for name in verb.objects if name != "person")
    about = nominal(rng, nouns(classes).draw(rng))
    if about.determiner not in DEFINITE:
        about = about._replace(determiner="der")
    tense, timing = PASSIVE_TIMES.draw(rng)
    result = Clause(agent, verb, about, tense=tense, timing=timing, passive=True)
    if timing == "modal":
        modal = NECESSITY.draw(rng)
        return result._replace(timing="", modal=modal, negated=rng.random() < 0.2)
    if timing:
        result = with_time(rng, result, full=True, given=False)
    elif rng.random() < 0.2:
        result = result._replace(negated=True)
    return arranged(rng, result)


_PASSIVE = [
    verb
    for verb in ACTIONS.options
    if "b" in verb.flags and not verb.recipient and verb.objects != ("person",)
]
PASSIVE_VERBS = Menu(_PASSIVE, zipf(len(_PASSIVE), 4))
PASSIVE_TIMES = Menu(
    [("past", "past"), ("past", ""), ("perfect", ""), ("present", ""), ("present", "modal")],
    [4, 3, 3, 3, 4],
)
POSSIBILITY = Menu([m for m in MODAL_VERBS.options if m.present[0] in ("kann", "darf", "muss")])
QUALITY = Menu(QUALITIES, zipf(len(QUALITIES), 4))
NECESSITY = Menu([m for m in MODAL_VERBS.options if m.present[0] in ("muss", "kann", "soll")])

# --- Relative clauses -----------------------------------------------------------------------


@cache
def verbs_for(classes: tuple[str, ...]) -> Menu[Verb] | None:
    """The verbs whose only object a noun of these classes can be."""
    fitting = [
        (weight, verb)
        for weight, verb in zip(zipf(len(ACTIONS.options), 4), ACTIONS.options, strict=True)
        if set(classes) & set(verb.objects) and verb.case and not verb.recipient
    ]
    return Menu([v for _, v in fitting], [w for w, _ in fitting]) if fitting else None


def relative(rng: Random, phrase: Phrase, avoid: Verb | None) -> Phrase:
    """The phrase with a relative clause, if it can have one, that has another verb."""
    noun = phrase.noun
    if noun is None or noun.name or phrase.determiner in ("mein", "", "genitiv"):
        return phrase
    gap = Phrase(noun, pronoun=GAP, plural=phrase.plural)
    if "person" in noun.classes and rng.random() < 0.6:
        inner = action(rng, ANY, gap, full=False)
        while inner.verb is avoid:
            inner = action(rng, ANY, gap, full=False)
        return phrase._replace(relative=inner)
    verbs = verbs_for(noun.classes)
    if verbs is None or (avoid in verbs.options and len(verbs.options) == 1):
        return phrase
    verb = verbs.draw(rng)
    while verb is avoid:
        verb = verbs.draw(rng)
    subject = person(rng, pronoun=0.6)
    marked = noun.gender == "m" and not phrase.plural
    if "person" in noun.classes and not marked:
        subject = Phrase(pronoun=MARKED.draw(rng))
    if subject.noun is not None and subject.noun.german == noun.german:
        subject = Phrase(pronoun="ich")
    inner = action(rng, ANY, subject, verb=verb, about=gap, full=False)
    return phrase._replace(relative=inner)


HOMOGRAPHS = frozenset(
    noun.german for noun in OBJECTS if [other.german for other in OBJECTS].count(noun.german) > 1
)
"""Nouns of two senses, which only a verb tells apart."""

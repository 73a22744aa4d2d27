"""The German side of the task `phrases`: declension, verb forms, and where the words go."""

from __future__ import annotations

from seqrl.data.phrases_lexicon import FIRST_PERSONS, SECOND_PERSONS
from seqrl.data.phrases_meaning import GAP, NOBODY, Clause, Phrase
from seqrl.data.phrases_words import PRONOUNS, REFLEXIVES, Verb, listed

CASES = ("nom", "acc", "dat", "gen")

# Endings of masculine, feminine, neuter and plural, by case.
ENDINGS = {
    "ein": {
        "nom": ("", "e", "", "e"),
        "acc": ("en", "e", "", "e"),
        "dat": ("em", "er", "em", "en"),
        "gen": ("es", "er", "es", "er"),
    },
    "dieser": {
        "nom": ("er", "e", "es", "e"),
        "acc": ("en", "e", "es", "e"),
        "dat": ("em", "er", "em", "en"),
        "gen": ("es", "er", "es", "er"),
    },
    "weak": {
        "nom": ("e", "e", "e", "en"),
        "acc": ("en", "e", "e", "en"),
        "dat": ("en", "en", "en", "en"),
        "gen": ("en", "en", "en", "en"),
    },
    "mixed": {
        "nom": ("er", "e", "es", "en"),
        "acc": ("en", "e", "es", "en"),
        "dat": ("en", "en", "en", "en"),
        "gen": ("en", "en", "en", "en"),
    },
    "strong": {
        "nom": ("er", "e", "es", "e"),
        "acc": ("en", "e", "es", "e"),
        "dat": ("em", "er", "em", "en"),
        "gen": ("en", "er", "en", "er"),
    },
}
ARTICLES = {
    "nom": ("der", "die", "das", "die"),
    "acc": ("den", "die", "das", "die"),
    "dat": ("dem", "der", "dem", "den"),
    "gen": ("des", "der", "des", "der"),
}
RELATIVES = {
    "nom": ("der", "die", "das", "die"),
    "acc": ("den", "die", "das", "die"),
    "dat": ("dem", "der", "dem", "denen"),
}
# determiner -> (stem, table of its endings, endings of the adjective after it)
DETERMINERS = {
    "ein": ("ein", "ein", "mixed"),
    "kein": ("kein", "ein", "mixed"),
    "dieser": ("dies", "dieser", "weak"),
    "jeder": ("jed", "dieser", "weak"),
    "alle": ("all", "dieser", "weak"),
    "viele": ("viel", "dieser", "strong"),
    "einige": ("einig", "dieser", "strong"),
}
AUXILIARIES = {
    "haben": {"1s": "habe", "2s": "hast", "3s": "hat", "p": "haben"},
    "hatten": {"1s": "hatte", "2s": "hattest", "3s": "hatte", "p": "hatten"},
    "sein": {"1s": "bin", "2s": "bist", "3s": "ist", "p": "sind"},
    "waren": {"1s": "war", "2s": "warst", "3s": "war", "p": "waren"},
    "werden": {"1s": "werde", "2s": "wirst", "3s": "wird", "p": "werden"},
    "wurden": {"1s": "wurde", "2s": "wurdest", "3s": "wurde", "p": "wurden"},
}
UNITS = listed("null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf")
TENS = listed("zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig")


def number(value: int) -> str:
    """A number from 2 to 99 in words."""
    if value <= 12:
        return UNITS[value]
    if value < 20:
        return {16: "sechzehn", 17: "siebzehn"}.get(value, UNITS[value - 10] + "zehn")
    tens, unit = TENS[value // 10 - 2], value % 10
    if not unit:
        return tens
    return f"{'ein' if unit == 1 else UNITS[unit]}und{tens}"


# --- Noun phrases -------------------------------------------------------------------------


def column(phrase: Phrase) -> int:
    """Masculine, feminine, neuter or plural: the column of every table of endings."""
    if phrase.plural:
        return 3
    return "mfn".index(phrase.noun.gender) if phrase.noun else 0


def agreement(phrase: Phrase) -> str:
    """The person and number of the verb: 1s, 2s, 3s or p."""
    if phrase.personal:
        return phrase.personal.agreement
    return "p" if phrase.plural else "3s"


def declined(phrase: Phrase, case: str) -> str:
    """The noun of a phrase in its case and number."""
    noun = phrase.noun
    assert noun is not None
    if not phrase.plural:
        if case == "gen":
            return noun.genitive
        return noun.german if case == "nom" else noun.oblique
    if case == "dat" and not noun.plural.endswith(("n", "s")):
        return noun.plural + "n"
    return noun.plural


def determined(phrase: Phrase, case: str) -> tuple[str, str]:
    """The determiner, and the table of endings for the adjective after it."""
    where = column(phrase)
    if phrase.determiner in ("der", "genitiv"):
        return ARTICLES[case][where], "weak"
    if phrase.determiner == "mein":
        return PRONOUNS[phrase.owner].possessive + ENDINGS["ein"][case][where], "mixed"
    if phrase.determiner == "zahl":
        return number(phrase.amount), "strong"
    if not phrase.determiner:
        return "", "strong"
    stem, endings, adjective = DETERMINERS[phrase.determiner]
    return stem + ENDINGS[endings][case][where], adjective


def noun_phrase(phrase: Phrase, case: str) -> str:
    """A phrase in a case, its relative clause included."""
    if phrase.personal:
        return phrase.personal[CASES.index(case)]
    assert phrase.noun is not None
    if phrase.noun.name:
        return phrase.noun.german
    determiner, table = determined(phrase, case)
    if phrase.adjective:
        ending = ENDINGS[table][case][column(phrase)]
        determiner += f" {phrase.adjective.stem}{ending}"
    text = f"{determiner} {declined(phrase, case)}".strip()
    if phrase.possessor:
        owner = phrase.possessor
        if owner.noun and owner.noun.name:
            # A name stands before the noun and takes the article's place.
            rest = text.partition(" ")[2]
            if phrase.adjective:
                strong = ENDINGS["strong"][case][column(phrase)]
                rest = f"{phrase.adjective.stem}{strong} {declined(phrase, case)}"
            text = f"{owner.noun.genitive} {rest}"
        else:
            text += " " + noun_phrase(owner, "gen")
    if phrase.relative:
        text += f" , {relative_clause(phrase.relative)} ,"
    return text


def relative_clause(clause: Clause) -> str:
    """A clause with a gap, its relative pronoun in front."""
    gap = clause.subject
    case, preposition = "nom", ""
    if gap.pronoun != GAP and clause.object and clause.verb:
        gap, case, preposition = clause.object, clause.verb.case, clause.verb.preposition
    pronoun = RELATIVES[case][column(gap)]
    return f"{preposition} {pronoun} {sentence(clause, 'final')}".strip()


# --- Verbs --------------------------------------------------------------------------------


def present(verb: Verb, person: str) -> str:
    """The finite form without its prefix: rufe, rufst, ruft, rufen."""
    if person == "p":
        return verb.stem
    if person == "3s":
        return verb.third
    if person == "1s":
        if verb.stem in FIRST_PERSONS:
            return FIRST_PERSONS[verb.stem]
        return verb.stem[:-1] + ("e" if verb.stem.endswith("ern") else "")
    if verb.third in SECOND_PERSONS:
        return SECOND_PERSONS[verb.third]
    root = verb.third[:-1]
    return verb.third if root.endswith(("s", "ß", "z", "x")) else root + "st"


def to_infinitive(clause: Clause) -> str:
    """anzurufen, zu helfen, zu sein."""
    if clause.verb is None:
        return "zu sein"
    if clause.verb.prefix:
        return f"{clause.verb.prefix}zu{clause.verb.stem}"
    return f"zu {clause.verb.stem}"


def predicate(clause: Clause) -> tuple[str, str]:
    """The finite verb, and what stands at the end of a main clause (which may be nothing)."""
    person = agreement(clause.object if clause.passive and clause.object else clause.subject)
    verb = clause.verb
    infinitive, participle, perfect = "sein", "gewesen", "sein"
    if verb:
        infinitive, participle = verb.prefix + verb.stem, verb.participle
        perfect = "sein" if "s" in verb.flags else "haben"
    if clause.passive:
        infinitive, participle, perfect = f"{participle} werden", f"{participle} worden", "sein"
    if clause.modal:
        forms = clause.modal.past if clause.tense == "past" else clause.modal.present
        return forms[{"1s": 0, "2s": 1, "3s": 0, "p": 2}[person]], infinitive
    if clause.tense == "future":
        return AUXILIARIES["werden"][person], infinitive
    if clause.tense == "perfect":
        return AUXILIARIES[perfect][person], participle
    if clause.tense == "pluperfect":
        return AUXILIARIES["waren" if perfect == "sein" else "hatten"][person], participle
    if clause.passive and verb:
        auxiliary = "wurden" if clause.tense == "past" else "werden"
        return AUXILIARIES[auxiliary][person], verb.participle
    if verb is None:
        return AUXILIARIES["waren" if clause.tense == "past" else "sein"][person], ""
    return present(verb, person), verb.prefix


# --- Word order -----------------------------------------------------------------------------


def reflexive(clause: Clause) -> str:
    column_of = 0 if "r" in clause.flags else 1
    return REFLEXIVES.get(clause.subject.pronoun, ("sich", "sich"))[column_of]


def pronouns(clause: Clause) -> list[str]:
    """The unstressed pronouns, which come first: accusative before dative."""
    verb = clause.verb
    parts: list[str] = []
    if verb is None or clause.passive:
        return parts
    if clause.object and clause.object.personal and not verb.preposition:
        parts.append(noun_phrase(clause.object, verb.case))
    if "r" in verb.flags or "R" in verb.flags:
        parts.append(reflexive(clause))
    if clause.recipient and clause.recipient.personal:
        parts.append(noun_phrase(clause.recipient, "dat"))
    return parts


def middle(clause: Clause) -> dict[str, str]:
    """The parts between the finite verb and the end, by name, in their neutral order."""
    verb, thing = clause.verb, clause.object
    parts = {"time": clause.time.german if clause.time else ""}
    if clause.recipient and not clause.recipient.personal:
        parts["recipient"] = noun_phrase(clause.recipient, "dat")
    if verb and thing and verb.case == "dat" and not verb.preposition and not thing.pronoun:
        parts["dative"] = noun_phrase(thing, "dat")
    parts["mood"] = clause.mood.german if clause.mood else ""
    parts["adverb"] = clause.adverb.german if clause.adverb else ""
    parts["gern"] = "gern" if clause.gern else ""
    negation = ("noch nicht" if clause.yet else "nicht") if clause.negated else ""
    if verb and thing and verb.case == "acc" and not verb.preposition and not thing.pronoun:
        if negation and clause.indefinite_object:
            thing, negation = thing._replace(determiner="kein"), "noch" if clause.yet else ""
            parts["yet"], negation = negation, ""
        if not clause.passive:
            parts["object"] = noun_phrase(thing, "acc")
    if clause.passive and clause.subject.pronoun != NOBODY:
        parts["agent"] = "von " + noun_phrase(clause.subject, "dat")
    parts["nicht"] = negation
    parts["manner"] = clause.manner.german if clause.manner else ""
    parts["vehicle"] = clause.vehicle.german if clause.vehicle else ""
    parts["place"] = clause.place.german if clause.place else ""
    if verb and thing and verb.preposition and thing.pronoun != GAP:
        parts["about"] = f"{verb.preposition} {noun_phrase(thing, verb.case)}"
    parts["where"] = clause.where.german if clause.where else ""
    parts["state"] = clause.state.german if clause.state else ""
    return {name: text for name, text in parts.items() if text}


def sentence(clause: Clause, order: str) -> str:
    """The clause with its verb second (main), first (question), last (final), or as zu-infinitive.

    A name of a part as `clause.front` puts that part before the verb of a main clause. A
    relative clause of the object follows the verb's second part.
    """
    finite, end = predicate(clause)
    late = ""
    if order == "main" and end and clause.object and clause.object.relative:
        late = f", {relative_clause(clause.object.relative)}"
        clause = clause._replace(object=clause.object._replace(relative=None))
    parts, small = middle(clause), pronouns(clause)
    subject = ""
    if clause.passive and clause.object:
        subject = "" if clause.object.pronoun == GAP else noun_phrase(clause.object, "nom")
    elif clause.subject.pronoun != GAP:
        subject = noun_phrase(clause.subject, "nom")
    if order == "zu":
        words = [*small, *parts.values(), to_infinitive(clause)]
    elif order == "final":
        joint = "" if clause.verb and end and end == clause.verb.prefix else " "
        words = [subject, *small, *parts.values(), f"{end}{joint}{finite}".strip()]
    elif order == "question":
        words = [finite, subject, *small, *parts.values(), end]
    elif clause.front in parts:
        front = parts.pop(clause.front)
        words = [front, finite, subject, *small, *parts.values(), end, late]
    else:
        words = [subject, finite, *small, *parts.values(), end, late]
    return " ".join(word for word in words if word)

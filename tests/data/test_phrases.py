"""The grammar of German and English: what it writes by hand-checked cases, and the corpus."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from processes import printed

from seqrl.data import phrases_english as english
from seqrl.data import phrases_german as german
from seqrl.data.corpus import Corpus
from seqrl.data.phrases import naturalize, phrases, tokenize
from seqrl.data.phrases_meaning import GAP, NOBODY, Clause, Phrase, reference
from seqrl.data.phrases_words import (
    ACTIONS,
    MODAL_VERBS,
    OBJECTS,
    PEOPLE,
    PROCESSES,
    QUALITIES,
    Adverb,
    Modal,
    Noun,
    Verb,
    menu,
)

DIGEST = "0666acc8c3ab1acf"

ME, YOU, HE = Phrase(pronoun="ich"), Phrase(pronoun="du"), Phrase(pronoun="er")


def noun(word: str, meaning: str = "") -> Noun:
    for entry in [*PEOPLE, *OBJECTS]:
        if entry.german == word and meaning in ("", entry.english.options[0][0]):
            return entry
    raise KeyError(word)


def verb(infinitive: str, head: str = "") -> Verb:
    for table in (ACTIONS, *PROCESSES.values()):
        for entry in table.options:
            known = ("", entry.english.options[0].head)
            if entry.prefix + entry.stem == infinitive and head in known:
                return entry
    raise KeyError(infinitive)


def modal(form: str) -> Modal:
    return next(entry for entry in MODAL_VERBS.options if form in entry.present)


OLD = next(quality for quality in QUALITIES if quality.german == "alt")
EXPENSIVE = next(quality for quality in QUALITIES if quality.german == "teuer")
YESTERDAY = Adverb("gestern", menu("yesterday"), "past")
BOOK = Phrase(noun("buch"))
CALL = Clause(ME, verb("anrufen"), YOU)


def renderings(draw: Callable[[Random], str]) -> set[str]:
    return {draw(Random(seed)) for seed in range(300)}


def statements(clause: Clause) -> set[str]:
    return renderings(lambda rng: english.statement(clause, rng))


# --- German -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("determiner", "plural", "case", "text"),
    [
        ("der", False, "nom", "der alte hund"),
        ("der", False, "acc", "den alten hund"),
        ("der", False, "dat", "dem alten hund"),
        ("der", True, "dat", "den alten hunden"),
        ("ein", False, "nom", "ein alter hund"),
        ("ein", False, "acc", "einen alten hund"),
        ("kein", True, "acc", "keine alten hunde"),
        ("", True, "acc", "alte hunde"),
        ("viele", True, "dat", "vielen alten hunden"),
        ("dieser", False, "acc", "diesen alten hund"),
        ("alle", True, "nom", "alle alten hunde"),
    ],
)
def test_articles_adjectives_and_nouns_agree(
    determiner: str, plural: bool, case: str, text: str
) -> None:
    phrase = Phrase(noun("hund"), determiner=determiner, plural=plural, adjective=OLD)
    assert german.noun_phrase(phrase, case) == text


def test_genders_differ_in_their_articles() -> None:
    words = [Phrase(noun(word)) for word in ("zug", "tür", "buch")]
    assert [german.noun_phrase(w, "acc") for w in words] == ["den zug", "die tür", "das buch"]
    assert [german.noun_phrase(w, "dat") for w in words] == ["dem zug", "der tür", "dem buch"]


def test_weak_nouns_possessives_and_genitives() -> None:
    student = Phrase(noun("student"), determiner="mein", owner="wir")
    assert german.noun_phrase(student, "dat") == "unserem studenten"
    theirs = Phrase(noun("auto"), determiner="genitiv", possessor=Phrase(noun("arzt")))
    assert german.noun_phrase(theirs, "acc") == "das auto des arztes"
    costly = Phrase(noun("auto"), determiner="ein", adjective=EXPENSIVE)
    assert german.noun_phrase(costly, "nom") == "ein teures auto"


def test_a_separable_prefix_moves_with_the_verb() -> None:
    assert german.sentence(CALL, "main") == "ich rufe dich an"
    assert german.sentence(CALL, "question") == "rufe ich dich an"
    assert german.sentence(CALL, "final") == "ich dich anrufe"
    assert german.sentence(CALL, "zu") == "dich anzurufen"


def test_participles_and_infinitives_end_the_clause() -> None:
    perfect = CALL._replace(tense="perfect", time=YESTERDAY, front="time", negated=True)
    assert german.sentence(perfect, "main") == "gestern habe ich dich nicht angerufen"
    assert german.sentence(perfect, "final") == "ich dich gestern nicht angerufen habe"
    must = CALL._replace(subject=HE, modal=modal("muss"))
    assert german.sentence(must, "main") == "er muss dich anrufen"
    assert german.sentence(must, "final") == "er dich anrufen muss"
    left = Clause(Phrase(noun("frau")), verb("aufstehen"), tense="pluperfect")
    assert german.sentence(left, "final") == "die frau aufgestanden war"


@pytest.mark.parametrize(
    ("infinitive", "forms"),
    [
        ("lesen", "lese liest liest lesen"),
        ("fahren", "fahre fährst fährt fahren"),
        ("arbeiten", "arbeite arbeitest arbeitet arbeiten"),
        ("kümmern", "kümmere kümmerst kümmert kümmern"),
        ("unterhalten", "unterhalte unterhältst unterhält unterhalten"),
        ("einladen", "lade lädst lädt laden"),
    ],
)
def test_persons_of_the_present(infinitive: str, forms: str) -> None:
    persons = [german.present(verb(infinitive), person) for person in ("1s", "2s", "3s", "p")]
    assert persons == forms.split()


def test_reflexives_and_pronouns_come_before_other_objects() -> None:
    glad = Clause(ME, verb("freuen"), Phrase(noun("reise")), time=YESTERDAY, front="time")
    assert german.sentence(glad, "main") == "gestern freue ich mich auf die reise"
    borrow = Clause(YOU, verb("leihen", "borrow"), Phrase(noun("auto"), determiner="ein"))
    assert german.sentence(borrow, "main") == "du leihst dir ein auto"
    give = Clause(HE, verb("geben"), Phrase(pronoun="er_it"), Phrase(noun("frau")))
    assert german.sentence(give, "main") == "er gibt ihn der frau"


def test_relative_pronouns_have_gender_number_and_case() -> None:
    man = noun("mann", "man")
    help_him = Clause(ME, verb("helfen"), Phrase(man, pronoun=GAP))
    assert german.relative_clause(help_him) == "dem ich helfe"
    wait = Clause(ME, verb("warten"), Phrase(man, pronoun=GAP, plural=True))
    assert german.relative_clause(wait) == "auf die ich warte"
    known = Phrase(man, relative=Clause(ME, verb("kennen"), Phrase(man, pronoun=GAP)))
    seen = Clause(HE, verb("sehen"), known, tense="perfect")
    assert german.sentence(seen, "main") == "er hat den mann gesehen , den ich kenne"


def test_negation_of_an_indefinite_object_is_kein() -> None:
    nothing = Clause(HE, verb("lesen"), BOOK._replace(determiner="ein"), negated=True)
    assert german.sentence(nothing, "main") == "er liest kein buch"
    assert german.sentence(nothing._replace(object=BOOK), "main") == "er liest das buch nicht"
    assert german.sentence(nothing._replace(tense="perfect", yet=True), "final") == (
        "er noch kein buch gelesen hat"
    )


def test_passives() -> None:
    repaired = Clause(
        Phrase(noun("bruder"), determiner="mein", owner="ich"),
        verb("reparieren"),
        Phrase(noun("auto"), plural=True),
        tense="past",
        passive=True,
    )
    assert german.sentence(repaired, "main") == "die autos wurden von meinem bruder repariert"
    unnamed = repaired._replace(subject=Phrase(pronoun=NOBODY), tense="perfect")
    assert german.sentence(unnamed, "final") == "die autos repariert worden sind"


def test_german_numbers() -> None:
    words = "zwei zwölf dreizehn sechzehn siebzehn zwanzig einundzwanzig siebzig neunundneunzig"
    numbers = (2, 12, 13, 16, 17, 20, 21, 70, 99)
    assert " ".join(map(german.number, numbers)) == words


# --- English ----------------------------------------------------------------------------------


def test_english_numbers() -> None:
    words = "two twelve twenty twenty-one forty ninety-nine"
    assert " ".join(map(english.number, (2, 12, 20, 21, 40, 99))) == words


@pytest.mark.parametrize(
    ("lemma", "forms"),
    [
        ("carry", "carries carried carried carrying"),
        ("stop", "stops stopped stopped stopping"),
        ("wash", "washes washed washed washing"),
        ("lie", "lies lay lain lying"),
        ("see", "sees saw seen seeing"),
        ("play", "plays played played playing"),
        ("write", "writes wrote written writing"),
        ("be", "is was been being"),
    ],
)
def test_english_verb_forms(lemma: str, forms: str) -> None:
    names = ("present", "past", "participle", "ing")
    assert [english.inflected(lemma, name, "3s") for name in names] == forms.split()


def test_the_perfect_is_a_past_tense_after_a_time_and_else_either() -> None:
    read = Clause(HE, verb("lesen"), BOOK, tense="perfect")
    assert statements(read) == {"he read the book", "he has read the book", "he's read the book"}
    assert statements(read._replace(timing="past", time=YESTERDAY)) == {
        "he read the book yesterday"
    }


def test_a_duration_up_to_now_is_an_english_perfect() -> None:
    since = Adverb("seit drei jahren", menu("for three years"), "since")
    works = Clause(HE, verb("arbeiten"), time=since, timing="since")
    assert german.sentence(works, "main") == "er arbeitet seit drei jahren"
    assert "he has been working for three years" in statements(works)
    assert not any(" is " in text or " works " in text for text in statements(works))


def test_negations_and_questions_use_do() -> None:
    help_me = Clause(HE, verb("helfen"), ME, negated=True, timing="habit")
    assert statements(help_me) == {"he doesn't help me", "he does not help me"}
    asked = help_me._replace(negated=False)
    assert renderings(lambda rng: english.question(asked, rng)) == {"does he help me"}
    allowed = Clause(HE, verb("aufstehen"), modal=modal("darf"), negated=True)
    assert {"he isn't allowed to get up", "he mustn't get up", "he may not get up"} <= statements(
        allowed
    )


def test_kein_is_any_or_no() -> None:
    clause = Clause(
        HE, verb("kaufen"), Phrase(noun("buch"), plural=True, determiner=""), negated=True
    )
    assert {"he doesn't buy any books", "he buys no books"} <= statements(clause)


def test_what_pleases_in_german_is_liked_in_english() -> None:
    film = Phrase(noun("film"), plural=True)
    clause = Clause(film, verb("gefallen"), HE)
    assert german.sentence(clause, "main") == "die filme gefallen ihm"
    assert statements(clause) == {"he likes the films", "he likes the movies"}


def test_particles_recipients_and_possession() -> None:
    light = Clause(ME, verb("anschalten"), Phrase(pronoun="sie_it"), timing="habit")
    assert statements(light) == {"I turn it on", "I switch it on"}
    give = Clause(ME, verb("geben"), BOOK, HE, timing="habit")
    assert statements(give) == {"I give him the book", "I give the book to him"}
    explain = Clause(ME, verb("erklären"), Phrase(noun("problem")), HE, timing="habit")
    assert statements(explain) == {"I explain the problem to him"}
    car = Phrase(noun("auto"), determiner="genitiv", possessor=Phrase(noun("lehrer"), plural=True))
    assert renderings(lambda rng: english.noun_phrase(car, rng)) == {
        "the teachers' car",
        "the car of the teachers",
    }


def test_trousers_are_plural_in_english_only() -> None:
    pair = Phrase(noun("hose"), determiner="ein")
    assert german.agreement(pair) == "3s"
    assert english.person_of(pair) == "p"
    assert renderings(lambda rng: english.noun_phrase(pair, rng)) == {
        "a pair of trousers",
        "a pair of pants",
    }


# --- Words that their context tells apart ------------------------------------------------------


def test_no_verb_and_no_adjective_goes_with_two_senses_of_a_noun() -> None:
    for one in OBJECTS:
        for other in OBJECTS:
            if one is other or (one.german, one.gender) != (other.german, other.gender):
                continue
            for entry in (*ACTIONS.options, *QUALITIES):
                fits = entry.objects if isinstance(entry, Verb) else entry.classes
                assert not (set(fits) & set(one.classes) and set(fits) & set(other.classes))


def test_what_is_carried_is_not_worn() -> None:
    carry, wear = verb("tragen", "carry"), verb("tragen", "wear")
    assert not set(carry.objects) & set(wear.objects)


def test_a_noun_is_taken_up_by_a_pronoun_of_its_gender() -> None:
    key, bag, sister = noun("schlüssel"), noun("tasche"), noun("schwester")
    taken_up = [reference(Phrase(key)), reference(Phrase(bag)), reference(Phrase(sister))]
    assert taken_up == ["er_it", "sie_it", "sie"]
    lost = Clause(ME, verb("suchen"), Phrase(pronoun="er_it"), timing="habit")
    assert german.sentence(lost, "main") == "ich suche ihn"
    assert statements(lost) == {"I look for it", "I search for it"}


# --- Text --------------------------------------------------------------------------------------


def test_tokens_and_natural_text() -> None:
    natural = "Anna doesn't know, but I'll call my parents' friend's aunt at ten o'clock in May."
    tokens = (
        "anna does n't know , but i 'll call my parents ' friend 's aunt at ten o'clock in may ."
    )
    assert tokenize(natural) == tokens
    assert naturalize(tokens) == natural
    assert naturalize("he may not come , it is twenty - one years old .") == (
        "He may not come, it is twenty-one years old."
    )
    assert naturalize("") == ""


# --- The corpus --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return phrases()


def digest(corpus: Corpus) -> str:
    text = repr([(split, corpus[split]) for split in sorted(corpus)])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def test_the_corpus_is_the_same_everywhere(corpus: Corpus) -> None:
    assert digest(corpus) == DIGEST, "a changed grammar changes every result on this task"


def test_the_corpus_does_not_depend_on_the_process(corpus: Corpus) -> None:
    for hash_seed in ("1", "2"):
        assert printed("phrases", 50, hash_seed) == f"{corpus['train'][:50]}\n"


def test_sizes_seeds_and_disjoint_splits(corpus: Corpus) -> None:
    assert {split: len(corpus[split]) for split in corpus} == {
        "train": 20_000,
        "dev": 500,
        "test": 1000,
    }
    sources = [example.source for split in corpus.values() for example in split]
    assert len(set(sources)) == 21_500
    small = phrases(train=10)
    assert small["dev"] == corpus["dev"], "dev does not depend on the size of train"
    assert small["test"] == corpus["test"]
    assert phrases(train=10, seed=1)["dev"] != corpus["dev"]
    with pytest.raises(ValueError, match="train=-1"):
        phrases(train=-1)
    with pytest.raises(ValueError, match="references must be at least 1"):
        phrases(references=0)
    several = phrases(train=0, dev=50, test=0, references=5)["dev"]
    assert max(len(example.references) for example in several) == 5


def test_lengths(corpus: Corpus) -> None:
    lengths = [
        len(text.split())
        for split in corpus.values()
        for example in split
        for text in (example.source, *example.references)
    ]
    assert min(lengths) >= 4
    assert max(lengths) <= 30
    train = [len(example.source.split()) for example in corpus["train"]]
    assert 11 < sum(train) / len(train) < 13


def test_vocabularies_have_a_long_tail(corpus: Corpus) -> None:
    for texts, least, most in (
        ([e.source for e in corpus["train"]], 1100, 1400),
        ([e.references[0] for e in corpus["train"]], 900, 1150),
    ):
        counts = Counter(word for text in texts for word in text.split())
        assert least < len(counts) < most
        assert sum(count < 10 for count in counts.values()) > 50
        assert all(word == word.lower() for word in counts)


def test_nearly_all_words_of_the_test_split_are_known(corpus: Corpus) -> None:
    known = {word for e in corpus["train"] for word in e.references[0].split()}
    words = [word for e in corpus["test"] for text in e.references for word in text.split()]
    assert sum(word not in known for word in words) / len(words) < 0.001


def test_references(corpus: Corpus) -> None:
    assert all(len(example.references) == 1 for example in corpus["train"])
    for split in ("dev", "test"):
        assert sum(len(e.references) for e in corpus[split]) / len(corpus[split]) > 1.5
        assert all(1 <= len(set(e.references)) == len(e.references) <= 2 for e in corpus[split])
    for example in [e for split in corpus.values() for e in split]:
        assert tuple(map(tokenize, example.raw)) == example.references
        assert tuple(map(naturalize, example.references)) == example.raw


def test_sentences_are_well_formed(corpus: Corpus) -> None:
    for example in [e for split in corpus.values() for e in split]:
        for text in (example.source, *example.references):
            assert text[-1] in ".?!"
            assert "  " not in text
            assert ", ," not in text
            assert ", ." not in text
            assert not any(mark in text for mark in "{}:/_")
        words = example.references[0].split()
        assert not any(
            (article == "a" and word[0] in "aeiou") or (article == "an" and word[0] not in "aeiou")
            for article, word in pairwise(words)
        )


def test_generation_is_quick() -> None:
    start = time.process_time()
    phrases(train=5000, dev=0, test=0, seed=3)
    assert time.process_time() - start < 2

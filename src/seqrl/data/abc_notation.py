"""Tunes in ABC notation, as far as melodies of one voice need it (abcnotation.com, version 2.1).

Read are notes with their accidentals, octaves and lengths, rests, ties, tuplets, broken rhythms,
bar lines and endings, and of the fields the title, the metre, the unit of length and the key.
Grace notes, decorations, slurs, text and words are passed over. What is none of these makes a
tune one that is not understood: no note is guessed.

Repeats are not played again; of endings the last one is kept, so that what follows each other
does so in the last playing. An accidental holds for its letter, in every octave, to the end of
its bar. A tie to another pitch is a slur, as in many of the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
"""Semitones above C."""
FIFTHS = "FCGDAEB"
"""The letters in the order in which signatures raise them."""
MODES = {"": 0, "maj": 0, "ion": 0, "m": -3, "min": -3, "aeo": -3}
MODES |= {"lyd": 1, "mix": -1, "dor": -2, "phr": -4, "loc": -5}
"""Sharps of a mode's signature more than those of the major key of the same name."""
ACCIDENTALS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}
IN_THE_TIME_OF = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
"""So many notes of a tuplet in the time of how many; of other tuplets the metre decides."""
MIDDLE_C = 60
WHOLE = 2**10 * 9 * 5 * 7
"""Ticks of a whole note: all lengths are multiples of one, or the tune is not understood."""

_FIELD = re.compile(r"([A-Za-z]):(?![|:])\s*(.*)")
_KEY = re.compile(r"([A-G])([#b]?)\s*([A-Za-z]*)")
_FRACTION = re.compile(r"([1-9]\d*)/([1-9]\d*)")
_TOKEN = re.compile(
    r"""
    (?P<note> (\^\^|\^|__|_|=)? ([A-Ga-gzx]) ([,']*) (\d*) (/*) (\d*) ) |
    (?P<passed> \s+ | "[^"\n]*" | ![\w<>().+]*! | \{[^}\n]*\} | y\d* | [\\`$*!~.)H-Wh-w] ) |
    (?P<bar> (?: ::+ | \[?:*\|[|\]:]* ) (?: \s*\[? (?P<ending>\d) [\d,.-]* )? ) |
    (?P<tie> - ) |
    (?P<broken> >+ | <+ ) |
    (?P<tuplet> \( (\d) (?: : (\d?) )? (?: : (\d?) )? ) |
    (?P<slur> \( ) |
    (?P<begun> \[ (\d) [\d,.-]* ) |
    (?P<inline> \[ ([A-Za-z]): ([^\]\n]*) \] )
    """,
    re.VERBOSE,
)


class NotUnderstoodError(Exception):
    """A tune has what this module cannot read; the message says what, in a few words."""


@dataclass
class Note:
    """A note or a rest.

    start, length  in ticks
    pitch          of MIDI; None: a rest
    """

    start: int
    length: int
    pitch: int | None


@dataclass(frozen=True)
class Tune:
    """One tune, its repeats not expanded, tied notes as one.

    fifths  sharps of its key's signature, flats negative
    bars    where whole bars begin, in ticks; one that a repeat cuts in two is whole, what is
            shorter or longer than the metre says is none
    """

    title: str
    fifths: int
    notes: tuple[Note, ...]
    bars: tuple[int, ...]


def texts(file: str) -> Iterator[str]:
    """The tunes of a file, each from its field X on."""
    for part in re.split(r"^(?=X:)", file.replace("\r", ""), flags=re.MULTILINE):
        if part.startswith("X:"):
            yield part


def read(text: str) -> Tune:
    """The tune. NotUnderstoodError where it has what cannot be read, no key or no metre."""
    reader = _Reader()
    for line in text.split("\n"):
        reader.line(line.partition("%")[0])
    return reader.tune()


@dataclass
class _Sound:
    """A note or rest, not yet at its place. tied: to what follows."""

    length: int
    pitch: int | None
    tied: bool = False


@dataclass(frozen=True)
class _Line:
    """A bar line, before bars of so many ticks."""

    bar: int


class _Reader:
    """What has been read of a tune."""

    def __init__(self) -> None:
        self.title = ""
        self.fifths: int | None = None
        self.signature: dict[str, int] = {}
        self.metre: tuple[int, int] | None = None
        self.unit: int | None = None
        self.found: list[_Sound | _Line] = []
        self.accidentals: dict[str, int] = {}  # of this bar, by letter
        self.ending: int | None = None  # where in `found` the last one begins
        self.tuplet, self.remaining = (1, 1), 0  # its factor, and its notes to come
        self.next_factor = (1, 1)  # of the note that a broken rhythm ends with

    def tune(self) -> Tune:
        """All of it."""
        if self.fifths is None:
            raise NotUnderstoodError("no key")
        notes, lines = self._placed()
        return Tune(self.title, self.fifths, tuple(notes), tuple(_whole_bars(lines)))

    def line(self, line: str) -> None:
        """Reads on."""
        of_field = _FIELD.match(line)
        if of_field:
            self._field(of_field[1], of_field[2].strip())
        elif self.fifths is not None:
            self._music(line)

    def _field(self, name: str, value: str) -> None:
        if name == "T":
            self.title = self.title or value
        elif name == "M":
            self.metre = _metre(value)
            self.found.append(_Line(self._bar()))
        elif name == "L":
            self.unit = _share(WHOLE, *_fraction(value, "a length"))
        elif name == "K":
            fifths = _sharps(value)
            if self.fifths not in (None, fifths):
                raise NotUnderstoodError("another key inside")
            self.fifths = fifths
            self.signature = {letter: _raised(fifths, letter) for letter in LETTERS}
        elif name == "V":
            raise NotUnderstoodError("several voices")

    def _music(self, line: str) -> None:
        place = 0
        while place < len(line):
            token = _TOKEN.match(line, place)
            if token is None:
                raise NotUnderstoodError(_trouble(line[place:]))
            place = token.end()
            if token.lastgroup == "note":
                self._note(*token.groups()[1:7])
            elif token.lastgroup != "passed":
                self._token(token)

    def _token(self, token: re.Match[str]) -> None:
        kind = token.lastgroup
        last = self.found[-1] if self.found else None
        if kind == "bar":
            self.found.append(_Line(self._bar()))
            self.accidentals = {}
            self._ending(token["ending"])
        elif kind == "begun":
            self._ending(token["begun"][1])
        elif kind == "tie" and isinstance(last, _Sound):
            last.tied = True
        elif kind == "broken":
            if not isinstance(last, _Sound):
                raise NotUnderstoodError("a broken rhythm")
            self._broken(last, token["broken"])
        elif kind == "tuplet":
            self._tuplet(*token["tuplet"][1:].split(":"))
        elif kind == "inline":
            name, _, value = token["inline"][1:-1].partition(":")
            self._field(name, value.strip())

    def _ending(self, number: str | None) -> None:
        """Begins an ending, which takes the place of the one before it."""
        if number is None:
            return
        if number != "1" and self.ending is not None:
            del self.found[self.ending :]
        self.ending = len(self.found)

    def _tuplet(self, notes: str, time: str = "", count: str = "") -> None:
        compound = self.metre is not None and self.metre[1] == 8 and self.metre[0] in (6, 9, 12)
        number = int(notes)
        if number < 2:
            raise NotUnderstoodError("a tuplet")
        usual = IN_THE_TIME_OF.get(number, 3 if compound else 2)
        self.tuplet = (int(time or usual), number)
        self.remaining = int(count or notes)

    def _note(
        self, accidental: str | None, letter: str, octave: str, times: str, over: str, parts: str
    ) -> None:
        length = self._unit() * int(times or 1)
        if over:
            length = _share(length, 1, int(parts) if parts else 2 ** len(over))
        if self.next_factor != (1, 1):
            length = _share(length, *self.next_factor)
            self.next_factor = (1, 1)
        if self.remaining:
            length = _share(length, *self.tuplet)
            self.remaining -= 1
        self.found.append(_Sound(length, self._pitch(accidental, letter, octave)))

    def _pitch(self, accidental: str | None, letter: str, octave: str) -> int | None:
        name = letter.upper()
        if name not in LETTERS:
            return None
        if accidental:
            self.accidentals[name] = ACCIDENTALS[accidental]
        octaves = letter.islower() + octave.count("'") - octave.count(",")
        raised = self.accidentals.get(name, self.signature[name])
        return MIDDLE_C + 12 * octaves + LETTERS[name] + raised

    def _broken(self, last: _Sound, marks: str) -> None:
        parts: int = 2 ** len(marks)
        long, short = (2 * parts - 1, parts), (1, parts)
        before, self.next_factor = (long, short) if marks[0] == ">" else (short, long)
        last.length = _share(last.length, *before)

    def _bar(self) -> int:
        if self.metre is None:
            raise NotUnderstoodError("no metre")
        return _share(WHOLE, *self.metre)

    def _unit(self) -> int:
        if self.unit is None:
            self.unit = WHOLE // (16 if 4 * self._bar() < 3 * WHOLE else 8)
        return self.unit

    def _placed(self) -> tuple[list[Note], list[tuple[int, int]]]:
        """The notes, and the bar lines with the length of the bar behind; the end is one."""
        notes: list[Note] = []
        lines: list[tuple[int, int]] = []
        place, tied = 0, False
        for one in self.found:
            if isinstance(one, _Line):
                lines.append((place, one.bar))
                continue
            if tied and one.pitch is not None and notes[-1].pitch == one.pitch:
                notes[-1].length += one.length
            else:
                notes.append(Note(place, one.length, one.pitch))
            place, tied = place + one.length, one.tied
        return notes, [*lines, (place, 0)]


def _whole_bars(lines: list[tuple[int, int]]) -> Iterator[int]:
    """Where bars begin that are as long as their metre says, alone or with the one before."""
    begun = None
    for (start, bar), (end, _) in pairwise(lines):
        if start == end:
            continue
        if begun is not None and end - begun == bar:
            yield begun
            begun = None
        elif end - start == bar:
            yield start
            begun = None
        else:
            begun = start


def _raised(fifths: int, letter: str) -> int:
    """What the signature does to a letter: semitones."""
    return (fifths - FIFTHS.index(letter) + 6) // 7


def _sharps(value: str) -> int:
    """Of a key's signature."""
    found = _KEY.fullmatch(value)
    if not found:
        raise NotUnderstoodError("a key")
    tonic, sign, mode = found.groups()
    mode = mode if mode in ("", "m") else mode[:3].lower()
    if mode not in MODES or (mode == "m" and found[3] != "m"):
        raise NotUnderstoodError("a key")
    return FIFTHS.index(tonic) - 1 + 7 * ((sign == "#") - (sign == "b")) + MODES[mode]


def _metre(value: str) -> tuple[int, int] | None:
    """Its two numbers; None where there is none."""
    if value.lower() in ("none", ""):
        return None
    return {"C": (4, 4), "C|": (2, 2)}.get(value) or _fraction(value, "a metre")


def _fraction(value: str, what: str) -> tuple[int, int]:
    found = _FRACTION.fullmatch(value)
    if not found:
        raise NotUnderstoodError(what)
    return int(found[1]), int(found[2])


def _share(ticks: int, numerator: int, denominator: int) -> int:
    """So many parts of a length."""
    if not denominator or ticks * numerator % denominator:
        raise NotUnderstoodError("a length")
    return ticks * numerator // denominator


def _trouble(rest: str) -> str:
    """What stands at the beginning of a text that no token matches."""
    if re.match(r"\[[\^_=]*[A-Ga-g]", rest):
        return "several notes at once"
    if rest[0] == "&":
        return "several voices"
    return f"the character {rest[0]!r}"

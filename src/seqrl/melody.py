"""Melodies as Jaques et al. (2017), section 5, write them: one symbol for each sixteenth note.

     0       off      the note that sounds ends
     1       -        nothing begins: a note is held, or silence goes on
     2 - 37  C3 - B5  a note begins, MIDI pitches 48 to 83, C4 being the middle C

The numbers are the paper's, the words are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

OFF, HOLD, FIRST = 0, 1, 2
"""Symbols: the end of a note, no event, the lowest note."""
LOWEST, NOTES = 48, 36
"""The MIDI pitch of the lowest note, and how many there are."""
STEPS = 32
"""Sixteenths of the paper's melodies."""

NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
SYMBOLS = (
    "off",
    "-",
    *(f"{NAMES[note % 12]}{LOWEST // 12 - 1 + note // 12}" for note in range(NOTES)),
)
"""The words of the symbols, in the order of their numbers."""
NUMBERS = {word: number for number, word in enumerate(SYMBOLS)}


def sounding(symbols: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """The notes that are heard, as first step, steps and MIDI pitch.

    A note ends where the next one begins, at OFF, or with the melody.
    """
    begun: tuple[int, int] | None = None
    for step, symbol in enumerate([*symbols, OFF]):
        if symbol == HOLD:
            continue
        if begun is not None:
            start, pitch = begun
            yield start, step - start, pitch
        begun = None if symbol == OFF else (step, symbol - FIRST + LOWEST)

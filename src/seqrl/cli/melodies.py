"""`seqrl-melodies FILE --midi DIR --picture FILE.png`: melodies to hear and to see.

FILE has one melody a line, in the words of task=melody (off, -, C3 ... B5): the test.hyp.txt of
a run, or what seqrl-generate writes. With - they are read from standard input:

    seq 8 | seqrl-generate RUN | seqrl-melodies - --midi DIR
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from seqrl.cli.generate import read_lines
from seqrl.cli.runs import RunError, UsageError, done, guarded
from seqrl.melody import NUMBERS

FIRST = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Gives 0 when done, 1 when failed, 2 for a wrong command line or melody."""
    parser = argparse.ArgumentParser(
        prog="seqrl-melodies",
        description=__doc__,
        epilog="exit codes: 0 done, 1 failed, 2 wrong command line, or a line that is no melody",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="of melodies; -: standard input")
    parser.add_argument("--midi", type=Path, metavar="DIR", help="write 1.mid, 2.mid, ... there")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.png", help="draw the melodies in one picture"
    )
    parser.add_argument(
        "--first", type=int, default=FIRST, metavar="N", help=f"of so many lines; default: {FIRST}"
    )
    chosen = parser.parse_args(arguments)
    return guarded(lambda: export_melodies(chosen))


def export_melodies(chosen: argparse.Namespace) -> int:
    """Write the files and the picture."""
    if chosen.midi is None and chosen.picture is None:
        raise UsageError("nothing to be made: --midi DIR, --picture FILE.png, or both")
    if chosen.first < 1:
        raise UsageError(f"--first must be at least 1, not {chosen.first}")
    melodies = _read(chosen.file, chosen.first)
    try:
        return done(_written(melodies, chosen.midi, chosen.picture))
    except OSError as error:
        raise RunError(str(error)) from None


def _written(
    melodies: Sequence[Sequence[int]], folder: Path | None, picture: Path | None
) -> dict[str, Path]:
    made: dict[str, Path] = {}
    if folder is not None:
        from seqrl.evaluation.midi import midi

        folder.mkdir(parents=True, exist_ok=True)
        width = len(str(len(melodies)))
        for number, melody in enumerate(melodies, 1):
            (folder / f"{number:0{width}}.mid").write_bytes(midi(melody))
        made["midi"] = folder
    if picture is not None:
        from seqrl.reports.piano_roll import draw_melodies

        try:
            draw_melodies(melodies, picture)
        except ValueError as error:  # no such kind of picture
            raise UsageError(f"--picture {picture}: {error}") from None
        made["picture"] = picture
    return made


def _read(place: str, first: int) -> list[list[int]]:
    """The symbols of the first melodies. UsageError where there are none, or other words."""
    if place == "-":
        return _symbols(read_lines(sys.stdin.buffer), first)
    try:
        with Path(place).open("rb") as file:
            return _symbols(read_lines(file), first)
    except OSError as error:
        raise UsageError(f"{place}: {error.strerror}") from None


def _symbols(lines: Iterable[str], first: int) -> list[list[int]]:
    found = []
    for number, line in enumerate(islice(lines, first), 1):
        words = line.split()
        wrong = [word for word in words if word not in NUMBERS]
        if wrong or not words:
            what = f"{wrong[0]!r} is none of off, -, C3, C#3 ... B5" if wrong else "it is empty"
            raise UsageError(f"line {number} is no melody: {what}")
        found.append([NUMBERS[word] for word in words])
    if not found:
        raise UsageError("there are no melodies")
    return found

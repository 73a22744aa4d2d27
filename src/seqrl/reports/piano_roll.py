"""Melodies in a picture, as rolls of a player piano have them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seqrl.melody import NAMES, sounding

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 2
WIDTH, HEIGHT, SEMITONE = 5.2, 0.55, 0.055
"""Inches: of one melody, of what is around it, of a semitone."""
DPI = 150
BEAT, BAR = 4, 16
"""Steps."""
IN_KEY, OUT_OF_KEY = "#2a6f97", "#d1495b"
BLACK_KEYS = "#f1f1f1"
ROOM = 2
"""Semitones above the highest note and below the lowest."""


def draw_melodies(melodies: Sequence[Sequence[int]], path: Path) -> None:
    """One roll a melody (symbols of `seqrl.melody`), all of one compass, numbered from 1.

    Notes out of C major have another colour. ValueError for a kind of picture that there is not.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    pitches = [pitch for melody in melodies for _, _, pitch in sounding(melody)] or [60]
    lowest, highest = min(pitches) - ROOM, max(pitches) + ROOM
    columns = min(COLUMNS, len(melodies))
    rows = -(-len(melodies) // columns)
    size = (WIDTH * columns, rows * (HEIGHT + SEMITONE * (highest - lowest)))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    places = list(grid.flat)
    steps = max(map(len, melodies))
    for number, (axes, melody) in enumerate(zip(places, melodies, strict=False), 1):
        _roll(axes, melody, lowest, highest, steps)
        axes.set_title(str(number), loc="left", fontsize=8, pad=2)
        axes.tick_params(labelbottom=number + columns > len(melodies))
    for axes in places[len(melodies) :]:
        axes.set_visible(False)
    figure.savefig(path, dpi=DPI)


def _roll(axes: Axes, melody: Sequence[int], lowest: int, highest: int, steps: int) -> None:
    for pitch in range(lowest, highest + 1):
        if _sharp(pitch):
            axes.axhspan(pitch - 0.5, pitch + 0.5, color=BLACK_KEYS, linewidth=0)
    for step in range(0, steps + 1, BEAT):
        bar = step % BAR == 0
        axes.axvline(step, color="#999999" if bar else "#dddddd", linewidth=0.8, zorder=1)
    for start, length, pitch in sounding(melody):
        colour = OUT_OF_KEY if _sharp(pitch) else IN_KEY
        axes.barh(pitch, length - 0.15, 0.9, left=start + 0.075, color=colour, zorder=2)
    octaves = [pitch for pitch in range(lowest, highest + 1) if pitch % 12 == 0]
    axes.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves], fontsize=8)
    quarters = range(0, steps, BEAT)
    axes.set_xticks(quarters, [str(step // BEAT + 1) for step in quarters], fontsize=8)
    axes.set_xlim(0, steps)
    axes.set_ylim(lowest - 0.5, highest + 0.5)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _sharp(pitch: int) -> bool:
    return NAMES[pitch % 12].endswith("#")

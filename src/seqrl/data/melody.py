"""Melodies cut from folk tunes, which the package `music21` holds in ABC notation.

They stand in for the 30,000 melodies that Jaques et al. (2017) trained on.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from seqrl.data.abc_notation import WHOLE, NotUnderstoodError, Tune, read, texts
from seqrl.data.corpus import Corpus, CorpusError, Example
from seqrl.data.tokenizers import ClosedTokenizer
from seqrl.melody import FIRST, HOLD, LOWEST, NOTES, OFF, STEPS, SYMBOLS
from seqrl.ranges import require

log = logging.getLogger(__name__)

COLLECTIONS = ("airdsAirs", "miscFolk", "nottingham-dataset", "oneills1850", "ryansMammoth")
"""Folders of tunes for fife, fiddle and pipes."""
ESSEN = "essenFolksong"
SIXTEENTH = WHOLE // 16

Steps = list[int | None]
"""Symbols of a tune, one a sixteenth; None where it has none of the 38."""


def melodies(
    *,
    essen: bool = False,
    transpose: bool = True,
    length: int = STEPS,
    every: int = 2,
    train: int | None = None,
    dev: int | None = 1000,
    test: int | None = 1000,
    share: float = 0.05,
    seed: int = 0,
) -> Corpus:
    """Windows of `length` sixteenths, as words of `seqrl.melody`; sources are their numbers.

    essen          with the Essen folk songs too, which may not be used commercially
    transpose      by its key's signature every tune into C major, A minor or another mode of the
                   white keys
    every          windows begin at every so many whole bars
    train, dev, test
                   at most so many windows; None: all
    share          of the tunes, in each of dev and test
    seed           of which tunes and which windows these are

    A tune is moved by octaves to where the middle of its compass is nearest to that of the
    symbols. A window begins with a note, and all of it lies on the sixteenths and among the
    symbols. Tunes of one title are in one split, and no window is there twice. CorpusError
    where the package is missing.
    """
    require(length >= 1, f"length must be at least 1, not {length}")
    require(every >= 1, f"every must be at least 1, not {every}")
    require(0 < share < 0.5, f"share must lie in (0, 0.5), not {share}")
    sizes = {"test": test, "dev": dev, "train": train}
    for name, size in sizes.items():
        require(size is None or size >= 1, f"{name} must be at least 1, not {size}")
    tunes = _tunes((*COLLECTIONS, ESSEN) if essen else COLLECTIONS)
    seen: set[tuple[int, ...]] = set()
    corpus: Corpus = {}
    for name, own in _splits(tunes, share, seed).items():
        found = [w for tune in own for w in windows(tune, transpose, length, every)]
        new = [w for w in dict.fromkeys(found) if w not in seen]
        seen.update(new)
        random.Random(f"melody/{name}/{seed}").shuffle(new)
        kept = new[: sizes[name]]
        log.info("%s: %d of %d melodies, from %d tunes", name, len(kept), len(new), len(own))
        first = sum(map(len, corpus.values()))
        corpus[name] = [Example(str(n), (_text(window),)) for n, window in enumerate(kept, first)]
    return {name: corpus[name] for name in ("train", "dev", "test")}


def symbols() -> ClosedTokenizer:
    """Tokens are the words of `seqrl.melody`, in the order of their numbers."""
    return ClosedTokenizer(words=SYMBOLS)


def windows(tune: Tune, transpose: bool, length: int, every: int) -> Iterator[tuple[int, ...]]:
    """The melodies of one tune, see `melodies`."""
    steps = _steps(tune, transpose)
    for bar in tune.bars[::every]:
        start = bar // SIXTEENTH
        window = steps[start : start + length]
        if bar % SIXTEENTH or len(window) < length or None in window:
            continue
        if (window[0] or 0) >= FIRST:
            yield tuple(symbol for symbol in window if symbol is not None)


def _steps(tune: Tune, transpose: bool) -> Steps:
    """All of a tune; it sounds as it is written until it is silent."""
    end = tune.notes[-1].start + tune.notes[-1].length if tune.notes else 0
    steps: Steps = [HOLD] * -(-end // SIXTEENTH)
    higher = _interval(tune, transpose)
    sounding = False
    for note in tune.notes:
        stop = note.start + note.length
        place = note.start // SIXTEENTH
        if note.start % SIXTEENTH or stop % SIXTEENTH:
            steps[place : -(-stop // SIXTEENTH)] = [None] * (-(-stop // SIXTEENTH) - place)
        elif note.pitch is not None:
            number = note.pitch + higher - LOWEST
            steps[place] = FIRST + number if 0 <= number < NOTES else None
        elif sounding:
            steps[place] = OFF
        sounding = note.pitch is not None
    return steps


def _interval(tune: Tune, transpose: bool) -> int:
    """By how many semitones a tune is moved: see `melodies`."""
    pitches = [note.pitch for note in tune.notes if note.pitch is not None]
    if not pitches:
        return 0
    key = -7 * tune.fifths % 12 if transpose else 0
    middle = (2 * LOWEST + NOTES - 1 - min(pitches) - max(pitches)) / 2
    return key + 12 * round((middle - key) / 12)


def _text(window: Sequence[int]) -> str:
    return " ".join(SYMBOLS[symbol] for symbol in window)


def _splits(tunes: Sequence[Tune], share: float, seed: int) -> Mapping[str, list[Tune]]:
    """The tunes of each split; those of one title, however it is written, stay together."""
    titled: dict[str, list[Tune]] = {}
    for number, tune in enumerate(tunes):
        name = "".join(filter(str.isalnum, tune.title.lower())) or f"#{number}"
        titled.setdefault(name, []).append(tune)
    order = sorted(titled)
    random.Random(f"melody/{seed}").shuffle(order)
    first = round(share * len(order))
    parts = {"test": order[:first], "dev": order[first : 2 * first], "train": order[2 * first :]}
    return {name: [t for title in part for t in titled[title]] for name, part in parts.items()}


def _tunes(collections: Sequence[str]) -> list[Tune]:
    """All tunes that are understood, in the order of files."""
    found, missed = [], Counter[str]()
    for text in _texts(collections):
        try:
            found.append(read(text))
        except NotUnderstoodError as problem:
            missed[str(problem)] += 1
    reasons = ", ".join(f"{number} {what}" for what, number in missed.most_common(3))
    log.info("%d tunes read, %d not understood: %s", len(found), missed.total(), reasons)
    return found


def _texts(collections: Sequence[str]) -> Iterator[str]:
    """The tunes of the package's files. CorpusError where there are none."""
    package = find_spec("music21")
    if package is None or package.origin is None:
        raise CorpusError(
            "melody reads the tunes of the package `music21`, which is not installed: "
            "pip install 'seqrl[music]'"
        )
    folder = Path(package.origin).parent / "corpus"
    for name in collections:
        files = sorted((folder / name).glob("*.abc"))
        if not files:
            raise CorpusError(f"{folder / name}: no tunes; this copy of music21 has no corpus")
        for file in files:
            yield from texts(file.read_text(encoding="utf-8", errors="replace"))

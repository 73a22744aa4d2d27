"""Tatoeba's English-German sentence pairs, CC BY 2.0: IWSLT14's number of pairs, but short ones.

The archive `deu-eng.zip` of www.manythings.org/anki has a pair a line, many to many: a sentence
stands in as many lines as it has translations. A split by lines would have half of the test's
sentences in training; it is made by groups here, of sentences that translations connect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from seqrl.data.archives import DAMAGED, opened_zip
from seqrl.data.corpus import CorpusError
from seqrl.data.files import Problems, decode_lines, new_folder, write_lines
from seqrl.data.preparation import Preparation
from seqrl.types import derived_seed

ARCHIVE, MEMBER = "deu-eng.zip", "deu.txt"
UNPACKED = 1 << 30
"""Bytes; the archive has a twentieth."""
EVALUATION = {"dev": 2_000, "test": 2_000}
LANGUAGES = ("de", "en")
Pair = tuple[str, str]
"""German, English."""

_NO_WORDS = re.compile(r"[\W_]+")


def prepare(archive: Path, output: Path, *, seed: int = 0) -> dict[str, int]:
    """Write the new folder `output` of files for `task=tatoeba`, lower-cased, by Moses' rules.

    Training pairs stand as they are. Of dev and test a German sentence stands once, with all its
    English ones as references, natural ones beside them. Gives the number of lines of each split;
    CorpusError where the archive cannot be used. The folder appears whole or not at all.
    """
    splits = split_by_group(read_pairs(archive), seed)
    without = [name for name, pairs in splits.items() if not pairs]
    if without:
        raise CorpusError(f"{archive} has too few pairs: none are left for {', '.join(without)}")
    counts = {}
    with new_folder(output) as folder:
        german, english = (
            Preparation(tokenize="moses", normalize=True, lowercase=True, language=language)
            for language in LANGUAGES
        )
        for name, pairs in splits.items():
            rows = [(g, [e]) for g, e in pairs] if name == "train" else translations(pairs)
            counts[name] = len(rows)
            write_lines(folder / f"{name}.de.gz", [german(source) for source, _ in rows])
            for number in range(max(len(found) for _, found in rows)):
                natural = [found[number] if number < len(found) else "" for _, found in rows]
                ending = f".{number}" if number else ""
                write_lines(folder / f"{name}.en{ending}.gz", map(english, natural))
                if name != "train":
                    write_lines(folder / f"{name}.raw.en{ending}.gz", natural)
    return counts


def read_pairs(archive: Path) -> list[Pair]:
    """The pairs of the archive, or of its text file, in its order, each once."""
    problems = Problems(f"Tatoeba in {archive}")
    try:
        if archive.suffix == ".zip":
            with opened_zip(archive, most=UNPACKED) as opened:
                data = opened.read(MEMBER)
        else:
            data = archive.read_bytes()
    except (*DAMAGED, KeyError) as error:
        raise CorpusError(
            f"{archive} cannot be read ({error}): name the {ARCHIVE} of www.manythings.org/anki"
        ) from error
    lines = decode_lines(data, str(archive), problems) or []
    problems.check()
    rows = [line.split("\t") for line in lines]
    short = [number for number, row in enumerate(rows, 1) if len(row) < 2]
    if short or not rows:
        found = f"no tab in line {short[0]}" if short else "no lines"
        raise CorpusError(f"{archive}: {found}; a line holds English, a tab, and German")
    return list(dict.fromkeys((row[1].strip(), row[0].strip()) for row in rows))


def split_by_group(pairs: Sequence[Pair], seed: int) -> dict[str, list[Pair]]:
    """Pairs by split: whole groups go to dev, then to test, in a random order, until both are full.

    A group that alone would fill a tenth of a split, such as the one of all greetings, is for
    training.
    """
    groups: dict[int, list[Pair]] = {}
    for pair, group in zip(pairs, connected(pairs), strict=True):
        groups.setdefault(group, []).append(pair)
    generator = torch.Generator().manual_seed(derived_seed(seed, "tatoeba"))
    every = list(groups.values())
    order = torch.randperm(len(every), generator=generator).tolist()
    splits: dict[str, list[Pair]] = {"train": [], **{name: [] for name in EVALUATION}}
    sizes = dict.fromkeys(EVALUATION, 0)
    for members in (every[i] for i in order):
        sources = len({german for german, _ in members})
        place = next(
            (
                name
                for name, most in EVALUATION.items()
                if sizes[name] + sources <= most and 10 * sources <= most
            ),
            "train",
        )
        splits[place] += members
        if place != "train":
            sizes[place] += sources
    return splits


def connected(pairs: Iterable[Pair]) -> list[int]:
    """The group of each pair; sentences are the same that differ in case or punctuation alone."""
    parents: list[int] = []
    numbers: dict[tuple[int, str], int] = {}

    def root(node: int) -> int:
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    firsts = []
    for pair in pairs:
        nodes = []
        for side, sentence in enumerate(pair):
            key = side, _NO_WORDS.sub(" ", sentence.lower()).strip() or sentence
            if key not in numbers:
                numbers[key] = len(parents)
                parents.append(len(parents))
            nodes.append(numbers[key])
        first, second = map(root, nodes)
        parents[second] = first
        firsts.append(nodes[0])
    return [root(node) for node in firsts]


def translations(pairs: Iterable[Pair]) -> list[tuple[str, list[str]]]:
    """Each German sentence once, with its English ones."""
    found: dict[str, list[str]] = {}
    for german, english in pairs:
        found.setdefault(german, []).append(english)
    return list(found.items())

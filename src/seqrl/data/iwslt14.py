"""IWSLT14 German-English in the preparation of MIXER (Ranzato et al. 2015), which ERAC uses.

Lower-cased Moses tokens; every 23rd clean training line is dev; the test set is dev2010,
dev2012 (TEDx), tst2010, tst2011 and tst2012. TED talks, CC BY-NC-ND.
"""

from __future__ import annotations

import html
import json
import logging
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqrl.data.archives import extract
from seqrl.data.corpus import Corpus, CorpusError
from seqrl.data.download import Source, download
from seqrl.data.files import (
    Problems,
    find,
    find_or_report,
    new_folder,
    read_lines,
    write_lines,
    write_whole,
)
from seqrl.data.filters import Filters
from seqrl.data.preparation import PREPARED, Assembly, Preparation, compared
from seqrl.data.text import SPLITS, aligned, existing_folder, read_parallel

log = logging.getLogger(__name__)

ARCHIVE = Source(
    url="http://dl.fbaipublicfiles.com/fairseq/data/iwslt14/de-en.tgz",
    size=19_982_877,
    md5="10936dfdf616504ddbd844e91b94ef4a",
    trusted=False,
)
UNPACKED = 1 << 30
"""Bytes; the archive has a tenth."""
LANGUAGES = ("de", "en")
EXPECTED = {"train": 153_348, "dev": 6_969, "test": 6_750}
FILES = {"train": "train", "dev": "valid", "test": "test"}
EVALUATION = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")
CLEAN = Filters(max_source_tokens=50, max_target_tokens=50, max_ratio=1.5)
DEV_EVERY = 23

_NOT_TEXT = ("<url>", "<talkid>", "<keywords>")
_TITLES = re.compile(r"</?(?:title|description)>")
_SEGMENT = re.compile(r"<seg id=\"\d+\">\s*(.*?)\s*</seg>")


def iwslt14(
    *,
    data_dir: str | Path | None = None,
    source: str = "de",
    target: str = "en",
    splits: Sequence[str] = SPLITS,
    download_dir: str | Path = "data/iwslt14",
) -> Corpus:
    """The prepared corpus.

    data_dir      folder of the prepared files `{train,valid,test}.de-en.{de,en}[.gz]`, or of
                  the original archive `de-en.tgz` or its files, which are then prepared into
                  its subfolder `prepared`; None: `download_dir`, where the archive is fetched
                  to when it is not there

    Raises CorpusError listing everything that is wrong.
    """
    if {source, target} != set(LANGUAGES):
        raise ValueError(f"source and target must be de and en, not {source!r} and {target!r}")
    folder = _prepared(existing_folder(data_dir) if data_dir else fetch(Path(download_dir)))
    problems = Problems(f"IWSLT14 in {folder}")
    given = Assembly(Preparation(), Preparation())
    corpus = {
        split: read_parallel(
            folder / f"{FILES[split]}.de-en.{source}",
            folder / f"{FILES[split]}.de-en.{target}",
            folder / f"{FILES[split]}.raw.de-en.{target}",
            given,
            problems,
        )
        for split in splits
    }
    problems.check()
    return corpus


def fetch(folder: Path) -> Path:
    """The folder, with the corpus in it in some form: downloaded if there is none."""
    if _is_prepared(folder) or _is_prepared(folder / PREPARED) or _original(folder):
        return folder
    download(ARCHIVE, folder / "de-en.tgz")
    return folder


def prepare(data_dir: Path, output: Path) -> dict[str, int]:
    """Prepare the original files in `data_dir`, or its archive, into the new folder `output`.

    Gives the number of pairs of each split, which `counts.json` holds too, beside the expected
    ones. The folder appears when everything is written, or not at all.

    Raises CorpusError listing everything that is wrong.
    """
    original = _original(data_dir)
    if original is None:
        raise CorpusError(
            f"{data_dir} holds neither de-en.tgz nor train.tags.de-en.de; "
            f"the archive is at {ARCHIVE.url}"
        )
    with new_folder(output) as folder:
        if original.is_dir():
            return _write(_splits(original), folder)
        with tempfile.TemporaryDirectory(dir=output.parent) as unpacked:
            extract(original, Path(unpacked), most=UNPACKED)
            return _write(_splits(_original(Path(unpacked)) or Path(unpacked)), folder)


@dataclass(frozen=True)
class _Pair:
    """Tokens of both sides, and the natural text that they were made of."""

    tokens: tuple[str, str]
    natural: tuple[str, str]

    @property
    def lengths(self) -> tuple[int, int]:
        """Tokens of German and English, neither of which is empty."""
        german, english = self.tokens
        return german.count(" ") + 1, english.count(" ") + 1


def _is_prepared(folder: Path) -> bool:
    return any(
        find(folder / f"{stem}.de-en.{language}")
        for stem in FILES.values()
        for language in LANGUAGES
    )


def _original(folder: Path) -> Path | None:
    """The folder of the original files, or their archive, in or below this folder."""
    for inner in (folder, folder / "de-en"):
        if find(inner / "train.tags.de-en.de"):
            return inner
    archive = folder / "de-en.tgz"
    return archive if archive.is_file() else None


def _prepared(folder: Path) -> Path:
    """The folder of the prepared files, which are made of the original ones where needed."""
    for inner in (folder, folder / PREPARED):
        if _is_prepared(inner):
            return inner
    if _original(folder) is None:
        raise CorpusError(
            f"{folder} holds neither the prepared files train.de-en.de, ... nor the original "
            f"archive de-en.tgz, which is at {ARCHIVE.url}"
        )
    log.info("preparing IWSLT14 in %s", folder / PREPARED)
    log.info("%s", compared(prepare(folder, folder / PREPARED), EXPECTED))
    return folder / PREPARED


def _splits(folder: Path) -> dict[str, list[_Pair]]:
    """The three splits, made of the original files."""
    problems = Problems(f"IWSLT14 in {folder}")
    talks = _pairs(_tagged, folder, "train.tags.de-en.{}", problems)
    evaluation = [
        pair
        for name in EVALUATION
        for pair in _pairs(_segments, folder, f"IWSLT14.{name}.de-en.{{}}.xml", problems)
    ]
    problems.check()
    clean = [pair for pair in talks if all(pair.tokens) and CLEAN.keeps(*pair.lengths)]
    if len(clean) < DEV_EVERY or not evaluation:
        raise CorpusError(
            f"{folder} has {len(clean)} clean training pairs and {len(evaluation)} of evaluation: "
            "too few for three splits; fetch the original files again"
        )
    return {
        "train": [pair for line, pair in enumerate(clean, 1) if line % DEV_EVERY],
        "dev": clean[DEV_EVERY - 1 :: DEV_EVERY],
        "test": evaluation,
    }


def _pairs(
    text_of: Callable[[list[str]], list[str]], folder: Path, name: str, problems: Problems
) -> list[_Pair]:
    """The pairs of two files whose names hold the language; `text_of` finds text in their lines."""
    sides = {}
    for language in LANGUAGES:
        path = find_or_report(folder / name.format(language), problems)
        lines = read_lines(path, problems) if path else None
        if path and lines is not None:
            sides[path] = text_of(lines)
    if len(sides) < len(LANGUAGES) or not aligned(sides, problems):
        return []
    german, english = (
        Preparation(tokenize="moses", lowercase=True, language=language) for language in LANGUAGES
    )
    return [
        _Pair((german(de), english(en)), (html.unescape(de), html.unescape(en)))
        for de, en in zip(*sides.values(), strict=True)
    ]


def _tagged(lines: list[str]) -> list[str]:
    """Text of a training file: what was spoken, and the talks' titles and descriptions too."""
    kept = (line for line in lines if not any(tag in line for tag in _NOT_TEXT))
    return [_TITLES.sub("", line).strip() for line in kept]


def _segments(lines: list[str]) -> list[str]:
    """Segments of an evaluation file, whose typographic apostrophes become plain."""
    found = map(_SEGMENT.search, lines)
    return [match[1].replace("’", "'") for match in found if match]


def _write(splits: dict[str, list[_Pair]], folder: Path) -> dict[str, int]:
    """Write the prepared files and `counts.json`; gives the counts."""
    for split, pairs in splits.items():
        for side, language in enumerate(LANGUAGES):
            ending = f"de-en.{language}.gz"
            write_lines(folder / f"{FILES[split]}.{ending}", [p.tokens[side] for p in pairs])
            if split != "train":
                natural = [p.natural[side] for p in pairs]
                write_lines(folder / f"{FILES[split]}.raw.{ending}", natural)
    counts = {split: len(pairs) for split, pairs in splits.items()}
    text = json.dumps({"pairs": counts, "expected": EXPECTED}, indent=2)
    write_whole(folder / "counts.json", f"{text}\n".encode())
    return counts

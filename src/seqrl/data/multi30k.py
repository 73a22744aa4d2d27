"""Multi30k, German-English image descriptions (Elliott et al. 2016), CC BY-NC-SA 4.0.

29,000 / 1,014 / 1,000 pairs; the test set is the one of 2016 (Flickr).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqrl.data.corpus import Corpus, Example
from seqrl.data.files import Problems, new_folder, write_lines
from seqrl.data.hub import SPLIT_NAMES, load, rows_of
from seqrl.data.preparation import Assembly, Preparation
from seqrl.data.text import SPLITS, existing_folder, read_parallel

HUB = "bentrevett/multi30k"
FILES = {"train": "train", "dev": "val", "test": "test_2016_flickr"}
SUFFIX = {"tok": ".lc.norm.tok", "raw": ""}
VARIANTS = (*SUFFIX, "natural")
LANGUAGES = ("de", "en")
EXPECTED = {"train": 29_000, "dev": 1_014, "test": 1_000}


def multi30k(
    *,
    data_dir: str | Path | None = None,
    variant: str = "tok",
    source: str = "de",
    target: str = "en",
    splits: Sequence[str] = SPLITS,
    path: str = HUB,
) -> Corpus:
    """Multi30k in lower-cased words, punctuation normalised, tokenised by Moses' rules.

    data_dir  folder of the files, or of the folders `tok` and `raw` that hold them; None
              loads natural text from the hub
    variant   `tok`: the released tokenised files, with natural references where the folder
              `raw` stands beside; `raw`: natural text, tokenised here, which differs from
              the released files in about one line of a thousand; `natural`: natural text as
              it is, for tokenizers that want it so
    path      of the data set on the hub, or a folder that `datasets` can load

    Raises CorpusError listing everything that is wrong.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, not {variant!r}")
    where = path if data_dir is None else existing_folder(data_dir)
    problems = Problems(f"Multi30k in {where}")
    languages = (source, target)
    corpus = {
        split: _from_files(where, FILES[split], variant, languages, problems)
        if isinstance(where, Path)
        else _from_hub(where, SPLIT_NAMES[split], variant, languages, problems)
        for split in splits
    }
    problems.check()
    return corpus


def prepare(output: Path, *, path: str = HUB) -> dict[str, int]:
    """Write the new folder `output` with `raw` and `tok` inside, from the hub.

    Gives the number of pairs of each split. The folder appears whole or not at all.
    """
    counts = {}
    with new_folder(output) as folder:
        for variant in SUFFIX:
            (folder / variant).mkdir()
        for split, stem in FILES.items():
            problems = Problems(f"the data set {path}")
            where = f"{path} {split}"
            rows = rows_of(load(path, SPLIT_NAMES[split]), *LANGUAGES, where, problems)
            _preparing("natural", LANGUAGES)(rows, where, problems)
            problems.check()
            counts[split] = len(rows)
            sides = [row.source for row in rows], [row.references[0] for row in rows]
            for language, texts in zip(LANGUAGES, sides, strict=True):
                natural = [text.replace("\n", " ") for text in texts]
                preparation = _preparation(language)
                write_lines(folder / "raw" / f"{stem}.{language}.gz", natural)
                tokens = map(preparation, natural)
                write_lines(folder / "tok" / f"{stem}{SUFFIX['tok']}.{language}.gz", tokens)
    return counts


def _from_files(
    folder: Path, stem: str, variant: str, languages: tuple[str, str], problems: Problems
) -> list[Example]:
    files = "tok" if variant == "tok" else "raw"
    inner = folder / files if (folder / files).is_dir() else folder
    source, target = (inner / f"{stem}{SUFFIX[files]}.{language}" for language in languages)
    if variant != "tok":
        return read_parallel(source, target, None, _preparing(variant, languages), problems)
    raw = inner.parent / "raw" / f"{stem}.{languages[1]}"
    given = Assembly(Preparation(), Preparation())
    return read_parallel(source, target, raw, given, problems)


def _from_hub(
    path: str, split: str, variant: str, languages: tuple[str, str], problems: Problems
) -> list[Example]:
    rows = rows_of(load(path, split), *languages, f"{path} {split}", problems)
    return _preparing(variant, languages)(rows, f"{path} {split}", problems)


def _preparing(variant: str, languages: tuple[str, str]) -> Assembly:
    """What is done to natural text."""
    if variant == "natural":
        return Assembly(Preparation(), Preparation(), natural=True)
    source, target = map(_preparation, languages)
    return Assembly(source, target, natural=True)


def _preparation(language: str) -> Preparation:
    return Preparation(tokenize="moses", normalize=True, lowercase=True, language=language)

"""Gigaword headlines: first sentence of an article -> headline (Rush, Chopra & Weston 2015).

3,803,957 / 189,651 / 1,951 pairs of English Gigaword (LDC), tokenised and lower-cased, digits
as `#`; rare words are `<unk>` in train and dev and `UNK` in test, and `UNK` everywhere here, as
in version 1.2.0 of the hub's own script. That script has the names inside the archive too,
`org_data/{train,dev,test}.{src,tgt}.txt`, and the card its size; neither was seen here.

Tan, Hu et al. (2018) train on 200,000 of the pairs, with dev and test sets after Zhou et al.
(2017). Their code reads `{train,valid,test}.{article,title}`. Which pairs these are is known
from their archive alone: a sample that is drawn here is another one.
"""

from __future__ import annotations

import gzip
import logging
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import torch

from seqrl.data.archives import DAMAGED, opened_zip
from seqrl.data.corpus import Corpus, CorpusError, Example
from seqrl.data.download import Source, download
from seqrl.data.files import SHOWN, Problems, contents, find, new_folder
from seqrl.data.preparation import PREPARED, Assembly, Preparation, compared
from seqrl.data.text import SPLITS, existing_folder, read_parallel
from seqrl.types import derived_seed

log = logging.getLogger(__name__)

ARCHIVE = Source(
    url="https://huggingface.co/datasets/Harvard/gigaword/resolve/main/data/ggw_data.zip",
    size=578_402_958,
    trusted=False,
)
UNPACKED = 16 << 30
"""Bytes; several times what the archive can hold of text."""
ZIP = "ggw_data.zip"
INNER = "org_data"
EXPECTED = {"train": 3_803_957, "dev": 189_651, "test": 1_951}
SIDES = ("article", "title")


@dataclass(frozen=True)
class Naming:
    """How the files of a folder are called.

    pattern  of a name, with a split and a side
    sides    what article and title are called
    dev      what the dev split is called
    """

    pattern: str
    sides: tuple[str, str]
    dev: str = "dev"

    def names(self, split: str) -> list[str]:
        """Of the files of both sides of a split."""
        called = self.dev if split == "dev" else split
        return [self.pattern.format(called, side) for side in self.sides]


RELEASED = Naming("{}.{}.txt", ("src", "tgt"))
PLAIN = Naming("{}.{}", SIDES)
NAMINGS = (PLAIN, Naming("{}.{}", SIDES, dev="valid"), RELEASED)


def gigaword(
    *,
    data_dir: str | Path | None = None,
    train: int | None = None,
    dev: int | None = None,
    seed: int = 0,
    splits: Sequence[str] = SPLITS,
    download_dir: str | Path = "data/gigaword",
) -> Corpus:
    """The pairs of article and title.

    data_dir    folder of `{train,dev,test}.{article,title}` (or `valid` for `dev`), or of
                `{train,dev,test}.{src,tgt}.txt`, each also `.gz`, or of `org_data` with these;
                or of the archive `ggw_data.zip`, which is unpacked into the subfolder
                `prepared`; None: `download_dir`, where the archive is fetched to
    train, dev  so many pairs of the split, drawn with `seed`, in their order; None, or as many
                as there are: all

    All of it takes some gigabytes of memory. Raises CorpusError listing everything that is wrong.
    """
    sizes = {"train": train, "dev": dev}
    for name, size in sizes.items():
        if size is not None and size < 1:
            raise ValueError(f"{name} must be at least 1 or null, not {size}")
    folder, naming = _readable(existing_folder(data_dir) if data_dir else fetch(Path(download_dir)))
    problems = Problems(f"Gigaword in {folder}")
    given = Assembly(Preparation(), Preparation())
    corpus = {}
    for split in splits:
        articles, titles = (folder / name for name in naming.names(split))
        examples = read_parallel(articles, titles, None, given, problems)
        chosen = sample(len(examples), sizes.get(split), seed, split)
        corpus[split] = [_marked(examples[index]) for index in chosen]
    problems.check()
    return corpus


def fetch(folder: Path) -> Path:
    """The folder, with the corpus in it in some form: downloaded if there is none."""
    if _found(folder) is None and not (folder / ZIP).is_file():
        download(ARCHIVE, folder / ZIP)
    return folder


def sample(total: int, size: int | None, seed: int, split: str) -> Sequence[int]:
    """Places of `size` of a split's `total` pairs, in ascending order; None: of all."""
    if size is None or size >= total:
        return range(total)
    generator = torch.Generator().manual_seed(derived_seed(seed, "gigaword", split))
    drawn: list[int] = torch.randperm(total, generator=generator)[:size].sort().values.tolist()
    return drawn


def prepare(
    archive: Path, output: Path, *, size: int | None = None, seed: int = 0
) -> dict[str, int]:
    """Unpack the archive into the new folder `output`: `{train,dev,test}.{article,title}.gz`.

    size    so many training pairs, drawn with `seed`, in their order; None: all

    Gives the number of pairs of each split. The folder appears whole or not at all; CorpusError
    where the archive cannot be used.
    """
    try:
        with opened_zip(archive, most=UNPACKED) as opened, new_folder(output) as folder:
            return {
                split: _unpack(opened, split, folder, size if split == "train" else None, seed)
                for split in SPLITS
            }
    except DAMAGED as error:
        raise CorpusError(
            f"{archive} cannot be unpacked ({error}): name the archive {ZIP}, fetched anew "
            f"from {ARCHIVE.url}; a folder is read as it is, with task.data_dir=DIR"
        ) from error


def _unpack(archive: zipfile.ZipFile, split: str, folder: Path, size: int | None, seed: int) -> int:
    """Write one split; gives the number of its pairs."""
    members = [_member(archive, name) for name in RELEASED.names(split)]
    articles, titles = (_count(archive, member) for member in members)
    if articles != titles or not titles:
        raise CorpusError(
            f"{archive.filename}: {members[0]} has {articles} lines, {members[1]} {titles}; "
            "line n of one must belong to line n of the other"
        )
    chosen = sample(titles, size, seed, split)
    for member, name in zip(members, PLAIN.names(split), strict=True):
        with archive.open(member) as lines:
            _write(folder / f"{name}.gz", _at(lines, chosen))
    return len(chosen)


def _member(archive: zipfile.ZipFile, name: str) -> str:
    """The member with this name, in whatever folder of the archive."""
    names = archive.namelist()
    found = next((full for full in names if PurePosixPath(full).name == name), None)
    if found is None:
        raise CorpusError(
            f"{archive.filename} holds no {INNER}/{name}, but {', '.join(sorted(names)[:SHOWN])}"
        )
    return found


def _count(archive: zipfile.ZipFile, member: str) -> int:
    with archive.open(member) as lines:
        return sum(1 for _ in lines)


def _at(lines: Iterable[bytes], chosen: Sequence[int]) -> Iterator[bytes]:
    """The lines at these places, which ascend."""
    places = iter(chosen)
    wanted = next(places, None)
    for place, line in enumerate(lines):
        if place == wanted:
            yield line
            wanted = next(places, None)


def _write(path: Path, lines: Iterable[bytes]) -> None:
    """A `.gz` file whose bytes depend on nothing but the lines; they need not fit into memory."""
    with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.writelines(line.rstrip(b"\r\n") + b"\n" for line in lines)


def _found(folder: Path) -> tuple[Path, Naming] | None:
    """Where in or below a folder the files are, and how they are called."""
    return next(
        (
            (inner, naming)
            for split in ("dev", "train", "test")  # dev first: in it alone two namings differ
            for inner in (folder, folder / INNER, folder / PREPARED)
            for naming in NAMINGS
            if any(find(inner / name) for name in naming.names(split))
        ),
        None,
    )


def _readable(folder: Path) -> tuple[Path, Naming]:
    """The same, the archive being unpacked where there is nothing else."""
    found = _found(folder)
    if found is not None:
        return found
    if not (folder / ZIP).is_file():
        raise CorpusError(
            f"{folder} holds neither train.article, train.title, ... nor {INNER}/train.src.txt, "
            f"... nor the archive {ZIP}, which is at {ARCHIVE.url}; {contents(folder)}"
        )
    log.info("unpacking %s into %s", ZIP, folder / PREPARED)
    log.info("%s", compared(prepare(folder / ZIP, folder / PREPARED), EXPECTED))
    return folder / PREPARED, PLAIN


def _marked(example: Example) -> Example:
    """With the corpus's own unknown words as UNK, which the vocabulary then has as a word."""
    source, title = example.source, example.references[0]
    if "<unk>" not in source and "<unk>" not in title:
        return example
    return replace(
        example,
        source=source.replace("<unk>", "UNK"),
        references=(title.replace("<unk>", "UNK"),),
    )

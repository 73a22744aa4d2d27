"""Corpora that the `datasets` library loads: from the hub, or from a folder in its forms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqrl.data.corpus import Corpus, CorpusError
from seqrl.data.files import Problems, listed
from seqrl.data.jsonl import row
from seqrl.data.preparation import Assembly, Preparation, Row
from seqrl.data.text import SPLITS

SPLIT_NAMES = {"train": "train", "dev": "validation", "test": "test"}


def hub(
    *,
    path: str,
    source: str,
    target: str,
    further: str | None = None,
    config: str | None = None,
    revision: str | None = None,
    split_names: Mapping[str, str] = SPLIT_NAMES,
    splits: Sequence[str] = SPLITS,
    tokenize: str = "none",
    lowercase: bool = False,
    natural: bool = False,
    sentences: bool = False,
    drop_empty: bool = False,
    source_language: str = "en",
    target_language: str = "en",
) -> Corpus:
    """The corpus that `datasets.load_dataset(path, config, revision=revision)` gives.

    path            of a data set on the hub, or a folder of parquet, CSV or JSON files
    source, target  names of the columns
    further         column of further references, if there is one
    split_names     what train, dev and test are called there

    The other settings are as for `jsonl`. Raises CorpusError when it cannot be loaded.
    """
    assembly = Assembly(
        Preparation(tokenize=tokenize, lowercase=lowercase, language=source_language),
        Preparation(tokenize=tokenize, lowercase=lowercase, language=target_language),
        natural=natural or tokenize == "moses",
        sentences=sentences,
        drop_empty=drop_empty,
    )
    problems = Problems(f"the data set {path}")
    corpus = {}
    for split in splits:
        records = load(path, split_names[split], config=config, revision=revision)
        rows = rows_of(records, source, target, f"{path} {split}", problems, further)
        corpus[split] = assembly(rows, f"{path} {split}", problems)
    problems.check()
    return corpus


def rows_of(
    records: Iterable[object],
    source: str,
    target: str,
    where: str,
    problems: Problems,
    further: str | None = None,
) -> list[Row]:
    """Rows of the records of one split, counted from 1."""
    rows, faults = [], dict[str, list[int]]()
    for number, record in enumerate(records, 1):
        try:
            rows.append(row(number, record, source, target, further))
        except ValueError as error:
            faults.setdefault(str(error), []).append(number)
    for fault, numbers in faults.items():
        problems.add(f"{where}: {fault} in row {listed(numbers)}")
    return rows


def load(path: str, split: str, *, config: str | None = None, revision: str | None = None) -> Any:
    """One split as a `datasets.Dataset`.

    Raises CorpusError naming the data set's address and the way around it.
    """
    import datasets

    try:
        return datasets.load_dataset(path, config, split=split, revision=revision)
    except Exception as error:  # the library's own kinds of failure are many and change
        if Path(path).is_dir():
            raise CorpusError(
                f"the folder {path} holds no split {split} that can be loaded: {error}"
            ) from error
        raise CorpusError(
            f"the data set {path} (split {split}) cannot be loaded: {error}\n"
            f"It is at https://huggingface.co/datasets/{path}. Without a network, fetch it on "
            "another machine and set task.data_dir=DIR."
        ) from error

"""Documents with summaries: from a folder of JSON lines or parquet files, or from the hub."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqrl.data.corpus import Corpus, CorpusError
from seqrl.data.files import contents, find
from seqrl.data.hub import hub
from seqrl.data.jsonl import jsonl
from seqrl.data.preparation import compared
from seqrl.data.text import SPLITS, existing_folder

log = logging.getLogger(__name__)


def summaries(
    *,
    data_dir: str | Path | None = None,
    path: str,
    source: str,
    target: str,
    columns: Sequence[str] | None = None,
    further: str | None = None,
    config: str | None = None,
    revision: str | None = None,
    expected: Mapping[str, int] | None = None,
    splits: Sequence[str] = SPLITS,
    tokenize: str = "none",
    lowercase: bool = False,
    natural: bool = True,
    sentences: bool = False,
    drop_empty: bool = False,
    source_language: str = "en",
    target_language: str = "en",
) -> Corpus:
    """The corpus in a folder, or, without one, in the data set `path` of the hub.

    data_dir        folder of `{train,dev,test}.jsonl[.gz]`, or of parquet files as the hub has
                    them; None: `path`, with its `config` and `revision`
    source, target  fields of the document and of its summary
    columns         what these two are called on the hub and in parquet files; None: the same
    further         field of further references, which not every split, nor the hub, need have
    expected        number of pairs of each split, to be logged beside the number found

    The other settings are as for `jsonl`. Raises CorpusError listing everything that is wrong.
    """
    settings: dict[str, Any] = {
        "further": further,
        "splits": splits,
        "tokenize": tokenize,
        "lowercase": lowercase,
        "natural": natural,
        "sentences": sentences,
        "drop_empty": drop_empty,
        "source_language": source_language,
        "target_language": target_language,
    }
    folder = None if data_dir is None else existing_folder(data_dir)
    if folder is not None and _holds_lines(folder):
        corpus = jsonl(data_dir=folder, source=source, target=target, **settings)
    else:
        document, summary = columns or (source, target)
        place = (
            {"path": path, "config": config, "revision": revision}
            if folder is None
            else {"path": _holding_parquet(folder)}
        )
        corpus = hub(source=document, target=summary, **place, **settings)
    if expected:
        log.info("%s", compared({name: len(corpus[name]) for name in corpus}, expected))
    return corpus


def _holds_lines(folder: Path) -> bool:
    return any(find(folder / f"{split}.jsonl") for split in SPLITS)


def _holding_parquet(folder: Path) -> str:
    """The folder, or a CorpusError where there are no parquet files in it."""
    if next(folder.rglob("*.parquet"), None) is None:
        raise CorpusError(
            f"{folder} holds neither {', '.join(f'{split}.jsonl' for split in SPLITS)} (or .gz) "
            f"nor parquet files such as train-00000-of-00001.parquet; {contents(folder)}"
        )
    return str(folder)

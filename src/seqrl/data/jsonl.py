"""JSON lines: one object with a source and one or several references a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from seqrl.data.corpus import Corpus, CorpusError, Example
from seqrl.data.files import Problems, find_or_report, listed, read_lines
from seqrl.data.preparation import Assembly, Preparation, Row
from seqrl.data.text import SPLITS, existing_folder


def jsonl(
    *,
    data_dir: str | Path | None,
    source: str | None,
    target: str | None,
    further: str | None = None,
    splits: Sequence[str] = SPLITS,
    tokenize: str = "none",
    lowercase: bool = False,
    natural: bool = False,
    sentences: bool = False,
    drop_empty: bool = False,
    source_language: str = "en",
    target_language: str = "en",
) -> Corpus:
    """The corpus in the files `{train,dev,test}.jsonl` of a folder, or `.gz` of these.

    source      field of the source text
    target      field of the references: a text, or a list of texts, the first of which is
                the training target
    further     field of further references, which a line need not have
    sentences   line breaks inside a reference separate its sentences (see
                `preparation.Assembly`); otherwise a line break is a blank

    The languages are for `tokenize: moses`; the other settings are as for `text`.
    Raises CorpusError listing everything that is wrong.
    """
    folder = existing_folder(data_dir)
    if not source or not target:
        raise CorpusError(
            "set task.source and task.target to the names of the fields, "
            "e.g. task.source=document task.target=summary"
        )
    assembly = Assembly(
        Preparation(tokenize=tokenize, lowercase=lowercase, language=source_language),
        Preparation(tokenize=tokenize, lowercase=lowercase, language=target_language),
        natural=natural or tokenize == "moses",
        sentences=sentences,
        drop_empty=drop_empty,
    )
    problems = Problems(f"the corpus in {folder}")
    corpus = {
        split: _read(folder / f"{split}.jsonl", (source, target, further), assembly, problems)
        for split in splits
    }
    problems.check()
    return corpus


def _read(
    name: Path,
    fields: tuple[str, str, str | None],
    assembly: Assembly,
    problems: Problems,
) -> list[Example]:
    path = find_or_report(name, problems)
    lines = read_lines(path, problems) if path else None
    if lines is None:
        return []
    if not lines:
        problems.add(f"{path}: no lines at all")
    rows, faults = [], dict[str, list[int]]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(row(number, json.loads(line), *fields))
        except json.JSONDecodeError:
            faults.setdefault("not a JSON object", []).append(number)
        except ValueError as error:
            faults.setdefault(str(error), []).append(number)
    for fault, numbers in faults.items():
        problems.add(f"{path}: {fault} in line {listed(numbers)}")
    return assembly(rows, str(path), problems)


def row(number: int, record: object, source: str, target: str, further: str | None) -> Row:
    """The row of one record, whose fields are texts or lists of texts, lines ended by "\\n".

    Raises ValueError saying what is wrong with the record.
    """
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    missing = [field for field in (source, target) if field not in record]
    if missing:
        raise ValueError(f"no field {', '.join(missing)} (there are {', '.join(record)})")
    sources = _texts(record[source], source)
    if len(sources) != 1:
        raise ValueError(f"field {source} holds {len(sources)} texts, not one")
    more = record.get(further) if further else None
    references = (*_texts(record[target], target), *_texts(more or [], str(further)))
    return Row(number, sources[0], references)


def _texts(value: object, field: str) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"field {field} is neither a text nor a list of texts")
    return tuple(map(_lines_ended_alike, texts))


def _lines_ended_alike(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")

"""JSON lines: one object with a source and one or several references a line."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from seqrl.data.corpus import Corpus, CorpusError, Example
from seqrl.data.files import Problems, find_or_report, listed, read_lines
from seqrl.data.preparation import Assembly, Preparation, Row
from seqrl.data.text import SPLITS, existing_folder

NO_OBJECT = "not a JSON object"
_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # NUL, and halves of what UTF-16 writes in two


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
    if not any(map(str.strip, lines)):
        problems.add(f"{path}: no lines at all" + (" but empty ones" if lines else ""))
    rows, faults = [], dict[str, list[int]]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(row(number, _record(line), *fields))
        except ValueError as error:
            faults.setdefault(str(error), []).append(number)
    for fault, numbers in faults.items():
        problems.add(f"{path}: {fault} in line {listed(numbers)}{_advice(fault, numbers, lines)}")
    return assembly(rows, str(path), problems)


def _advice(fault: str, numbers: Sequence[int], lines: Sequence[str]) -> str:
    if fault != NO_OBJECT:
        return ""
    if [*numbers] == [len(lines)]:
        return ", the last one; is the file whole?"
    return '; every line is to hold one, as in {"FIELD": "text", ...}'


def _record(line: str) -> object:
    """What a line holds. ValueError where that is no JSON, or names a field twice."""
    try:
        return json.loads(line, object_pairs_hook=_object, parse_int=float)
    except _RepeatedFieldError:
        raise
    except (ValueError, RecursionError):
        raise ValueError(NO_OBJECT) from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise _RepeatedFieldError(f"field {counts.most_common(1)[0][0]} stands there twice")
    return found


class _RepeatedFieldError(ValueError):
    """Which of the two is meant cannot be known."""


def row(number: int, record: object, source: str, target: str, further: str | None) -> Row:
    """The row of one record, whose fields are texts or lists of texts, lines ended by "\\n".

    Raises ValueError saying what is wrong with the record.
    """
    if not isinstance(record, dict):
        raise ValueError(NO_OBJECT)
    missing = [field for field in (source, target) if field not in record]
    if missing:
        raise ValueError(f"no field {', '.join(missing)} (there are {listed([*record])})")
    sources = _texts(record[source], source)
    if len(sources) != 1:
        raise ValueError(f"field {source} holds {len(sources)} texts, not one")
    more = record.get(further) if further else None
    references = (*_texts(record[target], target), *_texts(more or [], str(further)))
    return Row(number, sources[0], references)


def _texts(value: object, field: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    texts = [text for text in values if isinstance(text, str)]
    if len(texts) < len(values):
        raise ValueError(f"field {field} is neither a text nor a list of texts")
    for text in texts:
        if not text.isprintable() and (no_text := _NO_TEXT.search(text)):
            raise ValueError(f"field {field} holds {no_text[0]!a}, which is no character")
    return tuple(map(_lines_ended_alike, texts))


def _lines_ended_alike(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")

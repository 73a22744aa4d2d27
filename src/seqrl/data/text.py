"""Parallel text files: one sentence a line, one file a language."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from seqrl.data.corpus import Corpus, CorpusError, Example
from seqrl.data.files import Problems, find, find_or_report, listed, read_lines
from seqrl.data.preparation import Assembly, Preparation, Row

SPLITS = ("train", "dev", "test")


def text(
    *,
    data_dir: str | Path | None,
    source: str | None,
    target: str | None,
    splits: Sequence[str] = SPLITS,
    tokenize: str = "none",
    lowercase: bool = False,
    natural: bool = False,
    drop_empty: bool = False,
) -> Corpus:
    """The corpus in the files `{train,dev,test}.{source,target}` of a folder, or `.gz` of these.

    Further references stand in `test.en.1`, `test.en.2`, ... without a gap; an empty line there
    is an absent reference. Natural text of the references may be given as `test.raw.en`,
    `test.raw.en.1`, ... Only "\\n" separates lines.

    tokenize    `none` or `moses`, with the rules of the languages `source` and `target`
    lowercase   after tokenisation
    natural     the files hold natural text, so that scores on it are comparable;
                implied by `tokenize: moses`
    drop_empty  leave out pairs with an empty side, instead of refusing the corpus

    Raises CorpusError listing everything that is wrong.
    """
    folder = existing_folder(data_dir)
    if not source or not target:
        raise CorpusError(
            "set task.source and task.target to the endings of the files, "
            "e.g. task.source=de task.target=en for train.de and train.en"
        )
    assembly = Assembly(
        Preparation(tokenize=tokenize, lowercase=lowercase, language=source),
        Preparation(tokenize=tokenize, lowercase=lowercase, language=target),
        natural=natural or tokenize == "moses",
        drop_empty=drop_empty,
    )
    problems = Problems(f"the corpus in {folder}")
    corpus = {
        split: read_parallel(
            folder / f"{split}.{source}",
            folder / f"{split}.{target}",
            folder / f"{split}.raw.{target}",
            assembly,
            problems,
        )
        for split in splits
    }
    problems.check()
    return corpus


def existing_folder(data_dir: str | Path | None) -> Path:
    """The folder, or a CorpusError saying which setting is to be changed."""
    if data_dir is None:
        raise CorpusError("set task.data_dir to the folder of the corpus: task.data_dir=DIR")
    folder = Path(os.path.expanduser(data_dir))
    if not os.path.isdir(folder):
        raise CorpusError(f"task.data_dir={data_dir} is not a folder; name the corpus's folder")
    return folder


def read_parallel(
    source: Path, target: Path, raw: Path | None, assembly: Assembly, problems: Problems
) -> list[Example]:
    """Examples of the two files, of those with further references and of natural references.

    Each may have `.gz` added; `raw` need not be there, nor be given. Empty where there is
    a problem.
    """
    needed = [find_or_report(path, problems) for path in (source, target)]
    raws = [*filter(None, [find(raw)]), *numbered(raw)] if raw else []
    paths = [*filter(None, needed), *numbered(target), *raws]
    left_out = beyond(target)
    if left_out:
        problems.add(
            f"{target.parent}: {listed(left_out)} would not be read; further references are "
            f"numbered {target.name}.1, {target.name}.2, ... without a gap"
        )
    files = {path: read_lines(path, problems) for path in paths}
    found = {path: lines for path, lines in files.items() if lines is not None}
    if not aligned(found, problems) or len(found) < len(paths) or None in needed:
        return []
    last = len(paths) - len(raws)
    rows = (
        Row(line, values[0], tuple(values[1:last]), tuple(values[last:]))
        for line, values in enumerate(zip(*found.values(), strict=True), 1)
    )
    return assembly(rows, f"{source} and {target.name}", problems)


def numbered(path: Path) -> list[Path]:
    """The files `path.1`, `path.2`, ... as far as there are any."""
    paths: list[Path] = []
    while (further := find(path.with_name(f"{path.name}.{len(paths) + 1}"))) is not None:
        paths.append(further)
    return paths


def beyond(path: Path) -> list[str]:
    """Names like those of `numbered` whose numbers are not among theirs: a gap stands before."""
    alike = re.compile(rf"{re.escape(path.name)}\.(\d+)(\.gz)?")
    read = {str(number) for number in range(1, len(numbered(path)) + 1)}
    try:
        found = map(alike.fullmatch, os.listdir(path.parent))
    except OSError:  # is told of the files that should be there
        return []
    return sorted(name[0] for name in found if name and name[1] not in read)


def aligned(files: dict[Path, list[str]], problems: Problems) -> bool:
    """Whether all files have equally many lines, and at least one; if not, a problem."""
    counts = {path: len(lines) for path, lines in files.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{path} has {lines} lines" for path, lines in counts.items())
        problems.add(f"misaligned: {told}; line n of each must belong to line n of the others")
        return False
    if 0 in counts.values():
        problems.add(f"{', '.join(map(str, counts))}: no lines at all")
        return False
    return True

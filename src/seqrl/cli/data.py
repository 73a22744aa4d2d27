"""`seqrl-data`: fetch and prepare corpora, check users' files, clear stored stages."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from seqrl.data import gigaword, iwslt14, multi30k, tatoeba
from seqrl.data.corpus import CorpusError
from seqrl.data.jsonl import jsonl
from seqrl.data.preparation import PREPARED, TOKENIZE, compared
from seqrl.data.text import SPLITS, text
from seqrl.terminal import Messages, say


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Gives 0 when done, 1 when failed; usage errors exit with 2."""
    logging.basicConfig(level=logging.WARNING, handlers=[Messages(sys.stderr)])
    logging.getLogger("seqrl").setLevel(logging.INFO)
    chosen = _parser().parse_args(arguments)
    try:
        chosen.run(chosen)
    except CorpusError as error:
        say(error, sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seqrl-data",
        description=__doc__,
        epilog="exit codes: 0 done, 1 failed, 2 wrong command line",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_prepare(commands.add_parser("prepare", help="fetch and prepare a corpus"))
    _add_doctor(commands.add_parser("doctor", help="check a folder of text or JSON lines"))
    collect = commands.add_parser("gc", help="remove stored stages that no run refers to")
    collect.add_argument("--outputs", type=_folder, default="outputs", help="folder of runs")
    collect.set_defaults(run=_collect)
    return parser


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    tasks = parser.add_subparsers(required=True, metavar="TASK")
    talks = tasks.add_parser("iwslt14", help="TED talks de-en, as MIXER and ERAC prepare them")
    talks.add_argument(
        "--data-dir",
        type=Path,
        default=Path("data/iwslt14"),
        help="folder of de-en.tgz or its files; the archive is downloaded when there is none",
    )
    talks.add_argument(
        "--output", type=Path, help="new folder of the prepared files; default: DATA_DIR/prepared"
    )
    talks.set_defaults(run=_prepare_iwslt14)
    captions = tasks.add_parser("multi30k", help="image descriptions de-en, from the hub")
    captions.add_argument(
        "--output", type=Path, default=Path("data/multi30k"), help="new folder, for task.data_dir"
    )
    captions.add_argument(
        "--path", default=multi30k.HUB, help="of the data set on the hub, or a folder of its files"
    )
    captions.set_defaults(run=_prepare_multi30k)
    sentences = tasks.add_parser("tatoeba", help="170,000 short sentences de-en")
    sentences.add_argument(
        "archive", type=Path, help=f"{tatoeba.ARCHIVE}, from https://www.manythings.org/anki"
    )
    sentences.add_argument(
        "--output", type=Path, default=Path("data/tatoeba"), help="new folder, for task.data_dir"
    )
    sentences.set_defaults(run=_prepare_tatoeba)
    headlines = tasks.add_parser("gigaword", help="first sentences of articles with headlines")
    headlines.add_argument(
        "archive", type=Path, help=f"{gigaword.ZIP}, from {gigaword.ARCHIVE.url}"
    )
    headlines.add_argument(
        "--output", type=Path, default=Path("data/gigaword"), help="new folder, for task.data_dir"
    )
    headlines.add_argument(
        "--sample",
        type=_positive,
        help="so many training pairs, such as 200000; not the sample of any paper",
    )
    headlines.add_argument("--seed", type=int, default=0, help="of the sample")
    headlines.set_defaults(run=_prepare_gigaword)


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=_folder)
    parser.add_argument("--source", required=True, help="ending of the files, or name of the field")
    parser.add_argument("--target", required=True, help="ending of the files, or name of the field")
    parser.add_argument("--form", choices=("text", "jsonl"), help="default: what the folder holds")
    parser.add_argument("--splits", nargs="+", default=SPLITS, choices=SPLITS)
    parser.add_argument("--tokenize", choices=TOKENIZE, default="none")
    parser.add_argument("--lowercase", action="store_true")
    parser.add_argument("--min-frequency", type=_positive, default=1, help="of vocabulary words")
    parser.set_defaults(run=_doctor)


def _folder(value: str) -> Path:
    if not Path(value).is_dir():
        raise argparse.ArgumentTypeError(f"{value} is not a folder")
    return Path(value)


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _prepare_iwslt14(chosen: argparse.Namespace) -> None:
    folder = iwslt14.fetch(chosen.data_dir)
    output = chosen.output or chosen.data_dir / PREPARED
    _prepared(output, iwslt14.prepare(folder, output), iwslt14.EXPECTED)


def _prepare_multi30k(chosen: argparse.Namespace) -> None:
    _prepared(chosen.output, multi30k.prepare(chosen.output, path=chosen.path), multi30k.EXPECTED)


def _prepare_tatoeba(chosen: argparse.Namespace) -> None:
    counts = tatoeba.prepare(chosen.archive, chosen.output)
    print(", ".join(f"{split} {count:,} lines" for split, count in counts.items()))
    print(f"prepared: {chosen.output}  (use it with task=tatoeba task.data_dir={chosen.output})")


def _prepare_gigaword(chosen: argparse.Namespace) -> None:
    counts = gigaword.prepare(chosen.archive, chosen.output, size=chosen.sample, seed=chosen.seed)
    drawn = {} if chosen.sample is None else {"train": chosen.sample}
    _prepared(chosen.output, counts, gigaword.EXPECTED | drawn)


def _prepared(output: Path, counts: dict[str, int], expected: dict[str, int]) -> None:
    print(compared(counts, expected))
    print(f"prepared: {output}  (use it with task.data_dir={output})")


def _doctor(chosen: argparse.Namespace) -> None:
    from seqrl.data.diagnosis import diagnose  # imports torch

    lines = any(chosen.folder.glob("*.jsonl*"))
    read = jsonl if (chosen.form or ("jsonl" if lines else "text")) == "jsonl" else text
    corpus = read(
        data_dir=chosen.folder,
        source=chosen.source,
        target=chosen.target,
        splits=chosen.splits,
        tokenize=chosen.tokenize,
        lowercase=chosen.lowercase,
    )
    say("\n".join(diagnose(corpus, min_frequency=chosen.min_frequency)))


def _collect(chosen: argparse.Namespace) -> None:
    from seqrl.training.store import collect_garbage

    try:
        removed = collect_garbage(chosen.outputs)
    except ValueError as error:
        raise CorpusError(str(error)) from None
    for path in removed:
        print(f"removed {path}")
    print(f"{len(removed)} stored stages removed")

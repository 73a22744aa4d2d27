"""`seqrl-generate RUN < input > output`: one output a line, in the order of the input.

    stage=NAME          a stage that delivers a policy; the last one by default
    decoding=beam5      a way of decoding of conf/decoding; the run's by default
    decoding.size=10    and its settings
    device=cuda         auto by default

Lines are treated as the task treats the files of its corpus: where these are tokenised, so
must the input be, unless --tokenize says otherwise. An empty line has an empty output. On a
terminal, control characters in outputs are shown as escapes.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from seqrl.cli.runs import (
    Config,
    Model,
    RunError,
    UsageError,
    changed,
    command_parser,
    guarded,
    load_model,
    longest_source,
    one_line,
    open_run,
    taken,
)
from seqrl.cli.train import EXIT_DONE
from seqrl.data.preparation import TOKENIZE, Preparation
from seqrl.terminal import shown

CHANGEABLE = ("decoding", "device", "threads")
LINES_AT_ONCE = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Gives 0 when done, 1 when failed, 2 for a wrong command line."""
    chosen = _parser().parse_intermixed_args(arguments)
    return guarded(lambda: generate_lines(chosen))


def _parser() -> argparse.ArgumentParser:
    overrides = "stage=, decoding=, device=, ..."
    parser = command_parser("seqrl-generate", __doc__, overrides)
    parser.add_argument(
        "--tokenize", choices=TOKENIZE, help="of the input; default: as the corpus's files"
    )
    parser.add_argument(
        "--lowercase", action=argparse.BooleanOptionalAction, help="the input, once tokenised"
    )
    parser.add_argument(
        "--normalize", action="store_true", help="the input's punctuation first (Multi30k)"
    )
    parser.add_argument("--language", help="of the input, for --tokenize; default: task.source")
    parser.add_argument("--natural", action="store_true", help="write outputs as natural text")
    parser.add_argument(
        "--lines", type=int, default=LINES_AT_ONCE, help="lines read before any is answered"
    )
    return parser


def generate_lines(chosen: argparse.Namespace) -> int:
    """Read standard input to its end and answer every line."""
    if chosen.lines < 1:
        raise UsageError(f"--lines must be at least 1, not {chosen.lines}")
    own, overrides = taken(chosen.overrides, {"stage": ""})
    run = open_run(chosen.run)
    stage = run.stage(own["stage"] or None)
    config = changed(run, overrides, chosen.config_dir, allowed=(*CHANGEABLE, *own))
    prepare = preparation(config, chosen)
    model = load_model(run, stage, config)
    at_once = 1 if sys.stdin.isatty() else chosen.lines
    try:
        for lines in portions(read_lines(sys.stdin.buffer), at_once):
            outputs = answers(model, list(map(prepare, lines)), natural=chosen.natural)
            text = "".join(f"{output}\n" for output in outputs)
            sys.stdout.buffer.write(shown(text, sys.stdout).encode())
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Nobody reads on; Python would complain again when it flushes at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_DONE


def preparation(config: Config, chosen: argparse.Namespace) -> Preparation:
    """What is done to a line: as the task does with its files, if nothing else is asked for."""
    corpus = config["task"]["corpus"]
    language = chosen.language or corpus.get("source_language") or config["task"].get("source")
    lowercase = corpus.get("lowercase", False) if chosen.lowercase is None else chosen.lowercase
    return Preparation(
        tokenize=chosen.tokenize or corpus.get("tokenize", "none"),
        normalize=chosen.normalize,
        lowercase=lowercase,
        language=language or "en",
    )


def answers(model: Model, sources: Sequence[str], *, natural: bool) -> list[str]:
    """One line for each source."""
    from seqrl.evaluation.generate import generate

    outputs = generate(
        model.policy,
        model.task,
        model.decoder,
        model.device,
        sources,
        longest_source=longest_source(model.config),
    )
    return [one_line(model.task.detokenize(text) if natural else text) for text in outputs]


def read_lines(file: BinaryIO) -> Iterator[str]:
    """The lines of UTF-8 input, which only a line feed separates; no mark of byte order."""
    for number, line in enumerate(file, 1):
        try:
            text = line.removesuffix(b"\n").rstrip(b"\r").decode()
        except UnicodeDecodeError as error:
            raise RunError(f"line {number} of the input is not UTF-8: {error}") from None
        yield text.lstrip("\ufeff") if number == 1 else text


def portions(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """The lines in lists of `size`, the last one shorter."""
    rest = iter(lines)
    while portion := list(islice(rest, size)):
        yield portion

"""`seqrl-report RUN...`: the scores of several runs in one table, over seeds.

RUN is the folder of a run, or one above several, such as outputs/phrases. Runs that differ
in nothing but their seed are one row. The table is Markdown, if nothing else is asked for.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from seqrl.cli.train import EXIT_CONFIG, EXIT_DONE, EXIT_FAILED
from seqrl.reports.aggregate import ReportError, aggregate, find_runs, read_run
from seqrl.reports.tables import comma_separated, latex, markdown


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Gives 0 when done, 1 when failed, 2 for a wrong command line."""
    chosen = _parser().parse_args(arguments)
    try:
        folders = find_runs(chosen.runs)
    except ReportError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    try:
        report(folders, chosen)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ReportError, OSError) as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seqrl-report",
        description=__doc__,
        epilog="exit codes: 0 done, 1 failed, 2 wrong command line",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="folder of a run, or of several"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print every number, a score a line")
    form.add_argument("--latex", action="store_true", help="print a tabular (needs booktabs)")
    parser.add_argument("--split", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--decoding", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--final", action="store_true", help="only the last policy of each run")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the learning curves")
    return parser


def report(folders: Sequence[Path], chosen: argparse.Namespace) -> None:
    """Print the table and draw the curves. Raises ReportError."""
    records = [read_run(folder) for folder in folders]
    if chosen.plot:
        from seqrl.reports.curves import plot_runs

        try:
            plot_runs(records, chosen.plot)
        except ValueError as error:  # no such kind of picture
            raise ReportError(f"--plot {chosen.plot}: {error}") from None
        print(f"curves: {chosen.plot}", file=sys.stderr)
    rows = aggregate(records, splits=chosen.split, decodings=chosen.decoding, final=chosen.final)
    unfinished = [record for record in records if record.status != "done"]
    if not rows:
        found = ", ".join(sorted({record.status for record in records}))
        raise ReportError(f"nothing to show: no finished run has such scores (runs are {found})")
    if chosen.csv:
        print(comma_separated(rows))
    elif chosen.latex:
        print(latex(rows))
    else:
        print(markdown(rows, unfinished))

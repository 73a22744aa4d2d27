"""`seqrl-report RUN...`: the scores of several runs in one table, over seeds.

RUN is the folder of a run, or one above several, such as outputs/phrases. Runs that differ
in nothing but their seed are one row. The table is Markdown, if nothing else is asked for.
Where a run is neither done nor diverged there are no statistics, unless --incomplete is given.

--baseline names a row to test the others against: by its algorithm, its policy, or settings
such as algorithm=erac,algorithm.tau=0.04.

--compare A B tests two finished runs' last policies on their outputs of one split, without
regard to seeds. It reads the corpus again.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqrl.cli.settings import nearest
from seqrl.cli.train import EXIT_CONFIG, EXIT_DONE, EXIT_FAILED
from seqrl.reports.aggregate import ReportError, find_runs, read_run
from seqrl.reports.report import Report, sweep_report
from seqrl.reports.table_spec import RequestError, TableSpec
from seqrl.reports.tables import comma_separated, latex, markdown
from seqrl.terminal import say
from seqrl.tracking.files import write_text_atomic
from seqrl.trust import conf_folder

if TYPE_CHECKING:
    from seqrl.cli.runs import Run
    from seqrl.metrics.outputs import Outputs

EXPERIMENT = "experiment"
TOLERANCE = 1e-3
TABLES_ONLY = ("csv", "latex", "final", "baseline", "table", "incomplete", "plot", "html")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Gives 0 when done, 1 when failed, 2 for a wrong command line."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if bool(chosen.compare) == bool(chosen.runs):
        parser.error("name runs, or two of them with --compare")
    if chosen.compare:
        others = [f"--{name}" for name in TABLES_ONLY if getattr(chosen, name)]
        if others:
            parser.error(f"--compare makes no table: it does not go with {', '.join(others)}")
        from seqrl.cli.runs import guarded

        return guarded(lambda: compare(chosen))
    try:
        folders = find_runs(chosen.runs)
    except ReportError as error:
        say(error, sys.stderr)
        return EXIT_CONFIG
    try:
        report(folders, chosen)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except RequestError as error:
        say(error, sys.stderr)
        return EXIT_CONFIG
    except (ReportError, OSError) as error:
        say(error, sys.stderr)
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
        "runs", nargs="*", type=Path, metavar="RUN", help="folder of a run, or of several"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print every number, a score a line")
    form.add_argument("--latex", action="store_true", help="print a tabular (needs booktabs)")
    parser.add_argument("--split", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--decoding", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--final", action="store_true", help="only the last policy of each run")
    parser.add_argument("--baseline", metavar="SETTING", help="row to test the others against")
    parser.add_argument(
        "--table",
        metavar="FILE.yaml",
        help="take all this from its node `report`; or the name of one of conf/experiment",
    )
    parser.add_argument(
        "--incomplete", action="store_true", help="show what there is of runs that are not finished"
    )
    parser.add_argument(
        "--compare", nargs=2, type=Path, metavar=("A", "B"), help="test two runs on their outputs"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the learning curves")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page with the table and all curves"
    )
    return parser


def report(folders: Sequence[Path], chosen: argparse.Namespace) -> None:
    """Print the table and draw the curves. Raises ReportError."""
    spec = specification(chosen)
    records = [read_run(folder) for folder in folders]
    if chosen.plot:
        from seqrl.reports.curves import plot_runs

        try:
            plot_runs(records, chosen.plot)
        except ValueError as error:  # no such kind of picture
            raise ReportError(f"--plot {chosen.plot}: {error}") from None
        print(f"curves: {chosen.plot}", file=sys.stderr)
    made = sweep_report(records, spec, incomplete=chosen.incomplete)
    if chosen.html:
        from seqrl.reports.page import html

        write_text_atomic(chosen.html, html(made))
        print(f"page: {chosen.html}", file=sys.stderr)
    form: Callable[[Report], str] = markdown
    if chosen.csv:
        form = comma_separated
    elif chosen.latex:
        form = latex
    say(form(made))


def specification(chosen: argparse.Namespace) -> TableSpec:
    """Of the table, as the file says where there is one, and the command line beyond it."""
    spec = read_table(chosen.table) if chosen.table else TableSpec()
    return replace(
        spec,
        baseline=chosen.baseline or spec.baseline,
        final=chosen.final or spec.final,
        split=tuple(chosen.split) or spec.split,
        decoding=tuple(chosen.decoding) or spec.decoding,
    )


def read_table(name: str) -> TableSpec:
    """The node `report` of a yaml file, or of an experiment of `conf/`. Raises RequestError."""
    import yaml

    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        folder = conf_folder() / EXPERIMENT
        path = folder / f"{name}.yaml"
        if not path.is_file():
            names = sorted(file.stem for file in folder.glob("*.yaml"))
            raise RequestError(f"--table {name}: no such experiment; {nearest(name, names)}")
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RequestError(f"--table {name}: {path} cannot be read: {error}") from None
    if not isinstance(tree, dict) or "report" not in tree:
        raise RequestError(f"--table {name}: {path} has no node `report`")
    try:
        return TableSpec.from_node(tree["report"])
    except RequestError as error:
        raise RequestError(f"{path}: {error}") from None


def compare(chosen: argparse.Namespace) -> int:
    """Test the outputs of two runs and print what came out."""
    from seqrl.cli.runs import RunError, UsageError, open_run

    if len(chosen.split) > 1 or len(chosen.decoding) > 1:
        raise UsageError("--compare is of one --split and one --decoding")
    split = chosen.split[0] if chosen.split else "test"
    runs = [open_run(folder) for folder in chosen.compare]
    first, second = (_finals(run, split, chosen.decoding) for run in runs)
    names = [name for name in first["scores"] if name in second["scores"]]

    from seqrl.reports.outputs import compared, comparison_text

    outputs = [_outputs(run, entry) for run, entry in zip(runs, (first, second), strict=True)]
    try:
        differences = compared(names, *outputs)
    except ValueError as error:
        raise RunError(f"{runs[0].folder} and {runs[1].folder}: {error}") from None
    say(comparison_text(differences))
    for letter, run, entry in zip("AB", runs, (first, second), strict=True):
        print(f"{letter}: {run.folder} ({entry['label']}, {entry['split']}, {entry['decoding']})")
    return EXIT_DONE


def _finals(run: Run, split: str, decodings: Sequence[str]) -> dict[str, Any]:
    """The line of the results of the run's last policy, decoded as asked, or as it did first."""
    from seqrl.cli.runs import UsageError

    stage = run.stage(None)
    entries = [e for e in read_run(run.folder).entries if e["stage"] == stage]
    found = [
        e for e in entries if e["split"] == split and (not decodings or e["decoding"] in decodings)
    ]
    if not found:
        there = ", ".join(dict.fromkeys(f"{e['split']} {e['decoding']}" for e in entries))
        asked = " ".join([split, *decodings])
        raise UsageError(f"{run.folder}: there are no outputs of {asked}; there are {there}")
    return found[0]


def _outputs(run: Run, entry: dict[str, Any]) -> Outputs:
    """What the run wrote, beside the references of its task's corpus as it is now."""
    from seqrl.build import build_task, check_corpus
    from seqrl.cli.runs import RunError, UsageError, placed
    from seqrl.evaluation.decode import outputs_of
    from seqrl.identity import ConfigError
    from seqrl.metrics.corpus import METRICS

    split = entry["split"]
    path = run.folder / "checkpoints" / entry["stage"] / f"{split}.{entry['decoding']}.hyp.txt"
    try:
        hypotheses = path.read_bytes().decode().split("\n")[:-1]
    except (OSError, ValueError) as error:
        raise RunError(f"the outputs of {run.folder} cannot be read: {error}") from None
    config = placed(run)
    try:
        check_corpus(config)
        task = build_task(config)
    except ConfigError as error:
        raise UsageError(str(error)) from None
    examples = task.corpus[split]
    if len(hypotheses) != len(examples):
        raise RunError(f"{path} has {len(hypotheses)} lines, but {split} {len(examples)} examples")
    outputs = outputs_of(task, examples, hypotheses)
    for name, score in entry["scores"].items():
        value = METRICS[name](outputs).value
        if abs(value - score["value"]) > TOLERANCE:
            raise RunError(
                f"{run.folder}: {name} of its outputs is {value:.4f}, but was {score['value']}; "
                "the corpus is no longer the one that it was scored on"
            )
    return outputs

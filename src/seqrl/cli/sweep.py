"""`seqrl-train -m ...`: many runs from one command line, and one table at their end.

The sweep has no state of its own: what is done is what the runs' folders say. All
configurations are composed and checked before the first run starts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from seqrl.cli.configuration import Groups, OverrideError, command_line
from seqrl.cli.interruption import STOPPED, Interruption
from seqrl.cli.launchers import OUTCOMES
from seqrl.cli.planning import FAILED, Planned, Sweep, description, planned
from seqrl.cli.train import EXIT_CONFIG, EXIT_DONE, EXIT_FAILED, EXIT_PREEMPTED
from seqrl.data.corpus import CorpusError
from seqrl.identity import Config, ConfigError
from seqrl.reports.table_spec import RequestError
from seqrl.terminal import say
from seqrl.tracking.files import write_text_atomic
from seqrl.training.stopping import AtOnce, Preempted
from seqrl.trust import made


def main(arguments: Sequence[str]) -> int:
    """The sweep of a command line that was found right; the exit code.

    0 all runs are done, 1 some failed or diverged, 2 configuration error, 75 stopped on request
    """
    options, typed = command_line(arguments)
    with Interruption() as interruption:
        try:
            with interruption.at_once():
                groups = Groups([Path(options.config_dir)] if options.config_dir else [])
                sweep, first = planned(groups, typed)
                launcher = built_launcher(first, sweep)
        except (OverrideError, ConfigError, RequestError) as error:
            print(f"configuration:\n{error}", file=sys.stderr)
            return EXIT_CONFIG
        except Preempted:
            print(STOPPED)
            return EXIT_PREEMPTED
        if first["dry_run"]:
            print(*description(sweep, launcher.jobs), sep="\n")
            return EXIT_DONE
        return swept(sweep, launcher, interruption.at_once)


def built_launcher(config: Config, sweep: Sweep) -> Any:
    if not sweep.pending and not config["dry_run"]:
        return None
    try:
        return made(config["launcher"])
    except (TypeError, ValueError) as error:
        raise ConfigError(f"launcher: {error}".splitlines()[0]) from None


def swept(sweep: Sweep, launcher: Any, at_once: AtOnce = nullcontext) -> int:
    """Run what is pending, then the table; the exit code."""
    pending = sweep.pending
    print(sweep.overview)
    given_up = [run for run in sweep.runs if run not in pending and run.state != "done"]
    if given_up:
        print("not tried again without retry_failed=true:")
        for run in given_up:
            say(f"  {run.state}: {run} ({run.folder}): {run.reason}")
    try:
        with at_once():
            unusable = corpus_problems(pending)
    except Preempted:
        print(STOPPED)
        return EXIT_PREEMPTED
    if unusable:
        say("\n".join(unusable), sys.stderr)
        return EXIT_FAILED
    announce = Announcer(len(sweep.runs), len(sweep.runs) - len(pending))
    if pending:
        group(pending, f"sweep-{sweep.name}")
        if launcher.launch(pending, announce) == EXIT_PREEMPTED:
            print(STOPPED)
            return EXIT_PREEMPTED
    conclude(sweep, changed=bool(pending))
    states = set(sweep.states)
    if states == {"done"}:
        return EXIT_DONE
    return EXIT_FAILED if announce.failed or states & set(FAILED) else EXIT_PREEMPTED


def corpus_problems(runs: Sequence[Planned]) -> list[str]:
    """What is wrong with the runs' data, each of which is read once."""
    if not runs:
        return []
    from seqrl.build import build_task

    configs = {json.dumps(_data(run.config), sort_keys=True): run.config for run in runs}
    problems = []
    for config in configs.values():
        try:
            build_task(config).split("dev")
        except CorpusError as error:
            problems.append(f"data: {error}")
    return problems


def _data(config: Config) -> Config:
    return {name: node for name, node in config["task"].items() if name != "budget"}


def group(runs: Sequence[Planned], name: str) -> None:
    """Have W&B show the runs together, unless the user chose a group."""
    for run in runs:
        if run.config["tracker"].get("group", name) is None:
            run.config["tracker"]["group"] = name


class Announcer:
    """Says of each run that ends how it did; of the first failure with its last lines.

    total   runs of the sweep
    ended   of them so far
    failed  whether any did
    """

    def __init__(self, total: int, ended: int) -> None:
        self.total = total
        self.ended = ended
        self.failed = False

    def __call__(self, run: Planned, code: int, last_lines: str) -> None:
        self.ended += 1
        outcome = OUTCOMES.get(code, "failed")
        print(f"[{self.ended}/{self.total}] {outcome}: {run} ({run.folder})", flush=True)
        if outcome == "failed" and not self.failed:
            self.failed = True
            say(last_lines, sys.stderr, flush=True)


def conclude(sweep: Sweep, *, changed: bool) -> None:
    """Print the table of the sweep, or why there is none, and where its page is.

    changed  whether a run was started, so that the page is made anew
    """
    from seqrl.reports.aggregate import ReportError, read_started
    from seqrl.reports.page import html
    from seqrl.reports.report import sweep_report
    from seqrl.reports.tables import markdown

    folders = [run.folder for run in sweep.runs]
    try:
        report = sweep_report(read_started(folders), sweep.table, folders)
    except ReportError as error:
        say(f"\nno table: {error}", flush=True)
        return
    say(f"\n{markdown(report)}")
    page = Path(sweep.runs[0].config["outputs"]) / "reports" / f"{sweep.name}.html"
    if changed or not page.is_file():
        write_text_atomic(page, html(report))
    print(f"page: {page}", flush=True)

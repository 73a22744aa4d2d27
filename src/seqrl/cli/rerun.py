"""`seqrl-rerun RUN [KEY=VALUE ...]`: repeat or continue a run from its configuration.

    seqrl-rerun RUN                     continues an unfinished run
    seqrl-rerun RUN outputs=DIR         trains it again, in a folder of its own
    seqrl-rerun RUN algorithm.tau=0.05  trains the run that differs in this

Overrides are those of seqrl-train: settings, and choices of groups such as tracker=none.
The run's own paths are relative to where it was started, those of overrides to here.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from seqrl.cli.configuration import Groups, overridden
from seqrl.cli.runs import command_parser, guarded, open_run, placed
from seqrl.cli.train import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit codes are those of seqrl-train."""
    parser = command_parser("seqrl-rerun", __doc__, "as of seqrl-train, one value each")
    parser.epilog = "exit codes: those of seqrl-train"
    chosen = parser.parse_intermixed_args(arguments)
    return guarded(lambda: repeat(chosen))


def repeat(chosen: argparse.Namespace) -> int:
    """Train what the run's configuration becomes with the overrides."""
    opened = open_run(chosen.run, finished=False)
    groups = Groups([chosen.config_dir] if chosen.config_dir else [])
    config = overridden(placed(opened), chosen.overrides, groups)
    return run(config)

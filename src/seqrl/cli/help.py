"""What `seqrl-train --help` says: one screen, with the groups as they are in `conf/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from seqrl.cli.configuration import Groups
from seqrl.trust import conf_folder

WIDTH = 100

TEXT = """\
usage: seqrl-train [GROUP=CHOICE ...] [KEY=VALUE ...] [OPTION ...]

Trains a sequence model stage by stage, evaluates it and prints a table. The same command again
continues a run that was stopped, and shows a finished one.

  seqrl-train                                 {defaults}
  seqrl-train algorithm=erac task=g2p seed=2
  seqrl-train algorithm=erac algorithm.tau=0.02 decoding=greedy

groups:
{groups}

settings, such as:
  task.data_dir=DIR task.source=de task.target=en
                                              where the corpus is, and its two sides
  task.budget.actor.epochs=5                  likewise batch_size, ...; of actor, critic and joint
  trainer.max_steps=100                       the most updates of every stage
  seed=1  device=cuda  threads=2  outputs=DIR
  init_from=RUN                               weights that networks start from
  tracker.mode=online                         of W&B; tracker=none for none
Every one is explained beside its value in {conf}

options:
  --cfg job --resolve                         print all settings with their values, train nothing
  -m, --multirun                              a sweep: algorithm.tau=0.02,0.04 seed=1,2: four runs;
                                              launcher=local several at a time, dry_run=true which
  --config-dir DIR, --trust PACKAGE           of your own groups, beside these; of your own classes
  --hydra-help                                what else Hydra can do

exit codes: 0 done, 1 failed, 2 configuration error, 3 diverged, 75 stopped on request"""


def help_text(arguments: Sequence[str]) -> str:
    """The text for a command line; raises OverrideError where its --config-dir is no folder."""
    from hydra._internal.utils import get_args_parser

    options, _ = get_args_parser().parse_known_args(list(arguments))
    groups = Groups([Path(options.config_dir)] if options.config_dir else [])
    chosen = defaults()
    return TEXT.format(
        defaults=f"task={chosen['task']} algorithm={chosen['algorithm']}",
        groups="\n".join(listed(key, groups.names(key.partition("@")[0])) for key in chosen),
        conf=conf_folder(),
    )


def listed(group: str, names: Sequence[str]) -> str:
    """A group and its choices, in lines of the screen's width."""
    indent = f"  {group:<11} "
    return fill(", ".join(names), WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent))


def defaults() -> dict[str, str | None]:
    """The groups that a user chooses from, task and algorithm first, and what is chosen."""
    import yaml

    with (conf_folder() / "train.yaml").open(encoding="utf-8") as file:
        entries = [entry for entry in yaml.safe_load(file)["defaults"] if isinstance(entry, dict)]
    found = {
        key.removeprefix("optional "): choice
        for entry in entries
        for key, choice in entry.items()
        if not key.startswith("override ")
    }
    return {"task": found["task"], "algorithm": found["algorithm"], **found}

"""seqrl-train: compose a configuration with Hydra, then run its stages."""

from __future__ import annotations

import sys
from typing import Any

EXIT_DONE, EXIT_FAILED, EXIT_CONFIG, EXIT_DIVERGED, EXIT_PREEMPTED = 0, 1, 2, 3, 75


def main() -> None:
    """Exits with 0 done, 1 failed, 2 configuration error, 3 diverged, 75 preempted."""
    from seqrl.cli.configuration import OverrideError, check_overrides, conf_folder
    from seqrl.cli.help import help_text

    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        try:
            print(help_text(arguments))
        except OverrideError as error:
            print(error, file=sys.stderr)
            sys.exit(EXIT_CONFIG)
        return
    problems = check_overrides(arguments)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        sys.exit(EXIT_CONFIG)

    import hydra
    from omegaconf import DictConfig

    @hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="train")
    def train(config: DictConfig) -> None:
        code = run(config)
        if code:
            sys.exit(code)

    train()


def run(config: Any) -> int:
    """Run a composed configuration; the exit code."""
    from seqrl.build import ConfigError, check, plain

    try:
        plain_config = plain(config)
        check(plain_config)
    except ConfigError as error:
        print(f"configuration:\n{error}", file=sys.stderr)
        return EXIT_CONFIG
    from seqrl.cli.running import run_training

    return run_training(plain_config)

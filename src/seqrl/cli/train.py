"""seqrl-train: compose a configuration with Hydra, then run its stages."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

from seqrl.cli.interruption import STOPPED, Interruption
from seqrl.training.stopping import Preempted

EXIT_DONE, EXIT_FAILED, EXIT_CONFIG, EXIT_DIVERGED, EXIT_PREEMPTED = 0, 1, 2, 3, 75


def main() -> None:
    """Exits with 0 done, 1 failed, 2 configuration error, 3 diverged, 75 preempted."""
    with first_alone_speaks(), Interruption() as interruption:
        try:
            code = command(sys.argv[1:], interruption)
        except Preempted:
            print(STOPPED, file=sys.stderr)
            code = EXIT_PREEMPTED
    leave(code)


def leave(code: int) -> NoReturn:
    """Exit. After a stop for no library's farewell is waited: W&B's is for a service's answer."""
    if code == EXIT_PREEMPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


@contextmanager
def first_alone_speaks() -> Iterator[None]:
    """Of several processes that torchrun has started, one says what is to be said."""
    from seqrl.training.ranks import is_first

    with ExitStack() as stack:
        if not is_first():
            silence = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(redirect_stdout(silence))
            stack.enter_context(redirect_stderr(silence))
        yield


def command(arguments: list[str], interruption: Interruption) -> int:
    """Do what a command line asks for; the exit code. Raises Preempted before there is a run."""
    with interruption.at_once():
        from seqrl.cli.configuration import OverrideError, check_overrides, untrusting
        from seqrl.cli.help import help_text

        arguments = untrusting(arguments)
        if {"-h", "--help"} & set(arguments):
            try:
                print(help_text(arguments))
            except OverrideError as error:
                print(error, file=sys.stderr)
                return EXIT_CONFIG
            return EXIT_DONE
        problems = check_overrides(arguments)
        if problems:
            print("\n".join(problems), file=sys.stderr)
            return EXIT_CONFIG
        if asks(arguments):
            show_configuration(arguments)
            return EXIT_DONE
    if is_sweep(arguments):
        from seqrl.cli.sweep import main as sweep
        from seqrl.training.ranks import process_count

        if process_count() > 1:
            print("torchrun is for single runs; a sweep starts its own processes", file=sys.stderr)
            return EXIT_CONFIG
        return sweep(arguments)
    return train(arguments)


def asks(arguments: list[str]) -> bool:
    """Whether a command line asks about the configuration, and not for a run."""
    from seqrl.cli.configuration import command_line

    options, _ = command_line(arguments)
    return any((options.cfg, options.info, options.hydra_help, options.shell_completion))


def is_sweep(arguments: list[str]) -> bool:
    """Whether a command line asks for several runs, or for what they would be."""
    from seqrl.cli.configuration import command_line, parsed

    options, typed = command_line(arguments)
    overrides, _ = parsed(typed)
    values = {override.key_or_group: override.value() for override in overrides}
    several = options.multirun or str(values.get("hydra.mode")).upper() == "MULTIRUN"
    return bool(several or values.get("dry_run") is True)


def show_configuration(arguments: list[str]) -> None:
    """Have Hydra answer; it makes nothing that the configuration describes."""
    import hydra

    from seqrl.trust import conf_folder

    @hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="train")
    def nothing(_: Any) -> None:
        raise AssertionError("a question was taken for a run")

    sys.argv[1:] = arguments
    nothing()


def train(arguments: list[str]) -> int:
    """The run of a command line; the exit code.

    Hydra composes it and no more: its own command would make what `hydra.callbacks` describes.
    """
    from seqrl.cli.configuration import Groups, OverrideError, command_line

    options, typed = command_line(arguments)
    try:
        groups = Groups([Path(options.config_dir)] if options.config_dir else [])
        return run(groups.compose(typed), typed)
    except OverrideError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG


def run(config: Any, typed: Sequence[str] = ()) -> int:
    """Run a composed configuration; the exit code. A finished run is shown at once.

    typed  the overrides that it was composed with, for messages
    """
    with Interruption() as interruption:
        try:
            with interruption.at_once():
                checked = check_composed(config, typed)
                if isinstance(checked, int):
                    return checked
                from seqrl.cli.running import run_training
        except Preempted:
            print(STOPPED, file=sys.stderr)
            return EXIT_PREEMPTED
        return run_training(checked)


def check_composed(config: Any, typed: Sequence[str]) -> dict[str, Any] | int:
    """The configuration, resolved; the exit code where there is nothing to run."""
    from seqrl.cli.configuration import traced
    from seqrl.cli.runs import shown_before
    from seqrl.identity import ConfigError, known_folder, plain

    try:
        plain_config = plain(config)
        folder = known_folder(plain_config)
        if folder is not None and shown_before(folder):
            return EXIT_DONE
        from seqrl.build import check

        check(plain_config)
    except ConfigError as error:
        problems = [traced(line, typed) for line in str(error).splitlines()]
        print("configuration:", *problems, sep="\n", file=sys.stderr)
        return EXIT_CONFIG
    return plain_config


if __name__ == "__main__":
    main()

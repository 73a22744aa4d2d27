"""What the commands that use a run have in common: finding, changing and loading it.

Nothing here imports torch before a run and the overrides have been found right.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqrl.cli.configuration import Groups, OverrideError, add_trust, overridden
from seqrl.cli.settings import nearest
from seqrl.cli.train import EXIT_CONFIG, EXIT_DONE, EXIT_FAILED
from seqrl.data.corpus import CorpusError
from seqrl.terminal import Messages, say
from seqrl.tracking.run_folder import CONFIG, ENVIRONMENT, RESULT, read_status
from seqrl.trust import located, refused

if TYPE_CHECKING:
    import torch

    from seqrl.data.task import Task
    from seqrl.decoding.decoder import Decoder
    from seqrl.models.base import Policy

Config = dict[str, Any]

PATHS = ("outputs", "init_from")
SHOWN = 5


class UsageError(Exception):
    """The command line asks for what there is not; one problem a line."""


class RunError(Exception):
    """The run cannot be used as it is."""


@dataclass(frozen=True)
class Run:
    """A run's folder and the configuration that it was made with, resolved."""

    folder: Path
    config: Config

    @property
    def policies(self) -> list[str]:
        """The stages that deliver a policy, in order."""
        stages = self.config["algorithm"]["stages"]
        return [name for name, stage in stages.items() if "policy" in stage["optimizers"]]

    def stage(self, name: str | None) -> str:
        """The named stage, which must deliver a policy; the last one that does if none is named."""
        if name is None:
            return self.policies[-1]
        if name not in self.policies:
            there = name in self.config["algorithm"]["stages"]
            problem = "delivers no policy" if there else "is no stage of this run"
            raise UsageError(f"stage={name}: {name} {problem}; {nearest(name, self.policies)}")
        return name

    def label(self, stage: str) -> str:
        """The stage's name in tables."""
        return str(self.config["algorithm"]["stages"][stage]["label"])


@dataclass(frozen=True)
class Model:
    """A policy of a run and what decodes with it.

    stage   that delivered the policy
    config  of the run, with the command line's overrides
    """

    stage: str
    config: Config
    task: Task
    policy: Policy[Any, Any]
    decoder: Decoder
    device: torch.device


def guarded(command: Callable[[], int]) -> int:
    """The command's exit code; its errors are printed: 1 failed, 2 usage."""
    logging.basicConfig(level=logging.WARNING, handlers=[Messages(sys.stderr)])
    try:
        return command()
    except (UsageError, OverrideError) as error:
        say(error, sys.stderr)
        return EXIT_CONFIG
    except (RunError, CorpusError) as error:
        say(error, sys.stderr)
        return EXIT_FAILED


def command_parser(
    command: str, description: str | None, overrides: str
) -> argparse.ArgumentParser:
    """A parser of RUN, overrides and the folder of a user's own groups."""
    parser = argparse.ArgumentParser(
        prog=command,
        description=description,
        epilog="exit codes: 0 done, 1 failed, 2 wrong command line",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=overrides)
    parser.add_argument(
        "--config-dir", type=Path, help="folder of your own configuration groups, as in training"
    )
    add_trust(parser)
    return parser


def open_run(folder: Path, *, finished: bool = True) -> Run:
    """The run in a folder. Raises UsageError where there is none, RunError if it is not whole.

    It may come from anywhere: UsageError where it has something called that is not trusted.

    finished  whether the run must be
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    path = folder / CONFIG
    if not path.is_file():
        raise UsageError(_no_run(folder))
    try:
        config = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        assert isinstance(config, dict)
        run = Run(folder, {str(key): value for key, value in config.items()})
        run.stage(None)
    except (
        *(YAMLError, OmegaConfBaseException, LookupError, TypeError),
        *(ValueError, AttributeError, AssertionError),
    ) as error:
        raise RunError(f"{path} is no configuration of a run: {error!r}") from None
    check_trust(config, str(path))
    if finished and not (folder / RESULT).is_file():
        reached = read_status(folder)
        advice = f"`seqrl-rerun {folder}` continues it"
        if reached is not None and reached.state == "diverged":
            advice = "it goes on with other settings only"
        raise RunError(
            f"{folder}: the run is not finished ({reached or 'its state is unknown'}); {advice}"
        )
    return run


def placed(run: Run) -> Config:
    """The run's configuration; its paths are absolute if the run was started in another folder.

    Paths are `outputs`, `init_from` and the settings whose names end in `_dir`.
    """
    start = start_folder(run)
    return run.config if start == Path.cwd() else _absolute(run.config, start)


def start_folder(run: Run) -> Path:
    """Where the run was started: told by the place that it has below `outputs`, else recorded.

    A project that was moved is so found where it is now. The current folder, if nothing helps.
    """
    folder = Path(os.path.abspath(run.folder))
    names = (run.config["task"]["name"], run.config["algorithm"]["name"])
    below = Path(run.config["outputs"], *map(str, names), *folder.parts[-2:])
    if not below.is_absolute() and folder.parts[-len(below.parts) :] == below.parts:
        return folder.parents[len(below.parts) - 1]
    try:
        record = json.loads((run.folder / ENVIRONMENT).read_text(encoding="utf-8"))
        recorded = Path(record["folder"])
    except (OSError, ValueError, LookupError, TypeError):
        return Path.cwd()
    return recorded if recorded.is_dir() else Path.cwd()


def _absolute(node: Config, folder: Path) -> Config:
    placed = dict(node)
    for name, value in node.items():
        if isinstance(value, dict):
            placed[name] = _absolute(value, folder)
        elif isinstance(value, str) and (name in PATHS or str(name).endswith("_dir")):
            placed[name] = str(folder / Path(value).expanduser())
    return placed


def _no_run(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder}: there is no such folder"
    below = sorted(
        path.parent for path in folder.rglob(CONFIG) if path.parent.name.startswith("seed")
    )
    hint = ""
    if below:
        more = f", and {len(below) - SHOWN} more" if len(below) > SHOWN else ""
        hint = f"; below it are {', '.join(map(str, below[:SHOWN]))}{more}"
    return f"{folder} is not the folder of a run: it has no {CONFIG}{hint}"


def taken(overrides: Sequence[str], own: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The command's own settings, `own` being their defaults, and the other overrides."""
    values, others = dict(own), []
    for text in overrides:
        key, equals, value = text.partition("=")
        if equals and key in own:
            values[key] = value
        else:
            others.append(text)
    return values, others


def changed(
    run: Run, overrides: Sequence[str], config_dir: Path | None, *, allowed: Sequence[str]
) -> Config:
    """The run's configuration with overrides of what may be changed, resolved; paths: `placed`.

    The device is `auto` unless it is overridden: the run may have been made elsewhere.
    """
    values = {**placed(run), "device": "auto"}
    if not overrides:
        return values
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    groups = Groups([config_dir] if config_dir else [])
    config = overridden(values, overrides, groups, allowed=allowed)
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UsageError(str(error)) from None
    assert isinstance(plain, dict)
    check_trust(plain)
    return {str(key): value for key, value in plain.items()}


def check_trust(node: Any, path: str = "") -> None:
    """UsageError where a configuration, or the file at `path`, has called what it may not."""
    problems = refused(node)
    if problems:
        raise UsageError("\n".join(f"{path}: {text}" if path else text for text in problems))


def load_model(run: Run, stage: str, config: Config, *, split: str | None = None) -> Model:
    """The policy that a stage delivered, and what is needed to decode with it.

    Reads no corpus; the task will read `split`, and no other, when it is asked for it.
    """
    import torch

    from seqrl.build import (
        Problems,
        build_decoder,
        build_network,
        build_task,
        check_corpus,
        choose_device,
        run_network,
        vocabularies,
    )
    from seqrl.identity import ConfigError

    if split is not None and "splits" in config["task"]["corpus"]:
        corpus = {**config["task"]["corpus"], "splits": [split]}
        config = {**config, "task": {**config["task"], "corpus": corpus}}
    problems = Problems()
    task = problems.attempt("task", build_task, config)
    decoder = problems.attempt("decoding", build_decoder, config)
    device = problems.attempt("device", choose_device, config["device"])
    if split is not None:
        problems.attempt("task", check_corpus, config)
    try:
        problems.check()
    except ConfigError as error:
        raise UsageError(str(error)) from None
    assert task is not None
    assert decoder is not None
    assert device is not None
    if config["threads"] is not None:
        torch.set_num_threads(config["threads"])
    try:
        task.load_tokenizers(run.folder / "tokenizers")
    except (OSError, ValueError, LookupError) as error:
        raise RunError(f"the tokenizers of {run.folder} cannot be read: {error}") from None
    try:
        model = config["model"] | {"policy": run_network(str(run.folder), "policy", stage)}
    except ConfigError as error:
        raise UsageError(str(error)) from None
    config = {**config, "model": model}
    try:
        policy = build_network(config, "policy", vocabularies(task), 0)
    except ValueError as error:
        raise RunError(f"the policy of {run.folder}: {error}") from None
    _load_weights(policy, run, stage)
    return Model(stage, config, task, policy.to(device).eval(), decoder, device)


def _load_weights(policy: Policy[Any, Any], run: Run, stage: str) -> None:
    from seqrl.training.checkpoint import CheckpointError
    from seqrl.training.pipeline import load_start
    from seqrl.training.results import weights_of

    try:
        load_start(policy, weights_of(run.folder, stage), f"policy of {run.folder}")
    except FileNotFoundError as error:
        raise RunError(
            f"the weights of stage {stage} are missing: there is no {error.filename}"
        ) from None
    except (CheckpointError, ValueError) as error:
        raise RunError(str(error)) from None


def decoding_name(run: Run, config: Config) -> str:
    """A name for a way of decoding, such as beam5 or beam5-length_penalty1.0.

    It tells what differs from the run's own way if that is of the same class, else from the
    constructor's defaults.
    """
    import inspect

    node, own = config["decoding"], run.config["decoding"]
    target = str(node["_target_"])
    parameters = inspect.signature(located(target)).parameters
    usual = {k: p.default for k, p in parameters.items()}
    usual |= own if own["_target_"] == target else {}
    name = f"{target.rpartition('.')[2].lower()}{node.get('size', '')}"
    changes = {k: v for k, v in node.items() if k not in ("_target_", "size") and v != usual[k]}
    return name + "".join(f"-{key}{value}" for key, value in changes.items())


def longest_source(config: Config) -> int | None:
    """Tokens that the task cuts its sources to."""
    filters = config["task"].get("filters") or {}
    longest: int | None = filters.get("truncate_source")
    return longest


def one_line(text: str) -> str:
    """A text without ends of lines, which a corpus of JSON may have taught a model."""
    return text.replace("\r", " ").replace("\n", " ")


def done(paths: Mapping[str, Path]) -> int:
    """Print where the files are; the exit code of success."""
    width = max(map(len, paths))
    for name, path in paths.items():
        print(f"{name + ':':<{width + 1}} {path}")
    return EXIT_DONE


def finished_result(folder: Path, *, quiet: bool = False) -> dict[str, Any] | None:
    """What a finished run's `result.json` holds; a damaged one, of which is told, is made anew."""
    try:
        result: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        result["scores"]
    except OSError:  # where something else is wrong with the folder, who writes to it tells
        return None
    except (ValueError, LookupError, TypeError):
        if not quiet:
            print(f"{folder / RESULT} is damaged: the run is evaluated again")
        return None
    return result


def shown_before(folder: Path) -> bool:
    """Show the run if it is finished; whether it is."""
    result = finished_result(folder)
    if result is None:
        return False
    print("finished before: another seed, or another folder for `outputs`, trains anew")
    show(folder, result)
    return True


def show(folder: Path, result: dict[str, Any]) -> None:
    """Print a finished run's table and where its files are."""
    from seqrl.reports.run_report import result_table

    print()
    say(result_table(result["scores"]))
    print()
    print(f"curves:  {folder / 'curves.png'}")
    print(f"samples: {folder / 'samples.txt'}")
    print(f"run: {folder}")

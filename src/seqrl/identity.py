"""What a configuration describes: which stages, from what they start, and whose folder it has.

Nothing here imports torch, so that a finished run is found in an instant.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import math
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from seqrl.data.preparation import PREPARED
from seqrl.reports.aggregate import IRRELEVANT, SPECTATORS
from seqrl.tracking.wandb_mirror import Mode
from seqrl.training.store import Start
from seqrl.trust import UntrustedError, located, refused

Config = dict[str, Any]

SECTIONS = ("task", "model", "reward", "decoding", "algorithm", "trainer", "tracker")
SINGLE = ("seed", "device", "threads", "outputs", "reuse", "init_from")
CAPS = ("max_steps", "max_epochs", "validate_every")
STAGE = ("label", "select", "from", "seed", "algorithm", "optimizers")
TRACKER = ("mode", "project", "group")
"""What every configuration has: parts, single settings, and those of trainer, stage and tracker."""

SECRET = "WANDB_API_KEY"

CHECKPOINT_FILES = (".json", ".safetensors", ".bin", ".model", ".spm", ".txt")
"""What `transformers` reads of a checkpoint's folder."""


class ConfigError(Exception):
    """The configuration cannot be built; one problem a line."""


def plain(config: DictConfig) -> Config:
    """The configuration as nested dicts with every interpolation resolved.

    ConfigError where some lead nowhere, as when a choice that it is made of is none, and where
    the configuration has something called that it may not.
    """
    try:
        container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException:
        raise ConfigError("\n".join(_leading_nowhere(config))) from None
    assert isinstance(container, dict)
    problems = refused(container)
    if problems:
        raise ConfigError("\n".join(problems))
    return {str(key): value for key, value in container.items()}


def _leading_nowhere(config: DictConfig) -> list[str]:
    """A problem for each value that cannot be resolved, or is missing."""
    problems = []
    for key, text in _leaves(OmegaConf.to_container(config, resolve=False)):
        try:
            OmegaConf.select(config, key, throw_on_resolution_failure=True, throw_on_missing=True)
        except InterpolationResolutionError as error:
            told = f"{key}={text}: {error.msg}".splitlines()[0]
            problems.append(_no_choice(config, str(text)) or told)
        except OmegaConfBaseException as error:
            problems.append(f"{key}={text}: {error.msg}".splitlines()[0])
    return list(dict.fromkeys(problems))


def _leaves(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """All values of a configuration that hold no others, each with its key."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves(value, f"{place}.{name}" if place else str(name))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _leaves(value, f"{place}[{number}]")
    else:
        yield place, node


def _no_choice(config: DictConfig, text: str) -> str | None:
    """What is wrong where `${choices.${setting}}` stands and the setting names none of them."""
    found = re.fullmatch(r"\$\{([\w.]+)\.\$\{([\w.]+)\}\}", text)
    if not found:
        return None
    choices, setting = (OmegaConf.select(config, name) for name in found.groups())
    if not isinstance(choices, DictConfig) or setting in choices:
        return None
    return f"{found[2]} must be one of {', '.join(map(str, choices))}, not {setting!r}"


def starts_of(config: Config, stage: Config) -> dict[str, Start]:
    """The stages of the same run that the stage's networks come from."""
    found = {}
    for network, source in (stage.get("from") or {}).items():
        name, _, other = str(source).partition(".")
        if name in config["algorithm"]["stages"]:
            found[network] = Start(name, other or network)
    return found


def external_start(config: Config, stage: Config, network: str) -> str | None:
    """The folder or file of a finished run that a network of the stage comes from, if it does."""
    source = (stage.get("from") or {}).get(network)
    return None if source is None or network in starts_of(config, stage) else str(source)


def needed_stages(config: Config) -> Config:
    """The last stage and all that it starts from, directly or not, in order."""
    stages: Config = config["algorithm"]["stages"]
    needed: set[str] = set()
    for name in reversed(stages):
        if not needed or name in needed:
            needed |= {name} | {start.stage for start in starts_of(config, stages[name]).values()}
    return {name: stage for name, stage in stages.items() if name in needed}


def identity(config: Config) -> str:
    """Eight hexadecimal digits of everything that decides a run's result but its seeds.

    The contents of `task.data_dir`, of `init_from` and of a checkpoint's folder count, not where
    they are, and code of the user's own.
    """
    relevant = {k: v for k, v in config.items() if k not in IRRELEVANT}
    relevant["trainer"] = {k: v for k, v in config["trainer"].items() if k not in SPECTATORS}
    stages = {
        name: {k: v for k, v in stage.items() if k != "seed"}
        for name, stage in config["algorithm"]["stages"].items()
    }
    relevant["algorithm"] = config["algorithm"] | {"stages": stages}
    relevant["task"] = _placeless(config["task"])
    relevant["model"] = renamed(config["model"], checkpoint_hashes(config))
    runs = {
        run: file_hash(weights_file(run))
        for stage in needed_stages(config).values()
        for network in stage["from"] or {}
        if (run := external_start(config, stage, network)) is not None
    }
    relevant["algorithm"] = renamed(relevant["algorithm"], runs)
    relevant["code"] = foreign_code(config)
    if config["init_from"] is not None:
        relevant["init_from"] = file_hash(weights_file(config["init_from"]))
    if config["task"].get("data_dir") is not None:
        folder = Path(os.path.expanduser(config["task"]["data_dir"]))
        try:
            relevant["files"] = files_hash(folder)
        except OSError as error:
            raise ConfigError(
                f"task.data_dir={config['task']['data_dir']}: must be a folder of files that can "
                f"all be read; {error}"
            ) from None
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:8]


def renamed(node: Any, names: Mapping[str, str]) -> Any:
    """The node with some of its texts replaced."""
    if isinstance(node, dict):
        return {key: renamed(value, names) for key, value in node.items()}
    return names.get(node, node) if isinstance(node, str) else node


def checkpoint_hashes(config: Config) -> dict[str, str]:
    """By folder, the hash of the checkpoint there that a network starts from, if one does."""
    nodes = [node for node in config["model"].values() if isinstance(node, dict)]
    named = {node.get("checkpoint") for node in (config["model"], *nodes)}
    folders = {name: Path(name).expanduser() for name in named if isinstance(name, str)}
    return {
        name: files_hash(folder, CHECKPOINT_FILES)
        for name, folder in folders.items()
        if folder.is_dir()
    }


def _placeless(node: Config) -> Config:
    """The node without the names of its folders, `..._dir`."""
    return {
        k: _placeless(v)
        if isinstance(v, dict)
        else ("" if str(k).endswith("_dir") and v is not None else v)
        for k, v in node.items()
    }


def task_node(config: Config) -> Config:
    """What the task is built of; a model that has tokenizers of its own replaces the task's."""
    task = {name: value for name, value in config["task"].items() if name != "budget"}
    own = config["model"].get("tokenizers")
    if own is None:
        return task
    tokenizers = {f"{side}_tokenizer": node for side, node in own.items()}
    return {**task, **tokenizers, "source_eos": False}


def run_folder(config: Config) -> Path:
    """outputs/<task>/<algorithm>/<identity>/seed<k>; stages with seeds of their own are named."""
    own = [
        f"-{name}{stage['seed']}"
        for name, stage in needed_stages(config).items()
        if stage["seed"] != config["seed"]
    ]
    return (
        Path(config["outputs"])
        / str(config["task"]["name"])
        / str(config["algorithm"]["name"])
        / identity(config)
        / f"seed{config['seed']}{''.join(own)}"
    )


def known_folder(config: Config) -> Path | None:
    """The run's folder; None where the configuration is so wrong that it has none."""
    with suppress(ConfigError, OSError, LookupError, TypeError, AttributeError):
        return run_folder(config)
    return None


def weights_file(init_from: str) -> Path:
    """The weights that `init_from` means: a file, or the last stage of a run's folder."""
    path = Path(init_from)
    if (path / "stages.json").is_file():
        stages: list[str] = list(json.loads((path / "stages.json").read_text()))
        for name in reversed(stages):
            candidate = path / "checkpoints" / name / "best.safetensors"
            if candidate.is_file():
                return candidate
    if not path.is_file():
        raise ConfigError(f"{init_from}: neither a finished run's folder nor a file")
    return path


def file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files_hash(folder: Path, suffixes: Collection[str] | None = None) -> str:
    """Hash of the names and contents of the files in a folder and its folders.

    What a task prepared there from the other files is left out: it appears with the first run.

    suffixes  only files that end so, in the folder itself; None: all
    """
    files = [path for path in sorted([*folder.glob("*"), *folder.glob("*/*")]) if path.is_file()]
    given = [path for path in files if path.parent != folder / PREPARED] or files
    if suffixes is not None:
        given = [path for path in files if path.parent == folder and path.suffix in suffixes]
    facts = [path.stat() for path in given]
    return _contents_hash(
        folder, tuple(given), tuple((fact.st_size, fact.st_mtime_ns, fact.st_ino) for fact in facts)
    )


@functools.cache
def _contents_hash(folder: Path, given: tuple[Path, ...], facts: tuple[object, ...]) -> str:
    """Once for files that did not change meanwhile: a sweep asks for every run."""
    digest = hashlib.blake2b()
    for path in given:
        digest.update(os.fsencode(path.relative_to(folder)) + b"\0")
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def foreign_code(node: Any) -> dict[str, str]:
    """Hashes of the modules that the configuration names and that are not seqrl's or a library's.

    A user who edits an algorithm of his own has another experiment. ConfigError: there is no such.
    """
    found: dict[str, str] = {}
    if isinstance(node, dict):
        target = node.get("_target_")
        if isinstance(target, str) and target.split(".")[0] not in ("seqrl", "torch"):
            try:
                source = inspect.getsourcefile(located(target))
            except UntrustedError as error:
                raise ConfigError(str(error)) from None
            if source is not None:
                found[target] = file_hash(Path(source))
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            found |= foreign_code(item)
    return found


def shape_problems(config: Config) -> list[str]:
    """What is missing of a configuration, or no mapping where it must be one."""
    problems = [f"{key}: is missing; every run needs it" for key in SINGLE if key not in config]
    problems += [
        f"{key}: must be a mapping; every run needs it"
        for key in SECTIONS
        if not isinstance(config.get(key), dict)
    ]
    if problems:
        return problems
    problems = [f"trainer.{key}: is missing" for key in CAPS if key not in config["trainer"]]
    problems += [
        f"tracker.{key}: is missing" for key in TRACKER[:2] if key not in config["tracker"]
    ]
    stages = config["algorithm"].get("stages")
    if not isinstance(stages, dict) or not stages:
        return [*problems, "algorithm.stages: must hold a stage"]
    for name, stage in stages.items():
        place = f"algorithm.stages.{name}"
        if not isinstance(stage, dict):
            problems.append(f"{place}={stage}: must be a mapping")
            continue
        problems += [f"{place}.{key}: is missing; every stage needs it" for key in STAGE
                     if key not in stage]  # fmt: skip
        problems += [
            f"{place}.{key}={stage[key]}: must be a mapping"
            for key in ("algorithm", "optimizers")
            if key in stage and not isinstance(stage[key], dict)
        ]
        problems += [
            f"{place}.{key}={stage[key]}: must be text"
            for key in ("label", "select")
            if key in stage and not isinstance(stage[key], str)
        ]
    return problems


def early_problems(config: Config) -> list[str]:
    """What is wrong with a whole configuration, as far as it is known without PyTorch."""
    problems = shape_problems(config)
    if problems:
        return problems
    own = {f"{group}.name": config[group].get("name") for group in ("task", "algorithm")}
    stages = {f"algorithm.stages.{name}": name for name in config["algorithm"]["stages"]}
    secret = os.environ.get(SECRET)
    problems = [
        f"{key}={name}: must be the name of a folder: text without / or \\, with no dot at first"
        for key, name in {**own, **stages}.items()
        if not re.fullmatch(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*", str(name))
    ]
    problems += [
        f"{key}={value}: must be a finite number"
        for key, value in _leaves(config)
        if isinstance(value, float) and not math.isfinite(value)
    ]
    problems += [
        f"{key}: holds the key of W&B ({SECRET}), which no file may hold"
        for key, value in _leaves(config)
        if secret and isinstance(value, str) and secret in value
    ]
    problems += [*outputs_problems(config), *seed_problems(config)]
    threads, mode = config["threads"], config["tracker"]["mode"]
    if threads is not None and (type(threads) is not int or threads < 1):
        problems.append(f"threads must be at least 1 or null, not {threads}")
    if mode not in get_args(Mode):
        problems.append(f"tracker: mode must be one of {', '.join(get_args(Mode))}, not {mode}")
    if not isinstance(config["init_from"], str | None):
        problems.append(f"init_from={config['init_from']}: must be a run's folder or a file")
    unknown = [key for key in config["tracker"] if key not in TRACKER]
    return problems + [
        f"tracker.{key}: no such setting; there are {', '.join(TRACKER)}. A key of W&B comes from "
        f"`wandb login` or {SECRET}, and stands in no configuration"
        for key in unknown
    ]


def seed_problems(config: Config) -> list[str]:
    """What is wrong with the seeds of the run and of its stages."""
    seeds = {
        f"algorithm.stages.{name}.seed": stage["seed"]
        for name, stage in config["algorithm"]["stages"].items()
        if stage["seed"] != config["seed"]
    }
    return [
        f"{key} must be a whole number from 0 to 2^63 - 1, not {value}"
        for key, value in {"seed": config["seed"], **seeds}.items()
        if type(value) is not int or not 0 <= value < 2**63
    ]


def outputs_problems(config: Config) -> list[str]:
    """What is wrong with the folder of all runs, which may be new."""
    if not config["outputs"]:
        return ["outputs must be a folder; it may be new"]
    folder = Path(config["outputs"])
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        return [f"outputs={folder}: {error.strerror}"]
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return []
    return [f"outputs={folder}: {there} is no folder that can be written to"]

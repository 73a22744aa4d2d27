"""Where the configuration lies, and what is wrong with what a user typed.

Nothing here imports torch: a mistake is answered within a second.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import seqrl


def conf_folder() -> Path:
    """`conf/` inside an installed package, or at the top of a source tree."""
    package = Path(seqrl.__file__).parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent.parent / "conf"


def check_overrides(arguments: list[str]) -> list[str]:
    """All problems of the command line's overrides: unknown keys, groups' names, types."""
    overrides = [a for a in arguments if not a.startswith("-") and "=" in a]
    if any(a in ("--help", "-h", "--hydra-help", "--version") for a in arguments):
        return []
    folders = _searched(arguments)
    groups, values = [], []
    problems: list[str] = []
    for override in overrides:
        key = override.split("=", 1)[0]
        if key.startswith(("+", "~", "hydra")) or "/" in key or "@" in key:
            continue
        if _is_group(key, folders):
            groups.append(override)
            problems += _unknown_choice(override, folders)
        else:
            values.append(override)
    if problems:
        return problems
    return _value_problems(groups, values)


def _searched(arguments: list[str]) -> list[Path]:
    folders = [conf_folder()]
    for i, argument in enumerate(arguments):
        if argument in ("--config-dir", "-cd") and i + 1 < len(arguments):
            folders.append(Path(arguments[i + 1]))
        elif argument.startswith("--config-dir="):
            folders.append(Path(argument.split("=", 1)[1]))
    return folders


def _is_group(key: str, folders: list[Path]) -> bool:
    return any((folder / key).is_dir() for folder in folders)


def _unknown_choice(override: str, folders: list[Path]) -> list[str]:
    key, value = override.split("=", 1)
    names = sorted({path.stem for folder in folders for path in (folder / key).glob("*.yaml")})
    choices = [choice for choice in value.split(",") if re.fullmatch(r"[\w.-]+", choice)]
    return [
        f"{key}={choice}: there is no such {key}; {nearest(choice, names)}"
        for choice in choices
        if choice not in names and choice != "null"
    ]


def _value_problems(groups: list[str], values: list[str]) -> list[str]:
    """Unknown keys and wrong types, against the configuration without the values."""
    if not values:
        return []
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    first = [g.split(",")[0] for g in groups]  # one point of a sweep
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        config = compose(config_name="train", overrides=first)
    GlobalHydra.instance().clear()
    OmegaConf.set_struct(config, True)
    return [problem for value in values for problem in _value_problem(config, value)]


def _value_problem(config: Any, override: str) -> list[str]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    key, text = override.split("=", 1)
    parent, _, leaf = key.rpartition(".")
    try:
        node = OmegaConf.select(config, parent) if parent else config
        present = node is not None and leaf in node
    except (OmegaConfBaseException, TypeError, ValueError):
        return []
    if not present:
        return [f"{key}: no such setting; {nearest(key, sorted(_leaves(config)))}"]
    if "," in text or "${" in text or text.startswith(("range(", "choice(", "interval(", "glob(")):
        return []
    default = OmegaConf.select(config, key, throw_on_missing=False)
    given = (
        OmegaConf.create({"value": None})
        if text == "null"
        else OmegaConf.from_dotlist([f"value={text}"])
    )
    expected = _expected(default)
    if expected and not _fits(given.value, default):
        return [f"{key}={text}: expected {expected} (default {default})"]
    return []


def _expected(default: Any) -> str:
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, int):
        return "a whole number"
    if isinstance(default, float):
        return "a number"
    return ""


def _fits(value: Any, default: Any) -> bool:
    if isinstance(default, bool):
        return isinstance(value, bool)
    if value is None or isinstance(value, bool):
        return value is None
    if isinstance(default, int):
        return isinstance(value, int)
    return isinstance(value, int | float)


def _leaves(config: Any, prefix: str = "") -> list[str]:
    """The dotted keys of all settings."""
    from omegaconf import DictConfig, OmegaConf

    keys = []
    for name in config:
        key = f"{prefix}{name}"
        keys.append(key)
        value = None if OmegaConf.is_missing(config, name) else config._get_node(name)
        if isinstance(value, DictConfig) and not value._is_interpolation() and not value._is_none():
            keys += _leaves(value, f"{key}.")
    return keys


def nearest(name: str, names: list[str]) -> str:
    """A hint: the names that are most like this one, or all of a short list."""
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"there are {', '.join(names)}" if len(names) <= 20 else "see `--cfg job` for all"

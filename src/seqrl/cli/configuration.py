"""Where the configuration lies, and what is wrong with what a user typed.

Nothing here imports torch: a mistake is answered within a second.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import seqrl

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

NAMED = ("task", "algorithm")
"""Groups whose choice a configuration names itself."""


class OverrideError(Exception):
    """Overrides that cannot be used; one problem a line."""


def conf_folder() -> Path:
    """`conf/` inside an installed package, or at the top of a source tree."""
    package = Path(seqrl.__file__).parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent.parent / "conf"


def check_overrides(arguments: list[str]) -> list[str]:
    """All problems of a command line of Hydra's: groups' names, unknown keys, types, syntax."""
    from hydra._internal.utils import get_args_parser

    options, rest = get_args_parser().parse_known_args(arguments)
    if any(
        getattr(options, name)
        for name in (
            *("help", "hydra_help", "shell_completion"),
            *("config_name", "config_path", "experimental_rerun"),
        )
    ):
        return []
    typed = [*options.overrides, *(text for text in rest if not text.startswith("-"))]
    groups = Groups([Path(options.config_dir)] if options.config_dir else [])
    overrides, problems = parsed(typed)
    if not options.multirun and not any(o.key_or_group == "hydra.mode" for o in overrides):
        problems += [
            f"{o.input_line}: several values need a sweep: add -m"
            for o in overrides
            if o.is_sweep_override()
        ]
    return problems + groups.problems(overrides)


def parsed(texts: Sequence[str]) -> tuple[list[Override], list[str]]:
    """The overrides that Hydra can read, and a problem for each of the others."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    overrides, problems = [], []
    for text in texts:
        try:
            overrides.append(parser.parse_override(text))
        except HydraException as error:
            if "=" not in text:
                problems.append(f"{text}: settings are written KEY=VALUE")
            else:
                reason = str(error).splitlines()[0]
                problems.append(f"{text}: cannot be read ({reason}); quote it: 'KEY=\"VALUE\"'")
    return overrides, problems


class Groups:
    """The groups of `conf/` and of a user's own folders, and what can be composed of them."""

    def __init__(self, further: Sequence[Path] = ()) -> None:
        self.further = [folder.expanduser().resolve() for folder in further]
        self.folders = [conf_folder(), *self.further]

    def is_group(self, key: str) -> bool:
        return any((folder / key).is_dir() for folder in self.folders)

    def names(self, group: str) -> list[str]:
        """The group's choices."""
        files = (path for folder in self.folders for path in (folder / group).glob("*.yaml"))
        return sorted({path.stem for path in files})

    def compose(self, overrides: Sequence[str] = ()) -> DictConfig:
        """`conf/train.yaml` with its references unresolved. Raises OverrideError."""
        from hydra import compose, initialize_config_dir
        from hydra.core.global_hydra import GlobalHydra
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        path = [f"file://{folder}" for folder in self.further]
        search = [f"hydra.searchpath=[{','.join(path)}]"] if path else []
        try:
            with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
                return compose(config_name="train", overrides=[*search, *overrides])
        except (HydraException, OmegaConfBaseException) as error:
            raise OverrideError(str(error)) from None
        finally:
            GlobalHydra.instance().clear()

    def problems(self, overrides: Sequence[Override]) -> list[str]:
        """Of the choices of groups, and of all values against the composition of these."""
        chosen, values, others = self._sorted(overrides)
        problems = [p for override in chosen for p in self.unknown_choices(override)]
        known = {}
        for override in chosen:
            good = [name for name in choices(override) if name in self.names(override.key_or_group)]
            known[override.key_or_group] = good
        wrong = {override.key_or_group for override in chosen if not known[override.key_or_group]}
        values = [o for o in values if o.key_or_group.partition(".")[0] not in wrong]
        if not values and not others:
            return problems
        try:
            for point, checked in self._points(known, values):
                config = self.compose([*point, *others])
                where = f" with {point[0]}" if point and len(checked) < len(values) else ""
                problems += [p for o in checked for p in value_problems(config, o, where)]
        except OverrideError as error:
            problems.append(str(error))
        return list(dict.fromkeys(problems))

    def unknown_choices(self, override: Override) -> list[str]:
        """A problem for each choice that the group does not have."""
        group = override.key_or_group
        names = self.names(group)
        return [
            f"{group}={choice}: there is no such {group}; {nearest(choice, names)}"
            for choice in choices(override)
            if choice not in names
        ]

    def _sorted(
        self, overrides: Sequence[Override]
    ) -> tuple[list[Override], list[Override], list[str]]:
        """Choices of groups, values, and what only Hydra can judge: additions, packages, ..."""
        chosen, values, others = [], [], []
        for override in overrides:
            key = override.key_or_group
            if key.startswith("hydra.") or override.is_sweep_override() and "/" in key:
                continue
            if override.package or "/" in key or override.is_add() or override.is_delete():
                others.append(override.input_line or "")
            elif override.is_force_add():
                others.append(override.input_line or "")
            elif self.is_group(key):
                chosen.append(override)
            else:
                values.append(override)
        return chosen, values, others

    def _points(
        self, known: Mapping[str, list[str]], values: Sequence[Override]
    ) -> Iterator[tuple[list[str], list[Override]]]:
        """Compositions to look at, each with the values to look for there.

        Where a sweep makes several choices of a group, its own settings must exist in each;
        the other groups have their first choice meanwhile.
        """
        swept = {group: names for group, names in known.items() if len(names) > 1}
        first = {group: f"{group}={names[0]}" for group, names in known.items() if names}
        fixed = [o for o in values if o.key_or_group.partition(".")[0] not in swept]
        if fixed or not swept:
            yield list(first.values()), fixed
        for group, names in swept.items():
            own = [o for o in values if o.key_or_group.partition(".")[0] == group]
            others = [text for key, text in first.items() if key != group]
            if own:
                yield from (([f"{group}={name}", *others], own) for name in names)


def choices(override: Override) -> list[str]:
    """The names that an override of a group chooses."""
    return [str(value) for value in elements(override) if value is not None]


def elements(override: Override) -> list[Any]:
    """The values that an override gives its key, several ones in a sweep; of a range its ends."""
    from hydra.core.override_parser.types import (
        ChoiceSweep,
        IntervalSweep,
        QuotedString,
        RangeSweep,
        Sweep,
    )

    value = override.value()
    if isinstance(value, ChoiceSweep):
        flat = [item for item in value.list if not isinstance(item, Sweep)]
        return [item.text if isinstance(item, QuotedString) else item for item in flat]
    if isinstance(value, RangeSweep):
        return [number for number in (value.start, value.step) if number is not None]
    if isinstance(value, IntervalSweep):
        return [value.start]
    return [] if isinstance(value, Sweep) else [value]


def value_problems(config: DictConfig, override: Override, where: str = "") -> list[str]:
    """What is wrong with one override of a value in this configuration: its key or its type."""
    key, typed = override.key_or_group, override.input_line
    borrowed = _borrowed(config, key)
    if borrowed is not None:
        node, origin = borrowed
        return [f"{typed}: {node} is taken from {origin}; set {origin}{key.removeprefix(node)}"]
    if not _is_present(config, key):
        return [f"{typed}: no such setting{where}; {nearest_key(key, settings(config))}"]
    default = _value(config, key)
    expected = _expected(default)
    wrong = [value for value in elements(override) if not _fits(value, default)]
    if not wrong:
        return []
    shown = "" if _is_tree(default) else f", such as the default {_shown(default)}"
    return [f"{typed}: must be {expected}{shown}"]


def _borrowed(config: DictConfig, key: str) -> tuple[str, str] | None:
    """A key above this one whose value is another one's, and that other key."""
    parts = key.split(".")
    for end in range(1, len(parts)):
        above = ".".join(parts[:end])
        text = _reference(config, above)
        if text is not None:
            return above, text.strip().removeprefix("${").removesuffix("}")
    return None


def _reference(config: DictConfig, key: str) -> str | None:
    """The text of a setting that refers to others, unresolved."""
    node: Any = config
    for part in key.split("."):
        if not _has(node, part):
            return None
        node = node._get_node(part)
    return str(node._value()) if node is not None and node._is_interpolation() else None


def _has(node: Any, part: str) -> bool:
    from omegaconf import DictConfig

    return (
        isinstance(node, DictConfig)
        and not node._is_interpolation()
        and not node._is_none()
        and part in node.keys()  # noqa: SIM118: `in` alone is false for a missing value
    )


def _is_present(config: DictConfig, key: str) -> bool:
    node: Any = config
    for part in key.split("."):
        if not _has(node, part):
            return False
        node = node._get_node(part)
    return True


def _value(config: DictConfig, key: str) -> Any:
    """A setting's value; None where it is missing or refers to what is."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.select(config, key, throw_on_missing=False)
    except OmegaConfBaseException:
        return None


@dataclass(frozen=True)
class _Kind:
    """Values of one type: how it is called, and what is allowed in the place of one."""

    types: tuple[type, ...]
    name: str
    allowed: tuple[type, ...]


def _kind(default: Any) -> _Kind | None:
    """The kind of a default; none where anything may stand."""
    from omegaconf import DictConfig, ListConfig

    kinds = (
        _Kind((bool,), "true or false", (bool,)),
        _Kind((int,), "a whole number", (int,)),
        _Kind((float,), "a number", (int, float)),
        _Kind((str,), "text", (str, int, float)),
        _Kind((ListConfig,), "a list", (list,)),
        _Kind((DictConfig,), "set by the settings below it", (dict,)),
    )
    return next((kind for kind in kinds if isinstance(default, kind.types)), None)


def _is_tree(value: Any) -> bool:
    from omegaconf import DictConfig

    return isinstance(value, DictConfig)


def _expected(default: Any) -> str:
    kind = _kind(default)
    return kind.name if kind else "anything"


def _fits(value: Any, default: Any) -> bool:
    kind = _kind(default)
    if kind is None or value is None or (isinstance(value, str) and "${" in value):
        return True
    if isinstance(value, bool):
        return bool in kind.allowed
    return isinstance(value, kind.allowed)


def _shown(value: Any) -> str:
    from omegaconf import ListConfig

    if isinstance(value, bool):
        return str(value).lower()
    return f"[{','.join(map(str, value))}]" if isinstance(value, ListConfig) else str(value)


def settings(config: DictConfig) -> list[str]:
    """The dotted keys of everything that can be set."""
    return [key for key, _ in walk(config)]


def walk(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted key and the unresolved node of every value and every reference."""
    from omegaconf import DictConfig

    for name in config:
        node = config._get_node(name)
        inner = isinstance(node, DictConfig) and not node._is_interpolation()
        if inner and not node._is_none() and len(node):
            yield from walk(node, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", node


def nearest_key(key: str, keys: Sequence[str]) -> str:
    """A hint: settings of the same last name, or else those that are spelled alike."""
    last = key.rpartition(".")[2]
    same = sorted((k for k in keys if k.rpartition(".")[2] == last), key=lambda k: k.count("."))
    top = [k for k in same if k.count(".") == same[0].count(".")] if same else []
    if 0 < len(top) <= 3:
        return f"did you mean {' or '.join(top)}?"
    close = difflib.get_close_matches(key, keys, n=3, cutoff=0.6)
    if not close:
        lasts = {k.rpartition(".")[2]: k for k in sorted(keys, key=lambda k: -k.count("."))}
        close = [lasts[name] for name in difflib.get_close_matches(last, lasts, n=3, cutoff=0.75)]
    if close:
        return f"did you mean {' or '.join(close)}?"
    return "`seqrl-train --cfg job` shows all"


def nearest(name: str, names: Sequence[str]) -> str:
    """A hint: all names, the most similar ones first where there are such."""
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    listed = f"there are {', '.join(names)}" if names else "there are none"
    return f"did you mean {' or '.join(close)}? ({listed})" if close else listed


def linked(values: Mapping[str, Any], groups: Groups) -> DictConfig:
    """A run's configuration with the references between its settings put back.

    `config.yaml` holds values only, so that a change of `algorithm.tau` alone would not reach
    the stages that use it. A setting that `conf/` writes as a reference, and that has the value
    of what it refers to, refers to it again.
    """
    from omegaconf import OmegaConf

    config = OmegaConf.create(dict(values))
    found: dict[str, str] = {}
    for composition in _compositions(values, groups):
        for key, node in walk(composition):
            if node is not None and node._is_interpolation() and _is_present(config, key):
                text = str(node._value())
                if key not in found and _says(config, text, _value(config, key)):
                    found[key] = text
    for key, text in found.items():
        OmegaConf.update(config, key, text, merge=False)
    return config


def _compositions(values: Mapping[str, Any], groups: Groups) -> Iterator[DictConfig]:
    """Compositions that together hold the references of a run: by name where it says them."""
    candidates: dict[str, list[str]] = {}
    for group in (*NAMED, "model"):
        names = groups.names(group)
        name = str(values[group].get("name"))
        candidates[group] = [name] if group in NAMED and name in names else names
    first = {group: names[0] for group, names in candidates.items()}
    points = [first]
    for group, names in candidates.items():
        points += [{**first, group: name} for name in names[1:]]
    for point in points:
        yield groups.compose([f"{group}={name}" for group, name in point.items()])


def _says(config: DictConfig, text: str, value: Any) -> bool:
    """Whether this reference gives the value in this configuration."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    name = "_probe"
    probe = OmegaConf.create({name: text})
    probe._set_parent(config)
    try:
        return bool(OmegaConf.select(probe, name) == value)
    except OmegaConfBaseException:
        return False


def overridden(
    values: Mapping[str, Any],
    texts: Sequence[str],
    groups: Groups,
    *,
    allowed: Sequence[str] = (),
) -> DictConfig:
    """A run's configuration with overrides, choices of groups before single values.

    A choice replaces the group's whole node by what `conf/` composes for the run's task and
    algorithm; what a task says about other groups is not followed.

    allowed  the settings and groups that may be changed, with all below; none named: all

    Raises OverrideError listing all problems.
    """
    from omegaconf import OmegaConf

    overrides, problems = parsed(texts)
    config = linked(values, groups)
    for override in [o for o in overrides if groups.is_group(o.key_or_group)]:
        overrides.remove(override)
        own = _not_single(override) + _not_allowed(override, allowed)
        own += groups.unknown_choices(override)
        problems += own
        if not own:
            group = override.key_or_group
            node = _composed(values, groups, group, str(override.value()))
            OmegaConf.update(config, group, node, merge=False)
    for override in overrides:
        own = _not_single(override) + _not_allowed(override, allowed)
        own = own or value_problems(config, override)
        problems += own
        if not own:
            OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
    if problems:
        raise OverrideError("\n".join(problems))
    return config


def _not_single(override: Override) -> list[str]:
    from hydra.core.override_parser.types import OverrideType

    if override.type is not OverrideType.CHANGE or override.package:
        return [f"{override.input_line}: only changes, KEY=VALUE, are possible here"]
    if override.is_sweep_override():
        return [f"{override.input_line}: one value is needed here"]
    return []


def _not_allowed(override: Override, allowed: Sequence[str]) -> list[str]:
    key = override.key_or_group
    if not allowed or any(key == name or key.startswith(f"{name}.") for name in allowed):
        return []
    return [f"{override.input_line}: cannot be changed here; {nearest(key, sorted(allowed))}"]


def _composed(values: Mapping[str, Any], groups: Groups, group: str, choice: str) -> Any:
    """The group's node for this choice, its references unresolved."""
    from omegaconf import OmegaConf

    names = {other: str(values[other]["name"]) for other in NAMED}
    known = {other: name for other, name in names.items() if name in groups.names(other)}
    overrides = [f"{other}={name}" for other, name in {**known, group: choice}.items()]
    return OmegaConf.to_container(groups.compose(overrides)._get_node(group), resolve=False)

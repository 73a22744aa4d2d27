"""Where the configuration lies, and what is wrong with what a user typed.

Nothing here imports torch: a mistake is answered within a second.
"""

from __future__ import annotations

import copy
import re
from argparse import Action, ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqrl.cli.settings import Settings, elements, nearest
from seqrl.trust import conf_folder, trust

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

NAMED = ("task", "algorithm")
"""Groups whose choice stands in a configuration, as the group's `name`."""


CLOSED = ("trainer", "tracker")
"""Sections of which everything is read by name: nothing new can be put there."""

UNSET = ("report",)
"""Settings that there may be and that nothing sets."""

HYDRA = ("hydra.mode", "hydra.searchpath")
"""What may be set of Hydra itself."""


class OverrideError(Exception):
    """Overrides that cannot be used; one problem a line."""


class _Trust(Action):
    """Trusts the package that the option names, at once."""

    def __call__(self, parser: ArgumentParser, namespace: Namespace, value: Any, *_: Any) -> None:
        try:
            trust([value])
        except ValueError as error:
            parser.error(str(error))


def add_trust(parser: ArgumentParser) -> None:
    """The option `--trust PACKAGE`, which may come several times."""
    parser.add_argument(
        "--trust",
        action=_Trust,
        metavar="PACKAGE",
        help="a package of your own, or whose author you trust, that the configuration names",
    )


def untrusting(arguments: Sequence[str]) -> list[str]:
    """The arguments without `--trust PACKAGE`, which is obeyed."""
    parser = ArgumentParser(prog="seqrl-train", allow_abbrev=False, add_help=False)
    add_trust(parser)
    return parser.parse_known_args(list(arguments))[1]


def command_line(arguments: Sequence[str]) -> tuple[Namespace, list[str]]:
    """The options of a command line of Hydra's, and its overrides."""
    from hydra._internal.utils import get_args_parser

    options, rest = get_args_parser().parse_known_args(list(arguments))
    return options, [*options.overrides, *(text for text in rest if not text.startswith("-"))]


def check_overrides(arguments: list[str]) -> list[str]:
    """All problems of a command line of Hydra's: groups' names, unknown keys, types, syntax."""
    options, typed = command_line(arguments)
    unusable = _unusable(options, arguments)
    if any((options.help, options.hydra_help, options.shell_completion)):
        return unusable
    overrides, problems = parsed(typed)
    problems = [*unusable, *problems]
    problems += [
        f"{o.input_line}: has no meaning here; seqrl makes the folders of runs by itself"
        for o in overrides
        if o.key_or_group.startswith("hydra.") and o.key_or_group not in HYDRA
    ]
    if not options.multirun and not any(o.key_or_group == "hydra.mode" for o in overrides):
        problems += [
            f"{o.input_line}: several values need a sweep: add -m"
            for o in overrides
            if o.is_sweep_override()
        ]
    try:
        groups = Groups([Path(options.config_dir)] if options.config_dir else [])
        if options.multirun and not problems:
            overrides = groups.sweep(overrides)
        whole = not (options.multirun or options.cfg or options.info)
    except OverrideError as error:
        return [*problems, str(error)]
    return problems + groups.problems(overrides, whole=whole)


def _unusable(options: Namespace, arguments: Sequence[str]) -> list[str]:
    """Options that there are not, and those of Hydra's that would read other configurations."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    names = [name for action in parser._actions for name in action.option_strings]
    unknown = [text for text in parser.parse_known_args(list(arguments))[1] if text[:1] == "-"]
    elsewhere = {
        "--config-name": options.config_name,
        "--config-path": options.config_path,
        "--experimental-rerun": options.experimental_rerun,
    }
    known = sorted({"--trust", *names} - {*elsewhere, "--version"})
    return [f"{text}: there is no such option; {nearest(text, known)}" for text in unknown] + [
        f"{name}={value}: not possible here; groups of your own are in --config-dir=DIR, and "
        "`seqrl-rerun RUN` repeats a run"
        for name, value in elsewhere.items()
        if value is not None
    ]


def parsed(texts: Sequence[str]) -> tuple[list[Override], list[str]]:
    """The overrides that Hydra can read, and a problem for each of the others."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    overrides, problems = [], []
    for text in texts:
        try:
            if text.startswith("="):
                problems.append(f"{text}: settings are written KEY=VALUE")
                continue
            overrides.append(parser.parse_override(text))
        except HydraException as error:
            if "=" in text:
                key, _, value = text.partition("=")
                reason = str(error).splitlines()[0]
                problems.append(f"{text}: {reason}; perhaps quote it: '{key}=\"{value}\"'")
            else:
                hint = "; one run at a time" if Path(text).is_dir() else ""
                problems.append(f"{text}: settings are written KEY=VALUE{hint}")
    return overrides, problems


class Groups:
    """The groups of `conf/` and of a user's own folders, and what can be composed of them.

    Raises OverrideError where one of these is no folder.
    """

    def __init__(self, further: Sequence[Path] = ()) -> None:
        self.further = [folder.expanduser().resolve() for folder in further]
        missing = [folder for folder in self.further if not folder.is_dir()]
        if missing:
            raise OverrideError(f"--config-dir={missing[0]}: there is no such folder")
        self.folders = [conf_folder(), *self.further]
        self._bases: dict[tuple[str, ...], DictConfig] = {}

    def __contains__(self, key: str) -> bool:
        return any((folder / key).is_dir() for folder in self.folders)

    def names(self, group: str) -> list[str]:
        """The group's choices."""
        files = (path for folder in self.folders for path in (folder / group).glob("*.yaml"))
        return sorted({path.stem for path in files})

    def compose(self, overrides: Sequence[str] = (), *, with_hydra: bool = False) -> DictConfig:
        """`conf/train.yaml` with its references unresolved. Raises OverrideError.

        with_hydra  whether Hydra's own settings are in it
        """
        from hydra import compose, initialize_config_dir
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException
        from yaml import YAMLError

        paths = ",".join(f"file://{folder}" for folder in self.further)
        search = [f"hydra.searchpath=[{paths}]"] if paths else []
        try:
            with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
                return compose(
                    config_name="train",
                    overrides=[*search, *overrides],
                    return_hydra_config=with_hydra,
                )
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            raise OverrideError(_without_context(str(error))) from None

    def composed(self, overrides: Sequence[str]) -> DictConfig:
        """As `compose`, in much less time where the same choices of groups come again."""
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        chosen, values, others = self._sorted(parsed(overrides)[0])
        if {o.key_or_group for o in values} & {o.key_or_group for o in others}:
            return self.compose(overrides)  # in their order
        base = tuple(o.input_line or "" for o in [*chosen, *others])
        if base not in self._bases:
            self._bases[base] = self.compose(base)
        config = copy.deepcopy(self._bases[base])
        try:
            for override in values:
                OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException as error:
            raise OverrideError(str(error)) from None
        return config

    def sweep(self, overrides: Sequence[Override]) -> list[Override]:
        """The overrides, and before them what a chosen experiment sweeps that is not among them.

        That is the experiment's `hydra.sweeper.params`. Raises OverrideError.
        """
        known = [o for o in overrides if not self.unknown_choices(o)]
        fixed = [
            o.input_line or ""
            for o in known
            if o.key_or_group in self and not o.is_sweep_override()
        ]
        for override in known:
            if override.key_or_group == "experiment" and override.is_sweep_override():
                self._check_experiments(override)
        params = self.compose(fixed, with_hydra=True).hydra.sweeper.params or {}
        typed = {override.key_or_group for override in overrides}
        given, problems = parsed([f"{k}={v}" for k, v in params.items() if k not in typed])
        if problems:
            raise OverrideError("\n".join(problems))
        return [*given, *overrides]

    def _check_experiments(self, override: Override) -> None:
        """OverrideError where several experiments are to be run of which one sweeps itself."""
        for value in override.sweep_string_iterator():
            composed = self.compose([f"experiment={value}"], with_hydra=True)
            if composed.hydra.sweeper.params:
                raise OverrideError(
                    f"{override.input_line}: experiment={value} is a sweep by itself; "
                    "[A,B] puts experiments together, and sweeps are run one after the other"
                )

    def problems(self, overrides: Sequence[Override], *, whole: bool = False) -> list[str]:
        """Of the choices of groups, and of all values against the composition of these.

        whole  whether the configuration of all that is right is looked at too: no sweep
        """
        chosen, values, others = self._sorted(overrides)
        problems = [p for o in [*chosen, *others] for p in self.unknown_choices(o)]
        known = {o.key_or_group: self._known_choices(o) for o in chosen}
        values = [o for o in values if known.get(_top(o), [""])]
        others = [o for o in others if not self.unknown_choices(o)]
        if not values and not others and not whole:
            return problems
        try:
            for point, checked, where in _points(known, values):
                added, told = self._possible(point, others)
                config = self.compose([*point, *added])
                settings = Settings(config)
                found = {
                    o.input_line: settings.problem(o, where) or self._misplaced(o, settings)
                    for o in checked
                }
                problems += [*told, *filter(None, found.values())]
                if whole:
                    sound = [o for o in checked if not found[o.input_line]]
                    problems += _of_whole(config, sound, ranges=bool(problems))
        except OverrideError as error:
            problems.append(str(error))
        return list(dict.fromkeys(problems))

    def _possible(
        self, point: Sequence[str], others: Sequence[Override]
    ) -> tuple[list[str], list[str]]:
        """The additions, removals, ... that can be made, and a problem for each of the others."""
        from hydra.core.override_parser.types import OverrideType

        if not others:
            return [], []
        settings = Settings(self.compose(point))
        used = " ".join(map(str, settings.references().values()))
        possible: list[str] = []
        problems: list[str] = []
        for other in others:
            key, text = other.key_or_group, other.input_line or ""
            closed = "." not in key or key.partition(".")[0] in CLOSED
            if other.package or key in self or "/" in key:
                problem = None
            elif other.type is OverrideType.DEL and (key not in settings or closed):
                needed = "cannot be removed: every run needs it"
                problem = needed if key in settings else settings.no_such(key)
            elif other.type in (OverrideType.ADD, OverrideType.FORCE_ADD) and closed:
                reads = key in settings or key in UNSET or f"${{{key}" in used
                problem = None if reads else settings.no_such(key)
            else:
                problem = None
            if problem is None:
                possible.append(text)
            else:
                problems.append(f"{text}: {problem}")
        try:
            self.compose([*point, *possible])
        except OverrideError:
            return self._one_by_one(point, possible, problems)
        return possible, problems

    def _one_by_one(
        self, point: Sequence[str], texts: Sequence[str], problems: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """Of overrides that together cannot be composed, those that can, and all problems."""
        possible: list[str] = []
        told = list(problems)
        for text in texts:
            try:
                self.compose([*point, *possible, text])
                possible.append(text)
            except OverrideError as error:
                told.append(f"{text}: {error}")
        return possible, told

    def _misplaced(self, override: Override, settings: Settings) -> str | None:
        """What is wrong with a value for an object, which Hydra changes but does not replace."""
        key, typed = override.key_or_group, override.input_line
        there, value, group = settings.value(key), override.value(), key.rpartition(".")[2]
        if not isinstance(there, dict):
            return None
        if isinstance(value, str) and value in self.names(group):
            return f"{typed}: choose it with {group}@{typed}"
        new = sorted(set(map(str, value)) - set(there)) if isinstance(value, dict) else []
        if new:
            return (
                f"{typed}: {key} has no {', '.join(new)}; "
                f"to put something else in its place: '~{key}' '+{typed}'"
            )
        return None

    def unknown_choices(self, override: Override) -> list[str]:
        """A problem for each choice that the group does not have."""
        from hydra.core.override_parser.types import OverrideType

        group = override.key_or_group
        if group not in self or not group:
            return []
        names, typed = self.names(group), override.get_key_element().lstrip("+")
        if override.type is OverrideType.DEL:
            top = group in self._top_groups() and not override.package
            needed = f"~{group}: cannot be removed: every run needs it; {nearest('', names)}"
            return [needed] if top else []
        if override.value() is None and group != "experiment":
            return [f"{override.input_line}: one must be chosen; {nearest('', names)}"]
        return [
            f"{typed}={choice}: there is no such {group}; {nearest(choice, names)}"
            for choice in _choices(override)
            if choice not in names
        ]

    def _top_groups(self) -> list[str]:
        """The groups that `conf/train.yaml` chooses from."""
        return [name for name in map(str, self.compose()) if name in self]

    def _known_choices(self, override: Override) -> list[str]:
        """The choices that there are; several of one group at once count as one."""
        names = self.names(override.key_or_group)
        known = [choice for choice in _choices(override) if choice in names]
        together = isinstance(override.value(), list)
        return [f"[{','.join(known)}]"] if together and known else known

    def _sorted(
        self, overrides: Sequence[Override]
    ) -> tuple[list[Override], list[Override], list[Override]]:
        """Choices of groups, values, and what only Hydra can judge: additions, packages, ..."""
        from hydra.core.override_parser.types import OverrideType

        chosen: list[Override] = []
        values: list[Override] = []
        others: list[Override] = []
        for override in overrides:
            key = override.key_or_group
            if key.startswith("hydra."):
                continue
            if override.type is not OverrideType.CHANGE or override.package or "/" in key:
                if not override.is_sweep_override():
                    others.append(override)
            else:
                (chosen if key in self else values).append(override)
        return chosen, values, others


def _of_whole(config: DictConfig, values: Sequence[Override], *, ranges: bool) -> list[str]:
    """What is wrong with a composed configuration with these values, as far as is known early.

    ranges  whether those are told too; otherwise they come with those of all that is built
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from seqrl.identity import ConfigError, early_problems, plain, shape_problems

    try:
        for override in (o for o in values if not o.is_sweep_override()):
            OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
        resolved = plain(config)
        return early_problems(resolved) if ranges else shape_problems(resolved)
    except OmegaConfBaseException as error:
        return [str(error).splitlines()[0]]
    except ConfigError as error:
        return str(error).splitlines()


def traced(problem: str, typed: Sequence[str]) -> str:
    """A problem of what was built, with the typed setting of that name and value, if one is."""
    found = re.search(r"(?:^|: |; )(\w+) must .* not (.+)$", problem)
    if found:
        name, value = found[1], found[2].strip("'")
        for text in typed:
            key, _, given = text.lstrip("+").partition("=")
            if key.rpartition(".")[2] == name and key != name and given.strip("'\"") == value:
                return f"{problem} ({text})"
    return problem


def _without_context(message: str) -> str:
    """What Hydra says, without the lists and search paths that it adds."""
    lines = []
    for line in message.splitlines():
        if not line.strip() or line.startswith(("Config search path", "Available options")):
            break
        lines.append(line.strip())
    return " ".join(lines) or message


def _points(
    known: Mapping[str, list[str]], values: Sequence[Override]
) -> Iterator[tuple[list[str], list[Override], str]]:
    """Compositions to look at, each with the values to look for there and where that is.

    Where a sweep makes several choices of a group, the group's settings must exist in each;
    the other groups have their first choice meanwhile.
    """
    first = {group: f"{group}={names[0]}" for group, names in known.items() if names}
    swept = {group: names for group, names in known.items() if len(names) > 1}
    fixed = [o for o in values if _top(o) not in swept]
    if fixed or not swept:
        yield list(first.values()), fixed, ""
    for group, names in swept.items():
        own = [o for o in values if _top(o) == group]
        others = [text for key, text in first.items() if key != group]
        for name in names if own else []:
            yield [f"{group}={name}", *others], own, f" with {group}={name}"


def _top(override: Override) -> str:
    return override.key_or_group.partition(".")[0]


def _choices(override: Override) -> list[str]:
    """The names that an override of a group chooses; of `experiment` it may be several at once."""
    flat = [
        name
        for value in elements(override)
        for name in (value if isinstance(value, list) else [value])
    ]
    return [str(name) for name in flat if name is not None]


def linked(values: Mapping[str, Any], groups: Groups) -> DictConfig:
    """A run's configuration with the references between its settings put back.

    `config.yaml` holds values only, so that a change of `algorithm.tau` alone would not reach
    the stages that use it. A setting that `conf/` writes as a reference, and that has the value
    of what it refers to, refers to it again.
    """
    from omegaconf import OmegaConf

    config = OmegaConf.create(dict(values))
    settings = Settings(config)
    found: dict[str, str] = {}
    for composition in _compositions(values, groups):
        for key, text in Settings(composition).references().items():
            if key in settings and _resolved(config, text) == (settings.value(key),):
                found.setdefault(key, text)
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
        # of a candidate that is no whole configuration by itself nothing can be known
        with suppress(OverrideError):
            yield groups.compose([f"{group}={name}" for group, name in point.items()])


def _resolved(config: DictConfig, text: str) -> tuple[Any] | None:
    """What a reference means in this configuration, if it means anything."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    probe = "_probe"
    config[probe] = text
    try:
        value = config[probe]
    except OmegaConfBaseException:
        return None
    finally:
        del config[probe]
    return (OmegaConf.to_container(value) if OmegaConf.is_config(value) else value,)


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
    problems += [p for o in overrides for p in _unsuitable(o, allowed)]
    suitable = [o for o in overrides if not _unsuitable(o, allowed)]
    config = linked(values, groups) if suitable else OmegaConf.create(dict(values))
    wrong = set()
    for override in (o for o in suitable if o.key_or_group in groups):
        unknown = groups.unknown_choices(override)
        problems += unknown
        if unknown:
            wrong.add(override.key_or_group)
        else:
            node = _composed(values, groups, override.key_or_group, str(override.value()))
            OmegaConf.update(config, override.key_or_group, node, merge=False)
    for override in (o for o in suitable if o.key_or_group not in groups and _top(o) not in wrong):
        problem = Settings(config).problem(override)
        if problem is None:
            OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
        else:
            problems.append(problem)
    if problems:
        raise OverrideError("\n".join(problems))
    return config


def _unsuitable(override: Override, allowed: Sequence[str]) -> list[str]:
    """Why an override cannot change a run's configuration, whatever its value."""
    from hydra.core.override_parser.types import OverrideType

    key = override.key_or_group
    if override.type is not OverrideType.CHANGE or override.package:
        return [f"{override.input_line}: only changes, KEY=VALUE, are possible here"]
    if override.is_sweep_override():
        return [f"{override.input_line}: one value is needed here"]
    if allowed and not any(key == name or key.startswith(f"{name}.") for name in allowed):
        return [f"{override.input_line}: cannot be changed here; {nearest(key, sorted(allowed))}"]
    return []


def _composed(values: Mapping[str, Any], groups: Groups, group: str, choice: str) -> Any:
    """The group's node for this choice, its references unresolved."""
    from omegaconf import OmegaConf

    names = {other: str(values[other]["name"]) for other in NAMED}
    known = {other: name for other, name in names.items() if name in groups.names(other)}
    overrides = [f"{other}={name}" for other, name in {**known, group: choice}.items()]
    tree = OmegaConf.to_container(groups.compose(overrides), resolve=False)
    assert isinstance(tree, dict)
    return tree[group]

"""The settings of one composed configuration: which there are, and what may be put there."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig


@dataclass(frozen=True)
class _Kind:
    """Values of one type: how it is called, and which types may stand in its place."""

    of: type
    name: str
    allowed: tuple[type, ...]


KINDS = (
    _Kind(bool, "true or false", (bool,)),
    _Kind(int, "a whole number", (int,)),
    _Kind(float, "a number", (int, float)),
    _Kind(str, "text", (str, int, float)),
    _Kind(list, "a list", (list,)),
    _Kind(dict, "a mapping, or set by the settings below it", (dict,)),
)

NEVER_NULL = ("seed", "device", "deterministic", "outputs", "reuse")
"""Settings that every run needs; of others null may mean that there is none."""


WHOLE = ("threads", "trainer.max_steps", "trainer.max_epochs", "trainer.validate_every",
         "trainer.micro_batch")  # fmt: skip
"""Settings that are usually null and otherwise whole numbers."""


class Settings:
    """Keys are dotted; a reference is a value such as `${task.metric}`."""

    def __init__(self, config: DictConfig) -> None:
        from omegaconf import OmegaConf

        self._config = config
        tree = OmegaConf.to_container(config, resolve=False)
        assert isinstance(tree, dict)
        self._tree: dict[Any, Any] = tree

    def keys(self) -> list[str]:
        """Of everything that has no settings below it."""
        return [key for key, _ in _leaves(self._tree)]

    def references(self) -> dict[str, str]:
        """The settings that take their value from others, and how."""
        return {key: value for key, value in _leaves(self._tree) if is_reference(value)}

    def value(self, key: str) -> Any:
        """Resolved; None where it is missing, or refers to what is."""
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        try:
            value = OmegaConf.select(self._config, key, throw_on_missing=False)
        except OmegaConfBaseException:
            return None
        return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value

    def __contains__(self, key: str) -> bool:
        above, _, last = key.rpartition(".")
        node = self._node(above)
        return isinstance(node, dict) and last in node

    def problem(self, override: Override, where: str = "") -> str | None:
        """What is wrong with the key or the type of an override of a value."""
        key, typed = override.key_or_group, override.input_line
        borrowed = self._borrowed(key)
        if borrowed is not None:
            node, origin = borrowed
            rest = key.removeprefix(node)
            return f"{typed}: {node} is taken from {origin}; set {origin}{rest}"
        if key not in self:
            return f"{typed}: {self.no_such(key, where)}"
        default = self.value(key)
        kind = _kind(default)
        values = elements(override)
        if kind is None and key in WHOLE and not all(_whole(v) for v in values):
            return f"{typed}: must be a whole number or null"
        null = key in NEVER_NULL and None in values
        if kind is None or (not null and all(_fits(value, kind) for value in values)):
            return None
        shown = "" if kind.of is dict else f", such as {_shown(default)}"
        return f"{typed}: must be {kind.name}{shown}"

    def no_such(self, key: str, where: str = "") -> str:
        """What to say of a key that there is not."""
        return f"no such setting{where}; {self._hint(key)}"

    def _node(self, key: str) -> Any:
        """The unresolved value; None where there is none."""
        node: Any = self._tree
        for part in key.split(".") if key else []:
            node = node.get(part) if isinstance(node, dict) else None
        return node

    def _borrowed(self, key: str) -> tuple[str, str] | None:
        """A key above this one that refers to another one as a whole, and that other key."""
        parts = key.split(".")
        for end in range(1, len(parts)):
            above = ".".join(parts[:end])
            node = self._node(above)
            if is_reference(node):
                return above, node.strip().removeprefix("${").removesuffix("}")
        return None

    def _hint(self, key: str) -> str:
        """What a key that there is not may have been meant to be."""
        above, _, last = key.rpartition(".")
        siblings = self._node(above)
        inside = above and isinstance(siblings, dict)
        names = [name for name in map(str, siblings) if name[0] != "_"] if inside else []
        close = difflib.get_close_matches(last, names, n=3, cutoff=0.6)
        similar = [f"{above}.{name}" for name in close] or self._same_name(last)
        if not above and not similar:
            nodes = [str(name) for name, node in self._tree.items() if isinstance(node, dict)]
            similar = difflib.get_close_matches(last, nodes, n=1, cutoff=0.7)
        if not similar and names:
            return f"{above} has {', '.join(names)}"
        similar = similar or self._similar(key)
        if similar:
            return f"did you mean {' or '.join(similar[:3])}{', ...' * (len(similar) > 3)}?"
        return "`seqrl-train --cfg job` shows all"

    def _same_name(self, name: str) -> list[str]:
        """The outermost settings that are called so."""
        same = [key for key in self.keys() if _last(key) == name]
        depth = min((key.count(".") for key in same), default=0)
        return [key for key in same if key.count(".") == depth]

    def _similar(self, key: str) -> list[str]:
        """Settings that are spelled alike, as a whole or in their last name."""
        keys = sorted(self.keys(), key=lambda k: -k.count("."))
        ends = {_last(k): k for k in keys}  # of one name the outermost
        alike = difflib.get_close_matches(_last(key), ends, n=3, cutoff=0.75)
        return difflib.get_close_matches(key, keys, n=3, cutoff=0.8) or [ends[n] for n in alike]


def is_reference(value: Any) -> bool:
    return isinstance(value, str) and "${" in value


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


def nearest(name: str, names: Sequence[str]) -> str:
    """A hint: all names, the most similar ones first where there are such."""
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    listed = f"there are {', '.join(names)}" if names else "there are none"
    return f"did you mean {' or '.join(close)}? ({listed})" if close else listed


def _leaves(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _kind(value: Any) -> _Kind | None:
    """None where anything may stand: what is null now, or an object of some class."""
    if isinstance(value, dict) and "_target_" in value:
        return None
    return next((kind for kind in KINDS if type(value) is kind.of), None)


def _fits(value: Any, kind: _Kind) -> bool:
    return value is None or is_reference(value) or type(value) in kind.allowed


def _whole(value: Any) -> bool:
    return type(value) in (int, NoneType) or is_reference(value)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)

"""Which table is to be made of runs, as the node `report` of a configuration describes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from seqrl.reports.aggregate import ReportError, Row, flattened

TEST = "test"


class RequestError(ReportError):
    """What was asked for makes no sense, or there is no such thing."""


@dataclass(frozen=True)
class Published:
    """A score from the literature, for the last policy of the runs that have its settings.

    where   dotted settings of the runs that it belongs to, all of them
    score   which of the scores it is, as `bleu`
    source  where it was published
    split   that it is of
    """

    where: dict[str, Any]
    score: str
    mean: float
    std: float | None = None
    min: float | None = None
    max: float | None = None
    source: str = ""
    split: str = TEST

    @classmethod
    def from_node(cls, node: Any) -> Published:
        """From plain values. Raises RequestError."""
        values = _checked(cls, node, "report.published")
        for name in ("where", "score", "mean"):
            if values.get(name) is None:
                raise RequestError(f"report.published: an entry has no {name}: {node}")
        if not isinstance(values["where"], Mapping) or not values["where"]:
            raise RequestError(f"report.published.where must be settings, not {values['where']!r}")
        for name in ("mean", "std", "min", "max"):
            value = values.get(name)
            if value is not None and as_number(value) is None:
                raise RequestError(f"report.published.{name} must be a number, not {value!r}")
            values[name] = as_number(value)
        values |= {k: str(values[k]) for k in ("score", "source", "split") if k in values}
        return cls(**{**values, "where": dict(flattened(values["where"]))})

    def is_for(self, row: Row) -> bool:
        return row.final and row.split == self.split and has_settings(row, self.where)

    def __str__(self) -> str:
        return f"{self.score} {self.mean} where {settings_line(self.where)}"


@dataclass(frozen=True)
class TableSpec:
    """One table.

    baseline   names the row that others are tested against, see `report.found_baselines`
    final      only the last policy of each run
    split, decoding
               the only ones to show; none: all
    curve      a setting against which the scores are drawn
    published  scores to stand beside the runs', which also give the rows their order
    note       printed under the table
    """

    title: str = ""
    baseline: str | None = None
    final: bool = False
    split: tuple[str, ...] = ()
    decoding: tuple[str, ...] = ()
    curve: str | None = None
    published: tuple[Published, ...] = ()
    note: str = ""

    @classmethod
    def from_node(cls, node: Any) -> TableSpec:
        """From plain values, as yaml has them. Raises RequestError.

        `split` and `decoding` are one name, a list of names, or null.
        """
        values = {k: v for k, v in _checked(cls, node, "report").items() if v is not None}
        if not isinstance(values.get("final", False), bool):
            raise RequestError(f"report.final must be true or false, not {values['final']!r}")
        for name in ("split", "decoding"):
            value = values.get(name, ())
            names = [value] if isinstance(value, str) else value
            if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
                raise RequestError(f"report.{name} must be a name or a list of them, not {value!r}")
            values[name] = tuple(names)
        published = values.get("published", ())
        if not isinstance(published, list | tuple):
            raise RequestError(f"report.published must be a list, not {published!r}")
        values["published"] = tuple(map(Published.from_node, published))
        for name in ("title", "baseline", "curve", "note"):
            if name in values:
                values[name] = str(values[name])
        return cls(**values)


def has_settings(row: Row, settings: Mapping[str, Any]) -> bool:
    """Whether the runs of a row have all the settings; numbers are compared as numbers."""
    return all(
        key in row.configuration and same(row.configuration[key], value)
        for key, value in settings.items()
    )


def same(one: Any, other: Any) -> bool:
    """Whether two settings are equal: 1 and 1.0 and "1e0" are, 1 and true are not."""
    numbers = as_number(one), as_number(other)
    if None not in numbers:
        return numbers[0] == numbers[1]
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def as_number(value: Any) -> float | None:
    """The number that a setting is; yaml reads 1e-4, which has no dot, as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def settings_line(settings: Mapping[str, Any]) -> str:
    """`algorithm.name=mle, algorithm.tau=0.04`: all of them."""
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def _checked(kind: type[TableSpec] | type[Published], node: Any, name: str) -> dict[str, Any]:
    """The node's values, if it is a mapping with no keys but the fields."""
    if not isinstance(node, Mapping):
        raise RequestError(f"{name} must be a mapping, not {node!r}")
    known = [field.name for field in fields(kind)]
    unknown = _listed(key for key in map(str, node) if key not in known)
    if unknown:
        raise RequestError(f"{name} has no {unknown}; there are {_listed(known)}")
    return {str(key): value for key, value in node.items()}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)

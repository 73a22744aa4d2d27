"""What a configuration may have called: parts of seqrl, optimizers, and packages that are trusted.

A configuration names what it is made of by `_target_`, and whoever builds it imports and calls
that. Configurations are handed around; so every name is checked before anything is imported.
Packages of a user's own are trusted by a command line, `--trust PACKAGE`, and by no file.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import seqrl

TARGET = "_target_"
SPECIAL = (TARGET, "_partial_", "_recursive_", "_convert_")
"""What a description says beside arguments; all containers are plain whatever `_convert_` says."""

UNNAMED = ("seqrl.data.tokenizers.CharacterTokenizer",)
"""Parts of seqrl for configurations of one's own, which `conf/` does not name."""

OPTIMIZERS = r"torch\.optim\.[A-Z][A-Za-z]*"

_trusted: set[str] = set()


class UntrustedError(ValueError):
    """A configuration names what it may not, or what there is not."""


def conf_folder() -> Path:
    """`conf/` inside an installed package, or at the top of a source tree."""
    package = Path(seqrl.__file__).parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent.parent / "conf"


def trust(packages: Iterable[str]) -> None:
    """Trust packages or modules, with all below, until the process ends. ValueError: no name."""
    names = list(packages)
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ValueError(f"--trust {name}: must be the name of a package, such as my_package")
    _trusted.update(names)


def trusted() -> list[str]:
    """The packages that are trusted beside seqrl."""
    return sorted(_trusted)


def refused(node: Any, place: str = "") -> list[str]:
    """What a resolved configuration, or a part of it at `place`, may not have called.

    References that are left are refused too: they would become something else later.
    """
    if isinstance(node, dict):
        own = [problem] if TARGET in node and (problem := _problem(node[TARGET])) else []
        inside = [(f"{place}.{k}".lstrip("."), value) for k, value in node.items() if k != TARGET]
        told = [f"{place}.{TARGET}={node[TARGET]}: {problem}".lstrip(".") for problem in own]
        return [*told, *(text for key, value in inside for text in refused(value, key))]
    if isinstance(node, list):
        return [text for i, value in enumerate(node) for text in refused(value, f"{place}[{i}]")]
    if isinstance(node, str) and "${" in node:
        return [f"{place}={node}: no reference may be left in a configuration that is used"]
    return []


def located(name: str) -> Any:
    """The class or function of this dotted name.

    UntrustedError where it may not be called, then before anything is imported, or is not there.
    """
    problem = _problem(name)
    if problem is not None:
        raise UntrustedError(f"{name}: {problem}")
    place, *rest = name.split(".")
    try:
        there = import_module(place)
        for part in rest:
            place = f"{place}.{part}"
            if not hasattr(there, part):
                import_module(place)
            there = getattr(there, part)
            if inspect.ismodule(there) and there.__name__ != place:
                raise UntrustedError(f"{name}: {place} is another package's module")
    except (ImportError, AttributeError) as error:
        raise UntrustedError(f"{name}: there is no such class or function: {error}") from None
    if not callable(there):
        raise UntrustedError(f"{name} is no class or function")
    origin = str(getattr(there, "__module__", None))
    if not any(_below(origin, package) for package in (*_trusted, "seqrl", "torch.optim")):
        raise UntrustedError(f"{name} is of another package, {origin}: name that one instead")
    return there


def made(node: Any) -> Any:
    """What a resolved configuration describes: objects where there is a `_target_`, else itself.

    As Hydra makes it of `_target_`, `_partial_` and `_recursive_`, but that every name is
    `located`, and a string is never anything but a string. UntrustedError where it may not.
    """
    if isinstance(node, list):
        return [made(value) for value in node]
    if not isinstance(node, dict):
        return node
    inner = made if node.get("_recursive_", True) else lambda value: value
    arguments = {key: inner(value) for key, value in node.items() if key not in SPECIAL}
    if TARGET not in node:
        return arguments
    called = functools.partial(located(node[TARGET]), **arguments)
    return called if node.get("_partial_") else called()


def _problem(name: object) -> str | None:
    """Why the name is no one that may be called, if it is not."""
    if not isinstance(name, str):
        return "must be one name of a class or function"
    if any(_below(name, package) for package in _trusted):
        return None
    if name in _parts() or re.fullmatch(OPTIMIZERS, name):
        return None
    if name.startswith("seqrl."):
        return f"no part of seqrl for configurations{_similar(name, sorted(_parts()))}"
    return (
        "neither a part of seqrl nor an optimizer of torch.optim, so it is not imported; a "
        "package of your own, or whose author you trust, is named on the command line: "
        "--trust PACKAGE"
    )


@functools.cache
def _parts() -> frozenset[str]:
    """What `conf/` names of seqrl."""
    texts = (path.read_text(encoding="utf-8") for path in conf_folder().rglob("*.yaml"))
    named = (name for text in texts for name in re.findall(rf"{TARGET}: *(seqrl\.[\w.]+)", text))
    return frozenset([*named, *UNNAMED])


def _similar(name: str, names: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, names, n=3, cutoff=0.8)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")

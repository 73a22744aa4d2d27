"""Requirements of arguments: raised one at a time, or kept and told together."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import seqrl
from seqrl.ranges import require, unmet


class Base:
    def __init__(self, *, size: int) -> None:
        require(size >= 1, f"size must be at least 1, not {size}")


class Derived(Base):
    def __init__(self, *, size: int, tau: float) -> None:
        super().__init__(size=size)
        require(tau > 0, f"tau must be positive, not {tau}")


def test_the_first_requirement_that_is_not_met_is_raised() -> None:
    Derived(size=1, tau=1)
    with pytest.raises(ValueError, match=r"^size must be at least 1, not 0$"):
        Derived(size=0, tau=0)


def test_inside_the_block_all_are_kept_and_after_it_none() -> None:
    with unmet() as messages:
        Derived(size=0, tau=0)
        with unmet() as others:
            Derived(size=1, tau=-1)
    assert messages == ["size must be at least 1, not 0", "tau must be positive, not 0"]
    assert others == ["tau must be positive, not -1"]
    with pytest.raises(RuntimeError), unmet():
        raise RuntimeError
    with pytest.raises(ValueError, match="tau"):
        Derived(size=1, tau=0)


def test_every_constructor_states_its_requirements_so() -> None:
    """One that raised by itself would hide what else is wrong with a configuration."""
    package = Path(seqrl.__file__).parent
    raising = [
        f"{path.relative_to(package)}:{node.lineno}"
        for path in package.rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef) and function.name in ("__init__", "__post_init__")
        for node in ast.walk(function)
        if isinstance(node, ast.Raise) and "ValueError" in ast.unparse(node)
    ]
    assert not raising

"""The text of plain functions, and of all they name, so that it stands on its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any

from penstock.errors import PenstockError

#: What every notebook begins with; functions may name these.
IMPORTS = """from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window, WindowSpec
from pyspark.sql import functions as fn
from pyspark.sql import types"""
IMPORTED = frozenset(
    {"Any", "Column", "DataFrame", "SparkSession", "Window", "WindowSpec", "fn", "types"}
)
_PACKAGE = "penstock.wrangle"


class Texts:
    """Texts of functions, each given once, what they need before them."""

    def __init__(self) -> None:
        self._given: dict[str, object] = {}

    @property
    def names(self) -> frozenset[str]:
        """Names of all functions and constants that were given."""
        return frozenset(self._given)

    def of(self, functions: Iterable[Callable[..., Any]]) -> list[str]:
        """Texts of functions that were not given before.

        Raises:
            PenstockError: One names what a notebook has not; a defect of ours.
        """
        found: list[str] = []
        for one in functions:
            self._collect(one, found)
        return found

    def _collect(self, function: Callable[..., Any], found: list[str]) -> None:
        assert isinstance(function, FunctionType)
        if not self._is_new(function.__name__, function):
            return
        for name, value in named(function).items():
            if isinstance(value, FunctionType):
                self._collect(value, found)
            elif self._is_new(name, value):
                found.append(f"{name} = {value!r}")
        found.append(text(function))

    def _is_new(self, name: str, value: object) -> bool:
        if name in self._given:
            if self._given[name] is not value and self._given[name] != value:
                raise PenstockError(f"two things are called {name} in one notebook")
            return False
        self._given[name] = value
        return True


def named(function: FunctionType) -> dict[str, object]:
    """Globals that a function, and functions within it, name and a notebook must be given.

    Raises:
        PenstockError: It names what a notebook cannot have.
    """
    found: dict[str, object] = {}
    for name in sorted(_names(function.__code__)):
        if name in IMPORTED or name not in function.__globals__:
            continue
        value = function.__globals__[name]
        if isinstance(value, FunctionType) and not value.__module__.startswith(_PACKAGE):
            raise PenstockError(f"{function.__name__} names {name}, which is not ours")
        if isinstance(value, (ModuleType, type)):
            raise PenstockError(f"{function.__name__} names {name}, which no notebook has")
        found[name] = value
    return found


def _names(code: Any) -> set[str]:
    """Global names that code loads; those of functions and comprehensions within it as well."""
    inner = (one for one in code.co_consts if inspect.iscode(one))
    return set(code.co_names).union(*(_names(one) for one in inner))


def text(function: Callable[..., Any]) -> str:
    """The function's own text, without our notes to linters."""
    lines = inspect.getsource(function).rstrip().splitlines()
    return "\n".join(one.split("  # noqa")[0].split("  # type: ignore")[0] for one in lines)

"""Every function a step calls can stand on its own in a notebook."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from types import FunctionType
from typing import Any

import pytest

from penstock.errors import UsageError
from penstock.wrangle import operators, reading
from penstock.wrangle.call import Call
from penstock.wrangle.export import plain
from penstock.wrangle.export.functions import IMPORTS, Texts, named


def _functions() -> list[FunctionType]:
    """Public functions that give DataFrames, and all that the cells after the steps hold."""
    names = [f"{operators.__name__}.{one.name}" for one in pkgutil.iter_modules(operators.__path__)]
    modules = [*map(importlib.import_module, names), plain, reading]
    return [
        one
        for module in modules
        for name, one in vars(module).items()
        if isinstance(one, FunctionType)
        and one.__module__ == module.__name__
        and not name.startswith("_")
        and (module is plain or one.__annotations__.get("return") == "DataFrame")
    ]


@pytest.mark.shows("8.2")
def test_their_texts_name_nothing_that_is_not_there() -> None:
    """Ruff finds no undefined name in any function's text with what it was given with."""
    whole = "\n\n\n".join([IMPORTS, *Texts().of(_functions())])
    assert "penstock" not in whole
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821,E9", "-"]
    done = subprocess.run(command, input=whole, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_cannot_stand_alone_is_a_defect() -> None:
    """A class of ours in a function's text."""
    from penstock.errors import PenstockError

    def uses() -> object:
        return Texts

    with pytest.raises(PenstockError, match="names Texts, which no notebook has"):
        named(uses)  # type: ignore[arg-type]  # a function


def test_only_what_a_step_says_itself_is_told() -> None:
    """Other texts may quote a value of a row."""

    def refuses(_: Any) -> Any:
        raise ValueError("there is a column x already")

    def chosen(value: str) -> Any:
        raise ValueError(f"{value!r} is no number")

    def stumbles(_: Any) -> Any:
        return chosen("of a row")

    nothing: Any = None
    with pytest.raises(UsageError, match="there is a column x already"):
        Call.of(refuses).made(nothing)
    with pytest.raises(ValueError, match="of a row"):
        Call.of(stumbles).made(nothing)

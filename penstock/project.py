"""A project: its ``conf``, and the pipelines and data sets its ``schemas`` package declares."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from penstock.contract import Pipeline
from penstock.dataset import Dataset
from penstock.errors import ContractError, PenstockError, UsageError
from penstock.foreign import place

_T = TypeVar("_T", Pipeline, Dataset)


@dataclass(frozen=True)
class Project:
    """Pipelines by the name of their feature group, in order of name.

    Args:
        root: Folder that relative paths of sources are relative to.
        pipelines: What ``schemas`` declares.
        datasets: Data sets by name, likewise.
    """

    root: Path
    pipelines: dict[str, Pipeline]
    datasets: dict[str, Dataset]

    def pipeline(self, name: str) -> Pipeline:
        """The pipeline of a feature group.

        Raises:
            UsageError: There is none.
        """
        if name not in self.pipelines:
            message = f"there is no feature group {name!r} in this project"
            raise UsageError(message, f"There are: {', '.join(self.pipelines)}")
        return self.pipelines[name]

    def dataset(self, name: str) -> Dataset:
        """The data set called ``name``.

        Raises:
            UsageError: There is none.
        """
        if name not in self.datasets:
            message = f"there is no data set {name!r} in this project"
            known = ", ".join(self.datasets) or "none; declare one in schemas/: docs/datasets.md"
            raise UsageError(message, f"There are: {known}")
        return self.datasets[name]

    def chosen(self, names: Sequence[str], tag: str | None = None) -> list[Pipeline]:
        """The pipelines named, or those whose group bears the tag, or all; in order of name.

        Raises:
            UsageError: There is no such group, none with the tag, or names and a tag were given.
        """
        if names and tag is not None:
            raise UsageError("groups are named, or chosen by --tag", "Leave one of them out")
        if names:
            return [self.pipeline(name) for name in names]
        found = [one for one in self.pipelines.values() if tag is None or tag in one.group.tags]
        if not found:
            known = sorted({one for each in self.pipelines.values() for one in each.group.tags})
            message = f"no feature group has the tag {tag!r}"
            there = f"There are: {', '.join(known)}" if known else "None has a tag"
            raise UsageError(message, f"{there}; see 'tags' of a FeatureGroup in schemas/")
        return found


def load_project(root: Path) -> Project:
    """Import ``schemas`` and collect every :class:`Pipeline` and :class:`Dataset` it holds.

    ``schemas`` is looked for in ``root`` first, then wherever Python looks (under spark-submit it
    comes with ``--py-files``).

    Raises:
        UsageError: There is no ``schemas`` package, or it needs a package that is not installed.
        ContractError: Two pipelines feed the same group, or the project's code does not load.
    """
    place = str(root.absolute())
    if (root / "schemas").is_dir() and place not in sys.path:
        sys.path.insert(0, place)
    package = _package(root)
    found: dict[str, Pipeline] = {}
    datasets: dict[str, Dataset] = {}
    for module in pkgutil.iter_modules(package.__path__, "schemas."):
        for value in vars(_imported(module.name)).values():
            if isinstance(value, Pipeline):
                _add(found, value, value.group.name, "pipelines feed feature group")
            elif isinstance(value, Dataset):
                _add(datasets, value, value.name, "data sets are called")
    return Project(root, dict(sorted(found.items())), dict(sorted(datasets.items())))


def _package(root: Path) -> ModuleType:
    if importlib.util.find_spec("schemas") is None:
        message = f"{root}: no 'schemas' package here"
        raise UsageError(message, "Run it in a project, or make one with 'penstock init'")
    return _imported("schemas")


def _imported(name: str) -> ModuleType:
    """A module of the project; what is wrong with it is one line with its place."""
    try:
        return importlib.import_module(name)
    except PenstockError:
        raise
    except ModuleNotFoundError as error:
        message = f"{_place(error)}: there is no Python package {error.name!r}"
        raise UsageError(message, _package_remedy(error.name or "")) from error
    except SyntaxError as error:
        message = f"{error.filename}:{error.lineno}: {error.msg}"
        raise ContractError(message, "Correct the line") from error
    except Exception as error:
        message = f"{_place(error)}: {type(error).__name__}: {error}"
        raise ContractError(message, "Correct the line; --debug shows the stack trace") from error


def _place(error: Exception) -> str:
    """File and line of the innermost frame of the project's, or of the innermost one of all."""
    trace = traceback.extract_tb(error.__traceback__)
    frames = [(one.filename, one.lineno or 0) for one in trace]
    return place(frames) or f"{frames[-1][0]}:{frames[-1][1]}"


def _package_remedy(name: str) -> str:
    if name in {"pyspark", "delta"}:
        return "pip install 'penstock[local]', or run it where Spark is: docs/running.md"
    return f"pip install {name.partition('.')[0]}, or send it with --py-files"


def _add(found: dict[str, _T], one: _T, name: str, what: str) -> None:
    if found.setdefault(name, one) is not one:
        raise ContractError(f"two {what} {name!r}", "Remove one of them")

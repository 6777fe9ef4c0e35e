"""A project: its ``conf``, and the pipelines its ``schemas`` package declares."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.contract import Pipeline
from penstock.errors import ContractError, UsageError


@dataclass(frozen=True)
class Project:
    """Pipelines by the name of their feature group, in order of name.

    Args:
        root: Folder that relative paths of sources are relative to.
        pipelines: What ``schemas`` declares.
    """

    root: Path
    pipelines: dict[str, Pipeline]

    def pipeline(self, name: str) -> Pipeline:
        """The pipeline of a feature group.

        Raises:
            UsageError: There is none.
        """
        if name not in self.pipelines:
            message = f"there is no feature group {name!r} in this project"
            raise UsageError(message, f"There are: {', '.join(self.pipelines)}")
        return self.pipelines[name]

    def chosen(self, names: Sequence[str], tag: str | None = None) -> list[Pipeline]:
        """The pipelines named, or those with the tag, or all."""
        if names:
            return [self.pipeline(name) for name in names]
        found = [one for one in self.pipelines.values() if tag is None or tag in one.group.tags]
        if not found:
            raise UsageError(f"no feature group has the tag {tag!r}")
        return found


def load_project(root: Path) -> Project:
    """Import ``schemas`` and collect every :class:`Pipeline` its modules hold.

    ``schemas`` is looked for in ``root`` first, then wherever Python looks (under spark-submit it
    comes with ``--py-files``).

    Raises:
        UsageError: There is no ``schemas`` package.
        ContractError: Two pipelines feed the same group.
    """
    place = str(root.absolute())
    if (root / "schemas").is_dir() and place not in sys.path:
        sys.path.insert(0, place)
    try:
        package = importlib.import_module("schemas")
    except ModuleNotFoundError as error:
        if error.name != "schemas":
            raise
        message = f"{root}: no 'schemas' package here"
        raise UsageError(message, "Run it in a project, or make one with 'penstock init'") from None
    found: dict[str, Pipeline] = {}
    for module in pkgutil.iter_modules(package.__path__, "schemas."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Pipeline):
                _add(found, value)
    return Project(root, dict(sorted(found.items())))


def _add(found: dict[str, Pipeline], pipeline: Pipeline) -> None:
    name = pipeline.group.name
    if found.setdefault(name, pipeline) is not pipeline:
        raise ContractError(f"two pipelines feed feature group {name!r}", "Remove one of them")

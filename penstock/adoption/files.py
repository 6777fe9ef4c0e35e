"""The files that adopt feature groups: made as values, then written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from penstock.adoption.conf_text import added
from penstock.adoption.finding import Finding
from penstock.conf_file import adopted_path
from penstock.errors import UsageError

_PACKAGE = '"""Contracts and pipelines: one module per feature group, each with its PIPELINE."""\n'


def texts(found: Sequence[Finding], root: Path, conf: Path, environment: str) -> dict[Path, str]:
    """Text by file, in the order they are to be written; nothing where no group is adopted.

    ``conf`` comes first: a contract is the mark that its group is adopted, so when writing ends
    half-way, adopting again does the rest.

    Args:
        found: What becomes of the groups.
        root: The project.
        conf: Its configuration, whose file of adopted groups is added to.
        environment: Whose groups they are.

    Raises:
        ConfigError: Groups cannot be added to that file.
    """
    chosen = [one.adopted for one in found if one.adopted is not None]
    if not chosen:
        return {}
    place = adopted_path(conf, environment)
    made = {place: added(place, environment, {one.group.name: one.entry for one in chosen})}
    package = root / "schemas" / "__init__.py"
    if not package.exists():
        made[package] = _PACKAGE
    return made | {root / one.path: one.text for one in chosen}


def write(files: Mapping[Path, str], conf: Path) -> None:
    """Write them; of what is there already only the file in ``conf`` is replaced, in one step.

    Raises:
        UsageError: A file cannot be written, or has come up meanwhile.
    """
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent == conf:
                _replace(path, text)
            else:
                with path.open("x", encoding="utf-8") as file:
                    file.write(text)
        except OSError as error:
            message = f"{path} cannot be written: {error.strerror or error}"
            raise UsageError(message, "Mend it and adopt again: that does the rest") from error


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)

"""The files of one source, pinned to what they were when the run was planned.

A pin is a file's path, size and modification time. A run works on exactly its pins: a file that
changes in between ends the run instead of mixing two states of it.
"""

from __future__ import annotations

import glob
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from penstock.config import Location
from penstock.errors import ConfigError, ContractError, TemporaryError
from penstock.storage import local_path


@dataclass(frozen=True)
class Pin:
    """One file as it was seen: absolute path, size in bytes, modification time in nanoseconds."""

    path: str
    size: int
    modified_ns: int


def pins(name: str, location: Location, root: Path) -> tuple[Pin, ...]:
    """The files a location names, sorted by path.

    Args:
        name: The source's name, for messages.
        location: A file, folder, glob or ``package:NAME/FILE``.
        root: Folder that relative paths are relative to.

    Raises:
        ContractError: There is no such file.
        ConfigError: The location has no path, or names a scheme that is not read.
    """
    if location.path is None:
        raise ConfigError(f"source {name!r} has no path", "Set sources.<name>.path in conf")
    found = _files(_absolute(name, location.path, root))
    if not found:
        message = f"source {name!r}: there is no file at {location.path!r}"
        raise ContractError(message, "Correct sources.<name>.path in conf, or put the files there")
    return tuple(_pin(path) for path in found)


def check_unchanged(pinned: tuple[Pin, ...]) -> None:
    """Compare pins with the files as they are now.

    Raises:
        TemporaryError: A file was changed or removed since it was pinned.
    """
    for pin in pinned:
        path = Path(pin.path)
        if not path.is_file() or _pin(path) != pin:
            message = f"{pin.path}: changed while it was read"
            raise TemporaryError(message, "Run again when nothing writes to it")


def delta_folder(name: str, location: Location, root: Path) -> str:
    """Absolute path of a Delta table; raises like :func:`pins`."""
    if location.path is None:
        raise ConfigError(f"source {name!r} has no path", "Set sources.<name>.path in conf")
    folder = _absolute(name, location.path, root)
    if not (Path(folder) / "_delta_log").is_dir():
        message = f"source {name!r}: {location.path!r} is not a Delta table"
        raise ContractError(message, "Correct sources.<name>.path in conf")
    return folder


def _absolute(name: str, path: str, root: Path) -> str:
    if path.startswith("package:"):
        return _in_package(name, path.removeprefix("package:"))
    scheme, found, _ = path.partition("://")
    if found and scheme != "file":
        message = f"source {name!r}: {scheme}:// is not read by this version"
        raise ConfigError(message, "Use a local or mounted path")
    plain = path.removeprefix("file://")
    return local_path(plain if plain.startswith("/") else str(root / plain))


def _in_package(name: str, path: str) -> str:
    """A file of an installed Python package, found without importing the package."""
    package, _, inside = path.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        message = f"source {name!r}: the Python package {package!r} is not installed"
        raise ConfigError(message, f"pip install {package}, or name another path in conf")
    return str(Path(spec.submodule_search_locations[0]) / inside)


def _files(path: str) -> list[Path]:
    place = Path(path)
    if place.is_dir():
        return sorted(one for one in place.rglob("*") if one.is_file() and _is_data(one, place))
    if place.is_file():
        return [place]
    found = [Path(one) for one in glob.glob(path, recursive=True)]  # noqa: PTH207 - absolute pattern
    return sorted(one for one in found if one.is_file())


def _is_data(file: Path, folder: Path) -> bool:
    """Names that start with ``_`` or ``.`` are markers and temporary files, as Spark has it."""
    return not any(part.startswith(("_", ".")) for part in file.relative_to(folder).parts)


def _pin(path: Path) -> Pin:
    seen = path.stat()
    return Pin(str(path), seen.st_size, seen.st_mtime_ns)

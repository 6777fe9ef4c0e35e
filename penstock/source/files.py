"""The files of one source, pinned to what they were when the run was planned.

A pin is a file's path, size and modification time; on S3 its ETag, in a package its digest. A run
works on exactly its pins: a file that changes in between ends the run instead of mixing two states
of it.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from penstock.config import Location
from penstock.errors import ConfigError, ContractError, TemporaryError
from penstock.packages import is_packaged, on_disk
from penstock.storage import Storage, is_s3, local_path

_STARS = re.compile(r"(\*\*/|\*\*|\*|\?|\[!?[^]]+\])")
_THREADS = 16  # that look at files: of S3 each look is a request


@dataclass(frozen=True)
class Pin:
    """One file as it was seen: path as of :func:`place`, :class:`penstock.storage.Stamp`."""

    path: str
    size: int
    version: int | str


def pins(name: str, path: str, storage: Storage) -> tuple[Pin, ...]:
    """The files a path names, sorted.

    Args:
        name: The source's name, for messages.
        path: From :func:`place`: a file, folder or glob.
        storage: Where that is.

    Raises:
        ContractError: There is no such file.
    """
    found = _found(path, storage)
    if not found:
        message = f"source {name!r}: there is no file at {path!r}"
        raise ContractError(message, "Correct sources.<name>.path in conf, or put the files there")
    return tuple(one for one in _pinned(found, storage) if one is not None)


def check_unchanged(pinned: tuple[Pin, ...], storage: Storage) -> None:
    """Compare pins with the files as they are now.

    Raises:
        TemporaryError: A file was changed or removed since it was pinned.
    """
    now = _pinned([one.path for one in pinned], storage)
    for pin, found in zip(pinned, now, strict=True):
        if found != pin:
            message = f"{pin.path}: changed while it was read"
            raise TemporaryError(message, "Run again when nothing writes to it")


def check_delta(name: str, folder: str, storage: Storage) -> None:
    """Refuse what is no Delta table.

    Raises:
        ContractError: There is none.
    """
    if not storage.list(f"{folder}/_delta_log"):
        message = f"source {name!r}: {folder!r} is not a Delta table"
        raise ContractError(message, "Correct sources.<name>.path in conf")


def place(name: str, location: Location, root: Path) -> str:
    """Absolute path of a source, its ``s3://`` URI, or its name in a Python package.

    What Spark reads, a Delta table, has a path in a package too.

    Args:
        name: The source's name, for messages.
        location: A file, folder, glob, ``s3://`` URI or ``package:NAME/FILE``.
        root: Folder that relative paths are relative to.

    Raises:
        ConfigError: The location has no path, or names a scheme that is not read or a package that
            is not installed.
    """
    path = location.path
    if path is None:
        raise ConfigError(f"source {name!r} has no path", "Set sources.<name>.path in conf")
    if is_packaged(path):
        there = on_disk(path)
        return there if location.format == "delta" else path
    scheme, found, rest = path.partition("://")
    if found and scheme in ("s3", "s3a"):
        return f"s3://{rest.rstrip('/')}"
    if found and scheme != "file":
        message = f"source {name!r}: {scheme}:// is not read by this version"
        raise ConfigError(message, "Use s3://BUCKET/KEY, or a local or mounted path")
    plain = path.removeprefix("file://")
    return local_path(plain if plain.startswith("/") else str(root / plain))


def _found(path: str, storage: Storage) -> list[str]:
    if is_s3(path):
        return _objects(path, storage)
    if is_packaged(path):
        package = path.partition("/")[0]
        folder = on_disk(package)
        return [package + one.removeprefix(folder) for one in _files(on_disk(path))]
    return _files(path)


def _files(path: str) -> list[str]:
    place = Path(path)
    if place.is_dir():
        files = (str(one) for one in place.rglob("*") if one.is_file())
        return sorted(one for one in files if _is_data(one, path))
    if place.is_file():
        return [path]
    found = glob.glob(path, recursive=True)  # noqa: PTH207 - absolute pattern
    return sorted(one for one in found if Path(one).is_file())


def _objects(path: str, storage: Storage) -> list[str]:
    """The same on S3, where the folder above the first wildcard is listed."""
    below = sorted(one for one in storage.walk(path) if _is_data(one, path))
    if below:
        return below
    if storage.exists(path):
        return [path]
    head, *rest = _STARS.split(path)
    if not rest:
        return []
    pattern = re.compile(re.escape(head) + "".join(_piece(one) for one in rest))
    folder = head.rpartition("/")[0]
    found = (one for one in storage.walk(folder) if pattern.fullmatch(one))
    return [one for one in found if "/." not in one.removeprefix(folder)]  # as in a folder


def _piece(text: str) -> str:
    """A piece of a glob as a regular expression; no star but two reaches into folders."""
    if text == "**/":
        return r"(?:[^/]+/)*"
    if text.startswith("["):
        return "[" + text[1:].replace("!", "^", 1) if text[1] == "!" else text
    return {"**": ".*", "*": "[^/]*", "?": "[^/]"}.get(text, re.escape(text))


def _is_data(file: str, folder: str) -> bool:
    """Names that start with ``_`` or ``.`` are markers and temporary files, as Spark has it."""
    names = file.removeprefix(folder).strip("/").split("/")
    return not any(one.startswith(("_", ".")) or one.endswith("_$folder$") for one in names)


def _pinned(paths: Sequence[str], storage: Storage) -> list[Pin | None]:
    """As they are now, in their order."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda path: _pin(path, storage), paths))


def _pin(path: str, storage: Storage) -> Pin | None:
    """None where it is gone."""
    try:
        seen = storage.stamp(path)
    except FileNotFoundError:
        return None
    return Pin(path, seen.size, seen.version)

"""Files of installed Python packages, as ``package:NAME/FILE``.

Each machine has its packages elsewhere: EMR and Glue unpack what a job brings into a folder of
every container. So it is this name that is pinned and travels to executors, and each process finds
the file in the package it would import itself.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import IO

import pyarrow as pa

from penstock.errors import ConfigError
from penstock.storage import LocalStorage, Stamp

SCHEME = "package:"
_PIECE = 1 << 20  # bytes read at once


class PackageStorage(LocalStorage):
    """Reads files of packages; nothing is written there. Holds no state, so it pickles."""

    def stamp(self, path: str) -> Stamp:
        """Size and SHA-256: when a package was installed says nothing of what is in it."""
        digest, size = hashlib.sha256(), 0
        with self.open_bytes(path) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
        return Stamp(size, digest.hexdigest())

    def open_input(self, path: str) -> pa.NativeFile:
        """A buffered file; raises FileNotFoundError."""
        return super().open_input(on_disk(path))

    def open_bytes(self, path: str) -> IO[bytes]:
        """The same in Python."""
        return super().open_bytes(on_disk(path))


def is_packaged(path: str) -> bool:
    """Whether it is a path into a package."""
    return path.startswith(SCHEME)


def on_disk(path: str) -> str:
    """Where this process has ``package:NAME/FILE``; the package is not imported for it.

    Raises:
        ConfigError: There is no such package.
    """
    package, _, inside = path.removeprefix(SCHEME).partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        message = f"{path}: the Python package {package!r} is not installed"
        raise ConfigError(message, f"pip install {package}, or name another path")
    return str(Path(spec.submodule_search_locations[0]) / inside)

"""Files and objects by URI, with the one coordination primitive penstock relies on: put-if-absent.

A local folder gives it through ``link()``, which fails where the name exists. Every decision that
must have a single winner (ledger events, manifests, chunk markers) goes through
:meth:`Storage.put_if_absent`.
"""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from penstock.errors import ConfigError


class Storage(Protocol):
    """What the engine needs of a file system or object store. Paths are absolute."""

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Create ``path`` durably; False, touching nothing, where it exists."""

    def write(self, path: str, data: bytes) -> None:
        """Create or replace ``path`` atomically and durably."""

    def read(self, path: str) -> bytes:
        """All bytes; raises FileNotFoundError."""

    def exists(self, path: str) -> bool:
        """Whether there is an object at ``path``."""

    def list(self, folder: str) -> list[str]:
        """Paths of the objects directly in ``folder``, sorted; empty where there is none."""

    def open_input(self, path: str) -> pa.NativeFile:
        """Open for random reads."""

    def create(self, path: str) -> pa.NativeFile:
        """Open for writing, folders made; not atomic: only for names a later record refers to."""

    def remove(self, folder: str) -> None:
        """Delete a folder and all in it; nothing where there is none."""


class LocalStorage:
    """A local or mounted file system. Holds no state, so it pickles to executors."""

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """``link()`` of a synced temporary file: atomic, never half a file."""
        temporary = self._written(Path(path), data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        _sync_folder(Path(path).parent)
        return True

    def write(self, path: str, data: bytes) -> None:
        """``rename()`` of a synced temporary file."""
        self._written(Path(path), data).replace(path)
        _sync_folder(Path(path).parent)

    def read(self, path: str) -> bytes:
        """All bytes; raises FileNotFoundError."""
        return Path(path).read_bytes()

    def exists(self, path: str) -> bool:
        """Whether there is a file at ``path``."""
        return Path(path).exists()

    def list(self, folder: str) -> list[str]:
        """Files whose names do not start with a dot: those are still being written."""
        try:
            found = [str(one) for one in Path(folder).iterdir() if not one.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(found)

    def open_input(self, path: str) -> pa.NativeFile:
        """A buffered file; raises FileNotFoundError."""
        return pa.OSFile(path, "rb")

    def create(self, path: str) -> pa.NativeFile:
        """A file for writing."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return pa.OSFile(path, "wb")

    def remove(self, folder: str) -> None:
        """``rm -r``; an absent folder is fine."""
        shutil.rmtree(folder, ignore_errors=True)

    def _written(self, path: Path, data: bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}"
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return temporary


def storage_of(uri: str) -> Storage:
    """The storage a URI or folder lies on.

    Raises:
        ConfigError: A scheme that is not read.
    """
    scheme, found, _ = uri.partition("://")
    if found and scheme != "file":
        message = f"{uri!r}: {scheme}:// is not a place this version can keep state or data"
        raise ConfigError(message, "Use a local or mounted folder")
    return LocalStorage()


def local_path(uri: str) -> str:
    """Absolute path of a folder or ``file://`` URI."""
    return str(Path(uri.removeprefix("file://")).absolute())


def _sync_folder(folder: Path) -> None:
    """A new name survives a power cut only once its folder is synced."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

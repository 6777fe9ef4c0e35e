"""Files and objects by URI, with the one coordination primitive penstock relies on: put-if-absent.

A local folder gives it through ``link()``, which fails where the name exists. Every decision that
must have a single winner (ledger events, manifests, chunk markers) goes through
:meth:`Storage.put_if_absent`.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, TypeVar
from urllib.parse import unquote

import pyarrow as pa

from penstock.errors import ConfigError

ATTEMPTS = 10  # of making a folder and a file in it
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS})
_T = TypeVar("_T")


@dataclass(frozen=True)
class Stamp:
    """What tells one state of a file from another.

    Args:
        size: Bytes.
        version: Time of the last change in nanoseconds, or an object's ETag.
    """

    size: int
    version: int | str


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

    def walk(self, folder: str) -> list[str]:
        """Paths of all objects below ``folder``, sorted; empty where there is none."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of all objects below ``folder`` by path; empty where there is none."""

    def list(self, folder: str) -> list[str]:
        """Paths of the objects directly in ``folder``, sorted; empty where there is none."""

    def stamp(self, path: str) -> Stamp:
        """Of one file; raises FileNotFoundError where there is none."""

    def open_input(self, path: str) -> pa.NativeFile:
        """Open for random reads; raises FileNotFoundError."""

    def open_bytes(self, path: str) -> IO[bytes]:
        """Open for reads in order; raises FileNotFoundError."""

    def create(self, path: str) -> pa.NativeFile:
        """Open for writing, folders made; not atomic: only for names a later record refers to."""

    def remove(self, folder: str) -> None:
        """Delete a folder and all in it, and the one around it where that is empty then.

        Nothing happens where there is none.
        """

    def delete(self, path: str) -> None:
        """Delete one object; nothing happens where there is none."""

    def delete_all(self, paths: Sequence[str]) -> None:
        """Delete objects, and folders that are empty then; those that are gone already are fine.

        Not atomic: where it raises, some of them may be gone. It can be repeated.
        """

    def sweep(self, folder: str) -> None:
        """Delete what writers left below a folder that died before the end of a write.

        Nobody may write there meanwhile.
        """

    def move(self, folder: str, target: str) -> None:
        """Give all that is below a folder another place; not atomic, and can be repeated."""

    def copy(self, path: str, target: str) -> None:
        """Give the bytes of one object a second name, atomically and durably; folders are made.

        For names whose bytes never change: a target that exists is taken for done. Repeating it
        changes nothing. Raises FileNotFoundError where there is nothing at ``path``.
        """

    def append(self, path: str, data: bytes) -> None:
        """Add to a file that has one writer and is small; it is made where there is none."""

    def options(self) -> dict[str, str]:
        """What delta-rs must be told to come here."""


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

    def walk(self, folder: str) -> list[str]:
        """Files below, but for those that are still being written."""
        return sorted(
            f"{where}/{name}"
            for where, _, names in os.walk(folder)
            for name in names
            if not name.startswith(".")
        )

    def sizes(self, folder: str) -> dict[str, int]:
        """As :meth:`walk`; whoever deletes meanwhile does no harm."""
        found: dict[str, int] = {}
        for path in self.walk(folder):
            with suppress(FileNotFoundError):
                found[path] = Path(path).stat().st_size
        return found

    def list(self, folder: str) -> list[str]:
        """Files whose names do not start with a dot: those are still being written."""
        try:
            found = [str(one) for one in Path(folder).iterdir() if not one.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(found)

    def stamp(self, path: str) -> Stamp:
        """``stat()``; a folder is no file."""
        place = Path(path)
        if place.is_dir():
            raise FileNotFoundError(path)
        seen = place.stat()
        return Stamp(seen.st_size, seen.st_mtime_ns)

    def open_input(self, path: str) -> pa.NativeFile:
        """A buffered file; raises FileNotFoundError."""
        return pa.OSFile(path, "rb")

    def open_bytes(self, path: str) -> IO[bytes]:
        """The same in Python."""
        return Path(path).open("rb")

    def create(self, path: str) -> pa.NativeFile:
        """A file for writing."""
        return _made(Path(path), lambda: pa.OSFile(path, "wb"))

    def remove(self, folder: str) -> None:
        """``rm -r``; an absent folder is fine."""
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            Path(folder).parent.rmdir()

    def delete(self, path: str) -> None:
        """``rm``; an absent file is fine."""
        Path(path).unlink(missing_ok=True)

    def delete_all(self, paths: Sequence[str]) -> None:
        """``rm`` of each, and ``rmdir`` of the folders around it, as far up as they are empty."""
        for path in paths:
            self.delete(path)
            with suppress(OSError):
                for folder in Path(path).parents:
                    folder.rmdir()

    def sweep(self, folder: str) -> None:
        """All files whose names start with a dot."""
        for where, _, names in os.walk(folder):
            self.delete_all([f"{where}/{name}" for name in names if name.startswith(".")])

    def move(self, folder: str, target: str) -> None:
        """Each file by ``rename()``."""
        for path in self.walk(folder):
            moved = Path(target) / Path(path).relative_to(folder)
            moved.parent.mkdir(parents=True, exist_ok=True)
            Path(path).replace(moved)
        self.remove(folder)

    def copy(self, path: str, target: str) -> None:
        """``link()``; the bytes themselves where the file system links nothing there."""
        try:
            _made(Path(target), lambda: _link(path, target))
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            self.write(target, self.read(path))
        else:
            _sync_folder(Path(target).parent)

    def append(self, path: str, data: bytes) -> None:
        """The end of the file; a power cut may take it."""
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("ab") as file:
            file.write(data)

    def options(self) -> dict[str, str]:
        """Nothing."""
        return {}

    def _written(self, path: Path, data: bytes) -> Path:
        temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}"
        try:
            with _made(temporary, lambda: temporary.open("wb")) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:  # a full disk has no room for what nobody will read, either
            temporary.unlink(missing_ok=True)
            raise
        return temporary


def hadoop_path(path: str) -> str:
    """A path as Hadoop's file systems call it: ``s3a://`` for ``s3://``, others as they are."""
    return path.replace("s3://", "s3a://", 1) if path.startswith("s3://") else path


def is_s3(uri: str) -> bool:
    """Whether a place is on S3.

    Raises:
        ConfigError: It is neither there nor in a folder.
    """
    scheme, found, _ = uri.partition("://")
    if found and scheme not in ("file", "s3"):
        message = f"{uri!r}: {scheme}:// is not a place this version can keep state or data"
        raise ConfigError(message, "Use s3://BUCKET/FOLDER, or a local or mounted folder")
    return scheme == "s3" and bool(found)


def local_path(uri: str) -> str:
    """Absolute path of a folder or ``file:`` URI, as :func:`uri_of` writes it."""
    if uri.startswith("file:"):
        return str(Path(unquote(uri.removeprefix("file:").removeprefix("//"))).absolute())
    return str(Path(uri).absolute())


def absolute(uri: str) -> str:
    """A folder's absolute path, or its ``s3://`` URI; without a slash at its end."""
    return uri.rstrip("/") if is_s3(uri) else local_path(uri)


def uri_of(path: str) -> str:
    """An absolute path as a URI; one of S3 is one."""
    return path if is_s3(path) else Path(path).as_uri()


def _made(path: Path, make: Callable[[], _T]) -> _T:
    """Make a file and its folders; whoever removes what is empty may do so in between.

    ``mkdir`` then finds a folder that exists, and is none when it looks again.
    """
    for _ in range(ATTEMPTS):
        with suppress(FileNotFoundError, FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
            return make()
    return make()


def _link(path: str, target: str) -> None:
    """A target that exists is fine."""
    with suppress(FileExistsError):
        os.link(path, target)


def _sync_folder(folder: Path) -> None:
    """A new name survives a power cut only once its folder is synced."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Archives of code, named by what is in them: the same content has the same name, wherever made.

The name is a digest of the members' names and bytes, not of the archive: compressors differ.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import UsageError

_TIME = (1980, 1, 1, 0, 0, 0)  # the least a zip archive can say
_MODE = 0o644 << 16
_DIGITS = 16  # of a digest in a name: 64 bits
Content = bytes | Callable[[], bytes]


@dataclass(frozen=True)
class Artefact:
    """A file that is shipped.

    Args:
        name: Its name at the target, with a digest of its content.
        path: Where it lies here.
    """

    name: str
    path: Path

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size


def plain(folder: Path, name: str, content: bytes) -> Artefact:
    """One file as it is.

    Args:
        folder: Where it is put.
        name: Such as ``ingest.py``.
        content: Its bytes.
    """
    stem, dot, ending = name.partition(".")
    named = f"{stem}-{hashlib.sha256(content).hexdigest()[:_DIGITS]}{dot}{ending}"
    return _made(folder / named, lambda path: path.write_bytes(content))


def packed(
    folder: Path, name: str, members: Mapping[str, Content], digest: str | None = None
) -> Artefact:
    """An archive of some members; one that is there already is not made again.

    Args:
        folder: Where it is put.
        name: Such as ``project.zip``.
        members: Content by name; a function is called when it is written.
        digest: Of the content, where it is known without reading it all.
    """
    stem, dot, ending = name.partition(".")
    found = (digest or _digest(members))[:_DIGITS]

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in sorted(members):
                info = zipfile.ZipInfo(member, _TIME)
                info.external_attr, info.compress_type = _MODE, _compression(member)
                archive.writestr(info, _bytes(members[member]))

    return _made(folder / f"{stem}-{found}{dot}{ending}", write)


def tree(folder: Path, prefix: str) -> dict[str, Content]:
    """The files of a folder as members of an archive; what Python compiled is left out."""
    return {
        f"{prefix}/{one.relative_to(folder).as_posix()}": one.read_bytes
        for one in sorted(folder.rglob("*"))
        if one.is_file() and "__pycache__" not in one.parts and one.suffix != ".pyc"
    }


def file_digest(paths: Iterable[Path]) -> str:
    """One digest of files, by names and bytes."""
    found = hashlib.sha256()
    for path in sorted(paths):
        with path.open("rb") as file:
            own = hashlib.sha256(file.read()).hexdigest()
        found.update(json.dumps([path.name, own]).encode())
    return found.hexdigest()


def _made(path: Path, write: Callable[[Path], object]) -> Artefact:
    """Written beside and moved, so that what has the name is whole."""
    if not path.is_file():
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(beside)
            beside.replace(path)
        except OSError as error:
            message = f"{path} cannot be written: {error.strerror or error}"
            raise UsageError(message, "Make room, or let this user write there") from error
        finally:
            beside.unlink(missing_ok=True)
    return Artefact(path.name, path)


def _digest(members: Mapping[str, Content]) -> str:
    found = hashlib.sha256()
    for name in sorted(members):
        own = hashlib.sha256(_bytes(members[name])).hexdigest()
        found.update(json.dumps([name, own]).encode())
    return found.hexdigest()


def _bytes(content: Content) -> bytes:
    return content if isinstance(content, bytes) else content()


def _compression(member: str) -> int:
    """A wheel is compressed already."""
    return zipfile.ZIP_STORED if member.endswith(".whl") else zipfile.ZIP_DEFLATED

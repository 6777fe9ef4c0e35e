"""What can happen to a file of the ledger, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def _reorder(file: Path) -> None:
    events = sorted(file.parent.iterdir())
    other = events[events.index(file) - 1]
    mine, theirs = file.read_bytes(), other.read_bytes()
    file.write_bytes(theirs)
    other.write_bytes(mine)


HARM: dict[str, Callable[[Path], None]] = {
    "flip": _flip,
    "truncate": _truncate,
    "delete": Path.unlink,
    "reorder": _reorder,
}

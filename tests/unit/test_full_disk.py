"""T37: a disk that is full tears nothing, and is said in one line; with room it goes on."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import cast

import pytest

from penstock.errors import TemporaryError
from penstock.ledger.journal import Journal, State
from penstock.run.context import Context
from penstock.run.ingest import explained
from penstock.run.interruption import full
from penstock.storage import LocalStorage
from tests.ledgers import Ledger

NOW = datetime(2024, 1, 1, tzinfo=timezone.utc)
SIZE = 256  # KB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, which only root can have."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}k", "tmpfs", str(place)]
    try:
        made = subprocess.run(words, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount here")
    if made.returncode:
        pytest.skip("mounting needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def _fill(disk: Path) -> Path:
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space"):
        _pour(filler)
    return filler


def _pour(filler: Path) -> None:
    with filler.open("wb") as file:
        for _ in range(2 * SIZE):
            file.write(b"x" * 1024)
            file.flush()


@pytest.mark.shows("5.6")
def test_t37_a_full_disk_tears_no_event(disk: Path) -> None:
    """Neither the name nor a part of it is there; with room the same driver goes on."""
    journal = Journal(LocalStorage(), str(disk / "ledger"))
    journal.append(State.CLAIMED, 1, {}, NOW)
    filler = _fill(disk)
    before = sorted(one.name for one in (disk / "ledger").iterdir())
    with pytest.raises(OSError, match="No space") as caught:
        journal.append(State.PLANNED, 1, {"pins": "x" * 9_000}, NOW)
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space"):
        LocalStorage().write(str(disk / "ledger" / "lease"), b"x" * 9_000)
    assert sorted(one.name for one in (disk / "ledger").iterdir()) == before
    filler.unlink()
    journal.append(State.PLANNED, 1, {"pins": "x" * 9_000}, NOW)
    assert Journal(LocalStorage(), journal.folder).refresh().state is State.PLANNED


@pytest.mark.shows("5.6")
def test_t37_the_folder_that_is_full_is_named(disk: Path, tmp_path: Path) -> None:
    """75, in one line, whoever met it: Python, Arrow or Java."""
    _fill(disk)
    settings = Ledger(disk).settings
    (disk / "state").mkdir()
    context = cast("Context", Ledger(disk))

    assert settings.state == str(disk / "state")
    said = f"^no space in {disk}/state. Make"
    with pytest.raises(TemporaryError, match=said) as caught, explained(context):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(caught.value).count("\n") == 0
    java = RuntimeError("Job aborted.\njava.io.IOException: No space left on device\n\tat x")
    folders = [str(tmp_path), str(disk), str(tmp_path / "none")]
    for error in (java, OSError(errno.EDQUOT, "quota")):
        assert f"no space in {disk}." in str(full(error, folders))
    wrapped = ValueError("while staging")
    wrapped.__cause__ = java
    assert full(wrapped, folders) is not None
    assert full(OSError(errno.EACCES, "denied"), folders) is None

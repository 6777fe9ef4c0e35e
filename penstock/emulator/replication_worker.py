"""Offline replication: a thread that turns waiting rows into files, some seconds later.

Rows are first claimed by a file whose name and write time are recorded, then the file is written,
then row and claim are deleted, together with what makes the file visible in the catalogue. A claim
that its maker left is taken over when its lease is out; the file comes out the same.
"""

from __future__ import annotations

import json
import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from penstock.emulator import buckets, replication_files, replication_iceberg
from penstock.emulator.catalog import Catalog
from penstock.emulator.database import Database
from penstock.emulator.replication import Target, set_blocked, target
from penstock.emulator.replication_files import Pending
from penstock.emulator.replication_tables import add_partition

#: Seconds between the write of a row and its file, unless told otherwise. The service: 15 minutes.
DELAY = 5.0
#: Rows one claim takes at most: bounds how long the write lock is held.
MAX_ROWS = 5_000
MAX_FILES = 64
#: Seconds after which another worker may take a claim over; only work is lost when it is too short.
LEASE = 5.0
TICK = 0.25
#: Seconds a server that ends takes at most to write what waits.
FAREWELL = 10.0

_log = logging.getLogger(__name__)


class _File(NamedTuple):
    id: int
    group: int
    name: str
    keys: tuple[str, ...]
    written: int


class Replicator:
    """The worker of one server process, as a context manager; leaving it writes what waits.

    Args:
        data: Folder of the embedded AWS.
        delay: Seconds a row waits at least.
        clock: Epoch seconds, the same as the server's.
    """

    def __init__(self, data: Path, delay: float, clock: Callable[[], float]) -> None:
        self._data = data
        self._delay = delay
        self._clock = clock
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="offline-replication", daemon=True)

    def __enter__(self) -> Replicator:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join(FAREWELL + LEASE)

    def _run(self) -> None:
        database = Database(self._data)
        work = Replication(self._data, database, self._clock)
        try:
            while not self._end.wait(TICK):
                _tick(work, self._delay, self._end.is_set)
            last = time.monotonic() + FAREWELL
            _tick(work, float("-inf"), lambda: time.monotonic() > last)
        finally:
            database.close()


def _tick(work: Replication, delay: float, ended: Callable[[], bool]) -> None:
    try:
        while work.step(delay) and not ended():
            pass
    except Exception:  # noqa: BLE001 - the thread must outlive whatever one tick meets
        _log.exception("offline replication stopped short; it goes on with the next tick")


class Replication:
    """One connection's share of the work; belongs to the thread that made it.

    Args:
        data: Folder of the embedded AWS.
        database: Its database.
        clock: Epoch seconds.
        chance: Makes the random parts of names.
    """

    def __init__(
        self,
        data: Path,
        database: Database,
        clock: Callable[[], float],
        chance: random.Random | None = None,
    ) -> None:
        self._data = data
        self._database = database
        self._run = database.connection.execute
        self._clock = clock
        self._chance = chance or random.Random()
        self._catalog = Catalog(database.connection, clock)
        self._known: set[int] = set()

    def step(self, delay: float) -> bool:
        """Claim rows that waited for ``delay`` seconds and write some files; False when idle."""
        self._make_tables()
        claimed = self._claim_due(delay)
        files = self._take()
        for group in {one.group for one in files}:
            own = [one for one in files if one.group == group]
            self._attempt(group, partial(self._write, group, own))
        return claimed or bool(files)

    def _make_tables(self) -> None:
        """New Iceberg tables get their metadata, or their group is blocked from the start."""
        groups = {group for (group,) in self._run("SELECT group_id FROM replication_target")}
        for group in groups - self._known:
            self._known.add(group)
            where = target(self._database.connection, group)
            if where.iceberg:
                self._attempt(group, self._table(where).make)

    def _claim_due(self, delay: float) -> bool:
        """A group's buffer is emptied whole when its oldest row is due."""
        due = self._clock() * 1000 - delay * 1000
        groups = [
            group
            for (group,) in self._run("SELECT group_id FROM replication_target").fetchall()
            if (oldest := self._oldest(group)) is not None and oldest <= due
        ]
        for group in groups:
            with self._database.transaction(write=True):
                self._claim(group)
        return bool(groups)

    def _oldest(self, group: int) -> int | None:
        row = self._run(
            "SELECT received FROM replication_row WHERE file_id IS NULL AND group_id=? "
            "ORDER BY position LIMIT 1",
            (group,),
        ).fetchone()
        return None if row is None else int(row[0])

    def _claim(self, group: int) -> None:
        where = target(self._database.connection, group)
        parts: dict[tuple[str, ...], list[tuple[int, str | float]]] = {}
        for position, instant in self._run(
            "SELECT position, instant FROM replication_row WHERE file_id IS NULL AND group_id=? "
            "ORDER BY position LIMIT ?",
            (group, MAX_ROWS),
        ).fetchall():
            parts.setdefault(replication_files.partition(where, instant), []).append(
                (position, instant)
            )
        for keys, rows in parts.items():
            latest = max(instant for _, instant in rows)
            name = replication_files.file_name(where, keys, latest, self._chance)
            made = self._run(
                "INSERT INTO replication_file(group_id, name, keys, written, lease) "
                "VALUES (?, ?, ?, ?, 0)",
                (group, name, json.dumps(keys), int(self._clock() * 1000)),
            )
            self._database.connection.executemany(
                "UPDATE replication_row SET file_id=? WHERE position=?",
                [(made.lastrowid, position) for position, _ in rows],
            )

    def _take(self) -> list[_File]:
        """Claims that nobody works on, now ours for a while."""
        if self._run("SELECT 1 FROM replication_file LIMIT 1").fetchone() is None:
            return []
        now = time.time()
        with self._database.transaction(write=True):
            found = self._run(
                "SELECT id, group_id, name, keys, written FROM replication_file WHERE lease<=? "
                "ORDER BY id LIMIT ?",
                (now, MAX_FILES),
            ).fetchall()
            self._database.connection.executemany(
                "UPDATE replication_file SET lease=? WHERE id=?",
                [(now + LEASE, row[0]) for row in found],
            )
        return [
            _File(number, group, name, tuple(json.loads(keys)), written)
            for number, group, name, keys, written in found
        ]

    def _write(self, group: int, files: Sequence[_File]) -> None:
        """Write files of one group and finish them."""
        where = target(self._database.connection, group)
        done = [one for one in files if self._write_file(where, one)]
        if where.iceberg:
            self._append(where, done)
            return
        with self._database.transaction(write=True):
            self._finish(where, done)

    def _attempt(self, group: int, work: Callable[[], None]) -> None:
        """Do it, or say why the group is blocked."""
        try:
            work()
        except sqlite3.Error:
            raise
        except Exception as problem:  # noqa: BLE001 - whatever it is, the group is blocked by it
            _log.debug("feature group %s is blocked", group, exc_info=True)
            with self._database.transaction(write=True):
                set_blocked(self._database.connection, group, str(problem) or repr(problem))

    def _write_file(self, where: Target, file: _File) -> bool:
        """False when somebody else finished the file."""
        with self._database.transaction(write=False):
            if not self._is_open(file):
                return False
            rows = [
                Pending(*row)
                for row in self._run(
                    "SELECT received, identifier, event_time, body FROM replication_row "
                    "WHERE file_id=? ORDER BY position",
                    (file.id,),
                )
            ]
        path = self._folder(where) / file.name
        replication_files.write(path, self._data / "unfinished", where, rows, file.written)
        return True

    def _append(self, where: Target, files: Sequence[_File]) -> None:
        """The table's new metadata and the end of the claims are one transaction."""

        def finish() -> bool:
            still = all(self._is_open(one) for one in files)
            if still:
                self._finish(where, files)
            return still

        uris = [f"{where.uri}/{one.name}" for one in files]
        self._table(where).append(uris, finish)

    def _table(self, where: Target) -> replication_iceberg.Table:
        return replication_iceberg.Table(self._data, self._database, self._catalog, where)

    def _finish(self, where: Target, files: Sequence[_File]) -> None:
        for file in files:
            if not self._is_open(file):
                continue
            self._run("DELETE FROM replication_row WHERE file_id=?", (file.id,))
            self._run("DELETE FROM replication_file WHERE id=?", (file.id,))
            if not where.iceberg:
                add_partition(self._catalog, where, list(file.keys))
        if files:
            set_blocked(self._database.connection, files[0].group, None)

    def _is_open(self, file: _File) -> bool:
        row = self._run("SELECT 1 FROM replication_file WHERE id=?", (file.id,)).fetchone()
        return row is not None

    def _folder(self, where: Target) -> Path:
        try:
            return buckets.folder(self._data, where.uri)
        except ValueError as problem:
            raise OSError(f"{where.uri}: {problem}") from None

"""What every runtime write did, for tests: one row per record, in the order of application.

Off by default. ``applied`` says whether the online record became this one, ``fault`` what a script
did, ``answered`` whether the client was sent the outcome. ``payload_hash`` is SHA-256 of the stored
JSON text. It lies in the database, so that it and the records always agree, and can be read while
the server runs.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

_INSERT = """
INSERT INTO journal(nanos, request_id, operation, feature_group, identifier, event_time,
                    payload_hash, stores, applied, fault, answered)
VALUES (?,?,?,?,?,?,?,?,?,?,?)
"""
_SELECT = """
SELECT nanos, request_id, operation, feature_group, identifier, event_time, payload_hash, stores,
       applied, fault, answered FROM journal WHERE position>? ORDER BY position
"""


class Entry(NamedTuple):
    """One write: monotonic nanoseconds, what it was, and what became of it.

    Args:
        nanos: Of the system's monotonic clock, comparable between processes of one machine.
        request_id: Of the answer.
        operation: PutRecord, BatchWriteRecord, DeleteRecord or UpdateRecord.
        group: Name of the group.
        identifier: Record identifier, empty when the request does not show it.
        event_time: Its text, empty when the request does not show it.
        payload_hash: SHA-256 of the stored JSON, empty for what was not stored.
        stores: OnlineStore, OfflineStore or both.
        applied: Whether the online record became this one.
        fault: Name of the fault that struck, None for none.
        answered: Whether the outcome was sent whole.
    """

    nanos: int
    request_id: str
    operation: str
    group: str
    identifier: str
    event_time: str
    payload_hash: str
    stores: str
    applied: bool
    fault: str | None
    answered: bool = True


class Journal:
    """Writes the journal inside the caller's transaction.

    Args:
        connection: Of the database.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: list[tuple[Any, ...]] = []

    def record(
        self,
        request_id: str,
        operation: str,
        *,
        group: str,
        identifier: str,
        event_time: str = "",
        body: str | None = None,
        stores: str = "",
        applied: bool = False,
        fault: str | None = None,
        answered: bool = True,
    ) -> None:
        """Add one write; it is stored by ``flush``."""
        digest = hashlib.sha256(body.encode()).hexdigest() if body is not None else ""
        row = (time.monotonic_ns(), request_id, operation, group, identifier, event_time)
        self._rows.append((*row, digest, stores, applied, fault, answered))

    def flush(self) -> None:
        """Store what was recorded; before the commit."""
        rows, self._rows = self._rows, []
        self._connection.executemany(_INSERT, rows)

    def mark(self) -> int:
        """A place to come back to with ``forget``."""
        return len(self._rows)

    def forget(self, mark: int = 0) -> None:
        """Drop what was recorded since a mark: it was undone."""
        del self._rows[mark:]


def read(folder: Path, after: int = 0) -> list[Entry]:
    """The journal in a data folder, oldest first, from behind the first ``after`` entries."""
    with closing(sqlite3.connect(folder / "emulator.sqlite")) as connection:
        return list(_entries(connection, after))


def export(folder: Path, file: Path) -> int:
    """Write the journal as JSON lines; returns how many."""
    count = 0
    with closing(sqlite3.connect(folder / "emulator.sqlite")) as connection, file.open("w") as out:
        for entry in _entries(connection, 0):
            out.write(json.dumps(entry._asdict()) + "\n")
            count += 1
    return count


def _entries(connection: sqlite3.Connection, after: int) -> Iterator[Entry]:
    for row in connection.execute(_SELECT, (after,)):
        yield Entry._make((*row[:8], bool(row[8]), row[9], bool(row[10])))

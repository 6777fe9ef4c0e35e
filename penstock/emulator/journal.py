"""What every runtime write did, for tests: one row per record, in the order of application.

Off by default. ``applied`` says whether the online record became this one; a row with a ``fault``
was kept from being applied by a script. ``payload_hash`` is SHA-256 of the stored JSON text.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

_INSERT = """
INSERT INTO journal(nanos, request_id, operation, feature_group, identifier, event_time,
                    payload_hash, stores, applied, fault) VALUES (?,?,?,?,?,?,?,?,?,?)
"""
_SELECT = """
SELECT nanos, request_id, operation, feature_group, identifier, event_time, payload_hash, stores,
       applied, fault FROM journal ORDER BY position
"""


class Entry(NamedTuple):
    """One write: monotonic nanoseconds, what it was, and whether it was applied."""

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


class Journal:
    """Writes the journal inside the caller's transaction.

    Args:
        connection: Of the database.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

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
    ) -> None:
        """Add one write."""
        digest = hashlib.sha256(body.encode()).hexdigest() if body is not None else ""
        row = (time.monotonic_ns(), request_id, operation, group, identifier, event_time)
        self._connection.execute(_INSERT, (*row, digest, stores, applied, fault))


def read(folder: Path) -> list[Entry]:
    """All entries of the journal in a data folder, oldest first."""
    with closing(sqlite3.connect(folder / "emulator.sqlite")) as connection:
        return [
            Entry._make((*row[:8], bool(row[8]), row[9])) for row in connection.execute(_SELECT)
        ]

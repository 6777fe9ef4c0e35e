"""One SQLite file holds all state; several server processes may have it open at once.

WAL with synchronous=NORMAL: what was committed survives the end of any process. A power cut is not
covered: the last commits before it may be missing afterwards, though the file stays whole.
Nothing is kept in memory across requests but what ``generation`` guards.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Milliseconds to wait for the write lock of another server process.
BUSY_MILLIS = 20_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS feature_group (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS record (
  group_id INTEGER NOT NULL, identifier TEXT NOT NULL,
  instant NOT NULL, deleted INTEGER NOT NULL, ttl INTEGER, expires INTEGER, body TEXT,
  PRIMARY KEY (group_id, identifier));
CREATE INDEX IF NOT EXISTS record_expires ON record(expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS journal (
  position INTEGER PRIMARY KEY, nanos INTEGER NOT NULL, request_id TEXT NOT NULL,
  operation TEXT NOT NULL, feature_group TEXT NOT NULL, identifier TEXT NOT NULL,
  event_time TEXT NOT NULL, payload_hash TEXT NOT NULL, stores TEXT NOT NULL,
  applied INTEGER NOT NULL, fault TEXT, answered INTEGER NOT NULL DEFAULT 1);
CREATE TABLE IF NOT EXISTS glue_database (name TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS glue_table (
  database TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, document TEXT NOT NULL,
  PRIMARY KEY (database, name));
CREATE TABLE IF NOT EXISTS glue_partition (
  database TEXT NOT NULL, name TEXT NOT NULL, keys TEXT NOT NULL, document TEXT NOT NULL,
  PRIMARY KEY (database, name, keys));
INSERT OR IGNORE INTO meta VALUES ('groups', 0);
"""


class Database:
    """A connection to the state in a folder, for one thread.

    Args:
        folder: Where ``emulator.sqlite`` lies or is made.
    """

    def __init__(self, folder: Path) -> None:
        self.connection = sqlite3.connect(folder / "emulator.sqlite", isolation_level=None)
        run = self.connection.execute
        run(f"PRAGMA busy_timeout={BUSY_MILLIS}")
        self._enter_wal()
        run("PRAGMA synchronous=NORMAL")
        run("PRAGMA cache_size=-65536")
        run("PRAGMA wal_autocheckpoint=8192")
        with self.transaction(write=True):
            for statement in _SCHEMA.split(";\n"):
                run(statement)
            self._add_columns()

    def _enter_wal(self) -> None:
        """Processes that start at once on a new file find it locked; SQLite does not wait here."""
        deadline = time.monotonic() + BUSY_MILLIS / 1000
        while True:
            try:
                self.connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def _add_columns(self) -> None:
        """What tables of older folders lack."""
        columns = {row[1] for row in self.connection.execute("PRAGMA table_info(journal)")}
        if "answered" not in columns:
            self.connection.execute(
                "ALTER TABLE journal ADD COLUMN answered INTEGER NOT NULL DEFAULT 1"
            )

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[None]:
        """One transaction; the write lock is taken at once, so that reads in it stay true."""
        self.connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:  # SQLite undoes some failures itself
                self.connection.execute("ROLLBACK")
            raise

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of a transaction that is undone alone when it raises."""
        self.connection.execute("SAVEPOINT call")
        try:
            yield
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK TO call")
                self.connection.execute("RELEASE call")
            raise
        self.connection.execute("RELEASE call")

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

"""What waits for the offline store: rows kept beside the online records, in the same transaction.

A group's *target* says where its rows go and outlives the group: what was acknowledged is still
written after DeleteFeatureGroup. ``replication_worker`` takes rows out; a row stays until the file
that has it is complete, so that no kill loses one or writes one twice.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.emulator.store import Write

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replication_target (
  group_id INTEGER PRIMARY KEY, document TEXT NOT NULL, blocked TEXT);
CREATE TABLE IF NOT EXISTS replication_row (
  position INTEGER PRIMARY KEY, group_id INTEGER NOT NULL, file_id INTEGER,
  received INTEGER NOT NULL, instant NOT NULL, identifier TEXT NOT NULL,
  event_time TEXT NOT NULL, body TEXT);
CREATE INDEX IF NOT EXISTS replication_row_file ON replication_row(file_id, group_id);
CREATE TABLE IF NOT EXISTS replication_file (
  id INTEGER PRIMARY KEY AUTOINCREMENT, group_id INTEGER NOT NULL, name TEXT NOT NULL,
  keys TEXT NOT NULL, written INTEGER NOT NULL, lease REAL NOT NULL)
"""
_INSERT = (
    "INSERT INTO replication_row(group_id, received, instant, identifier, event_time, body) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True)
class Target:
    """Where the rows of a feature group go, and how they look.

    Args:
        identifier: Name of the record identifier feature.
        event_time: Name of the event time feature.
        features: Name and type of each feature, in order.
        uri: ResolvedOutputS3Uri.
        iceberg: Whether the table format is Iceberg.
        database: Glue database, None for a group without a table of the service's making.
        table: Glue table in it.
    """

    identifier: str
    event_time: str
    features: tuple[tuple[str, str], ...]
    uri: str
    iceberg: bool
    database: str | None = None
    table: str | None = None


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables where they are missing."""
    for statement in _SCHEMA.split(";\n"):
        connection.execute(statement)


def enqueue(connection: sqlite3.Connection, writes: Sequence[Write], now: int) -> None:
    """Keep for the offline store what is to go there; call it where the write is acknowledged.

    Args:
        connection: Within the transaction of the write.
        writes: Records, None as body for a deletion; those with ``offline`` are kept.
        now: Milliseconds since the epoch, the row's ``api_invocation_time``.
    """
    rows = [
        (one.group.id, now, one.instant, one.identifier, one.event_time, one.body)
        for one in writes
        if one.offline
    ]
    if rows:
        connection.executemany(_INSERT, rows)


def pending(connection: sqlite3.Connection) -> int:
    """Rows that are in no complete file yet."""
    (count,) = connection.execute("SELECT count(*) FROM replication_row").fetchone()
    return int(count)


def set_target(
    connection: sqlite3.Connection, group: int, target: Target, blocked: str | None = None
) -> None:
    """Say where the rows of a group go; ``blocked`` says why they cannot, as of now."""
    connection.execute(
        "INSERT INTO replication_target VALUES (?1, ?2, ?3) ON CONFLICT(group_id) "
        "DO UPDATE SET document=?2, blocked=coalesce(?3, blocked)",
        (group, json.dumps(asdict(target)), blocked),
    )


def target(connection: sqlite3.Connection, group: int) -> Target:
    """The target of a group that has one."""
    (text,) = connection.execute(
        "SELECT document FROM replication_target WHERE group_id=?", (group,)
    ).fetchone()
    found = json.loads(text)
    features = tuple((name, kind) for name, kind in found.pop("features"))
    return Target(features=features, **found)


def blocked(connection: sqlite3.Connection, group: int) -> str | None:
    """Why the rows of a group are not written, None while they are."""
    row = connection.execute(
        "SELECT blocked FROM replication_target WHERE group_id=?", (group,)
    ).fetchone()
    return None if row is None else row[0]


def set_blocked(connection: sqlite3.Connection, group: int, reason: str | None) -> None:
    """Block or unblock the offline store of a group."""
    connection.execute("UPDATE replication_target SET blocked=? WHERE group_id=?", (reason, group))

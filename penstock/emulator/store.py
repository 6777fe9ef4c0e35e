"""Records in the database: the event-time guard, deletion and expiry.

``apply`` is the only door for puts and soft deletes. Without a journal it collects rows and writes
them with one statement at the end of the transaction, or before anything is read. An expired record
counts as absent; whether its event time still guards is a setting. After a soft delete the time of
the deletion guards; after a hard delete nothing does (not verified on AWS).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from penstock.emulator import replication
from penstock.emulator.groups import Group
from penstock.emulator.instants import epoch_millis, iso_text
from penstock.emulator.journal import Journal
from penstock.emulator.records import Key
from penstock.emulator.services import Call

Ties = Literal["ignore", "apply"]
Expiry = Literal["forget", "guard"]

_UPSERT = """
INSERT INTO record(group_id, identifier, instant, deleted, ttl, expires, body)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT(group_id, identifier) DO UPDATE SET instant=excluded.instant, deleted=excluded.deleted,
  ttl=excluded.ttl, expires=excluded.expires, body=excluded.body
WHERE excluded.instant {newer} instant{expired}
"""
_GET = """
SELECT instant, deleted, ttl, expires, body FROM record
WHERE group_id=? AND identifier=? AND (expires IS NULL OR expires>?) AND deleted<2
"""
_LIST = """
SELECT identifier FROM record WHERE group_id=? AND identifier>? AND deleted<=?
  AND (expires IS NULL OR expires>?) ORDER BY identifier LIMIT ?
"""
_EXPIRED = """
SELECT group_id, identifier, instant, expires FROM record WHERE expires<=? ORDER BY expires LIMIT ?
"""
#: ``deleted`` of a record that expired where expiry keeps its event time.
_GONE = 2


class Write(NamedTuple):
    """One record to write; ``body`` is None for a soft delete."""

    group: Group
    identifier: str
    event_time: str
    instant: Key
    body: str | None
    ttl: int | None
    online: bool
    offline: bool


class Row(NamedTuple):
    """An unexpired record as it is kept."""

    instant: Key
    deleted: bool
    ttl: int | None
    expires: int | None
    body: str | None

    def values(self) -> dict[str, Any]:
        """Feature name to text, or list of texts for a collection."""
        loaded: dict[str, Any] = json.loads(self.body or "{}")
        return loaded


class Store:
    """The online records.

    Args:
        connection: Of the database; calls belong inside a transaction.
        clock: Epoch seconds.
        ties: Whether an equal event time is ignored or applied; the documents disagree.
        journal: Where writes are recorded, or None.
        expiry: Whether an older record may come back once a newer one has expired: ``forget`` lets
            it, ``guard`` does not; not documented.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        clock: Callable[[], float],
        ties: Ties,
        journal: Journal | None,
        expiry: Expiry = "forget",
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._ties = ties
        self._expiry = expiry
        self._upsert = _UPSERT.format(
            newer=">" if ties == "ignore" else ">=",
            expired=" OR expires <= ?8" if expiry == "forget" else " AND ?8 IS NOT NULL",
        )
        self._journal = journal
        self._rows: list[tuple[Any, ...]] = []

    def apply(self, call: Call, writes: Sequence[Write]) -> None:
        """Write each record unless a newer one is there."""
        now = self._now()
        if any(write.offline for write in writes):
            replication.enqueue(self._connection, writes, now)
        if self._journal is None:
            self._rows += [_row(write, now) for write in writes if write.online]
            return
        for write in writes:
            applied = False
            if write.online:
                applied = self._connection.execute(self._upsert, _row(write, now)).rowcount > 0
            self._note(call, write, applied=applied)

    def skip(self, call: Call, write: Write, fault: str) -> None:
        """Note a record of a batch that a script kept from being written."""
        if self._journal is not None:
            self._note(call._replace(fault=fault), write, applied=False)

    def flush(self) -> None:
        """Write what ``apply`` collected; before a commit and before any other access."""
        if self._rows:
            rows, self._rows = self._rows, []
            self._connection.executemany(self._upsert, rows)

    def forget(self) -> None:
        """Drop what was collected: its transaction is undone."""
        self._rows = []

    def remove(self, call: Call, write: Write) -> bool:
        """Hard delete; False and nothing done when the record is not older than the deletion."""
        found = self.get(write.group, write.identifier)
        wins = found is None or self._is_newer(write.instant, found.instant)
        if wins and write.online:
            self._connection.execute(
                "DELETE FROM record WHERE group_id=? AND identifier=?",
                (write.group.id, write.identifier),
            )
        if wins and write.offline:
            replication.enqueue(self._connection, [write], self._now())
        self._note(call, write, applied=wins and write.online)
        return wins

    def replace(self, call: Call, write: Write) -> None:
        """Overwrite a record whatever its event time."""
        row = _row(write, 0)
        self._connection.execute(
            "UPDATE record SET instant=?3, deleted=?4, ttl=?5, expires=?6, body=?7 "
            "WHERE group_id=?1 AND identifier=?2",
            row[:7],
        )
        if write.offline:
            replication.enqueue(self._connection, [write], self._now())
        self._note(call, write, applied=True)

    def get(self, group: Group, identifier: str) -> Row | None:
        """The record or its tombstone."""
        row = self._connection.execute(_GET, (group.id, identifier, self._now())).fetchone()
        return None if row is None else Row(row[0], bool(row[1]), *row[2:])

    def identifiers(self, group: Group, after: str, limit: int, *, deleted: bool) -> list[str]:
        """Identifiers in order, from behind ``after``."""
        values = (group.id, after, int(deleted), self._now(), limit)
        return [identifier for (identifier,) in self._connection.execute(_LIST, values)]

    def expired(self) -> bool:
        """Whether a record waits for ``sweep``."""
        return self._connection.execute(_EXPIRED, (self._now(), 1)).fetchone() is not None

    def sweep(self, group_of: Callable[[int], Group | None], limit: int = 1000) -> int:
        """Delete expired records, with a deletion for the offline store of a group that has one.

        The deletion's event time is the moment of expiry (not documented). Returns how many.
        """
        now = self._now()
        found = self._connection.execute(_EXPIRED, (now, limit)).fetchall()
        for group_id, identifier, instant, expires in found:
            if self._expiry == "forget":
                statement = "DELETE FROM record WHERE group_id=? AND identifier=?"
            else:
                statement = (
                    f"UPDATE record SET deleted={_GONE}, body=NULL, ttl=NULL, expires=NULL "  # noqa: S608 - a constant
                    "WHERE group_id=? AND identifier=?"
                )
            self._connection.execute(statement, (group_id, identifier))
            group = group_of(group_id)
            if group is not None and group.offline:
                text = iso_text(expires) if isinstance(instant, str) else repr(expires / 1000)
                key = group.layout.instant(text)
                gone = Write(group, identifier, text, key, None, None, online=True, offline=True)
                replication.enqueue(self._connection, [gone], now)
        return len(found)

    def _is_newer(self, new: Key, old: Key) -> bool:
        if new == old:
            return self._ties == "apply"
        return bool(new > old)  # type: ignore[operator] # within a group keys are of one type

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _note(self, call: Call, write: Write, *, applied: bool) -> None:
        if self._journal is not None:
            named = (("OnlineStore", write.online), ("OfflineStore", write.offline))
            self._journal.record(
                call.request_id,
                call.operation,
                group=write.group.name,
                identifier=write.identifier,
                event_time=write.event_time,
                body=write.body,
                stores=",".join(name for name, wanted in named if wanted),
                applied=applied,
                fault=call.fault,
                answered=call.answered,
            )


def _row(write: Write, now: int) -> tuple[Any, ...]:
    ttl = write.ttl
    expires = None if ttl is None else epoch_millis(write.instant) + ttl * 1000
    deleted = int(write.body is None)
    return (
        write.group.id, write.identifier, write.instant, deleted, ttl, expires, write.body, now,
    )  # fmt: skip

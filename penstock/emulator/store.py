"""Records in the database: the event-time guard, deletion and expiry.

``apply`` is the only door for puts and soft deletes, so that offline replication is one more
consumer of the same writes. An expired record counts as absent. After a soft delete the time of the
deletion stays and guards; after a hard delete nothing does (not verified on AWS).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from penstock.emulator.groups import Group
from penstock.emulator.instants import epoch_millis
from penstock.emulator.journal import Journal
from penstock.emulator.records import Key
from penstock.emulator.services import Call

Ties = Literal["ignore", "apply"]

_UPSERT = """
INSERT INTO record(group_id, identifier, instant, deleted, ttl, expires, body)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT(group_id, identifier) DO UPDATE SET instant=excluded.instant, deleted=excluded.deleted,
  ttl=excluded.ttl, expires=excluded.expires, body=excluded.body
WHERE excluded.instant {newer} instant OR expires <= ?8
"""
_LIST = """
SELECT identifier FROM record WHERE group_id=? AND identifier>? AND deleted<=?
  AND (expires IS NULL OR expires>?) ORDER BY identifier LIMIT ?
"""


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
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        clock: Callable[[], float],
        ties: Ties,
        journal: Journal | None,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._ties = ties
        self._upsert = _UPSERT.format(newer=">" if ties == "ignore" else ">=")
        self._journal = journal

    def apply(self, call: Call, writes: Sequence[Write]) -> None:
        """Write each record unless a newer one is there."""
        now = self._now()
        if self._journal is None:
            rows = [_row(write, now) for write in writes if write.online]
            self._connection.executemany(self._upsert, rows)
            return
        for write in writes:
            applied = False
            if write.online:
                applied = self._connection.execute(self._upsert, _row(write, now)).rowcount > 0
            self._note(call, write, applied=applied)

    def remove(self, call: Call, write: Write) -> bool:
        """Hard delete; False and nothing done when the record is not older than the deletion."""
        found = self.get(write.group, write.identifier)
        wins = found is None or self._is_newer(write.instant, found.instant)
        if wins and write.online:
            self._connection.execute(
                "DELETE FROM record WHERE group_id=? AND identifier=?",
                (write.group.id, write.identifier),
            )
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
        self._note(call, write, applied=True)

    def get(self, group: Group, identifier: str) -> Row | None:
        """The record or its tombstone."""
        row = self._connection.execute(
            "SELECT instant, deleted, ttl, expires, body FROM record "
            "WHERE group_id=? AND identifier=? AND (expires IS NULL OR expires>?)",
            (group.id, identifier, self._now()),
        ).fetchone()
        return None if row is None else Row(row[0], bool(row[1]), *row[2:])

    def identifiers(self, group: Group, after: str, limit: int, *, deleted: bool) -> list[str]:
        """Identifiers in order, from behind ``after``."""
        values = (group.id, after, int(deleted), self._now(), limit)
        return [identifier for (identifier,) in self._connection.execute(_LIST, values)]

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
            )


def _row(write: Write, now: int) -> tuple[Any, ...]:
    ttl = write.ttl
    expires = None if ttl is None else epoch_millis(write.instant) + ttl * 1000
    deleted = int(write.body is None)
    return (
        write.group.id, write.identifier, write.instant, deleted, ttl, expires, write.body, now,
    )  # fmt: skip

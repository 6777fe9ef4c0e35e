"""The two stores as the service and Delta have them: a register for each identifier, and a table.

Online: PutRecord and soft deletions keep the greatest event time; UpdateRecord needs a record that
is not newer; a hard deletion, and the end of a time to live, leave nothing behind (AWS API
reference; not verified on AWS). Offline: one transaction at a time, each at most once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Batch = tuple[int, int]  # window, generation
Key = tuple[int, int]  # identifier, event time
Kind = Literal["put", "delete", "update"]
Answer = Literal["accepted", "skipped", "rejected", "gone", "lost"]


class Row(NamedTuple):
    """A row; the service refuses a negative value, the gate puts zero aside.

    Args:
        identifier: Record identifier.
        at: Event time.
        value: All other features.
        gone: Deletes the record.
        brief: Has a time to live.
    """

    identifier: int
    at: int
    value: int
    gone: bool = False
    brief: bool = False

    @property
    def key(self) -> Key:
        """Identifier and event time."""
        return self.identifier, self.at


class Call(NamedTuple):
    """One row of a send file: what is asked of the service, for which of its stores."""

    kind: Kind
    row: Row
    online: bool = True
    offline: bool = False


class Request(NamedTuple):
    """A call on its way.

    Args:
        call: What is asked.
        batch: For which window and generation.
        since: When the driver's online step began.
    """

    call: Call
    batch: Batch
    since: int


class Commit(NamedTuple):
    """One version of the table."""

    name: str
    version: int
    rows: tuple[Row, ...]
    present: int
    api: int
    tick: int


def transaction_name(window: int) -> str:
    """The transaction of a window's appends; its version is the generation."""
    return f"window {window}"


@dataclass
class Table:
    """The offline table."""

    commits: list[Commit] = field(default_factory=list)
    current: dict[Key, tuple[tuple[int, int], Row]] = field(default_factory=dict)
    events: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    ever_appended: set[Row] = field(default_factory=set)
    doubles: list[Row] = field(default_factory=list)

    @property
    def version(self) -> int | None:
        """Of the table; None where there is none."""
        return len(self.commits) or None

    def find(self, name: str, version: int, last: int) -> Commit | None:
        """A commit by its transaction, among the last ones."""
        for one in self.commits[-last:]:
            if one.name == name and one.version == version:
                return one
        return None

    def knows(self, name: str, version: int) -> bool:
        """Whether a transaction of that name is as far."""
        return any(one.name == name and one.version >= version for one in self.commits)

    def append(self, commit: Commit, write: int) -> None:
        """Rows of a commit; a row that is the current one of its key already is a double."""
        self.commits.append(commit)
        for row in commit.rows:
            found = self.current.get(row.key)
            if found is not None and found[1] == row:
                self.doubles.append(row)
            if found is None or found[0] <= (commit.api, write):
                self.current[row.key] = ((commit.api, write), row)
            self.ever_appended.add(row)
            self.events[row.identifier].append((commit.tick, row.at))

    def value(self, key: Key) -> Row | None:
        """The current row of a key."""
        found = self.current.get(key)
        return None if found is None else found[1]

    def newest(self, identifier: int) -> int:
        """The newest event time of an identifier; -1 where there is none."""
        return max((at for _, at in self.events.get(identifier, ())), default=-1)

    def knew(self, row: Row, tick: int) -> bool:
        """Whether there was a newer event of the row's identifier before a moment."""
        return any(at > row.at and when < tick for when, at in self.events.get(row.identifier, ()))


@dataclass
class Online:
    """The online store.

    Args:
        hard: How records are deleted.
        update_checks: Whether UpdateRecord looks at the record that is there.
    """

    hard: bool
    update_checks: bool
    records: dict[int, Row] = field(default_factory=dict)
    seen: dict[int, int] = field(default_factory=dict)
    horizon: int = 0
    returned: list[Request] = field(default_factory=list)
    service: set[Row] = field(default_factory=set)

    def serve(self, request: Request) -> Answer:
        """Do what is asked."""
        call = request.call
        row = call.row
        if row.value < 0:
            return "rejected"
        if call.offline:
            self.service.add(row)
        if not call.online:
            return "accepted"
        if call.kind == "put":
            return self._put(request)
        return self._update(request) if call.kind == "update" else self._delete(request)

    def expire(self, horizon: int) -> None:
        """Remove records whose time to live is over at a moment."""
        self.horizon = horizon
        for row in list(self.records.values()):
            if self.expired(row):
                del self.records[row.identifier]

    def expired(self, row: Row) -> bool:
        """Whether its time to live is over; a deletion has none."""
        return row.brief and not row.gone and row.at < self.horizon

    def _put(self, request: Request) -> Answer:
        row = request.call.row
        found = self.records.get(row.identifier)
        if not self.expired(row) and (found is None or row.at > found.at):
            self._hold(request)
        return "accepted"

    def _update(self, request: Request) -> Answer:
        row = request.call.row
        found = self.records.get(row.identifier)
        if self.update_checks:
            if found is None or found.gone:
                return "gone"
            if row.at < found.at:
                return "skipped"
        if not self.expired(row):
            self._hold(request)
        return "accepted"

    def _delete(self, request: Request) -> Answer:
        row = request.call.row
        found = self.records.get(row.identifier)
        wins = found is None or row.at > found.at
        if wins and self.hard:
            self.records.pop(row.identifier, None)
            self.seen[row.identifier] = max(self.seen.get(row.identifier, -1), row.at)
        elif wins:
            self._hold(request)
        return "accepted" if wins or not self.hard else "skipped"

    def _hold(self, request: Request) -> None:
        row = request.call.row
        if row.at < self.seen.get(row.identifier, -1):
            self.returned.append(request)
        self.records[row.identifier] = row
        self.seen[row.identifier] = max(self.seen.get(row.identifier, -1), row.at)

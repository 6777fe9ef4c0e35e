"""Compaction: events of finished windows go from their folders into one snapshot.

The snapshot is durable before any folder goes, so a crash in between costs nothing: the next
compaction removes what is left. A window whose newest generation is not DONE is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import MismatchError, TemporaryError
from penstock.ledger.history import Ledger
from penstock.ledger.journal import Journal, State, is_event, parsed
from penstock.ledger.snapshot import SCHEMA, Snapshot, head_of, put, rows_of


@dataclass(frozen=True)
class Compacted:
    """What a compaction did.

    Args:
        group: The feature group.
        windows: Windows that went into the new snapshot.
        whole: Windows that are in it now.
        left: Windows that are not done, or not long enough.
        damaged: What was found damaged and left where it is, in words.
    """

    group: str
    windows: int
    whole: int
    left: int
    damaged: tuple[str, ...] = ()


def compact(
    ledger: Ledger, before: datetime, tell: Callable[[int, int], None] | None = None
) -> Compacted:
    """Take windows that were done before an instant into a new snapshot, and remove their folders.

    Doing it again changes nothing.

    Args:
        ledger: Of one group.
        before: Aware; by the clock of the drivers that wrote the events.
        tell: Is called with how many windows were looked at, and how many there are.

    Raises:
        MismatchError: The snapshot there is damaged.
        TemporaryError: Another compaction was faster.
    """
    old = ledger.snapshot()
    try:
        return _compacted(ledger, old, before, tell)
    except FileNotFoundError as error:
        if ledger.snapshot().number != old.number:
            raise _slower(ledger) from error
        raise MismatchError(f"{error}: is missing", "Run: penstock ledger verify") from error


def _compacted(
    ledger: Ledger, old: Snapshot, before: datetime, tell: Callable[[int, int], None] | None
) -> Compacted:
    inside = old.generations()
    names = [path.rsplit("/", 1)[-1] for path in ledger.storage.list(ledger.folder)]
    heads: dict[str, Any] = {}
    rows: list[Any] = []
    damaged, left = [], 0
    for n, window in enumerate(names):
        try:
            found = _finished(ledger, window, inside.get(window, -1), before)
        except MismatchError as error:
            damaged.append(str(error))
            continue
        finally:
            if tell is not None:
                tell(n + 1, len(names))
        if found:
            heads[window] = found[0]
            rows += found[1:]
        left += found is None
    new = old
    if heads:
        old.check_hash()
        made = put(old, _heads(old, heads), _rest(old, set(heads), rows))
        if made is None:
            raise _slower(ledger)
        new = made
    if ledger.snapshot().number != new.number:  # its number may have been free again
        raise _slower(ledger)
    _remove(ledger, new, names)
    return Compacted(ledger.group, len(heads), new.windows, left, tuple(damaged))


def _slower(ledger: Ledger) -> TemporaryError:
    message = f"{ledger.group}: another compaction was faster"
    return TemporaryError(message, "Run the same command again")


def _finished(ledger: Ledger, window: str, inside: int, before: datetime) -> list[Any] | None:
    """Rows of a window to be taken, its head first; empty where all is in the snapshot.

    None where it stays: it is not done, or was not before that instant.
    """
    paths = ledger.storage.list(f"{ledger.folder}/{window}")
    names = [path.rsplit("/", 1)[-1] for path in paths]
    numbers = sorted(int(name) for name in names if name.isdigit() and int(name) > inside)
    if not numbers:
        return []
    rows: list[Any] = []
    head = None
    for number in numbers:
        journal = ledger.begun(window, number)
        files = [one for one in ledger.storage.list(journal.folder) if is_event(one)]
        texts = [ledger.storage.read(one) for one in files]
        journal.take(zip(files, texts, strict=True))
        made = rows_of(window, number, journal, texts)
        head = _head(journal, made, before) if number == numbers[-1] else None
        rows += made
    if head is None:
        return None
    rows.remove(head)
    return [head_of(head), *rows]


def _head(journal: Journal, rows: list[Any], before: datetime) -> Any | None:
    """The newest DONE of a journal, where it ended so, and long enough ago."""
    if journal.state is not State.DONE:
        return None
    found = [row for row in rows if row["state"] == State.DONE.value][-1]
    return found if parsed(found["at"]) <= before else None


def _heads(old: Snapshot, new: dict[str, Any]) -> pa.Table:
    """All heads, by window; new ones in the place of old ones."""
    before = old.heads()
    kept = before.filter(pc.invert(_among(before, set(new))))
    made = pa.Table.from_pylist(list(new.values()), SCHEMA)
    return pa.concat_tables([kept, made]).sort_by("window")


def _rest(old: Snapshot, replaced: set[str], rows: list[Any]) -> Iterator[pa.Table]:
    """All other events: those there were, heads that are heads no more, then the new ones."""
    for table in old.tables():
        fits = pc.or_(pc.invert(table.column("last")), _among(table, replaced))
        kept = table.filter(fits)
        place = SCHEMA.get_field_index("last")
        yield kept.set_column(
            place, SCHEMA.field(place), pa.array([False] * kept.num_rows, pa.bool_())
        )
    yield pa.Table.from_pylist(rows, SCHEMA).sort_by("window")


def _among(table: pa.Table, windows: set[str]) -> pa.ChunkedArray:
    return pc.is_in(table.column("window"), pa.array(sorted(windows), pa.string()))


def _remove(ledger: Ledger, snapshot: Snapshot, names: list[str]) -> None:
    """Folders of generations that are in the snapshot; then older snapshots."""
    inside = snapshot.generations()
    for window in names:
        for path in ledger.storage.list(f"{ledger.folder}/{window}"):
            name = path.rsplit("/", 1)[-1]
            if name.isdigit() and int(name) <= inside.get(window, -1):
                ledger.storage.remove(path)
    for path in ledger.storage.list(snapshot.folder):
        number = path.rsplit("/", 1)[-1][:6]
        if number.isdigit() and int(number) <= snapshot.number and not _is_of(snapshot, path):
            ledger.storage.delete(path)


def _is_of(snapshot: Snapshot, path: str) -> bool:
    return path in (snapshot.file, f"{snapshot.folder}/{snapshot.number:06d}.json")

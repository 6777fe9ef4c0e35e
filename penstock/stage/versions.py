"""The versions of each identifier: exact duplicates removed, ties ordered, the latest found.

Rows arrive with those of one identifier next to each other (Spark sorts the partition), so an
identifier is complete when the next one begins. Memory: the rows of the largest identifier plus
:data:`BUFFER_ROWS`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from penstock.contract import DELETED

BUFFER_ROWS = 50_000
TIE = "_tie"


@dataclass(frozen=True)
class Settled:
    """Rows of complete identifiers.

    Args:
        rows: Features and controls, and :data:`TIE`: 0, or n where n rows of the same identifier
            and event time come before this one. Which comes first depends on the rows alone, not on
            their order; a deletion comes before all others.
        last: For each of the rows whether it is the one of its identifier that counts: the greatest
            event time, tie 0.
        latest: Those rows, without their tie.
        identifiers: Distinct identifiers that came in, counted apart from ``latest``.
        duplicates: Rows that equal another in every column, counted apart from their removal.
        ties: Rows with a tie above 0.
    """

    rows: pa.Table
    last: pa.Array
    latest: pa.Table
    identifiers: int
    duplicates: int
    ties: int


class Versions:
    """Collects rows until identifiers are complete.

    Args:
        identifier: Name of the record identifier.
        event_time: Name of the event time; in its stored form its order is the order of time.
        buffer_rows: Rows that come together before complete identifiers are given on.
    """

    def __init__(self, identifier: str, event_time: str, buffer_rows: int = BUFFER_ROWS) -> None:
        self._identifier, self._event_time = identifier, event_time
        self._buffer_rows = buffer_rows
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, rows: pa.Table) -> Iterator[Settled]:
        """Take rows; gives what is complete once enough has come together."""
        if rows.num_rows:
            self._waiting.append(rows)
            self._rows += rows.num_rows
        if self._rows >= self._buffer_rows:
            whole = pa.concat_tables(self._waiting).combine_chunks()
            open_rows = _tail(whole.column(self._identifier))
            done, rest = whole.slice(0, len(whole) - open_rows), whole.slice(len(whole) - open_rows)
            self._waiting, self._rows = [rest], rest.num_rows
            if done.num_rows:
                yield self._settle(done)

    def finish(self) -> Iterator[Settled]:
        """What is left; every identifier is complete now."""
        if self._rows:
            yield self._settle(pa.concat_tables(self._waiting).combine_chunks())
        self._waiting, self._rows = [], 0

    def _settle(self, rows: pa.Table) -> Settled:
        keys = [(self._identifier, "ascending"), (self._event_time, "ascending")]
        rows = rows.take(pc.sort_indices(rows, sort_keys=keys))
        identifiers = pc.count_distinct(rows.column(self._identifier)).as_py()
        duplicates, tied = 0, self._tied(rows)
        if tied:
            rows, duplicates = _resolved(rows, tied)
            order = [*keys, (TIE, "descending")]
            rows = rows.take(pc.sort_indices(rows, sort_keys=order))
        else:
            rows = rows.append_column(TIE, pa.repeat(pa.scalar(0, pa.int32()), len(rows)))
        identifier = rows.column(self._identifier)
        last = pa.array([True]) if rows.num_rows == 1 else _ends(identifier)
        latest = rows.filter(last).drop_columns([TIE])
        ties = pc.sum(pc.greater(rows.column(TIE), 0)).as_py() or 0
        return Settled(rows, last, latest, identifiers, duplicates, ties)

    def _tied(self, rows: pa.Table) -> list[list[int]]:
        """Indices of rows that share identifier and event time, group by group."""
        if rows.num_rows < 2:  # noqa: PLR2004 - a pair
            return []
        same = pc.and_(_same(rows.column(self._identifier)), _same(rows.column(self._event_time)))
        groups: list[list[int]] = []
        for index in pc.indices_nonzero(same).to_pylist():
            if groups and groups[-1][-1] == index:
                groups[-1].append(index + 1)
            else:
                groups.append([index, index + 1])
        return groups


def _resolved(rows: pa.Table, groups: list[list[int]]) -> tuple[pa.Table, int]:
    """Rows without exact duplicates, with :data:`TIE`, the greatest payload first; duplicates."""
    ties, dropped, duplicates = [0] * rows.num_rows, [False] * rows.num_rows, 0
    for group in groups:
        found = rows.take(group).to_pylist()
        payloads = [(bool(row.get(DELETED)), json.dumps(list(row.values()))) for row in found]
        ranks = {one: n for n, one in enumerate(sorted(set(payloads), reverse=True))}
        duplicates += len(payloads) - len(ranks)
        seen: set[tuple[bool, str]] = set()
        for index, payload in zip(group, payloads, strict=True):
            ties[index] = ranks[payload]
            dropped[index] = payload in seen
            seen.add(payload)
    rows = rows.append_column(TIE, pa.array(ties, pa.int32()))
    return rows.filter(pc.invert(pa.array(dropped))), duplicates


def _same(column: pa.ChunkedArray) -> pa.Array:
    """For each row but the last, whether it equals the next."""
    array = column.combine_chunks()
    return pc.equal(array.slice(0, len(array) - 1), array.slice(1))


def _ends(column: pa.ChunkedArray) -> pa.Array:
    """Where a run of equal values ends."""
    return pa.concat_arrays([pc.invert(_same(column)), pa.array([True])])


def _tail(column: pa.ChunkedArray) -> int:
    """Rows at the end that hold the last value."""
    return int(pc.sum(pc.equal(column, column[len(column) - 1])).as_py())

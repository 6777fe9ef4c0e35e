"""A chunk: the rows between two markers, what was sent of them and what became of each.

Rows are cut into chunks in file order, so that every attempt at a file cuts alike and a marker of
one attempt is good for all others. A row's state is held by its absence: only rows refused or under
way are written down anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from penstock.errors import MismatchError
from penstock.online.body import BATCH_PATH, MAX_ENTRIES, encode
from penstock.online.control import controls_in
from penstock.online.job import Figures
from penstock.online.transport import Request

if TYPE_CHECKING:
    from penstock.online.body import Bodies, Frame
    from penstock.online.control import Call
    from penstock.online.job import Api, SendJob
    from penstock.online.outcome import Verdict

#: Of one BatchWriteRecord body. The service's own limit is not documented (not verified on AWS).
MAX_BODY_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Reject:
    """A row the service refused for good; ``row`` counts within its chunk, times are epochs."""

    row: int
    verdict: Verdict
    attempts: int
    first: float
    last: float


@dataclass
class Chunk:
    """One chunk while it is open.

    Args:
        index: Which chunk of the file.
        first_row: Its first row's index in the file.
        rows: The rows, for rejects; features, then controls.
        bodies: The rows, encoded.
        figures: What happened so far.
        rejects: Rows refused for good.
        began: Clock at the first request; None before.
        count: How many rows.
    """

    index: int
    first_row: int
    rows: pa.RecordBatch
    bodies: Bodies
    figures: Figures = field(default_factory=Figures)
    rejects: list[Reject] = field(default_factory=list)
    began: float | None = None
    count: int = 0
    _cursor: int = 0
    _order: Sequence[int] = ()
    _together: int = 0

    def __post_init__(self) -> None:
        count = self.count = self.rows.num_rows
        calls = self.bodies.calls
        self._together = count - len(calls)
        together = [row for row in range(count) if row not in calls] if calls else range(count)
        self._order = [*together, *sorted(calls)] if calls else together

    @property
    def settled(self) -> bool:
        """Whether every row has its outcome."""
        return self.figures.settled >= self.count

    def cut(self, api: Api) -> Parcel | None:
        """The next rows nobody has sent; None when all have been. Rows of their own come last."""
        start = end = self._cursor
        if start >= len(self._order):
            return None
        if api == "put" or start >= self._together:
            end += 1
        else:
            end = self._fitting(start, min(self._together, start + MAX_ENTRIES))
        self._cursor = end
        return Parcel(self, self._order[start:end])

    def _fitting(self, start: int, limit: int) -> int:
        """Where a batch ends that is not too large; one record always fits."""
        records, order = self.bodies.records, self._order
        size, end = len(records[order[start]]), start + 1
        while end < limit and (size := size + len(records[order[end]])) <= MAX_BODY_BYTES:
            end += 1
        return end


@dataclass(slots=True)
class Parcel:
    """Rows of one chunk that travel in one request.

    Args:
        chunk: Whose rows.
        rows: Which ones, counted within the chunk.
        attempts: Requests they were in.
        first: Clock at the first of those.
        tries: Answers of the class that is only tried a few times.
        last: Clock at the last request.
        failed: Whether that one failed, the service being at fault.
        batched: Whether it was a batch.
    """

    chunk: Chunk
    rows: Sequence[int]
    attempts: int = 0
    first: float = 0.0
    tries: int = 0
    last: float = 0.0
    failed: bool = False
    batched: bool = False
    _units: int = 0

    @property
    def units(self) -> int:
        """Write units of all rows."""
        if not self._units:
            self._units = sum(map(self.chunk.bodies.units.__getitem__, self.rows))
        return self._units

    def of(self, rows: Sequence[int]) -> Parcel:
        """Some of the rows, with the same past."""
        return Parcel(self.chunk, rows, self.attempts, self.first, self.tries, self.last)

    def halves(self) -> tuple[Parcel, Parcel]:
        """Two parcels of half the rows each."""
        middle = len(self.rows) // 2
        return self.of(self.rows[:middle]), self.of(self.rows[middle:])

    def singles(self) -> list[Parcel]:
        """One parcel per row."""
        return [self.of((row,)) for row in self.rows]

    @property
    def call(self) -> Call | None:
        """The call of a row that travels alone; None for rows that are written."""
        calls = self.chunk.bodies.calls
        return calls.get(self.rows[0]) if calls else None

    def request(self, api: Api) -> Request:
        """The request that carries these rows; PutRecord takes a single one."""
        bodies = self.chunk.bodies
        call = self.call
        self.batched = call is None and api == "batch"
        if call is not None:
            return Request(call.method, call.path, call.body, self)
        if api == "batch":
            return Request("POST", BATCH_PATH, _counted(bodies.batch(self.rows), self), self)
        return Request("PUT", bodies.frame.path, bodies.put(self.rows[0]), self)


def _counted(body: bytes, parcel: Parcel) -> bytes:
    """The body, if it holds a record a row: answers name failures only, so silence counts as sent.

    Quotes inside values are escaped, so these bytes stand nowhere else. Costs 0.5 µs a record.
    """
    entries = body.count(b'{"FeatureGroupName":')
    if entries != len(parcel.rows):
        message = f"a request for {len(parcel.rows)} records holds {entries}"
        raise MismatchError(message, "This is a defect: report it")
    return body


def chunks_of(
    batches: Iterator[pa.RecordBatch], job: SendJob, frame: Frame, done: set[int]
) -> Iterator[Chunk]:
    """Cut a file's batches, whatever their sizes, into chunks; those in ``done`` are passed over.

    Raises:
        MismatchError: The file lacks a column or a row is not as staged.
    """
    for index, rows in enumerate(_even(batches, job.chunk_rows)):
        if index not in done:
            lacking = [name for name in job.features if name not in rows.schema.names]
            if lacking:
                message = f"a send file lacks the column {lacking[0]!r}"
                raise MismatchError(message, "This is a defect: report it")
            own = rows.select([*job.features, *controls_in(rows.schema)])
            yield Chunk(index, index * job.chunk_rows, own, encode(job, frame, own))


def _even(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        while count >= size:
            table: Any = pa.Table.from_batches(held)
            yield _one(table.slice(0, size))
            held = table.slice(size).to_batches()
            count -= size
    if count:
        yield _one(pa.Table.from_batches(held))


def _one(table: Any) -> pa.RecordBatch:
    """A single record batch, copied when it lies in pieces."""
    pieces = table.combine_chunks().to_batches()
    return pieces[0]

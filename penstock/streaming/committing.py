"""OFFLINE for batches of a stream: one commit for all that are waiting, in order, without Spark.

The truth of what is in is the table's own log: the greatest batch of the stream's name. A batch
that is in is never appended again, and one that is not, is, however often this is begun. Delta
tables are committed to by delta-rs, which does not skip a repeated version by itself (facts:
streaming, pitfall 3); :class:`penstock.commits.Log` reads it first.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import and_
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from penstock.commits import ATTEMPTS, Log, beaten
from penstock.contract import DELETED, FeatureGroup
from penstock.encoding.instants import micros_of
from penstock.entries import Transaction
from penstock.errors import MismatchError
from penstock.offline.table import table_schema
from penstock.parts import PartTask
from penstock.quarantine import Entry, Quarantine
from penstock.stage.report import rows_of
from penstock.stage.versions import TIE
from penstock.storage import Storage
from penstock.streaming.batch import Batch

_INSTANT = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Committed:
    """What a commit did.

    Args:
        rows: Rows appended.
        present: Rows that were there already.
        rejected: Rows the service had refused.
    """

    rows: int
    present: int
    rejected: int


class OfflineTail:
    """The end of a group's offline table, to which one stream appends.

    Args:
        group: The contract.
        path: Absolute folder of the table.
        storage: Where that is.
        staged: Where staged files are.
        application: Name of the stream's transactions.
        compare: Whether rows may be there already; costs reading those of their event times.
    """

    def __init__(
        self,
        group: FeatureGroup,
        path: str,
        storage: Storage,
        staged: Storage,
        application: str,
        *,
        compare: bool,
    ) -> None:
        self._group, self._path, self._storage, self._staged = group, path, storage, staged
        self._log, self._application, self._compare = Log(path, storage), application, compare
        self._own = self._log.version()  # as it was found, then after the last commit of ours

    @property
    def reached(self) -> int:
        """The greatest batch that is in; -1 where none is."""
        found = self._log.reached(self._application)
        return -1 if found is None else found

    @property
    def exists(self) -> bool:
        """Whether anything was ever committed to the table."""
        return self._log.exists

    def widen(self) -> None:
        """Add the columns the table lacks; raises ContractError where one has another type."""
        alone = self._own == self._log.version()
        self._log.widen(table_schema(self._group))
        self._own = self._log.version() if alone else self._own

    def commit(
        self, batches: Sequence[Batch], rejects: Sequence[Sequence[str]], at: datetime
    ) -> Committed:
        """Append the rows of batches that are not in yet, in one commit.

        Args:
            batches: In the order of their numbers, the next ones after :attr:`reached`.
            rejects: Files of the rows the service refused, of each.
            at: ``write_time``, aware.

        Raises:
            MismatchError: Rows were lost on the way.
            TemporaryError: Other commits came first, again and again.
        """
        schema, both = table_schema(self._group), list(zip(batches, rejects, strict=True))
        for _ in range(ATTEMPTS):
            read, done = self._log.version(), self.reached
            # Another driver of this stream may have committed some of them, and others their rows.
            waiting = [(one, files) for one, files in both if one.number > done]
            if not waiting:
                return Committed(0, 0, 0)
            rows = pa.concat_tables([self._rows(one, files) for one, files in waiting])
            rejected = sum(one.staged.fit for one, _ in waiting) - rows.num_rows
            _check_rejected(
                self._group.name, rejected, [files for _, files in waiting], self._staged
            )
            # Since then others may have brought the same rows: a backfill, say.
            self._compare = self._compare or self._own != read
            fresh = self._fresh(rows, read) if self._compare and read is not None else rows
            complete = fresh.append_column("write_time", pa.repeat(_instant(at), fresh.num_rows))
            table = complete.select(schema.names).cast(schema)
            parts = PartTask(schema, self._path, self._storage).parts(table.to_batches())
            present = rows.num_rows - fresh.num_rows
            last = Transaction(self._application, waiting[-1][0].number)
            if self._log.append(parts, schema, last, present=present, read=read, blind=False):
                self._own = 0 if read is None else read + 1
                return Committed(fresh.num_rows, present, rejected)
        raise beaten(self._path, ATTEMPTS)

    def _rows(self, batch: Batch, rejects: Sequence[str]) -> pa.Table:
        """Features and system columns of a batch, but for ``write_time`` and rows refused."""
        schema = table_schema(self._group)
        empty = pa.schema([one for one in schema if one.name != "write_time"]).empty_table()
        tables = [self._read(one.path) for one in batch.staged.rows]
        if not tables:
            return empty
        rows = pa.concat_tables(tables)
        for name in self._group.names:  # the contract had none of it when they were staged
            if name not in rows.schema.names:
                rows = rows.append_column(name, pa.nulls(rows.num_rows, schema.field(name).type))
        rows = rows.filter(pc.invert(self._refused(rows, rejects))) if rejects else rows
        invoked = pc.subtract(pa.scalar(batch.at, pa.int64()), rows.column(TIE).cast(pa.int64()))
        deleted = (
            pc.fill_null(rows.column(DELETED), fill_value=False)
            if DELETED in rows.schema.names
            else pa.repeat(pa.scalar(False), rows.num_rows)  # noqa: FBT003 - a value of the column
        )
        rows = rows.select(list(self._group.names))
        rows = rows.append_column("api_invocation_time", invoked.cast(_INSTANT))
        return rows.append_column("is_deleted", deleted).cast(empty.schema)

    def _refused(self, rows: pa.Table, rejects: Sequence[str]) -> pa.Array:
        """Which rows the service refused: of an identifier that one has tie 0, and no other."""
        keys = [self._group.record_identifier, self._group.event_time]
        refused = {key for path in rejects for key in _keys(self._read(path), keys)}
        flags = [
            tie == 0 and key in refused
            for key, tie in zip(_keys(rows, keys), rows.column(TIE).to_pylist(), strict=True)
        ]
        return pa.array(flags, pa.bool_())

    def _fresh(self, rows: pa.Table, version: int) -> pa.Table:
        """Rows the table has not, value for value, at their event times."""
        if not rows.num_rows:
            return rows
        names = [*self._group.names, "is_deleted"]
        at = self._group.event_time
        bounds = pc.min_max(rows.column(at)).as_py()
        identifiers = rows.column(self._group.record_identifier).unique()
        wanted = (
            ds.field(at) >= bounds["min"],
            ds.field(at) <= bounds["max"],
            ds.field(self._group.record_identifier).isin(identifiers),
        )
        table = self._log.table(version).to_pyarrow_dataset()
        there = table.to_table(columns=names, filter=functools.reduce(and_, wanted))
        known = set(_keys(there, names))
        return rows.filter(pa.array([one not in known for one in _keys(rows, names)], pa.bool_()))

    def _read(self, path: str) -> pa.Table:
        with self._staged.open_input(path) as opened:
            return pq.read_table(opened)


def enter(
    quarantine: Quarantine,
    batches: Sequence[Batch],
    application: str,
    entry: Entry,
    staged: Storage,
    *,
    again: bool,
) -> int:
    """Enter the rows that gates put aside, in one commit; answers how many. Repeating adds none.

    Args:
        quarantine: The table.
        batches: In order.
        application: Name of the stream's transactions.
        entry: Who enters them.
        staged: Where staged files are.
        again: Whether another stream may have entered the same rows.
    """
    done = quarantine.reached(application)
    waiting = [one for one in batches if one.number > done]
    files = [path for one in waiting for path in one.put_aside]
    if not files:
        return 0
    last = Transaction(application, waiting[-1].number)
    return quarantine.add_files(files, staged, entry, last, again=again)


def _keys(rows: pa.Table, names: Sequence[str]) -> list[tuple[Any, ...]]:
    columns = [rows.column(name).to_pylist() for name in names]
    return list(zip(*columns, strict=True))


def _instant(at: datetime) -> pa.Scalar:
    return pa.scalar(micros_of(at), pa.int64()).cast(_INSTANT)


def _check_rejected(
    group: str, rejected: int, rejects: Sequence[Sequence[str]], storage: Storage
) -> None:
    """Rows that are not committed are those in the files of rejects."""
    told = sum(rows_of(path, storage) for files in rejects for path in files)
    if told != rejected:
        message = f"{group}: {told} rows were refused, {rejected} are left out offline"
        raise MismatchError(message, "Nothing was committed; please report this as a defect")

"""Rows of an offline table and files of them, without Spark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone

import pyarrow as pa

from penstock.entries import Part
from penstock.offline.log import Brought, TableLog
from penstock.parts import PartTask
from penstock.storage import Storage

INSTANT = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [
        ("sensor", pa.string()),
        ("at", pa.string()),
        ("level", pa.int64()),
        ("share", pa.float64()),
        ("api_invocation_time", INSTANT),
        ("write_time", INSTANT),
        ("is_deleted", pa.bool_()),
    ]
)
START = datetime(2024, 1, 1, tzinfo=timezone.utc)


def moment(append: int) -> datetime:
    """When the n-th append was written."""
    return START + timedelta(days=append, microseconds=append)


def brought(append: int, ties: int = 0) -> Brought:
    """What the n-th append pinned."""
    at = moment(append)
    return Brought(at - timedelta(microseconds=ties), at, at)


def rows(append: int, pairs: Iterable[tuple[str, str]], schema: pa.Schema = SCHEMA) -> pa.Table:
    """Rows of the n-th append: identifier and event time of each."""
    at, plain = moment(append), []
    for n, (sensor, time) in enumerate(pairs):
        row = {"sensor": sensor, "at": time, "level": n, "share": n / 8, "is_deleted": False}
        plain.append({**row, "api_invocation_time": at, "write_time": at})
    return pa.Table.from_pylist(plain, schema=schema)


def written(log: TableLog, path: str, storage: Storage, table: pa.Table) -> list[Part]:
    """Files of these rows, as a task writes them; made wide first."""
    log.widen(table.schema)
    task = PartTask(log.of_files(table.schema), path, storage, log.layout)
    table = table.sort_by([("at", "descending")])
    (made,) = task(table.to_batches())
    return [Part(**json.loads(one)) for one in made.column("part").to_pylist()]


def keys(table: pa.Table) -> list[tuple[str, str]]:
    """Identifier and event time of each row, sorted."""
    return sorted(zip(*(table.column(name).to_pylist() for name in ("sensor", "at")), strict=True))


def read(log: TableLog, schema: pa.Schema = SCHEMA, version: int | None = None) -> pa.Table:
    """All rows, file by file, at a version or the newest."""
    import pyarrow.parquet as pq

    found = log.files(log.version() or 0 if version is None else version)
    assert found is not None
    tables: Sequence[pa.Table] = [
        _widened(pq.read_table(found.storage.open_input(one)), schema) for one in found.sizes
    ]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _widened(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Columns that came later are null in files from before."""
    columns = [
        table.column(one.name).cast(one.type)
        if one.name in table.column_names
        else pa.nulls(table.num_rows, one.type)
        for one in schema
    ]
    return pa.table(columns, schema=schema)

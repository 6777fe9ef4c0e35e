"""The offline store as an Iceberg table: a window's rows appear to every reader at once.

Laid out as the service's own: by the day of the event time, both system times with a zone. A window
is one snapshot, marked in its summary with the window's transaction; snapshots that somebody
expires take their marks along, so they should be kept longer than a run may be left unfinished.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.commits import ATTEMPTS, beaten, gone
from penstock.entries import Commit, Files, Part, Transaction
from penstock.errors import ContractError, MismatchError, UsageError
from penstock.layout import Layout
from penstock.offline.iceberg_marks import marks, noted
from penstock.offline.log import Brought
from penstock.storage import Storage, absolute, uri_of

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.types import IcebergType

    from penstock.offline.iceberg_catalog import TableCatalog

_FIELD_ID = b"PARQUET:field_id"
_DAY = len("2022-11-09")
_NO_RETRIES = {"commit.retry.num-retries": "0"}  # they would be computed from what others changed


def check_installed() -> None:
    """Runs ask before they write anything.

    Raises:
        UsageError: pyiceberg is not installed.
    """
    if find_spec("pyiceberg") is None:
        message = "pyiceberg, which commits to Iceberg tables, is not installed here"
        raise UsageError(message, "pip install 'penstock[iceberg]', on the driver")


class IcebergLog:
    """See :class:`penstock.offline.log.TableLog`. Its version is Iceberg's sequence number.

    Args:
        path: Absolute folder.
        storage: Where that is.
        catalog: Which metadata is the newest.
        event_time: Column of the event time.
        properties: Of the table, when it is made.
    """

    def __init__(
        self,
        path: str,
        storage: Storage,
        catalog: TableCatalog,
        event_time: str,
        properties: dict[str, str],
    ) -> None:
        self._path, self._storage, self._catalog = path, storage, catalog
        self._event_time, self._properties = event_time, properties
        self.layout: Layout | None = Layout("iceberg", event_time, "data")

    @property
    def exists(self) -> bool:
        """Whether there is a table."""
        return self._newest() is not None

    def version(self) -> int | None:
        """Sequence number of the newest snapshot, 0 where there is none; None without a table."""
        table = self._newest()
        return None if table is None else _version(table)

    def files(self, version: int) -> Files | None:
        """The files of a snapshot.

        Raises:
            UsageError: Rows of them are deleted by other files, or the snapshot was expired.
        """
        table = self._there()
        if version == 0:
            return Files({}, self._storage)
        found = [one for one in table.snapshots() if one.sequence_number == version]
        if not found:
            message = f"{self._path}: the snapshot of version {version} was expired"
            raise UsageError(message, "Build from the newest version")
        tasks = list(table.scan(snapshot_id=found[0].snapshot_id).plan_files())
        if any(one.delete_files for one in tasks):
            message = f"{self._path}: deletions of rows are not merged into its files"
            raise UsageError(message, "Athena's OPTIMIZE … REWRITE DATA merges them")
        sizes = {absolute(one.file.file_path): one.file.file_size_in_bytes for one in tasks}
        return Files(sizes, self._storage)

    def find(self, transaction: Transaction) -> Commit | None:
        """What a transaction did, by the newest mark of it."""
        table = self._newest()
        for one, did in reversed(marks(table) if table else []):
            if one == transaction:
                return did
        return None

    def widen(self, schema: pa.Schema) -> None:
        """Add the columns the table lacks; an empty table is made where there is none."""
        from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError

        for _ in range(ATTEMPTS):
            table = self._newest()
            try:
                if table is None:
                    self._create(schema)
                    return
                lacking = self._lacking(table, schema)
                if lacking:
                    with table.update_schema() as update:
                        for name in lacking:
                            update.add_column(name, _type(schema.field(name).type))
            except (CommitFailedException, TableAlreadyExistsError):
                continue
            return
        raise beaten(self._path, ATTEMPTS)

    def of_files(self, schema: pa.Schema) -> pa.Schema:
        """The same with the table's field identifiers, by which readers know columns."""
        known = self._there().schema()
        return pa.schema(
            one.with_metadata({_FIELD_ID: str(known.find_field(one.name).field_id).encode()})
            for one in schema
        )

    def append(
        self,
        parts: Sequence[Part],
        schema: pa.Schema,  # noqa: ARG002 - the table has it since widen
        transaction: Transaction | None = None,
        *,
        present: int = 0,
        read: int | None = None,
        blind: bool = True,
    ) -> bool:
        """Commit files as one snapshot."""
        from pyiceberg.exceptions import CommitFailedException

        for _ in range(ATTEMPTS):
            table = self._there()
            if transaction is not None and _has(table, transaction):
                return True
            if not blind and _version(table) != read:
                return False
            change = table.transaction()
            properties = {} if transaction is None else noted(transaction, present)
            with change.update_snapshot(snapshot_properties=properties).fast_append() as files:
                for one in self._data_files(table, parts):
                    files.append_data_file(one)
            try:
                change.commit_transaction()
            except CommitFailedException:
                continue
            return True
        raise beaten(self._path, ATTEMPTS)

    def take_out(self, brought: Brought, rows: int) -> None:
        """Delete what one append brought: files whole, or rewritten where others merged them."""
        from pyiceberg.exceptions import CommitFailedException

        condition = _brought(brought)
        for _ in range(ATTEMPTS):
            table = self._there()
            found = table.scan(row_filter=condition).count()
            if not found:
                return
            if found != rows:
                message = f"{self._path}: the run wrote {rows} rows, {found} of them are there"
                raise MismatchError(message, "Nothing was deleted; look at the table's history")
            try:
                table.delete(condition)
            except CommitFailedException:
                continue
            return
        raise beaten(self._path, ATTEMPTS)

    def matching(self, column: str, values: Sequence[str]) -> pa.Table:
        """Rows whose column is one of the values."""
        from pyiceberg.expressions import In
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        table = self._newest()
        if table is None:
            return pa.table({})
        kind = schema_to_pyarrow(table.schema()).field(column).type
        wanted = pc.cast(pa.array(values, pa.string()), kind).to_pylist()
        condition = In(column, tuple(wanted))  # type: ignore[call-arg, arg-type]  # mypy sees fields, not its __init__
        found: pa.Table = table.scan(row_filter=condition).to_arrow()
        return found

    def _create(self, schema: pa.Schema) -> None:
        from pyiceberg.partitioning import (
            UNPARTITIONED_PARTITION_SPEC,
            PartitionField,
            PartitionSpec,
        )
        from pyiceberg.schema import Schema
        from pyiceberg.transforms import TruncateTransform
        from pyiceberg.types import NestedField

        fields = [
            NestedField(n, one.name, _type(one.type), required=False)
            for n, one in enumerate(schema, 1)
        ]
        spec, at = UNPARTITIONED_PARTITION_SPEC, schema.get_field_index(self._event_time)
        if pa.types.is_string(schema.field(at).type):
            day: TruncateTransform[str] = TruncateTransform(_DAY)
            name = f"{self._event_time}_trunc"
            while name in schema.names:
                name += "_"
            spec = PartitionSpec(PartitionField(at + 1, 1_000, day, name))
        self._catalog.create(Schema(*fields), spec, dict(self._properties))

    def _lacking(self, table: Table, schema: pa.Schema) -> list[str]:
        there = {one.name: one.field_type for one in table.schema().fields}
        for one in schema:
            old = there.get(one.name)
            if old is not None and old != _type(one.type):
                message = f"{self._path}: column {one.name!r} is {old}, not {_type(one.type)}"
                raise ContractError(message, "A type cannot change: give the feature another name")
        return [one.name for one in schema if one.name not in there]

    def _data_files(self, table: Table, parts: Sequence[Part]) -> list[DataFile]:
        """Their entries, with bounds out of the files themselves.

        Raises:
            TemporaryError: Some are gone: this process slept so long that others cleaned up.
        """
        from pyiceberg.io.pyarrow import parquet_file_to_data_file

        def entry(part: Part) -> DataFile | None:
            location = f"{uri_of(self._path)}/{part.name}"
            try:
                return parquet_file_to_data_file(table.io, table.metadata, location)
            except FileNotFoundError:
                return None

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(entry, parts))
        there = [one for one in found if one is not None]
        if len(there) < len(found):
            raise gone(self._path, len(found) - len(there), len(parts))
        return there

    def _there(self) -> Table:
        table = self._newest()
        if table is None:
            raise MismatchError(f"{self._path}: the table is gone", "Restore it, or ingest anew")
        return table

    def _newest(self) -> Table | None:
        return newest(self._catalog)


def newest(catalog: TableCatalog) -> Table | None:
    """The table, whose commits are tried once; None where there is none."""
    from pyiceberg.exceptions import NoSuchTableError

    check_installed()
    try:
        table = catalog.load()
    except NoSuchTableError:
        return None
    properties = {**table.metadata.properties, **_NO_RETRIES}
    table.metadata = table.metadata.model_copy(update={"properties": properties})
    return table


def _version(table: Table) -> int:
    snapshot = table.current_snapshot()
    return 0 if snapshot is None else snapshot.sequence_number or 0


def _has(table: Table, transaction: Transaction) -> bool:
    """Whether it was committed, or one after it."""
    return any(
        one.application == transaction.application and one.version >= transaction.version
        for one, _ in marks(table)
    )


def _brought(brought: Brought) -> str:
    """A condition as pyiceberg reads it."""
    at, first, last = (one.isoformat() for one in (brought.at, brought.first, brought.last))
    invoked = f"api_invocation_time >= '{first}' AND api_invocation_time <= '{last}'"
    return f"write_time = '{at}' AND {invoked}"


def _type(kind: pa.DataType) -> IcebergType:
    from pyiceberg import types

    kinds: dict[Any, IcebergType] = {
        pa.string(): types.StringType(),
        pa.int64(): types.LongType(),
        pa.float64(): types.DoubleType(),
        pa.bool_(): types.BooleanType(),
        pa.timestamp("us", "UTC"): types.TimestamptzType(),
    }
    return kinds[kind]

"""The Iceberg table of an offline store, through pyiceberg where it is installed.

Partitioned by ``truncate(event_time, 10)``, the day; both times are ``timestamptz``. Metadata names
files by their ``s3://`` locations, as the service's does; the current metadata is the one that the
Glue table's parameter ``metadata_location`` names, and it is swapped in one transaction together
with the end of the rows that it makes visible. Files carry no field ids: columns are found by the
table's name mapping.
"""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from penstock.emulator import buckets
from penstock.emulator.catalog import Catalog
from penstock.emulator.database import Database
from penstock.emulator.replication import Target

MISSING = "Iceberg tables need pyiceberg: install penstock with the extra 'iceberg'."
_TYPES = {"Integral": "LongType", "Fractional": "DoubleType", "String": "StringType"}
_SYSTEM = (
    ("write_time", "TimestamptzType"),
    ("api_invocation_time", "TimestamptzType"),
    ("is_deleted", "BooleanType"),
)
_TRUNCATED = 10  # characters of the event time: the day


#: (old location, new location, finish): makes new metadata current, or raises.
_Swap = Callable[["str | None", str, Callable[[], bool]], None]


class Unavailable(RuntimeError):  # noqa: N818 - a state, not a defect
    """The table cannot be written, for this reason."""


class _Overtaken(Exception):  # noqa: N818 - another worker was first
    """The table or the rows are no longer what they were."""


class Table:
    """One Iceberg table.

    Args:
        data: Folder of the embedded AWS.
        database: Its database; no transaction is open.
        catalog: Glue on the same connection.
        target: Of the group.
    """

    def __init__(self, data: Path, database: Database, catalog: Catalog, target: Target) -> None:
        self._files = _Files(data)
        self._database = database
        self._catalog = catalog
        self._target = target
        self._location = target.uri.rpartition("/")[0]

    def make(self) -> None:
        """Give a new table its first metadata.

        Raises:
            Unavailable: pyiceberg is not installed, or the Glue table is gone.
        """
        self.append([], lambda: True)

    def append(self, uris: Sequence[str], finish: Callable[[], bool]) -> None:
        """Add Parquet files; nothing happens when others changed the table meanwhile.

        Args:
            uris: Locations of the files.
            finish: Called within the transaction that makes them visible; False undoes it.

        Raises:
            Unavailable: pyiceberg is not installed, or the Glue table is gone.
        """
        try:
            table = self._load()
            self._evolve(table)
            if uris:
                table.catalog.finish = finish
                table.add_files(list(uris))
        except _Overtaken:
            return

    def _load(self) -> Any:
        if "metadata_location" not in self._described()["Parameters"]:
            self._create()
        described = self._described()
        current = described["Parameters"]["metadata_location"]
        text = self._files.path(current).read_text()
        metadata = _module("table.metadata").TableMetadataUtil.parse_raw(text)
        identifier = (described["DatabaseName"], described["Name"])
        committer = _Committer(self._files, self._swap)
        return _module("table").Table(identifier, metadata, current, self._files, committer)

    def _create(self) -> None:
        types, partitioning = _module("types"), _module("partitioning")
        columns = [(name, _TYPES[kind]) for name, kind in self._target.features]
        fields = [
            types.NestedField(number, name, getattr(types, kind)(), required=False)
            for number, (name, kind) in enumerate((*columns, *_SYSTEM), 1)
        ]
        schema = _module("schema").Schema(*fields)
        day = partitioning.PartitionField(
            source_id=schema.find_field(self._target.event_time).field_id,
            field_id=1000,
            transform=_module("transforms").TruncateTransform(_TRUNCATED),
            name=f"{self._target.event_time}_trunc",
        )
        metadata = _module("table.metadata").new_table_metadata(
            schema,
            partitioning.PartitionSpec(day),
            _module("table.sorting").UNSORTED_SORT_ORDER,
            self._location,
            {},
        )
        made = self._files.write_metadata(self._location, 0, metadata)
        self._swap(None, made, lambda: True)

    def _evolve(self, table: Any) -> None:
        """Features that were added later become columns."""
        there = {field.name for field in table.schema().fields}
        added = [(name, kind) for name, kind in self._target.features if name not in there]
        if not added:
            return
        with table.update_schema() as change:
            for name, kind in added:
                change.add_column(name, getattr(_module("types"), _TYPES[kind])())

    def _swap(self, old: str | None, new: str, finish: Callable[[], bool]) -> None:
        with self._database.transaction(write=True):
            described = self._described()
            parameters = described["Parameters"]
            if parameters.get("metadata_location") != old or not finish():
                raise _Overtaken
            changed = parameters | {"metadata_location": new}
            if old is not None:
                changed["previous_metadata_location"] = old
            change = {"Parameters": changed}
            self._catalog.change_table(described["DatabaseName"], described["Name"], change)

    def _described(self) -> dict[str, Any]:
        database, name = self._target.database, self._target.table
        found = None
        if database is not None and name is not None:
            found = self._catalog.table(database, name)
        if found is None:
            raise Unavailable(f"The Glue table {database}.{name} is gone.")
        return found


class _Committer:
    """What pyiceberg's table asks of its catalogue."""

    def __init__(self, files: _Files, swap: _Swap) -> None:
        self._files = files
        self._swap = swap
        self.finish: Callable[[], bool] = lambda: True

    def commit_table(self, table: Any, requirements: Any, updates: Any) -> Any:
        """Write the next metadata and make it the current one."""
        for requirement in requirements:
            requirement.validate(table.metadata)
        metadata = _module("table.update").update_table_metadata(
            table.metadata, updates, metadata_location=table.metadata_location
        )
        number = int(table.metadata_location.rpartition("/")[2].partition("-")[0]) + 1
        location = self._files.write_metadata(table.metadata.location, number, metadata)
        self._swap(table.metadata_location, location, self.finish)
        answer = _module("table").CommitTableResponse
        return answer(metadata=metadata, metadata_location=location)

    def _delete_old_metadata(self, io: Any, base: Any, metadata: Any) -> None:
        """Old metadata stays, as in the service's tables."""


class _Files:
    """pyiceberg's way to files: ``s3://`` locations are folders."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.properties: dict[str, str] = {}

    def new_input(self, location: str) -> Any:
        """Asked by pyiceberg."""
        return self._file(location)

    def new_output(self, location: str) -> Any:
        """Asked by pyiceberg; folders are made."""
        self.path(location).parent.mkdir(parents=True, exist_ok=True)
        return self._file(location)

    def path(self, location: str) -> Path:
        """Where a location lies."""
        return buckets.folder(self._data, location)

    def write_metadata(self, location: str, number: int, metadata: Any) -> str:
        """Write a metadata file below a table's location; returns where."""
        made = f"{location}/metadata/{number:05}-{uuid.uuid4()}.metadata.json"
        _module("serializers").ToOutputFile.table_metadata(metadata, self.new_output(made))
        return made

    def _file(self, location: str) -> Any:
        system = importlib.import_module("pyarrow.fs").LocalFileSystem()
        return _module("io.pyarrow").PyArrowFile(location, str(self.path(location)), system)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"pyiceberg.{name}")
    except ImportError:
        raise Unavailable(MISSING) from None

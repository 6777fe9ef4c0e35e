"""Where the newest metadata of an Iceberg table is found, and how the next one becomes it.

A table in Glue's catalogue is what Athena, Spark and others read and change as well: the parameter
``metadata_location`` names its metadata, and is swapped under the version of Glue's table (by
pyiceberg). Where tables are not registered the folder itself tells, as in Iceberg's "file system
tables": ``metadata/v3.metadata.json`` is followed by ``v4``, put if absent. Spark reads such a
folder by its path.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchIcebergTableError,
    NoSuchPropertyException,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile, OutputStream
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import TableRequirement, TableUpdate, update_table_metadata

from penstock.errors import UsageError
from penstock.storage import Storage, absolute, uri_of

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_ENDING = ".metadata.json"
_METADATA = re.compile(r"/v(\d+)\.metadata\.json$")


class TableCatalog(Protocol):
    """What is asked of a catalogue, of one table alone."""

    def load(self) -> Table:
        """The newest table; raises NoSuchTableError."""

    def create(self, schema: Schema, spec: PartitionSpec, properties: dict[str, str]) -> None:
        """Make it; raises TableAlreadyExistsError."""


class StorageIO(FileIO):
    """pyiceberg's way to files, through ours: one way to credentials and endpoints."""

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self._storage = storage

    def new_input(self, location: str) -> InputFile:
        """A file to read."""
        return _File(location, self._storage)

    def new_output(self, location: str) -> OutputFile:
        """A file to write."""
        return _File(location, self._storage)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete one; what is gone already is fine."""
        name = location if isinstance(location, str) else location.location
        self._storage.delete(absolute(name))


class _File(InputFile, OutputFile):
    """One file, to read or to write."""

    def __init__(self, location: str, storage: Storage) -> None:
        super().__init__(location)
        self._path, self._storage = absolute(location), storage

    def __len__(self) -> int:
        return self._storage.stamp(self._path).size

    def exists(self) -> bool:
        return self._storage.exists(self._path)

    def open(self, seekable: bool = True) -> InputStream:  # noqa: ARG002, FBT001, FBT002 - pyiceberg's signature
        opened: InputStream = self._storage.open_input(self._path)
        return opened

    def to_input_file(self) -> InputFile:
        return self

    def create(self, overwrite: bool = False) -> OutputStream:  # noqa: FBT001, FBT002 - pyiceberg's signature
        if not overwrite and self.exists():
            raise FileExistsError(self.location)
        made: OutputStream = self._storage.create(self._path)
        return made


class FolderCatalog:
    """One table, told by its folder alone.

    Args:
        path: Absolute folder.
        storage: Where that is.
    """

    def __init__(self, path: str, storage: Storage) -> None:
        self._path, self._storage, self._io = path, storage, StorageIO(storage)

    def load(self) -> Table:
        """The table by its newest metadata.

        Raises:
            UsageError: A catalogue tells its metadata.
        """
        number = self._newest()
        if number is None:
            check_new(self._path, self._storage, folder=True)
            raise NoSuchTableError(self._path)
        location = self._location(number)
        metadata = FromInputFile.table_metadata(self._io.new_input(location))
        return Table(("folder", self._path), metadata, location, self._io, self)  # type: ignore[arg-type]  # it commits and loads, which is all a table asks of its catalogue

    def create(self, schema: Schema, spec: PartitionSpec, properties: dict[str, str]) -> None:
        """Its first metadata, where there is none."""
        if self._newest() is not None:
            raise TableAlreadyExistsError(self._path)
        check_new(self._path, self._storage, folder=True)
        location = uri_of(self._path)
        made = new_table_metadata(schema, spec, UNSORTED_SORT_ORDER, location, properties)
        if not self._put(1, made):
            raise TableAlreadyExistsError(self._path)

    def load_table(self, identifier: Any) -> Table:  # noqa: ARG002 - there is but one
        """As pyiceberg's tables ask for themselves."""
        return self.load()

    def commit_table(
        self,
        table: Table,  # noqa: ARG002 - pyiceberg's signature
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> CommitTableResponse:
        """The next metadata, unless somebody's came first."""
        there = self.load()
        for one in requirements:
            one.validate(there.metadata)
        made = update_table_metadata(
            there.metadata, updates, metadata_location=there.metadata_location
        )
        number = self._number(there.metadata_location) + 1
        if not self._put(number, made):
            raise CommitFailedException(f"{self._path}: version {number} was somebody else's")
        return CommitTableResponse.model_validate(
            {"metadata": made, "metadata-location": self._location(number)}
        )

    @staticmethod
    def supports_server_side_planning() -> bool:
        """There is no server."""
        return False

    @staticmethod
    def _delete_old_metadata(io: FileIO, base: TableMetadata, metadata: TableMetadata) -> None:
        """Each is a version that somebody may ask for."""

    def _put(self, number: int, metadata: TableMetadata) -> bool:
        text = metadata.model_dump_json(exclude_none=True)
        path = absolute(self._location(number))
        return self._storage.put_if_absent(path, text.encode())

    def _location(self, number: int) -> str:
        return f"{uri_of(self._path)}/metadata/v{number}.metadata.json"

    def _newest(self) -> int | None:
        numbers = [_METADATA.search(one) for one in self._storage.list(f"{self._path}/metadata")]
        return max((int(one[1]) for one in numbers if one), default=None)

    @staticmethod
    def _number(location: str) -> int:
        found = _METADATA.search(location)
        assert found is not None
        return int(found[1])


class GlueTable:
    """One table of Glue's catalogue.

    Args:
        glue: A Glue client.
        database: Its database, which is made where it is not there.
        table: Its name.
        path: Absolute folder.
        storage: Where that is.
    """

    def __init__(
        self, glue: GlueClient, database: str, table: str, path: str, storage: Storage
    ) -> None:
        self._catalog = _Glue(StorageIO(storage), glue)
        self._name, self._path, self._storage = (database, table), path, storage

    def load(self) -> Table:
        """The table as Glue names its metadata.

        Raises:
            UsageError: A table of that name is another one.
        """
        where = ".".join(self._name)
        remedy = "Set groups.….table to another name in conf, or drop the table"
        try:
            table = self._catalog.load_table(self._name)
        except (NoSuchIcebergTableError, NoSuchPropertyException):
            raise UsageError(f"Glue table {where} is there and no Iceberg table", remedy) from None
        if table.location().rstrip("/") != uri_of(self._path):
            raise UsageError(f"Glue table {where} lies at {table.location()}", remedy)
        return table

    def create(self, schema: Schema, spec: PartitionSpec, properties: dict[str, str]) -> None:
        """Make it in the catalogue."""
        check_new(self._path, self._storage)
        self._catalog.create_namespace_if_not_exists(self._name[0])
        self._catalog.create_table(
            self._name, schema, uri_of(self._path), partition_spec=spec, properties=properties
        )


def check_new(path: str, storage: Storage, *, folder: bool = False) -> None:
    """Return where a folder has no table: a second one in it would hide the first.

    Args:
        path: The folder.
        storage: Where it is.
        folder: Whether the folder itself tells of its table: one it tells of now was made by
            another just now, and is no second one.

    Raises:
        UsageError: It has the metadata of one.
    """
    found = [one for one in storage.list(f"{path}/metadata") if one.endswith(_ENDING)]
    there = [one for one in found if not (folder and _METADATA.search(one))]
    if there:
        message = f"{path} has an Iceberg table that this configuration does not find"
        known = "catalog.register, catalog.database and groups.….table were others when it was made"
        newest = max(there, key=lambda one: (len(one), one)).rpartition("/")[2]
        raise UsageError(message, f"{known}: set them back, or register it by metadata/{newest}")


class _Glue(GlueCatalog):
    """pyiceberg's, with our way to files."""

    def __init__(self, io: FileIO, glue: GlueClient) -> None:
        super().__init__("glue", glue)
        self._io = io

    def _update_glue_table(
        self, database_name: str, table_name: str, table_input: Any, version_id: str
    ) -> None:
        """As pyiceberg's; a conflict is none where it was our own update that came first.

        An answer that is lost makes botocore repeat the update, under a version that is old then.
        pyiceberg would take back what was committed: it deletes the snapshot's manifests.
        """
        try:
            super()._update_glue_table(database_name, table_name, table_input, version_id)
        except CommitFailedException:
            ours = table_input["Parameters"]["metadata_location"]
            there = self.load_table((database_name, table_name))
            before = {one.metadata_file for one in there.metadata.metadata_log}
            if ours != there.metadata_location and ours not in before:
                raise

    def _load_file_io(
        self,
        properties: dict[str, str] | None = None,  # noqa: ARG002 - pyiceberg's signature
        location: str | None = None,  # noqa: ARG002 - pyiceberg's signature
    ) -> FileIO:
        return self._io

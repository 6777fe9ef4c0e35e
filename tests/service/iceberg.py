"""A reader of the embedded AWS's Iceberg tables that shares no code with their writer."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: Whether the reader can read here.
INSTALLED = find_spec("pyiceberg") is not None


class Folders:
    """pyiceberg's FileIO for a reader who has the buckets as folders."""

    def __init__(self, properties: dict[str, str]) -> None:
        self.properties = properties

    def new_input(self, location: str) -> Any:
        """A file of a bucket."""
        path = f"{self.properties['buckets']}/{location.removeprefix('s3://')}"
        system = import_module("pyarrow.fs").LocalFileSystem()
        return import_module("pyiceberg.io.pyarrow").PyArrowFile(location, path, system)


def rows(data: Path, metadata_location: str) -> list[dict[str, Any]]:
    """What a scan of the table finds."""
    static = import_module("pyiceberg.table").StaticTable
    properties = {"py-io-impl": f"{__name__}.Folders", "buckets": str(data / "buckets")}
    table = static.from_metadata(metadata_location, properties)
    found: list[dict[str, Any]] = table.scan().to_arrow().to_pylist()
    return found

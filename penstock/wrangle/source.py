"""Where a flow's rows come from: files, a feature group, or a service that others must read."""

from __future__ import annotations

from dataclasses import dataclass

FORMATS = ("csv", "parquet", "json", "jsonl", "orc")


@dataclass(frozen=True)
class Source:
    """A data set that a flow begins with.

    Args:
        name: What people call it: in ``.flow`` files the data set's name, such as ``claims.csv``.
        path: File, folder or glob; ``s3://`` is read through S3A, ``package:NAME/FILE`` from an
            installed Python package. Empty where rows do not come from files.
        format: One of :data:`FORMATS`.
        delimiter: Of CSV.
        header: Whether CSV's first line names the columns; else ``_c0``, ``_c1``, ….
        multiline: Whether a value of CSV may hold line breaks.
        encoding: Of CSV.
        skip: Lines of CSV before the header.
        nested: Whether folders within the folder are read too.
        filename: Whether a column ``_data_source_filename`` is added.
        group: Name of a feature group; its latest rows that are not deleted.
        as_of: Rows of the group as they were at this instant, ISO 8601; empty for the latest.
        service: Name of a service penstock does not reach (Athena, Redshift, …): the rows must be
            given as a file. Empty where it is none.
        query: What the service was asked, for messages.
    """

    name: str
    path: str = ""
    format: str = "csv"
    delimiter: str = ","
    header: bool = True
    multiline: bool = False
    encoding: str = "UTF-8"
    skip: int = 0
    nested: bool = False
    filename: bool = False
    group: str = ""
    as_of: str = ""
    service: str = ""
    query: str = ""

    @property
    def file_name(self) -> str:
        """Last part of the path."""
        return self.path.rstrip("/").rsplit("/", 1)[-1]

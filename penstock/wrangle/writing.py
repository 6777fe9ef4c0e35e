"""Write a flow's result: CSV as Data Wrangler's jobs do, Parquet, or Delta.

CSV has a header, quotes and escapes with ``"``; what CSV cannot hold is text: a struct as JSON, an
array or a vector as Spark casts it, bytes as base64 (facts: wrangler, 1.4).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.columns import at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FORMATS = ("csv", "parquet", "delta")
#: What Spark leaves in a folder it writes.
_OURS = re.compile(r"\.?(part-.*|_SUCCESS(\.crc)?|_temporary)")


def check_folder(folder: str, paths: Iterable[str]) -> None:
    """Writing there takes away an earlier result at most: Spark empties the folder before.

    Args:
        folder: Where a result is to go.
        paths: Of the files that it is made of, globs among them.

    Raises:
        UsageError: Files that are read lie there, or others that no result of ours is. What is on
            S3 is not looked at.
    """
    place = _place(folder)
    for path in paths:
        read = _place(re.split(r"[*?{\[]", path)[0])
        if f"{read}/".startswith(f"{place}/"):
            raise UsageError(f"{folder}: {path} is read from there", "Name another folder")
    if "://" in place:
        return
    if Path(place).is_file():
        raise UsageError(f"{folder}: a file is there", "Name a folder")
    there = [one.name for one in Path(place).iterdir()] if Path(place).is_dir() else []
    others = sorted(one for one in there if not _OURS.fullmatch(one))
    if others and "_delta_log" not in there:
        raise UsageError(
            f"{folder}: {others[0]!r} is there, which is no earlier result and would be deleted",
            "Name a new folder, or an empty one",
        )


def _place(path: str) -> str:
    """A path or an address, to compare."""
    if "://" in path and not path.startswith("file:"):
        return re.sub(r"^s3[an]?://", "s3a://", path).rstrip("/")
    return os.path.realpath(re.sub(r"^file:/*", "/", path))


def write(frame: DataFrame, folder: str, form: str, files: int = 0) -> None:
    """Write all rows into a folder; what is there of this name is replaced.

    Args:
        frame: Rows.
        folder: Path or ``s3a://`` address.
        form: One of :data:`FORMATS`.
        files: How many files; as many as partitions where it is 0.
    """
    parts = frame.coalesce(files) if files else frame
    WRITERS[form](parts, folder)


def write_csv(frame: DataFrame, folder: str) -> None:
    """As above; null is nothing between two delimiters."""
    plain = frame.select(*[as_text(frame, name).alias(name) for name in frame.columns])
    writer = plain.write.mode("overwrite").option("header", "true")
    writer.option("quote", '"').option("escape", '"').csv(folder)


def as_text(frame: DataFrame, name: str) -> Column:
    """A column as CSV can hold it."""
    kind = dict(frame.dtypes)[name]
    if kind.startswith("struct"):
        return fn.to_json(at(name))
    if kind.startswith(("array", "map", "vector", "udt")):
        return at(name).cast("string")
    return fn.base64(at(name)) if kind == "binary" else at(name)


def write_parquet(frame: DataFrame, folder: str) -> None:
    """Types as they are."""
    frame.write.mode("overwrite").parquet(folder)


def write_delta(frame: DataFrame, folder: str) -> None:
    """A table; names that Delta has no room for are mapped."""
    writer = frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    writer.option("delta.columnMapping.mode", "name").save(folder)


WRITERS: dict[str, Callable[[DataFrame, str], None]] = {
    "csv": write_csv,
    "parquet": write_parquet,
    "delta": write_delta,
}

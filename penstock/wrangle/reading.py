"""Read a flow's sources with Spark, as Data Wrangler's jobs do (facts: wrangler, 1.1 and 4).

CSV comes as text: a step after it finds the types. A file may be given in any source's place; that
is the only way to read one whose service penstock does not reach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.foreign import said
from penstock.packages import is_packaged, on_disk
from penstock.storage import hadoop_path
from penstock.wrangle.call import Call
from penstock.wrangle.flow import Flow, Input
from penstock.wrangle.source import FORMATS, Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def read_csv(
    spark: SparkSession,
    path: str,
    delimiter: str,
    header: bool,  # noqa: FBT001 - always by name
    multiline: bool,  # noqa: FBT001 - as above
    encoding: str,
    *,
    nested: bool = False,
    filename: bool = False,
) -> DataFrame:
    """Every value as text; a quote within quotes is doubled; a row too short has nulls."""
    reader = spark.read.option("sep", delimiter).option("header", header)
    reader = reader.option("multiLine", multiline).option("encoding", encoding)
    reader = reader.option("recursiveFileLookup", nested)
    reader = reader.option("quote", '"').option("escape", '"').option("mode", "PERMISSIVE")
    return with_filename(reader.csv(path)) if filename else reader.csv(path)


def with_filename(frame: DataFrame) -> DataFrame:
    """Rows of files with the address of the file each is from, at the end."""
    return frame.withColumn("_data_source_filename", fn.col("_metadata.file_path"))


def read_csv_after(
    spark: SparkSession,
    path: str,
    skip: int,
    delimiter: str,
    header: bool,  # noqa: FBT001 - always by name
    multiline: bool,  # noqa: FBT001 - as above
    encoding: str,
) -> DataFrame:
    """CSV whose files begin with lines that are no data. Each file is read whole by one task."""

    def rest(pair: tuple[str, bytes]) -> list[str]:
        import re

        # Not splitlines: to Python other characters end lines too.
        lines = re.split("\r\n|\r|\n", pair[1].decode(encoding))[skip:]
        if not multiline:
            return lines
        rows: list[str] = []
        quoted = False
        for line in lines:
            if quoted:
                rows[-1] += f"\n{line}"
            else:
                rows.append(line)
            quoted ^= line.count('"') % 2 == 1
        return rows

    lines = spark.sparkContext.binaryFiles(path).flatMap(rest)
    reader = spark.read.option("sep", delimiter).option("header", header)
    reader = reader.option("quote", '"').option("escape", '"').option("mode", "PERMISSIVE")
    return reader.csv(lines)  # type: ignore[arg-type]  # it takes an RDD of lines as well


def read_files(
    spark: SparkSession,
    path: str,
    format: str,  # noqa: A002 - Spark's word for it
    *,
    nested: bool = False,
    filename: bool = False,
) -> DataFrame:
    """Files that know their types: Parquet, ORC, Delta; JSON, whose types Spark infers.

    JSON is a value a line, or one document a file, such as an array of objects.
    """
    reader = spark.read.format(format).option("recursiveFileLookup", nested)
    if format == "json":
        reader = reader.option("multiLine", is_document(spark, path, nested=nested))
    frame = reader.load(path)
    if frame.columns == ["_corrupt_record"]:
        raise ValueError(f"{path}: there is no JSON in it")
    return with_filename(frame) if filename else frame


def is_document(spark: SparkSession, path: str, *, nested: bool) -> bool:
    """Whether JSON goes on behind the first line: that line alone holds no whole value."""
    import json

    text = spark.read.option("recursiveFileLookup", nested).text(path)
    first = text.where(fn.trim("value") != "").first()
    try:
        json.JSONDecoder().raw_decode(first[0].lstrip("\ufeff").lstrip() if first else "0")
    except ValueError:
        return True
    return False


class Reader:
    """Gives sources' rows.

    Args:
        spark: Session.
        folder: Where relative paths of sources begin: the flow's folder.
        given: Paths to read instead, by source: the data set's name or its file's name.
        group: Gives a feature group's rows, as of an instant or the latest.
    """

    def __init__(
        self,
        spark: SparkSession,
        folder: Path,
        given: Mapping[str, str],
        group: Callable[[str, str], DataFrame] | None = None,
    ) -> None:
        self._spark, self._folder, self._given, self._group = spark, folder, dict(given), group

    def __call__(self, source: Source) -> DataFrame:
        """Rows of a source, lazily; schemas of files are read now.

        Raises:
            UsageError: Nothing is there, or it cannot be read from here; says what to give.
        """
        if source.group and source.name not in self._given:
            if self._group is None:
                raise UsageError(f"source {source.name!r} is a feature group; no project is here")
            return self._group(source.group, source.as_of)
        placed = located(source, self._folder, self._given)
        try:
            return call(placed).made(self._spark)
        except UsageError:
            raise
        except Exception as error:  # Spark's own classes differ between its releases
            raise _unreadable(placed, error) from error


def needed(flow: Flow, wanted: Input) -> list[Source]:
    """Sources a result is made of."""
    return [one.does for one in flow.order([wanted.node]) if isinstance(one.does, Source)]


def located(source: Source, folder: Path, given: Mapping[str, str]) -> Source:
    """The source with the path to read it from; ``package:NAME/FILE`` is in a Python package.

    Raises:
        UsageError: A service's rows that nobody gave, no path, or a package that is not there.
    """
    path = given.get(source.name) or given.get(source.file_name)
    if path:
        suffix = path.rstrip("/").rsplit(".", 1)[-1].lower()
        source = replace(source, path=path, format=suffix if suffix in FORMATS else source.format)
    if is_packaged(source.path):
        return replace(source, path=on_disk(source.path))
    if path:
        return source
    if source.service:
        raise UsageError(
            f"source {source.name!r} is read from {source.service}, which penstock does not reach",
            f"Give its rows as a file: --input {source.name}=PATH",
        )
    if not source.path:
        raise UsageError(
            f"source {source.name!r}: the flow does not say where its file is",
            f"Give it: --input {source.name or 'SOURCE'}=PATH",
        )
    if "://" in source.path or source.path.startswith("/"):
        return source
    return replace(source, path=str(folder / source.path))


def call(source: Source) -> Call:
    """How a located source is read: a call whose first argument is the session.

    Raises:
        UsageError: Settings that do not go together here.
    """
    path = hadoop_path(source.path)
    asked = {"nested": source.nested, "filename": source.filename}
    more = {name: True for name, wanted in asked.items() if wanted}
    if source.format != "csv":
        known = {"jsonl": "json"}.get(source.format, source.format)
        return Call.of(read_files, path=path, format=known, **more)
    settings = {
        "path": path,
        "delimiter": source.delimiter,
        "header": source.header,
        "multiline": source.multiline,
        "encoding": source.encoding,
    }
    if not source.skip:
        return Call.of(read_csv, **settings, **more)
    if more:
        raise UsageError(
            f"source {source.name!r}: lines to skip do not go with {' and '.join(more)}",
            "Take one of them out of the source",
        )
    return Call.of(read_csv_after, skip=source.skip, **settings)


def assigned(pairs: Sequence[str], sources: Sequence[Source]) -> dict[str, str]:
    """``--input`` of the command line, checked.

    Args:
        pairs: ``SOURCE=PATH`` each.
        sources: Those of the flow.

    Raises:
        UsageError: No pair, or no such source; lists them.
    """
    known = {name for one in sources for name in (one.name, one.file_name) if name}
    found = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals or not path:
            raise UsageError(f"--input {pair!r} is no SOURCE=PATH")
        if name not in known:
            raise UsageError(
                f"the flow has no source {name!r}", f"Its sources: {', '.join(sorted(known))}"
            )
        found[name] = path
    return found


def _unreadable(source: Source, error: Exception) -> UsageError:
    remedy = f"Give another file in its place: --input {source.name}=PATH"
    return UsageError(f"source {source.name!r}: {source.path}: {said(error)}", remedy)

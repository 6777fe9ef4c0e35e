"""The inputs of a run, pinned: what each source was when the run was planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from penstock.bucket import storage_of
from penstock.catalog.glue import resolve
from penstock.config import Location, Settings
from penstock.contract import Pipeline, Source
from penstock.errors import ConfigError, MismatchError
from penstock.gate import Bounds
from penstock.ledger.window import Window
from penstock.run.context import Context
from penstock.source.files import Pin, check_delta, check_unchanged, pins, place
from penstock.source.splits import Reading, Split, cut
from penstock.source.table import current_version, delta_rows
from penstock.stage.report import Report, rows_of
from penstock.stage.spark import SourceStaging


@dataclass(frozen=True)
class FileInput:
    """Files, pinned by size and modification time."""

    name: str
    source: Source
    reading: Reading
    splits: tuple[Split, ...]
    pins: tuple[Pin, ...]
    extra: tuple[str, ...]

    @property
    def pin(self) -> Any:
        """Paths, sizes, times."""
        return [[one.path, one.size, one.version] for one in self.pins]

    def stage(self, staging: SourceStaging, bounds: Bounds) -> Report:
        """A task a piece."""
        return staging.files(self.name, self.source, bounds, self.reading, self.splits)

    def check_read(self, rows: int) -> None:
        """Compare what was read with what the files say of themselves.

        Text says nothing: there the reader counts on its own.

        Raises:
            MismatchError: A file was left out, or Parquet's footers hold another number of rows.
        """
        storage = self.reading.storage
        wanted = {one.path for one in self.pins if one.size}
        if self.reading.format == "parquet":
            _check_rows(self.name, sum(rows_of(one, storage) for one in sorted(wanted)), rows)
            return
        left_out = sorted(wanted - {one.path for one in self.splits})
        if left_out:
            message = f"source {self.name!r}: {left_out[0]} was not read"
            raise MismatchError(message, "Nothing was published; please report this as a defect")

    def check(self) -> None:
        """Raise TemporaryError where a file is not what it was pinned to."""
        check_unchanged(self.pins, self.reading.storage)


@dataclass(frozen=True)
class DeltaInput:
    """A Delta table, pinned to a version."""

    name: str
    source: Source
    spark: SparkSession
    folder: str
    version: int
    extra: tuple[str, ...]

    @property
    def pin(self) -> Any:
        """Folder and version."""
        return [self.folder, self.version]

    def stage(self, staging: SourceStaging, bounds: Bounds) -> Report:
        """Spark reads the version."""
        rows, _ = delta_rows(self.spark, self.folder, self.version, self.source)
        return staging.frame(self.name, self.source, bounds, rows)

    def check_read(self, rows: int) -> None:
        """Compare what was read with the version's own number of rows; raises MismatchError."""
        table = self.spark.read.format("delta").option("versionAsOf", self.version)
        _check_rows(self.name, table.load(self.folder).count(), rows)

    def check(self) -> None:
        """A version does not change."""


Input = FileInput | DeltaInput


def inputs(context: Context, pipeline: Pipeline) -> tuple[Input, ...]:
    """All sources of a pipeline, pinned to what they are now.

    Raises:
        ConfigError: ``conf`` does not say where a source lies.
        ContractError: A file or a declared column is missing.
        DataGateError: A file is truncated or corrupt.
    """
    return inputs_of(context, pipeline.sources)


def inputs_of(context: Context, sources: Mapping[str, Source]) -> tuple[Input, ...]:
    """The same of sources by name."""
    return tuple(_input(context, name, source) for name, source in sorted(sources.items()))


def bounds_of(source: Source, window: Window) -> Bounds:
    """What is read of a source for a window: lookback earlier than its start, up to its end."""
    start = None if window.start is None else window.start - source.lookback
    return Bounds(start, window.end)


def _check_rows(name: str, there: int, read: int) -> None:
    if there != read:
        message = f"source {name!r}: it holds {there} rows, {read} were read"
        raise MismatchError(message, "Nothing was published; please report this as a defect")


def _input(context: Context, name: str, source: Source) -> Input:
    location = _location(context, context.settings, name)
    folder = place(name, location, context.root)
    storage = storage_of(folder, context.settings)
    if location.format == "delta":
        check_delta(name, folder, storage)
        version = current_version(context.spark, folder)
        _, extra = delta_rows(context.spark, folder, version, source)
        return DeltaInput(name, source, context.spark, folder, version, extra)
    pinned = pins(name, folder, storage)
    reading, splits, extra = cut(location, source, pinned, storage)
    return FileInput(name, source, reading, tuple(splits), pinned, extra)


def _location(context: Context, settings: Settings, name: str) -> Location:
    if name not in settings.sources:
        message = f"conf does not say where source {name!r} lies"
        raise ConfigError(message, f"Add sources.{name} with format and path")
    location = settings.sources[name]
    if location.format != "table":
        return location
    if location.table is None:
        raise ConfigError(f"source {name!r} has format table and no table", "Add table: db.table")
    return resolve(context.client("glue"), location.table)

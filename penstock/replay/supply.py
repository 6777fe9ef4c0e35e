"""The rows of a source of ``conf``, as events: in the order of its files, or in that of their time.

All columns of the files go out, not only those that a pipeline declares. Only the texts that the
pipelines declare as null become null.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from penstock.bucket import storage_of
from penstock.config import Location, Settings
from penstock.contract import Column, Pipeline, Source
from penstock.errors import ConfigError, ContractError, UsageError
from penstock.gate import FILE, POSITION, PROBLEM
from penstock.replay.events import Event, Form, can_be_sent
from penstock.source.delimited import csv_header
from penstock.source.files import Pin, check_unchanged, pins, place
from penstock.source.json_lines import json_names
from penstock.source.splits import Reading, Split, cut, parquet_schema
from penstock.storage import Storage

#: Events that are sorted are held in memory: keys and values of so many bytes at most. Python needs
#: about 500 bytes more for each: a year of flights, 112 MB, takes 280 (measured).
MOST_SORTED = 1 << 30


@dataclass(frozen=True)
class Declared:
    """What the pipelines say of a source, all together.

    Args:
        columns: Names, each once; none where no pipeline reads it.
        null_texts: Texts that mean null.
        time: Its time column, where they name one and the same.
    """

    columns: tuple[str, ...] = ()
    null_texts: tuple[str, ...] = ("",)
    time: str | None = None


def declared(name: str, pipelines: Iterable[Pipeline]) -> Declared:
    """Read it off the pipelines.

    Raises:
        ContractError: Two pipelines take other texts for null.
    """
    found = [one.sources[name] for one in pipelines if name in one.sources]
    if not found:
        return Declared()
    nulls = {frozenset(one.null_texts) for one in found}
    if len(nulls) > 1:
        message = f"the pipelines that read source {name!r} differ in null_texts"
        raise ContractError(message, "Declare the same in all of them")
    columns = dict.fromkeys(column.name for one in found for column in one.columns)
    times = {one.time for one in found if one.time is not None}
    return Declared(
        tuple(columns), found[0].null_texts, next(iter(times)) if len(times) == 1 else None
    )


@dataclass(frozen=True)
class Rows:
    """The rows of a source, pinned to what its files are now.

    Args:
        names: Columns that are sent.
        left_out: Columns that are not, because their values have no text.
    """

    reading: Reading
    splits: tuple[Split, ...]
    pins: tuple[Pin, ...]
    names: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All of them, in the order of the files.

        Raises:
            DataGateError: A file is truncated or corrupt.
            TemporaryError: A file has changed meanwhile.
        """
        for split in self.splits:
            yield from self.reading.batches(split)
        check_unchanged(self.pins, self.reading.storage)


def rows(settings: Settings, root: Path, name: str, known: Declared) -> Rows:
    """Look at the files of a source.

    Args:
        settings: Say where it lies.
        root: Folder that relative paths are relative to.
        name: Of the source.
        known: From :func:`declared`.

    Raises:
        UsageError: ``conf`` has no such source, or it is no file.
        ContractError: There is no file, or a file lacks a column that the first one has.
    """
    if name not in settings.sources:
        message = f"there is no source {name!r} in conf"
        raise UsageError(message, f"There are: {', '.join(settings.sources) or 'none'}")
    location = settings.sources[name]
    if location.format in ("delta", "table"):
        message = f"source {name!r} has format {location.format}"
        raise UsageError(message, "Only files can be replayed: csv, json or parquet")
    path = place(name, location, root)
    storage = storage_of(path, settings)
    pinned = pins(name, path, storage)
    names, left_out = _names(name, location, pinned, storage, known)
    source = Source(tuple(Column(one) for one in names), known.null_texts)
    reading, splits, _ = cut(location, source, pinned, storage)
    return Rows(reading, tuple(splits), pinned, names, left_out)


class Supply:
    """Events out of batches, counted.

    Args:
        batches: From :meth:`Rows.batches`.
        form: How a row becomes an event.
        limit: So many events and no more; None: all.
    """

    def __init__(
        self, batches: Iterable[pa.RecordBatch], form: Form, limit: int | None = None
    ) -> None:
        self._batches = batches
        self._form = form
        self._limit = limit
        self.skipped = 0  # rows that could not be read, or have no time, so far

    def __iter__(self) -> Iterator[Event]:
        """In the order of the files."""
        given = 0
        for batch in self._batches:
            for event in self._form.events(self._sound(batch)):
                if given == self._limit:
                    return
                if event is None:
                    self.skipped += 1
                else:
                    given += 1
                    yield event

    def by_time(self, most: int = MOST_SORTED) -> list[Event]:
        """All of them in the order of their time, those of one moment as in the files.

        Raises:
            UsageError: They have more than ``most`` bytes.
        """
        found, size = [], 0
        for event in self:
            size += event.size
            if size > most:
                message = f"its rows are more than {most >> 20:,} MiB, too many to sort by time"
                raise UsageError(message, "Use --speed max, or fewer rows with --limit")
            found.append(event)
        return sorted(found, key=attrgetter("at"))

    def _sound(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Without the rows that could not be read, and without file and position."""
        if PROBLEM in batch.schema.names:
            sound = pc.is_null(batch.column(batch.schema.names.index(PROBLEM)))
            self.skipped += len(batch) - pc.sum(sound).as_py()
            batch = batch.filter(sound)
        kept = [one for one in batch.schema.names if one not in (FILE, POSITION, PROBLEM)]
        return batch.select(kept)


def _names(
    name: str, location: Location, pinned: tuple[Pin, ...], storage: Storage, known: Declared
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns that are sent, and those that cannot be."""
    first = next((one.path for one in pinned if one.size), pinned[0].path)
    if location.format == "parquet":
        fields = list(parquet_schema(first, storage))
        sent = tuple(one.name for one in fields if can_be_sent(one.type))
        return sent, tuple(one.name for one in fields if one.name not in sent)
    if location.format == "csv" and location.header:
        return tuple(csv_header(first, storage, location.delimiter)), ()
    if known.columns:
        return known.columns, ()
    if location.format == "json":
        seen = {key for pin in pinned for keys in json_names(pin.path, storage) for key in keys}
        return tuple(sorted(seen)), ()
    message = f"source {name!r} has no header, and no pipeline declares its columns"
    raise ConfigError(message, "Declare a pipeline that reads it")

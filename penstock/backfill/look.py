"""A first look at the sources, on the driver, while Spark is still starting.

It tells how many source rows fall into the time of each window, which is what windows are compared
by, and keeps the rows that a few chosen windows see. Where there is no time to read all files, some
pieces drawn at random tell the sizes as well, for these are compared with one another alone.
"""

from __future__ import annotations

import bisect
import functools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as fn

from penstock.contract import Source
from penstock.encoding.instants import micros_of
from penstock.gate import ORIGIN, ORIGIN_TYPE, Bounds, SourceGate
from penstock.ledger.window import Window
from penstock.run.inputs import FileInput, Input, bounds_of
from penstock.worker import settled

MAX_BYTES = 256 * 2**20  # of rows that are kept on the driver


class Look:
    """What was seen of the sources so far.

    Args:
        windows: In order of time, none sharing time with another.
        chosen: Those whose rows are kept.
    """

    def __init__(self, windows: Sequence[Window], chosen: Sequence[Window]) -> None:
        self._windows, self._chosen = windows, chosen
        self._counts, self._known = [0] * len(windows), False
        self._kept: dict[str, list[pa.RecordBatch]] = {}
        self._bytes, self._complete = 0, False
        self.share = 0.0  # of the pieces of files that were read

    @property
    def weights(self) -> dict[str, float]:
        """Rows by name of the window; its seconds where no source has a time."""
        if not self._known:
            return {one.name: (end(one) - start(one)).total_seconds() for one in self._windows}
        pairs = zip(self._windows, self._counts, strict=True)
        return {one.name: float(rows) for one, rows in pairs}

    @property
    def kept(self) -> dict[str, list[pa.RecordBatch]] | None:
        """Typed rows that the chosen windows see, by source; None where they are not all there."""
        return self._kept if self._complete and self._bytes <= MAX_BYTES else None

    def so_far(self, source: str) -> list[pa.RecordBatch]:
        """What was kept of it by now; empty where it is no file, or was not read yet."""
        return list(self._kept.get(source, ()))

    def has(self, some: Sequence[Window]) -> bool:
        """Whether all these windows are among the chosen ones."""
        return all(one in self._chosen for one in some)

    def read(self, pinned: Sequence[Input], stop: Callable[[], bool], seed: int = 0) -> None:
        """Read files piece by piece, in random order, until ``stop`` says so."""
        files = [one for one in pinned if isinstance(one, FileInput)]
        piece_share = 1 / max(sum(len(one.splits) for one in files), 1)
        for one in sorted(files, key=lambda one: len(one.splits)):  # small ones are soon whole
            gate, pieces = SourceGate(one.name, one.source, Bounds()), list(one.splits)
            self._kept[one.name] = []
            random.Random(seed).shuffle(pieces)
            for piece in pieces:
                for batch in one.reading.batches(piece):
                    self._take(one.name, one.source, gate.check(batch).rows)
                    if stop():
                        return
                self.share += piece_share
        self._complete = len(files) == len(pinned)

    def ask(self, frame: DataFrame, time: str) -> None:
        """Count the rows of a frame by Spark."""
        windows = self._windows

        def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                found = placed(windows, batch.column("at"))
                columns = [pa.array(list(found), pa.int32()), pa.array(found.values(), pa.int64())]
                yield pa.RecordBatch.from_arrays(columns, names=["n", "rows"])

        rows = frame.select(fn.unix_micros(f"`{time}`").alias("at"))
        counts = rows.mapInArrow(settled(work), "n int, rows bigint")
        found = counts.groupBy("n").agg(fn.sum("rows").alias("rows")).collect()
        self._add({row["n"]: row["rows"] for row in found})

    def _take(self, name: str, source: Source, rows: pa.Table) -> None:
        if source.time is not None:
            instants = rows.column(source.time).combine_chunks()
            self._add(placed(self._windows, pc.cast(instants, pa.int64())))
            seen = [bounds_of(source, one).contains(instants) for one in self._chosen]
            rows = rows.filter(functools.reduce(pc.or_, seen))
        # Where a row came from decides nothing, and would be most of what travels to the workers.
        place = rows.schema.get_field_index(ORIGIN)
        rows = rows.set_column(place, ORIGIN, pa.nulls(rows.num_rows, ORIGIN_TYPE))
        self._bytes += rows.nbytes
        if self._bytes <= MAX_BYTES:
            self._kept[name] += rows.to_batches()

    def _add(self, found: dict[int, int]) -> None:
        self._known = True
        for n, rows in found.items():
            self._counts[n] += rows


def placed(windows: Sequence[Window], at: pa.Array) -> dict[int, int]:
    """How many of the instants (microseconds) fall into each window, by its number."""
    starts = [micros_of(start(one)) for one in windows]
    found: dict[int, int] = {}
    for one in pc.value_counts(at).to_pylist():
        value = one["values"]
        n = -1 if value is None else bisect.bisect_right(starts, value) - 1
        if n >= 0 and value < micros_of(end(windows[n])):
            found[n] = found.get(n, 0) + one["counts"]
    return found


def start(window: Window) -> datetime:
    """Its start; windows without one have no size."""
    assert window.start is not None
    return window.start


def end(window: Window) -> datetime:
    """Its end."""
    assert window.end is not None
    return window.end

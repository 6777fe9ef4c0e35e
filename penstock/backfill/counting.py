"""What a staging task finds in its rows, as figures instead of files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.contract import FeatureGroup
from penstock.gate import ORIGIN, Bounds, FeatureGate
from penstock.online.body import WRITE_UNIT
from penstock.run.mode import Mode
from penstock.stage.versions import TIE, Versions

FRAMING = len('{"FeatureName":"","ValueAsString":""},')  # of a feature in the JSON that is sent
FIGURES = (
    *("rows", "identifiers", "quarantined", "records"),
    *("record_bytes", "units_low", "units_high", "table_bytes"),
)


def counting(
    group: FeatureGroup, bounds: Bounds, latest: datetime, mode: Mode
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """One batch with the figures of the rows that come; those of an identifier side by side."""

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        gate = FeatureGate(group, bounds, latest)
        versions = Versions(group.record_identifier, group.event_time)
        found = dict.fromkeys(FIGURES, 0)

        def add(rows: pa.Table, candidates: pa.Table, identifiers: int) -> None:
            found["rows"] += rows.num_rows
            found["identifiers"] += identifiers
            found["table_bytes"] += _parquet_bytes(rows)
            for name, figure in _sizes(group, _sent(mode, rows, candidates)).items():
                found[name] += figure

        for batch in batches:
            gated = gate.check(batch)
            found["quarantined"] += gated.bad.num_rows
            for one in versions.add(gated.rows.drop_columns([ORIGIN])):
                add(one.rows, one.latest, one.identifiers)
        for one in versions.finish():
            add(one.rows, one.latest, one.identifiers)
        yield pa.RecordBatch.from_pydict({name: [found[name]] for name in FIGURES})

    return work


def _sent(mode: Mode, rows: pa.Table, latest: pa.Table) -> pa.Table:
    if mode.online == "each":
        return rows.filter(pc.equal(rows.column(TIE), 0))
    return {"latest": latest, "service": rows, "never": rows.slice(0, 0)}[mode.online]


def _sizes(group: FeatureGroup, rows: pa.Table) -> dict[str, int]:
    """Records, bytes of their names and values, and units: of those, and of their JSON."""
    size = pa.repeat(pa.scalar(0, pa.int64()), rows.num_rows)
    whole = size
    for name in group.names:
        text = pc.cast(rows.column(name).combine_chunks(), pa.string())
        length = pc.add(pc.cast(pc.binary_length(text), pa.int64()), len(name.encode()))
        size = pc.add(size, pc.fill_null(length, 0))
        whole = pc.add(whole, pc.fill_null(pc.add(length, FRAMING), 0))
    return {
        "records": rows.num_rows,
        "record_bytes": pc.sum(size).as_py() or 0,
        "units_low": _units(size),
        "units_high": _units(whole),
    }


def _units(sizes: pa.Array) -> int:
    """Begun units of 1 KB, one at least for each record."""
    begun = pc.divide(pc.add(sizes, WRITE_UNIT - 1), WRITE_UNIT)
    return int(pc.sum(pc.max_element_wise(begun, 1)).as_py() or 0)


def _parquet_bytes(rows: pa.Table) -> int:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    return int(sink.getvalue().size)

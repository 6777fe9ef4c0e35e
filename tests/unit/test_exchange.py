"""Packing: what goes in comes out, each key in one partition, whatever file or frame it is from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.entries import Files
from penstock.storage import LocalStorage
from penstock.training import exchange
from penstock.training.exchange import KEY, Column, _Packing, _Reading, _slots, unpacked

KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "text": (pa.string(), st.text(max_size=3)),
    "whole": (pa.int64(), st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)),
    "double": (pa.float64(), st.sampled_from([0.0, -0.0, 1.5, -1.5, 1e300])),
}
Row = tuple[Any, int]


def batches(kind: pa.DataType, rows: Sequence[Row], size: int) -> Iterator[pa.RecordBatch]:
    """Rows of a key and a number, so many a batch."""
    schema = pa.schema([(KEY, kind), ("n", pa.int64())])
    for start in range(0, len(rows), size):
        some = [{KEY: key, "n": n} for key, n in rows[start : start + size]]
        yield pa.RecordBatch.from_pylist(some, schema)


def by_slot(packs: Sequence[pa.RecordBatch]) -> dict[int, list[pa.RecordBatch]]:
    """The packs of each slot, as Spark would bring them together."""
    found: dict[int, list[pa.RecordBatch]] = defaultdict(list)
    for batch in packs:
        for n, slot in enumerate(batch.column("_slot").to_pylist()):
            found[slot].append(batch.slice(n, 1))
    return found


@pytest.mark.shows("6.2")
@pytest.mark.parametrize("name", KINDS)
@settings(deadline=None)
@given(data=st.data())
def test_rows_of_a_key_meet_and_none_is_lost(name: str, data: st.DataObject) -> None:
    """Of both tables; rows without a key are somewhere, once."""
    kind, values = KINDS[name]
    keys = st.lists(st.none() | values, max_size=40)
    sides = [[(key, n) for n, key in enumerate(data.draw(keys))] for _ in range(2)]
    slots = _slots(data.draw(st.integers(1, 9)))
    size, held = data.draw(st.integers(1, 15)), data.draw(st.integers(1, 20))
    packs: list[pa.RecordBatch] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "HELD_ROWS", held)
        patch.setattr(exchange, "PACK_BYTES", data.draw(st.integers(1, 200)))
        for side, rows in enumerate(sides):
            packs += _Packing(side, slots)(batches(kind, rows, size))
    came: list[list[Row]] = [[], []]
    places: dict[Any, set[int]] = defaultdict(set)
    for slot, some in by_slot(packs).items():
        assert slot in slots
        for side, table in enumerate(unpacked(some, 2)):
            for row in [] if table is None else table.to_pylist():
                came[side].append((row[KEY], row["n"]))
                places[row[KEY]].add(slot)
    for side, rows in enumerate(sides):
        assert sorted(came[side], key=lambda row: row[1]) == rows
    assert all(len(found) == 1 for key, found in places.items() if key is not None)


def test_packs_are_small_and_rows_without_a_key_are_spread() -> None:
    """A pack holds no more than it may, but for one row that is larger."""
    rows = [(None, n) for n in range(4_000)]
    (made,) = _Packing(0, _slots(4))(batches(pa.string(), rows, 4_000))
    sizes = {slot: len(found) for slot, found in by_slot([made]).items()}
    assert len(sizes) == 4
    wide = [("k", n) for n in range(200_000)]
    packs = list(_Packing(0, _slots(4))(batches(pa.string(), wide, 50_000)))
    largest = max(len(one) for batch in packs for one in batch.column("_rows").to_pylist())
    assert exchange.PACK_BYTES / 2 < largest < exchange.PACK_BYTES * 1.1
    assert len(by_slot(packs)) == 1


def test_slots_are_as_many_and_as_spark_hashes_them() -> None:
    """Spark's own answers: SELECT hash(0), hash(1), in 4.1."""
    assert [exchange._murmur(n) for n in (0, 1)] == [933211791, -559580957]
    assert len(set(_slots(200))) == 200


@pytest.mark.shows("6.2")
def test_a_file_is_read_once_by_all_its_pieces(tmp_path: Path) -> None:
    """Row groups shared out; a column an older file lacks is null; instants count microseconds."""
    at = [datetime(2024, 1, 1, 0, 0, n % 60, n, tzinfo=timezone.utc) for n in range(100)]
    whole = pa.table({"who": [f"w{n % 7}" for n in range(100)], "n": range(100), "at": at})
    old = {"use_deprecated_int96_timestamps": True, "store_schema": False}
    for name, more in (("new", {}), ("old", old)):
        pq.write_table(whole, tmp_path / f"{name}.parquet", row_group_size=9, **more)
    paths = [str(tmp_path / f"{name}.parquet") for name in ("new", "old")]
    files = Files(dict.fromkeys(paths, 1), LocalStorage())
    columns = {
        KEY: Column("who", pa.string()),
        "n": Column("n", pa.int64()),
        "at": Column("at", pa.int64()),
        "more": Column("more", pa.float64()),
    }
    packs: list[pa.RecordBatch] = []
    for path in paths:
        for n in range(3):
            piece = pa.RecordBatch.from_pylist([{"path": path, "number": n, "of": 3}])
            packs += _Reading(files, columns, _Packing(1, _slots(2)))([piece])
    nothing, found = unpacked(packs, 2)
    assert nothing is None
    assert found is not None
    rows = sorted(found.to_pylist(), key=lambda row: int(row["n"]))
    micros = [round(one.timestamp() * 1e6) for one in at]
    assert [row["n"] for row in rows] == [n for n in range(100) for _ in range(2)]
    assert [row["at"] for row in rows] == [one for one in micros for _ in range(2)]
    assert {row["more"] for row in rows} == {None}
    assert all(row[KEY] == f"w{row['n'] % 7}" for row in rows)

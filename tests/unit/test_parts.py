"""Files of a table: every row once, and bounds that no row is beyond."""

from __future__ import annotations

import json
import math
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import parts
from penstock.commits import Log
from penstock.entries import Part
from penstock.parts import PartTask, Statistics
from penstock.storage import LocalStorage

SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("level", pa.int64()),
        ("share", pa.float64()),
        ("at", pa.timestamp("us", "UTC")),
        ("gone", pa.bool_()),
    ]
)
START = datetime(2024, 1, 1, tzinfo=timezone.utc)
#: Around the length from which bounds are cut, of characters at which counting up is not plain.
LONG = st.builds(
    lambda start, rest: start + rest,
    st.sampled_from(["", "a", "\ud7ff", "\U0010ffff", "\ue000"]).map(lambda one: one * 63),
    st.text(st.sampled_from("a\ud7ff\ue000\U0010ffff"), max_size=3),
)
rows = st.fixed_dictionaries(
    {
        "name": st.none() | st.text(max_size=5) | LONG,
        "level": st.none() | st.integers(-(2**63), 2**63 - 1),
        "share": st.none() | st.floats(allow_nan=False),
        "at": st.none() | st.integers(0, 5_000).map(lambda n: START + timedelta(microseconds=n)),
        "gone": st.none() | st.booleans(),
    }
)


def written(folder: str, batches: list[list[dict[str, Any]]]) -> list[Part]:
    """What a task makes of batches."""
    task = PartTask(SCHEMA, folder, LocalStorage())
    made = [pa.RecordBatch.from_pylist(one, SCHEMA) for one in batches]
    (answer,) = list(task(made))
    return [Part(**json.loads(one)) for one in answer.column(0).to_pylist()]


@settings(max_examples=150, deadline=None)
@given(st.lists(rows, min_size=1, max_size=12))
def test_no_row_is_beyond_its_bounds(some: list[dict[str, Any]]) -> None:
    """As the protocol has them: milliseconds, text by code points; null where nothing is known."""
    half = len(some) // 2
    statistics = Statistics(SCHEMA)
    for piece in (some[:half], some[half:]):
        statistics.add(pa.Table.from_pylist(piece, SCHEMA))
    made = json.loads(statistics.text(len(some)))
    least, greatest = made.get("minValues", {}), made.get("maxValues", {})
    assert made["numRecords"] == len(some)
    for name in SCHEMA.names:
        values = [one[name] for one in some]
        assert made["nullCount"][name] == values.count(None)
        known = [one for one in values if one is not None]
        if name == "at":
            known = [one.isoformat(timespec="microseconds") for one in known]
            low, high = (one.get(name, "").replace("Z", "000+00:00") for one in (least, greatest))
        else:
            low, high = least.get(name), greatest.get(name)
        assert all(low in (None, "") or low <= one for one in known)
        assert all(high in (None, "") or one <= high for one in known)
    shown = {name for name in SCHEMA.names if any(one[name] is not None for one in some)}
    assert set(least) == set(greatest)
    assert set(least) in (shown, set())
    endless = any(one["share"] in (math.inf, -math.inf) for one in some)
    highest = any((one["name"] or "") > "\U0010ffff" * 64 for one in some)
    assert bool(least) is (bool(shown) and not endless and not highest)


def test_what_has_no_order_has_no_bounds() -> None:
    """Not a number is the greatest value for Spark, and none for others: nothing is skipped."""
    statistics = Statistics(SCHEMA)
    statistics.add(pa.Table.from_pylist([{"share": math.nan}, {"share": 1.0, "level": 1}], SCHEMA))
    assert "minValues" not in json.loads(statistics.text(2))


@settings(max_examples=40, deadline=None)
@given(st.lists(rows, min_size=1, max_size=12), st.data())
def test_a_reader_that_skips_by_bounds_loses_no_row(
    some: list[dict[str, Any]], data: st.DataObject
) -> None:
    """delta-rs finds by a value what is there, in two files."""
    name = data.draw(st.sampled_from(SCHEMA.names))
    value = data.draw(st.sampled_from([one[name] for one in some]))
    with tempfile.TemporaryDirectory() as folder:
        log = Log(folder, LocalStorage())
        half = len(some) // 2
        for piece in (some[:half], some[half:]):
            assert log.append(written(folder, [piece]), SCHEMA)
        from deltalake import DeltaTable

        dataset: Any = DeltaTable(folder).to_pyarrow_dataset()
        if value is None:
            found = dataset.to_table(filter=pa.compute.field(name).is_null())
        else:
            typed = pa.scalar(value, SCHEMA.field(name).type)
            found = dataset.to_table(filter=pa.compute.field(name) == typed)
        wanted = [one for one in some if one[name] == value]
        zoned = pa.Table.from_pylist(wanted, SCHEMA).to_pylist()
        assert sorted(map(repr, found.to_pylist())) == sorted(map(repr, zoned))


def test_rows_are_shared_out_over_files_and_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row groups and files end where they are full; an empty task makes no file."""
    monkeypatch.setattr(parts, "GROUP_ROWS", 10)
    monkeypatch.setattr(parts, "PART_ROWS", 20)
    some = [{"name": f"{n}", "level": n} for n in range(47)]
    made = written(f"{tmp_path}", [some[:3], [], some[3:29], some[29:]])
    counts = [json.loads(one.statistics)["numRecords"] for one in made]
    assert sum(counts) == 47
    assert all(one >= 20 for one in counts[:-1])
    read = [pq.ParquetFile(tmp_path / one.name) for one in made]
    assert [one.metadata.num_rows for one in read] == counts
    assert all(one.metadata.row_group(0).num_rows <= 10 for one in read)
    assert [(tmp_path / one.name).stat().st_size for one in made] == [one.size for one in made]
    levels = [level for one in read for level in one.read()["level"].to_pylist()]
    assert levels == list(range(47))
    assert written(f"{tmp_path}/none", [[], []]) == []
    assert not (tmp_path / "none").exists()


def test_bounds_that_are_not_values(tmp_path: Path) -> None:
    """Zero is between both zeros, long text within what it begins with; infinity is no JSON."""
    statistics = Statistics(SCHEMA)
    some = [
        {"name": "x" * 65, "share": 0.0, "level": 0, "gone": False},
        {"name": "a", "share": 0.0, "level": 0, "gone": True},
    ]
    statistics.add(pa.Table.from_pylist(some, SCHEMA))
    made = json.loads(statistics.text(2))
    assert made["minValues"] == {"level": 0, "share": -0.0, "name": "a", "gone": False}
    assert math.copysign(1, made["minValues"]["share"]) == -1
    assert made["maxValues"] == {"level": 0, "share": 0.0, "name": "x" * 63 + "y", "gone": True}
    assert written(f"{tmp_path}", [some])[0].statistics == statistics.text(2)
    statistics.add(pa.Table.from_pylist([{"share": math.inf}], SCHEMA))
    assert json.loads(statistics.text(3)).keys() == {"numRecords", "nullCount"}

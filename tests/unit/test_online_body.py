"""Bodies say exactly what the columns hold."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.contract import FeatureType
from penstock.encoding import STORAGE
from penstock.errors import MismatchError
from penstock.online.body import encode, frame_of, put_path
from tests.sending import JOB, table

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = {
    FeatureType.STRING: TEXT,
    FeatureType.INTEGRAL: st.integers(-(2**63), 2**63 - 1),
    FeatureType.FRACTIONAL: st.floats(allow_nan=False, allow_infinity=False),
}
READ = {
    FeatureType.STRING: str,
    FeatureType.INTEGRAL: int,
    FeatureType.FRACTIONAL: float,
}
KINDS = (
    FeatureType.FRACTIONAL,
    FeatureType.STRING,
    FeatureType.STRING,
    FeatureType.INTEGRAL,
)
NAMES = ("length", "id", "at", "legs")
MIXED = replace(JOB, features=NAMES, types=KINDS)


def batch_of(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    """Rows of MIXED."""
    columns = zip(*rows, strict=True)
    arrays = [
        pa.array(values, STORAGE[kind][0]) for values, kind in zip(columns, KINDS, strict=True)
    ]
    return pa.record_batch(arrays, names=list(NAMES))


def read(record: list[dict[str, str]]) -> dict[str, Any]:
    """A record as Python values; refuses a feature named twice."""
    kinds = dict(zip(NAMES, KINDS, strict=True))
    values = {one["FeatureName"]: one["ValueAsString"] for one in record}
    assert len(values) == len(record)
    return {name: READ[kinds[name]](text) for name, text in values.items()}


def same(left: Any, right: Any) -> bool:
    """Equal to the bit: -0.0 is not 0.0."""
    if isinstance(left, float):
        return struct.pack("d", left) == struct.pack("d", right)
    return bool(left == right)


ROW = st.tuples(
    st.none() | VALUES[FeatureType.FRACTIONAL],
    VALUES[FeatureType.STRING],
    VALUES[FeatureType.STRING],
    st.none() | VALUES[FeatureType.INTEGRAL],
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=30))
def test_what_is_parsed_back_is_what_went_in(rows: list[tuple[Any, ...]]) -> None:
    """For any values: PutRecord's body and BatchWriteRecord's entries, nulls left out."""
    bodies = encode(MIXED, frame_of("birds", ("OnlineStore",)), batch_of(rows))
    together = json.loads(bodies.batch(range(len(rows))))["Entries"]
    assert len(together) == len(rows)
    for place, row in enumerate(rows):
        alone = json.loads(bodies.put(place))
        entry = together[place]
        assert entry["FeatureGroupName"] == "birds"
        assert alone["TargetStores"] == entry["TargetStores"] == ["OnlineStore"]
        assert alone["Record"] == entry["Record"]
        wanted = {name: value for name, value in zip(NAMES, row, strict=True) if value is not None}
        found = read(alone["Record"])
        assert found.keys() == wanted.keys()
        assert all(same(found[name], wanted[name]) for name in wanted)
        assert bodies.key(place) == (row[1], row[2])


@pytest.mark.shows("3.5")
def test_awkward_text_arrives_as_it_is() -> None:
    """Emoji, quotes, backslashes, newlines, NUL, U+2028 and DEL, beside text that needs nothing."""
    awkward = ['say "hi"', "back\\slash", "two\nlines\r\n", "\x00", "🦜", "é\u2028\x7f", "", "</p>"]
    rows = [(1.0, text, "t", 1) for text in awkward]
    bodies = encode(MIXED, frame_of("birds", ("OnlineStore",)), batch_of(rows))
    found = [read(json.loads(bodies.put(n))["Record"])["id"] for n in range(len(rows))]
    assert found == awkward


def test_doubles_keep_their_point() -> None:
    """Whole doubles read as doubles, large ones in digits, tiny ones with an exponent."""
    values = [1.0, -3.0, 0.0, -0.0, 1e10, 999999999999999.0, 1e15, 0.1, 5e-324, 1.5e300]
    bodies = encode(
        MIXED, frame_of("birds", ("OnlineStore",)), batch_of([(v, "i", "t", 1) for v in values])
    )
    texts = [
        {one["FeatureName"]: one["ValueAsString"] for one in json.loads(bodies.put(n))["Record"]}[
            "length"
        ]
        for n in range(len(values))
    ]
    assert texts[:6] == ["1.0", "-3.0", "0.0", "-0.0", "10000000000.0", "999999999999999.0"]
    assert [float(text) for text in texts] == values


def test_a_sliced_chunk_is_encoded_from_its_own_rows() -> None:
    """Chunks are slices of larger batches: offsets count."""
    whole = table(50).to_batches()[0]
    bodies = encode(JOB, frame_of("birds", ("OnlineStore",)), whole.slice(30, 5))
    record = json.loads(bodies.put(0))["Record"]
    assert record[0] == {"FeatureName": "id", "ValueAsString": "k30"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (table(3, id=["a", None, "c"]), "null in 'id'"),
        (table(3, length=[1.0, math.nan, None]), "not finite"),
        (table(3, length=[1.0, None, math.inf]), "not finite"),
        (table(3).drop_columns(["legs"]), "'legs' is None"),
        (table(3).set_column(4, "legs", pa.array([1, 2, 3], pa.int32())), "'legs' is int32"),
    ],
)
def test_a_file_that_is_not_as_staged_is_refused(data: pa.Table, says: str) -> None:
    """Nothing is guessed about a row that staging should not have let through."""
    with pytest.raises(MismatchError, match=says):
        encode(JOB, frame_of("birds", ("OnlineStore",)), data.to_batches()[0])


def test_text_that_is_not_utf8_is_refused() -> None:
    """Bytes that are not UTF-8 would make the whole batch unreadable to the service."""
    raw = pa.array([b"\xff\xfe", b"ok"], pa.binary())
    text = pa.StringArray.from_buffers(2, raw.buffers()[1], raw.buffers()[2])
    with pytest.raises(MismatchError, match="not UTF-8"):
        encode(
            JOB,
            frame_of("birds", ("OnlineStore",)),
            table(2).set_column(2, "kind", text).to_batches()[0],
        )


def test_an_arn_is_one_path_segment() -> None:
    """An ARN is encoded whole, slash and colons included (service facts §3.4)."""
    arn = "arn:aws:sagemaker:us-east-1:123456789012:feature-group/my-fg"
    encoded = "arn%3Aaws%3Asagemaker%3Aus-east-1%3A123456789012%3Afeature-group%2Fmy-fg"
    assert put_path(arn) == f"/FeatureGroup/{encoded}"


def test_write_units_count_started_kilobytes() -> None:
    """A record of up to 1,024 bytes is one unit, the next byte starts another."""
    bare = encode(JOB, frame_of("b", ("OnlineStore",)), table(1, kind=[""]).to_batches()[0])
    room = 1024 - len(bare.records[0])
    texts = ["x" * room, "x" * (room + 1)]
    bodies = encode(JOB, frame_of("b", ("OnlineStore",)), table(2, kind=texts).to_batches()[0])
    assert bodies.units == [1, 2]

"""Rows of the quarantine come back as the values they were, and the gate judges them the same."""

from __future__ import annotations

import math
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.contract import Expectation, Feature, FeatureGroup, FeatureType
from penstock.gate import FILE, ORIGIN, POSITION, Bounds, FeatureGate
from penstock.run.payload import KEY, Judged, judged

LATEST = datetime(2030, 1, 1, tzinfo=timezone.utc)
AT = datetime(2024, 1, 1, 1, 2, 3, 456789, tzinfo=timezone.utc)
UTC = "UTC"


def _group(top: int, **more: Any) -> FeatureGroup:
    """Values of every feature type; ``whole`` is at most ``top``."""
    rule = Expectation("expect_column_values_to_be_between", "whole", {"max_value": top})
    return FeatureGroup(
        name="g",
        record_identifier="id",
        event_time="at",
        features=(
            Feature("id", FeatureType.STRING),
            Feature("at", FeatureType.STRING),
            Feature("whole", FeatureType.INTEGRAL),
            Feature("number", FeatureType.FRACTIONAL),
            Feature("words", FeatureType.STRING),
        ),
        expectations=(rule,),
        fraction_digits=9,
        **more,
    )


STRICT, MENDED = _group(0), _group(2**62)
BASE: dict[str, pa.Array] = {
    "id": pa.array(["i"]),
    "at": pa.array([AT], pa.timestamp("us", UTC)),
    "whole": pa.array([7], pa.int64()),
    "number": pa.array([0.5]),
    "words": pa.array(["w"]),
}


def _batch(**columns: pa.Array) -> pa.RecordBatch:
    made = {**BASE, **columns}
    made |= {FILE: pa.array(["f"]), POSITION: pa.array([3], pa.int64())}
    return pa.RecordBatch.from_pydict(made)


def _aside(batch: pa.RecordBatch, group: FeatureGroup = STRICT) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (
        FeatureGate(group, Bounds(), LATEST).check(batch).bad.to_pylist()
    )
    return entries


def _fit(found: Judged) -> list[str]:
    keys: list[str] = found.rows.column(KEY).to_pylist()
    return keys


VALUES = [
    ("at", pa.array([AT], pa.timestamp("us", "Asia/Tokyo"))),
    ("at", pa.array([AT], pa.timestamp("ns", UTC))),
    ("at", pa.array(["2024-01-01T05:30:00+05:30"])),
    ("at", pa.array([date(2024, 1, 1)])),
    ("at", pa.array([1704067200.25])),
    ("at", pa.array([1704067200])),
    ("at", pa.array([Decimal("1704067200.5")], pa.decimal128(20, 6))),
    ("whole", pa.array([7], pa.int8())),
    ("whole", pa.array([7.0])),
    ("whole", pa.array([True])),
    ("whole", pa.array(["007"])),
    ("whole", pa.array([Decimal("7.00")], pa.decimal128(10, 2))),
    ("number", pa.array([-0.0])),
    ("number", pa.array([5e-324])),
    ("number", pa.array([0.1], pa.float32())),
    ("number", pa.array([2**53], pa.int64())),
    ("number", pa.array([Decimal("0.1")], pa.decimal128(38, 18))),
    ("number", pa.array(["1e-3"])),
    ("number", pa.array([None], pa.float64())),
    ("words", pa.array([AT], pa.timestamp("us", UTC))),
    ("words", pa.array([0.1], pa.float32())),
    ("words", pa.array([1e16])),
    ("words", pa.array([False])),
    ("words", pa.array([12])),
    ("words", pa.array([date(1066, 10, 14)])),
    ("words", pa.array([Decimal("1.10")], pa.decimal128(38, 2))),
    ("words", pa.array(["nan"])),
    ("words", pa.array(["🦜 \x00\n\"'"])),
    ("words", pa.nulls(1)),
]


@pytest.mark.parametrize(("name", "array"), VALUES, ids=[f"{n} {a.type}" for n, a in VALUES])
def test_a_row_that_is_fit_now_is_what_it_would_have_been(name: str, array: pa.Array) -> None:
    """Under the mended contract the entry gives the row the transform's own output gives."""
    batch = _batch(**{name: array})
    (entry,) = _aside(batch)
    found = judged([entry], MENDED, LATEST)
    wanted = FeatureGate(MENDED, Bounds(), LATEST).check(batch).rows.drop_columns([ORIGIN])
    assert found.rows.drop_columns([KEY]).equals(wanted)
    assert str(found.rows.to_pylist()) == str([wanted.to_pylist()[0] | {KEY: entry["row_key"]}])
    assert (_fit(found), found.unfit, found.dropped) == ([entry["row_key"]], {}, ())


UNFIT = [
    ("number", pa.array([math.nan]), "NON_FINITE"),
    ("words", pa.array([math.nan]), "NON_FINITE"),
    ("words", pa.array([math.inf], pa.float32()), "NON_FINITE"),
    ("number", pa.array([True]), "TYPE"),
    ("number", pa.array([2**53 + 1], pa.int64()), "RANGE"),
    ("whole", pa.array(["7.00"]), "TYPE"),
    ("whole", pa.array([2**63], pa.uint64()), "RANGE"),
    ("words", pa.array([b"w"]), "TYPE"),
    ("words", pa.array([[1]]), "TYPE"),
    ("words", pa.array([{"a": 1}]), "TYPE"),
    ("words", pa.array([AT.replace(tzinfo=None)], pa.timestamp("us")), "TYPE"),
    ("words", pa.array([b"caf\xe9"], pa.binary()).view(pa.string()), "ENCODING"),
    ("at", pa.array(["2024-01-01 01:02:03Z"]), "EVENT_TIME"),
    ("at", pa.array([2024]), "EVENT_TIME"),
]


@pytest.mark.parametrize(
    ("name", "array", "rule"), UNFIT, ids=[f"{n} {a.type}" for n, a, _ in UNFIT]
)
def test_a_row_that_is_unfit_for_its_type_stays_so(name: str, array: pa.Array, rule: str) -> None:
    """JSON alone would let ``NaN`` pass as a text and a number lose digits."""
    (entry,) = _aside(_batch(**{name: array}))
    found = judged([entry], MENDED, LATEST)
    assert (found.unfit, _fit(found)) == ({entry["row_key"]: rule}, [])


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False, allow_infinity=False) | st.none(),
            st.text(max_size=20) | st.none(),
            st.datetimes(datetime(1700, 1, 1), datetime(2029, 1, 1)),  # noqa: DTZ001 - made aware below
        ),
        min_size=1,
        max_size=10,
    )
)
def test_whatever_was_put_aside_comes_back(rows: list[tuple[Any, ...]]) -> None:
    """Wholes, doubles, texts and instants, all rows of a batch at once, each under its own key."""
    wholes, numbers, words, times = zip(*rows, strict=True)
    batch = pa.RecordBatch.from_pydict(
        {
            "id": pa.array([f"i{n}" for n in range(len(rows))]),
            "at": pa.array(times, pa.timestamp("us", UTC)),
            "whole": pa.array(wholes, pa.int64()),
            "number": pa.array(numbers, pa.float64()),
            "words": pa.array(words, pa.string()),
        }
    )
    strict = FeatureGate(STRICT, Bounds(), LATEST)
    aside = _aside(batch)
    found = judged(aside, _group(2**63 - 1), LATEST)
    unfit = batch.filter(pc.greater(batch.column("whole"), 0))
    wanted = FeatureGate(_group(2**63 - 1), Bounds(), LATEST).check(unfit).rows
    assert len(aside) == strict.check(batch).bad.num_rows == unfit.num_rows
    assert found.rows.drop_columns([KEY]).to_pylist() == wanted.drop_columns([ORIGIN]).to_pylist()
    assert _fit(found) == [one["row_key"] for one in aside]


def test_rows_of_different_types_and_times_go_together() -> None:
    """A transform that changed between two runs; a feature that is new since is null."""
    first = _aside(_batch())
    second = _aside(_batch(id=pa.array(["j"]), whole=pa.array(["9"]), number=pa.array([3])))
    grown = FeatureGroup(
        "g", "id", "at", (*MENDED.features, Feature("more", FeatureType.STRING)), fraction_digits=9
    )
    found = judged([*first, *second], grown, LATEST).rows.to_pylist()
    kept = [(row["id"], row["whole"], row["number"], row["more"]) for row in found]
    assert kept == [("i", 7, 0.5, None), ("j", 9, 3.0, None)]


def test_a_rule_that_drops_and_a_time_to_come() -> None:
    """Each row leaves by one door."""
    (entry,) = _aside(_batch())
    rule = Expectation(
        "expect_column_values_to_be_between", "whole", {"max_value": 0}, on_fail="drop"
    )
    dropping = FeatureGroup(
        "g", "id", "at", MENDED.features, expectations=(rule,), fraction_digits=9
    )
    assert judged([entry], dropping, LATEST).dropped == (entry["row_key"],)
    early = datetime(2023, 1, 1, tzinfo=timezone.utc)
    assert judged([entry], MENDED, early).unfit == {entry["row_key"]: "FUTURE"}


def test_deletions_and_times_to_live_come_back_under_their_own_names() -> None:
    """A deletion must not come back as a record of nulls."""
    group = _group(2**62, deleted_when="gone", ttl_from="keep")
    strict = _group(0, deleted_when="gone", ttl_from="keep")
    more = {"gone": pa.array([False]), "keep": pa.array([60], pa.int32())}
    living = _aside(_batch(**more), strict)
    early = FeatureGate(strict, Bounds(), datetime(2023, 1, 1, tzinfo=timezone.utc))
    deletion = _batch(**{**more, "id": pa.array(["j"]), "gone": pa.array([True])})
    deleted = early.check(deletion).bad.to_pylist()
    assert [one["rule"] for one in deleted] == ["FUTURE"]
    found = judged([*living, *deleted], group, LATEST).rows.to_pylist()
    kept = [(row["id"], row["gone"], row["keep"], row["whole"], row["words"]) for row in found]
    assert kept == [("i", False, 60, 7, "w"), ("j", True, None, None, None)]

"""Steps that Data Wrangler lacks: event time, record identifier, feature types."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.contract import FeatureType
from penstock.encoding import FEATURES, double_text
from penstock.errors import UsageError
from penstock.wrangle.operators.event_time import EventTime, given_instant
from penstock.wrangle.operators.feature_type import SetFeatureTypes, number_text
from penstock.wrangle.operators.record_identifier import RecordIdentifier
from tests.wrangling import applied, frame, run_of, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.shows("8.1")
def test_event_times(spark: SparkSession) -> None:
    """Source: own rule: ISO 8601 in UTC, or epoch seconds; the zone of New York for plain text."""
    rows = frame(
        spark,
        "s string, p string, n double, d date, y int, m int, day int, h int",
        ("2020-07-01T12:00:00Z", "07/01/20 12", 1593604800.5, dt.date(2020, 7, 1), 2020, 7, 1, 12),
        ("2020-07-01 12:00:00", "13/01/20 12", None, None, 2020, 2, 30, 0),
        ("x", None, None, None, 2020, 1, 2, 24),
    )

    def found(**settings: Any) -> list[Any]:
        return [one["event_time"] for one in applied(EventTime(**settings), rows).collect()]

    york = {"zone": "America/New_York"}
    assert found(column="s", **york) == ["2020-07-01T12:00:00Z", "2020-07-01T16:00:00Z", None]
    assert found(column="p", pattern="MM/dd/yy HH", **york) == ["2020-07-01T16:00:00Z", None, None]
    assert found(column="n", write="text_millis") == ["2020-07-01T12:00:00.500Z", None, None]
    assert found(column="d", write="seconds") == [1593561600.0, None, None]
    parts = {"year": "y", "month": "m", "day": "day", "hour": "h"}
    assert found(parts=parts, **york) == ["2020-07-01T16:00:00Z", None, None]
    assert found(instant="2020-07-01T12:00:00+02:00") == ["2020-07-01T10:00:00Z"] * 3
    (lost,) = EventTime(parts=parts).losses(rows, {}).values()
    assert rows.where(lost).count() == 2
    with pytest.raises(UsageError, match="nothing says when"):
        found()
    flow = run_of(EventTime(), rows).flow
    at_noon = given_instant(flow, "2020-07-01T12:00:00Z").node("step").does
    assert at_noon == EventTime(instant="2020-07-01T12:00:00Z")
    with pytest.raises(UsageError, match="'now' is no instant"):
        given_instant(flow, "now")
    with pytest.raises(UsageError, match="no event_time step waits"):
        given_instant(run_of(EventTime(column="d"), rows).flow, "2020-07-01T12:00:00Z")
    wrongs: tuple[dict[str, Any], ...] = (
        {"instant": "now"},
        {"column": "s", "parts": parts},
        {"parts": {"year": "y"}},
    )
    for wrong in wrongs:
        with pytest.raises(ValueError):  # noqa: PT011 - pydantic's, of three kinds
            EventTime(**wrong)


@pytest.mark.shows("8.1")
def test_record_identifiers(spark: SparkSession) -> None:
    """Source: own rule: null if any part is null; unique is checked, and said without values."""
    rows = frame(spark, "a string, `b.c` int", ("x", 1), ("x", 2), ("x_1", 2), (None, 3))
    step = RecordIdentifier(columns=("a", "b.c"), unique=True)
    assert table(applied(step, rows))[0][-1] == "record_id string"
    assert [one[2] for one in applied(step, rows).collect()] == ["x_1", "x_2", "x_1_2", None]
    with pytest.raises(UsageError, match="1 identifiers of a are those of several rows, 2 in all"):
        applied(RecordIdentifier(columns=("a",), unique=True), rows)
    lost = step.losses(rows, {})
    counted = rows.select(*[one.cast("int").alias(name) for name, one in lost.items()])
    assert {name: sum(row[name] or 0 for row in counted.collect()) for name in counted.columns} == {
        "rows have no record_id": 1,
        "rows have a record_id of more than 2,048 bytes": 0,
        "rows have '_' within a part of record_id: two may be one": 1,
    }


@given(st.floats() | st.floats(1e-8, 1e-4) | st.floats(1e9, 1e16) | st.integers(-(2**60), 2**60))
def test_doubles_are_written_as_the_gate_writes_them(number: float) -> None:
    """Source: ``penstock.encoding.double_text``."""
    finite = number - number == 0
    wanted = double_text(pa.array([float(number)])).to_pylist()[0] if finite else None
    assert number_text(float(number)) == wanted


@pytest.mark.shows("8.1")
def test_feature_types_are_those_of_the_gate(spark: SparkSession) -> None:
    """Source: ``penstock.encoding``: what the gate makes of the same values, value by value."""
    inf, nan = float("inf"), float("nan")
    at = dt.datetime(2020, 1, 2, 3, 4, 5, 600_000, tzinfo=dt.timezone.utc)
    columns: dict[str, tuple[str, pa.DataType, list[Any]]] = {
        "b": ("boolean", pa.bool_(), [True, False, None]),
        "i": ("int", pa.int32(), [1, -5, None]),
        "l": ("bigint", pa.int64(), [2**53, 2**53 + 1, -(2**63), 2**63 - 1, 0, None]),
        "d": (
            "double",
            pa.float64(),
            [1.0, -0.0, 1.5, 1e22, 1e15, 1e-5, 123456.789, inf, nan, None],
        ),
        "f": ("float", pa.float32(), [0.1, 3.0, None]),
        "m": ("decimal(20,2)", pa.decimal128(20, 2), [Decimal("3.00"), Decimal("3.25"), None]),
        "s": (
            "string",
            pa.string(),
            [
                "7",
                "+07",
                "-0",
                "1.5",
                "1.",
                ".5e3",
                "9" * 19,
                "9" * 60,
                " 1",
                "x",
                "1e999",
                "",
                "NaN",
                None,
            ],
        ),
        "t": ("timestamp", pa.timestamp("us", "UTC"), [at, None]),
        "y": ("date", pa.date32(), [dt.date(2020, 1, 2), None]),
    }
    longest = max(len(one[2]) for one in columns.values())
    filled = [[*one[2], *[None] * (longest - len(one[2]))] for one in columns.values()]
    schema = ", ".join(f"{name} {one[0]}" for name, one in columns.items())
    rows = frame(spark, schema, *zip(*filled, strict=True))
    for wanted in FeatureType:
        kinds: dict[str, Any] = dict.fromkeys(columns, wanted.value)
        step = SetFeatureTypes(columns=kinds)
        found = applied(step, rows).collect()
        for (name, one), values in zip(columns.items(), filled, strict=True):
            array = pa.array(values, one[1])
            gate = FEATURES[wanted](array).values.to_pylist()
            assert [row[name] for row in found] == gate, (wanted, name)
    fitted = SetFeatureTypes(columns={"s": "Integral"}).fit(rows)["types"]
    assert [fitted[one] for one in "bldmsty"] == [
        *["Integral"] * 2,
        *["Fractional"] * 2,
        "Integral",
        *["String"] * 2,
    ]
    with pytest.raises(UsageError, match=r"a is array<int>, which is no feature type"):
        SetFeatureTypes().fit(frame(spark, "a array<int>", ([1],)))

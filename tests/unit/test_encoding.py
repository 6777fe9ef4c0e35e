"""Conversions never guess, never throw, and never change a value that fits."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import encoding
from penstock.contract import ColumnType, FeatureType
from penstock.encoding import Converted

LATEST = datetime(2200, 1, 1, tzinfo=timezone.utc)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
UTC_MICROS = pa.timestamp("us", "UTC")
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
LONG = st.integers(-(2**63), 2**63 - 1)
DOUBLE = st.floats(allow_nan=False, allow_infinity=False)
INSTANT = st.datetimes(
    datetime(1700, 1, 1),  # noqa: DTZ001 - the zone comes from the next argument
    datetime(2199, 12, 31),  # noqa: DTZ001 - the same
    timezones=st.just(timezone.utc),
)
RULES = {
    encoding.TYPE,
    encoding.RANGE,
    encoding.NON_FINITE,
    encoding.ENCODING,
    encoding.EVENT_TIME,
    encoding.FUTURE,
}


def texts(*values: str | None) -> pa.Array:
    """A string array."""
    return pa.array(values, pa.string())


def raw(*values: bytes | None) -> pa.Array:
    """A string array of any bytes, as Spark may hand one over."""
    return pa.array(values, pa.binary()).view(pa.string())


def told(converted: Converted) -> list[Any]:
    """Of each row the value, or the rule it broke; a value and a rule never stand together."""
    pairs = zip(converted.values.to_pylist(), converted.rule.to_pylist(), strict=True)
    found = []
    for value, rule in pairs:
        assert value is None or rule is None
        found.append(value if rule is None else rule)
    return found


def bits(value: float) -> bytes:
    """A double to the bit: -0.0 is not 0.0."""
    return struct.pack("d", value)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.none() | TEXT, max_size=20))
def test_any_text_stays_as_it_is(values: list[str | None]) -> None:
    """Every valid text fits, byte for byte, in every layout Arrow has for it."""
    for array in (
        texts(*values),
        pa.array(values, pa.large_string()),
        pa.array(values, pa.string_view()),
        texts(*values).dictionary_encode(),
    ):
        assert told(encoding.to_text(array)) == values


@settings(max_examples=300, deadline=None)
@given(st.lists(st.none() | st.binary(max_size=8), max_size=20))
def test_text_fits_exactly_when_it_is_utf_8(values: list[bytes | None]) -> None:
    """Python's strict decoder is the judge; what does not decode is ENCODING, never replaced."""

    def wanted(value: bytes | None) -> str | None:
        try:
            return None if value is None else value.decode()
        except UnicodeDecodeError:
            return encoding.ENCODING

    assert told(encoding.to_text(raw(*values))) == [wanted(one) for one in values]


@settings(max_examples=300, deadline=None)
@given(LONG, st.sampled_from(["", "0", "000"]), st.booleans())
def test_any_whole_number_of_64_bits_survives(number: int, zeros: str, plus: bool) -> None:
    """As text of any spelling, as int64, and as a decimal; beyond 64 bits it is RANGE."""
    sign = "-" if number < 0 else "+" if plus else ""
    spelled = f"{sign}{zeros}{abs(number)}"
    assert told(encoding.to_long(texts(spelled))) == [number]
    assert told(encoding.to_long(pa.array([number], pa.int64()))) == [number]
    exact = pa.array([Decimal(number)], pa.decimal128(38, 5))
    assert told(encoding.to_long(exact)) == [number]
    beyond = 2**63 + number if number >= 0 else number - 2**63
    if beyond >= 2**63 or beyond < -(2**63):
        assert told(encoding.to_long(texts(str(beyond)))) == [encoding.RANGE]
        far = pa.array([Decimal(beyond)], pa.decimal128(38, 0))
        assert told(encoding.to_long(far)) == [encoding.RANGE]


@settings(max_examples=500, deadline=None)
@given(DOUBLE)
def test_any_finite_double_survives_to_the_bit(number: float) -> None:
    """Through its repr, through our own text, and as it is; widths below are widened exactly."""
    for array in (
        texts(repr(number)),
        encoding.double_text(pa.array([number])),
        pa.array([number]),
    ):
        (found,) = told(encoding.to_double(array))
        assert bits(found) == bits(number)
    (text,) = told(encoding.to_text(pa.array([number])))
    assert bits(float(text)) == bits(number)
    assert "." in text or "e" in text


@settings(max_examples=300, deadline=None)
@given(st.decimals(-(10**20), 10**20, places=12))
def test_decimals_become_the_nearest_double_and_their_own_digits(number: Decimal) -> None:
    """Python's float(Decimal) is the nearest double; text keeps every digit, without exponent."""
    array = pa.array([number], pa.decimal128(38, 12))
    assert told(encoding.to_double(array)) == [float(number)]
    assert told(encoding.to_text(array)) == [format(number, "f")]


@settings(max_examples=300, deadline=None)
@given(st.floats())
def test_a_double_is_a_whole_number_only_if_it_is_one(number: float) -> None:
    """1.5 is TYPE, 2**63 RANGE, NaN NON_FINITE; nothing is rounded."""
    (found,) = told(encoding.to_long(pa.array([number], pa.float64())))
    if not math.isfinite(number):
        assert found == encoding.NON_FINITE
    elif number != math.floor(number):
        assert found == encoding.TYPE
    elif -(2**63) <= int(number) < 2**63:
        assert found == int(number)
    else:
        assert found == encoding.RANGE


@settings(max_examples=200, deadline=None)
@given(st.lists(INSTANT, min_size=2, max_size=10), st.sampled_from([0, 3, 6, 9]))
def test_event_times_sort_as_text_as_they_sort_in_time(
    moments: list[datetime], digits: int
) -> None:
    """Of one width; equal when equal in the digits kept; finer parts are cut, not rounded."""
    array = pa.array(moments, UTC_MICROS)
    found = told(encoding.event_time(array, FeatureType.STRING, digits, LATEST))
    step = 10 ** (6 - min(digits, 6))
    kept = [(one - EPOCH) // timedelta(microseconds=1) // step for one in moments]
    assert len({len(one) for one in found}) == 1
    assert sorted(zip(kept, found, strict=True)) == sorted(
        zip(kept, found, strict=True), key=lambda pair: pair[1]
    )
    back = told(encoding.to_instant(texts(*found)))
    assert [(one - EPOCH) // timedelta(microseconds=1) for one in back] == [n * step for n in kept]


@settings(max_examples=300, deadline=None)
@given(
    INSTANT,
    st.integers(0, 999_999_999),
    st.integers(-18 * 60, 18 * 60),
    st.sampled_from([0, 3, 6, 9]),
)
def test_an_instant_is_the_same_in_every_zone_and_unit(
    moment: datetime, below: int, minutes: int, digits: int
) -> None:
    """Text with any offset and nine digits, and timestamps in nanoseconds, name one event time."""
    second = moment.replace(microsecond=0)
    local = second.astimezone(timezone(timedelta(minutes=minutes)))
    text = f"{local:%Y-%m-%dT%H:%M:%S}.{below:09d}{local:%z}"
    text = f"{text[:-2]}:{text[-2:]}"
    nanos = int(second.timestamp()) * 10**9 + below
    wanted = f"{second:%Y-%m-%dT%H:%M:%S}" + (f".{below:09d}"[: digits + 1] if digits else "") + "Z"
    for array in (texts(text), pa.array([nanos], pa.timestamp("ns", "Asia/Kolkata"))):
        assert told(encoding.event_time(array, FeatureType.STRING, digits, LATEST)) == [wanted]
        assert told(encoding.to_instant(array)) == [second + timedelta(microseconds=below // 1000)]


@settings(max_examples=300, deadline=None)
@given(st.integers(100_000_000_000_000, 4_000_000_000_000_000))
def test_epoch_seconds_keep_their_microseconds(micros: int) -> None:
    """A double of epoch seconds stays that double, and as text loses no microsecond of its own."""
    seconds = micros / 1e6
    array = pa.array([seconds])
    assert told(encoding.event_time(array, FeatureType.FRACTIONAL, 0, LATEST)) == [seconds]
    (text,) = told(encoding.event_time(array, FeatureType.STRING, 6, LATEST))
    assert text == (EPOCH + timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    instant = pa.array([micros], pa.int64()).cast(UTC_MICROS)
    assert told(encoding.event_time(instant, FeatureType.FRACTIONAL, 0, LATEST)) == [seconds]


def _some(values: st.SearchStrategy[Any], make: Callable[[Any], pa.Array]) -> Any:
    return st.lists(st.none() | values, max_size=6).map(make)


def _seen_as(some: list[int | None], kind: pa.DataType) -> pa.Array:
    return pa.array(some, pa.int64()).view(kind)


def _arrays() -> st.SearchStrategy[pa.Array]:
    """Arrays of every type a file, Delta or a DataFrame can hand over, values without limits."""
    numbers = {
        pa.int8(): st.integers(-(2**7), 2**7 - 1),
        pa.int32(): st.integers(-(2**31), 2**31 - 1),
        pa.int64(): LONG,
        pa.uint16(): st.integers(0, 2**16 - 1),
        pa.uint64(): st.integers(0, 2**64 - 1),
        pa.float16(): st.floats(width=16),
        pa.float32(): st.floats(width=32),
        pa.float64(): st.floats(),
        pa.bool_(): st.booleans(),
        pa.decimal128(38, 10): st.decimals(-(10**27), 10**27, places=10),
        pa.decimal256(70, 3): st.decimals(-(10**60), 10**60, places=3),
        pa.large_string(): TEXT,
        pa.string_view(): TEXT,
        pa.binary(): st.binary(max_size=5),
        pa.binary(3): st.binary(min_size=3, max_size=3),
        pa.list_(pa.int64()): st.lists(LONG, max_size=2),
        pa.struct([("a", pa.int64())]): st.fixed_dictionaries({"a": st.none() | LONG}),
        pa.null(): st.none(),
    }
    ticks = [
        *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC")),
        pa.date64(),
        pa.duration("us"),
    ]
    plain = [_some(values, partial(pa.array, type=kind)) for kind, values in numbers.items()]
    times = [_some(LONG, partial(_seen_as, kind=kind)) for kind in ticks]
    days = st.lists(st.none() | numbers[pa.int32()], max_size=6).map(
        lambda some: pa.array(some, pa.int32()).view(pa.date32())
    )
    odd = st.lists(st.none() | st.binary(max_size=5), max_size=6).map(lambda some: raw(*some))
    return st.one_of(*plain, *times, days, odd, odd.map(lambda one: one.dictionary_encode()))


def _as_event_time(kind: FeatureType) -> Any:
    return lambda array: encoding.event_time(array, kind, 9, LATEST)


CONVERSIONS = {
    **{(kind.value, encoding.COLUMNS[kind][0]): encoding.CONVERTERS[kind] for kind in ColumnType},
    ("event time", pa.string()): _as_event_time(FeatureType.STRING),
    ("event time", pa.float64()): _as_event_time(FeatureType.FRACTIONAL),
}


@settings(max_examples=600, deadline=None)
@given(_arrays())
def test_no_conversion_ever_raises_or_loses_a_row(array: pa.Array) -> None:
    """Any array: the declared type comes out, as long as what went in; null breaks no rule."""
    for (_, target), convert in CONVERSIONS.items():
        made = convert(array)
        assert made.values.type == target
        assert len(made.values) == len(made.rule) == len(array)
        made.values.validate(full=True)
        for given_one, value, rule in zip(
            array.is_valid().to_pylist(), told(made), made.rule.to_pylist(), strict=True
        ):
            assert rule is None or (given_one and rule in RULES)
            assert given_one or value is None
            assert not given_one or value is not None


@settings(max_examples=300, deadline=None)
@given(_arrays())
def test_what_has_been_converted_fits_from_then_on(array: pa.Array) -> None:
    """Source gate and feature gate convert one after the other: the second changes nothing."""
    for kind in ColumnType:
        once = encoding.CONVERTERS[kind](array).values
        again = encoding.CONVERTERS[kind](once)
        assert again.rule.null_count == len(once)
        assert again.values.equals(once) or pa.types.is_floating(once.type)
        if pa.types.is_floating(once.type):
            pairs = zip(once.to_pylist(), again.values.to_pylist(), strict=True)
            assert all(a is b is None or bits(a) == bits(b) for a, b in pairs)


@settings(max_examples=200, deadline=None)
@given(st.none() | TEXT, st.none() | LONG, st.none() | DOUBLE)
def test_the_circle_of_types_closes(
    text: str | None, whole: int | None, number: float | None
) -> None:
    """Feature → stored Arrow → wire text → feature again: the same value, to the bit."""
    for kind, value in (
        (FeatureType.STRING, text),
        (FeatureType.INTEGRAL, whole),
        (FeatureType.FRACTIONAL, number),
    ):
        stored = encoding.FEATURES[kind](pa.array([value], encoding.STORAGE[kind][0])).values
        wire = (
            encoding.double_text(stored) if isinstance(value, float) else stored.cast(pa.string())
        )
        (back,) = told(encoding.FEATURES[kind](wire))
        assert bits(back) == bits(value) if isinstance(value, float) else back == value


def test_each_feature_type_has_one_type_everywhere() -> None:
    """Arrow, Spark and Glue types are one to one, and converters give the stored one."""
    for place in range(3):
        assert len({row[place] for row in encoding.STORAGE.values()}) == len(FeatureType)
    for kind, (arrow, spark, _) in encoding.STORAGE.items():
        assert encoding.FEATURES[kind](texts(None)).values.type == arrow
        assert [spark] == [name for one, name in encoding.COLUMNS.values() if one == arrow]
    for column, (arrow, _) in encoding.COLUMNS.items():
        assert encoding.CONVERTERS[column](texts(None)).values.type == arrow


ODD_NUMBERS = {
    # text: what a whole number is, what a double is
    "1.5": (encoding.TYPE, 1.5),
    "9223372036854775807": (2**63 - 1, float(2**63)),
    "9223372036854775808": (encoding.RANGE, float(2**63)),
    "-9223372036854775808": (-(2**63), -float(2**63)),
    "-9223372036854775809": (encoding.RANGE, -float(2**63)),
    "9" * 25: (encoding.RANGE, 1e25),
    "9" * 400: (encoding.RANGE, encoding.NON_FINITE),
    "1e400": (encoding.TYPE, encoding.NON_FINITE),
    "-1e400": (encoding.TYPE, encoding.NON_FINITE),
    "1e3": (encoding.TYPE, 1000.0),
    "NaN": (encoding.TYPE, encoding.NON_FINITE),
    "-nan": (encoding.TYPE, encoding.NON_FINITE),
    "Infinity": (encoding.TYPE, encoding.NON_FINITE),
    "-inf": (encoding.TYPE, encoding.NON_FINITE),
    "１２": (encoding.TYPE, encoding.TYPE),
    "١٢": (encoding.TYPE, encoding.TYPE),
    "1_000": (encoding.TYPE, encoding.TYPE),
    "1,000": (encoding.TYPE, encoding.TYPE),
    " 1 ": (encoding.TYPE, encoding.TYPE),
    "1\n": (encoding.TYPE, encoding.TYPE),
    "1\x00": (encoding.TYPE, encoding.TYPE),
    "+1": (1, 1.0),
    "007": (7, 7.0),
    "-0": (0, -0.0),
    "0x10": (encoding.TYPE, encoding.TYPE),
    "0x1p3": (encoding.TYPE, encoding.TYPE),
    "1d": (encoding.TYPE, encoding.TYPE),
    "1.": (encoding.TYPE, 1.0),
    ".5": (encoding.TYPE, 0.5),
    ".": (encoding.TYPE, encoding.TYPE),
    "": (encoding.TYPE, encoding.TYPE),
    "+-1": (encoding.TYPE, encoding.TYPE),
    "--1": (encoding.TYPE, encoding.TYPE),
    "true": (encoding.TYPE, encoding.TYPE),
}


@pytest.mark.shows("3.5")
@pytest.mark.parametrize("text", ODD_NUMBERS)
def test_numbers_in_odd_clothes(text: str) -> None:
    """Each spelling is read exactly or put aside with its rule; none is trimmed or truncated."""
    whole, double = ODD_NUMBERS[text]
    assert told(encoding.to_long(texts(text))) == [whole]
    (found,) = told(encoding.to_double(texts(text)))
    assert found == double
    assert not isinstance(double, float) or bits(found) == bits(double)


@pytest.mark.shows("3.5")
@pytest.mark.parametrize(
    ("array", "whole", "double"),
    [
        (pa.array([2**64 - 1], pa.uint64()), encoding.RANGE, encoding.RANGE),
        (pa.array([2**53 + 1], pa.uint64()), 2**53 + 1, encoding.RANGE),
        (pa.array([2**53 + 1], pa.int64()), 2**53 + 1, encoding.RANGE),
        (pa.array([-(2**53)], pa.int64()), -(2**53), -(2.0**53)),
        (pa.array([2.0**53 + 2]), 2**53 + 2, 2.0**53 + 2),
        (pa.array([True]), 1, encoding.TYPE),
        (pa.array([Decimal("5.10")], pa.decimal128(38, 10)), encoding.TYPE, 5.1),
        (pa.array([Decimal("1e20")], pa.decimal128(30, 2)), encoding.RANGE, 1e20),
        (pa.array([7, 7], pa.int64()).dictionary_encode()[:1], 7, 7.0),
        (pa.array([7.5], pa.float16()), encoding.TYPE, 7.5),
    ],
)
def test_typed_numbers_change_no_value(array: pa.Array, whole: Any, double: Any) -> None:
    """Unsigned, decimal, dictionary: a double's gaps above 2**53 never swallow an integer."""
    assert told(encoding.to_long(array)) == [whole]
    assert told(encoding.to_double(array)) == [double]


ODD_TIMES = {
    "2024": encoding.EVENT_TIME,
    "12:30:00": encoding.EVENT_TIME,
    "1700000000000": encoding.EVENT_TIME,
    "2024-01-01": encoding.EVENT_TIME,
    "2024-01-01 00:00:00Z": encoding.EVENT_TIME,
    "2024-01-01T00:00:00": encoding.EVENT_TIME,
    "2024-01-01T00:00Z": encoding.EVENT_TIME,
    "2024-01-01T00:00:00Z\n": encoding.EVENT_TIME,
    "2024-01-01T00:00:00z": encoding.EVENT_TIME,
    "2024-02-30T00:00:00Z": encoding.EVENT_TIME,
    "2024-01-01T24:00:00Z": encoding.EVENT_TIME,
    "2024-12-31T23:59:60Z": encoding.EVENT_TIME,
    "2024-01-01T00:00:00+18:01": encoding.EVENT_TIME,
    "2024-01-01T00:00:00+05:60": encoding.EVENT_TIME,
    "2024-01-01T00:00:00.1234567890Z": encoding.EVENT_TIME,
    "２０２４-01-01T00:00:00Z": encoding.EVENT_TIME,
    "12024-01-01T00:00:00Z": encoding.EVENT_TIME,
    "0000-01-01T00:00:00Z": encoding.EVENT_TIME,
    "": encoding.EVENT_TIME,
    "9999-12-31T23:59:59Z": encoding.FUTURE,
    "2200-01-01T00:00:00.000001Z": encoding.FUTURE,
    "2200-01-01T00:00:00Z": "2200-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z": encoding.RANGE,
    "1969-12-31T23:59:59.999Z": "1969-12-31T23:59:59Z",
    "1700-01-01T00:00:00+05:30": "1699-12-31T18:30:00Z",
}


@pytest.mark.shows("3.5")
@pytest.mark.parametrize("text", ODD_TIMES)
def test_event_times_in_odd_clothes(text: str) -> None:
    """A year, a time of day, epoch milliseconds and the far future are no event times."""
    found = told(encoding.event_time(texts(text), FeatureType.STRING, 0, LATEST))
    assert found == [ODD_TIMES[text]]


@pytest.mark.shows("3.5")
@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (pa.array([2024]), encoding.EVENT_TIME),
        (pa.array([2024.0]), encoding.EVENT_TIME),
        (pa.array([1_700_000_000_000]), encoding.FUTURE),
        (pa.array([float("nan")]), encoding.EVENT_TIME),
        (pa.array([float("inf")]), encoding.EVENT_TIME),
        (pa.array([-1.0]), encoding.EVENT_TIME),
        (pa.array([1_700_000_000]), "2023-11-14T22:13:20Z"),
        (pa.array([Decimal("1700000000.9")], pa.decimal128(20, 3)), "2023-11-14T22:13:20Z"),
        (pa.array([date(1969, 12, 31)]), "1969-12-31T00:00:00Z"),
        (pa.array([datetime(2024, 1, 1)], pa.timestamp("us")), encoding.EVENT_TIME),  # noqa: DTZ001 - no zone is the point
        (pa.array([2**62]).view(pa.timestamp("s", "UTC")), encoding.FUTURE),
        (pa.array([-(2**62)]).view(pa.timestamp("ms", "UTC")), encoding.RANGE),
        (pa.array([2**31 - 1], pa.int32()).view(pa.date32()), encoding.FUTURE),
        (pa.array([True]), encoding.EVENT_TIME),
    ],
)
def test_typed_event_times(array: pa.Array, wanted: str) -> None:
    """Numbers are epoch seconds or nothing; a timestamp without a zone is no instant."""
    found = told(encoding.event_time(array, FeatureType.STRING, 0, LATEST))
    assert found == [wanted]
    seconds = told(encoding.event_time(array, FeatureType.FRACTIONAL, 0, LATEST))
    assert seconds == [wanted] or re.match(r"\d{4}-", wanted)


def test_booleans_and_dates_of_text() -> None:
    """Each has its few spellings; bytes that are no text are ENCODING, null stays null."""
    spellings = texts("true", "F", "1", "NO", "ＴＲＵＥ", "ja", " true", "", None)
    wanted = [True, False, True, False, *[encoding.TYPE] * 4, None]
    assert told(encoding.to_boolean(spellings)) == wanted
    assert told(encoding.to_boolean(raw(b"\xff", None))) == [encoding.ENCODING, None]
    days = texts("2024-02-29", "2023-02-29", "2024-2-1", "20240201", "1066-10-14", None)
    assert told(encoding.to_date(days)) == [
        date(2024, 2, 29),
        *[encoding.TYPE] * 3,
        date(1066, 10, 14),
        None,
    ]
    assert told(encoding.to_date(raw(b"\xff"))) == [encoding.ENCODING]
    assert told(encoding.to_instant(raw(b"\xff"))) == [encoding.ENCODING]

"""The one table of types, and the strict conversions it needs, on Arrow arrays.

Source gate and feature gate convert with the same functions, on executors and on the driver alike.
They depend on nothing but their arguments: no Spark expression is involved, so neither the
session's time zone nor ANSI mode can change a result.

A conversion never guesses and never throws on data: it answers the values and, for each row,
whether the value was fit. Unfit values come back as null beside the name of the rule they broke.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.compute as pc

from penstock.contract import ColumnType, FeatureType

#: Feature type → (Arrow type staged and stored offline, Spark type, Glue type). Glue types as the
#: service registers them (AWS developer guide, offline store data types).
STORAGE: dict[FeatureType, tuple[pa.DataType, str, str]] = {
    FeatureType.STRING: (pa.string(), "string", "string"),
    FeatureType.INTEGRAL: (pa.int64(), "bigint", "bigint"),
    FeatureType.FRACTIONAL: (pa.float64(), "double", "double"),
}
#: Column type of a source → (Arrow type, Spark type).
COLUMNS: dict[ColumnType, tuple[pa.DataType, str]] = {
    ColumnType.STRING: (pa.string(), "string"),
    ColumnType.LONG: (pa.int64(), "bigint"),
    ColumnType.DOUBLE: (pa.float64(), "double"),
    ColumnType.BOOLEAN: (pa.bool_(), "boolean"),
    ColumnType.TIMESTAMP: (pa.timestamp("us", "UTC"), "timestamp"),
    ColumnType.DATE: (pa.date32(), "date"),
}

MAX_IDENTIFIER_BYTES = 2_048  # AWS developer guide, quotas: record identifier 2 KB
MAX_RECORD_BYTES = 358_400  # quotas: 350 KB a record; API model: 358,400 characters a value
MAX_EXACT_DOUBLE = 2**53  # the largest integer below which a double has no gaps
#: Instants further from the epoch than this (years 1684 to 2255) do not fit 64 bits safely.
MAX_NANOS = 9_000_000_000_000_000_000
#: A number below this is no plausible count of epoch seconds (1973-03-03): 2024 is a year.
MIN_EPOCH_SECONDS = 100_000_000

TYPE = "TYPE"  # not of the declared type
RANGE = "RANGE"  # of the type, but outside of its range
NON_FINITE = "NON_FINITE"  # NaN or infinite
ENCODING = "ENCODING"  # not valid UTF-8
EVENT_TIME = "EVENT_TIME"  # not an instant in an accepted form
FUTURE = "FUTURE"  # later than now plus the tolerance
NULL_KEY = "NULL_KEY"  # identifier or event time is null or empty
OVERSIZE = "OVERSIZE"  # identifier or record too large

_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_WHOLE = r"^[+-]?[0-9]{1,19}$"
_DECIMAL = r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,4})?$"
_NOT_A_NUMBER = r"(?i)^[+-]?(nan|inf|infinity)$"


@dataclass(frozen=True)
class Converted:
    """Values of one column after conversion.

    Args:
        values: Array of the target type; null where the input is null or unfit.
        rule: String array, null where the value was fit, else the rule it broke.
    """

    values: pa.Array
    rule: pa.Array


def to_long(array: pa.Array) -> Converted:
    """Whole numbers in 64 bits. Booleans become 0 and 1; ``1.5`` is TYPE, ``2**63`` is RANGE."""
    kind = array.type
    if pa.types.is_boolean(kind) or pa.types.is_signed_integer(kind):
        return _all_fit(pc.cast(array, pa.int64()))
    if pa.types.is_unsigned_integer(kind):
        return _checked(array, pa.int64(), pc.less_equal(array, pa.scalar(2**63 - 1, kind)), RANGE)
    if pa.types.is_floating(kind):
        return _long_from_double(pc.cast(array, pa.float64()))
    if pa.types.is_decimal(kind):
        return _long_from_text(
            pc.cast(pc.round(array), pa.string()), pc.equal(pc.round(array), array)
        )
    if _is_text(kind):
        return _long_from_text(array, pc.match_substring_regex(array, _WHOLE))
    return _none_fits(array, pa.int64())


def to_double(array: pa.Array) -> Converted:
    """Finite doubles. An integer a double cannot hold exactly is RANGE; booleans are TYPE."""
    kind = array.type
    if pa.types.is_floating(kind):
        wide = pc.cast(array, pa.float64())
        return _where(pc.is_finite(wide), wide, NON_FINITE)
    if pa.types.is_integer(kind):
        limit = pa.scalar(MAX_EXACT_DOUBLE, pa.int64())
        wide_int = pc.cast(array, pa.int64(), safe=False)
        exact = pc.and_(
            pc.less_equal(wide_int, limit), pc.greater_equal(wide_int, pc.negate(limit))
        )
        return _checked(wide_int, pa.float64(), exact, RANGE)
    if pa.types.is_decimal(kind):
        return _all_fit(pc.cast(array, pa.float64()))
    if _is_text(kind):
        return _double_from_text(array)
    return _none_fits(array, pa.float64())


def to_text(array: pa.Array) -> Converted:
    """Valid UTF-8. Booleans become true and false, instants UTC ISO text, dates ISO text."""
    kind = array.type
    if _is_text(kind):
        return _valid_text(array)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        micros = pc.cast(pc.cast(array, pa.timestamp("us", "UTC")), pa.int64())
        return _all_fit(_iso_text(micros, pc.multiply(_below_second(micros), 1000), 6))
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_timestamp(kind):
        return _none_fits(array, pa.string())
    return _all_fit(pc.cast(array, pa.string()))


def to_boolean(array: pa.Array) -> Converted:
    """true/false, t/f, 1/0 and yes/no in any case; everything else is TYPE."""
    if pa.types.is_boolean(array.type):
        return _all_fit(array)
    if not _is_text(array.type):
        return _none_fits(array, pa.bool_())
    lower = pc.utf8_lower(array)
    yes = pc.is_in(lower, pa.array(["true", "t", "1", "yes"]))
    no = pc.is_in(lower, pa.array(["false", "f", "0", "no"]))
    return _where(pc.or_(yes, no), pc.if_else(pc.is_valid(array), yes, None), TYPE)


def to_date(array: pa.Array) -> Converted:
    """Calendar dates; text must read yyyy-MM-dd."""
    if pa.types.is_date(array.type):
        return _all_fit(pc.cast(array, pa.date32()))
    if not _is_text(array.type):
        return _none_fits(array, pa.date32())
    return _from_python(array, pa.date32(), _date)


def to_instant(array: pa.Array) -> Converted:
    """Microseconds since the epoch in UTC; text needs a T, seconds, and Z or an offset."""
    kind = array.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return _all_fit(pc.cast(array, pa.timestamp("us", "UTC")))
    if not _is_text(kind):
        return _none_fits(array, pa.timestamp("us", "UTC"))
    nanos = _parse_instants(array)
    micros = pc.divide(pc.subtract(nanos.values, _floor_mod(nanos.values, 1000)), 1000)
    return Converted(pc.cast(micros, pa.timestamp("us", "UTC")), nanos.rule)


CONVERTERS = {
    ColumnType.STRING: to_text,
    ColumnType.LONG: to_long,
    ColumnType.DOUBLE: to_double,
    ColumnType.BOOLEAN: to_boolean,
    ColumnType.TIMESTAMP: to_instant,
    ColumnType.DATE: to_date,
}
FEATURES = {
    FeatureType.STRING: to_text,
    FeatureType.INTEGRAL: to_long,
    FeatureType.FRACTIONAL: to_double,
}


def event_time(array: pa.Array, kind: FeatureType, digits: int, latest: datetime) -> Converted:
    """Event times as the service takes them.

    Args:
        array: Instants, dates, ISO text with Z or an offset, or epoch seconds.
        kind: String for UTC text ``yyyy-MM-ddTHH:mm:ss[.f]Z``, Fractional for epoch seconds.
        digits: Digits after the second of the text form; finer parts are cut off, never rounded up.
        latest: Aware instant; later event times break FUTURE, for they would block every later
            update of their identifier.

    Returns:
        Text (String) or doubles (Fractional).
    """
    nanos = _event_nanos(array)
    limit = int(latest.timestamp() * 1_000_000)
    micros = pc.divide(pc.subtract(nanos.values, _floor_mod(nanos.values, 1000)), 1000)
    fits = pc.less_equal(micros, pa.scalar(limit, pa.int64()))
    rule = pc.coalesce(nanos.rule, pc.if_else(pc.invert(fits), FUTURE, None))
    kept = pc.if_else(pc.is_valid(rule), None, micros)
    if kind is FeatureType.FRACTIONAL:
        seconds = pc.divide(pc.cast(kept, pa.float64(), safe=False), 1_000_000.0)
        return Converted(seconds, rule)
    below = pc.if_else(pc.is_valid(rule), None, _floor_mod(nanos.values, 1_000_000_000))
    return Converted(_iso_text(kept, below, digits), rule)


def _event_nanos(array: pa.Array) -> Converted:
    """Nanoseconds since the epoch; int64 holds 1678 to 2262, what lies outside is RANGE."""
    kind = array.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return _nanos_from_micros(pc.cast(pc.cast(array, pa.timestamp("us", "UTC")), pa.int64()))
    if pa.types.is_date(kind):
        days = pc.cast(pc.cast(array, pa.date32()), pa.int32())
        return _nanos_from_micros(pc.multiply(pc.cast(days, pa.int64()), 86_400_000_000))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _nanos_from_seconds(pc.cast(array, pa.float64(), safe=False))
    if _is_text(kind):
        return _parse_instants(array)
    return Converted(pa.nulls(len(array), pa.int64()), _rule_where(pc.is_valid(array), EVENT_TIME))


def _nanos_from_micros(micros: pa.Array) -> Converted:
    bound = MAX_NANOS // 1000
    inside = pc.and_(pc.less(micros, bound), pc.greater(micros, -bound))
    rule = pc.if_else(pc.greater_equal(micros, bound), FUTURE, pc.if_else(inside, None, RANGE))
    return Converted(pc.multiply(pc.if_else(inside, micros, None), 1000), rule)


def _nanos_from_seconds(seconds: pa.Array) -> Converted:
    plausible = pc.and_(pc.is_finite(seconds), pc.greater_equal(seconds, float(MIN_EPOCH_SECONDS)))
    small = pc.if_else(pc.and_(plausible, pc.less(seconds, 9e9)), seconds, None)
    micros = pc.cast(pc.floor(pc.multiply(small, 1e6)), pa.int64())
    nanos = pc.multiply(micros, 1000)
    late = pc.and_(plausible, pc.greater_equal(seconds, 9e9))
    rule = pc.if_else(late, FUTURE, pc.if_else(pc.invert(plausible), EVENT_TIME, None))
    return Converted(nanos, rule)


def _parse_instants(array: pa.Array) -> Converted:
    """Each distinct text is parsed once: event times repeat."""
    distinct = array.dictionary_encode() if not pa.types.is_dictionary(array.type) else array
    parsed = [_instant(text) for text in distinct.dictionary.to_pylist()]
    values = pa.array([nanos for nanos, _ in parsed], pa.int64())
    rules = pa.array([rule for _, rule in parsed], pa.string())
    return Converted(values.take(distinct.indices), rules.take(distinct.indices))


def _instant(text: str | None) -> tuple[int | None, str | None]:
    """Nanoseconds since the epoch, or the rule the text breaks."""
    if text is None:
        return None, None
    match = _INSTANT.fullmatch(text)
    if match is None:
        return None, EVENT_TIME
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        return None, EVENT_TIME
    nanos = int(moment.timestamp()) * 1_000_000_000 + int((match[7] or "0").ljust(9, "0"))
    if match[8] != "Z":
        sign = -1 if match[8][0] == "-" else 1
        nanos -= sign * (int(match[8][1:3]) * 60 + int(match[8][4:6])) * 60_000_000_000
    if nanos >= MAX_NANOS:
        return None, FUTURE
    return (nanos, None) if nanos > -MAX_NANOS else (None, RANGE)


def _iso_text(micros: pa.Array, nanos_below: pa.Array, digits: int) -> pa.Array:
    """UTC text, ``digits`` digits after the second; ``nanos_below`` is the part under a second."""
    below = _floor_mod(micros, 1_000_000)
    seconds = pc.cast(pc.divide(pc.subtract(micros, below), 1_000_000), pa.timestamp("s"))
    text = pc.strftime(seconds, format="%Y-%m-%dT%H:%M:%S")
    if digits:
        padded = pc.utf8_lpad(pc.cast(nanos_below, pa.string()), width=9, padding="0")
        text = pc.binary_join_element_wise(text, pc.utf8_slice_codeunits(padded, 0, digits), ".")
    return pc.binary_join_element_wise(text, "Z", "")


def _floor_mod(array: pa.Array, by: int) -> pa.Array:
    """Remainder with the sign of ``by``: Arrow rounds to zero, instants before 1970 need floor."""
    rest = pc.subtract(array, pc.multiply(pc.divide(array, by), by))
    return pc.if_else(pc.less(rest, 0), pc.add(rest, by), rest)


def _below_second(micros: pa.Array) -> pa.Array:
    return _floor_mod(micros, 1_000_000)


def _date(text: str) -> object:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc).date()
    except ValueError:
        return None


def _long_from_double(array: pa.Array) -> Converted:
    finite = pc.is_finite(array)
    whole = pc.and_(finite, pc.equal(pc.floor(array), array))
    inside = pc.and_(pc.less(array, float(2**63)), pc.greater_equal(array, -float(2**63)))
    values = pc.cast(pc.if_else(pc.and_(whole, inside), array, None), pa.int64(), safe=False)
    rule = pc.if_else(finite, pc.if_else(whole, pc.if_else(inside, None, RANGE), TYPE), NON_FINITE)
    return Converted(values, rule)


def _long_from_text(array: pa.Array, shaped: pa.Array) -> Converted:
    candidate = pc.if_else(shaped, array, None)
    wide = pc.cast(pc.utf8_ltrim(candidate, characters="+"), pa.decimal128(38, 0))
    low, high = (pa.scalar(value, pa.decimal128(38, 0)) for value in (-(2**63), 2**63 - 1))
    inside = pc.and_(pc.less_equal(wide, high), pc.greater_equal(wide, low))
    values = pc.cast(pc.if_else(inside, wide, None), pa.int64())
    rule = pc.if_else(shaped, pc.if_else(inside, None, RANGE), TYPE)
    return Converted(values, pc.if_else(pc.is_valid(array), rule, None))


def _double_from_text(array: pa.Array) -> Converted:
    shaped = pc.match_substring_regex(array, _DECIMAL)
    odd = pc.match_substring_regex(array, _NOT_A_NUMBER)
    candidate = pc.utf8_ltrim(pc.if_else(shaped, array, None), characters="+")
    values = pc.cast(candidate, pa.float64())
    finite = pc.is_finite(values)
    values = pc.if_else(finite, values, None)
    rule = pc.if_else(
        shaped, pc.if_else(finite, None, NON_FINITE), pc.if_else(odd, NON_FINITE, TYPE)
    )
    return Converted(values, pc.if_else(pc.is_valid(array), rule, None))


def _valid_text(array: pa.Array) -> Converted:
    """Spark's strings are bytes and may not be UTF-8; the whole array is checked at once."""
    text = pc.cast(array, pa.string()) if not pa.types.is_string(array.type) else array
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        raw = pc.cast(text, pa.binary()).to_pylist()
        checked = [_decoded(one) for one in raw]
        rules = [
            None if one is None or good is not None else ENCODING
            for one, good in zip(raw, checked, strict=True)
        ]
        return Converted(pa.array(checked, pa.string()), pa.array(rules, pa.string()))
    return _all_fit(text)


def _decoded(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _rule_where(unfit: pa.Array, rule: str) -> pa.Array:
    return pc.if_else(
        pc.fill_null(unfit, fill_value=False), pa.scalar(rule), pa.scalar(None, pa.string())
    )


def _all_fit(values: pa.Array) -> Converted:
    return Converted(values, pa.nulls(len(values), pa.string()))


def _none_fits(array: pa.Array, target: pa.DataType) -> Converted:
    return Converted(pa.nulls(len(array), target), _rule_where(pc.is_valid(array), TYPE))


def _where(fits: pa.Array, values: pa.Array, rule: str) -> Converted:
    return Converted(pc.if_else(fits, values, None), _rule_where(pc.invert(fits), rule))


def _checked(array: pa.Array, target: pa.DataType, fits: pa.Array, rule: str) -> Converted:
    return _where(fits, pc.cast(pc.if_else(fits, array, None), target), rule)


def _from_python(array: pa.Array, target: pa.DataType, parse: object) -> Converted:
    assert callable(parse)
    values = [None if text is None else parse(text) for text in array.to_pylist()]
    out = pa.array(values, target)
    return Converted(out, _rule_where(pc.and_(pc.is_valid(array), pc.is_null(out)), TYPE))

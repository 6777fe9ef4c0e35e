"""Instants, dates and event times out of whatever a column holds."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.compute as pc

from penstock.contract import FeatureType
from penstock.encoding import instants
from penstock.encoding.converted import (
    EVENT_TIME,
    FUTURE,
    RANGE,
    TYPE,
    Converted,
    flat,
    judged,
    none_fit,
    rule_where,
    valid_text,
)
from penstock.encoding.instants import FIRST_MICROS, LAST_MICROS, MAX_NANOS

#: A number below this is no plausible count of epoch seconds (1973-03-03): 2024 is a year.
MIN_EPOCH_SECONDS = 100_000_000

_INSTANT = pa.timestamp("us", "UTC")
_SAME = pa.scalar(0, pa.int8())
_FIRST_DAY, _LAST_DAY = (one // 86_400_000_000 for one in (FIRST_MICROS, LAST_MICROS))


def to_instant(array: pa.Array) -> Converted:
    """Microseconds since the epoch in UTC, of the years 1 to 9999; finer parts are cut off.

    Text needs a T, seconds, and Z or an offset of at most 18 hours, else it is EVENT_TIME.
    """
    array = flat(array)
    if instants.is_instant(array.type):
        micros = instants.micros(array)
        rule = pa.nulls(len(array), pa.string())
    elif pa.types.is_string(array.type):
        sound = valid_text(array)
        micros = instants.parsed(sound.values)[0]
        rule = judged(sound, micros, EVENT_TIME).rule
    else:
        return none_fit(array, _INSTANT)
    inside = pc.and_(
        pc.greater_equal(micros, instants.FIRST_MICROS), pc.less_equal(micros, instants.LAST_MICROS)
    )
    values = pc.cast(pc.if_else(inside, micros, None), _INSTANT)
    return Converted(values, pc.coalesce(rule, rule_where(pc.invert(inside), RANGE)))


def to_date(array: pa.Array) -> Converted:
    """Calendar dates of the years 1 to 9999; text must read yyyy-MM-dd."""
    array = flat(array)
    if pa.types.is_date(array.type):
        days = instants.days(array)
        inside = pc.and_(pc.greater_equal(days, _FIRST_DAY), pc.less_equal(days, _LAST_DAY))
        kept = pc.cast(pc.if_else(inside, days, None), pa.int32())
        return Converted(pc.cast(kept, pa.date32()), rule_where(pc.invert(inside), RANGE))
    if not pa.types.is_string(array.type):
        return none_fit(array, pa.date32())
    sound = valid_text(array)
    dates = [None if text is None else _date(text) for text in sound.values.to_pylist()]
    return judged(sound, pa.array(dates, pa.date32()), TYPE)


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
    array = flat(array)
    nanos = _event_nanos(array)
    micros = instants.floor_div(nanos.values, 1000)
    late = pc.greater(micros, pa.scalar(instants.micros_of(latest), pa.int64()))
    rule = pc.coalesce(nanos.rule, rule_where(late, FUTURE))
    fit = pc.is_null(rule)
    kept = pc.if_else(fit, micros, None)
    if kind is FeatureType.STRING:
        below = pc.if_else(fit, instants.floor_mod(nanos.values, 1_000_000_000), None)
        return Converted(instants.text(kept, below, digits), rule)
    if pa.types.is_floating(array.type):
        return Converted(pc.if_else(fit, pc.cast(array, pa.float64()), None), rule)
    return Converted(pc.divide(pc.cast(kept, pa.float64(), safe=False), 1_000_000.0), rule)


def later(array: pa.Array, kind: FeatureType) -> pa.Array:
    """Event times as they are sent, up to a millisecond later than these, in the same form.

    What removes a record must be later than it (AWS API reference, DeleteRecord).
    """
    if kind is FeatureType.FRACTIONAL:
        return pc.add(array, 0.001)
    micros = instants.parsed(flat(array))[0]
    micros = pc.multiply(pc.add(instants.floor_div(micros, 1_000), 1), 1_000)
    below = pc.multiply(instants.floor_mod(micros, 1_000_000), 1_000)
    return instants.text(micros, below, 3)


def order(ours: pa.Array, theirs: pa.Array, kind: FeatureType) -> pa.Array:
    """Whether event times come before (-1), at (0) or after (1) others, as instants.

    Text of another precision, or with an offset, may be the same instant. Null where one of the two
    is null, or is text that is no instant.

    Args:
        ours: Text (String) or doubles (Fractional).
        theirs: The same.
        kind: Which of the two.
    """
    if kind is FeatureType.FRACTIONAL:
        return _sign(ours, theirs)
    # Nearly all are written alike: only the others are read.
    same = pc.fill_null(pc.equal(ours, theirs), fill_value=False)
    first, below = instants.parsed(pc.if_else(same, None, flat(ours)))
    other, other_below = instants.parsed(pc.if_else(same, None, flat(theirs)))
    coarse, fine = _sign(first, other), _sign(below, other_below)
    return pc.if_else(same, _SAME, pc.if_else(pc.equal(coarse, _SAME), fine, coarse))


def _sign(one: pa.Array, other: pa.Array) -> pa.Array:
    late = pc.if_else(pc.greater(one, other), pa.scalar(1, pa.int8()), _SAME)
    return pc.if_else(pc.less(one, other), pa.scalar(-1, pa.int8()), late)


def _event_nanos(array: pa.Array) -> Converted:
    """Nanoseconds since the epoch; int64 holds 1678 to 2262, what lies outside is RANGE."""
    kind = array.type
    if instants.is_instant(kind):
        return _limited_nanos(instants.nanos(array))
    if pa.types.is_date(kind):
        return _limited_nanos(instants.scaled(instants.days_micros(array), 1, 1000))
    if pa.types.is_decimal(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _nanos_from_seconds(pc.cast(array, pa.float64(), safe=False))
    if not pa.types.is_string(kind):
        return none_fit(array, pa.int64(), EVENT_TIME)
    sound = valid_text(array)
    micros, below = instants.parsed(sound.values)
    nanos = _limited_nanos(pc.add(instants.scaled(micros, 1, 1000), below))
    return Converted(nanos.values, pc.coalesce(judged(sound, micros, EVENT_TIME).rule, nanos.rule))


def _limited_nanos(nanos: pa.Array) -> Converted:
    late, early = pc.greater_equal(nanos, MAX_NANOS), pc.less_equal(nanos, -MAX_NANOS)
    rule = pc.coalesce(rule_where(late, FUTURE), rule_where(early, RANGE))
    return Converted(pc.if_else(pc.is_null(rule), nanos, None), rule)


def _nanos_from_seconds(seconds: pa.Array) -> Converted:
    """Epoch seconds; a double of today holds them to a quarter of a microsecond, no better."""
    plausible = pc.and_(pc.is_finite(seconds), pc.greater_equal(seconds, float(MIN_EPOCH_SECONDS)))
    late = pc.and_(plausible, pc.greater_equal(seconds, MAX_NANOS / 1e9))
    rule = pc.coalesce(rule_where(late, FUTURE), rule_where(pc.invert(plausible), EVENT_TIME))
    known = pc.if_else(pc.is_null(rule), seconds, None)
    micros = pc.cast(pc.floor(pc.add(pc.multiply(known, 1e6), 0.25)), pa.int64())
    return Converted(pc.multiply(micros, 1000), rule)


def _date(text: str) -> object:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc).date()
    except ValueError:
        return None

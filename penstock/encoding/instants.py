"""Instants in Arrow arrays: read strictly, in any unit, and written so that text sorts as time.

An instant is held as whole microseconds or nanoseconds since the epoch. Nothing here looks at a
session's time zone; a timestamp without a zone is no instant.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.compute as pc

#: 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z: what Python, Spark and SQL can all say.
FIRST_MICROS, LAST_MICROS = -62_135_596_800_000_000, 253_402_300_799_999_999
#: Nanoseconds further from the epoch than this (years 1684 to 2255) do not fit 64 bits safely.
MAX_NANOS = 9_000_000_000_000_000_000

_TEXT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):([0-5]\d))",
    re.ASCII,
)
_MAX_OFFSET = 18 * 60  # minutes; java.time.ZoneOffset, and with it Spark, knows no greater one
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FAR = 9_000_000_000_000_000_000  # saturated, whatever the unit: beyond every accepted year


def is_instant(kind: pa.DataType) -> bool:
    """Whether values of this type are points in time: timestamps with a zone."""
    return bool(pa.types.is_timestamp(kind) and kind.tz is not None)


def micros_of(at: datetime) -> int:
    """An aware instant as microseconds since the epoch, exactly."""
    return (at - _EPOCH) // datetime.resolution


def micros(array: pa.Array) -> pa.Array:
    """Timestamps of any unit as microseconds; finer parts are cut off, the far away saturates."""
    return scaled(_ticks(array), _PER_SECOND[array.type.unit], 1_000_000)


def nanos(array: pa.Array) -> pa.Array:
    """Timestamps of any unit as nanoseconds; the far away saturates."""
    return scaled(_ticks(array), _PER_SECOND[array.type.unit], 1_000_000_000)


def days_micros(array: pa.Array) -> pa.Array:
    """Midnights (UTC) of dates as microseconds; the far away saturates."""
    return pc.multiply(_limited(days(array), _FAR // 86_400_000_000), 86_400_000_000)


def days(array: pa.Array) -> pa.Array:
    """Dates as days since the epoch, 64 bits."""
    if pa.types.is_date64(array.type):
        return floor_div(pc.cast(array, pa.int64()), 86_400_000)
    return pc.cast(pc.cast(array, pa.int32()), pa.int64())


def scaled(ticks: pa.Array, have: int, want: int) -> pa.Array:
    """Ticks at ``have`` a second as ticks at ``want`` a second, floored or saturated."""
    if have >= want:
        return floor_div(ticks, have // want)
    factor = want // have
    return pc.multiply(_limited(ticks, _FAR // factor), factor)


def parsed(array: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Texts as (microseconds, nanoseconds below them); both null where text is no instant.

    The text must read ``yyyy-MM-ddTHH:mm:ss[.f…]`` and carry Z or an offset. Each distinct text is
    parsed once: event times repeat.
    """
    distinct = array.dictionary_encode()
    found = [_parsed(text) for text in distinct.dictionary.to_pylist()]
    columns = (pa.array([one[part] for one in found], pa.int64()) for part in (0, 1))
    first, second = (column.take(distinct.indices) for column in columns)
    return first, second


def text(micros: pa.Array, below_second: pa.Array, digits: int) -> pa.Array:
    """UTC text with ``digits`` digits after the second.

    Args:
        micros: Microseconds since the epoch, within years 1 to 9999.
        below_second: Nanoseconds of the part under a second.
        digits: 0 to 9; finer parts are cut off.
    """
    seconds = pc.cast(floor_div(micros, 1_000_000), pa.timestamp("s"))
    written = pc.strftime(seconds, format="%Y-%m-%dT%H:%M:%S")
    if digits:
        padded = pc.utf8_lpad(pc.cast(below_second, pa.string()), width=9, padding="0")
        fraction = pc.utf8_slice_codeunits(padded, 0, digits)
        written = pc.binary_join_element_wise(written, fraction, ".")
    return pc.binary_join_element_wise(written, "Z", "")


def floor_div(array: pa.Array, by: int) -> pa.Array:
    """Quotient rounded down: Arrow rounds to zero, instants before 1970 need floor."""
    quotient = pc.divide(array, by)
    low = pc.less(pc.subtract(array, pc.multiply(quotient, by)), 0)
    return pc.if_else(low, pc.subtract(quotient, 1), quotient)


def floor_mod(array: pa.Array, by: int) -> pa.Array:
    """Remainder that goes with :func:`floor_div`, never negative."""
    rest = pc.subtract(array, pc.multiply(pc.divide(array, by), by))
    return pc.if_else(pc.less(rest, 0), pc.add(rest, by), rest)


def _ticks(array: pa.Array) -> pa.Array:
    return pc.cast(array, pa.int64())


def _limited(array: pa.Array, limit: int) -> pa.Array:
    low = pc.max_element_wise(array, pa.scalar(-limit, pa.int64()), skip_nulls=False)
    return pc.min_element_wise(low, pa.scalar(limit, pa.int64()), skip_nulls=False)


def _parsed(text: str | None) -> tuple[int | None, int | None]:
    match = None if text is None else _TEXT.fullmatch(text)
    if match is None:
        return None, None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    offset = int(match[9] or 0) * 60 + int(match[10] or 0)
    if offset > _MAX_OFFSET:
        return None, None
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        return None, None
    seconds = int(moment.timestamp()) + (60 if match[8] == "-" else -60) * offset
    below = int((match[7] or "0").ljust(9, "0"))
    return seconds * 1_000_000 + below // 1000, below % 1000

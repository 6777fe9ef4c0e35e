"""Text out of whatever a column holds: one written rule a type."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from penstock.encoding import instants
from penstock.encoding.converted import (
    NON_FINITE,
    Converted,
    all_fit,
    flat,
    none_fit,
    valid_text,
    where,
)
from penstock.encoding.numerics import double_text
from penstock.encoding.times import to_date, to_instant


def to_text(array: pa.Array) -> Converted:
    """Valid UTF-8, unchanged.

    Of other types: booleans become true and false, instants UTC ISO text with six digits after the
    second, dates ISO text, times HH:mm:ss with their digits, decimals plain digits, finite doubles
    :func:`double_text`. Nested values, bytes, durations, and timestamps without a zone are TYPE.
    """
    array = flat(array)
    kind = array.type
    if pa.types.is_string(kind):
        return valid_text(array)
    if pa.types.is_floating(kind):
        finite = pc.is_finite(pc.cast(array, pa.float64()))
        return where(finite, double_text(array), NON_FINITE)
    if instants.is_instant(kind) or pa.types.is_date(kind):
        return _calendar_text(array)
    if pa.types.is_decimal(kind):
        plain = [None if one is None else format(one, "f") for one in array.to_pylist()]
        return all_fit(pa.array(plain, pa.string()))
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_time(kind):
        return all_fit(pc.cast(array, pa.string()))
    return none_fit(array, pa.string())


def _calendar_text(array: pa.Array) -> Converted:
    if pa.types.is_date(array.type):
        dates = to_date(array)
        return Converted(pc.cast(dates.values, pa.string()), dates.rule)
    at = to_instant(array)
    micros = pc.cast(at.values, pa.int64())
    below = pc.multiply(instants.floor_mod(micros, 1_000_000), 1000)
    return Converted(instants.text(micros, below, 6), at.rule)

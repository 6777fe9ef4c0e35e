"""Whole numbers, doubles and booleans out of whatever a column holds, and doubles as text."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from penstock.encoding.converted import (
    NON_FINITE,
    RANGE,
    TYPE,
    Converted,
    all_fit,
    flat,
    judged,
    none_fit,
    rule_where,
    valid_text,
    where,
)

MAX_EXACT_DOUBLE = 2**53  # the largest integer below which a double has no gaps

_MAX_LONG = 2**63 - 1
_WIDE = pa.decimal256(76, 0)
_PLAIN_DIGITS = 1e15  # whole doubles below it print as digits and ``.0``, as Python prints them
_WHOLE = r"^[+-]?[0-9]+$"
_SHORT_WHOLE = r"^[+-]?[0-9]{1,70}$"
_DECIMAL = r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,4})?$"
_NOT_A_NUMBER = r"(?i)^[+-]?(nan|inf|infinity)$"


def to_long(array: pa.Array) -> Converted:
    """Whole numbers in 64 bits. Booleans become 0 and 1; ``1.5`` is TYPE, ``2**63`` is RANGE."""
    array = flat(array)
    kind = array.type
    if pa.types.is_boolean(kind) or pa.types.is_signed_integer(kind):
        return all_fit(pc.cast(array, pa.int64()))
    if pa.types.is_unsigned_integer(kind):
        return _whole(
            array,
            pc.less_equal(pc.cast(array, pa.uint64()), pa.scalar(_MAX_LONG, pa.uint64())),
            pa.int64(),
        )
    if pa.types.is_floating(kind):
        return _long_from_double(pc.cast(array, pa.float64()))
    if pa.types.is_decimal(kind):
        return _long_from_decimal(array)
    if pa.types.is_string(kind):
        return _long_from_text(array)
    return none_fit(array, pa.int64())


def to_double(array: pa.Array) -> Converted:
    """Finite doubles. Text and decimals become the nearest double, NaN and infinity NON_FINITE.

    An integer a double cannot hold exactly is RANGE; booleans are TYPE.
    """
    array = flat(array)
    kind = array.type
    if pa.types.is_floating(kind):
        wide = pc.cast(array, pa.float64())
        return where(pc.is_finite(wide), wide, NON_FINITE)
    if pa.types.is_unsigned_integer(kind):
        limit = pa.scalar(MAX_EXACT_DOUBLE, pa.uint64())
        return _whole(array, pc.less_equal(pc.cast(array, pa.uint64()), limit), pa.float64())
    if pa.types.is_integer(kind):
        limit = pa.scalar(MAX_EXACT_DOUBLE, pa.int64())
        wide = pc.cast(array, pa.int64())
        exact = pc.and_(pc.less_equal(wide, limit), pc.greater_equal(wide, pc.negate(limit)))
        return _whole(wide, exact, pa.float64())
    if pa.types.is_decimal(kind):  # through text: Arrow's own cast is not the nearest double
        return all_fit(pc.cast(pc.cast(array, pa.string()), pa.float64()))
    if pa.types.is_string(kind):
        return _double_from_text(array)
    return none_fit(array, pa.float64())


def to_boolean(array: pa.Array) -> Converted:
    """true/false, t/f, 1/0 and yes/no in any case; everything else is TYPE."""
    array = flat(array)
    if pa.types.is_boolean(array.type):
        return all_fit(array)
    if not pa.types.is_string(array.type):
        return none_fit(array, pa.bool_())
    sound = valid_text(array)
    lower = pc.ascii_lower(sound.values)
    yes = pc.is_in(lower, pa.array(["true", "t", "1", "yes"]))
    no = pc.is_in(lower, pa.array(["false", "f", "0", "no"]))
    return judged(sound, pc.if_else(pc.or_(yes, no), yes, None), TYPE)


def double_text(array: pa.Array) -> pa.Array:
    """Shortest text that reads back as the same number of its own width; 1.0 keeps its ``.0``."""
    text = pc.cast(array, pa.string())
    wide = pc.cast(array, pa.float64())
    whole = pc.and_(pc.equal(pc.floor(wide), wide), pc.less(pc.abs(wide), _PLAIN_DIGITS))
    if not pc.any(whole).as_py():
        return text
    # Arrow writes 1e10 as 1e+10; zero stays with Arrow, for an integer has no negative zero.
    digits = pc.cast(pc.cast(pc.if_else(whole, wide, 0.0), pa.int64()), pa.string())
    digits = pc.if_else(pc.equal(wide, 0.0), text, digits)
    return pc.if_else(whole, pc.binary_join_element_wise(digits, ".0", ""), text)


def _long_from_double(array: pa.Array) -> Converted:
    finite = pc.is_finite(array)
    whole = pc.and_(finite, pc.equal(pc.floor(array), array))
    inside = pc.and_(pc.less(array, float(2**63)), pc.greater_equal(array, -float(2**63)))
    values = pc.cast(pc.if_else(pc.and_(whole, inside), array, None), pa.int64(), safe=False)
    rule = pc.if_else(finite, pc.if_else(whole, pc.if_else(inside, None, RANGE), TYPE), NON_FINITE)
    return Converted(values, rule)


def _long_from_decimal(array: pa.Array) -> Converted:
    if array.type.scale < 0:  # no file format has these
        return none_fit(array, pa.int64())
    exact = pc.cast(array, pa.decimal256(76, array.type.scale))
    cut = pc.trunc(exact)
    whole, wide = pc.equal(cut, exact), pc.cast(cut, _WIDE)
    inside = pc.and_(pc.less_equal(wide, _long(2**63 - 1)), pc.greater_equal(wide, _long(-(2**63))))
    values = pc.cast(pc.if_else(pc.and_(whole, inside), wide, None), pa.int64())
    return Converted(values, pc.if_else(whole, rule_where(pc.invert(inside), RANGE), TYPE))


def _long_from_text(array: pa.Array) -> Converted:
    shaped = pc.match_substring_regex(array, _WHOLE)
    short = pc.if_else(pc.match_substring_regex(array, _SHORT_WHOLE), array, None)
    wide = pc.cast(pc.utf8_ltrim(short, characters="+"), _WIDE)
    inside = pc.and_(pc.less_equal(wide, _long(2**63 - 1)), pc.greater_equal(wide, _long(-(2**63))))
    inside = pc.and_(shaped, pc.fill_null(inside, fill_value=False))
    values = pc.cast(pc.if_else(inside, wide, None), pa.int64())
    return Converted(values, pc.if_else(shaped, rule_where(pc.invert(inside), RANGE), TYPE))


def _long(value: int) -> pa.Scalar:
    return pa.scalar(value, _WIDE)


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


def _whole(array: pa.Array, fits: pa.Array, target: pa.DataType) -> Converted:
    return where(fits, pc.cast(pc.if_else(fits, array, None), target), RANGE)

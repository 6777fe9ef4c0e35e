"""What a row-level expectation asks of two or more columns of the same row, in Arrow's functions.

A check answers True where the row is as expected, False where not, null where a comparison met a
null. Which rows with nulls are looked at at all is decided by ``ignore_row_if``, not here.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import reduce
from itertools import combinations
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ContractError
from penstock.expectation.arguments import Arguments, family, is_long, kind

Check = Callable[..., pa.Array]
_EXACT = pa.decimal256(38, 0)  # holds the sum of any number of 64-bit columns there can be
_UNREACHABLE = 10**37


def _pair_equal(given: Arguments) -> Check:
    return lambda left, right: _same(given, left, right)


def _pair_greater(given: Arguments) -> Check:
    above = pc.greater_equal if given.flag("or_equal") else pc.greater

    def check(left: pa.Array, right: pa.Array) -> pa.Array:
        given.need("text", "number", "instant", "date", columns=[left, right])
        both_missing = pc.and_(pc.is_null(left), pc.is_null(right))
        found = above(*_aligned(left, right))
        return pc.or_kleene(both_missing, found) if given.flag("or_equal") else found

    return check


def _pair_in_set(given: Arguments) -> Check:
    pairs = given.some("value_pairs_set")
    if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):  # noqa: PLR2004 - a pair
        raise ContractError(f"{given.owner}: value_pairs_set is not a list of pairs")

    def check(left: pa.Array, right: pa.Array) -> pa.Array:
        found = [pc.and_(_is(given, left, one), _is(given, right, two)) for one, two in pairs]
        return reduce(pc.or_, found)

    return check


def _is(given: Arguments, array: pa.Array, value: Any) -> pa.Array:
    """Null is null here, as in Spark's null-safe comparison."""
    if value is None:
        return pc.is_null(array)
    if pa.types.is_integer(array.type) and kind(value) == "number" and not is_long(value):
        return pc.is_null(pc.is_null(array))  # nowhere
    wanted = given.literal("value_pairs_set", value, array.type)
    return pc.fill_null(pc.equal(array, wanted), fill_value=False)


def _sum_equal(given: Arguments) -> Check:
    """A null counts 0, as in GX on Spark (on pandas it makes the row fail)."""
    total = given.number("sum_total")
    if total is None:
        given.stop("sum_total", "there")

    def check(*arrays: pa.Array) -> pa.Array:
        given.need("number", columns=arrays)
        filled = [pc.fill_null(one, pa.scalar(0, one.type)) for one in arrays]
        if any(pa.types.is_floating(one.type) for one in arrays):
            doubles = [pc.cast(one, pa.float64(), safe=False) for one in filled]
            return pc.equal(reduce(pc.add, doubles), pa.scalar(float(total), pa.float64()))
        return _exact_sum_is(filled, total)

    return check


def _exact_sum_is(arrays: list[pa.Array], total: float) -> pa.Array:
    """Whole numbers never overflow here, and none is rounded."""
    wide = [pc.cast(one, _EXACT) for one in arrays]
    found = reduce(lambda one, other: pc.cast(pc.add(one, other), _EXACT), wide)
    if total != int(total) or abs(total) >= _UNREACHABLE:
        return pc.is_null(found)
    return pc.equal(found, pa.scalar(Decimal(int(total)), _EXACT))


def _all_equal(given: Arguments) -> Check:
    return lambda first, *others: reduce(pc.and_, [_same(given, first, one) for one in others])


def _all_distinct(given: Arguments) -> Check:
    def check(*arrays: pa.Array) -> pa.Array:
        same = [_same(given, one, other) for one, other in combinations(arrays, 2)]
        return pc.invert(reduce(pc.or_, same))

    return check


def _same(given: Arguments, left: pa.Array, right: pa.Array) -> pa.Array:
    """Two nulls are the same, a null and a value are not."""
    given.need("text", "number", "boolean", "instant", "date", columns=[left, right])
    missing = pc.and_(pc.is_null(left), pc.is_null(right))
    return pc.fill_null(pc.coalesce(pc.equal(*_aligned(left, right)), missing), fill_value=False)


def _aligned(left: pa.Array, right: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Whole numbers against fractions meet as doubles, as in Spark."""
    if left.type == right.type or not all(family(one.type) == "number" for one in (left, right)):
        return left, right
    if not any(pa.types.is_floating(one.type) for one in (left, right)):
        return left, right
    return pc.cast(left, pa.float64(), safe=False), pc.cast(right, pa.float64(), safe=False)


#: Checks of column_A and column_B.
PAIR: dict[str, Callable[[Arguments], Check]] = {
    "expect_column_pair_values_to_be_equal": _pair_equal,
    "expect_column_pair_values_a_to_be_greater_than_b": _pair_greater,
    "expect_column_pair_values_to_be_in_set": _pair_in_set,
}
#: Checks of the columns of column_list.
MANY: dict[str, Callable[[Arguments], Check]] = {
    "expect_multicolumn_sum_to_equal": _sum_equal,
    "expect_multicolumn_values_to_be_equal": _all_equal,
    "expect_select_column_values_to_be_unique_within_record": _all_distinct,
}

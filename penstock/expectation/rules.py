"""The allow-list of expectations, the compiler of row rules, and the split between gate and set."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.contract import Expectation
from penstock.errors import ContractError
from penstock.expectation import columns, values
from penstock.expectation.arguments import Arguments

#: A batch to one Boolean per row, never null: True where the row fails.
Rule = Callable[[pa.RecordBatch], pa.BooleanArray]

_BOUNDS = ("min_value", "max_value", "strict_min", "strict_max")
_NULLS = ("expect_column_values_to_not_be_null", "expect_column_values_to_be_null")
_ROW_ARGUMENTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_NULLS, ()),
    "expect_column_values_to_be_between": _BOUNDS,
    "expect_column_values_to_be_in_set": ("value_set",),
    "expect_column_values_to_not_be_in_set": ("value_set",),
    "expect_column_values_to_match_regex": ("regex",),
    "expect_column_values_to_not_match_regex": ("regex",),
    "expect_column_values_to_match_regex_list": ("regex_list", "match_on"),
    "expect_column_values_to_not_match_regex_list": ("regex_list",),
    "expect_column_values_to_match_like_pattern": ("like_pattern", "escape"),
    "expect_column_values_to_not_match_like_pattern": ("like_pattern", "escape"),
    "expect_column_values_to_match_like_pattern_list": ("like_pattern_list", "match_on", "escape"),
    "expect_column_values_to_not_match_like_pattern_list": ("like_pattern_list", "escape"),
    "expect_column_value_lengths_to_equal": ("value",),
    "expect_column_value_lengths_to_be_between": _BOUNDS,
    "expect_column_values_to_be_json_parseable": (),
    "expect_column_values_to_match_json_schema": ("json_schema",),
    "expect_column_values_to_match_strftime_format": ("strftime_format",),
    "expect_column_pair_values_to_be_equal": (),
    "expect_column_pair_values_a_to_be_greater_than_b": ("or_equal",),
    "expect_column_pair_values_to_be_in_set": ("value_pairs_set",),
    "expect_multicolumn_sum_to_equal": ("sum_total",),
    "expect_multicolumn_values_to_be_equal": (),
    "expect_select_column_values_to_be_unique_within_record": (),
}
_SET_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "expect_column_values_to_be_unique": ("mostly",),
    "expect_column_distinct_values_to_be_in_set": ("value_set",),
    "expect_column_distinct_values_to_contain_set": ("value_set",),
    "expect_column_distinct_values_to_equal_set": ("value_set",),
    "expect_column_most_common_value_to_be_in_set": ("value_set", "ties_okay"),
    "expect_column_max_to_be_between": _BOUNDS,
    "expect_column_mean_to_be_between": _BOUNDS,
    "expect_column_median_to_be_between": _BOUNDS,
    "expect_column_min_to_be_between": _BOUNDS,
    "expect_column_stdev_to_be_between": _BOUNDS,
    "expect_column_sum_to_be_between": _BOUNDS,
    "expect_column_unique_value_count_to_be_between": _BOUNDS,
    "expect_column_proportion_of_unique_values_to_be_between": _BOUNDS,
    "expect_column_proportion_of_non_null_values_to_be_between": _BOUNDS,
    "expect_column_quantile_values_to_be_between": ("quantile_ranges", "allow_relative_error"),
    "expect_compound_columns_to_be_unique": ("column_list", "mostly", "ignore_row_if"),
    "expect_table_row_count_to_be_between": _BOUNDS,
    "expect_table_row_count_to_equal": ("value",),
    "expect_table_column_count_to_be_between": ("min_value", "max_value"),
    "expect_table_column_count_to_equal": ("value",),
    "expect_table_columns_to_match_set": ("column_set", "exact_match"),
    "expect_table_columns_to_match_ordered_list": ("column_list",),
}
#: Expectations that judge one row by itself; each compiles to a rule.
ROW_TYPES = frozenset(_ROW_ARGUMENTS)
#: Expectations that judge the set; they run in Great Expectations alone.
SET_TYPES = frozenset(_SET_ARGUMENTS)
#: What Great Expectations runs for us: GX 1.24 has LIKE for SQL databases only, not for Spark.
STAGED_TYPES = SET_TYPES | {name for name in ROW_TYPES if "_like_pattern" not in name}


#: Types that compare values with a bound given as an argument.
_ORDERED = frozenset({"expect_column_values_to_be_between"})


@dataclass(frozen=True)
class Split:
    """Who judges what.

    Args:
        gate: Row-level expectations that quarantine or drop; the gates compile them.
        staged: Expectations that fail or warn; GX runs them over the staged set.
    """

    gate: tuple[Expectation, ...]
    staged: tuple[Expectation, ...]


def split(expectations: Sequence[Expectation], schema: pa.Schema | None = None) -> Split:
    """Check every expectation and say where it runs.

    Args:
        expectations: Column expectations have their column.
        schema: Arrow schema of the rows; given, columns and their types are checked too.

    Raises:
        ContractError: A type that is not on the allow-list, an argument that is wrong or unknown,
            a set-level expectation that quarantines or drops, a column that is missing or of the
            wrong type.
    """
    gate, staged = [], []
    for one in expectations:
        if one.on_fail in ("quarantine", "drop"):
            compile_row(one, schema)
            gate.append(one)
        else:
            _check_staged(one, schema)
            staged.append(one)
    return Split(tuple(gate), tuple(staged))


def compile_row(expectation: Expectation, schema: pa.Schema | None = None) -> Rule:
    """The rule of a row-level expectation. Pure: a rule holds no state and may be called anywhere.

    Nulls pass, as in GX, but for the expectations about null itself. Across columns,
    ``ignore_row_if`` decides as in GX; a null that is not ignored makes an order unknown, which
    passes, counts 0 in a sum, and equals only another null: GX's verdicts on Spark. A value no
    JSON parser reads fails ``match_json_schema``, where GX itself stops.

    Args:
        expectation: Its type is one of ROW_TYPES. ``mostly`` is refused: a rule sees one row.
        schema: Arrow schema of the batches to come; given, columns and types are checked now.

    Raises:
        ContractError: See :func:`split`; the rule raises it for a batch of another schema.
    """
    if expectation.type not in ROW_TYPES:
        raise _not_a_row_type(expectation)
    owner = _owner(expectation)
    _check_names(expectation, allowed(expectation.type) - {"mostly"})
    rule = _built(expectation, Arguments(owner, expectation.arguments))
    if schema is not None:
        rule(pa.RecordBatch.from_arrays([pa.nulls(0, one.type) for one in schema], schema=schema))
    return rule


def allowed(kind: str) -> set[str]:
    """The arguments an expectation of this type takes, its column apart.

    Row-level ones take ``mostly`` where Great Expectations runs them. Raises KeyError.
    """
    if kind in SET_TYPES:
        return set(_SET_ARGUMENTS[kind])
    own = {*_ROW_ARGUMENTS[kind], "mostly"}
    if kind in columns.PAIR:
        return own | {"column_A", "column_B", "ignore_row_if"}
    return own | ({"column_list", "ignore_row_if"} if kind in columns.MANY else set())


def keywords(expectation: Expectation) -> dict[str, Any]:
    """The keyword arguments Great Expectations takes for it; ``column`` where it looks at one."""
    own = {"column": expectation.column} if _is_single(expectation.type) else {}
    return {**own, **expectation.arguments}


def _built(expectation: Expectation, given: Arguments) -> Rule:
    kind = expectation.type
    if kind in _NULLS:
        name, wrong = _column(expectation), pc.is_null if kind == _NULLS[0] else pc.is_valid
        return lambda batch: wrong(_taken(batch, name, given.owner))
    if kind in values.COLUMN:
        return _value_rule(_column(expectation), values.COLUMN[kind](given), given.owner)
    if kind in columns.PAIR:
        names = [given.text("column_A"), given.text("column_B")]
        ignored = ("both_values_are_missing", "either_value_is_missing", "neither")
        check = columns.PAIR[kind](given)
    else:
        names = given.texts("column_list")
        ignored = ("all_values_are_missing", "any_value_is_missing", "never")
        check = columns.MANY[kind](given)
    if len(set(names)) < max(2, len(names)):
        given.stop("the list of columns", "of two or more, each once")
    return _row_rule(
        names, check, ignored.index(given.choice("ignore_row_if", *ignored)), given.owner
    )


def _value_rule(name: str, check: values.Check, owner: str) -> Rule:
    def rule(batch: pa.RecordBatch) -> pa.BooleanArray:
        array = _taken(batch, name, owner)
        return pc.and_(pc.is_valid(array), pc.invert(pc.fill_null(check(array), fill_value=False)))

    return rule


def _row_rule(names: list[str], check: columns.Check, ignored: int, owner: str) -> Rule:
    """``ignored``: 0 leaves out rows where all the columns are null, 1 where any is, 2 none."""

    def rule(batch: pa.RecordBatch) -> pa.BooleanArray:
        arrays = [_taken(batch, name, owner) for name in names]
        fails = pc.invert(pc.fill_null(check(*arrays), fill_value=True))
        if ignored == 2:  # noqa: PLR2004 - see the docstring
            return fails
        missing = reduce(pc.or_ if ignored else pc.and_, [pc.is_null(one) for one in arrays])
        return pc.and_(fails, pc.invert(missing))

    return rule


def _taken(batch: pa.RecordBatch, name: str, owner: str) -> pa.Array:
    _check_column(batch.schema, name, owner)
    return batch.column(batch.schema.get_field_index(name))


def _check_column(schema: pa.Schema, name: str, owner: str) -> None:
    if schema.get_field_index(name) < 0:
        raise ContractError(f"{owner}: there is no column {name!r}", "Correct the name")


def _check_staged(expectation: Expectation, schema: pa.Schema | None) -> None:
    if expectation.type not in STAGED_TYPES:
        raise _not_staged(expectation)
    _check_names(expectation, allowed(expectation.type))
    if _is_single(expectation.type):
        name = _column(expectation)
        if schema is not None:
            _check_column(schema, name, _owner(expectation))
    if schema is not None and expectation.type in _ORDERED:
        # Without ANSI mode Spark compares text with a number as null, which GX lets pass.
        plain = {key: one for key, one in expectation.arguments.items() if key != "mostly"}
        compile_row(replace(expectation, arguments=plain), schema)


def _check_names(expectation: Expectation, allowed: set[str]) -> None:
    """Names only: no row_condition, no result_format, no suite parameter gets through to GX."""
    unknown = sorted(set(expectation.arguments) - allowed)
    if unknown:
        message = f"{_owner(expectation)}: {unknown[0]!r} is not an argument it takes"
        raise ContractError(message, f"It takes {', '.join(sorted(allowed)) or 'none'} here")
    for name, value in expectation.arguments.items():
        if isinstance(value, Mapping) and "$PARAMETER" in value:
            raise ContractError(
                f"{_owner(expectation)}: {name} is a suite parameter", "Give a value"
            )


def _is_single(kind: str) -> bool:
    """Whether an expectation of this type looks at one column."""
    return not (
        kind in columns.PAIR
        or kind in columns.MANY
        or kind.startswith(("expect_table_", "expect_compound_"))
    )


def _column(expectation: Expectation) -> str:
    if expectation.column is None:
        raise ContractError(f"{expectation.type} has no column", "Name the column it looks at")
    return expectation.column


def _owner(expectation: Expectation) -> str:
    return expectation.type + (f" on {expectation.column!r}" if expectation.column else "")


def _not_a_row_type(expectation: Expectation) -> ContractError:
    if expectation.type in SET_TYPES:
        message = f"{_owner(expectation)} judges a set: no single row of it can be put aside"
        return ContractError(message, "Use on_fail fail or warn")
    return _unknown(expectation, ROW_TYPES)


def _not_staged(expectation: Expectation) -> ContractError:
    if expectation.type in ROW_TYPES:
        message = f"{_owner(expectation)}: Great Expectations has no LIKE on Spark"
        return ContractError(message, "Use a regex, or on_fail quarantine or drop")
    return _unknown(expectation, STAGED_TYPES)


def _unknown(expectation: Expectation, known: frozenset[str]) -> ContractError:
    if "query" in expectation.type:
        message = f"{expectation.type}: SQL is not taken from configuration"
        return ContractError(message, "Compute the value in the transform and expect it there")
    near = difflib.get_close_matches(expectation.type, known, n=1)
    remedy = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(sorted(known))}"
    return ContractError(f"{expectation.type} is not an expectation penstock runs", remedy)

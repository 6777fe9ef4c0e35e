"""What a row-level expectation asks of the values of one column, in Arrow's functions.

A builder reads its arguments once and answers a check; a check answers True where a value is as
expected, False where not, null where it is null. No check depends on the session or on the clock.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ContractError, UsageError
from penstock.expectation.arguments import LARGEST, SMALLEST, Arguments, is_long, kind
from penstock.expectation.pattern import like, regex

Check = Callable[[pa.Array], pa.Array]


def _between(given: Arguments) -> Check:
    span = _range(given, given.values.get("min_value"), given.values.get("max_value"))

    def check(array: pa.Array) -> pa.Array:
        given.need("number", "instant", "date", columns=[array])
        if pa.types.is_integer(array.type):
            if isinstance(span.low, str) or isinstance(span.high, str):
                given.stop("min_value or max_value", f"made for a column of {array.type}")
            return span.holds_whole(array)
        low, high = (
            None if value is None else given.literal(name, value, array.type)
            for name, value in (("min_value", span.low), ("max_value", span.high))
        )
        return replace(span, low=low, high=high).holds(array)

    return check


@dataclass(frozen=True)
class _Range:
    """Bounds, of which one may be missing; ``open`` ones do not belong to it."""

    low: Any
    high: Any
    open_low: bool
    open_high: bool

    def holds(self, array: pa.Array) -> pa.Array:
        above = pc.greater if self.open_low else pc.greater_equal
        below = pc.less if self.open_high else pc.less_equal
        if self.low is None:
            return below(array, self.high)
        if self.high is None:
            return above(array, self.low)
        return pc.and_(above(array, self.low), below(array, self.high))

    def holds_whole(self, array: pa.Array) -> pa.Array:
        """Exact in all of 64 bits: bounds become whole and closed before they meet the column."""
        least, most = SMALLEST, LARGEST
        if self.low is not None:
            least = math.floor(self.low) + 1 if self.open_low else math.ceil(self.low)
        if self.high is not None:
            most = math.ceil(self.high) - 1 if self.open_high else math.floor(self.high)
        if least > most or least > LARGEST or most < SMALLEST:
            return pc.is_null(array)
        low, high = (
            pa.scalar(one, pa.int64()) for one in (max(least, SMALLEST), min(most, LARGEST))
        )
        closed = _Range(low, high, open_low=False, open_high=False)
        return closed.holds(pc.cast(array, pa.int64()))


def _range(given: Arguments, low: Any, high: Any) -> _Range:
    if low is None and high is None:
        given.stop("one of min_value and max_value", "there")
    for name in ("min_value", "max_value"):
        if not isinstance(given.values.get(name), str):
            given.number(name)
    if low is not None and high is not None:
        comparable = kind(low) == kind(high)
        if not comparable or (not isinstance(low, str) and low > high):
            given.stop("min_value", "below max_value, or of its type")
    return _Range(low, high, given.flag("strict_min"), given.flag("strict_max"))


def _in_set(given: Arguments) -> Check:
    values = given.some("value_set")
    kinds = {kind(one) for one in values}
    if len(kinds) > 1 or None in kinds:
        raise ContractError(f"{given.owner}: value_set mixes types or holds null", "Use one type")

    def check(array: pa.Array) -> pa.Array:
        given.need("text", "number", "boolean", "instant", "date", columns=[array])
        whole = pa.types.is_integer(array.type) and kinds == {"number"}
        fit = [int(one) for one in values if is_long(one)] if whole else values
        scalars = [given.literal("value_set", one, array.type) for one in fit]
        wanted = pa.array([one.as_py() for one in scalars], array.type)
        if pa.types.is_floating(array.type):
            return pc.is_in(pc.add(array, 0.0), value_set=wanted)
        return pc.is_in(array, value_set=wanted)

    return check


def _matches(given: Arguments, patterns: list[str]) -> Check:
    """``patterns`` are RE2's; one is enough, or with ``match_on`` all have to be found."""
    join = pc.or_ if given.choice("match_on", "any", "all") == "any" else pc.and_

    def check(array: pa.Array) -> pa.Array:
        given.need("text", columns=[array])
        return reduce(join, [pc.match_substring_regex(array, one) for one in patterns])

    return check


def _regex(given: Arguments) -> Check:
    return _matches(given, [_translated(given, regex, given.text("regex"))])


def _regexes(given: Arguments) -> Check:
    return _matches(given, [_translated(given, regex, one) for one in given.texts("regex_list")])


def _like(given: Arguments) -> Check:
    return _matches(given, [_translated(given, _like_with(given), given.text("like_pattern"))])


def _likes(given: Arguments) -> Check:
    said = _like_with(given)
    return _matches(
        given, [_translated(given, said, one) for one in given.texts("like_pattern_list")]
    )


def _translated(given: Arguments, into: Callable[[str], str], pattern: str) -> str:
    try:
        return into(pattern)
    except ContractError as error:
        raise ContractError(f"{given.owner}: {error.message}", error.remedy) from error


def _like_with(given: Arguments) -> Callable[[str], str]:
    escape = _escape(given)
    return lambda pattern: like(pattern, escape)


def _escape(given: Arguments) -> str | None:
    if given.values.get("escape") is None:
        return None
    letter = given.text("escape")
    if len(letter) != 1 or letter in "%_":
        raise ContractError(f"{given.owner}: escape is not one character other than % and _")
    return letter


def _length_equals(given: Arguments) -> Check:
    wanted = given.length("value")
    if wanted is None:
        given.stop("value", "there")
    return _length(given, lambda lengths: pc.equal(lengths, wanted))


def _length_between(given: Arguments) -> Check:
    span = _range(given, given.length("min_value"), given.length("max_value"))
    return _length(given, span.holds_whole)


def _length(given: Arguments, fits: Check) -> Check:
    """Code points, as Python and Spark count."""

    def check(array: pa.Array) -> pa.Array:
        given.need("text", columns=[array])
        return fits(pc.utf8_length(array))

    return check


def _json(given: Arguments) -> Check:
    return _each(given, lambda text: json.loads(text) is not None or True)


def _json_schema(given: Arguments) -> Check:
    schema = given.values.get("json_schema")
    try:
        import jsonschema  # type: ignore[import-untyped,unused-ignore] # it ships no types
    except ImportError as error:
        message = f"{given.owner}: jsonschema is not installed"
        raise UsageError(message, "pip install 'penstock[quality]'") from error
    if not isinstance(schema, Mapping) or not _is_closed(schema):
        message = f"{given.owner}: json_schema is not an object whose references all begin with #"
        raise ContractError(message, "Put the referenced schemas into $defs")
    kind = jsonschema.validators.validator_for(schema)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ContractError(f"{given.owner}: json_schema is no schema", error.message) from error
    judge = kind(schema)
    return _each(given, lambda text: judge.is_valid(json.loads(text)))


def _is_closed(schema: Any) -> bool:
    """No reference leads out of it: a schema is never fetched."""
    if isinstance(schema, Mapping):
        links = [schema[key] for key in ("$ref", "$dynamicRef", "$recursiveRef") if key in schema]
        inner = all(_is_closed(one) for one in schema.values())
        return inner and all(not isinstance(one, str) or one.startswith("#") for one in links)
    return all(_is_closed(one) for one in schema) if isinstance(schema, (list, tuple)) else True


def _strftime(given: Arguments) -> Check:
    form = given.text("strftime_format")
    try:
        moment = datetime(2000, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
        datetime.strptime(moment.strftime(form), form)  # noqa: DTZ007 - as GX asks it; the value is not used
    except ValueError as error:
        message = f"{given.owner}: strftime_format cannot be parsed with"
        raise ContractError(message, "Use directives of Python's strptime") from error
    return _each(given, lambda text: bool(datetime.strptime(text, form)))  # noqa: DTZ007 - the same


def _each(given: Arguments, judge: Callable[[str], bool]) -> Check:
    """Ask Python once for each distinct text; an error of the judge's is a no."""

    def asked(text: str) -> bool:
        try:
            return judge(text)
        except (ValueError, RecursionError):
            return False

    def check(array: pa.Array) -> pa.Array:
        given.need("text", columns=[array])
        distinct = array.dictionary_encode()
        answers = pa.array([asked(one) for one in distinct.dictionary.to_pylist()], pa.bool_())
        return answers.take(distinct.indices)

    return check


def _opposite(build: Callable[[Arguments], Check]) -> Callable[[Arguments], Check]:
    def built(given: Arguments) -> Check:
        check = build(given)
        return lambda array: pc.invert(check(array))

    return built


#: Checks of one column's values that are not null.
COLUMN: dict[str, Callable[[Arguments], Check]] = {
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_be_in_set": _in_set,
    "expect_column_values_to_not_be_in_set": _opposite(_in_set),
    "expect_column_values_to_match_regex": _regex,
    "expect_column_values_to_not_match_regex": _opposite(_regex),
    "expect_column_values_to_match_regex_list": _regexes,
    "expect_column_values_to_not_match_regex_list": _opposite(_regexes),
    "expect_column_values_to_match_like_pattern": _like,
    "expect_column_values_to_not_match_like_pattern": _opposite(_like),
    "expect_column_values_to_match_like_pattern_list": _likes,
    "expect_column_values_to_not_match_like_pattern_list": _opposite(_likes),
    "expect_column_value_lengths_to_equal": _length_equals,
    "expect_column_value_lengths_to_be_between": _length_between,
    "expect_column_values_to_be_json_parseable": _json,
    "expect_column_values_to_match_json_schema": _json_schema,
    "expect_column_values_to_match_strftime_format": _strftime,
}

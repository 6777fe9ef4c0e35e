"""Short ways to write the expectations these contracts use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.contract import Expectation

if TYPE_CHECKING:
    from penstock.contract import OnFail


def between(
    column: str, low: float, high: float | None = None, on_fail: OnFail = "quarantine"
) -> Expectation:
    """Values from ``low`` to ``high``, both included; nulls pass."""
    limits = {"min_value": low} if high is None else {"min_value": low, "max_value": high}
    return Expectation("expect_column_values_to_be_between", column, limits, on_fail)


def one_of(column: str, *values: str, on_fail: OnFail = "quarantine") -> Expectation:
    """Values out of a closed list; nulls pass."""
    return Expectation(
        "expect_column_values_to_be_in_set", column, {"value_set": list(values)}, on_fail
    )


def matches(column: str, regex: str, on_fail: OnFail = "quarantine") -> Expectation:
    """Text in which the regular expression is found; nulls pass."""
    return Expectation("expect_column_values_to_match_regex", column, {"regex": regex}, on_fail)


def present(column: str, on_fail: OnFail = "quarantine") -> Expectation:
    """No nulls."""
    return Expectation("expect_column_values_to_not_be_null", column, {}, on_fail)

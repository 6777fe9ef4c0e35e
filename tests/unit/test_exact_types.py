"""The rule ``exact``: text becomes a number only where a double or a long holds its digits."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.wrangle.operators.inference import _DECIMAL, _EXACT_TIME, _WHOLE


@pytest.mark.shows("8.1")
@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_comes_back_from_its_double(number: Decimal) -> None:
    """Source: own rule: at the digits that it was written with."""
    text = format(number, "f")
    if re.fullmatch(_DECIMAL, text) and 1e-300 < abs(number) < 1e300:
        digits = len(number.as_tuple().digits)
        assert digits <= 17 or not any(number.as_tuple().digits[17:])
        if digits <= 15:
            assert Decimal(f"{float(text):.15g}") == number


@given(st.floats(1e-6, 1e15, exclude_max=True))
def test_what_a_double_writes_is_one(number: float) -> None:
    """Seventeen digits, as 0.30000000000000004, are no text."""
    text = format(Decimal(repr(number)), "f")
    assert re.fullmatch(_DECIMAL, text) or len(text.strip("0.")) > 17


@pytest.mark.parametrize(
    ("text", "whole", "decimal"),
    [
        ("123456789012345", True, True),
        ("123456789012345678", True, False),
        ("12345678901234567890", False, False),
        ("0.30000000000000004", False, True),
        ("0.123456789012345678", False, False),
        ("0.00000000000000000012", False, True),
        ("1234567890.1234567", False, True),
        ("1234567890.12345678", False, False),
        ("1.5e-7", False, True),
        ("007", False, False),
        ("00.5", False, False),
        ("-0", False, True),
    ],
)
def test_digits(text: str, *, whole: bool, decimal: bool) -> None:
    """Identifiers of twenty digits stay text; a column of eighteen is whole numbers."""
    assert bool(re.fullmatch(_WHOLE, text)) is whole
    assert bool(re.fullmatch(_DECIMAL, text)) is decimal


def test_parts_of_a_second() -> None:
    """A timestamp holds six digits."""
    assert re.fullmatch(_EXACT_TIME, "T01:02:03.123456Z")
    assert not re.fullmatch(_EXACT_TIME, "T01:02:03.123456789Z")

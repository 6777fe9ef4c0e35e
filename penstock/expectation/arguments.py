"""Arguments of an expectation, read strictly, and how JSON values meet the types of columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NoReturn

import pyarrow as pa

from penstock.errors import ContractError

SMALLEST, LARGEST = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Arguments:
    """Arguments of one expectation, read strictly: each reader raises ContractError.

    Args:
        owner: How an error names the expectation.
        values: JSON values by name.
    """

    owner: str
    values: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A string."""
        value = self.values.get(name)
        if not isinstance(value, str):
            self.stop(name, "a string")
        return value

    def texts(self, name: str) -> list[str]:
        """One or more strings."""
        values = self.some(name)
        return values if all(isinstance(one, str) for one in values) else self.stop(name, "strings")

    def some(self, name: str) -> list[Any]:
        """A list that is not empty."""
        value = self.values.get(name)
        if not isinstance(value, (list, tuple)) or not value:
            self.stop(name, "a list that is not empty")
        return list(value)

    def number(self, name: str) -> float | None:
        """A finite number, or None where it is not given."""
        value = self.values.get(name)
        if value is not None and (kind(value) != "number" or not math.isfinite(value)):
            self.stop(name, "a finite number")
        return value

    def length(self, name: str) -> int | None:
        """A whole number from 0, or None where it is not given."""
        value = self.number(name)
        if value is not None and (value < 0 or value != int(value)):
            self.stop(name, "a whole number from 0")
        return None if value is None else int(value)

    def flag(self, name: str) -> bool:
        """True or False; False where it is not given."""
        value = self.values.get(name, False)
        if not isinstance(value, bool):
            self.stop(name, "true or false")
        return value

    def choice(self, name: str, *allowed: str) -> str:
        """One of ``allowed``, the first where it is not given."""
        value = self.values.get(name, allowed[0])
        if value not in allowed:
            self.stop(name, f"one of {', '.join(allowed)}")
        return str(value)

    def literal(self, name: str, value: Any, kind: pa.DataType) -> pa.Scalar:
        """``value`` as a scalar of a column's type."""
        try:
            return pa.scalar(_fitted(value, kind), kind)
        except (AttributeError, TypeError, ValueError, OverflowError):
            self.stop(name, f"made for a column of {kind}")

    def need(self, *families: str, columns: Sequence[pa.Array]) -> None:
        """All columns are of one and the same of ``families``."""
        found = {family(one.type) for one in columns}
        if len(found) > 1 or not found <= set(families):
            types = ", ".join(str(one.type) for one in columns)
            message = f"{self.owner}: it looks at {' or '.join(families)}, not at {types}"
            raise ContractError(message, "Choose another column or another expectation")

    def stop(self, name: str, wanted: str) -> NoReturn:
        """Raise: ``name`` is not ``wanted``."""
        raise ContractError(f"{self.owner}: {name} is not {wanted}", "Correct the argument")


def kind(value: Any) -> str | None:
    """The family of a JSON value; None for null, lists and objects."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else None


def family(kind: pa.DataType) -> str:
    """What values of an Arrow type may be compared with; ``other`` with nothing."""
    tests = {
        "text": pa.types.is_string(kind) or pa.types.is_large_string(kind),
        "number": pa.types.is_signed_integer(kind) or pa.types.is_floating(kind),
        "boolean": pa.types.is_boolean(kind),
        "instant": pa.types.is_timestamp(kind) and kind.tz is not None,
        "date": pa.types.is_date(kind),
    }
    return next((name for name, fits in tests.items() if fits), "other")


def is_long(value: float) -> bool:
    """Whether a number is whole and fits 64 bits."""
    return math.isfinite(value) and value == int(value) and SMALLEST <= value <= LARGEST


def _fitted(value: Any, column: pa.DataType) -> Any:
    if pa.types.is_timestamp(column):
        return _instant(value)
    if pa.types.is_date(column):
        return date.fromisoformat(value)
    if kind(value) != family(column):
        raise TypeError
    # Arrow's sets tell -0.0 from 0.0, expectations do not.
    return float(value) + 0.0 if pa.types.is_floating(column) else value


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError
    return moment

"""Say whether a text is of a kind: 1 or 0 (facts: wrangler, 1.2, 'Validate string').

The definition is Python's ``str`` methods, as in pandas. The identifier and the parameters of the
operator were not observed in any flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import ClassVar

from pydantic import model_validator
from pyspark.sql import DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, put
from penstock.wrangle.step import Names, Step, chosen, listed, names, output_names


def measure_text(frame: DataFrame, columns: dict[str, str]) -> DataFrame:
    """How many characters a text has; null has none."""
    return put(
        frame,
        {new: fn.length(at(one).cast("string")).cast("bigint") for one, new in columns.items()},
    )


def check_affix(frame: DataFrame, columns: dict[str, str], text: str, *, start: bool) -> DataFrame:
    """1 where a text starts, or ends, with this one, else 0; null is 0."""
    made = {}
    for one, new in columns.items():
        whole = at(one).cast("string")
        hit = whole.startswith(text) if start else whole.endswith(text)
        made[new] = fn.coalesce(hit, fn.expr("false")).cast("bigint")
    return put(frame, made)


def check_text(frame: DataFrame, columns: dict[str, str], method: str) -> DataFrame:
    """1 where a method of Python's ``str``, such as ``isalnum``, says yes, else 0; null is 0."""

    def holds(value: str | None) -> int:
        return int(value is not None and getattr(value, method)())

    test = fn.udf(holds, "bigint", useArrow=False)
    return put(frame, {new: test(at(one).cast("string")) for one, new in columns.items()})


class Check(Enum):
    """What is said."""

    LENGTH = "length"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    ALPHANUMERIC = "alphanumeric"
    ALPHA = "alpha"
    DIGIT = "digit"
    SPACE = "space"
    TITLE = "title"
    LOWERCASE = "lowercase"
    UPPERCASE = "uppercase"
    NUMERIC = "numeric"
    DECIMAL = "decimal"


_METHODS = {
    Check.ALPHANUMERIC: "isalnum",
    Check.ALPHA: "isalpha",
    Check.DIGIT: "isdigit",
    Check.SPACE: "isspace",
    Check.TITLE: "istitle",
    Check.LOWERCASE: "islower",
    Check.UPPERCASE: "isupper",
    Check.NUMERIC: "isnumeric",
    Check.DECIMAL: "isdecimal",
}
#: The menu's words (facts: wrangler, 1.2); none was observed in a flow.
_CHOICES = {
    "String length": Check.LENGTH,
    "Starts with": Check.STARTS_WITH,
    "Ends with": Check.ENDS_WITH,
    "Is alphanumeric": Check.ALPHANUMERIC,
    "Is alpha": Check.ALPHA,
    "Is digit": Check.DIGIT,
    "Is space": Check.SPACE,
    "Is title": Check.TITLE,
    "Is lowercase": Check.LOWERCASE,
    "Is uppercase": Check.UPPERCASE,
    "Is numeric": Check.NUMERIC,
    "Is decimal": Check.DECIMAL,
}


class CheckText(Step):
    """Say whether texts are of a kind, as 1 or 0; or how long they are.

    Args:
        columns: Which.
        whether: What is said.
        text: Of ``starts_with`` and ``ends_with``.
        output: Column of the result; a prefix with several columns; in place where it is empty.
    """

    kind: ClassVar[str] = "check_text"
    flow: ClassVar[tuple[tuple[str, str], ...]] = tuple(
        ("validate_string", one) for one in _CHOICES
    )

    columns: Names
    whether: Check
    text: str = ""
    output: str = ""

    @model_validator(mode="after")
    def _complete(self) -> CheckText:
        if self.whether in (Check.STARTS_WITH, Check.ENDS_WITH) and not self.text:
            raise ValueError(f"{self.whether.value} needs text")
        return self

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """As other steps of text."""
        block = chosen(parameters, choice)
        text = next((block[one] for one in ("substring", "prefix", "suffix") if one in block), "")
        return cls(
            columns=names(block.get("input_column", "")),
            whether=_CHOICES[choice],
            text=text,
            output=block.get("output_column", ""),
        )

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        columns = output_names(self.columns, self.output)
        if self.whether is Check.LENGTH:
            return [Call.of(measure_text, columns=columns)]
        if self.whether in _METHODS:
            return [Call.of(check_text, columns=columns, method=_METHODS[self.whether])]
        start = self.whether is Check.STARTS_WITH
        return [Call.of(check_affix, columns=columns, text=self.text, start=start)]

    def sentence(self) -> str:
        """One sentence."""
        if self.whether is Check.LENGTH:
            return f"Count the characters of {listed(self.columns)}"
        text = f" {self.text!r}" if self.text else ""
        return f"Say whether {listed(self.columns)} is {self.whether.value}{text}".replace(
            "is starts_with", "starts with"
        ).replace("is ends_with", "ends with")


STEPS: tuple[type[Step], ...] = (CheckText,)

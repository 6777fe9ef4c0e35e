"""A column by an expression of Spark SQL (facts: wrangler, 1.2, ``custom_formula``)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import put
from penstock.wrangle.operators.determinism import sql_chances
from penstock.wrangle.step import Step

#: What of Spark SQL is code, or hides some: an expression is none, so it has none of it. A comment
#: may stand wherever a blank may; what a string holds is not told apart, to be on the safe side.
_THEN = r"[`\"]?\s*(?:\(|/\*|--)"
_CODE = {
    rf"\b(try_reflect|reflect|java_method)\b{_THEN}": "calls Java",
    r"\b(using)\b\s*(?:r?['\"]|/\*|--)": "runs a program",  # of SELECT TRANSFORM, in a subquery
    rf"\b(identifier)\b{_THEN}": "makes up names",
    r"(\$\{)": "reads settings and the environment",
}


def _harmless(text: str) -> str:
    for pattern, what in _CODE.items():
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            raise ValueError(f"{found[1]} {what}; write it as a step of custom code")
    return text


#: An expression of Spark SQL.
Expression = Annotated[str, Field(min_length=1), AfterValidator(_harmless)]


def compute_column(frame: DataFrame, formula: str, output: str) -> DataFrame:
    """A column by an expression of Spark SQL."""
    return put(frame, {output: fn.expr(formula)})


class Formula(Step):
    """Compute a column.

    Args:
        formula: Expression of Spark SQL.
        output: Column of the result; in place where there is one of that name.
    """

    kind: ClassVar[str] = "formula"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("custom_formula", ""),)

    formula: Expression
    output: Annotated[str, Field(min_length=1)]

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """``formula`` and ``output_column``."""
        return cls(formula=parameters["formula"], output=parameters["output_column"])

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [Call.of(compute_column, formula=self.formula, output=self.output)]

    def cautions(self) -> Sequence[str]:
        """What it takes from the clock or from chance."""
        return sql_chances(self.formula)

    def sentence(self) -> str:
        """One sentence."""
        return f"Compute {self.output} = {self.formula}"


STEPS: tuple[type[Step], ...] = (Formula,)

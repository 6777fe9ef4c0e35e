"""Code that a flow holds: pandas, PySpark, a function of one column, SQL (facts: wrangler, 4).

It runs only where people allow it, in this process and with all its rights. What it takes from the
clock or from chance, and code that is no Python, is said before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, ClassVar

from pydantic import Field

from penstock.wrangle.call import Call, Code, State, Value
from penstock.wrangle.operators.determinism import python_chances, sql_chances, syntax_fault
from penstock.wrangle.operators.pandas_frames import from_pandas, to_pandas
from penstock.wrangle.operators.queries import apply_function, query_rows
from penstock.wrangle.operators.type_names import SPARK_TYPES
from penstock.wrangle.step import Step, chosen, names

_Text = Annotated[str, Field(min_length=1)]
_ALL_ROWS = "its code may look at all rows"
#: Where ``custom_code`` keeps the block of a choice. Of functions and SQL none was observed.
_BLOCKS = {
    "Python (Pandas)": ("pandas",),
    "Python (PySpark)": ("pyspark",),
    "Python (User-Defined Function)": ("udf", "user-defined function", "python udf"),
    "SQL (PySpark SQL)": ("sql", "pyspark sql"),
}


def _block(choice: str, parameters: Mapping[str, Value]) -> Mapping[str, Value]:
    """The block of ``custom_code``; of the older operators the parameters themselves."""
    found = (chosen(parameters, one) for one in (choice, *_BLOCKS.get(choice, ())))
    return next((one for one in found if one), parameters)


class _PythonCode(Step):
    """Code on ``df``."""

    holds_code: ClassVar[bool] = True
    waits_for: ClassVar[str] = _ALL_ROWS

    code: _Text

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """``code``, in a block of its own or not."""
        return cls.model_validate({"code": _block(choice, parameters)["code"]})

    def cautions(self) -> Sequence[str]:
        """Whether it is Python, and what it takes from the clock or from chance."""
        fault = syntax_fault(self.code)
        return (fault,) if fault else python_chances(self.code)


class PandasCode(_PythonCode):
    """Run pandas code on all rows, in the memory of one process.

    Args:
        code: Finds a pandas DataFrame as ``df`` and leaves one there.
    """

    kind: ClassVar[str] = "pandas_code"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (
        ("custom_pandas", ""),
        ("custom_code", "Python (Pandas)"),
    )

    def calls(self, state: State) -> list[Code]:
        """The code, between two lines that go to pandas and back."""
        before, after = "df = to_pandas(df)", "df = from_pandas(df, spark)"
        return [Code(self.code, before, after, (to_pandas, from_pandas))]

    def cautions(self) -> Sequence[str]:
        """And that it takes all rows into one process."""
        known = "pandas takes all rows into one process; whole numbers beside nulls become decimals"
        return (*super().cautions(), known)

    def sentence(self) -> str:
        """One sentence."""
        return f"Run pandas code ({_size(self.code)})"


class PySparkCode(_PythonCode):
    """Run PySpark code.

    Args:
        code: Finds a DataFrame as ``df`` and the session as ``spark``, and leaves a DataFrame as
            ``df``.
    """

    kind: ClassVar[str] = "pyspark_code"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (
        ("custom_pyspark", ""),
        ("custom_code", "Python (PySpark)"),
    )

    def calls(self, state: State) -> list[Code]:
        """The code."""
        return [Code(self.code)]

    def sentence(self) -> str:
        """One sentence."""
        return f"Run PySpark code ({_size(self.code)})"


class Mode(Enum):
    """What a function is given: a pandas Series of values, or one value."""

    PANDAS = "Pandas"
    PYTHON = "Python"


class FunctionCode(Step):
    """Compute a column by a Python function of another.

    Args:
        code: Defines ``custom_func``.
        mode: What it is given.
        column: Its argument.
        output: Column of the result; in place where it is empty.
        returns: Type of what it returns.
    """

    kind: ClassVar[str] = "function_code"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (
        ("custom_code", "Python (User-Defined Function)"),
    )
    holds_code: ClassVar[bool] = True

    code: _Text
    mode: Mode = Mode.PANDAS
    column: _Text
    output: str = ""
    returns: str = "string"

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Names as the documentation has them; the block was not observed."""
        block = _block(choice, parameters)
        return cls(
            code=block["code"],
            mode=Mode(block.get("udf_mode", "Pandas")),
            column=names(block.get("input_col", block.get("input_column", "")))[0],
            output=block.get("output_col", block.get("output_column")) or "",
            returns=block.get("return_type", "string"),
        )

    def calls(self, state: State) -> list[Code]:
        """The code, then a line that applies its function."""
        returns = SPARK_TYPES.get(self.returns.lower(), self.returns)
        settings = f"{self.column!r}, {self.output or self.column!r}, {returns!r}"
        whole = self.mode is Mode.PANDAS
        after = f"df = apply_function(df, custom_func, {settings}, series={whole})"
        return [Code(self.code, "", after, (apply_function,))]

    def cautions(self) -> Sequence[str]:
        """As of other Python."""
        fault = syntax_fault(self.code)
        return (fault,) if fault else python_chances(self.code)

    def sentence(self) -> str:
        """One sentence."""
        return f"Compute {self.output or self.column} by a function of {self.column}"


class SqlCode(Step):
    """Run a query.

    Args:
        query: Of Spark SQL, from the table ``df``.
    """

    kind: ClassVar[str] = "sql_code"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (
        ("custom_sql", ""),  # by the rule of names; not observed
        ("custom_code", "SQL (PySpark SQL)"),
    )
    holds_code: ClassVar[bool] = True
    waits_for: ClassVar[str] = "its query may look at all rows"

    query: _Text

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """``code``; not observed, so ``query`` and ``sql`` are read too."""
        block = _block(choice, parameters)
        return cls(query=next(block[one] for one in ("code", "query", "sql") if one in block))

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [Call.of(query_rows, query=self.query)]

    def cautions(self) -> Sequence[str]:
        """What it takes from the clock or from chance."""
        return sql_chances(self.query)

    def sentence(self) -> str:
        """One sentence."""
        return f"Run a query ({_size(self.query)})"


def _size(text: str) -> str:
    lines = sum(bool(one.strip()) for one in text.splitlines())
    return f"{lines} line{'' if lines == 1 else 's'}"


STEPS: tuple[type[Step], ...] = (PandasCode, PySparkCode, FunctionCode, SqlCode)

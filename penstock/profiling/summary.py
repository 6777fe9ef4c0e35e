"""What is in each column, from all rows, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pyspark.sql import Column
from pyspark.sql import functions as fn

from penstock.wrangle.columns import at

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

Kind = Literal["number", "text", "boolean", "time", "other"]
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")
#: Text that people write for nothing; whole values only, unlike Data Wrangler's prefix match, which
#: takes "Nancy" for nothing.
_NULL_LIKE = r"(?i)^\s*(null|none|nil|na|n/a|nan|-|\?)\s*$"
_ACCURACY = 1_000  # of percentiles: an error of a thousandth of the rows' ranks


@dataclass(frozen=True)
class ColumnSummary:
    """One column. Figures that its kind has not are None.

    Args:
        name: Its name.
        type: Spark's type.
        kind: What can be asked of it.
        rows: All rows.
        missing: Null, NaN, and text that is empty or blank.
        null_like: Text such as "NA" or "none".
        distinct: Different values, estimated with an error of 2 %.
        minimum: Of numbers, texts (shortest first by order), times.
        maximum: Likewise.
        mean: Of numbers.
        deviation: Standard deviation of the sample, of numbers.
        quantiles: At :data:`QUANTILES`, of numbers.
        zeros: How many are 0, of numbers.
        infinite: How many are infinite, of numbers.
        numeric_text: Texts that are numbers.
    """

    name: str
    type: str
    kind: Kind
    rows: int
    missing: int
    null_like: int
    distinct: int
    minimum: Any = None
    maximum: Any = None
    mean: float | None = None
    deviation: float | None = None
    quantiles: tuple[float, ...] = ()
    zeros: int = 0
    infinite: int = 0
    numeric_text: int = 0

    @property
    def there(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def constant(self) -> bool:
        """Whether all values are the same one."""
        return self.there > 0 and self.distinct == 1


def summarized(frame: DataFrame) -> tuple[int, tuple[ColumnSummary, ...]]:
    """Rows, and a summary of each column in order. One Spark job."""
    kinds = [(name, type_, kind_of(type_)) for name, type_ in frame.dtypes]
    asked = [fn.count(fn.lit(1)).alias("rows")]
    for n, (name, type_, kind) in enumerate(kinds):
        asked += [one.alias(f"{n}_{key}") for key, one in _figures(name, type_, kind).items()]
    row = frame.agg(*asked).first()
    assert row is not None  # an aggregate without groups is one row
    return row["rows"], tuple(_summary(row, n, *one) for n, one in enumerate(kinds))


def kind_of(type_: str) -> Kind:
    """What can be asked of a type."""
    if type_.startswith(_NUMBERS):
        return "number"
    if type_.startswith(("date", "timestamp")):
        return "time"
    return {"string": "text", "boolean": "boolean"}.get(type_, "other")  # type: ignore[return-value]  # values above


def _figures(name: str, type_: str, kind: Kind) -> dict[str, Column]:
    value = at(name)
    if kind == "number":
        return _of_number(value, broken=type_ in ("float", "double"))
    if kind == "text":
        missing = value.isNull() | (fn.trim(value) == "")
        number = fn.trim(value).rlike(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
        return {
            "missing": _count(missing),
            "null_like": _count(value.rlike(_NULL_LIKE)),
            "numeric": _count(number),
            **_order(value),
        }
    if kind in ("time", "boolean"):
        return {"missing": _count(value.isNull()), **_order(value)}
    return {"missing": _count(value.isNull())}


def _of_number(value: Column, *, broken: bool) -> dict[str, Column]:
    number = value.cast("double")
    whole = fn.lit(True) if not broken else ~fn.isnan(number)  # noqa: FBT003 - a literal
    finite = fn.when(whole & (fn.abs(number) != float("inf")), number)
    return {
        "missing": _count(value.isNull() | ~whole),
        "infinite": _count(fn.abs(number) == float("inf")),
        "zeros": _count(number == 0),
        "distinct": fn.approx_count_distinct(value, 0.02),
        "min": fn.min(finite),
        "max": fn.max(finite),
        "mean": fn.avg(finite),
        "std": fn.stddev_samp(finite),
        "quantiles": fn.percentile_approx(finite, list(QUANTILES), _ACCURACY),
    }


def _order(value: Column) -> dict[str, Column]:
    return {
        "distinct": fn.approx_count_distinct(value, 0.02),
        "min": fn.min(value).cast("string"),
        "max": fn.max(value).cast("string"),
    }


def _count(condition: Column) -> Column:
    return fn.count(fn.when(condition, 1))


def _summary(row: Row, n: int, name: str, type_: str, kind: Kind) -> ColumnSummary:
    found = {key.split("_", 1)[1]: row[key] for key in row.asDict() if key.startswith(f"{n}_")}
    return ColumnSummary(
        name=name,
        type=type_,
        kind=kind,
        rows=row["rows"],
        missing=found["missing"],
        null_like=found.get("null_like") or 0,
        distinct=min(found.get("distinct") or 0, row["rows"] - found["missing"]),
        minimum=found.get("min"),
        maximum=found.get("max"),
        mean=found.get("mean"),
        deviation=found.get("std"),
        quantiles=tuple(found.get("quantiles") or ()),
        zeros=found.get("zeros") or 0,
        infinite=found.get("infinite") or 0,
        numeric_text=found.get("numeric") or 0,
    )


def of_kind(columns: Sequence[ColumnSummary], *kinds: Kind) -> list[ColumnSummary]:
    """Columns of some kinds."""
    return [one for one in columns if one.kind in kinds]

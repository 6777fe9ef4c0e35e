"""Cast columns to the service's three feature types, by the rules of penstock's own table.

The rules are those of ``penstock.encoding``, which the gate applies to every row: what this step
makes passes there. What does not fit becomes null and is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.call import Call, State
from penstock.wrangle.columns import at, kind
from penstock.wrangle.step import Step, check_columns, listed

FeatureType = Literal["Integral", "Fractional", "String"]
#: Whole doubles from here on are not exact.
EXACT = 9_007_199_254_740_992
#: Whole doubles below the first, and others between the two, are written without an exponent.
PLAIN_WHOLE = 1e15
PLAIN_FROM = 1e-6
PLAIN_TO = 1e10
BEYOND_LONG = 9223372036854775808.0
WHOLE = r"^[+-]?[0-9]+$"
DECIMAL = r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,4})?$"
INTEGERS = ("tinyint", "smallint", "int", "bigint")


def set_feature_types(frame: DataFrame, feature_types: dict[str, str]) -> DataFrame:
    """Columns as bigint (Integral), double (Fractional) or string (String), in place.

    What does not fit becomes null: 1.5 and text that is no whole number as Integral; NaN and
    infinity; a whole number beyond 2^53 as Fractional.
    """
    made = []
    for name, type_name in frame.dtypes:
        wanted = feature_types.get(name, "")
        if wanted == "Integral":
            made.append(as_integral(at(name), type_name).alias(name))
        elif wanted == "Fractional":
            made.append(as_fractional(at(name), type_name).alias(name))
        elif wanted == "String":
            made.append(as_text(at(name), type_name).alias(name))
        else:
            made.append(at(name))
    return frame.select(*made)


def as_integral(value: Column, type_name: str) -> Column:
    """A whole number of 64 bits, or null."""
    if type_name in (*INTEGERS, "boolean"):
        return value.cast("bigint")
    if type_name in ("double", "float"):
        wide = value.cast("double")
        inside = (wide >= -BEYOND_LONG) & (wide < BEYOND_LONG)
        return fn.when((fn.floor(wide) == wide) & inside, wide.cast("bigint"))
    text = value.cast("string")
    exact = fn.when(text.rlike(WHOLE), text.cast("decimal(38,0)"))
    if type_name.startswith("decimal"):
        exact = fn.when(value % 1 == 0, value.cast("decimal(38,0)"))
    least, most = (
        fn.lit(one).cast("decimal(38,0)") for one in ("-9223372036854775808", "9223372036854775807")
    )
    return fn.when((exact >= least) & (exact <= most), exact.cast("bigint"))


def as_fractional(value: Column, type_name: str) -> Column:
    """A finite double, or null."""
    if type_name in INTEGERS:
        return fn.when(fn.abs(value.cast("decimal(20,0)")) <= EXACT, value.cast("double"))
    text = value.cast("string")
    if type_name in ("double", "float") or type_name.startswith("decimal"):
        number = value.cast("double")
    else:
        number = fn.when(text.rlike(DECIMAL), text.cast("double"))
    infinite = number.isin([float("inf"), float("-inf")])
    return fn.when(~fn.isnan(number) & ~infinite, number)


def as_text(value: Column, type_name: str) -> Column:
    """Text: doubles by :func:`number_text`, dates and instants in ISO 8601 (UTC)."""
    if type_name == "date":
        return fn.date_format(value, "yyyy-MM-dd")
    if type_name in ("timestamp", "timestamp_ntz"):
        # In the zone of the session that makes the plan, UTC; see add_event_time.
        return fn.date_format(value.cast("timestamp"), "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'")
    if type_name not in ("double", "float"):
        return value.cast("string")

    # A float's own digits, not those of the double it is.
    wide = value.cast("string").cast("double") if type_name == "float" else value
    return fn.udf(number_text, "string", useArrow=False)(wide)


def number_text(number: float | None) -> str | None:
    """A double as the gate writes it: 1.0, 0.00001, 1.5e+10; null where it is not finite."""
    import decimal

    if number is None or number - number != 0:
        return None
    if number == 0 or (number.is_integer() and abs(number) < PLAIN_WHOLE):
        return repr(number)
    exact = decimal.Decimal(repr(number)).normalize()
    if PLAIN_FROM <= abs(number) < PLAIN_TO:
        return format(exact, "f")
    sign, digits, _ = exact.as_tuple()
    whole = "".join(map(str, digits))
    mantissa = whole[0] + ("." + whole[1:] if whole[1:] else "")
    return f"{'-' if sign else ''}{mantissa}e{exact.adjusted():+d}"


class SetFeatureTypes(Step):
    """Cast columns to feature types.

    Args:
        columns: Feature types by column: Integral, Fractional or String.
        others: Whether all other columns get the type that fits theirs: whole numbers and booleans
            Integral, other numbers Fractional, the rest String.
    """

    kind: ClassVar[str] = "feature_types"
    fits: ClassVar[bool] = True

    columns: Mapping[str, FeatureType] = {}
    others: bool = True

    def fit(self, frame: DataFrame) -> State:
        """Types of all columns; no job runs.

        Raises:
            UsageError: A column that holds no single value, such as a vector.
        """
        check_columns(self.kind, tuple(self.columns), frame.columns)
        wanted = {
            one: self.columns.get(one) or _fitting(kind(frame, one))
            for one in frame.columns
            if self.others or one in self.columns
        }
        for one in wanted:
            type_name = kind(frame, one)
            if type_name.startswith(("array", "map", "struct", "vector", "binary")):
                raise UsageError(
                    f"{self.kind}: {one} is {type_name}, which is no feature type",
                    "Flatten it into columns before",
                )
        return {"types": wanted}

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        return [Call.of(set_feature_types, feature_types=dict(state["types"]))]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Values that become null."""
        casts = {"Integral": as_integral, "Fractional": as_fractional, "String": as_text}
        found = {}
        for one, wanted in state["types"].items():
            type_name = kind(frame, one)
            if (wanted, type_name) not in _SAFE:
                lost = at(one).isNotNull() & casts[wanted](at(one), type_name).isNull()
                if wanted == "String" and type_name in ("double", "float"):
                    # The same, without writing every number a second time in Python.
                    lost = fn.isnan(at(one)) | (fn.abs(at(one)) == float("inf"))
                found[f"values of {one} are not {wanted} and become null"] = lost
            if wanted == "Fractional" and type_name.startswith("decimal"):
                back = at(one).cast("double").cast(type_name)
                rounded = fn.coalesce(back != at(one), fn.expr("false"))
                found[f"values of {one} have more digits than a double holds"] = rounded
        return found

    def sentence(self) -> str:
        """One sentence."""
        said = [f"{one} {kind_}" for one, kind_ in self.columns.items()]
        rest = "all other columns what fits them" if self.others else ""
        return f"Feature types: {'; '.join(one for one in (listed(said), rest) if one)}"


_SAFE = {
    *(("Integral", one) for one in (*INTEGERS, "boolean")),
    *(("String", one) for one in ("string", "boolean", "date", *INTEGERS)),
}


def _fitting(type_name: str) -> FeatureType:
    if type_name in (*INTEGERS, "boolean"):
        return "Integral"
    if type_name in ("double", "float") or type_name.startswith("decimal"):
        return "Fractional"
    return "String"


STEPS: tuple[type[Step], ...] = (SetFeatureTypes,)

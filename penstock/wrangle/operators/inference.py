"""Give text columns types, as Data Wrangler does after every source (facts: wrangler, 4).

Data Wrangler looks at the first rows and lets most of them decide; what then does not fit becomes
null. Our own rule ``exact`` looks at all rows, and gives a type only where every value keeps its
meaning: ``007`` stays text.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, kind
from penstock.wrangle.operators.type_names import SPARK_TYPES, parsed, unlike
from penstock.wrangle.step import Stale, Step

if TYPE_CHECKING:
    from pyspark.sql import Row

#: How instants are written other than in ISO 8601; the first that reads most values is taken. The
#: list is ours: that of Data Wrangler is not published.
PATTERNS = (
    "yyyy/MM/dd HH:mm:ss",
    "yyyy/MM/dd HH:mm",
    "yyyy/MM/dd",
    "MM/dd/yyyy HH:mm:ss",
    "MM/dd/yyyy HH:mm",
    "MM/dd/yyyy",
    "M/d/yyyy H:mm:ss",
    "M/d/yyyy H:mm",
    "M/d/yyyy",
    "M/d/yy H:mm",
    "M/d/yy",
    "dd/MM/yyyy HH:mm:ss",
    "dd/MM/yyyy HH:mm",
    "dd/MM/yyyy",
    "dd-MM-yyyy HH:mm:ss",
    "dd-MM-yyyy",
    "dd.MM.yyyy HH:mm:ss",
    "dd.MM.yyyy",
    "yyyyMMdd HH:mm:ss",
    "yyyyMMdd",
    "d MMM yyyy HH:mm:ss",
    "d MMM yyyy",
    "dd-MMM-yyyy",
    "dd-MMM-yy",
    "MMM d, yyyy",
    "MMMM d, yyyy",
)
_ROWS = {"new": 5000, "old": 1000, "first": 1000}
_ISO_DATE = r"\d{4}-\d{2}-\d{2}"
_TIME = r"[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?"
_NULL_LIKE = re.compile("null|none|nil|na|nan", re.IGNORECASE)
_MOST = 0.8
_USABLE = 0.3
#: More digits than these are not held by a long or a double: 15 of any number, and 17 of one with a
#: fraction, as doubles are written with. A timestamp holds six digits of a second.
_WHOLE = r"^(0|-?[1-9][0-9]{0,17})$"
_DECIMAL = (
    r"^-?((0|[1-9][0-9]{0,14})"
    r"|(?!0\.0*[1-9][0-9]{17})(?![1-9][0-9.]{18})(0|[1-9][0-9]*)\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
)
_EXACT_TIME = _TIME.replace(r"\.\d+", r"\.\d{1,6}")


class Rules(Enum):
    """Which rules decide.

    EXACT: ours. NEW: Data Wrangler since 2021: shares of the values that are not null. OLD: shares
    of all rows. FIRST: as OLD, without instants (facts: wrangler, 4).
    """

    EXACT = "exact"
    NEW = "new"
    OLD = "old"
    FIRST = "first"


def type_columns(frame: DataFrame, types_of: dict[str, str], patterns: dict[str, str]) -> DataFrame:
    """Text as the type named; what does not read as it becomes null, 8.9 as long becomes 8.

    Args:
        frame: Rows.
        types_of: bool, date, datetime, float, long or string, by column.
        patterns: How dates and instants are written, where it is not ISO 8601.
    """
    return frame.select(
        *[
            parsed(at(name), types_of[name], patterns.get(name, "")).alias(name)
            if name in types_of and type_name != SPARK_TYPES[types_of[name]]
            else at(name)
            for name, type_name in frame.dtypes
        ]
    )


class InferTypes(Step):
    """Find the types of text columns and cast them; columns of other types stay as they are.

    Args:
        rules: Which rules decide.
        types: Types by column that are known and not to be found.
    """

    kind: ClassVar[str] = "infer_types"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("infer_and_cast_type", ""),)
    fits: ClassVar[bool] = True

    rules: Rules = Rules.EXACT
    types: Mapping[str, str] = {}

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """There are no parameters."""
        return cls(rules=Rules.NEW)

    def fit(self, frame: DataFrame) -> State:
        """One pass over all rows (exact) or the first ones; a second for how dates are written."""
        lacking = [one for one in self.types if one not in frame.columns]
        if lacking:
            raise UsageError(f"{self.kind}: no column {lacking[0]!r}", _there(frame.columns))
        text = [one for one in frame.columns if kind(frame, one) == "string"]
        open_ones = [one for one in text if one not in self.types]
        found = (
            _exact(frame, open_ones)
            if self.rules is Rules.EXACT
            else _guessed(frame, open_ones, self.rules)
        )
        # Data Wrangler makes an int a long; our own rule leaves what has a type.
        other = _unchanged if self.rules is Rules.EXACT else _name_of
        schema = {
            one: self.types.get(one) or found.get(one) or other(type_name)
            for one, type_name in frame.dtypes
        }
        return {"schema": schema, "patterns": _patterns(frame, schema)}

    def stored(self, trained: Mapping[str, Value], parameters: Mapping[str, Value]) -> State:
        """``schema``; flows made by the SDK hold the mapping itself."""
        schema = trained.get("schema", trained)
        known = isinstance(schema, Mapping) and all(isinstance(one, str) for one in schema.values())
        if not schema or not known:
            raise Stale("no types are stored")
        return {"schema": dict(schema), "patterns": {}}

    def settled(self, state: State, frame: DataFrame) -> State:
        """How dates are written, which is not stored.

        Raises:
            UsageError: The columns are not those of the stored types.
        """
        schema = state["schema"]
        lacking = [one for one in schema if one not in frame.columns]
        new = [one for one in frame.columns if one not in schema]
        if lacking or new:
            said = [f"no column {', '.join(map(repr, lacking))}"] if lacking else []
            said += [f"{', '.join(map(repr, new))} is new"] if new else []
            raise UsageError(
                f"{self.kind}: the columns are not those of the stored types: {'; '.join(said)}",
                "Give the file the flow was made for, or find the types anew with --refit",
            )
        return {"schema": schema, "patterns": _patterns(frame, schema)}

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        wanted = {name: one for name, one in state["schema"].items() if one in SPARK_TYPES}
        return [Call.of(type_columns, types_of=wanted, patterns=state["patterns"])]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Values that do not read as their column's type, and decimals cut to whole numbers."""
        found = {}
        for name, wanted in state["schema"].items():
            if name not in frame.columns or kind(frame, name) != "string":
                continue
            for said, lost in unlike(at(name), wanted, state["patterns"].get(name, "")).items():
                found[f"values of {name} {said}"] = lost
        return found

    def sentence(self) -> str:
        """One sentence."""
        return "Find the types of text columns"


def _there(columns: Sequence[str]) -> str:
    return f"There are: {', '.join(columns)}"


def _name_of(type_name: str) -> str:
    """Data Wrangler's name of a column's type; ``object`` for what it has none for."""
    whole = {"tinyint": "long", "smallint": "long", "int": "long", "bigint": "long"}
    rest = {"double": "float", "boolean": "bool", "timestamp": "datetime", "date": "date"}
    return {**whole, **rest, "float": "float", "string": "string"}.get(type_name, "object")


def _unchanged(type_name: str) -> str:
    return "string" if type_name == "string" else "object"


def _exact(frame: DataFrame, columns: Sequence[str]) -> dict[str, str]:
    """Types that every value has; text where a column has no value."""
    if not columns:
        return {}
    counts = [fn.struct(*_kinds(at(one))).alias(str(n)) for n, one in enumerate(columns)]
    row = frame.agg(*counts).first()
    assert row is not None  # an aggregate without groups is one row
    return {one: _only(row[n]) for n, one in enumerate(columns)}


def _kinds(value: Column) -> list[Column]:
    some = value.isNotNull() & ~value.rlike(r"^\s*$")
    number = value.cast("double")
    finite = number.isNotNull() & ~fn.isnan(number) & (fn.abs(number) < float("inf"))
    tests = {
        "bool": value.rlike("(?i)^(true|false)$"),
        "long": value.rlike(_WHOLE),
        "float": value.rlike(_DECIMAL) & finite,
        "date": value.rlike(f"^{_ISO_DATE}$") & value.cast("date").isNotNull(),
        "datetime": value.rlike(f"^{_ISO_DATE}({_EXACT_TIME})?$")
        & value.cast("timestamp").isNotNull(),
    }
    return [
        fn.count(fn.when(some, 1)).alias("some"),
        *[fn.count(fn.when(some & test, 1)).alias(name) for name, test in tests.items()],
    ]


def _only(counts: Row) -> str:
    names = ("bool", "long", "float", "date", "datetime")
    return next((one for one in names if 0 < counts["some"] == counts[one]), "string")


def _guessed(frame: DataFrame, columns: Sequence[str], rules: Rules) -> dict[str, str]:
    """Data Wrangler's types, from the first rows."""
    if not columns:
        return {}
    rows = frame.select(*[at(one) for one in columns]).limit(_ROWS[rules.value]).collect()
    return {one: guess([row[n] for row in rows], rules) for n, one in enumerate(columns)}


def guess(values: Sequence[str | None], rules: Rules) -> str:
    """Data Wrangler's type of text values: bool, date, datetime, float, long or string."""
    usable = [one for one in values if one is not None and not _NULL_LIKE.match(one)]
    new = rules is Rules.NEW
    if not usable or (new and len(usable) < _USABLE * len(values)):
        return "string"
    counted = len(usable) if new else len(values)
    numbers = [one for one in (_number(text, new=new) for text in usable) if one is not None]
    if len(numbers) > _MOST * counted:
        whole = sum(one.is_integer() for one in numbers)
        return "long" if whole > _MOST * len(numbers) else "float"
    if sum(one.strip().lower() in ("true", "false") for one in usable) > _MOST * counted:
        return "bool"
    dates = [one for one in usable if re.fullmatch(f"{_ISO_DATE}({_TIME})?", one)]
    if len(dates) > _MOST * len(usable):
        timed = any(not re.fullmatch(_ISO_DATE, one) for one in dates)
        return "datetime" if timed and rules is not Rules.FIRST else "string" if timed else "date"
    readable = 0 if rules is Rules.FIRST else _readable(usable)
    return "datetime" if readable > _MOST * len(usable) else "string"


def _number(text: str, *, new: bool) -> float | None:
    """A finite number as Python reads it; 1_000 is one to old builds only."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and not (new and "_" in text) else None


def _readable(values: Sequence[str]) -> int:
    """How many values pandas reads as instants."""
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Before 2.0 each value was read on its own without being asked.
        mixed = "mixed" if int(pd.__version__.split(".")[0]) > 1 else None
        found = pd.to_datetime(pd.Series(values), errors="coerce", format=mixed, utc=True)
    return int(found.notna().sum())


def _patterns(frame: DataFrame, schema: Mapping[str, str]) -> dict[str, str]:
    """How dates and instants in text are written, from the first rows; ISO 8601 is left out."""
    wanted = [
        one
        for one in frame.columns
        if schema.get(one) in ("date", "datetime") and kind(frame, one) == "string"
    ]
    if not wanted:
        return {}
    tried = ("", *PATTERNS)
    read = [
        fn.count(parsed(at(name), schema[name], one)).alias(f"{n}_{m}")
        for n, name in enumerate(wanted)
        for m, one in enumerate(tried)
    ]
    row = frame.select(*[at(one) for one in wanted]).limit(_ROWS["new"]).agg(*read).first()
    assert row is not None  # an aggregate without groups is one row
    patterns = {}
    for n, name in enumerate(wanted):
        counts = [row[f"{n}_{m}"] for m in range(len(tried))]
        patterns[name] = tried[counts.index(max(counts))]
    return {name: one for name, one in patterns.items() if one}


STEPS: tuple[type[Step], ...] = (InferTypes,)

"""What a person can do something about: findings, gravest first, each with what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from penstock.profiling.summary import ColumnSummary, of_kind
from penstock.profiling.target import Power

Gravity = Literal["high", "medium", "low"]
_ORDER: tuple[Gravity, ...] = ("high", "medium", "low")
_LEAK, _STRONG = 0.98, 0.9
_MUCH, _SOME = 0.5, 0.05
_MANY_OF_ONE = 0.2
_CLOSE = 0.95
_INFLATED = 10.0
#: Rows an outlier is told from: median ± 5 deviations of the values between the 5 % and the 95 %
#: quantile (facts: wrangler, 1.3, Insights report); here by the quantiles of all rows.
_FAR = 5.0
_FLAG = 2  # values of a flag


@dataclass(frozen=True)
class Finding:
    """One finding.

    Args:
        gravity: How much it matters.
        about: Column, or columns, or the rows.
        text: What was found.
        remedy: What to do, an operator of flows where there is one.
    """

    gravity: Gravity
    about: str
    text: str
    remedy: str


@dataclass(frozen=True)
class Evidence:
    """What findings are drawn from.

    Args:
        rows: All rows.
        duplicates: Rows that are there already, in every column.
        columns: Summaries.
        pairs: Numbers that go together: names and Pearson's correlation.
        inflation: Variance inflation by number.
        powers: What each column says of the target; empty without one.
        target: The target; None without one.
    """

    rows: int
    duplicates: int
    columns: Sequence[ColumnSummary]
    pairs: Sequence[tuple[str, str, float]]
    inflation: dict[str, float]
    powers: Sequence[Power] = ()
    target: ColumnSummary | None = None


def findings(evidence: Evidence) -> list[Finding]:
    """All of them, gravest first; else in the order of the columns."""
    found = [
        *_of_rows(evidence),
        *_of_target(evidence),
        *(finding for one in evidence.columns for finding in _of_column(one)),
        *_of_pairs(evidence),
    ]
    return sorted(found, key=lambda one: _ORDER.index(one.gravity))


def _of_rows(evidence: Evidence) -> Iterator[Finding]:
    if not evidence.rows:
        yield Finding("high", "rows", "there are none", "Check the source's path and filters")
    elif evidence.duplicates:
        share = evidence.duplicates / evidence.rows
        yield Finding(
            "medium" if share > _SOME else "low",
            "rows",
            f"{evidence.duplicates:,} ({share:.1%}) are there already, in every column",
            "drop_duplicates, or find out why the source repeats them",
        )


def _of_target(evidence: Evidence) -> Iterator[Finding]:
    target = evidence.target
    if target is None:
        return
    if target.missing:
        text = f"the target is missing in {target.missing:,} rows"
        yield Finding("medium", target.name, text, "drop_missing")
    for one in evidence.powers:
        if one.score >= _LEAK:
            text = f"tells the target almost wholly ({one.score:.2f})"
            remedy = "Ask whether it is known before the outcome; drop_columns if not"
            yield Finding("high", one.column, text, remedy)
        elif one.score >= _STRONG:
            text = f"tells much of the target ({one.score:.2f})"
            yield Finding("medium", one.column, text, "Ask whether it is known before the outcome")


def _of_column(one: ColumnSummary) -> Iterator[Finding]:
    if not one.rows:
        return
    yield from _of_gaps(one)
    if one.constant:
        yield Finding("low", one.name, "has one value alone", "drop_columns: it says nothing")
    if one.kind == "text":
        yield from _of_text(one)
    if one.kind == "number":
        yield from _of_number(one)


def _of_gaps(one: ColumnSummary) -> Iterator[Finding]:
    share = one.missing / one.rows
    if share == 1:
        yield Finding("medium", one.name, "is empty", "drop_columns")
    elif share > _MUCH:
        text = f"is missing in {share:.0%} of the rows"
        yield Finding("medium", one.name, text, "drop_columns, or an indicator of what is missing")
    elif share > _SOME:
        yield Finding("low", one.name, f"is missing in {share:.0%} of the rows", "impute or fill")
    if one.null_like:
        text = f"{one.null_like:,} values say 'NA', 'none' or the like"
        yield Finding("low", one.name, text, "Turn them into missing values first")


def _of_text(one: ColumnSummary) -> Iterator[Finding]:
    if one.there and one.numeric_text == one.there:
        yield Finding("low", one.name, "is text, but all of it numbers", "cast it to a number")
    elif one.numeric_text > one.there * (1 - _SOME):
        text = f"is text; all but {one.there - one.numeric_text:,} values are numbers"
        yield Finding("medium", one.name, text, "Look at the others, then cast it to a number")
    elif one.there > 100 and one.distinct > one.there * _CLOSE:  # noqa: PLR2004 - few rows differ anyway
        text = f"has about {one.distinct:,} different values in {one.there:,} rows"
        yield Finding("low", one.name, text, "An identifier, or text: no category to encode")


def _of_number(one: ColumnSummary) -> Iterator[Finding]:
    if one.infinite:
        text = f"{one.infinite:,} values are infinite"
        yield Finding("medium", one.name, text, "Feature Store takes finite numbers alone")
    if not one.quantiles or one.minimum is None or one.maximum is None:
        return
    low, _, middle, _, high = one.quantiles
    spread = (high - low) / 2
    far = max(one.maximum - middle, middle - one.minimum)
    if spread > 0 and far > 2 * _FAR * spread:
        text = f"is {one.minimum:g} to {one.maximum:g}, but 90 % of it {low:g} to {high:g}"
        yield Finding("low", one.name, text, "handle outliers, or a robust scaler")
    if one.zeros > one.there * (1 - _MANY_OF_ONE) and one.distinct > _FLAG:
        text = f"is 0 in {one.zeros / one.there:.0%} of its rows"
        yield Finding("low", one.name, text, "Ask whether 0 stands for missing")


def _of_pairs(evidence: Evidence) -> Iterator[Finding]:
    for a, b, value in evidence.pairs:
        if abs(value) >= _CLOSE:
            text = f"say the same (correlation {value:+.2f})"
            yield Finding("low", f"{a}, {b}", text, "One of them is enough for a linear model")
    for name, value in evidence.inflation.items():
        if value >= _INFLATED:
            text = f"follows from the other numbers (variance inflation {value:.0f})"
            yield Finding("low", name, text, "Leave it out of a linear model")


def duplicated(evidence: Evidence) -> str:
    """How many rows are there already, in words."""
    if not evidence.rows:
        return "no rows"
    return f"{evidence.duplicates:,} ({evidence.duplicates / evidence.rows:.1%})"


def numbers(columns: Sequence[ColumnSummary]) -> list[ColumnSummary]:
    """Numbers that vary."""
    return [one for one in of_kind(columns, "number") if one.there and not one.constant]

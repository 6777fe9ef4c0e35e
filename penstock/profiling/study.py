"""Everything a profile knows, computed once; the page only draws it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.profiling import relations, series, target
from penstock.profiling.finding import Evidence, Finding, findings, numbers
from penstock.profiling.series import Decomposed
from penstock.profiling.summary import ColumnSummary, kind_of, of_kind, summarized
from penstock.profiling.target import Model
from penstock.wrangle.columns import at

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import Column, DataFrame

#: Rows that pairs, models and series look at (Data Wrangler's analyses: as many).
MOST_SAMPLED = 100_000
_SEED = 42
#: Columns in one heat map; more are no picture.
MOST_RELATED = 20
_MOST_SERIES = 4


@dataclass(frozen=True)
class Asked:
    """What to look at.

    Args:
        target: Column that others are to tell; empty for none.
        time: Column of time, for series; empty for the only one, if there is one.
    """

    target: str = ""
    time: str = ""


@dataclass(frozen=True)
class Study:
    """A data set, studied.

    Args:
        evidence: Counts and summaries of all rows.
        sample: Rows that the rest is of.
        findings: What a person can do something about.
        related: Numbers of the matrices, in order.
        pearson: Their linear correlation.
        spearman: Their correlation of ranks.
        categories: Categories of the matrix of Cramér's V.
        cramer: Its values.
        components: Shares of variance by principal component.
        lasso: Coefficients of numbers for the target.
        model: The quick model.
        series: Numbers over time, taken apart.
    """

    evidence: Evidence
    sample: pd.DataFrame
    findings: tuple[Finding, ...]
    related: tuple[str, ...]
    pearson: list[list[float | None]]
    spearman: list[list[float | None]]
    categories: tuple[str, ...]
    cramer: list[list[float | None]]
    components: list[float]
    lasso: list[tuple[str, float]]
    model: Model | None
    series: tuple[Decomposed, ...]


def studied(frame: DataFrame, asked: Asked, say: Callable[[str], None] = lambda _: None) -> Study:
    """Study a frame; it is computed several times, so cache what is dear.

    Raises:
        UsageError: A column that is asked for is not there.
    """
    for role, name in (("target", asked.target), ("time", asked.time)):
        if name and name not in frame.columns:
            known = ", ".join(frame.columns)
            raise UsageError(f"{role}: there is no column {name!r}", f"There are: {known}")
    say("counting")
    rows, columns = summarized(frame)
    duplicates = rows - _different(frame) if rows else 0
    say("sampling")
    sample = sampled(frame, rows)
    wanted = next((one for one in columns if one.name == asked.target), None)
    varying = numbers(columns)
    related = [one.name for one in varying[:MOST_RELATED]]
    linear = relations.pearson(sample, related)
    say("looking at relations")
    evidence = Evidence(
        rows,
        duplicates,
        columns,
        _pairs(related, linear),
        relations.inflation(sample, related),
        target.powers(sample, wanted, columns) if wanted and rows else (),
        wanted,
    )
    categories = _categories(columns)
    say("learning a quick model" if wanted else "looking at series")
    spark = frame.sparkSession
    return Study(
        evidence,
        sample,
        tuple(findings(evidence)),
        tuple(related),
        linear,
        relations.spearman(sample, related),
        tuple(categories),
        relations.cramer(sample, categories),
        relations.components(sample, related),
        target.lasso(spark, sample, wanted, varying) if wanted and rows else [],
        target.quick_model(spark, sample, wanted, columns) if wanted and rows else None,
        _series(sample, columns, asked, related),
    )


def sampled(frame: DataFrame, rows: int) -> pd.DataFrame:
    """All rows, or about :data:`MOST_SAMPLED` of them, each as likely as any other."""
    # Columns of one value a row: others are counted, and not looked into.
    chosen = frame.select(*[at(one) for one, type_ in frame.dtypes if kind_of(type_) != "other"])
    if rows > MOST_SAMPLED:
        share = min(1.0, 1.02 * MOST_SAMPLED / rows)
        chosen = chosen.sample(fraction=share, seed=_SEED).limit(MOST_SAMPLED)
    return chosen.select(*[_as_pandas(name, kind) for name, kind in chosen.dtypes]).toPandas()


def _as_pandas(name: str, kind: str) -> Column:
    """A column as pandas takes it: its instants end in 2262, so those of 9999 are none there."""
    value = at(name)
    if kind.startswith("decimal"):
        value = value.cast("double")
    elif kind.startswith("timestamp"):
        first, last = (fn.lit(f"{year}-01-01").cast(kind) for year in (1678, 2262))
        value = fn.when((value >= first) & (value < last), value)
    return value.alias(name)


def _different(frame: DataFrame) -> int:
    """Different rows, by a hash of 64 bits: off in one of 37 million sets of a million rows."""
    simple = [
        at(name) if not kind.startswith(("map", "vector")) else at(name).cast("string")
        for name, kind in frame.dtypes
    ]
    row = frame.select(fn.xxhash64(*simple).alias("h")).agg(fn.count_distinct("h")).first()
    return int(row[0]) if row is not None else 0


def _pairs(
    names: Sequence[str], matrix: Sequence[Sequence[float | None]]
) -> list[tuple[str, str, float]]:
    return [
        (a, b, value)
        for i, a in enumerate(names)
        for j, b in enumerate(names[:i])
        for value in [matrix[i][j]]
        if value is not None
    ]


def _categories(columns: Sequence[ColumnSummary]) -> list[str]:
    found = of_kind(columns, "text", "boolean")
    few = [one.name for one in found if 2 <= one.distinct <= relations.MOST_CATEGORIES]  # noqa: PLR2004 - what varies
    return few[:MOST_RELATED]


def _series(
    sample: pd.DataFrame,
    columns: Sequence[ColumnSummary],
    asked: Asked,
    related: Sequence[str],
) -> tuple[Decomposed, ...]:
    times = [one.name for one in of_kind(columns, "time")]
    time = asked.time or (times[0] if len(times) == 1 else "")
    if not time:
        return ()
    named = [one for one in related if one != time][:_MOST_SERIES]
    made = (series.decomposed(sample, time, one) for one in named)
    return tuple(one for one in made if one is not None)

"""Staged rows beside an offline table: new, present, late, correcting, beyond correction.

One small table holds every case; a row is (identifier, day, level, unit).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from penstock.contract import Feature, FeatureGroup, FeatureType
from penstock.offline.comparison import Comparison, Differences, Means

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

GROUP = FeatureGroup(
    name="readings",
    record_identifier="sensor",
    event_time="at",
    features=(
        Feature("sensor", FeatureType.STRING),
        Feature("at", FeatureType.STRING),
        Feature("wind-level", FeatureType.INTEGRAL),
        Feature("unit", FeatureType.STRING),
    ),
    deleted_when="gone",
)
COLUMNS = "sensor string, at string, `wind-level` bigint, unit string, "
STORED = COLUMNS + "api_invocation_time timestamp, write_time timestamp, is_deleted boolean"
DAY = "2024-01-0{}T00:00:00Z".format


def at(minute: int) -> datetime:
    """An instant of writing."""
    return datetime(2024, 2, 1, 0, minute, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def table(spark: SparkSession) -> Comparison:
    """A history: a plain record, one corrected twice, one deleted, one that tied, one alone."""
    rows = [
        ("plain", DAY(1), 1, "m", at(0), at(0), False),
        ("plain", DAY(2), 2, "m", at(0), at(0), False),
        ("fixed", DAY(2), 1, "m", at(0), at(0), False),
        ("fixed", DAY(2), 2, "m", at(1), at(1), False),
        ("fixed", DAY(2), 3, "m", at(2), at(2), False),
        ("gone", DAY(1), 1, "m", at(0), at(0), False),
        ("gone", DAY(2), None, None, at(0), at(0), True),
        ("tied", DAY(2), 5, "m", at(1), at(1), False),
        ("tied", DAY(2), 4, "m", at(0), at(1), False),
        ("bare", DAY(2), None, None, at(0), at(0), False),
    ]
    return Comparison(spark.createDataFrame(rows, STORED), GROUP)


def staged(spark: SparkSession, *rows: tuple[Any, ...]) -> DataFrame:
    """Staged rows: identifier, day, level, unit, then deleted and tie where they are given."""
    full = [(*row, *(False, 0)[len(row) - 4 :]) for row in rows]
    dated = [(one[0], DAY(one[1]), *one[2:]) for one in full]
    return spark.createDataFrame(dated, COLUMNS + "_deleted boolean, _tie int")


def test_a_row_is_present_where_it_is_the_current_one(
    spark: SparkSession, table: Comparison
) -> None:
    """A value that was corrected away is new again; a row that lost a tie may be any version."""
    rows = staged(
        spark,
        ("plain", 1, 1, "m"),
        ("plain", 2, 9, "m"),
        ("fixed", 2, 3, "m"),
        ("fixed", 2, 1, "m"),  # was so once
        ("gone", 2, None, None, True),
        ("gone", 2, None, None, False),  # the same but for the deletion
        ("tied", 2, 4, "m", False, 1),
        ("tied", 2, 3, "m", False, 1),
        ("bare", 2, None, None),
        ("other", 1, 1, "m"),
    )
    names = ("sensor", "at", "wind-level", "_deleted", "_tie")
    present = {tuple(row[one] for one in names) for row in table.present(rows).collect()}
    fresh = {tuple(row[one] for one in names) for row in table.fresh(rows).collect()}
    assert present == {
        ("plain", DAY(1), 1, False, 0),
        ("fixed", DAY(2), 3, False, 0),
        ("gone", DAY(2), None, True, 0),
        ("tied", DAY(2), 4, False, 1),
        ("bare", DAY(2), None, False, 0),
    }
    assert len(fresh) == 5
    assert not present & fresh


@pytest.mark.shows("4.3")
def test_what_differs_is_counted_by_what_can_be_done(
    spark: SparkSession, table: Comparison
) -> None:
    """Every identifier has one reason; rows that are equal or new have none."""
    latest = staged(
        spark,
        ("plain", 1, 9, "m"),  # a newer event is there
        ("fixed", 2, 1, "m"),  # back to what it was once
        ("gone", 2, 1, "m"),  # alive at the time of its deletion
        ("tied", 2, 5, "m"),  # as it is
        ("bare", 2, 7, "m"),  # null to a value
        ("other", 2, 1, "m"),
    )
    assert table.differences(latest, None) == Differences(fit=2, historic=1, deleted=1)
    assert table.differences(
        staged(spark, ("plain", 2, 2, None), ("fixed", 2, None, None, True)), None
    ) == Differences(nulled=1, deleted=1)
    rows = staged(
        spark, ("tied", 2, 5, "m"), ("tied", 2, 3, "m", False, 1), ("new", 2, 1, "m", False, 1)
    )
    found = table.differences(staged(spark, ("tied", 2, 5, "m"), ("new", 2, 2, "m")), rows)
    assert found == Differences(tied=1)
    assert (found.total, found.stuck) == (1, 1)


def test_an_update_holds_a_hundred_features(spark: SparkSession) -> None:
    """Event time and 99 others are a hundred; nulls are not sent and do not count."""
    names = [f"f{n}" for n in range(100)]
    wide = replace(
        GROUP, features=(*GROUP.features[:2], *(Feature(one, FeatureType.STRING) for one in names))
    )
    columns = "sensor string, at string, " + ", ".join(f"{one} string" for one in names)
    more = ", api_invocation_time timestamp, write_time timestamp, is_deleted boolean"
    old = [(one, DAY(1), *["x"] * 99, None, at(0), at(0), False) for one in ("hundred", "one-more")]
    new = [
        ("hundred", DAY(1), *["y"] * 99, None),
        ("one-more", DAY(1), *["y"] * 100),
    ]
    table = Comparison(spark.createDataFrame(old, columns + more), wide)
    found = table.differences(spark.createDataFrame(new, columns), None)
    assert found == Differences(fit=1, wide=1)


@pytest.mark.shows("4.3")
def test_candidates_are_judged(spark: SparkSession, table: Comparison) -> None:
    """Older where any newer event is there, a deletion too; correcting where it can be."""
    latest = staged(
        spark,
        ("plain", 1, 1, "m"),
        ("fixed", 2, 9, "m"),
        ("gone", 1, 1, "m"),
        ("tied", 2, 5, "m"),
        ("bare", 3, 1, "m"),
        ("other", 1, 1, "m"),
    )
    rows = table.judged(latest, guard=True, correct="update").collect()
    assert not any(row["_replaced"] for row in rows)
    assert {row["sensor"]: (row["_older"], row["_correct"]) for row in rows} == {
        "plain": (True, False),
        "fixed": (False, True),
        "gone": (True, False),
        "tied": (False, False),
        "bare": (False, False),
        "other": (False, False),
    }
    unguarded = table.judged(latest, guard=False, correct=None).collect()
    assert not any(row["_older"] or row["_correct"] or row["_replaced"] for row in unguarded)
    assert len(unguarded) == len(rows)


@pytest.mark.shows("5.5")
@pytest.mark.parametrize(
    ("means", "corrected", "replaced"),
    [
        ("update", {"fixed"}, set()),
        ("both", {"fixed"}, {"plain", "gone"}),
        ("replace", set(), {"fixed", "plain", "gone"}),
    ],
)
def test_what_no_update_corrects_is_replaced(
    spark: SparkSession, table: Comparison, means: Means, corrected: set[str], replaced: set[str]
) -> None:
    """A value that becomes null, a deletion that was none; never what has a newer event."""
    latest = staged(
        spark,
        ("plain", 2, 2, None),  # becomes null
        ("fixed", 2, 9, "m"),
        ("gone", 2, 1, "m"),  # is deleted at this time
        ("tied", 2, 5, "m"),  # is there
        ("bare", 3, 1, "m"),  # is new
    )
    rows = table.judged(latest, guard=False, correct=means).collect()
    assert {row["sensor"] for row in rows if row["_correct"]} == corrected
    assert {row["sensor"] for row in rows if row["_replaced"]} == replaced
    historic = table.judged(staged(spark, ("plain", 1, 9, "m")), guard=False, correct=means)
    assert [(row["_correct"], row["_replaced"]) for row in historic.collect()] == [(False, False)]

"""The arms of ``make bench-join`` answer the same question before anybody compares their speed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.join import report
from bench.join.arms import SPARK, answer, runner
from bench.join.data import Case, make

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.shows("6.2")
@pytest.mark.parametrize("skewed", [False, pytest.param(True, marks=pytest.mark.prove)])
def test_all_arms_but_one_answer_alike(spark: SparkSession, tmp_path: Path, skewed: bool) -> None:
    """One row a label, some without features; the SDK's text has more rows than labels."""
    case = Case(tmp_path, 4_000, skewed)
    make(case)
    runner("duckdb")(case, tmp_path / "duckdb")
    right = answer(tmp_path / "duckdb")
    assert right["rows"] == case.asked >= right["with_features"] > 0
    assert skewed or right["with_features"] < case.asked
    labels, events = spark.read.parquet(case.labels), spark.read.parquet(case.events)
    for arm, act in SPARK.items():
        act(labels, events).write.parquet(str(tmp_path / arm))
        found = answer(tmp_path / arm)
        assert (found == right) is (arm != "sdk"), arm
        assert (found["rows"] > case.asked) is (arm == "sdk"), arm


def test_a_wrong_answer_a_miss_and_what_was_not_measured_are_said() -> None:
    """Nothing is written where arms disagree; a time-out is a lower bound."""

    def sizes(*walls: float | None, total: int = 7) -> dict[str, Any]:
        return {
            size: {"timed_out_s": 60.0}
            if wall is None
            else {"wall_s": wall, "cpu_s": 2 * wall, "answer": {"rows": 1, "sum": total}}
            for size, wall in zip(("10^6", "10^7"), walls, strict=True)
        }

    arms = {
        "penstock": sizes(1.0, 13.0),
        "penstock_skewed": sizes(1.0, 20.0, total=8),
        "duckdb": sizes(0.2, 2.0),
        "feast": sizes(5.0, None),
    }
    made: dict[str, Any] = {"arms": arms}
    assert report.disagreements(made) == []
    assert [(one["value"], one["hit"]) for one in report.targets(made)] == [
        (13.0, False),
        (4.62, True),
        (6.5, True),
        (1.54, True),
    ]
    arms["duckdb"] = sizes(0.2, 2.0, total=9)
    assert len(report.disagreements(made)) == 2
    del arms["duckdb"]
    assert report.targets(made)[2]["hit"] is None

"""Two labels in a given ratio (facts: wrangler, 4, 'Balance')."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.operators.balance import Balance
from penstock.wrangle.operators.smote import Smote
from tests.wrangling import applied, frame, lost, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def _rows(spark: SparkSession) -> DataFrame:
    """Five of x, forty of y, and one without a label; all of y are two rows twenty times."""
    rows: list[tuple[Any, ...]] = [("x", n, float(n * n), f"x{n}") for n in range(5)]
    rows += [("y", n % 2, 0.5, None) for n in range(40)]
    return frame(spark, "label string, n long, `d.d` double, s string", *rows, (None, 1, 1.0, "z"))


def _labels(rows: DataFrame) -> Counter[Any]:
    return Counter(one["label"] for one in rows.select("label").collect())


@pytest.mark.shows("8.1")
def test_as_many_rows_as_the_ratio_says(spark: SparkSession) -> None:
    """Own rule: rows equal in all values are told apart, and partitions do not matter."""
    rows = _rows(spark)
    found = applied(Balance(target="label", method="undersample", ratio=0.5), rows)
    assert found.dtypes == rows.dtypes
    assert _labels(found) == {"x": 5, "y": 10, None: 1}
    kept = Counter(tuple(one) for one in found.collect())
    assert {one[1] for one in kept if one[0] == "y"} == {0, 1}
    again = applied(
        Balance(target="label", method="undersample", ratio=0.5), rows.repartition(3, "n")
    )
    assert Counter(tuple(one) for one in again.collect()) == kept
    other = applied(Balance(target="label", method="undersample", ratio=0.5, seed=1), rows)
    assert Counter(tuple(one) for one in other.collect()) != kept
    more = applied(Balance(target="label", ratio=0.3), rows)
    assert _labels(more) == {"x": 12, "y": 40, None: 1}
    times = Counter(one["s"] for one in more.where("label = 'x'").collect())
    assert sorted(times.values()) == [2, 2, 2, 3, 3]


@pytest.mark.shows("8.1")
def test_new_rows_lie_between_neighbours(spark: SparkSession) -> None:
    """Source: the definition of SMOTE (docs, 'SMOTE'): on the line to one of the two nearest."""
    rows = _rows(spark).where("label is not null")
    step = Smote(target="label", neighbors=2)
    found = applied(step, rows)
    assert found.dtypes == [
        ("label", "string"),
        ("n", "float"),
        ("d.d", "float"),
        ("s", "string"),
    ]
    assert _labels(found) == {"x": 40, "y": 40}
    old = np.array([(n, n * n) for n in range(5)], dtype=float)
    squares = ((old[:, None] - old) ** 2).sum(axis=2)
    lines = [(n, other) for n in range(5) for other in np.argsort(squares[n])[1:3]]
    made = found.where("label = 'x'").collect()
    assert len({one["n"] for one in made}) > 20
    for one in made:
        point = np.array([one["n"], one["d.d"]])
        on = [(a, b) for a, b in lines if _between(old[a], old[b], point)]
        assert on
        assert one["s"] in {f"x{end}" for pair in on for end in pair}
    assert Counter(map(tuple, applied(step, rows.repartition(3, "n")).collect())) == Counter(
        map(tuple, found.collect())
    )


def _between(one: Any, other: Any, point: Any) -> bool:
    """Whether a point is on a line, to the digits of a float."""
    along = (point - one) @ (other - one) / ((other - one) ** 2).sum()
    away = np.abs(one + along * (other - one) - point).max()
    return bool(away < 1e-4 and -1e-6 <= along <= 1 + 1e-6)


@pytest.mark.shows("8.1")
def test_types_are_kept_where_it_is_told_to(spark: SparkSession) -> None:
    """Own setting. Without it whole numbers lose digits, which is counted."""
    rows = _rows(spark).where("label is not null").withColumn("n", fn.col("n") + 2**24)
    found = applied(Smote(target="label", ratio=0.5, normalize=True, keep_types=True), rows)
    assert found.dtypes == rows.dtypes
    assert _labels(found) == {"x": 20, "y": 40}
    assert all(2**24 <= one["n"] <= 2**24 + 4 for one in found.where("label = 'x'").collect())
    step = Smote(target="label")
    text = "whole numbers of n change, as a float has 24 bits for their digits"
    assert lost(step, rows, {"numbers": {"n": "float", "d.d": "float"}}) == {text: 22}
    assert "keep them out of feature groups" in step.cautions()[0]


@pytest.mark.shows("8.1")
def test_as_flows_say_it() -> None:
    """Public flows 09 and 26: the settings stand beside the choice."""
    own: dict[str, Any] = {"ratio": 1, "target_column": "t", "smote_params": {"num_neighbors": 5}}
    assert step_of("balance_data", operator="Random oversample", **own) == Balance(target="t")
    assert step_of("balance_data", operator="Random undersample", **own) == Balance(
        target="t", method="undersample"
    )
    assert step_of("balance_data", operator="SMOTE", **own) == Smote(target="t")


@pytest.mark.shows("8.1")
def test_what_cannot_be_balanced(spark: SparkSession) -> None:
    """Each says what is wrong in a line."""
    rows = _rows(spark)
    with pytest.raises(UsageError, match="balance: no column 'z'"):
        applied(Balance(target="z"), rows)
    with pytest.raises(UsageError, match="label has 0 labels; exactly two"):
        applied(Balance(target="label"), rows.limit(0))
    with pytest.raises(
        UsageError, match=r"5 rows of 'x' by 40 of 'y' are a ratio of 0\.125 already"
    ):
        applied(Balance(target="label", ratio=0.1), rows)
    gap = frame(spark, "label string, n long", *[("y", 1)] * 5, ("x", None), ("x", 2))
    with pytest.raises(UsageError, match="smote: values of n are missing or infinite"):
        applied(Smote(target="label"), gap)
    with pytest.raises(UsageError, match="smote: there is no column of numbers beside label"):
        applied(Smote(target="label"), rows.select("label", "s"))
    with pytest.raises(UsageError, match="smote: 1 rows of 'x'; 2 to 100000 can be compared"):
        applied(
            Smote(target="label"), frame(spark, "label string, n int", ("x", 1), *[("y", 2)] * 2)
        )
    assert table(rows.limit(0))[1] == []

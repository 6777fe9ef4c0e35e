"""Drop, duplicate, rename, move and concatenate columns (facts: wrangler, 1.2 and 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from penstock.errors import UsageError
from penstock.wrangle.operators.column_set import (
    ConcatenateColumns,
    DropColumns,
    DuplicateColumn,
    MoveColumns,
    Place,
    RenameColumns,
)
from penstock.wrangle.step import Step
from tests.wrangling import applied, frame, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.shows("8.1")
def test_names_and_places(spark: SparkSession) -> None:
    """Source: public flows 01, 10, 14 and 20, and facts: wrangler, 4, 'Move' and 'Rename'."""
    rows = frame(spark, "a int, `b.c` int, `d ``e` int, f int", (1, 2, 3, 4))

    def names(**parameters: Any) -> list[str]:
        return applied(step_of("manage_columns", **parameters), rows).columns

    drop = {"column_to_drop": "b.c"}
    assert names(operator="Drop column", drop_column_parameters=drop) == ["a", "d `e", "f"]
    both = {"column_to_drop": ["f", "a"]}
    assert names(operator="Drop column", drop_column_parameters=both) == ["b.c", "d `e"]
    rename = {"input_column": "d `e", "new_name": "x"}
    assert names(operator="Rename column", rename_column_parameters=rename) == [
        "a",
        "b.c",
        "x",
        "f",
    ]
    start: dict[str, Any] = {
        "move_type": "Move to start",
        "move_to_start_parameters": {"column_to_move": "f"},
    }
    found = names(operator="Move column", move_column_parameters=start, drop_column_parameters={})
    assert found == ["f", "a", "b.c", "d `e"]

    def moved(**settings: Any) -> list[str]:
        return applied(MoveColumns(**settings), rows).columns

    two = ("f", "a")  # their order in the frame is kept, and the place counts without them
    assert moved(columns=two, to="end") == ["b.c", "d `e", "a", "f"]
    assert moved(columns=two, to="index", index=1) == ["b.c", "a", "f", "d `e"]
    assert moved(columns=two, to="before", target="d `e") == ["b.c", "a", "f", "d `e"]
    assert moved(columns=two, to="after", target="d `e") == ["b.c", "d `e", "a", "f"]
    with pytest.raises(UsageError, match=r"no column 'no\.such'"):
        applied(DropColumns(columns=("a", "no.such")), rows)
    with pytest.raises(ValueError, match="not moved itself"):
        MoveColumns(columns=("a",), to=Place.BEFORE, target="a")


@pytest.mark.shows("8.1")
def test_capitals_do_not_make_another_column(spark: SparkSession) -> None:
    """Spark finds ``Age`` by ``age``, so a frame with both could be read no more.

    Source: ``DataFrame.withColumn``, which puts the new in the place of the old. A step that reads
    a column must name it as it is: else it would seem to run and change nothing.
    """
    rows = frame(spark, "Age int, b int", (1, 2))
    found = applied(ConcatenateColumns(columns=("Age", "b"), output="age"), rows)
    assert table(found) == (["age string", "b int"], [("1_2", 2)])
    assert found.select("AGE").collect()[0][0] == "1_2"
    wrong: tuple[Step, ...] = (
        DropColumns(columns=("age",)),
        RenameColumns(columns={"age": "years"}),
        MoveColumns(columns=("b",), to=Place.BEFORE, target="age"),
        DuplicateColumn(column="age", output="c"),
    )
    for step in wrong:
        with pytest.raises(UsageError, match=r"no column 'age'\. There are: Age, b"):
            applied(step, rows)


@pytest.mark.shows("8.1")
def test_copies_and_joins(spark: SparkSession) -> None:
    """Source: facts: wrangler, 4: ``concat_ws`` skips nulls, and with them the delimiter."""
    rows = frame(spark, "a string, b int", ("x", 1), (None, 2), ("y", None), (None, None))
    step = ConcatenateColumns(columns=("a", "b"), output="c")
    assert table(applied(step, rows)) == (
        ["a string", "b int", "c string"],
        [("x", 1, "x_1"), (None, 2, "2"), ("y", None, "y"), (None, None, "")],
    )
    assert step.cautions()
    block = {"input_column": "b", "new_name": "b2"}
    twice = step_of(
        "manage_columns", operator="Duplicate column", duplicate_column_parameters=block
    )
    assert table(applied(twice, rows))[1][0] == ("x", 1, 1)

"""Joins and concatenations (facts: wrangler, 4, 'Join' and 'Concatenate')."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from penstock.errors import UsageError
from penstock.wrangle.operators.concatenating import Along, ConcatenateDatasets
from penstock.wrangle.operators.joining import How, Join, unlike_names
from tests.wrangling import applied, frame, run_of, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_COLUMNS = ["id_0 int", "a.b string", "id_1 int", "c d double"]
_BOTH = (2, "two", 2, 2.0)
_TWICE = (2, "two", 2, 2.5)
_LEFT = [(1, "one", None, None), (None, "none", None, None)]
_RIGHT = [(None, None, 3, 3.0), (None, None, None, 0.5)]


def _two(spark: SparkSession) -> tuple[DataFrame, DataFrame]:
    left = frame(spark, "id int, `a.b` string", (1, "one"), (2, "two"), (None, "none"))
    right = frame(spark, "id int, `c d` double", (2, 2.0), (2, 2.5), (3, 3.0), (None, 0.5))
    return left, right


def _sorted(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=repr)


@pytest.mark.shows("8.1")
@pytest.mark.parametrize(
    ("how", "rows"),
    [
        ("inner", [_BOTH, _TWICE]),
        ("left", [_BOTH, _TWICE, *_LEFT]),
        ("right", [_BOTH, _TWICE, *_RIGHT]),
        ("full", [_BOTH, _TWICE, *_LEFT, *_RIGHT]),
    ],
)
def test_null_keys_never_match(spark: SparkSession, how: str, rows: list[Any]) -> None:
    """Source: facts 4: null keys never match, both key columns are kept and numbered."""
    columns, found = table(applied(Join(left=("id",), how=How(how)), *_two(spark)))
    assert columns == _COLUMNS
    assert _sorted(found) == _sorted(rows)


@pytest.mark.shows("8.1")
def test_joins_that_keep_the_left_alone(spark: SparkSession) -> None:
    """Source: facts 4: left_semi gives every matching left row; left_anti the others."""
    left, right = _two(spark)
    twice = left.union(left)
    columns, semi = table(applied(Join(left=("id",), how=How.SEMI), twice, right))
    assert (columns, semi) == (["id int", "a.b string"], [(2, "two"), (2, "two")])
    columns, anti = table(applied(Join(left=("id",), how=How.ANTI), left, right))
    assert columns == ["id int", "a.b string"]
    assert _sorted(anti) == [(1, "one"), (None, "none")]
    assert applied(Join(how=How.CROSS), left, right).count() == 12


@pytest.mark.shows("8.1")
def test_a_frame_joined_with_itself_by_two_keys(spark: SparkSession) -> None:
    """Names that differ by case alone are twice the same (facts 4); own rule: keys of two names."""
    rows = frame(spark, "a int, b int, c string", (1, 2, "x"), (2, 1, "y"))
    other = rows.toDF("a", "B", "C")
    found = applied(Join(left=("a", "b"), right=("B", "a")), rows, other)
    columns, values = table(found)
    assert (columns, _sorted(values)) == (
        ["a_0 int", "b_0 int", "c_0 string", "a_1 int", "B_1 int", "C_1 string"],
        [(1, 2, "x", 2, 1, "y"), (2, 1, "y", 1, 2, "x")],
    )
    assert applied(Join(left=("a",)), rows, rows).count() == 2


@pytest.mark.shows("8.1")
def test_numbered_names() -> None:
    """Source: facts 4: every duplicate, in order, case-insensitive; _dup until it is unique."""
    assert unlike_names(["a", "b", "A", "c"]) == ["a_0", "b", "A_1", "c"]
    assert unlike_names(["a", "a_0", "a"]) == ["a_0_dup", "a_0", "a_1"]
    assert unlike_names(["a_0", "a", "a", "a_0_DUP"]) == ["a_0", "a_0_dup_dup", "a_1", "a_0_DUP"]
    assert unlike_names([]) == []


@pytest.mark.shows("8.1")
def test_joins_as_flows_say_them() -> None:
    """Source: public flows 14 and 07, and facts 1.2 for the words of the types."""
    assert step_of(
        "join_tables", left_column="v", right_column="w", join_type="rightouter"
    ) == Join(left=("v",), right=("w",), how=How.RIGHT)
    keys = [{"left": "a", "right": "a"}, {"left": "b", "right": "c"}]
    many = step_of("join_multi_keys", join_keys=keys, join_type="leftouter")
    assert many == Join(left=("a", "b"), right=("a", "c"), how=How.LEFT)
    assert many.sentence() == "Join by a, b = c; keep all rows of the left"
    words = {"full": How.FULL, "outer": How.FULL, "left_semi": How.SEMI, "left_anti": How.ANTI}
    for word, how in words.items():
        assert step_of("join_tables", left_column="a", right_column="a", join_type=word) == Join(
            left=("a",), right=("a",), how=how
        )
    assert step_of("join_tables", join_type="cross") == Join(how=How.CROSS)


@pytest.mark.shows("8.1")
def test_joins_that_are_refused(spark: SparkSession) -> None:
    """A key that is not there, no keys, keys that are not pairs; each in one line."""
    left, right = _two(spark)
    with pytest.raises(UsageError, match=r"no column 'nope'\. There are: id, a.b; id, c d"):
        applied(Join(left=("nope",)), left, right)
    for settings in ({}, {"left": ("a",), "how": "cross"}, {"left": ("a",), "right": ("a", "b")}):
        with pytest.raises(ValidationError):
            Join.model_validate(settings)
    with pytest.raises(UsageError, match="takes 2 inputs, not 1"):
        applied(Join(left=("id",)), left)


@pytest.mark.shows("8.1")
def test_rows_without_a_key_are_counted(spark: SparkSession) -> None:
    """Own rule: what an inner join drops for want of a key is said."""
    from penstock.wrangle.flow import Input

    rows, losses = run_of(Join(left=("id",)), *_two(spark)).watched(Input("step"))
    rows.collect()
    assert losses.counted() == {"rows have no id, match nothing and are dropped": 1}


@pytest.mark.shows("8.1")
def test_rows_under_rows(spark: SparkSession) -> None:
    """Source: facts 4: by name, strict; dedupe ignores the indicator. Own: the first counts."""
    first = frame(spark, "a int, `b.c` string", (1, "x"), (1, "x"), (None, None))
    second = frame(spark, "`b.c` string, a int", ("x", 1), ("y", 2))
    plain = table(applied(ConcatenateDatasets(), first, second))
    assert plain[0] == ["a int", "b.c string"]
    assert _sorted(plain[1]) == _sorted([(1, "x")] * 3 + [(None, None), (2, "y")])
    step = ConcatenateDatasets(distinct=True, indicator="from", first="old", second="new")
    columns, rows = table(applied(step, first, second))
    assert columns == ["a int", "b.c string", "from string"]
    assert _sorted(rows) == _sorted([(1, "x", "old"), (None, None, "old"), (2, "y", "new")])
    with pytest.raises(UsageError, match="concatenate_datasets"):
        applied(step, first, second.drop("a"))


@pytest.mark.shows("8.1")
def test_columns_beside_columns(spark: SparkSession) -> None:
    """Source: facts 4: an outer join on the place; names as a join numbers them (own rule)."""
    first = frame(spark, "a int", *[(n,) for n in range(5)])
    second = frame(spark, "A string, b int", ("x", 1), ("y", 2)).repartition(1)
    step = ConcatenateDatasets(along=Along.COLUMNS)
    assert table(applied(step, first, second)) == (
        ["a_0 int", "A_1 string", "b int"],
        [(0, "x", 1), (1, "y", 2), (2, None, None), (3, None, None), (4, None, None)],
    )
    assert step.cautions()
    with pytest.raises(ValidationError):
        ConcatenateDatasets(along=Along.COLUMNS, distinct=True)


@pytest.mark.shows("8.1")
def test_concatenations_as_flows_may_say_them() -> None:
    """Source: names of facts 1.2; the operator itself was not observed."""
    settings = {"apply_dedupe": True, "indicator_col_name": "src", "df1_indicator": "a"}
    wanted = ConcatenateDatasets(distinct=True, indicator="src", first="a")
    assert step_of("concatenate_datasets", **settings) == wanted
    assert step_of("concatenate_datasets", operator="row_wise", row_wise_parameters=settings) == (
        wanted
    )
    assert step_of("concatenate_datasets", operator="column_wise") == ConcatenateDatasets(
        along=Along.COLUMNS
    )

"""Similar texts are near each other, by Spark's own hashes (facts: wrangler, 4, 'Similarity')."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pyspark.ml.feature import HashingTF, MinHashLSH
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.operators.similarity import Similarity, coefficients
from tests.wrangling import applied, frame, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.shows("8.1")
def test_the_hashes_are_sparks(spark: SparkSession) -> None:
    """Source: Spark's HashingTF and MinHashLSH of the same seed over runs of three characters.

    Scaled by h / (2^31 - 1) * 2 - 1, our reading of 'to [-1, 1] by int32 max'.
    """
    texts = [" california ", " calfornia ", "   ", " a b "]
    runs = [([one[n : n + 3] for n in range(len(one) - 2)],) for one in texts]
    split = frame(spark, "runs array<string>", *runs)
    hashed = HashingTF(inputCol="runs", outputCol="v", numFeatures=2**18, binary=True).transform(
        split
    )
    model = MinHashLSH(inputCol="v", outputCol="h", seed=0, numHashTables=7).fit(hashed)
    found = model.transform(hashed).select(
        fn.transform("h", lambda one: vector_to_array(one)[0] / 2147483647.0 * 2 - 1).alias("h")
    )
    wanted = [one["h"] for one in found.collect()]
    rows = frame(spark, "s string", ("California",), ("calFORNIA",), (None,), ("A \t B",))
    columns, values = table(applied(Similarity(columns=("s",), dimension=7), rows))
    assert columns == [f"s_{n} double" for n in range(7)]
    assert [list(one) for one in values] == wanted
    vector = applied(Similarity(columns=("s",), dimension=7, style="vector", output="v"), rows)
    assert vector.dtypes == [("s", "string"), ("v", "vector")]
    assert [list(one["v"]) for one in vector.collect()] == wanted
    near = sum(one == other for one, other in zip(wanted[0], wanted[1], strict=True))
    far = sum(one == other for one, other in zip(wanted[0], wanted[3], strict=True))
    assert near > far == 0


@pytest.mark.shows("8.1")
def test_what_is_drawn_does_not_change() -> None:
    """``java.util.Random(42).nextInt(10)`` gives 0, 3, 8 (known); more tables begin as fewer do."""
    from penstock.wrangle.operators.similarity import _java_random

    numbers = _java_random(42, 10)
    assert [next(numbers) for _ in range(3)] == [0, 3, 8]
    assert coefficients(3, 0)[:2] == coefficients(1, 0)


@pytest.mark.shows("8.1")
def test_as_a_flow_says_it(spark: SparkSession) -> None:
    """Names of the settings as the documentation has them; not seen in public flows."""
    block = {"input_column": "s", "target_dimension": "9", "output_style": "Columns"}
    step = step_of(
        "encode_categorical", operator="Similarity encode", similarity_encode_parameters=block
    )
    assert step == Similarity(columns=("s",), dimension=9)
    with pytest.raises(UsageError, match="similarity: no column 's'"):
        applied(step, frame(spark, "t string", ("x",)))

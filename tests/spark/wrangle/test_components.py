"""Principal components (facts: wrangler, 4, 'PCA')."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

import numpy as np
import pytest

from penstock.errors import UsageError
from penstock.wrangle.operators.components import Components
from tests.wrangling import applied, frame, learnt, lost, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_ROWS = [(2.5, 24, 1.0), (0.5, 7, 2.0), (2.2, 29, 1.5), (1.9, 22, 0.0), (3.1, 30, 1.0)]


def _rows(spark: SparkSession) -> DataFrame:
    rows = [(f"r{n}", *one, 7) for n, one in enumerate(_ROWS)]
    return frame(
        spark, "id string, a double, b long, `c.c` double, k int", *rows, ("r5", None, 1, 1.0, 7)
    )


@pytest.mark.shows("8.1")
def test_components_are_those_of_the_correlation(spark: SparkSession) -> None:
    """Source: the eigenvectors of the correlation matrix by numpy, the largest weight positive."""
    step = Components(columns=("a", "b", "c.c", "k"), count=3)
    found, state = learnt(step, _rows(spark))
    columns, values = table(found)
    assert columns == ["id string", *[f"pca_{n} double" for n in range(3)]]
    data = np.array(_ROWS, dtype=float)
    scaled = (data - data.mean(axis=0)) / data.std(axis=0, ddof=1)
    variances, vectors = np.linalg.eigh(np.cov(scaled.T))
    vectors = vectors[:, ::-1]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), range(3)])
    np.testing.assert_allclose([one[1:] for one in values[:5]], scaled @ vectors, atol=1e-12)
    assert all(isnan(one) for one in values[5][1:])
    np.testing.assert_allclose(state["shares"], (variances / variances.sum())[::-1], atol=1e-12)
    assert lost(step, _rows(spark), state)["rows have no components, as a is missing"] == 1


@pytest.mark.shows("8.1")
def test_as_many_as_the_variance_takes(spark: SparkSession) -> None:
    """Docs, 'Reduce Dimensionality': the least number that meets the percentage."""
    rows = frame(spark, "x double, y double", (1.0, 0.0), (-1.0, 0.0), (0.0, 0.5), (0.0, -0.5))
    for variance, wanted in ((80.0, 1), (80.1, 2)):
        step = Components(columns=("x", "y"), variance=variance, scale=False)
        assert len(step.fit(rows)["weights"]) == wanted
    vector = Components(
        columns=("x", "y"), count=1, scale=False, center=False, style="vector", keep_columns=True
    )
    found = applied(vector, rows)
    assert found.dtypes == [("x", "double"), ("y", "double"), ("pca", "vector")]
    assert [list(one["pca"]) for one in found.collect()] == [[1.0], [-1.0], [0.0], [0.0]]


@pytest.mark.shows("8.1")
def test_settings_and_errors(spark: SparkSession) -> None:
    """The id and the names were not observed; what cannot be done is said in a line."""
    block = {"input_columns": ["x", "y"], "variance_threshold_percentage": 90}
    step = step_of("dimensionality_reduction", operator="PCA", pca_parameters=block)
    assert step == Components(columns=("x", "y"), variance=90)
    rows = frame(spark, "x double, y double, s string", (1.0, 2.0, "t"), (1.0, None, "t"))
    with pytest.raises(UsageError, match="components: x, y have no two whole rows that differ"):
        applied(step, rows)
    with pytest.raises(UsageError, match="components: s holds no numbers"):
        applied(Components(columns=("s",)), rows)
    with pytest.raises(UsageError, match="components: no column 'z'"):
        applied(Components(columns=("z",)), rows)
    with pytest.raises(ValueError, match="1 columns have no 2 components"):
        Components(columns=("x",), count=2)

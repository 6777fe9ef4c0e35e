"""What columns say of a target: one by one (leakage), all together (a quick model), and lasso."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from penstock.profiling.summary import ColumnSummary

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

Problem = Literal["classification", "regression"]
#: As Data Wrangler's quick model (facts: wrangler, 1.3): up to so many labels are classes.
MOST_LABELS = 100
_TREES, _DEPTH, _BINS = 20, 5, 64
_SEED = 20_130_101
_FEW_BINS = 20


@dataclass(frozen=True)
class Power:
    """What one column alone says of the target.

    Args:
        column: Its name.
        score: Of classes the area under the ROC curve, one label against the rest, 0.5 says nothing
            and 1 all; of numbers R² by the column's groups, 0 says nothing and 1 all.
    """

    column: str
    score: float


@dataclass(frozen=True)
class Model:
    """A random forest over all columns, 70 % of the rows to learn, 30 % to judge by.

    Args:
        problem: What it is.
        measure: ``F1`` or ``mean squared error``.
        score: Its value.
        baseline: The same of always saying the commonest label, or the mean.
        importance: Gini importance by column, highest first.
    """

    problem: Problem
    measure: str
    score: float
    baseline: float
    importance: tuple[tuple[str, float], ...]


def problem_of(column: ColumnSummary) -> Problem:
    """Text, booleans and numbers of few values are classes."""
    whole = column.kind != "number" or not column.type.startswith(("float", "double", "decimal"))
    return "classification" if whole and column.distinct <= MOST_LABELS else "regression"


def powers(
    sample: pd.DataFrame, target: ColumnSummary, columns: Sequence[ColumnSummary]
) -> list[Power]:
    """Every column's own power, highest first; those with nothing to say of are left out."""
    kept = _known(sample, target)
    score = _area if problem_of(target) == "classification" else _explained
    found = [
        Power(one.name, value)
        for one in columns
        if one.name != target.name and one.kind in ("number", "text", "boolean")
        for value in [score(_coded(kept[one.name], one), kept[target.name])]
        if value is not None
    ]
    return sorted(found, key=lambda one: -one.score)


def quick_model(
    spark: SparkSession,
    sample: pd.DataFrame,
    target: ColumnSummary,
    columns: Sequence[ColumnSummary],
) -> Model | None:
    """Learnt by Spark's random forest; None where there is too little to learn from."""
    used = [
        one
        for one in columns
        if one.name != target.name and one.kind in ("number", "text", "boolean") and one.there
    ]
    kept = _known(sample, target)
    problem = problem_of(target)
    labels, names = _labels(kept[target.name], problem)
    if not used or len(kept) < 50 or (problem == "classification" and len(names) < 2):  # noqa: PLR2004 - too few to split, or one class
        return None
    rows = np.column_stack([labels, *[_filled(_coded(kept[one.name], one)) for one in used]])
    learn, judge = _split(len(rows))
    frame = _frame(spark, rows[learn], len(used))
    forest, predictions = _forest(problem, frame, _frame(spark, rows[judge], len(used)))
    truth = rows[judge, 0]
    importance = sorted(
        zip([one.name for one in used], map(float, forest), strict=True), key=lambda one: -one[1]
    )
    if problem == "classification":
        commonest = np.full(len(truth), np.bincount(rows[learn, 0].astype(int)).argmax())
        scores = _f1(truth, predictions), _f1(truth, commonest)
        return Model(problem, "F1", *scores, tuple(importance))
    mean = np.full(len(truth), rows[learn, 0].mean())
    errors = [float(((truth - one) ** 2).mean()) for one in (predictions, mean)]
    return Model(problem, "mean squared error", errors[0], errors[1], tuple(importance))


def lasso(
    spark: SparkSession,
    sample: pd.DataFrame,
    target: ColumnSummary,
    numbers: Sequence[ColumnSummary],
    strength: float = 0.1,
) -> list[tuple[str, float]]:
    """Coefficients of a linear model with an L1 penalty over z-scored numbers, largest first.

    Spark's LinearRegression; a column of coefficient 0 adds nothing to the others. The target is
    z-scored as well, a class as 0 and 1 where there are two.
    """
    from pyspark.ml.regression import LinearRegression

    used = [one.name for one in numbers if one.name != target.name]
    kept = _known(sample, target)
    labels, _ = _labels(kept[target.name], problem_of(target))
    columns = [_filled(_finite(kept[one]).to_numpy()) for one in used]
    rows = np.column_stack([labels, *columns])
    if not used or len(rows) < 2:  # noqa: PLR2004 - a line needs two
        return []
    with np.errstate(over="ignore", invalid="ignore"):
        spread = rows.std(axis=0)
    # Numbers at the end of a double's range have no deviation that is one.
    whole = np.isfinite(spread)
    if not spread[0] or not whole[0] or not whole[1:].any():
        return []
    rows, spread = rows[:, whole], spread[whole]
    used = [one for one, there in zip(used, whole[1:], strict=True) if there]
    scored = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1)
    model = LinearRegression(regParam=strength, elasticNetParam=1.0, standardization=False)
    found = model.fit(_frame(spark, scored, len(used))).coefficients.toArray()
    pairs = zip(used, map(float, found), strict=True)
    return sorted(pairs, key=lambda one: -abs(one[1]))


def _forest(problem: Problem, learn: DataFrame, judge: DataFrame) -> tuple[Any, Any]:
    from pyspark.ml.classification import RandomForestClassifier
    from pyspark.ml.regression import RandomForestRegressor

    kind = RandomForestClassifier if problem == "classification" else RandomForestRegressor
    # A copy has no summary, and with it no session: Spark 4.1 cannot send one that ever observed a
    # frame (ObservationManager is not serializable).
    model = kind(numTrees=_TREES, maxDepth=_DEPTH, maxBins=_BINS, seed=_SEED).fit(learn).copy()
    rows = model.transform(judge).select("place", "prediction").collect()
    ordered = np.empty(len(rows))
    for row in rows:
        ordered[row["place"]] = row["prediction"]
    return model.featureImportances.toArray(), ordered


def _frame(spark: SparkSession, rows: Any, width: int) -> DataFrame:
    import pandas as pd
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as fn

    names = [f"c{n}" for n in range(width)]
    data = pd.DataFrame(rows, columns=["label", *names])
    data["place"] = np.arange(len(data))
    frame = spark.createDataFrame(data)
    vector = array_to_vector(fn.array(*names)).alias("features")
    return frame.select("place", "label", vector)


def _split(count: int) -> tuple[Any, Any]:
    order = np.random.default_rng(_SEED).permutation(count)
    border = int(count * 0.7)
    return order[:border], order[border:]


def _known(sample: pd.DataFrame, target: ColumnSummary) -> pd.DataFrame:
    """Rows whose target is there, and finite."""
    values = sample[target.name]
    there = _finite(values) if target.kind == "number" else values
    return sample[there.notna()]


def _finite(values: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers as doubles; what is infinite is missing."""
    return values.astype(float).replace([np.inf, -np.inf], np.nan)


def _labels(values: pd.Series[Any], problem: Problem) -> tuple[Any, list[str]]:
    """Numbers of a target, and the classes' names."""
    if problem == "regression":
        return values.astype(float).to_numpy(), []
    category = values.astype("category")
    return category.cat.codes.to_numpy().astype(float), list(map(str, category.cat.categories))


def _coded(values: pd.Series[Any], column: ColumnSummary) -> Any:
    """A column as numbers: categories by how common they are; NaN is missing."""
    if column.kind == "number":
        return _finite(values).to_numpy()
    order = {value: n for n, value in enumerate(values.value_counts().index)}
    return values.map(order).astype(float).to_numpy()


def _filled(values: Any) -> Any:
    """Missing values as the median."""
    middle = np.nanmedian(values) if np.isfinite(values).any() else 0.0
    return np.where(np.isnan(values), middle, values)


def _area(values: Any, labels: pd.Series[Any]) -> float | None:
    """The best area under the ROC curve of one label against the rest, either way round.

    By each value's share of the label in folds it was not counted in: a category is as good as a
    number, and an identifier says nothing.
    """
    if len(np.unique(_groups(values))) == 1:
        return 0.5  # the folds' own shares, which differ by chance, would say something
    best = None
    for label in labels.value_counts().index[:_FEW_BINS]:
        truth = (labels == label).to_numpy()
        if 0 < truth.sum() < len(truth):
            found = _auc(_expected(values, truth.astype(float)), truth)
            best = found if best is None else max(best, found)
    return best


def _explained(values: Any, target: pd.Series[Any]) -> float | None:
    truth = target.astype(float).to_numpy()
    spread = ((truth - truth.mean()) ** 2).sum()
    if not spread:
        return None
    rest = ((truth - _expected(values, truth)) ** 2).sum()
    return float(max(0.0, 1 - rest / spread))


def _expected(values: Any, truth: Any) -> Any:
    """The target's mean by groups of the values, each row judged by the other folds."""
    groups = _groups(values)
    fold = np.random.default_rng(_SEED).integers(0, 5, len(truth))
    expected = np.empty(len(truth))
    for one in range(5):
        others, own = fold != one, fold == one
        if not own.any():
            continue
        mean = truth.mean()  # of groups that no other fold has; the same in each, so a tie
        sums = np.bincount(groups[others], truth[others], groups.max() + 1)
        counts = np.bincount(groups[others], minlength=groups.max() + 1)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), mean)
        expected[own] = means[groups[own]]
    return expected


def _groups(values: Any) -> Any:
    """Places of values: their own where few, else of twenty quantiles; of missing ones 0."""
    missing = np.isnan(values)
    there = values[~missing]
    groups = np.zeros(len(values), dtype=int)
    if len(there):
        different = np.unique(there)
        if len(different) > 2 * _FEW_BINS:
            different = np.unique(np.quantile(there, np.linspace(0, 1, _FEW_BINS + 1)[:-1]))
        groups[~missing] = np.searchsorted(different, there, side="right")
    return groups


def _auc(scores: Any, truth: Any) -> float:
    """Area under the ROC curve by ranks (Mann and Whitney); ties count half."""
    import pandas as pd

    ranks = pd.Series(scores).rank().to_numpy()
    positive, negative = truth.sum(), (~truth).sum()
    area = (ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * negative)
    return float(max(area, 1 - area))


def _f1(truth: Any, predicted: Any) -> float:
    """F1, each label weighed by its rows."""
    total = 0.0
    for label in np.unique(truth):
        hit = ((truth == label) & (predicted == label)).sum()
        both = (truth == label).sum() + (predicted == label).sum()
        total += (truth == label).mean() * (2 * hit / both if both else 0.0)
    return float(total)

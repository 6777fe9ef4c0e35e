"""How columns of a sample hang together: correlation, and what numbers say of one another.

numpy and pandas on the sample; plain formulas, sources named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

#: Above it a category says little, and its table of pairs grows large.
MOST_CATEGORIES = 50
#: Data Wrangler caps variance inflation here (facts: wrangler, 1.3).
HIGHEST_INFLATION = 50.0


def pearson(sample: pd.DataFrame, columns: Sequence[str]) -> list[list[float | None]]:
    """Linear correlation, each pair over the rows where both have a value."""
    finite = sample[list(columns)].astype(float).replace([np.inf, -np.inf], np.nan)
    return _matrix(finite.corr(method="pearson", min_periods=2))


def spearman(sample: pd.DataFrame, columns: Sequence[str]) -> list[list[float | None]]:
    """Correlation of ranks: of what rises together, in a line or not."""
    ranks = sample[list(columns)].astype(float).rank()
    return _matrix(ranks.corr(method="pearson", min_periods=2))


def cramer(sample: pd.DataFrame, columns: Sequence[str]) -> list[list[float | None]]:
    """Cramér's V between categories, corrected for bias (Bergsma 2013); 0 to 1."""
    codes = {one: sample[one].astype("category").cat.codes.to_numpy() for one in columns}
    return [[_cramer(codes[a], codes[b]) for b in columns] for a in columns]


def inflation(sample: pd.DataFrame, columns: Sequence[str]) -> dict[str, float]:
    """Variance inflation factors: 1 / (1 - R²) of each number on all others, at most 50.

    The diagonal of the inverse of the correlation matrix (Belsley, Kuh and Welsch 1980). Rows that
    lack a value are left out; what does not vary has none.
    """
    values, names = _complete(sample, columns)
    if len(names) < 2 or len(values) <= len(names):  # noqa: PLR2004 - a pair
        return {}
    inverse = np.linalg.pinv(np.corrcoef(values, rowvar=False), hermitian=True)
    singular = np.linalg.matrix_rank(values - values.mean(axis=0)) < len(names)
    found = np.diag(inverse)
    return {
        name: HIGHEST_INFLATION
        if singular and _explained(values, n)
        else float(min(max(found[n], 1.0), HIGHEST_INFLATION))
        for n, name in enumerate(names)
    }


def components(sample: pd.DataFrame, columns: Sequence[str]) -> list[float]:
    """Shares of the variance of the z-scored numbers that each principal component takes."""
    values, names = _complete(sample, columns)
    if not names or len(values) < 2:  # noqa: PLR2004 - a variance needs two
        return []
    scored = (values - values.mean(axis=0)) / values.std(axis=0)
    squares = np.linalg.svd(scored, compute_uv=False) ** 2
    return [float(one) for one in squares / squares.sum()]


def _explained(values: Any, n: int) -> bool:
    """Whether a column is a sum of multiples of the others."""
    others = np.delete(values, n, axis=1)
    centred, target = others - others.mean(axis=0), values[:, n] - values[:, n].mean()
    solution = np.linalg.lstsq(centred, target, rcond=None)[0]
    rest = target - centred @ solution
    return bool((rest @ rest) <= 1e-9 * (target @ target))


def _complete(sample: pd.DataFrame, columns: Sequence[str]) -> tuple[Any, list[str]]:
    """Rows without a gap, of columns that vary."""
    numbers = sample[list(columns)].astype(float).replace([np.inf, -np.inf], np.nan).dropna()
    names = [one for one in columns if len(numbers) > 1 and numbers[one].std() > 0]
    return numbers[names].to_numpy(), names


def _cramer(a: Any, b: Any) -> float | None:
    both = (a >= 0) & (b >= 0)
    a, b = a[both], b[both]
    count = len(a)
    if count < 2:  # noqa: PLR2004 - a table needs rows
        return None
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    rows, columns = table.shape
    if min(rows, columns) < 2:  # noqa: PLR2004 - what does not vary
        return None
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / count
    phi = ((table - expected) ** 2 / expected).sum() / count
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (count - 1))
    r = rows - (rows - 1) ** 2 / (count - 1)
    c = columns - (columns - 1) ** 2 / (count - 1)
    least = min(r, c) - 1
    return float(min(1.0, np.sqrt(phi / least))) if least > 0 else None


def _matrix(frame: pd.DataFrame) -> list[list[float | None]]:
    return [[None if np.isnan(one) else float(one) for one in row] for row in frame.to_numpy()]

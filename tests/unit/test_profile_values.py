"""A profile of odd values: it is drawn whatever they are."""

from __future__ import annotations

import numpy as np
import pandas as pd  # noqa: TID253 - what a profile's sample is
import pytest

from penstock.profiling import relations, target
from penstock.profiling.document import _histogram, _times
from penstock.profiling.summary import ColumnSummary, Kind


@pytest.mark.parametrize(
    "values",
    [
        [1e18 + 128 * n for n in range(40)],
        [-1.7e308, 1.7e308],
        [0.0, 5e-324],
        [1e16 + 2 * n for n in range(40)],
        [np.inf, np.nan],
        [5.5],
        [],
    ],
)
def test_a_histogram_of_any_numbers(values: list[float]) -> None:
    """Identifiers side by side, the widest and the narrowest range, none that is finite."""
    assert "<svg" in _histogram("a", np.array(values, dtype=float))


def test_instants_in_one_microsecond() -> None:
    """As above."""
    first = pd.Timestamp("2024-01-01T00:00:00")
    assert "<svg" in _times("t", pd.Series([first, first + pd.Timedelta(1, "us")] * 20))


def _summary(name: str, type_: str, kind: Kind) -> ColumnSummary:
    return ColumnSummary(name, type_, kind, 100, 0, 0, 100)


def test_an_infinite_target_is_none() -> None:
    """Its rows tell nothing; those left tell what they told."""
    count = np.arange(100.0)
    columns = [_summary("a", "double", "number"), _summary("y", "double", "number")]
    whole = pd.DataFrame({"a": count, "y": count * 2})
    odd = pd.concat([whole, pd.DataFrame({"a": [1.0, 2.0], "y": [np.inf, -np.inf]})])
    (said,) = target.powers(odd, columns[1], columns)
    assert (said.column, said.score) == ("a", target.powers(whole, columns[1], columns)[0].score)
    assert said.score > 0.9


def test_infinite_values_do_not_undo_a_correlation() -> None:
    """Those left go together as they do."""
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, np.inf], "b": [2.0, 4.0, 6.0, 1.0]})
    assert relations.pearson(frame, ["a", "b"])[0][1] == pytest.approx(1)


def test_what_does_not_vary_tells_nothing() -> None:
    """In a hundred rows the folds' shares of a label differ: that is chance."""
    columns = [_summary("a", "double", "number"), _summary("y", "string", "text")]
    frame = pd.DataFrame({"a": [1.0] * 100, "y": ["p", "q", "q"] * 33 + ["p"]})
    assert [one.score for one in target.powers(frame, columns[1], columns)] == [0.5]

"""A number over time: trend, season and rest by STL, and what stands out of the rest.

Cleveland, Cleveland, McRae and Terpenning 1990, as statsmodels computes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

#: Steps in a season by the step's length in seconds (facts: wrangler, 1.3): minutes in a day and so
#: on; days in a week, months in a year.
_SEASONS = ((1, 3_600), (60, 1_440), (3_600, 24), (86_400, 7), (604_800, 52), (2_592_000, 12))
_LEAST_SEASONS = 2
#: A rest further from zero than so many standard deviations stands out.
DEVIATIONS = 3.0
_MOST_STEPS = 5_000


@dataclass(frozen=True)
class Decomposed:
    """A series of even steps, taken apart; the three parts add up to the observed.

    Args:
        column: The number.
        step: Length of a step, in words.
        period: Steps in a season.
        times: ISO 8601.
        observed: Means of the rows of each step; a step without rows is drawn between its
            neighbours.
        trend: As it says.
        season: As it says.
        rest: As it says.
        odd: Places whose rest stands out.
        filled: Steps that had no rows.
    """

    column: str
    step: str
    period: int
    times: tuple[str, ...]
    observed: tuple[float, ...]
    trend: tuple[float, ...]
    season: tuple[float, ...]
    rest: tuple[float, ...]
    odd: tuple[int, ...]
    filled: int


def decomposed(sample: pd.DataFrame, time: str, column: str) -> Decomposed | None:
    """The series of a column; None where it is too short for two seasons.

    Raises:
        UsageError: statsmodels is not installed.
    """
    try:
        from statsmodels.tsa.seasonal import STL
    except ImportError as error:
        raise UsageError(
            "series are taken apart by statsmodels, which is not here",
            "pip install 'penstock[profile]'",
        ) from error
    import pandas as pd

    times = pd.to_datetime(sample[time], utc=True, errors="coerce")
    values = pd.Series(sample[column].astype(float).to_numpy(), index=times)
    values = values[values.index.notna() & values.notna().to_numpy()].sort_index()
    if values.index.nunique() < 2 * _LEAST_SEASONS:
        return None
    step, period = _step(values.index)
    even = values.resample(pd.Timedelta(seconds=step)).mean().tail(_MOST_STEPS)
    if len(even) < _LEAST_SEASONS * period + 1:
        return None
    filled = int(even.isna().sum())
    whole = even.interpolate("linear").bfill()
    found: Any = STL(whole.to_numpy(), period=period, robust=True).fit()
    limit = DEVIATIONS * float(np.std(found.resid))
    odd = np.flatnonzero(np.abs(found.resid) > limit) if limit else np.array([], dtype=int)
    return Decomposed(
        column=column,
        step=str(pd.Timedelta(seconds=step)),
        period=period,
        times=tuple(one.isoformat() for one in whole.index),
        observed=_plain(whole),
        trend=_plain(found.trend),
        season=_plain(found.seasonal),
        rest=_plain(found.resid),
        odd=tuple(map(int, odd)),
        filled=filled,
    )


def _plain(values: Any) -> tuple[float, ...]:
    return tuple(map(float, values))


def _step(index: Any) -> tuple[int, int]:
    """Seconds of a step, the median gap or the next unit above it, and steps in its season."""
    different = index.unique().sort_values()
    gap = float(np.median(np.diff(different.asi8))) / 1e9
    span = (different[-1] - different[0]).total_seconds()
    for seconds, period in _SEASONS:
        if seconds >= gap and span / seconds <= _MOST_STEPS:
            return seconds, period
    return _SEASONS[-1]

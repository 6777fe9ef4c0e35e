"""What windows come to: counted for some, and from those estimated with bounds for the others.

A window that was not counted is taken to give as many rows for each source row of its time as those
that were. Its bounds are the lowest and the highest of their ratios, a quarter wider on either
side. That is a rule of thumb and no confidence interval: it fails where the others are unlike the
counted ones, which is why counting goes to the ends of the range first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import median

from penstock.online.body import MAX_ENTRIES

WIDER = 0.25  # on either side of the ratios that were seen
SMALL = 0.1  # of the median size: of a smaller window no ratio tells, nor does its own of others
TINY = 1e-9


@dataclass(frozen=True)
class Span:
    """A figure that is somewhere from ``low`` to ``high``; where both are equal it is known."""

    low: float = 0
    about: float = 0
    high: float = 0

    @classmethod
    def exactly(cls, figure: float) -> Span:
        """A known figure."""
        return cls(figure, figure, figure)

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.about + other.about, self.high + other.high)

    def times(self, factor: float) -> Span:
        """Every figure times the same."""
        return Span(self.low * factor, self.about * factor, self.high * factor)

    def plain(self) -> list[float]:
        """A JSON form."""
        return [round(one, 6) for one in (self.low, self.about, self.high)]

    def holds(self, figure: float) -> bool:
        """Whether a figure is within the bounds."""
        return self.low <= figure <= self.high

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.about:,.0f}"
        return f"{self.about:,.0f} ({self.low:,.0f} to {self.high:,.0f})"


@dataclass(frozen=True)
class Count:
    """What one window comes to.

    Args:
        rows: Rows fit to be written, exact duplicates gone.
        identifiers: Distinct identifiers among them.
        quarantined: Rows the feature gate puts aside.
        records: Records that are sent, older ones not taken off.
        record_bytes: Bytes of their names and values.
        write_units: Their units of 1 KB each, begun ones counted: low as names and values, high as
            the JSON that is sent. How the service counts is not documented.
        table_bytes: Bytes of the rows as Parquet.
    """

    rows: Span = Span()
    identifiers: Span = Span()
    quarantined: Span = Span()
    records: Span = Span()
    record_bytes: Span = Span()
    write_units: Span = Span()
    table_bytes: Span = Span()

    def __add__(self, other: Count) -> Count:
        return Count(**{name: getattr(self, name) + getattr(other, name) for name in NAMES})

    def plain(self) -> dict[str, list[float]]:
        """A JSON form; :func:`count` reads it back."""
        return {name: getattr(self, name).plain() for name in NAMES}

    @property
    def exact(self) -> bool:
        """Whether its rows were counted."""
        return self.rows.low == self.rows.high

    def requests(self, api: str) -> Span:
        """Calls it takes: the fewest, were every batch full; the most, were each a single one."""
        if api == "put":
            return self.records
        full = Span(
            *(math.ceil(one / MAX_ENTRIES) for one in (self.records.low, self.records.about))
        )
        return Span(full.low, full.about, self.records.high)


NAMES = tuple(one.name for one in fields(Count))


def count(plain: Mapping[str, Sequence[float]]) -> Count:
    """The count a JSON form stands for."""
    return Count(**{name: Span(*plain[name]) for name in NAMES})


def total(counts: Iterable[Count]) -> Count:
    """The sum."""
    return sum(counts, Count())


def estimated(counted: Mapping[str, Count], weights: Mapping[str, float]) -> dict[str, Count]:
    """Every window's count: as it was counted, or estimated from those that were.

    Args:
        counted: Name of a window → its count; all figures known but the units.
        weights: Name of every window → source rows of its time, or another measure of its size.

    Returns:
        A count for every name that can be told about: none where nothing was counted, none of a
        small window that was not counted.
    """
    if not counted:
        return {}
    least = _least(weights)
    telling = [name for name in counted if weights[name] >= least]
    pairs = [(counted[name], weights[name]) for name in telling]
    ratios = {name: _ratio(name, pairs) for name in NAMES} if pairs else {}
    return {
        name: counted[name]
        if name in counted
        else Count(**{figure: ratios[figure].times(weight) for figure in NAMES})
        for name, weight in weights.items()
        if name in counted or (ratios and weight >= least)
    }


def order(weights: Mapping[str, float]) -> list[str]:
    """In which order windows are counted while there is time.

    The first of those that tell of others; then the small ones, which no ratio tells anything about
    (late arrivals); then the other end of the range, and always the middle of the widest part that
    is left.
    """
    names, least = list(weights), _least(weights)
    small = [name for name in names if weights[name] < least]
    telling = [names[n] for n in spread(len(names)) if weights[names[n]] >= least]
    return [*telling[:1], *small, *telling[1:]]


def _least(weights: Mapping[str, float]) -> float:
    """The size from which on windows are compared; above 0."""
    return max(SMALL * median(weights.values()), TINY) if weights else TINY


def spread(size: int) -> list[int]:
    """0, the last, and then middles of what is between, widest first."""
    if size < 1:
        return []
    found, parts = [0, size - 1], [(0, size - 1)]
    while parts:
        first, last = parts.pop(0)
        middle = (first + last) // 2
        if first < middle < last:
            found.append(middle)
            parts += [(first, middle), (middle, last)]
    return list(dict.fromkeys(found))


def _ratio(figure: str, pairs: Sequence[tuple[Count, float]]) -> Span:
    """A figure for each source row: what was seen, a quarter wider."""
    spans = [(getattr(one, figure), weight) for one, weight in pairs]
    return Span(
        min(span.low / weight for span, weight in spans) * (1 - WIDER),
        sum(span.about for span, _ in spans) / sum(weight for _, weight in spans),
        max(span.high / weight for span, weight in spans) * (1 + WIDER),
    )

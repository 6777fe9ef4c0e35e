"""The as-of step inside one partition: the feature rows that were current at each label's moment.

Vectorised: two sorts and a running maximum, so neither many rows of one identifier nor many labels
of one cost more than their number (a range join costs their product: facts, point in time). Ties
are decided as the four queries decide them. Pure: no Spark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import DataGateError

Longs = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
NONE = -1
_UNITS = tuple(np.uint64(one) for one in (1_000_000_000, 1_000_000, 1_000, 1))  # nanoseconds
_BOUND = 1 << 62


@dataclass(frozen=True)
class Labels:
    """Whom and when the labels ask about.

    Args:
        keys: Record identifiers; null asks about nobody.
        at: Moments, nanoseconds since the epoch.
    """

    keys: pa.Array
    at: Longs


@dataclass(frozen=True)
class Events:
    """Rows of an offline table.

    Args:
        keys: Record identifiers, without nulls, of the labels' type.
        at: Event times, nanoseconds since the epoch.
        invoked: ``api_invocation_time``, microseconds.
        written: ``write_time``, microseconds.
        deleted: ``is_deleted``.
        features: The rest of the row, by which what is equal in all of the above is ranked.
    """

    keys: pa.Array
    at: Longs
    invoked: Longs
    written: Longs
    deleted: Flags
    features: pa.Table


@dataclass(frozen=True)
class Found:
    """What was found for each label.

    Args:
        rows: Which event, -1 where there was none; a deletion counts as an event.
        later: Whether a join that takes the newest event of all would see the label's future.
        older: Likewise for the second most recent, the third, …: nothing comes after a deletion.
    """

    rows: Longs
    later: Flags
    older: tuple[Longs, ...] = ()


def found(
    labels: Labels,
    events: Events,
    *,
    before: bool = False,
    written: bool = False,
    recent: int = 1,
) -> Found:
    """The event with the greatest event time at or before each label's moment, and those before it.

    Of the events that share an identifier and an event time the best of those that are known is
    one event; the others are none.

    Args:
        labels: n of them.
        events: m of them, in any order; memory and time are O((n + m) log(n + m)), and O(n + m)
            more for each further event of a label, of which n numbers stay.
        before: Leave out events at the very moment.
        written: Leave out events that were written later than the label's moment.
        recent: How many events of each label, 1 or more.
    """
    count, asked = len(events.at), len(labels.at)
    if not count or not asked:
        none = np.full(asked, NONE, np.int64)
        return Found(none, np.zeros(asked, np.bool_), (none,) * (recent - 1))
    codes = _codes(events.keys, labels.keys)
    places = _places(codes, events.at, labels.at)
    order = _ranked(places[:count], events)
    line = order
    best = known = np.arange(count)
    times = places[order] if recent > 1 else known
    if written:  # the best of what was known, not the last that became known
        places = _places(codes, np.maximum(events.at, events.written * 1_000), labels.at)
        line = np.argsort(places[:count])
        known = np.argsort(order)[line]
        best = np.maximum.accumulate(known, out=known if recent == 1 else None)
    last = np.searchsorted(places[line], places[count:], "left" if before else "right") - 1
    last, some = np.maximum(last, 0), last >= 0
    rows = order[best[last]]
    some &= codes[rows] == codes[count:]
    newest = _newest(codes[order], events.at[order], codes[count:])
    answer, older = np.where(some, rows, NONE), []
    for _ in range(recent - 1):
        some &= ~events.deleted[rows]
        known = _outdone(known, best, times)
        best = np.maximum.accumulate(known)
        place = best[last]
        rows = order[place]
        some &= (place != NONE) & (codes[rows] == codes[count:])
        older.append(np.where(some, rows, NONE))
    return Found(answer, newest > labels.at, tuple(older))


def nanoseconds(times: pa.Array) -> Longs:
    """Stored or asked times as nanoseconds since the epoch.

    Args:
        times: ISO text with a zone, seconds as doubles, which count to the microsecond, or
            timestamps. No nulls.

    Raises:
        DataGateError: A time is null, no instant, or outside the years 1678 to 2262.
    """
    kind: Any = times.type
    try:
        if pa.types.is_floating(kind):
            micros = pc.cast(pc.round(pc.multiply(times, 1e6)), pa.int64())
            whole = pc.multiply_checked(micros, 1_000)
        else:
            whole = pc.cast(times, pa.timestamp("ns", "UTC")).cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise DataGateError("a time is no instant of the years 1678 to 2262", _TIMES) from error
    if whole.null_count:
        raise DataGateError(f"{whole.null_count} times are null", _TIMES)
    made: Longs = whole.to_numpy(zero_copy_only=False)
    return made


_TIMES = "Leave such labels out, or correct how their time is made"


def _codes(events: pa.Array, labels: pa.Array) -> Longs:
    """A number per identifier, the same on both sides; null is -1, which no event has."""
    both = pa.chunked_array([events, labels]).dictionary_encode().combine_chunks()
    indices = pc.fill_null(both.indices, NONE)
    codes: Longs = indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _places(codes: Longs, events: Longs, labels: Longs) -> Longs:
    """One number by which everything sorts by identifier, then by time."""
    both = np.concatenate([events, labels])
    steps = both.view(np.uint64) - both.min().view(np.uint64)  # up to 584 years: more than 63 bits
    unit = next(one for one in _UNITS if not (steps % one).any())
    span = int(steps.max()) // int(unit) + 1
    if (int(codes.max()) + 1) * span < _BOUND:
        ranks = (steps // unit).view(np.int64)
    else:  # sorting costs more than all the rest
        instants, ranks = np.unique(both, return_inverse=True)
        span = len(instants)
    places: Longs = codes * span + ranks
    return places


def _ranked(places: Longs, events: Events) -> Longs:
    """Events by identifier, then the worse before the better."""
    order = np.argsort(places)
    equal = np.diff(places[order]) == 0
    tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
    rows = order[tied]
    columns = [_ranks(column.take(pa.array(rows))) for column in events.features.columns]
    keys = [places, events.invoked, events.written, events.deleted]
    # Rows that tie lie side by side, so sorting them among themselves keeps them in their places.
    order[tied] = rows[np.lexsort([*columns[::-1], *(key[rows] for key in reversed(keys))])]
    return order


def _outdone(known: Longs, best: Longs, times: Longs) -> Longs:
    """What is not the best once each event has become known: the second best is the best of it.

    Args:
        known: Ranks of events in the order they became known; -1 for none.
        best: Running maximum of ``known``.
        times: A number of each rank's identifier and event time: a worse event of the same time is
            none.
    """
    before = np.append(NONE, best[:-1])
    lesser: Longs = np.minimum(known, before)  # none where either is none
    return np.where(times[known] == times[before], NONE, lesser)


def _ranks(column: pa.ChunkedArray) -> Longs:
    """Ranks of a column's values, null lowest."""
    encoded: Any = column.combine_chunks().dictionary_encode()
    ranks = np.argsort(pc.sort_indices(encoded.dictionary).to_numpy())
    indices = pc.fill_null(encoded.indices, NONE).to_numpy(zero_copy_only=False)
    made: Longs = ranks[np.maximum(indices, 0)] if len(ranks) else indices
    return np.where(indices < 0, NONE, made)


def _newest(codes: Longs, at: Longs, asked: Longs) -> Longs:
    """The greatest event time of each asked identifier; ``codes`` and ``at`` in ranked order."""
    lowest = np.iinfo(np.int64).min
    ends = np.append(np.flatnonzero(codes[1:] != codes[:-1]), len(codes) - 1)
    newest = np.full(max(int(codes.max()), int(asked.max())) + 2, lowest)  # the last one is for -1
    newest[codes[ends]] = at[ends]
    made: Longs = newest[asked]
    return made

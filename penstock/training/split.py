"""Which part each row of a data set is in: by its moment, by a hash, or dealt within strata."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from penstock.dataset import Dataset, HashSplit, StratifiedSplit, TimeSplit
from penstock.errors import UsageError
from penstock.training.join import column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_HASHES = 1_000_000  # steps of a share


def part(frame: DataFrame, dataset: Dataset, labels: Collection[str]) -> Column:
    """The name of each row's part.

    Args:
        frame: The rows as they will be written.
        dataset: One that is split.
        labels: Names the labels' columns had before the transform.

    Raises:
        UsageError: The column to split by is not there, or an instant of the split is none.
    """
    split = dataset.split
    if isinstance(split, TimeSplit):
        # ISO text with a zone and instants: no session zone has a say in the comparison.
        moment = _instant(frame, dataset.time)
        ends = [(part, _instant_literal(dataset, end)) for part, end in split.until.items()]
        return _cases([(moment < end, part) for part, end in ends], split.rest)
    assert split is not None  # the caller looked
    if split.on not in frame.columns:
        message = f"data set {dataset.name!r}: there is no column {split.on!r} to split by"
        raise UsageError(message, f"There are: {', '.join(frame.columns)}")
    if isinstance(split, StratifiedSplit):
        return _stratified(frame, split, labels)
    return _hashed(frame, split)


def dealt(place: Any, rows: Any, start: Any, shares: Mapping[str, float]) -> list[tuple[Any, str]]:
    """Conditions of all parts but the last, in order: how the rows of one stratum are dealt out.

    Of ``rows`` rows each part gets its share of them, rounded down or up. Which of both is
    ``start``'s to say: were it the same everywhere, many small strata would all favour one part.

    Args:
        place: Of a row in its stratum, from 1.
        rows: In the stratum.
        start: At least 0 and below 1; the same for all of a stratum.
        shares: Of each part.
    """
    ends = list(accumulate(shares.values()))[:-1]
    return [(place <= end * rows + start, name) for end, name in zip(ends, shares, strict=False)]


def _stratified(frame: DataFrame, split: StratifiedSplit, labels: Collection[str]) -> Column:
    """Rows of one value of the column, null too, in an order that their content alone decides."""
    from pyspark.sql import Window
    from pyspark.sql import functions as fn

    on, names = column(frame, split.on), frame.columns
    stratum = Window.partitionBy(on)
    kept = [column(frame, one) for one in names if one in labels]
    others = [column(frame, one) for one in names if one not in labels]
    order = [fn.xxhash64(*(kept or others)), *kept, *others]
    place = fn.row_number().over(stratum.orderBy(*order))
    rows = fn.count(fn.lit(1)).over(stratum)
    # Equal values may differ in their bytes, as 0.0 and -0.0 do: one of them speaks for all.
    hashed = fn.min(fn.xxhash64(on)).over(stratum)
    start = fn.pmod(hashed, fn.lit(_HASHES).cast("bigint")) / _HASHES
    return _cases(dealt(place, rows, start, split.shares), split.parts[-1])


def _hashed(frame: DataFrame, split: HashSplit) -> Column:
    from pyspark.sql import functions as fn

    hashed = fn.xxhash64(column(frame, split.on).cast("string"))
    step = fn.pmod(hashed, fn.lit(_HASHES).cast("bigint"))
    shares = list(accumulate(split.shares.values()))[:-1]
    names = list(split.shares)
    return _cases(
        [(step < round(share * _HASHES), name) for share, name in zip(shares, names, strict=False)],
        names[-1],
    )


def _cases(chosen: list[tuple[Column, str]], rest: str) -> Column:
    from pyspark.sql import functions as fn

    made: Any = fn
    for condition, part in chosen:
        made = made.when(condition, part)
    column: Column = fn.lit(rest) if made is fn else made.otherwise(rest)
    return column


def _instant(frame: DataFrame, name: str) -> Column:
    """Microseconds since the epoch, whatever kind of moment it is."""
    from pyspark.sql import functions as fn

    if name not in frame.columns:
        message = f"the transform leaves out {name!r}, by which the parts are told"
        raise UsageError(message, "Keep it, or split by a hash")
    kind = dict(frame.dtypes)[name]
    if kind == "double":
        return fn.round(column(frame, name) * 1e6).cast("bigint")
    return fn.unix_micros(column(frame, name).cast("timestamp"))


def _instant_literal(dataset: Dataset, text: str) -> int:
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        at = None
    if at is None or at.utcoffset() is None:
        message = f"data set {dataset.name!r}: a part ends at {text!r}, which is no instant"
        raise UsageError(message, "Write it like 2013-07-01T00:00:00Z")
    return round(at.timestamp() * 1_000_000)

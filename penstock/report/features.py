"""What the values of each feature look like, as plain JSON, made of a sample with Arrow and NumPy.

No value of a row is in it: borders of bins are rounded to a thousandth of the range they cut, a set
of fewer than :data:`FEW` values has no distribution at all, of texts there are counts, lengths and
how many fall into each of sixteen buckets of a hash. Texts are written out only of a feature whose
contract says ``listed``. Of one that says ``pii`` there is how many values are missing, no more.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.contract import Feature, FeatureGroup, FeatureType

FEW = 20  # values: fewer tell of rows rather than of a distribution
BINS = 20  # of a histogram, beside its open ends
BUCKETS = 16  # of texts, by hash
MAX_FEATURES = 200  # that are described
_MOST_TEXTS = 20_000  # different ones that are hashed
_LISTED = 12  # texts that are written out
_QUANTILES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

Plain = dict[str, Any]


def described(
    rows: pa.Table, group: FeatureGroup, before: Mapping[str, Plain] | None = None
) -> list[Plain]:
    """One entry a feature, in the order of the contract.

    Args:
        rows: A sample; columns that are no features are not looked at.
        group: The contract.
        before: The entries of another run by the feature's name: rows are counted in its bins as
            well, so that the two can be compared.
    """
    known = before or {}
    names = [one.name for one in group.features if one.name in rows.schema.names]
    return [
        _feature(rows.column(name), group.feature(name), group, known.get(name))
        for name in names[:MAX_FEATURES]
    ]


def _feature(
    column: pa.ChunkedArray, feature: Feature, group: FeatureGroup, before: Plain | None
) -> Plain:
    roles = {group.record_identifier: "identifier", group.event_time: "event time"}
    told: Plain = {
        "name": feature.name,
        "type": feature.type.value,
        "role": roles.get(feature.name),
        "pii": feature.pii,
        "rows": len(column),
        "nulls": column.null_count,
    }
    values = column.drop_null()
    if feature.pii or len(values) < FEW or told["role"] == "event time":
        return told
    if feature.type is FeatureType.STRING:
        return told | _texts(values, feature)
    return told | _numbers(values, feature, before)


def _numbers(values: pa.ChunkedArray, feature: Feature, before: Plain | None) -> Plain:
    found = values.to_numpy()
    whole = feature.type is FeatureType.INTEGRAL
    told = numbers(found.astype(np.float64), whole=whole)
    if before is not None and before.get("quantiles"):
        for name in ("quantiles", "shape"):
            edges = before[name]["edges"]
            told[f"{name}_before"] = {"edges": edges, "counts": counted(found, edges)}
    return told


def numbers(found: np.ndarray[Any, Any], *, whole: bool = False) -> Plain:
    """Two cuts of numbers: ``quantiles`` to compare by, ``shape`` to look at; mean and spread.

    Args:
        found: Finite, at least one.
        whole: They are whole numbers.
    """
    cuts = np.quantile(found, (0.01, *_QUANTILES, 0.99))
    low, high = float(cuts[0]), float(cuts[-1])
    unit = _unit(low, high)
    inner = sorted({_round(float(one), unit) for one in cuts[1:-1]})
    shape = _shape(low, high, unit, whole=whole)
    deviation = float(np.std(found))
    return {
        "quantiles": {"edges": inner, "counts": counted(found, inner)},
        "shape": {"edges": shape, "counts": counted(found, shape)},
        "mean": _round(float(np.mean(found)), unit),
        "deviation": _round(deviation, _unit(0.0, deviation)),
        "median": _round(float(np.median(found)), unit),
        "zeros": int(np.count_nonzero(found == 0)),
    }


def counted(values: np.ndarray[Any, Any], edges: Sequence[float]) -> list[int]:
    """How many lie in each bin: up to the first edge, then above each, an edge in the bin below."""
    places = np.searchsorted(np.asarray(edges, np.float64), values, side="left")
    return [int(one) for one in np.bincount(places, minlength=len(edges) + 1)]


def _shape(low: float, high: float, unit: float, *, whole: bool) -> list[float]:
    """Edges from low to high; the bins before the first and after the last are open."""
    if whole and high - low <= BINS:
        first, last = math.floor(low), math.ceil(high)
        return [one - 0.5 for one in range(first, last + 2)]
    if low == high:
        return [_round(low - unit, unit), _round(high + unit, unit)]
    step = (high - low) / BINS
    return sorted({_round(low + index * step, unit) for index in range(BINS + 1)})


def _unit(low: float, high: float) -> float:
    """A thousandth of a range, or of a value where there is no range; a power of ten."""
    size = (high - low) or max(abs(low), abs(high))
    if not size > 0 or not math.isfinite(size):
        return 1e-3
    return float(10.0 ** max(-300, math.floor(math.log10(size)) - 3))


def _round(value: float, unit: float) -> float:
    """To a multiple of a unit, without the digits a float has beyond it."""
    made = round(value / unit) * unit if math.isfinite(value / unit) else value
    digits = -round(math.log10(unit))
    return round(made, digits) if -300 < digits < 300 else made  # noqa: PLR2004 - beyond, a float has none


def _texts(values: pa.ChunkedArray, feature: Feature) -> Plain:
    encoded = pc.value_counts(values.combine_chunks())
    texts, counts = encoded.field("values"), encoded.field("counts")
    lengths = pc.utf8_length(values).to_numpy().astype(np.float64)
    told: Plain = {"distinct": len(texts), "length": numbers(lengths, whole=True)["shape"]}
    if len(texts) <= _MOST_TEXTS:
        told["buckets"] = _buckets(texts.to_pylist(), counts.to_pylist())
    if feature.listed:
        order = sorted(zip(texts.to_pylist(), counts.to_pylist(), strict=True), key=_by_count)
        told["listed"] = [[text, count] for text, count in order[:_LISTED]]
    return told


def _by_count(one: tuple[str, int]) -> tuple[int, str]:
    return (-one[1], one[0])


def _buckets(texts: Sequence[str], counts: Sequence[int]) -> list[int]:
    found = [0] * BUCKETS
    for text, count in zip(texts, counts, strict=True):
        found[zlib.crc32(text.encode("utf-8", "surrogateescape")) % BUCKETS] += count
    return found

"""How far a feature has moved since another run: the population stability index, in its bins.

``PSI = sum over bins of (now - before) * ln(now / before)``, of shares; a value that is missing is
a bin of its own, and a share below :data:`LEAST` counts as that. Numbers are cut at the quantiles
of the earlier run, texts by a hash. Below 0.1 nothing has moved, from 0.25 on it has: the usual
reading of the index. Chance alone makes it about ``(bins - 1) * (1 / now + 1 / before)``, of rows;
of fewer than :data:`ENOUGH` rows on either side nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

ENOUGH = 200  # rows of each run
LEAST = 1e-4  # a share
SOME, MUCH = 0.1, 0.25

Plain = Mapping[str, Any]


def drifts(now: Sequence[Plain], before: Mapping[str, Plain]) -> list[dict[str, Any]]:
    """One entry a feature that both runs describe: name, index, bins, and what to make of it.

    Args:
        now: Entries of :func:`penstock.report.features.described`, counted in the bins of
            ``before``.
        before: The entries of the other run, by name.
    """
    found = []
    for one in now:
        other = before.get(one["name"])
        if other is None or one["pii"] or one["role"] is not None:
            continue
        told = _drift(one, other)
        if told is not None:
            found.append({"name": one["name"], **told})
    return sorted(found, key=lambda one: -(one["psi"] or 0.0))


def psi(now: Sequence[float], before: Sequence[float]) -> float:
    """The index of two lists of counts in the same bins; 0 where they have the same shares.

    Raises:
        ValueError: They have not the same number of bins.
    """
    total, other = sum(now), sum(before)
    if not total or not other:
        return 0.0
    shares = [
        (max(LEAST, one / total), max(LEAST, two / other))
        for one, two in zip(now, before, strict=True)
    ]
    return sum((one - two) * math.log(one / two) for one, two in shares)


def _drift(now: Plain, before: Plain) -> dict[str, Any] | None:
    bins = _bins(now, before)
    if bins is None:
        return None
    counts, others = bins
    if min(now["rows"], before["rows"]) < ENOUGH:
        return {"psi": None, "bins": len(counts), "verdict": "few rows"}
    index = psi(counts, others)
    verdict = "moved" if index >= MUCH else "a little" if index >= SOME else "steady"
    return {"psi": round(index, 4), "bins": len(counts), "verdict": verdict}


def _bins(now: Plain, before: Plain) -> tuple[list[int], list[int]] | None:
    """Counts of the same bins in both runs; the last is what is missing."""
    same = now.get("quantiles_before")
    if same is not None:
        counts, others = same["counts"], before["quantiles"]["counts"]
    else:
        counts, others = now.get("buckets"), before.get("buckets")
    if counts is None or others is None:
        return None
    return [*counts, now["nulls"]], [*others, before["nulls"]]

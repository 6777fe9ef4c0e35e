"""What a run's page says of its features: how they are distributed, and which have moved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.report import charts, page
from penstock.report.markup import Html, joined
from penstock.report.scale import short

Plain = Mapping[str, Any]
_DRAWN = 60  # features with a chart; the table has all
_TONES: Mapping[str, page.Tone] = {"steady": "good", "a little": "warn", "moved": "bad"}


def drift_table(plain: Plain) -> Html:
    """Every feature that was compared, the one that moved most first."""
    drift = plain["drift"]
    if drift["source"] is None:
        return page.note("Compared with nothing.")
    table = page.table(
        ["feature", "stability index", "bins", "verdict"],
        [
            [
                one["name"],
                None if one["psi"] is None else f"{one['psi']:.3f}",
                one["bins"],
                page.badge(one["verdict"], _TONES.get(one["verdict"], "plain")),
            ]
            for one in drift["features"]
        ],
        numbers={1, 2},
    )
    return table or page.note("No feature has a distribution in both runs.")


def distributions(plain: Plain) -> Html:
    """A table of all features, and a chart of each that has a distribution."""
    features = plain["features"]
    if not features:
        return Html("")
    table = page.table(
        ["feature", "type", "missing", "different", "characters", "mean", "median", "spread"],
        [_row(one) for one in features],
        caption="Of features marked pii there is only how many values are missing.",
        numbers=range(2, 8),
    )
    drawn = [chart for one in features if (chart := _chart(one)) is not None]
    return joined([table, page.grid(drawn[:_DRAWN])])


def _row(one: Plain) -> list[object]:
    name = one["name"] if one["role"] is None else f"{one['name']} ({one['role']})"
    missing = f"{one['nulls'] / one['rows']:.1%}" if one["rows"] else None
    different = one.get("distinct")
    numbers = [
        None if one.get(key) is None else short(one[key]) for key in ("mean", "median", "deviation")
    ]
    kind = f"{one['type']}, pii" if one["pii"] else one["type"]
    shown = None if different is None else f"{different:,}"
    return [name, kind, missing, shown, _lengths(one), *numbers]


def _lengths(one: Plain) -> str | None:
    """From the shortest to the longest text, but for a few in a hundred at either end."""
    if "length" not in one:
        return None
    edges = one["length"]["edges"]
    first, last = math.ceil(edges[0]), math.floor(edges[-1])
    return f"{first}" if first >= last else f"{first} to {last}"


def _chart(one: Plain) -> Html | None:
    if "listed" in one:
        return charts.bars(one["listed"], title=f"{one['name']}: the most frequent values")
    if "length" in one and one["role"] is None:
        if sum(map(bool, one["length"]["counts"])) == 1:  # all are of one length
            return None
        return _histogram(one["name"], one["length"], None, "characters")
    if "shape" not in one or one["role"] is not None:
        return None
    before = one.get("shape_before")
    if before is None or "shape_were" not in one:
        return _histogram(one["name"], one["shape"], None, "")
    return _histogram(one["name"], before, one["shape_were"], "")


def _histogram(
    name: str, shape: Plain, previous: Sequence[float] | None, x_label: str
) -> Html | None:
    edges, counts = [-math.inf, *shape["edges"], math.inf], list(shape["counts"])
    others = None if previous is None else list(previous)
    for end in (0, -1):  # open ends in which nothing lies say nothing
        if not counts[end] and not (others and others[end]):
            del counts[end], edges[end]
            if others:
                del others[end]
    if not counts:
        return None
    return charts.histogram(edges, counts, title=name, x_label=x_label, previous=others)

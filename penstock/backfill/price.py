"""Dollars and hours of a plan, from a dated price table and the rate that is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from penstock.backfill.estimate import Count, Span
from penstock.conf_price import Prices
from penstock.config import Settings
from penstock.run.timeline import Cell

GB = 1e9  # bytes; whether AWS bills 10^9 or 2^30 is not documented: this is the dearer one
NEWEST = 1_000  # windows that are asked how fast they were
MILLION = 1e6


@dataclass(frozen=True)
class Bill:
    """What the windows of a plan cost.

    Args:
        writes: Dollars for the write units; None without a price.
        storage: Dollars a month for what is then online, at most: an identifier of two windows
            counts twice; None without a price.
        region: Whose prices they are.
        date: When the prices were looked up.
        source: Where.
    """

    writes: Span | None
    storage: Span | None
    region: str
    date: str
    source: str

    def plain(self) -> dict[str, Any]:
        """A JSON form."""
        spans = {"writes": self.writes, "storage_a_month": self.storage}
        dollars = {name: None if one is None else one.plain() for name, one in spans.items()}
        return dollars | {"region": self.region, "date": self.date, "source": self.source}


def bill(found: Count, prices: Prices, region: str) -> Bill:
    """The bill of what was counted; without a price for the region it says so by None."""
    price = prices.regions.get(region)
    if price is None:
        return Bill(None, None, region, prices.date, prices.source)
    bytes_ = Span(0, found.record_bytes.about, found.record_bytes.high)
    storage = None if price.storage is None else bytes_.times(price.storage / GB)
    writes = found.write_units.times(price.write_units / MILLION)
    return Bill(writes, storage, region, prices.date, prices.source)


@dataclass(frozen=True)
class Pace:
    """How fast it is expected to go.

    Args:
        units_s: Write units a second; None where nothing tells.
        window_s: Seconds of a window beside sending; None where no window is done yet.
        source: Where the rate comes from.
    """

    units_s: float | None
    window_s: float | None
    source: str

    def seconds(self, found: Count, windows: int, parallel: int) -> Span | None:
        """Seconds for so many windows, so many at a time; None where nothing tells.

        Sending shares one rate, whatever runs side by side; the rest does not.
        """
        if found.records.high == 0:
            sending: Span | None = Span()
        else:
            sending = None if self.units_s is None else found.write_units.times(1 / self.units_s)
        if sending is None:
            return None
        rounds = -(-windows // max(1, parallel))
        return sending + Span.exactly(rounds * (self.window_s or 0.0))


def pace(settings: Settings, cells: Sequence[Cell]) -> Pace:
    """What ``conf`` allows or expects; else what finished windows of the group reached."""
    newest = cells[-NEWEST:]
    done = [one.figures for one in newest if one.figures]
    window_s = median([one["seconds"] - one["online_s"] for one in done]) if done else None
    online = settings.online
    reached = [_rate(one) for one in done]
    known = (
        (online.max_write_units_per_s, "online.max_write_units_per_s"),
        (online.expected_write_units_per_s, "online.expected_write_units_per_s"),
        (max(reached, default=0.0) or None, "the fastest finished window"),
    )
    for rate, source in known:
        if rate is not None:
            return Pace(rate, window_s, source)
    return Pace(None, window_s, "nothing is known yet: set online.expected_write_units_per_s")


def _rate(figures: Mapping[str, Any]) -> float:
    """Records a second, each taken to be one unit."""
    return float(figures["accepted"] / figures["online_s"]) if figures["online_s"] else 0.0

"""docs/freshness.md out of the results of ``make bench-stream``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GROUPS = {"per_event": "flight_status", "windowed": "route_traffic"}
TARGETS_S = {"per_event": 1.0, "windowed": 3.0}  # p99 at 1,000 events a second
MOST = 5_000  # events a second that each must take
_HEAD = """# How fresh a stream is

<!-- Written by `make bench-stream` from bench/results/stream.json; edits are lost. -->

Freshness is the time from the sending of an event to the moment its record can be read from the
online store, measured outside penstock: by the producer's clock, and by the stand-in for AWS,
which notes when it applied each record and answers each call 10 ms late. Of a window's row the
newest event in it counts. Broker, producer, stand-in, driver and Spark share the machine's cores;
the settings are those of `conf/local.yaml`, a batch may begin 0.3 s (`per_event`) and 0.5 s
(`windowed`) after the one before, and the offline store is written too, every ten seconds. Events
are the flights in the order of their hours, 0.5 KB of JSON each.

"""
_AFTER = """
`max_rate` is the greatest rate at which the lag stays flat for a quarter of a minute: half of
what is sent in the last third is at most half as stale again as half of the third before, or half
a second staler. What was tried, in order:

"""
_END = """
p99 has the commit to the offline table in it, which takes the processor for a moment each ten
seconds. A stream is slower in its first minute, while Java compiles: here figures count from
second 30 on. Start-up is from the command to the first event read, Java, Spark and the reading of
the other sources included.

Nothing of this was measured on AWS: there each call takes longer than 10 ms, a checkpoint lies on
S3, and the driver has no broker beside it.
"""
_COLUMNS = (
    *("arm", "group", "p50", "p99", "greatest", "target", "CPU s per 1,000 events"),
    *("max_rate", "target", "start-up"),
)


def page(made: Mapping[str, Any]) -> str:
    """The page.

    Args:
        made: bench/results/stream.json.
    """
    rows = [
        f"Of {made['at'][:10]}, {made['machine']}, at 1,000 events a second for three minutes:",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"|{'---|' * len(_COLUMNS)}",
        *(_arm(name, found) for name, found in made["arms"].items()),
    ]
    tried = [f"- `{name}`: {_tried(found)}" for name, found in made["arms"].items()]
    return f"{_HEAD}{_lines(rows)}{_AFTER}{_lines(tried)}{_END}"


def _arm(name: str, found: Mapping[str, Any]) -> str:
    fresh, rate = found["freshness_s"], found["max_rate"]
    cells = [
        f"`{name}`",
        f"`{GROUPS[name]}`",
        *(f"{fresh[one]:.2f} s" for one in ("p50", "p99", "max")),
        f"p99 ≤ {TARGETS_S[name]:g} s: {word(hit=fresh['p99'] <= TARGETS_S[name])}",
        f"{found['cpu_s_per_1k']:.2f}",
        f"{rate:,}",
        f"≥ {MOST:,}: {word(hit=rate >= MOST)}",
        f"{found['startup_s']:.0f} s",
    ]
    return f"| {' | '.join(cells)} |"


def _tried(found: Mapping[str, Any]) -> str:
    told = []
    for one in found["steps"]:
        last = one["last"]
        fresh = "nothing arrived" if last is None else f"p50 {last['p50']:.2f} s"
        how = "flat" if one["flat"] else "not flat"
        told.append(f"{one['rate']:,}/s ({one['sent']:,} sent, {fresh}, {how})")
    return "; ".join(told)


def _lines(rows: list[str]) -> str:
    return "".join(f"{one}\n" for one in rows)


def word(*, hit: bool) -> str:
    """Whether a target was hit, as people read it."""
    return "reached" if hit else "MISSED"

"""T10, T11 and line 4.4: write quotas, believed rightly and wrongly, and what is made of them.

The figures are the service's: units granted and refused, and when records were applied.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest

from penstock.emulator.faults import Quota
from penstock.emulator.server import Emulator
from penstock.online.pacing import START
from tests.checker import Evidence
from tests.faults.field import Attempt, Field
from tests.faults.fleet import Fleet, cut
from tests.sending import JOB, table

Make = Callable[..., Field]
QUOTA = 1_000.0
WORKERS = 4


@dataclass(frozen=True)
class Paced:
    """What a quota did to a run."""

    attempt: Attempt
    evidence: Evidence
    granted: int
    refused: int

    @property
    def share(self) -> float:
        """Refused units of all that were asked for."""
        return self.refused / (self.refused + self.granted)

    def applied_in(self, start: float, end: float) -> int:
        """Records applied so many seconds after the first one."""
        first = self.evidence.journal[0].nanos
        moments = [(one.nanos - first) / 1e9 for one in self.evidence.journal if one.applied]
        return sum(start <= at < end for at in moments)


def paced(
    emulator: Emulator,
    field: Field,
    quota: Quota,
    rows: int,
    *,
    workers: int,
    shares: Sequence[float],
    limit_s: float,
) -> Paced:
    """Send so many rows of one unit under a quota."""
    emulator.faults.add(quota)
    field.stage(table(rows), shares)
    attempt = field.send_by(workers, limit_s=limit_s)
    granted, refused = emulator.faults.granted(quota)
    evidence = field.assure(attempt, floor=rows)
    assert field.totals().figures.rejected == 0
    return Paced(attempt, evidence, granted, refused)


@pytest.mark.alone
@pytest.mark.shows("4.3")
@pytest.mark.parametrize(
    ("rate", "rows", "workers", "ratio", "share"),
    [
        (1_000.0, 4_000, 2, 1.6, 0.25),  # the start weighs more in four seconds than in sixty
        pytest.param(500.0, 30_000, 4, 1.25, 0.10, marks=pytest.mark.prove),
    ],
)
def test_t10_throttle_steady(
    emulator: Emulator,
    make: Make,
    rate: float,
    rows: int,
    workers: int,
    ratio: float,
    share: float,
) -> None:
    """A steady quota: at most 1.25 times the ideal time, at most 10 % throttled, exit 0."""
    field = make(in_flight=8)
    found = paced(
        emulator, field, Quota(rate), rows, workers=workers, shares=(1,) * workers, limit_s=120
    )
    assert found.attempt.seconds <= ratio * rows / rate
    assert found.share <= share


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_t11_throttle_drop_and_recover(emulator: Emulator, make: Make) -> None:
    """500, 100, 500: ten seconds after it is back, 80 % of the quota is used; rejected 0.

    There are so many rows that no worker is through with its own before the minute is over.
    """
    quota = Quota(500.0, schedule=((20.0, 100.0), (40.0, 500.0)))
    field = make(in_flight=8)
    found = paced(emulator, field, quota, 34_000, workers=2, shares=(1, 1), limit_s=150)
    assert found.applied_in(50.0, 60.0) >= 0.8 * 500 * 10
    assert found.applied_in(25.0, 40.0) <= 100 * 15 * 1.1


@dataclass(frozen=True)
class Belief:
    """What the user believes the quota to be, and what becomes of it.

    Args:
        expected: Over all processes; None where nothing is said.
        schedule: Changes of the quota of 1,000 units a second.
        share: Refused units there may be, of all asked for.
        ratio: Times of the ideal time.
    """

    name: str
    expected: float | None
    schedule: tuple[tuple[float, float], ...] = ()
    share: float = 0.05
    ratio: float = 1.3


HALVED = ((30.0, QUOTA / 2),)
BELIEFS = [
    Belief("right", QUOTA),
    Belief("four times high", 4 * QUOTA),
    Belief("four times low", QUOTA / 4),
    Belief("none", None),
    Belief("right, then halved", QUOTA, HALVED),
    Belief("four times high, then halved", 4 * QUOTA, HALVED),
    Belief("four times low, then halved", QUOTA / 4, HALVED),
]
OUTAGES = [
    Belief("a tenth for a while", QUOTA, ((20.0, 100.0), (40.0, QUOTA)), ratio=1.5),
    Belief("nothing for a while", QUOTA, ((20.0, 0.0), (40.0, QUOTA)), ratio=1.5),
]
ROWS = 64_000


@pytest.mark.shows("4.4")
@pytest.mark.parametrize("belief", [*BELIEFS, *OUTAGES], ids=lambda one: one.name)
def test_a_minute_of_pacing_on_a_clock_of_its_own(belief: Belief) -> None:
    """1,000 units/s, four processes, skewed files: < 5 % throttled, <= 1.3 x ideal.

    Real senders and limiters, the embedded AWS's own quota; only sockets and waiting are left out.
    """
    job = replace(JOB, in_flight=None, chunk_rows=1_000)
    start = START if belief.expected is None else belief.expected / WORKERS
    quota = Quota(QUOTA, schedule=belief.schedule)
    fleet = Fleet(job, cut(table(ROWS), skewed(16)), quota, start)
    took = fleet.run(WORKERS)
    assert fleet.accepted == ROWS
    assert fleet.share < belief.share
    assert took <= belief.ratio * ideal_s(ROWS, belief)


@pytest.mark.prove
@pytest.mark.shows("4.4")
@pytest.mark.parametrize("belief", [*BELIEFS[:3], BELIEFS[4]], ids=lambda one: one.name)
def test_a_quota_is_used_whatever_is_believed_of_it(
    emulator: Emulator, make: Make, belief: Belief
) -> None:
    """The same with four real processes and over real time, a minute and more each."""
    found = _believing(emulator, make, belief)
    ideal = ideal_s(ROWS, belief)
    assert ideal >= 60
    _say(f"{belief.name}: {found.share:.3f}, {found.attempt.seconds / ideal:.3f} x ideal")
    assert found.share < belief.share
    assert found.attempt.seconds <= belief.ratio * ideal


def _believing(emulator: Emulator, make: Make, belief: Belief) -> Paced:
    changes: dict[str, Any] = {}
    if belief.expected is not None:
        changes["expected_write_units_per_s"] = belief.expected / WORKERS
    field = make(chunk_rows=250, **changes)
    quota = Quota(QUOTA, schedule=belief.schedule)
    return paced(
        emulator, field, quota, ROWS, workers=WORKERS, shares=skewed(16), limit_s=30 + ROWS / 300
    )


def _say(figures: str) -> None:
    """Shown with ``-s``: throttled share and makespan."""
    sys.stdout.write(f"{figures}\n")


def skewed(files: int) -> list[float]:
    """Pareto sizes: the largest is several times the smallest."""
    chance = Random(4)
    return [chance.paretovariate(1.5) for _ in range(files)]


def ideal_s(rows: int, belief: Belief) -> float:
    """When a client that knew everything would be done: the quota's bucket starts full."""
    left, at, rate = rows - QUOTA, 0.0, QUOTA
    for moment, following in belief.schedule:
        if left <= (moment - at) * rate:
            break
        left, at, rate = left - (moment - at) * rate, moment, following
    return at + left / rate


def test_the_ideal_is_what_it_says() -> None:
    """A bucket of a second, then the rates one after the other; files are skewed."""
    assert ideal_s(64_000, BELIEFS[0]) == 63.0
    assert ideal_s(64_000, BELIEFS[4]) == 30.0 + 33_000 / 500
    assert ideal_s(64_000, OUTAGES[1]) == 83.0
    assert max(skewed(16)) > 4 * min(skewed(16))

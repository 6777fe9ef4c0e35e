"""The limiter's law, on a clock of the test's own."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

import pytest

from penstock.online.pacing import Pacer


@dataclass
class Quota:
    """A service that writes so many units a second and throttles the rest; a second of burst."""

    rate: float
    tokens: float = 0.0
    at: float = 0.0
    written: list[float] = field(default_factory=list)

    def write(self, now: float, units: int) -> bool:
        """Whether the units were written."""
        self.tokens = min(self.rate, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < units:
            return False
        self.tokens -= units
        self.written += [now] * units
        return True


def simulate(pacer: Pacer, quota: Quota, changes: dict[float, float], until: float) -> float:
    """12 requests in flight of one unit, 15 ms each; answers the throttled share."""
    jitter = random.Random(4)
    free = [(0.001 * n, n) for n in range(12)]
    sent = throttled = 0
    while free[0][0] < until:
        now, slot = heapq.heappop(free)
        for at in [one for one in changes if one <= now]:
            quota.rate = changes.pop(at)
        wait = pacer.take(now, 1)
        if wait > 0:
            heapq.heappush(free, (now + wait, slot))
            continue
        sent += 1
        later = now + 0.015 * jitter.uniform(0.7, 1.3)
        if quota.write(now, 1):
            pacer.accepted(later, 1)
        else:
            throttled += 1
            pacer.throttled(later)
        heapq.heappush(free, (later, slot))
    return throttled / sent


def test_a_steady_quota_is_used_and_hardly_exceeded() -> None:
    """T10: makespan within 1.25 of the ideal, at most 10 % of requests throttled."""
    quota = Quota(500.0)
    share = simulate(Pacer(0.0, start=25.0), quota, {}, 60.0)
    assert len(quota.written) >= 60 * 500 / 1.25
    assert share <= 0.10


def test_a_start_above_the_quota_costs_little() -> None:
    """The start of 2,000/s against a quota of 500/s: the same bounds hold."""
    quota = Quota(500.0)
    share = simulate(Pacer(0.0), quota, {}, 30.0)
    assert len(quota.written) >= 30 * 500 / 1.25
    assert share <= 0.10


def test_a_quota_that_falls_and_comes_back_is_found_again() -> None:
    """T11: 500, 100, 500: ten seconds after it is back, 80 % of it is used."""
    quota = Quota(500.0)
    simulate(Pacer(0.0, start=25.0), quota, {20.0: 100.0, 40.0: 500.0}, 60.0)
    back = [at for at in quota.written if 50.0 <= at < 60.0]
    assert len(back) >= 0.8 * 500 * 10


def test_the_ceiling_is_never_exceeded() -> None:
    """What a person set holds whatever the replies say, to within one burst."""
    quota = Quota(1e9, tokens=1e9)
    simulate(Pacer(0.0, ceiling=200.0), quota, {}, 20.0)
    assert 190 * 20 <= len(quota.written) <= 200 * 20 + 20


def test_a_ceiling_below_one_unit_holds_too() -> None:
    """The floor of one unit a second does not lift a ceiling."""
    pacer = Pacer(0.0, ceiling=0.5)
    pacer.accepted(1.0, 1)
    assert pacer.rate == 0.5


def test_doubles_each_second_until_the_first_throttle() -> None:
    """Slow start, then 20 % a second of the larger of the rate and half of the last maximum."""
    pacer = Pacer(0.0, start=100.0)
    for step in range(1, 101):
        pacer.take(step / 100, 5)
        pacer.accepted(step / 100, 1)
    assert pacer.rate == pytest.approx(200.0, rel=0.05)
    pacer.throttled(1.0)
    cut = pacer.rate
    for step in range(1, 101):
        pacer.take(1 + step / 100, 5)
        pacer.accepted(1 + step / 100, 1)
    assert pacer.rate == pytest.approx(cut * 1.2, rel=0.05)


def test_cuts_at_most_once_per_half_second() -> None:
    """A hundred throttles that tell of the same rate cut it once; the next cut is as deep."""
    pacer = Pacer(0.0, start=1000.0)
    for _ in range(100):
        pacer.throttled(1.0)
    assert pacer.rate == pytest.approx(700.0)
    pacer.accepted(1.5, 400)
    rate = pacer.rate
    pacer.throttled(1.55)
    assert pacer.rate == pytest.approx(rate * 0.7)


def test_cuts_to_what_is_taken_and_soon() -> None:
    """Where far less is taken than sent, a fifth of a second is enough, and 0.3 the deepest cut."""
    pacer = Pacer(0.0, start=1000.0)
    pacer.throttled(1.0)
    pacer.accepted(1.2, 70)
    pacer.throttled(1.21)
    assert pacer.rate == pytest.approx(70 / 0.21)
    pacer.throttled(1.5)
    assert pacer.rate == pytest.approx(70 / 0.21 * 0.3)


def test_recovers_from_a_closed_quota() -> None:
    """At one unit a second a batch of 25 is due every 25 s: each counts for as long."""
    pacer = Pacer(0.0, start=1000.0)
    for second in range(1, 200):
        pacer.throttled(float(second))
    now = 200.0
    for _ in range(200):
        wait = pacer.take(now, 25)
        now += wait
        if wait == 0.0:
            pacer.accepted(now, 25)
    assert now < 290.0
    assert pacer.rate > 100.0


def test_does_not_grow_unused() -> None:
    """A rate that is not used is not known to be allowed."""
    pacer = Pacer(0.0, start=1000.0)
    for step in range(1, 400):
        pacer.take(step / 100, 1)
        pacer.accepted(step / 100, 1)
    assert pacer.rate < 1000.0 * 1.3


def test_never_falls_below_one_unit_a_second() -> None:
    """A run against a closed quota still asks now and then."""
    pacer = Pacer(0.0, start=10.0)
    for second in range(1, 200):
        pacer.throttled(float(second))
    assert pacer.rate == 1.0


def test_a_record_larger_than_the_burst_is_sent_and_paid_for() -> None:
    """350 units at 100 a second go at once from a full bucket; then 3.5 s pass."""
    pacer = Pacer(0.0, start=100.0)
    assert pacer.take(0.0, 350) == 0.0
    assert pacer.take(0.0, 10) == pytest.approx(3.5, abs=0.01)
    assert pacer.take(3.4, 10) > 0.0
    assert pacer.take(3.51, 10) == 0.0

"""The circuit breaker: what opens it, what closes it, and that little trouble does not."""

from __future__ import annotations

import pytest

from penstock.online.health import GOOD, Health
from penstock.online.outcome import Outcome, Verdict
from penstock.online.transport import Answer, Failure, Request
from tests.event_loop import FINE, THROTTLED, drive, prepared, refusal

DOWN = Verdict(Outcome.TRANSIENT, "HTTP 500")
BUSY = refusal("InternalFailure", "later", 500)


def health(patience: int = 1000) -> Health:
    """Of a service known to work, whose failures in a row matter little."""
    return Health(proved=True, patience=patience)


def probing(one: Health) -> bool:
    """Whether requests go one at a time."""
    return one.probing


def trouble(one: Health, now: float, *, failed: bool = True) -> None:
    """A failure."""
    one.troubled(now, now + 0.1, DOWN, failed=failed)


def test_repetitions_have_a_budget_of_a_fifth_over_ten_seconds() -> None:
    """20 % may be repetitions of failures; the next one opens the breaker."""
    one = health()
    for number in range(80):
        one.sent(number / 10, repeats=False)
    for number in range(20):
        one.sent(8.0 + number / 100, repeats=True)
    assert not probing(one)
    one.sent(8.9, repeats=True)
    assert probing(one)
    assert one.hold(8.9, 1) > 0


def test_the_budget_forgets_after_ten_seconds() -> None:
    """A bad time is over once it is over, and a few requests prove nothing."""
    one = health()
    for number in range(19):
        one.sent(number / 100, repeats=True)
    assert not probing(one)
    for number in range(100):
        one.sent(11.0 + number / 100, repeats=number % 6 == 0)
    assert not probing(one)


def test_one_acceptance_closes_it_and_wipes_the_slate() -> None:
    """After an outage the repetitions that wait are no reason to open it again at once."""
    one = health(patience=16)
    for number in range(16):
        one.sent(number / 100, repeats=False)
        trouble(one, number / 100)
    assert probing(one)
    one.accepted()
    assert not probing(one)
    for number in range(19):
        one.sent(1.0 + number / 100, repeats=True)
    assert not probing(one)


def test_more_than_half_failing_wants_several_good_ones_in_a_row() -> None:
    """F23: above half of the answers of 30 s; five in a row end it, a failure begins anew."""
    one = health()
    for number in range(60):
        one.sent(float(number) / 3, repeats=False)
        if number % 2:
            trouble(one, number / 3)
        else:
            one.accepted()
    assert not probing(one)
    for number in range(3):
        trouble(one, 20.0 + number)
    assert probing(one)
    for _ in range(GOOD - 1):
        one.accepted()
    trouble(one, 24.0)
    for _ in range(GOOD - 1):
        one.accepted()
        assert probing(one)
    one.accepted()
    assert not probing(one)


def test_throttles_never_open_it() -> None:
    """They are the limiter's business, however many there are."""
    one = health(patience=16)
    for number in range(500):
        one.sent(number / 100, repeats=False)
        trouble(one, number / 100, failed=False)
    assert not probing(one)


def test_a_tenth_failing_never_opens_it() -> None:
    """T14: 10 % of 5xx: all requests that may be in flight stay in flight, nothing is lost."""
    count = iter(range(10**6))
    bench, shelf, _, sender = prepared(
        lambda *_: BUSY if next(count) % 10 == 9 else FINE, rows=5000, api="put"
    )
    held: list[bool] = []
    bench.watch = lambda: held.append(sender._health.probing)
    bench.run(sender)
    assert sum(chunk.figures.accepted for chunk in shelf.chunks) == 5000
    assert not any(held[2:])
    assert bench.now < 5000 * 1.11 * 0.01 / 8 * 1.3


def test_sixty_percent_failing_goes_on_slowly_and_loses_nothing() -> None:
    """The breaker opens again and again; no storm of repetitions, every row accepted."""
    count = iter(range(10**6))
    bench, shelf, _, sender = prepared(
        lambda *_: BUSY if next(count) % 5 < 3 else FINE, rows=1000, api="put"
    )
    held: list[bool] = []
    bench.watch = lambda: held.append(sender._health.probing)
    bench.run(sender)
    assert sum(chunk.figures.accepted for chunk in shelf.chunks) == 1000
    assert any(held[2:])
    assert len(bench.calls) < 1000 * 2.6


def test_answers_count_once_and_tell_their_time() -> None:
    """10 ms a call: the histogram has every answered call, in the right place; most in flight."""
    bench, shelf, _ = drive(lambda *_: FINE, rows=250, api="put")
    latency: dict[int, int] = {}
    for chunk in shelf.chunks:
        for edge, calls in chunk.figures.latency.items():
            latency[edge] = latency.get(edge, 0) + calls
        assert chunk.figures.p50_ms == pytest.approx(10, rel=0.07)
    assert sum(latency.values()) == len(bench.calls) == 250
    assert max(chunk.figures.in_flight for chunk in shelf.chunks) == 8


def test_a_failure_has_no_time() -> None:
    """A call that got no answer counts as a call and not in the histogram."""
    lost = Answer(0, failure=Failure.TIMEOUT, detail="silent")
    replies = iter([FINE, lost, THROTTLED])
    _, shelf, _ = drive(lambda *_: next(replies, FINE), rows=75)
    figures = shelf.chunks[0].figures
    assert figures.calls == 5
    assert sum(figures.latency.values()) == 4


@pytest.mark.parametrize("in_flight", [None, 5])
def test_slots_follow_the_operation(in_flight: int | None) -> None:
    """Unset, a batch takes fewer than single records; set, both keep to it."""

    def script(request: Request, _: float) -> Answer:
        del request
        return FINE

    for api, wanted in (("batch", 32), ("put", 192)):
        bench, _, _, sender = prepared(script, 8000, in_flight=in_flight, api=api)
        bench.in_flight = 1000
        bench.run(sender)
        assert bench.most == (in_flight or wanted)

"""T12 and T13: throttling in every shape it was seen in, and a quota of nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest

from penstock.emulator.faults import Rule, Shape, throttled
from penstock.emulator.server import Emulator
from tests.faults.field import Field
from tests.sending import table

Make = Callable[..., Field]


@pytest.mark.shows("4.3")
@pytest.mark.parametrize("api", ["put", "auto"])
def test_t12_throttle_shapes(
    emulator: Emulator, make: Make, transport: dict[str, Any], api: str
) -> None:
    """Six shapes, with and without a time to wait: each is a throttle, none a dead letter."""
    field = make(api=api, **transport)
    actions = [throttled(shape) for shape in get_args(Shape)]
    actions.append(throttled("coded", retry_after=100))
    # These come whatever the rate is: many of them would only slow down what is sent call by call.
    rows, every = (1_000, 100) if api == "put" else (2_500, 30)
    rules = [Rule(action, every=every + 2 * n) for n, action in enumerate(actions)]
    for rule in rules:
        emulator.faults.add(rule)
    field.stage(table(rows))
    attempt = field.send()
    strikes = [emulator.faults.strikes[rule] for rule in rules]
    field.assure(attempt, floor=rows)
    figures = field.totals().figures
    assert min(strikes) >= 2
    assert figures.throttled == sum(strikes) * (1 if api == "put" else 25) == figures.repeated
    assert (figures.rejected, figures.ambiguous) == (0, 0)


@pytest.mark.shows("4.3")
def test_t12_a_wait_that_is_asked_for_is_kept(
    emulator: Emulator, make: Make, transport: dict[str, Any]
) -> None:
    """The first call is throttled for 700 ms: nothing is applied before."""
    field = make(**transport)
    emulator.faults.add(Rule(throttled("null", retry_after=700), first=1))
    field.stage(table(1_000))
    field.assure(field.send(), floor=1_000)
    first, *_, second = [one.nanos for one in emulator.journal()][:26]
    assert second - first >= 0.69e9


@pytest.mark.alone
@pytest.mark.shows("4.3")
@pytest.mark.parametrize("deadline_s", [1.5, pytest.param(5.0, marks=pytest.mark.prove)])
def test_t13_quota_zero_deadline(
    emulator: Emulator, make: Make, transport: dict[str, Any], deadline_s: float
) -> None:
    """No quota at all: exit 75 within the deadline, no marker, no dead letter; resume completes."""
    field = make(deadline_s=deadline_s, **transport)
    emulator.faults.add(Rule(throttled()))
    field.stage(table(1_000))
    stopped = field.send()
    assert stopped.seconds < min(20.0, deadline_s + 2.0)
    assert (field.marked(), stopped.calls) < (1, 64)
    field.assure(stopped, floor=0, exit_code=75)
    field.assure(field.send(), floor=1_000)

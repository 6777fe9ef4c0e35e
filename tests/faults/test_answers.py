"""T14 to T18 and T22: answers that fail, break off, hang, drip, or are not the service's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.emulator.faults import (
    Rule,
    dripped,
    failing,
    garbage,
    hanging,
    reset_after,
    reset_before,
    truncated,
    vanished,
)
from penstock.emulator.server import Emulator
from tests.faults.field import Field
from tests.sending import table

Make = Callable[..., Field]


@pytest.mark.shows("4.3")
@pytest.mark.parametrize("rows", [1_200, pytest.param(30_000, marks=pytest.mark.prove)])
def test_t14_errors_5xx_10_percent(
    emulator: Emulator, make: Make, transport: dict[str, Any], rows: int
) -> None:
    """One call in ten fails with 500, 502, 503, 504 or 509: lost 0, p99 of a record below 2 s."""
    field = make(api="put", **transport)
    rules = [Rule(failing(status), probability=0.02, seed=status) for status in _STATUSES]
    for rule in rules:
        emulator.faults.add(rule)
    field.stage(table(rows))
    attempt = field.send()
    struck = sum(emulator.faults.strikes[rule] for rule in rules)
    field.assure(attempt, floor=rows)
    assert struck >= 0.07 * rows
    assert field.totals().figures.repeated == struck
    assert attempt.seen[0].p99_s < 2.0


@pytest.mark.shows("4.3")
@pytest.mark.parametrize("api", ["put", "auto"])
def test_t15_reset_after_apply_20_percent(
    emulator: Emulator, make: Make, transport: dict[str, Any], api: str
) -> None:
    """Applied, then the answer is lost: sent again, applied once, counted exactly."""
    field = make(api=api, **transport)
    rule = Rule(reset_after(), probability=0.2, seed=15)
    emulator.faults.add(rule)
    field.stage(table(1_000))
    evidence = field.assure(field.send(), floor=1_000)
    lost = emulator.faults.strikes[rule] * (1 if api == "put" else 25)
    figures = field.totals().figures
    assert figures.ambiguous == figures.repeated == lost >= 100
    assert len(evidence.journal) == 1_000 + lost
    assert sum(write.applied for write in evidence.journal) == 1_000


@pytest.mark.shows("4.3")
@pytest.mark.parametrize("action", [reset_before(), truncated()], ids=lambda one: one.name)
def test_t16_reset_before_apply_20_percent(
    emulator: Emulator, make: Make, transport: dict[str, Any], action: Any
) -> None:
    """Connections reset before anything was done, or answers cut in half: lost 0."""
    field = make(api="put", **transport)
    rule = Rule(action, probability=0.2, seed=16)
    emulator.faults.add(rule)
    field.stage(table(1_000))
    field.assure(field.send(), floor=1_000)
    figures = field.totals().figures
    assert figures.ambiguous == figures.repeated == emulator.faults.strikes[rule] >= 150


@pytest.mark.shows("4.3")
def test_t17_hang_and_drip(emulator: Emulator, make: Make, transport: dict[str, Any]) -> None:
    """Answers that never come or come byte by byte: cut off at the limit, here one second."""
    field = make(api="put", **transport)
    rules = [Rule(hanging(60), probability=0.005, seed=1), Rule(dripped(), probability=0.005)]
    for rule in rules:
        emulator.faults.add(rule)
    field.stage(table(1_000))
    attempt = field.send(request_s=1.0)
    struck = [emulator.faults.strikes[rule] for rule in rules]
    field.assure(attempt, floor=1_000)
    assert min(struck) >= 2
    assert field.totals().figures.ambiguous == sum(struck)
    assert 0.9 < attempt.seen[0].longest_s < 1.6


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_t17_hang_and_drip_at_full_length(
    emulator: Emulator, make: Make, transport: dict[str, Any]
) -> None:
    """1 % hang, 1 % drip a byte a second: no request above 12 s, total at most 1.5 times clean.

    A request that hangs holds its chunk open for 12 s, and few chunks may be open: the pace is one
    at which that does not matter.
    """
    rows, pace = 12_000, 300.0
    field = make(in_flight=32, chunk_rows=1_000, max_write_units_per_s=pace, **transport)
    field.stage(table(rows))
    clean = field.send(limit_s=90)
    field.assure(clean, floor=rows)
    field.change(results=str(field.folder / "again"))
    rules = [Rule(hanging(60), probability=0.01, seed=1), Rule(dripped(), probability=0.01)]
    for rule in rules:
        emulator.faults.add(rule)
    attempt = field.send(limit_s=180)
    field.assure(attempt, floor=rows)
    assert sum(emulator.faults.strikes[rule] for rule in rules) >= 0.01 * rows / 25
    assert attempt.seen[0].longest_s <= 12.5
    assert attempt.seconds <= 1.5 * clean.seconds


@pytest.mark.shows("4.3")
def test_t18_garbage_200(emulator: Emulator, make: Make, transport: dict[str, Any]) -> None:
    """A proxy's page with status 200: exit 70, nothing accepted, not even in the middle of a run.

    With the proxy gone the same command completes.
    """
    field = make(**transport)
    field.stage(table(1_000))
    for rule in (Rule(garbage()), Rule(garbage(), every=9)):
        emulator.faults.add(rule)
        stopped = field.send()
        assert emulator.faults.strikes[rule] >= 1
        assert "not SageMaker" in stopped.said
        field.assure(stopped, floor=0, exit_code=70)
    field.assure(field.send(), floor=1_000)


@pytest.mark.shows("4.3")
@pytest.mark.parametrize("rows", [1_000, pytest.param(10_000, marks=pytest.mark.prove)])
def test_t22_resource_not_found_flaky(
    emulator: Emulator, make: Make, transport: dict[str, Any], rows: int
) -> None:
    """One answer in 200 says that the group is not there: exit 0, dead letters 0."""
    field = make(api="put", **transport)
    rule = Rule(vanished("birds"), probability=0.005, seed=22)
    emulator.faults.add(rule)
    field.stage(table(rows))
    evidence = field.assure(field.send(), floor=rows)
    assert emulator.faults.strikes[rule] >= 3
    assert not evidence.dead


_STATUSES = (500, 502, 503, 504, 509)

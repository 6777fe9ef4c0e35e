"""T23 to T25: records the service refuses, and batches of which every entry has its own fate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.emulator.faults import Reply, Rule, refused, unprocessed
from penstock.emulator.server import Emulator
from tests.faults.field import Field
from tests.sending import table

Make = Callable[..., Field]


#: The whole call is refused for a record's sake.
INVALID = Reply("refused", 400, '{"message": "A value is not valid."}', "ValidationException")


def poison(bad: int, rows: int) -> Any:
    """Birds of which ``bad``, evenly spread, have poisoned identifiers."""
    step = rows // bad
    poisoned = set(range(step // 2, rows, step)[:bad])
    return table(rows, id=[f"poison{n}" if n in poisoned else f"k{n}" for n in range(rows)])


@pytest.mark.shows("4.3")
@pytest.mark.parametrize("api", ["put", "auto"])
@pytest.mark.parametrize("rows", [1_200, pytest.param(10_000, marks=pytest.mark.prove)])
def test_t23_poison_records(
    emulator: Emulator, make: Make, transport: dict[str, Any], api: str, rows: int
) -> None:
    """37 bad records: 37 dead letters with their codes, every neighbour accepted, exit 0."""
    field = make(api=api, **transport)
    code = "ValidationException" if api == "put" else "ValidationError"
    emulator.faults.add(Rule(refused(code, "no"), identifier="^p"))
    field.stage(poison(37, rows))
    evidence = field.assure(field.send(), floor=rows - 37)
    assert sorted(one.row.identifier for one in evidence.dead) == sorted(
        row.identifier for row in evidence.sent if row.identifier.startswith("p")
    )
    assert {one.code for one in evidence.dead} == {code}
    assert len(evidence.dead) == 37


@pytest.mark.shows("4.3")
def test_t23_one_bad_record_spoils_no_batch(
    emulator: Emulator, make: Make, transport: dict[str, Any]
) -> None:
    """Whole batches are refused because of one entry: halved until it stands alone."""
    field = make(**transport)
    emulator.faults.add(Rule(INVALID, identifier="^p"))
    field.stage(poison(12, 1_000))
    evidence = field.assure(field.send(), floor=988)
    assert {one.row.identifier[:1] for one in evidence.dead} == {"p"}
    assert len(evidence.dead) == 12


@pytest.mark.shows("4.3")
@pytest.mark.parametrize("api", ["put", "auto"])
def test_t24_everything_rejected(
    emulator: Emulator, make: Make, transport: dict[str, Any], api: str
) -> None:
    """Every record is refused: exit 65 after 100 and what is in flight, nothing accepted.

    With the group mended the same command sends what has no outcome yet.
    """
    field = make(api=api, in_flight=8, **transport)
    rule = Rule(refused(message="no"))
    emulator.faults.add(rule)
    field.stage(table(2_000))
    stopped = field.send()
    records = emulator.faults.strikes[rule]
    assert "Compare the contract with the feature group" in stopped.said
    assert records <= 100 + 9 * (1 if api == "put" else 25)
    stopped_evidence = field.assure(stopped, floor=0, exit_code=65)
    assert not stopped_evidence.answered
    field.assure(field.send(), floor=1_800)


@pytest.mark.shows("4.3")
@pytest.mark.parametrize(
    ("rows", "often"), [(1_200, 0.1), pytest.param(10_000, 0.01, marks=pytest.mark.prove)]
)
def test_t25_batch_write_partial(
    emulator: Emulator, make: Make, transport: dict[str, Any], rows: int, often: float
) -> None:
    """Entries refused, failed, throttled or left, among equals: each row its own outcome.

    Throttles that do not ask how fast it goes slow a long run down for ever: there they are rare.
    """
    field = make(api="batch", **transport)
    passing = [
        Rule(unprocessed(), probability=often, seed=1),
        Rule(refused("InternalFailure", "later"), probability=often / 2, seed=2),
        Rule(refused("ThrottlingException", "slower"), probability=often / 2, seed=3),
    ]
    emulator.faults.add(Rule(refused(message="no"), identifier="7$"))
    for rule in passing:
        emulator.faults.add(rule)
    field.stage(table(rows))
    evidence = field.assure(field.send(), floor=rows * 9 // 10)
    assert {one.row.identifier for one in evidence.dead} == {f"k{n}" for n in range(7, rows, 10)}
    struck = [emulator.faults.strikes[rule] for rule in passing]
    figures = field.totals().figures
    assert min(struck) >= rows * often / 5
    assert figures.throttled == struck[0] + struck[2]
    assert figures.repeated == sum(struck)

"""The checker has teeth: each broken promise, put into good evidence, is found and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.checker import STATES, Dead, Evidence, Findings, Row, Shape, Write, assure, check

SHAPE = Shape("id", "at", {"id": "String", "at": "String", "level": "Integral", "x": "Fractional"})
OLD, NEW, NEWEST = "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", "2024-01-03T00:00:00Z"
CANARY = "AKIACANARY"


def row(identifier: str, at: str, level: int = 1, place: str = "") -> Row:
    """A row with a level."""
    return SHAPE.row({"id": identifier, "at": at, "level": level, "x": 0.1}, place)


def write(one: Row, **changes: Any) -> Write:
    """The journal's line of a row that was applied."""
    made = Write(one.identifier, one.event_time, f"hash of {one.content}")
    return made._replace(**changes)


A_OLD, A, A_LATE = row("a", OLD), row("a", NEW), row("a", NEWEST)
B, C, GONE = row("b", OLD), row("c", OLD), Row("d", NEW, "")
TWIN = row("e", OLD, 7)


def good() -> Evidence:
    """Seven rows: two versions, a duplicate, one put aside, one refused, one tombstone."""
    rows = [A_OLD, A, B, TWIN, TWIN, C, GONE, row("q", OLD)]
    placed = [one._replace(place=f"f:{n}") for n, one in enumerate(rows)]
    return Evidence(
        rows=placed,
        sent=[A, B, TWIN, C, GONE],
        answered=[A, B, TWIN, GONE],
        dead=[Dead(C, "ValidationError")],
        journal=[
            write(A),
            write(B, applied=False, fault="throttled"),
            write(B),
            write(C, applied=False, fault="refused"),
            write(TWIN),
            write(TWIN, applied=False),
            write(GONE, operation="DeleteRecord"),
        ],
        online={"a": A, "b": B, "e": TWIN},
        figures={"sent": 5, "accepted": 4, "skipped": 0, "rejected": 1},
        offline=[A_OLD, A, B, TWIN, GONE],
        quarantined=frozenset({"f:7"}),
        collapsed=1,
        ledger=[(state, 1) for state in STATES],
        texts={"log": "nothing to see"},
        canaries=[CANARY],
    )


def _kept(one: Write) -> Write:
    return one._replace(fault="reset before", applied=False)


def _offline(evidence: Evidence) -> list[Row]:
    return list(evidence.offline or ())


Mutant = Callable[[Evidence], Evidence]
MUTANTS: dict[str, tuple[str, Mutant]] = {
    "a row has no outcome": ("lost", lambda e: replace(e, answered=e.answered[1:])),
    "a row has two outcomes": (
        "lost",
        lambda e: replace(e, dead=[*e.dead, Dead(A, "ValidationError")]),
    ),
    "a row is answered twice": ("lost", lambda e: replace(e, answered=[*e.answered, A])),
    "an older version is not offline": ("lost", lambda e: replace(e, offline=_offline(e)[1:])),
    "a rejected row is offline": (
        "lost",
        lambda e: replace(e, offline=[*_offline(e), C]),
    ),
    "an exact duplicate is counted that is not there": (
        "lost",
        lambda e: replace(e, collapsed=2),
    ),
    "a row is put aside and offline": (
        "lost",
        lambda e: replace(e, quarantined=frozenset({"f:7", "f:1"})),
    ),
    "a row is offline twice": ("dup", lambda e: replace(e, offline=[*_offline(e), B])),
    "a row is accepted that was never written": (
        "phantom",
        lambda e: replace(e, journal=[one for one in e.journal if one.identifier != "b"]),
    ),
    "a row is accepted that a fault kept from being written": (
        "phantom",
        lambda e: replace(e, journal=[_kept(one) for one in e.journal]),
    ),
    "a stranger is offline": (
        "unexpected",
        lambda e: replace(e, offline=[*_offline(e), row("z", OLD)]),
    ),
    "a value changed on its way offline": (
        "unexpected",
        lambda e: replace(e, offline=[*_offline(e)[:-3], row("b", OLD, 2), TWIN, GONE]),
    ),
    "a stranger is online": (
        "unexpected",
        lambda e: replace(e, online={**e.online, "z": row("z", OLD)}),
    ),
    "a stranger was written": (
        "unexpected",
        lambda e: replace(e, journal=[*e.journal, write(row("z", OLD))]),
    ),
    "a stranger was kept from being written, and shows no event time": (
        "unexpected",
        lambda e: replace(e, journal=[*e.journal, _kept(write(row("z", OLD), event_time=""))]),
    ),
    "a dead letter nobody sent": (
        "unexpected",
        lambda e: replace(e, dead=[*e.dead, Dead(row("z", OLD), "ValidationError")]),
    ),
    "an older write wins": (
        "went_back",
        lambda e: replace(e, journal=[*e.journal, write(A_OLD)], sent=[*e.sent, A_OLD]),
    ),
    "an equal event time is applied again": (
        "went_back",
        lambda e: replace(e, journal=[*e.journal, write(A)]),
    ),
    "the online record is an older version": (
        "wrong_latest",
        lambda e: replace(e, online={**e.online, "a": A_OLD}),
    ),
    "the online record has another value": (
        "wrong_latest",
        lambda e: replace(e, online={**e.online, "b": row("b", OLD, 2)}),
    ),
    "the online record is missing": (
        "wrong_latest",
        lambda e: replace(e, online={"a": A, "e": TWIN}),
    ),
    "a deleted record is still online": (
        "wrong_latest",
        lambda e: replace(e, online={**e.online, "d": row("d", OLD)}),
    ),
    "offline has a newer version than online": (
        "wrong_latest",
        lambda e: replace(e, offline=[*_offline(e), A_LATE], rows=[*e.rows, A_LATE]),
    ),
    "a repetition has another payload": (
        "changed",
        lambda e: replace(e, journal=[*e.journal, write(A, applied=False, payload="other")]),
    ),
    "a row is dead for what the run suffers from": (
        "unfounded",
        lambda e: replace(e, dead=[Dead(C, "ThrottlingException")]),
    ),
    "more is said to be accepted than is": (
        "miscounted",
        lambda e: replace(e, figures={**e.figures, "accepted": 5}),
    ),
    "a reject is counted without a dead letter": (
        "miscounted",
        lambda e: replace(e, figures={**e.figures, "rejected": 2}),
    ),
    "rows sent are miscounted": (
        "miscounted",
        lambda e: replace(e, figures={**e.figures, "sent": 6}),
    ),
    "the ledger leaves a step out": (
        "ledger",
        lambda e: replace(e, ledger=[one for one in e.ledger if one[0] != "ONLINE_DONE"]),
    ),
    "an old driver writes after a new claim": (
        "ledger",
        lambda e: replace(e, ledger=[("CLAIMED", 1), ("CLAIMED", 2), ("PLANNED", 1)]),
    ),
    "a secret is in the log": (
        "canaries",
        lambda e: replace(e, texts={"log": f"key={CANARY}"}),
    ),
    "another exit code": ("exit", lambda e: replace(e, exit_code=75)),
    "nothing was done": ("idle", lambda e: replace(e, journal=e.journal[:1])),
}


def test_good_evidence_is_clean() -> None:
    """Versions, duplicates, quarantine, rejects, deletions, faults and repeats are no findings."""
    assert not check(good(), floor=4)
    assure(good(), floor=4)


@pytest.mark.shows("4.3")
@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_is_caught(name: str) -> None:
    """One thing is made wrong; the checker names it for what it is."""
    kind, mutant = MUTANTS[name]
    found = check(mutant(good()), floor=4)
    assert kind in found.kinds, found
    with pytest.raises(AssertionError, match=kind):
        assure(mutant(good()), floor=4)


def test_every_kind_of_finding_has_a_mutant() -> None:
    """No check is there that no mutant puts to the test."""
    assert {kind for kind, _ in MUTANTS.values()} == set(Findings.__dataclass_fields__)


def test_a_stopped_run_may_leave_rows_open_and_nothing_else() -> None:
    """Exit 75: rows without outcome are no loss, a claim that does not hold still is."""
    stopped = replace(
        good(),
        answered=[A],
        dead=[],
        offline=None,
        figures={"sent": 1, "accepted": 1},
        exit_code=75,
    )
    assert not check(stopped, exit_code=75)
    claimed = replace(stopped, journal=[])
    assert "phantom" in check(claimed, exit_code=75).kinds


def test_skipped_rows_need_no_write() -> None:
    """A correction that lost against a newer value was answered and not written: counted, fine."""
    skipped = replace(
        good(),
        journal=[one for one in good().journal if one.identifier != "b"],
        online={"a": A, "e": TWIN},
        offline=None,
        figures={"sent": 5, "accepted": 3, "skipped": 1, "rejected": 1},
    )
    assert not check(skipped)


def test_an_update_may_repeat_an_event_time() -> None:
    """UpdateRecord applies an equal event time, PutRecord never."""
    update = write(A, operation="UpdateRecord", payload="corrected")
    assert not check(replace(good(), journal=[*good().journal, update]))


def test_a_hard_deletion_may_be_repeated() -> None:
    """It leaves nothing behind that its repetition could be compared with."""
    again = write(GONE, operation="DeleteRecord")
    assert not check(replace(good(), journal=[*good().journal, again]))


def test_what_was_online_before_is_nobodys_doing() -> None:
    """Records of before are known, may be replaced, and must not come back."""
    earlier = row("a", OLD, 9)
    journal = [write(earlier), *good().journal]
    assert not check(replace(good(), before=[earlier], journal=journal))
    assert "unexpected" in check(replace(good(), journal=journal)).kinds
    back = replace(good(), before=[earlier], journal=[*good().journal, write(earlier)])
    assert "went_back" in check(back).kinds


def test_numbers_are_compared_as_numbers() -> None:
    """``1e-1`` of the wire and 0.1 of a table are one value; -0.0 and 0.0 are two."""
    wire = SHAPE.row({"id": "a", "at": OLD, "level": "1", "x": "1e-1"})
    assert wire == row("a", OLD)
    zero = SHAPE.row({"id": "a", "at": OLD, "x": "0.0"})
    assert zero != SHAPE.row({"id": "a", "at": OLD, "x": -0.0})

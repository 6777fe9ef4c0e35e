"""Athena's answers: waiting, paging, what it cost, and the ways it says no."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from penstock.athena import Athena
from penstock.errors import PenstockError, TemporaryError, UsageError

NAMES = ("id", "n")
PAGES: list[tuple[str | None, ...]] = [NAMES, ("a", "1"), ("b", None), ("c", "3")]


@dataclass
class Stub:
    """A client that walks through states and has two rows a page."""

    states: list[dict[str, Any]]
    calls: list[str] = field(default_factory=list)

    def start_query_execution(self, **given: Any) -> dict[str, str]:
        """Always one name."""
        self.calls.append(f"start {given['WorkGroup']} {given['QueryExecutionContext']}")
        return {"QueryExecutionId": "q-1"}

    def get_query_execution(self, **_: Any) -> dict[str, Any]:
        """The next state; an exception is raised."""
        status = self.states.pop(0)
        if status.get("State") is None:
            raise KeyboardInterrupt
        statistics = {"DataScannedInBytes": 30 * 2**20}
        return {"QueryExecution": {"Status": status, "Statistics": statistics}}

    def stop_query_execution(self, **_: Any) -> None:
        """Note it."""
        self.calls.append("stop")

    def get_query_results(self, **given: Any) -> dict[str, Any]:
        """Two rows, and where to go on."""
        start = int(given.get("NextToken", 0))
        self.calls.append(f"page {start}")
        rows = [
            {"Data": [{"VarCharValue": one} if one is not None else {} for one in row]}
            for row in PAGES[start : start + 2]
        ]
        names = [{"Name": one} for one in NAMES]
        result = {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": names}}
        more = {"NextToken": str(start + 2)} if start + 2 < len(PAGES) else {}
        return {"ResultSet": result, **more}


def state(name: str, **more: Any) -> dict[str, Any]:
    """A status."""
    return {"State": name, **more}


def test_rows_come_without_the_line_of_names() -> None:
    """All pages, or as many as are asked for; waiting grows longer."""
    client, waits = Stub([state("QUEUED"), state("RUNNING"), state("SUCCEEDED")]), list[float]()
    answer = Athena(client, "analysts", "lake", waits.append).run("SELECT 1", 100)
    assert (answer.names, answer.rows) == (("id", "n"), (("a", "1"), ("b", None), ("c", "3")))
    assert waits == [0.25, 0.5]
    assert client.calls == ["start analysts {'Database': 'lake'}", "page 0", "page 2"]
    few = Stub([state("SUCCEEDED")])
    assert Athena(few, "analysts", "lake").run("SELECT 1", 1).rows == (("a", "1"),)
    assert few.calls[1:] == ["page 0"]


def test_what_it_cost() -> None:
    """Begun megabytes, ten at least."""
    answer = Athena(Stub([state("SUCCEEDED")]), "analysts", "lake").run("SELECT 1", 1)
    assert answer.scanned == 30 * 2**20
    assert answer.dollars(5.0) == 30 * 5.0 / 2**20
    assert type(answer)((), (), "q", 1).dollars(5.0) == 10 * 5.0 / 2**20


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (
            state("CANCELLED", StateChangeReason="over the limit"),
            TemporaryError,
            "was cancelled: over the limit",
        ),
        (
            state("FAILED", StateChangeReason="COLUMN_NOT_FOUND: line 1\nmore"),
            UsageError,
            "refuses the query: COLUMN_NOT_FOUND: line 1",
        ),
        (
            state("FAILED", StateChangeReason="busy", AthenaError={"ErrorCategory": 1}),
            TemporaryError,
            "failed: busy",
        ),
        (
            state("FAILED", AthenaError={"ErrorCategory": 2, "Retryable": True}),
            TemporaryError,
            "failed: no reason given",
        ),
    ],
)
def test_a_query_that_ends_badly(
    status: dict[str, Any], error: type[PenstockError], said: str
) -> None:
    """One line that says why; whether it is the query's fault decides the exit code."""
    with pytest.raises(error) as caught:
        Athena(Stub([status]), "analysts", "lake").run("SELECT 1", 1)
    assert caught.value.message.endswith(said)


def test_interrupted_it_is_stopped_there_too() -> None:
    """It would go on reading, and costing."""
    client = Stub([state("RUNNING"), {}])
    with pytest.raises(KeyboardInterrupt):
        Athena(client, "analysts", "lake", lambda _: None).run("SELECT 1", 1)
    assert client.calls[-1] == "stop"

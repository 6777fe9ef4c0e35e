"""Queries on Athena: started, waited for, their rows read, and what they scanned told.

Shapes and states: botocore's model of Athena. Not verified on AWS.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from penstock.errors import PenstockError, TemporaryError, UsageError

FIRST_S, MOST_S = 0.25, 5.0  # between two looks at a query's state
PAGE = 1_000  # rows of a page, the API's most
_ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")
_USERS = 2  # ErrorCategory of what the query itself got wrong (AWS API reference, AthenaError)
_LEAST_MB = 10  # Athena charges no less for a query (athena.guide, pricing model)
_MB = 2**20


@dataclass(frozen=True)
class Answer:
    """What a query gave.

    Args:
        names: Columns.
        rows: Values as text; None is null.
        execution: Athena's name of it.
        scanned: Bytes it read.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    execution: str
    scanned: int

    def dollars(self, per_tb: float) -> float:
        """What it cost, by a price of a terabyte."""
        return max(_LEAST_MB, math.ceil(self.scanned / _MB)) * per_tb / 2**20


@dataclass(frozen=True)
class Athena:
    """A work group of Athena.

    Args:
        client: boto3's.
        workgroup: Its name; it says where results go.
        database: Glue database that bare table names mean.
        sleep: Waits so many seconds.
    """

    client: Any
    workgroup: str
    database: str
    sleep: Callable[[float], None] = time.sleep

    def run(self, text: str, limit: int) -> Answer:
        """Run a query to its end; interrupted, it is stopped there as well.

        Args:
            text: In Athena's dialect.
            limit: Rows at most.

        Raises:
            UsageError: Athena says the query is wrong.
            TemporaryError: It was cancelled, or failed for another reason that may pass.
        """
        started = self.client.start_query_execution(
            QueryString=text,
            WorkGroup=self.workgroup,
            QueryExecutionContext={"Database": self.database},
        )
        execution = started["QueryExecutionId"]
        try:
            ended = self._ended(execution)
        except BaseException:
            self.client.stop_query_execution(QueryExecutionId=execution)
            raise
        status = ended["Status"]
        if status["State"] != "SUCCEEDED":
            raise _failed(execution, status)
        names, rows = self._rows(execution, limit)
        scanned = int(ended.get("Statistics", {}).get("DataScannedInBytes", 0))
        return Answer(names, rows, execution, scanned)

    def _ended(self, execution: str) -> Any:
        wait = FIRST_S
        while True:
            found = self.client.get_query_execution(QueryExecutionId=execution)["QueryExecution"]
            if found["Status"]["State"] in _ENDED:
                return found
            self.sleep(wait)
            wait = min(MOST_S, wait * 2)

    def _rows(
        self, execution: str, limit: int
    ) -> tuple[tuple[str, ...], tuple[tuple[str | None, ...], ...]]:
        """Names, and rows without the first, which repeats the names."""
        names: tuple[str, ...] = ()
        rows: list[tuple[str | None, ...]] = []
        for page in self._pages(execution):
            columns = page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
            values = [
                tuple(one.get("VarCharValue") for one in row["Data"])
                for row in page["ResultSet"]["Rows"]
            ]
            if not names:
                names = tuple(one["Name"] for one in columns)
                values = values[1:] if values[:1] == [names] else values
            rows += values
            if len(rows) >= limit:
                break
        return names, tuple(rows[:limit])

    def _pages(self, execution: str) -> Iterator[Any]:
        asked: dict[str, Any] = {"QueryExecutionId": execution, "MaxResults": PAGE}
        while True:
            page = self.client.get_query_results(**asked)
            yield page
            if not page.get("NextToken"):
                return
            asked["NextToken"] = page["NextToken"]


def _failed(execution: str, status: Any) -> PenstockError:
    reason = status.get("StateChangeReason", "no reason given").split("\n", 1)[0]
    if status["State"] == "CANCELLED":
        message = f"Athena's query {execution} was cancelled: {reason}"
        return TemporaryError(message, "Ask who did, or look at the work group's limits; run again")
    error = status.get("AthenaError", {})
    if error.get("ErrorCategory", _USERS) == _USERS and not error.get("Retryable", False):
        return UsageError(f"Athena refuses the query: {reason}", f"Query execution: {execution}")
    return TemporaryError(f"Athena's query {execution} failed: {reason}", "Run it again")

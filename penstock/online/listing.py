"""All identifiers the online store has: ListRecords, page after page.

A page is asked for by the token the one before it ended with, so pages come one at a time. What is
written meanwhile may be in them or not: the answer is a list of candidates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.online.asking import Question, ask
from penstock.online.body import put_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from penstock.online.asking import ReadJob
    from penstock.online.outcome import Verdict

MAX_RESULTS = 100  # botocore model, ListRecordsRequest.MaxResults; InMemory takes it as a hint


def identifiers(job: ReadJob) -> Iterator[list[str]]:
    """Pages of identifiers, without those of soft-deleted records.

    Raises:
        UnknownOperationError: The endpoint has no ListRecords.
        PenstockError: As of :func:`penstock.online.asking.ask`.
    """
    page = _Page()
    path = f"{put_path(job.group)}/ListRecords"
    while page.more:
        wanted: dict[str, Any] = {"MaxResults": MAX_RESULTS}
        if page.token is not None:
            wanted["NextToken"] = page.token
        ask(job, [Question(path, wanted, 1)], page)
        yield page.identifiers


class _Page:
    """A :class:`penstock.online.asking.Reader` of one page after the other."""

    operation = "ListRecords"

    def __init__(self) -> None:
        self.identifiers: list[str] = []
        self.token: str | None = None
        self.more = True

    def read(
        self,
        question: Question,  # noqa: ARG002 - every page is a question of its own
        document: Mapping[str, Any],
    ) -> tuple[tuple[Question, Verdict], ...]:
        self.identifiers = list(document.get("RecordIdentifiers") or ())
        self.token = document.get("NextToken")
        self.more = bool(self.token)
        return ()

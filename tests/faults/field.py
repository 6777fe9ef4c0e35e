"""Where the fault tests happen: an embedded AWS, send files, attempts at them, and the evidence.

An attempt is what a run's ONLINE step is without Spark: each file sent, by this process or by
worker processes, then the fold of the markers; it ends with the run's exit code. The evidence is
read from the outside: send files, markers, rejects, the service's journal and its answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pyarrow as pa
import pyarrow.parquet as pq

from penstock import aws
from penstock.errors import PenstockError
from penstock.online import SendJob, fold, send_file
from penstock.online.line import Line
from penstock.storage import LocalStorage
from tests.checker import Evidence, Row, Write, assure
from tests.faults import evidence as gathering
from tests.faults.crew import sent_by
from tests.faults.watch import Seen, watched_line
from tests.sending import JOB

STORAGE = LocalStorage()
TRANSPORTS = ("fast", "plain")
SETTLES, SETTLE_S = 100, 0.1  # looks at stores that are still being written to
QUICK = 1e6  # write units a second: the start is not what is tested
_T = TypeVar("_T")


@dataclass(frozen=True)
class Attempt:
    """How one attempt ended.

    Args:
        exit_code: Of the first file that failed, else of the fold.
        said: The error's line.
        seconds: From the go to the end of the last worker.
        seen: What each process's line was seen to do.
    """

    exit_code: int
    said: str
    seconds: float
    seen: tuple[Seen, ...] = ()

    @property
    def calls(self) -> int:
        """Requests of all processes."""
        return sum(one.calls for one in self.seen)


@dataclass
class Field:
    """One feature group on one server, with the files that go there.

    Args:
        folder: Files and results lie here.
        endpoint: Where the server is.
        data: Its data folder, for the journal.
        quiet: Ends all faults, so that the stores can be read.
        job: What is sent; changed by ``with_job``.
    """

    folder: Path
    endpoint: aws.Endpoint
    data: Path
    quiet: Callable[[], None]
    job: SendJob
    files: dict[str, int] = field(default_factory=dict)

    def change(self, **changes: Any) -> None:
        """Another job from here on."""
        self.job = replace(self.job, **changes)

    def create(self, **settings: Any) -> None:
        """Make the feature group of the job."""
        create(aws.client(self.endpoint, "sagemaker"), self.job, **settings)

    def stage(self, data: pa.Table, shares: Sequence[float] = (1.0,)) -> None:
        """Write the rows as send files, one for each share of them."""
        bounds = [round(sum(shares[:n]) / sum(shares) * len(data)) for n in range(len(shares) + 1)]
        for n, start in enumerate(bounds[:-1]):
            part = data.slice(start, bounds[n + 1] - start)
            path = str(self.folder / f"part-{len(self.files):05d}.parquet")
            pq.write_table(part, path, row_group_size=700)
            self.files[path] = len(part)

    def send(
        self,
        *,
        limit_s: float = 60.0,
        start: float | None = QUICK,
        request_s: float | None = None,
    ) -> Attempt:
        """All files, one after the other, from this process; ``request_s`` bounds a request."""
        line, seen = watched_line(self.job, start, request_s)

        def act() -> Attempt:
            began = time.monotonic()
            code, said = self._ended(lambda: self._all(line))
            return Attempt(code, said, time.monotonic() - began, (seen,))

        return within(limit_s, act)

    def send_by(
        self, workers: int, *, limit_s: float = 120.0, start: float | None = None
    ) -> Attempt:
        """All files, by so many worker processes; who is free takes the next."""
        outcome = sent_by(workers, self.job, list(self.files), start, limit_s)
        seen = tuple(outcome.seen)
        if outcome.failed:
            return Attempt(*outcome.failed[0], outcome.seconds, seen)
        code, said = self._ended(lambda: None)
        return Attempt(code, said, outcome.seconds, seen)

    def totals(self) -> Any:
        """The fold of all markers."""
        return fold(STORAGE, self.job.results, self.files, self.job.chunk_rows)

    def marked(self) -> int:
        """Markers there are."""
        return sum(name.endswith(".json") for name in STORAGE.list(self.job.results))

    def evidence(self, attempt: Attempt, **more: Any) -> Evidence:
        """All there is to know after an attempt."""
        self.quiet()
        found = gathering.of_send_files(self.job, self.files)
        journal, online = self._stores()
        return Evidence(
            rows=found.sent,
            sent=found.sent,
            answered=found.answered,
            dead=found.dead,
            journal=journal,
            online=online,
            figures=found.figures,
            exit_code=attempt.exit_code,
            **more,
        )

    def _stores(self) -> tuple[list[Write], Mapping[str, Row]]:
        """Journal and online store, once nothing comes in: calls that were given up may arrive."""
        journal = gathering.journal(self.data, self.job.group)
        for _ in range(SETTLES):
            online = self.online()
            before, journal = journal, gathering.journal(self.data, self.job.group)
            if journal == before:
                return journal, online
            time.sleep(SETTLE_S)
        raise AssertionError("writes keep coming in though nobody sends")

    def online(self) -> Mapping[str, Row]:
        """Every record of the online store."""
        session: Any = boto3.Session(botocore_session=aws.fresh_session(self.endpoint))
        runtime = session.client("sagemaker-featurestore-runtime", endpoint_url=self.endpoint.url)
        return gathering.online(runtime, self.job)

    def assure(self, attempt: Attempt, *, floor: int, exit_code: int = 0, **more: Any) -> Evidence:
        """The checker's verdict must be clean."""
        evidence = self.evidence(attempt, **more)
        assure(evidence, floor=floor, exit_code=exit_code)
        return evidence

    def _all(self, line: Line) -> None:
        for path in self.files:
            send_file(self.job, path, STORAGE, line=line)

    def _ended(self, act: Callable[[], object]) -> tuple[int, str]:
        """Send and fold; exit code and words."""
        try:
            act()
            self.totals()
        except PenstockError as error:
            return error.exit_code, str(error)
        return 0, ""


def field_on(
    endpoint: aws.Endpoint, data: Path, folder: Path, quiet: Callable[[], None], **changes: Any
) -> Field:
    """A field for the birds' job with changes; its group is not made yet."""
    folder.mkdir(parents=True, exist_ok=True)
    job = replace(JOB, endpoint=endpoint, results=str(folder / "results"), **changes)
    return Field(folder, endpoint, data, quiet, job)


def create(control: Any, job: SendJob, **settings: Any) -> None:
    """Make the feature group of a job through a boto3 client."""
    kinds = zip(job.features, job.types, strict=True)
    request = {
        "FeatureGroupName": job.group,
        "RecordIdentifierFeatureName": job.record_identifier,
        "EventTimeFeatureName": job.event_time,
        "FeatureDefinitions": [
            {"FeatureName": name, "FeatureType": kind.value} for name, kind in kinds
        ],
        "OnlineStoreConfig": {"EnableOnlineStore": True},
    }
    control.create_feature_group(**request | settings)


def within(limit_s: float, act: Callable[[], _T]) -> _T:
    """What ``act`` answers; fails when it takes longer, which must not hang the tests."""
    answers: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(act())
        except BaseException as error:  # noqa: BLE001 - raised again by the waiting thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True, name="attempt")
    thread.start()
    thread.join(limit_s)
    assert not thread.is_alive(), f"not done within {limit_s} s"
    if errors:
        raise errors[0]
    return answers[0]

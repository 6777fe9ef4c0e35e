"""The state machine of a file, driven by a transport of the test's own on a clock of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest
from urllib3 import HTTPHeaderDict

from penstock.errors import CredentialsError, DataGateError, TemporaryError, UsageError
from penstock.online.body import frame_of
from penstock.online.job import SendJob
from penstock.online.line import Line
from penstock.online.pacing import Pacer
from penstock.online.parcel import Chunk, chunks_of
from penstock.online.sender import Sender, Timing, open_limit
from penstock.online.transport import Answer, Failure, Request, Work
from tests.sending import JOB, table

ID = HTTPHeaderDict({"x-amzn-RequestId": "1"})
FINE = Answer(200, ID, b"{}")
THROTTLED = Answer(429, ID)
Script = Callable[[Request, float], Answer]


def refusal(code: str, message: str = "no", status: int = 400) -> Answer:
    """An error of the service."""
    headers = HTTPHeaderDict({"x-amzn-RequestId": "1", "x-amzn-ErrorType": code})
    return Answer(status, headers, json.dumps({"message": message}).encode())


@dataclass
class Shelf:
    """A sink that keeps everything; ``holds`` makes it say it is full."""

    chunks: list[Chunk] = field(default_factory=list)
    full: bool = False

    def put(self, chunk: Chunk, seconds: float) -> None:
        """Keep it."""
        assert seconds >= 0
        self.chunks.append(chunk)


@dataclass
class Bench:
    """A single-threaded transport with ``in_flight`` requests of 10 ms under way, on its own clock.

    This is the shape of an event loop: it proves that the seam needs no thread.
    """

    script: Script
    in_flight: int = 8
    now: float = 0.0
    calls: list[Request] = field(default_factory=list)
    renewed: list[int] = field(default_factory=list)
    generation: int = 1
    most: int = 0
    watch: Callable[[], None] = lambda: None

    def run(self, work: Work) -> None:
        """Send until there is no more."""
        flying: list[tuple[float, Request, int]] = []
        while True:
            step: Request | float | None = 1.0
            while len(flying) < self.in_flight:
                step = work.take()
                if not isinstance(step, Request):
                    break
                self.calls.append(step)
                flying.append((self.now + 0.01, step, self.generation))
            self.most = max(self.most, len(flying))
            self.watch()
            if step is None and not flying:
                return
            if not flying:
                assert isinstance(step, float)
                self.now += step
                continue
            waited = self.now + step if isinstance(step, float) else float("inf")
            if flying[0][0] > waited:
                self.now = waited
                continue
            self.now, request, generation = flying.pop(0)
            answer = self.script(request, self.now)
            work.answered(request, Answer(**{**vars(answer), "generation": generation}))

    def renew(self, generation: int) -> None:
        """Count it."""
        if generation == self.generation:
            self.renewed.append(generation)
            self.generation += 1

    def close(self) -> None:
        """Nothing is open."""


def drive(
    script: Script, rows: int = 250, data: pa.Table | None = None, **changes: Any
) -> tuple[Bench, Shelf, Line]:
    """Run a file through; changes are fields of the job."""
    bench, shelf, line, sender = prepared(script, rows, data, **changes)
    bench.run(sender)
    return bench, shelf, line


def prepared(
    script: Script, rows: int = 250, data: pa.Table | None = None, **changes: Any
) -> tuple[Bench, Shelf, Line, Sender]:
    """The parts, not yet running."""
    job = SendJob(**{**vars(JOB), **changes})
    bench, shelf = Bench(script), Shelf()
    line = Line(bench, Pacer(0.0, start=1e9), job.api)
    batches: Iterator[pa.RecordBatch] = iter((data or table(rows)).to_batches(max_chunksize=70))
    chunks = chunks_of(batches, job, frame_of(job.group, job.target_stores), set())
    timing = Timing(clock=lambda: bench.now, utc=lambda: 1e9 + bench.now, random=lambda: 0.5)
    return bench, shelf, line, Sender(job, line, chunks, rows, shelf, timing)


def entries(request: Request) -> list[dict[str, Any]]:
    """The entries of a batch, or the one record of PutRecord."""
    document = json.loads(request.body)
    return document.get("Entries") or [document]


def identifier(entry: dict[str, Any]) -> str:
    """Whose record it is."""
    return str(next(o["ValueAsString"] for o in entry["Record"] if o["FeatureName"] == "id"))


def test_each_row_is_sent_once_where_nothing_goes_wrong() -> None:
    """250 rows: ten batches of 25, three chunks settled, nothing repeated."""
    bench, shelf, line = drive(lambda *_: FINE)
    sent = [identifier(entry) for request in bench.calls for entry in entries(request)]
    assert sent == [f"k{n}" for n in range(250)]
    assert [chunk.figures.accepted for chunk in shelf.chunks] == [100, 100, 50]
    assert [chunk.first_row for chunk in shelf.chunks] == [0, 100, 200]
    assert len(bench.calls) == 10
    assert line.proved


def test_the_first_request_of_a_process_goes_alone() -> None:
    """Until something is accepted one request is in flight; afterwards all slots are used."""
    _, _, line, sender = prepared(lambda *_: FINE)
    first = sender.take()
    assert isinstance(first, Request)
    assert isinstance(sender.take(), float)
    sender.answered(first, FINE)
    assert line.proved
    assert isinstance(sender.take(), Request)
    assert isinstance(sender.take(), Request)


def test_open_chunks_are_bounded_while_stragglers_wait() -> None:
    """The memory bound: however many rows are stuck, the formula bounds what is read."""
    stuck = {f"k{n}" for n in range(0, 4000, 100)}

    def script(request: Request, now: float) -> Answer:
        if now < 20 and any(identifier(entry) in stuck for entry in entries(request)):
            return refusal("InternalFailure", "later", 500)
        return FINE

    bench, shelf, _, sender = prepared(script, 4000)
    opened: list[int] = []
    bench.watch = lambda: opened.append(sender._open)
    bench.run(sender)
    assert max(opened) == open_limit(JOB) < 40
    assert sum(chunk.figures.accepted for chunk in shelf.chunks) == 4000


def test_no_chunk_is_read_while_markers_pile_up() -> None:
    """A full sink stops reading, not sending, and no thread waits inside the work."""
    _, shelf, _, sender = prepared(lambda *_: FINE)
    shelf.full = True
    assert isinstance(sender.take(), float)
    shelf.full = False
    assert isinstance(sender.take(), Request)


def test_a_record_past_its_deadline_ends_the_run_resumably() -> None:
    """T13: a quota of nothing and a deadline of 5 s: exit 75 within it, no record rejected."""
    bench, shelf, _, sender = prepared(lambda *_: THROTTLED, deadline_s=5.0)
    with pytest.raises(TemporaryError, match="within 5 s; last answer: HTTP 429"):
        bench.run(sender)
    assert bench.now <= 5.0
    assert not any(chunk.rejects for chunk in shelf.chunks)


def test_silence_ends_the_run_resumably() -> None:
    """No record accepted for silence_s although requests fail on: exit 75 naming the last cause."""
    down = Answer(0, failure=Failure.CONNECT, detail="refused", sent=False)
    bench, _, _, sender = prepared(lambda *_: down, silence_s=60.0)
    with pytest.raises(TemporaryError, match="last answer: Connect refused"):
        bench.run(sender)
    assert 60 <= bench.now <= 70
    assert len(bench.calls) < 120  # probes, not a storm


def test_a_slow_pace_is_not_silence() -> None:
    """A ceiling so low that minutes pass between answers is no trouble as long as they are good."""
    bench, shelf, line, sender = prepared(lambda *_: FINE, rows=100, silence_s=5.0)
    line._pacer = Pacer(0.0, ceiling=1.0)
    bench.run(sender)
    assert bench.now > 60
    assert sum(chunk.figures.accepted for chunk in shelf.chunks) == 100


def test_an_outage_is_probed_by_one_request_and_then_over() -> None:
    """After as many failures as may be in flight, one request at a time, until one is accepted."""
    down = Answer(0, failure=Failure.BROKEN, detail="reset")

    def script(_: Request, now: float) -> Answer:
        return down if 0.02 < now < 30 else FINE

    bench, shelf, _, sender = prepared(script, rows=2000)
    flying: list[tuple[float, int]] = []
    bench.watch = lambda: flying.append((bench.now, sender._in_flight))
    bench.run(sender)
    assert max(n for at, n in flying if 5 < at < 30) == 1
    assert max(n for at, n in flying if at > 30) == 8
    figures = [chunk.figures for chunk in shelf.chunks]
    assert sum(f.accepted for f in figures) == 2000
    assert sum(f.ambiguous for f in figures) == sum(f.repeated for f in figures) > 0


def partial(request: Request, _: float) -> Answer:
    """k3 rejected, k7 left for later the first time, k11 throttled the first time."""
    seen = partial.__dict__.setdefault("seen", set())
    errors, left = [], []
    for entry in entries(request):
        name = identifier(entry)
        again = name in seen
        seen.add(name)
        if name == "k3":
            words = "value [wren] of k3 is not 10.5"
            errors.append({"Entry": entry, "ErrorCode": "ValidationError", "ErrorMessage": words})
        if name == "k7" and not again:
            left.append(entry)
        if name == "k11" and not again:
            errors.append({"Entry": entry, "ErrorCode": "ThrottlingException", "ErrorMessage": ""})
    body = json.dumps({"Errors": errors, "UnprocessedEntries": left}).encode()
    return Answer(200, ID, body)


def test_a_partly_written_batch_is_settled_entry_by_entry() -> None:
    """T25: errors reject their own rows, unprocessed entries are sent again, the rest is accepted.

    All records carry equal values, so matching by value could not tell them apart.
    """
    partial.__dict__.pop("seen", None)
    bench, shelf, _ = drive(partial, rows=25)
    (chunk,) = shelf.chunks
    assert [one.row for one in chunk.rejects] == [3]
    figures = chunk.figures
    assert (figures.sent, figures.accepted, figures.rejected) == (25, 24, 1)
    assert (figures.repeated, figures.throttled) == (2, 2)
    assert figures.by_code == {
        "ValidationError": 1,
        "UnprocessedEntry": 1,
        "ThrottlingException": 1,
    }
    again = [identifier(entry) for request in bench.calls[1:] for entry in entries(request)]
    assert sorted(again) == ["k11", "k7"]


def test_an_entry_that_was_never_sent_makes_no_row_accepted() -> None:
    """An answer about somebody else's record is not trusted about the rest either."""
    replies = iter([True])

    def script(request: Request, _: float) -> Answer:
        if next(replies, False):
            alien = json.loads(json.dumps(entries(request)[0]).replace("k0", "nobody"))
            return Answer(200, ID, json.dumps({"UnprocessedEntries": [alien]}).encode())
        return FINE

    _, shelf, _ = drive(script, rows=25)
    figures = shelf.chunks[0].figures
    assert (figures.accepted, figures.repeated, figures.ambiguous) == (25, 25, 25)


def test_one_malformed_record_is_found_by_halving() -> None:
    """A 400 for a whole batch rejects the one bad record in it, in few calls, and no neighbour."""

    def script(request: Request, _: float) -> Answer:
        bad = any(identifier(entry) == "k13" for entry in entries(request))
        return refusal("ValidationException", "1 validation error") if bad else FINE

    bench, shelf, _ = drive(script, rows=50)
    (chunk,) = shelf.chunks
    assert [one.row for one in chunk.rejects] == [13]
    assert chunk.figures.accepted == 49
    assert len(bench.calls) <= 2 + 10


def test_an_unknown_refusal_gets_three_tries() -> None:
    """A 4xx nobody knows is tried three times alone before its record is rejected."""

    def script(request: Request, _: float) -> Answer:
        odd = any(identifier(entry) == "k0" for entry in entries(request))
        return refusal("TeapotException", status=418) if odd else FINE

    bench, shelf, _ = drive(script, rows=2)
    alone = [r for r in bench.calls if [identifier(e) for e in entries(r)] == ["k0"]]
    assert len(alone) == 3
    assert shelf.chunks[0].figures.by_code["TeapotException"] == 2 + 3


def test_everything_rejected_trips_the_gate() -> None:
    """T24: at 100 rejected and nothing accepted the run ends with 65, not after all rows."""
    bench, _, _, sender = prepared(lambda *_: refusal("ValidationException"), rows=5000)
    with pytest.raises(DataGateError, match="rejected 100 records and accepted 0"):
        bench.run(sender)


def test_a_hundred_unknown_refusals_trip_the_gate() -> None:
    """Refusals nobody understands are no reason to go on, even beside accepted records."""

    def script(request: Request, _: float) -> Answer:
        odd = any(int(identifier(entry)[1:]) % 2 for entry in entries(request))
        return refusal("TeapotException", status=418) if odd else FINE

    bench, _, _, sender = prepared(script, rows=1000)
    with pytest.raises(DataGateError, match="rejected 100 records"):
        bench.run(sender)


@pytest.mark.parametrize(
    "answer",
    [
        refusal("AccessDeniedException", "not authorized: sagemaker:BatchWriteRecord", 403),
        refusal("UnknownOperationException", "", 404),
        Answer(404, ID, b'{"message":"Not Found"}'),
    ],
)
def test_falls_back_to_put_record_once_and_remembers(answer: Answer) -> None:
    """Where BatchWriteRecord is unknown or denied one call finds out; the process keeps it."""

    def script(request: Request, _: float) -> Answer:
        return answer if request.method == "POST" else FINE

    bench, shelf, line = drive(script)
    assert [r.method for r in bench.calls].count("POST") == 1
    assert sum(chunk.figures.accepted for chunk in shelf.chunks) == 250
    assert line.api == "put"


def test_batch_alone_does_not_fall_back() -> None:
    """``online.api: batch`` means it: an endpoint without the operation is a usage error."""
    bench, _, _, sender = prepared(lambda *_: Answer(404, ID), api="batch")
    with pytest.raises(UsageError, match="does not know BatchWriteRecord"):
        bench.run(sender)


def test_denied_ends_the_run_after_two_requests() -> None:
    """T20: both operations denied: exit 77 after one request of each, nothing rejected."""
    bench, shelf, _, sender = prepared(lambda *_: refusal("AccessDeniedException", "no", 403))
    with pytest.raises(CredentialsError, match="not allowed to write to birds"):
        bench.run(sender)
    assert len(bench.calls) == 2
    assert not shelf.chunks


def test_expired_credentials_are_renewed_once_for_all_in_flight() -> None:
    """T21: however many requests were signed with the old key, one look-up; all rows accepted."""
    bench: Bench

    def script(request: Request, now: float) -> Answer:
        del request
        fresh = now < 0.05 or (bench.generation > 1 and now > 0.09)
        return FINE if fresh else refusal("ExpiredTokenException", "expired", 403)

    bench, shelf, _, sender = prepared(script, rows=1000)
    bench.run(sender)
    assert bench.renewed in ([1], [1, 2])
    assert sum(chunk.figures.accepted for chunk in shelf.chunks) == 1000


def test_credentials_refused_three_times_end_the_run() -> None:
    """Renewing does not help for ever: three generations refused in a row, exit 77."""
    expired = refusal("ExpiredTokenException", "expired", 403)
    bench, _, _, sender = prepared(lambda *_: expired)
    with pytest.raises(CredentialsError, match="refuses our credentials"):
        bench.run(sender)
    assert bench.renewed == [1, 2]


def test_a_flickering_group_rejects_nothing() -> None:
    """T22: 'Resource Not Found' now and then for a group that exists delays, nothing more."""
    missing = refusal("ValidationError", "Resource Not Found: FeatureGroup [birds]")
    count = iter(range(10**6))
    _, shelf, _ = drive(lambda *_: missing if next(count) % 7 == 3 else FINE, rows=1000)
    assert sum(chunk.figures.accepted for chunk in shelf.chunks) == 1000


def test_a_group_that_stays_away_ends_the_run_in_half_a_minute() -> None:
    """F27: five tries over 30 s, then the run fails, never the record."""
    missing = refusal("ValidationError", "Resource Not Found: FeatureGroup [birds]")
    bench, _, _, sender = prepared(lambda *_: missing)
    with pytest.raises(TemporaryError, match="in 5 tries; last answer: ValidationError"):
        bench.run(sender)
    assert 30 <= bench.now <= 31
    assert len(bench.calls) == 5

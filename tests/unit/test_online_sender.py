"""The state machine of a file: order, bounds, deadlines, entries of a batch."""

from __future__ import annotations

import json

import pytest

from penstock.errors import DataGateError, TemporaryError
from penstock.online.pacing import Pacer
from penstock.online.sender import open_limit
from penstock.online.transport import Answer, Failure, Request
from tests.event_loop import (
    FINE,
    ID,
    THROTTLED,
    drive,
    entries,
    identifier,
    prepared,
    refusal,
)
from tests.sending import JOB


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

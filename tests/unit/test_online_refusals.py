"""What ends a run, what falls back, what is looked up again."""

from __future__ import annotations

import pytest

from penstock.errors import CredentialsError, MismatchError, TemporaryError, UsageError
from penstock.online.transport import Answer, Request
from tests.event_loop import (
    FINE,
    ID,
    Bench,
    drive,
    prepared,
    refusal,
)


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


def test_a_headless_success_is_tried_three_times() -> None:
    """A 2xx without request id or body may be cut off: sent again; three times is not SageMaker."""
    replies = iter([Answer(200), Answer(200)])
    _, shelf, _ = drive(lambda *_: next(replies, FINE), rows=25)
    figures = shelf.chunks[0].figures
    assert (figures.accepted, figures.ambiguous, figures.repeated) == (25, 50, 50)
    bench, _, _, sender = prepared(lambda *_: Answer(200))
    with pytest.raises(MismatchError, match="not SageMaker"):
        bench.run(sender)
    assert len(bench.calls) == 3

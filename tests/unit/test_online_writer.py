"""send_file against a scripted server on a real socket: threads, signatures, markers, rejects."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from penstock.errors import (
    CredentialsError,
    DataGateError,
    MismatchError,
    PenstockError,
    TemporaryError,
)
from penstock.online import fold, missing, send_file
from penstock.online.keys import Keys
from penstock.storage import LocalStorage
from tests.scripted import OK_HEADERS, Call, Reply, Scripted, error, scripted
from tests.sending import TIME, job_of, line_for, staged, table

STORAGE = LocalStorage()
#: Self-signed, of the loopback, and of no use elsewhere.
CERTIFICATE = Path(__file__).parents[1] / "certificates" / "loopback.pem"


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A scripted server; afterwards no sending thread is left."""
    with scripted() as state:
        yield state
    left = [one.name for one in threading.enumerate() if one.name.startswith("penstock")]
    assert not left


def sent_once(server: Scripted, rows: int) -> None:
    """Every row is in the store, as it was staged."""
    assert set(server.store) == {f"k{n}" for n in range(rows)}
    assert server.store["k7"] == {
        "id": "k7",
        "at": TIME,
        "kind": "wren",
        "length": "10.5",
        "legs": "2",
    }


def every(n: int, reply: Reply) -> Callable[[Call], Reply | None]:
    """Each nth call is answered so."""
    return lambda call: reply if call.number % n == n - 1 else None


@pytest.mark.parametrize("api", ["auto", "put"])
def test_a_file_arrives_and_is_accounted_for(server: Scripted, tmp_path: Path, api: str) -> None:
    """Both operations: all rows stored, a marker per chunk, figures that add up; then idle."""
    job = job_of(server.url, tmp_path, api=api)
    path = staged(tmp_path, table(250))
    outcome = send_file(job, path, STORAGE, line=line_for(job))
    sent_once(server, 250)
    assert (outcome.rows, outcome.chunks, outcome.skipped) == (250, 3, 0)
    assert (outcome.figures.sent, outcome.figures.accepted) == (250, 250)
    assert outcome.figures.calls == len(server.calls) == (10 if api == "auto" else 250)
    totals = fold(STORAGE, job.results, {path: 250}, job.chunk_rows)
    assert (totals.rows, totals.chunks, totals.figures) == (250, 3, outcome.figures)
    again = send_file(job, path, STORAGE, line=line_for(job))
    assert (again.skipped, again.figures.calls) == (3, 0)


def test_an_empty_file_is_nothing_to_do(server: Scripted, tmp_path: Path) -> None:
    """No rows: no call, no marker, and the fold agrees."""
    job = job_of(server.url, tmp_path)
    path = staged(tmp_path, table(0))
    assert send_file(job, path, STORAGE, line=line_for(job)).rows == 0
    assert fold(STORAGE, job.results, {path: 0}, job.chunk_rows).rows == 0
    assert not server.calls


def test_requests_bear_botocores_own_signature(server: Scripted, tmp_path: Path) -> None:
    """The signature the server sees is the one botocore makes for that request."""
    job = job_of(server.url, tmp_path, api="put", group="a:b/c")
    send_file(job, staged(tmp_path, table(1)), STORAGE, line=line_for(job))
    (call,) = server.calls
    found = re.search(
        r"Credential=AKIDEXAMPLE/\d{8}/us-east-1/sagemaker/aws4_request", call.key_line
    )
    assert found
    assert call.path == "/FeatureGroup/a%3Ab%2Fc"
    unsigned = AWSRequest(
        "PUT", server.url + call.path, {"Content-Type": "application/json"}, call.body
    )
    signer = SigV4Auth(Credentials("AKIDEXAMPLE", "secret"), "sagemaker", "us-east-1")
    unsigned.context["timestamp"] = call.headers["X-Amz-Date"]
    unsigned.headers["X-Amz-Date"] = call.headers["X-Amz-Date"]
    text = signer.string_to_sign(unsigned, signer.canonical_request(unsigned))
    assert call.key_line.endswith(signer.signature(text, unsigned))


PASSING = {
    "throttled 400": error(400, "ThrottlingException"),
    "throttled null": error(400, None, None),
    "throttled 429": Reply(429),
    "asked to wait": error(429, "ThrottlingException", **{"x-amz-retry-after": "40"}),
    "500": error(500, "InternalFailure"),
    "503": error(503, "ServiceUnavailable"),
    "509": Reply(509),
    "reset before": Reply(action="reset"),
    "reset after": Reply(action="reset", apply=True),
    "cut in its body": Reply(
        200, b'{"Err', OK_HEADERS | {"Content-Length": "400"}, action="close", apply=True
    ),
    "cut in its headers": Reply(200, headers={}, action="behead", apply=True),
    "not HTTP": Reply(action="noise"),
}


@pytest.mark.parametrize("name", PASSING)
@pytest.mark.parametrize("api", ["auto", "put"])
def test_passing_faults_lose_and_reject_nothing(
    server: Scripted, tmp_path: Path, name: str, api: str
) -> None:
    """T12, T14 to T16: each fourth call goes wrong, every row is accepted, none rejected."""
    server.script = every(4, PASSING[name])
    job = job_of(server.url, tmp_path, api=api)
    path = staged(tmp_path, table(300 if api == "auto" else 60))
    outcome = send_file(job, path, STORAGE, line=line_for(job))
    sent_once(server, outcome.rows)
    figures = outcome.figures
    assert (figures.accepted, figures.rejected) == (outcome.rows, 0)
    assert figures.repeated == figures.throttled + figures.ambiguous > 0
    assert figures.calls == len(server.calls)
    assert bool(figures.throttled) == (name.startswith(("throttled", "asked")))


def test_a_dripping_server_is_cut_off(server: Scripted, tmp_path: Path) -> None:
    """T17: bytes that trickle in renew every read timeout; the watch cuts after its own limit."""
    server.script = lambda call: Reply(action="drip") if call.number == 3 else None
    job = job_of(server.url, tmp_path)
    line = line_for(job)
    line.transport.request_s = 0.5  # type: ignore[attr-defined]  # a setting of the plain transport
    began = time.monotonic()
    outcome = send_file(job, staged(tmp_path, table(200)), STORAGE, line=line)
    assert time.monotonic() - began < 3.0
    assert (outcome.figures.accepted, outcome.figures.ambiguous) == (200, 25)


def test_a_page_of_a_proxy_is_not_an_answer(server: Scripted, tmp_path: Path) -> None:
    """T18: 200 with HTML and no request id: exit 70, nothing counted as accepted, no marker."""
    server.script = lambda _: Reply(200, b"<html>hi</html>", {})
    job = job_of(server.url, tmp_path)
    path = staged(tmp_path, table(200))
    with pytest.raises(MismatchError, match="not SageMaker"):
        send_file(job, path, STORAGE, line=line_for(job))
    assert len(missing(STORAGE, job.results, {path: 200}, job.chunk_rows)) == 2
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(403, "AccessDeniedException"), CredentialsError),
        (error(403, "ExpiredTokenException"), CredentialsError),
    ],
)
def test_denied_is_said_fast(
    server: Scripted, tmp_path: Path, reply: Reply, kind: type[PenstockError]
) -> None:
    """T20: 403 for all: exit 77 within five seconds, a handful of requests, no rejects."""
    server.script = lambda _: reply
    job = job_of(server.url, tmp_path, in_flight=32)
    began = time.monotonic()
    with pytest.raises(kind):
        send_file(job, staged(tmp_path, table(3000)), STORAGE, line=line_for(job))
    assert time.monotonic() - began < 5.0
    assert len(server.calls) <= 8
    assert STORAGE.list(job.results) == []


def test_rotated_credentials_are_picked_up(server: Scripted, tmp_path: Path) -> None:
    """T21: the key changes in the middle: one look-up, every row accepted."""
    valid = ["KEY0"]
    looked = []

    def resolve() -> Credentials:
        looked.append(valid[0])
        return Credentials(valid[0], "secret")

    def script(call: Call) -> Reply | None:
        if call.number == 10:
            valid[0] = "KEY1"
        return None if call.key == valid[0] else error(403, "ExpiredTokenException", "expired")

    server.script = script
    job = job_of(server.url, tmp_path)
    outcome = send_file(
        job, staged(tmp_path, table(1000)), STORAGE, line=line_for(job, Keys(resolve))
    )
    assert outcome.figures.accepted == 1000
    assert looked == ["KEY0", "KEY1"]


def test_two_files_that_notice_the_same_expiry_look_up_once() -> None:
    """Files that share a process renew the same generation once; the next expiry counts anew."""
    looked: list[int] = []

    def resolve() -> Credentials:
        looked.append(1)
        return Credentials("KEY", "secret")

    keys = Keys(resolve)
    keys.renew(1)
    keys.renew(1)
    assert (len(looked), keys.frozen()[1]) == (2, 2)
    keys.renew(2)
    assert (len(looked), keys.frozen()[1]) == (3, 3)


def test_no_credentials_at_all_is_said() -> None:
    """Nothing found: exit 77 with a remedy, before any request."""
    with pytest.raises(CredentialsError, match="no AWS credentials"):
        Keys(lambda: None)


def test_all_rejected_ends_at_the_gate(server: Scripted, tmp_path: Path) -> None:
    """T24: 400 for every record of 3,000: exit 65 soon after the hundredth."""
    server.script = lambda _: error(400, "ValidationException", "no")
    job = job_of(server.url, tmp_path, api="put")
    with pytest.raises(DataGateError):
        send_file(job, staged(tmp_path, table(3000)), STORAGE, line=line_for(job))
    assert len(server.calls) <= 100 + 2 * job.most_slots


def test_a_run_resumes_where_markers_end(server: Scripted, tmp_path: Path) -> None:
    """Stopped in the middle, run again: marked chunks are not sent again, the others are."""
    job = job_of(server.url, tmp_path, silence_s=0.3)
    path = staged(tmp_path, table(1000))
    server.script = lambda call: Reply(action="reset") if call.number >= 22 else None
    with pytest.raises(TemporaryError, match="accepts no records"):
        send_file(job, path, STORAGE, line=line_for(job))
    left = missing(STORAGE, job.results, {path: 1000}, job.chunk_rows)
    assert 0 < len(left) < 10
    server.script = lambda _: None
    before = len(server.calls)
    outcome = send_file(job, path, STORAGE, line=line_for(job))
    assert outcome.skipped == 10 - len(left)
    assert outcome.figures.sent == 100 * len(left)
    assert len(server.calls) - before == 4 * len(left)
    sent_once(server, 1000)
    assert fold(STORAGE, job.results, {path: 1000}, job.chunk_rows).figures.accepted == 1000


def test_a_server_that_restarts_is_waited_for(tmp_path: Path) -> None:
    """T19 in small: the listener is gone for a second and comes back; nothing is lost."""
    with scripted() as first:
        job = job_of(first.url, tmp_path)
        line = line_for(job)
        send_file(job, staged(tmp_path, table(100)), STORAGE, line=line)
        port = int(first.url.rsplit(":", 1)[1])
    revived: list[Scripted] = []

    def revive() -> None:
        time.sleep(1.0)
        with scripted(port) as second:
            revived.append(second)
            done.wait(20)

    done = threading.Event()
    thread = threading.Thread(target=revive)
    thread.start()
    try:
        job = job_of(f"http://127.0.0.1:{port}", tmp_path, results=str(tmp_path / "other"))
        outcome = send_file(job, staged(tmp_path, table(500)), STORAGE, line=line)
    finally:
        done.set()
        thread.join()
    assert outcome.figures.accepted == 500
    sent_once(revived[0], 500)


def test_tls_is_verified(tmp_path: Path) -> None:
    """An unknown certificate ends the run with 70 before a byte is sent; a known one is fine."""
    with scripted(tls=CERTIFICATE) as server:
        path = staged(tmp_path, table(200))
        job = job_of(server.url, tmp_path)
        with pytest.raises(MismatchError, match="CERTIFICATE_VERIFY_FAILED"):
            send_file(job, path, STORAGE, line=line_for(job))
        assert not server.calls
        line = line_for(job, ca_bundle=str(CERTIFICATE))
        assert send_file(job, path, STORAGE, line=line).figures.accepted == 200

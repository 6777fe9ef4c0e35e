"""One suite for both transports, over HTTP and TLS: every answer, and every way not to get one."""

from __future__ import annotations

import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from penstock.aws import Endpoint
from penstock.errors import UsageError
from penstock.online import transport_of
from penstock.online.fast import FastTransport
from penstock.online.keys import Keys
from penstock.online.line import line_of
from penstock.online.outcome import Outcome, classify
from penstock.online.plain import PlainTransport
from penstock.online.transport import Answer, Failure, Request
from tests.sending import JOB
from tests.wires import FINE, Authority, Errand, Heard, Step, Wire, errand, wire

Carrier = FastTransport | PlainTransport
KINDS = {"fast": FastTransport, "plain": PlainTransport}


def keys_of(*names: str) -> Keys:
    """Keys by name, the next at each look-up."""
    rest = iter(names or ("AKIDEXAMPLE",))
    return Keys(lambda: Credentials(next(rest), "secret", "token"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the servers' certificates come from."""
    return Authority(tmp_path_factory.mktemp("authority")).make()


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Wire]:
    """A server, with and without TLS."""
    secure = request.param == "https"
    with wire(authority.server("IP:127.0.0.1") if secure else None) as running:
        yield running


@pytest.fixture(params=["fast", "plain"])
def carry(
    request: pytest.FixtureRequest, server: Wire, authority: Authority
) -> Iterator[Callable[..., Carrier]]:
    """Makes transports to the server; they leave no thread and are closed."""
    before = set(threading.enumerate())
    made: list[Carrier] = []

    def make(in_flight: int = 4, keys: Keys | None = None, url: str | None = None) -> Carrier:
        kind: Any = KINDS[request.param]
        own = keys or keys_of()
        carrier: Carrier = kind(
            url or server.url, "us-east-1", own, in_flight, ca_bundle=authority.bundle
        )
        made.append(carrier)
        return carrier

    yield make
    for one in made:
        one.close()
    left = [one.name for one in set(threading.enumerate()) - before]
    assert not [name for name in left if name.startswith("penstock")]


def run(carrier: Carrier, work: Errand) -> list[Answer]:
    """The answers in the order of the requests."""
    carrier.run(work)
    return [work.answers[number] for number in range(len(work.requests))]


def test_a_request_arrives_as_it_is_and_signed(server: Wire, carry: Callable[..., Carrier]) -> None:
    """Method, path, body and headers; the signature is the one botocore makes for them."""
    path = "/FeatureGroup/arn%3Aaws%3Asagemaker%3Aus-east-1%3A123456789012%3Afeature-group%2Fg"
    query = "?DeletionMode=SoftDelete&EventTime=2024&RecordIdentifierValueAsString=a%2Fb%20c"
    work = Errand(
        [
            Request("PUT", path, '{"Record":"é🦜"}'.encode(), 0),
            Request("POST", "/BatchWriteRecord", b'{"Entries":[]}', 1),
            Request("DELETE", path + query, b"", 2),
        ]
    )
    answers = run(carry(1), work)
    assert [answer.status for answer in answers] == [200, 200, 200]
    for sent, heard in zip(work.requests, server.heard, strict=True):
        assert heard.line == f"{sent.method} {sent.path} HTTP/1.1"
        assert heard.body == sent.body
        assert heard.headers["host"] == server.url.split("//")[1]
        assert heard.headers.get("content-type") == ("application/json" if sent.body else None)
        assert heard.headers["x-amz-security-token"] == "token"
        headers = {"Content-Type": "application/json"} if sent.body else {}
        headers |= {"X-Amz-Date": heard.headers["x-amz-date"], "X-Amz-Security-Token": "token"}
        unsigned = AWSRequest(sent.method, server.url + sent.path, headers, sent.body)
        unsigned.context["timestamp"] = heard.headers["x-amz-date"]
        signer = SigV4Auth(Credentials("AKIDEXAMPLE", "secret"), "sagemaker", "us-east-1")
        text = signer.string_to_sign(unsigned, signer.canonical_request(unsigned))
        assert heard.headers["authorization"].endswith(signer.signature(text, unsigned))


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nX-Amzn-RequestId: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'5;name=value\r\n{"a":\r\n1\r\n1\r\nA\r\n'
    + b" " * 10
    + b"\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n"
)
WHOLE: dict[str, tuple[list[Any], int, bytes | None]] = {
    "plain": ([FINE], 200, b"{}"),
    "names in capitals": ([FINE.upper().replace(b"HTTP/1.1 200", b"HTTP/1.1 200")], 200, b"{}"),
    "names in small": ([FINE[:15] + FINE[15:].lower()], 200, b"{}"),
    "no reason": ([FINE.replace(b"200 OK", b"200 ")], 200, b"{}"),
    "chunked": ([CHUNKED], 200, b'{"a":1' + b" " * 10 + b"}"),
    "chunked in bits": ([CHUNKED[n : n + 7] for n in range(0, len(CHUNKED), 7)], 200, None),
    "after 100": ([b"HTTP/1.1 100 Continue\r\n\r\n", 0.05, FINE], 200, b"{}"),
    "nothing": ([b"HTTP/1.1 204 No Content\r\nx-amzn-RequestId: 1\r\n\r\n"], 204, b""),
    "until closed": (
        [b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: 1\r\n\r\n", b"{}", "close"],
        200,
        b"{}",
    ),
    "slow headers": ([bytes([one]) for one in FINE] + [0.05], 200, b"{}"),
    "late body": ([FINE[:-2], 0.2, FINE[-2:]], 200, b"{}"),
    "error": (
        [b"HTTP/1.1 400 Bad Request\r\nx-amzn-ErrorType: X\r\nContent-Length: 0\r\n\r\n"],
        400,
        b"",
    ),
    "HTTP/1.0": (
        [b"HTTP/1.0 200 OK\r\nx-amzn-RequestId: 1\r\nContent-Length: 2\r\n\r\n{}"],
        200,
        b"{}",
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_is_read_whatever_its_shape(
    server: Wire, carry: Callable[..., Carrier], name: str
) -> None:
    """Letter case, chunks, pieces, no length: the same answer, three times in a row."""
    steps, status, body = WHOLE[name]
    last = steps if "HTTP/1.0" not in name and status != 200 else [*steps, 0.0]
    server.script = lambda _: last
    for answer in run(carry(1), errand(3)):
        assert answer.failure is None
        assert (answer.status, answer.sent) == (status, True)
        assert answer.body == (WHOLE["chunked"][2] if body is None else body)
        if status < 300:
            assert "x-amzn-requestid" in answer.headers
            assert answer.headers["X-AMZN-REQUESTID"] == "1"
            assert classify(answer).outcome is Outcome.OK
        else:
            assert answer.headers.get("x-amzn-errortype") == "X"


BROKEN: dict[str, list[Step]] = {
    "reset without an answer": ["reset"],
    "closed without an answer": ["close"],
    "cut in its first line": [FINE[:10], "close"],
    "cut in its headers": [FINE[:30], "close"],
    "cut in its body": [FINE[:-1], "close"],
    "cut in its chunks": [CHUNKED[:-30], "close"],
    "reset in its body": [FINE[:-1], 0.05, "reset"],
    "not HTTP": [b"\x00\x01\r\n\r\n", "close"],
    "another protocol": [b"SSH-2.0-OpenSSH_9.6\r\n", "close"],
    "a chunk that is none": [CHUNKED.replace(b"5;", b"xyz;"), "close"],
}


@pytest.mark.parametrize("name", BROKEN)
def test_less_than_an_answer_never_counts_as_one(
    server: Wire, carry: Callable[..., Carrier], name: str
) -> None:
    """Whatever comes, the request is ambiguous and will be sent again; the next one is fine."""
    server.script = lambda heard: BROKEN[name] if heard.number == 0 else [FINE]
    first, second = run(carry(1), errand(2))
    assert classify(first).outcome in (Outcome.TRANSIENT, Outcome.HEADLESS)
    assert first.sent
    assert first.failure in (Failure.BROKEN, None)
    assert classify(second).outcome is Outcome.OK


NOW_AND_THEN: list[Step] = [0.05, b"a"]
SLOW: dict[str, list[Step]] = {
    "hang": [5.0],
    "drip": [b"HTTP/1.1 200 OK\r\n", *NOW_AND_THEN * 100],
}


@pytest.mark.parametrize("name", SLOW)
def test_no_request_outlasts_its_limit(
    server: Wire, carry: Callable[..., Carrier], name: str
) -> None:
    """A server that is silent, or drips a byte now and then, is cut off; others go on."""
    server.script = lambda heard: [FINE] if heard.number else SLOW[name]
    carrier = carry(2)
    carrier.request_s = 0.5
    began = time.monotonic()
    answers = run(carrier, errand(20))
    assert time.monotonic() - began < 3.0
    late = [answer for answer in answers if classify(answer).outcome is not Outcome.OK]
    assert [one.sent for one in late] == [True]
    assert classify(late[0]).outcome in (Outcome.TRANSIENT, Outcome.HEADLESS)


def test_many_are_under_way_on_few_connections(server: Wire, carry: Callable[..., Carrier]) -> None:
    """As many at once as allowed, not more; connections are kept, also from run to run."""
    server.script = lambda _: [0.01, FINE]
    carrier = carry(8)
    for _ in range(3):
        work = errand(80)
        assert {answer.status for answer in run(carrier, work)} == {200}
        assert work.most == 8
    assert server.busiest == 8
    assert server.connections <= 8
    assert len(server.heard) == 240


def test_a_connection_that_is_closed_after_each_answer_costs_a_new_one(
    server: Wire, carry: Callable[..., Carrier]
) -> None:
    """``Connection: close`` and a close without a word: every request is answered all the same."""
    said = FINE.replace(b"Content", b"Connection: close\r\nContent")
    server.script = lambda heard: [said, "close"] if heard.number % 2 else [said]
    assert {answer.status for answer in run(carry(3), errand(30))} == {200}
    assert server.connections == 30


def test_connections_closed_while_idle_are_replaced(
    server: Wire, carry: Callable[..., Carrier]
) -> None:
    """Between two runs the server hangs up: the next run notices and loses nothing."""
    carrier = carry(4)
    run(carrier, errand(20))
    server.hang_up()
    time.sleep(0.1)
    assert {answer.status for answer in run(carrier, errand(20))} == {200}


def test_a_kept_connection_may_die_under_the_next_request(
    server: Wire, carry: Callable[..., Carrier]
) -> None:
    """Closed just as it was used again: that request may have been applied, others are fine."""
    seen: set[int] = set()

    def script(heard: Heard) -> list[Step]:
        again = heard.connection in seen
        seen.add(heard.connection)
        return ["close"] if again else [FINE]

    server.script = script
    answers = run(carry(1), errand(6))
    outcomes = [classify(answer).outcome for answer in answers]
    assert outcomes == [Outcome.OK, Outcome.TRANSIENT] * 3
    assert [(one.failure, one.sent) for one in answers[1::2]] == [(Failure.BROKEN, True)] * 3


def test_large_requests_and_answers_are_whole(server: Wire, carry: Callable[..., Carrier]) -> None:
    """4 MiB there and 8 MiB back, in as many pieces as the sockets like."""
    body = b'{"Errors":"' + b"x" * (8 << 20) + b'"}'
    said = b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: 1\r\nContent-Length: %d\r\n\r\n" % len(body)
    server.script = lambda _: [said + body]
    sent = b'{"Record":"' + b"y" * (4 << 20) + b'"}'
    for answer in run(carry(2), errand(3, sent)):
        assert answer.body == body
    assert {heard.body for heard in server.heard} == {sent}


def test_what_the_work_raises_ends_the_run(server: Wire, carry: Callable[..., Carrier]) -> None:
    """An exception leaves ``run`` at once, though others are under way; the next run is fine."""
    server.script = lambda heard: [FINE] if heard.number == 0 else [1.0, FINE]
    work = errand(8)
    work.raises = RuntimeError("enough")
    carrier = carry(4)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="enough"):
        carrier.run(work)
    assert time.monotonic() - began < 3.0
    server.script = lambda _: [FINE]
    assert {answer.status for answer in run(carrier, errand(8))} == {200}


def test_renewed_keys_sign_the_next_request(server: Wire, carry: Callable[..., Carrier]) -> None:
    """``renew`` looks up once per generation, and holds from the next request on."""
    carrier = carry(1, keys_of("KEY1", "KEY2", "KEY3"))
    (first,) = run(carrier, errand())
    carrier.renew(first.generation)
    carrier.renew(first.generation)
    (second,) = run(carrier, errand())
    used = [
        re.findall("Credential=(.*?)/", heard.headers["authorization"]) for heard in server.heard
    ]
    assert used == [["KEY1"], ["KEY2"]]
    assert (first.generation, second.generation) == (1, 2)


def test_nobody_there_is_said_and_nothing_was_sent(
    server: Wire, carry: Callable[..., Carrier]
) -> None:
    """Refused, and a name nobody knows: the request surely was not applied."""
    scheme = server.url.split(":")[0]
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for host in (f"127.0.0.1:{port}", "nobody.invalid:9"):
        (answer,) = run(carry(1, url=f"{scheme}://{host}"), errand())
        assert (answer.failure, answer.sent, answer.status) == (Failure.CONNECT, False, 0)


def test_a_listener_that_does_not_accept_is_left_after_two_seconds(
    server: Wire, carry: Callable[..., Carrier]
) -> None:
    """Connecting has a limit of its own, shorter than that of an answer."""
    scheme = server.url.split(":")[0]
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        address = deaf.getsockname()
        filling = [socket.socket() for _ in range(4)]
        for one in filling:
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(address)
        began = time.monotonic()
        (answer,) = run(carry(1, url=f"{scheme}://127.0.0.1:{address[1]}"), errand())
        assert 1.5 < time.monotonic() - began < 4.0
        assert (answer.failure, answer.sent) == (Failure.CONNECT, False)
        for one in filling:
            one.close()


@pytest.mark.parametrize("kind", KINDS)
def test_no_more_open_files_is_a_failure_like_others(kind: str) -> None:
    """Sockets that cannot be had: those requests were not sent; nothing is raised."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        make: Any = KINDS[kind]
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        carrier: Carrier = make(url, "us-east-1", keys_of(), 16)
        carrier.request_s = 0.5
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = {int(one.name) for one in Path("/proc/self/fd").iterdir()}
        free = [number for number in range(max(used) + 20) if number not in used]
        resource.setrlimit(resource.RLIMIT_NOFILE, (free[8], hard))
        try:
            answers = run(carrier, errand(16))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        carrier.close()
    unsent = [answer for answer in answers if not answer.sent]
    assert {answer.failure for answer in unsent} == {Failure.CONNECT}
    assert "Too many open files" in unsent[0].detail
    assert all(answer.failure for answer in answers)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("names", "trusted", "says"),
    [
        ("IP:127.0.0.1", False, "certificate"),
        ("IP:127.0.0.2", True, "127.0.0.1"),
        ("DNS:localhost", True, "127.0.0.1"),
    ],
)
def test_a_stranger_is_not_spoken_to(
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    names: str,
    trusted: bool,
    says: str,
) -> None:
    """An unknown authority or another host's certificate: said, and not a byte of a request."""
    other = Authority(tmp_path_factory.mktemp("other")).make()
    bundle = authority.bundle if trusted else other.bundle
    with wire(authority.server(names)) as server:
        make: Any = KINDS[kind]
        carrier: Carrier = make(server.url, "us-east-1", keys_of(), 2, ca_bundle=bundle)
        (answer,) = run(carrier, errand())
        carrier.close()
        assert (answer.failure, answer.sent) == (Failure.CERTIFICATE, False)
        assert says in answer.detail
        assert classify(answer).outcome is Outcome.NOT_SERVICE
        assert not server.heard


@pytest.mark.parametrize("kind", KINDS)
def test_a_host_name_is_checked_and_sent_along(authority: Authority, kind: str) -> None:
    """``localhost`` by its own certificate; the server is told which name is meant (SNI)."""
    context = authority.server("DNS:localhost")
    named: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: named.append(name)
    with wire(context) as server:
        make: Any = KINDS[kind]
        url = server.url.replace("127.0.0.1", "localhost")
        carrier: Carrier = make(url, "us-east-1", keys_of(), 2, ca_bundle=authority.bundle)
        assert {answer.status for answer in run(carrier, errand(4))} == {200}
        carrier.close()
    assert set(named) == {"localhost"}


@pytest.mark.parametrize("named", ["HTTP_PROXY", "http_proxy", "https_proxy", "no_proxy"])
def test_with_a_proxy_the_plain_transport_is_used(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """A proxy for the endpoint's scheme, unless its host is exempt; the request goes through it."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with wire() as proxy:
        url = f"http://127.0.0.1:{9 + named.isupper()}"  # nobody listens there
        if named == "no_proxy":
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            monkeypatch.setenv("no_proxy", "127.0.0.1")
        else:
            monkeypatch.setenv(named, proxy.url)
        job = replace(JOB, endpoint=Endpoint("us-east-1", url), group=named)
        if named.lower() != "http_proxy":
            assert transport_of(job) == "fast"
            assert transport_of(replace(job, transport="plain")) == "plain"
            return
        assert transport_of(job) == "plain"
        work = errand()
        line_of(job).transport.run(work)
        assert work.answers[0].status == 200
        assert [heard.line for heard in proxy.heard] == [f"PUT {url}/FeatureGroup/g HTTP/1.1"]


def test_a_bundle_that_is_none_is_said(tmp_path: Path) -> None:
    """A path that leads nowhere, and a file without certificates: exit 2 with the file's name."""
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(UsageError, match=name):
            FastTransport("https://x", "us-east-1", keys_of(), 1, ca_bundle=str(tmp_path / name))

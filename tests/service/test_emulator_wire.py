"""Who the embedded AWS lets in, and how its HTTP behaves at the edges."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from penstock.emulator import wire
from penstock.emulator.buckets import folder
from penstock.emulator.faults import Rule, delayed
from penstock.emulator.refusal import Refusal
from penstock.emulator.server import MAX_CONNECTIONS, Desk, Emulator, Turnaway
from penstock.emulator.signature import Verifier
from tests.service.conftest import Aws, record, refusal

DAY = "2024-03-01T00:00:00Z"
KEY, SECRET = "AKIATEST", "a/secret+key"


def _signed(
    method: str, url: str, body: bytes = b"", *, key: str = KEY, secret: str = SECRET, **header: str
) -> dict[str, str]:
    request = AWSRequest(method, url, data=body, headers=header)
    SigV4Auth(Credentials(key, secret), "sagemaker", "us-east-1").add_auth(request)
    return dict(request.headers.items())


def _request(method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> wire.Request:
    parts = urlsplit(url)
    lower = {name.lower(): value for name, value in headers.items()} | {"host": parts.netloc}
    return wire.Request(method, parts.path, parts.query, lower, body)


@pytest.mark.rule(
    "all: signed by Signature Version 4",
)
@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/", b""),
        ("PUT", "/FeatureGroup/my-fg", b'{"Record":[]}'),
        (
            "GET",
            f"/FeatureGroup/{quote('arn:aws:sagemaker:us-east-1:1:feature-group/x', safe='')}",
            b"",
        ),
        ("GET", "/FeatureGroup/g?RecordIdentifierValueAsString=a%20b%2F%C3%A9%261%2B", b""),
        ("GET", "/FeatureGroup/g?FeatureName=b&FeatureName=a&ExpirationTimeResponse=", b""),
        ("GET", "/FeatureGroup/g?b=~-_.&a=%2A&a=", b""),
        ("POST", "/BatchWriteRecord", bytes(range(256)) * 100),
    ],
)
def test_the_verifier_agrees_with_botocore(method: str, target: str, body: bytes) -> None:
    """What botocore's signer signs is taken; one changed byte anywhere is not."""
    url = f"http://127.0.0.1:8000{target}"
    headers = _signed(method, url, body, **{"x-other": "a   b", "Content-Type": "application/json"})
    verifier = Verifier(KEY, SECRET, "us-east-1")
    assert verifier.service(_request(method, url, headers, body)) == "sagemaker"
    changed = [
        _request(method, url, headers, body + b"x"),
        _request("DELETE", url, headers, body),
        _request(method, url.replace("127.0.0.1", "localhost"), headers, body),
        _request(method, f"{url}{'&' if '?' in url else '?'}more=1", headers, body),
        _request(method, url.replace(":8000/", ":8000/x"), headers, body),
        _request(method, url, headers | {"x-other": "c"}, body),
    ]
    for request in changed:
        with pytest.raises(Refusal) as caught:
            verifier.service(request)
        assert (caught.value.code, caught.value.status) == ("InvalidSignatureException", 403)


def test_requests_out_of_scope() -> None:
    """Another key, secret, region or day, a token, or no signature at all: each is 403."""
    url = "http://127.0.0.1:8000/"
    good = _signed("GET", url)
    cases: list[tuple[str, dict[str, str], Verifier]] = [
        ("MissingAuthenticationTokenException", {}, Verifier(KEY, SECRET, "us-east-1")),
        (
            "IncompleteSignatureException",
            {"Authorization": "Basic x"},
            Verifier(KEY, SECRET, "us-east-1"),
        ),
        ("UnrecognizedClientException", good, Verifier("AKIAOTHER", SECRET, "us-east-1")),
        ("InvalidSignatureException", good, Verifier(KEY, "other", "us-east-1")),
        ("InvalidSignatureException", good, Verifier(KEY, SECRET, "eu-west-1")),
        ("InvalidSignatureException", good, Verifier(KEY, SECRET, "us-east-1", lambda: 0.0)),
        (
            "UnrecognizedClientException",
            good | {"X-Amz-Security-Token": "t"},
            Verifier(KEY, SECRET, "us-east-1"),
        ),
    ]
    for code, headers, verifier in cases:
        with pytest.raises(Refusal) as caught:
            verifier.service(_request("GET", url, headers))
        assert (caught.value.code, caught.value.status) == (code, 403)


def test_clients_with_other_keys_are_refused(emulator: Emulator, aws: Aws) -> None:
    """boto3 with another key or secret gets 403 from every service and changes nothing."""
    aws.create()
    for key, secret, code in (
        ("AKIAOTHER", emulator.secret_key, "UnrecognizedClientException"),
        (emulator.access_key, "other", "InvalidSignatureException"),
    ):
        other = Aws(emulator.url, key, secret)
        for call in (
            lambda client=other: client.put(id="1", t=DAY),
            other.control.list_feature_groups,
            other.glue.get_databases,
            other.sts.get_caller_identity,
        ):
            assert refusal(call) == (403, code)
    assert aws.get() is None


def test_the_key_pair_is_kept(tmp_path: Path) -> None:
    """The credentials file is private, and a restart keeps key and data."""
    with Emulator(tmp_path) as first:
        aws = Aws(first.url, first.access_key, first.secret_key)
        aws.create()
        aws.put(id="1", t=DAY)
        assert first.credentials_file.stat().st_mode & 0o777 == 0o600
    with Emulator(tmp_path) as second:
        assert (second.access_key, second.secret_key) == (first.access_key, first.secret_key)
        assert Aws(second.url, second.access_key, second.secret_key).get() == {"id": "1", "t": DAY}


def _raw(emulator: Emulator, sent: bytes) -> bytes:
    address = urlsplit(emulator.url)
    with socket.create_connection(("127.0.0.1", address.port), timeout=5) as peer:
        peer.sendall(sent)
        received = b""
        while chunk := peer.recv(65_536):
            received += chunk
        return received


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: 4194305\r\n\r\nabc", 413),
        (b"POST /BatchWriteRecord HTTP/1.1\r\nContent-Length: 16777217\r\n\r\nabc", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: 10737418240\r\n\r\nabc", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nspace before: colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nx: 1\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nx: bare\ny: newline\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n: nameless\r\n\r\n", 400),
        (b"GET http://evil/ HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, 431),
    ],
)
def test_requests_beyond_the_limits(emulator: Emulator, sent: bytes, status: int) -> None:
    """Each is answered with its status, then the connection ends."""
    answer = _raw(emulator, sent)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"x-amzn-RequestId: " in answer


def test_other_hosts_are_refused(emulator: Emulator) -> None:
    """A Host header that is not loopback with our port is 403, though the signature is right."""
    port = urlsplit(emulator.url).port
    keys = {"key": emulator.access_key, "secret": emulator.secret_key}
    for host, status in (("evil.example", 403), ("127.0.0.1:1", 403), ("localhost", 200)):
        named = f"localhost:{port}" if host == "localhost" else host
        target = {"X-Amz-Target": "SageMaker.ListFeatureGroups"}
        headers = _signed("POST", f"http://{named}/", b"{}", **keys, **target)
        connection = http.client.HTTPConnection("127.0.0.1", port or 0, timeout=5)
        connection.request("POST", "/", b"{}", headers | {"Host": named})
        answer = connection.getresponse()
        assert answer.status == status
        assert answer.headers["x-amzn-RequestId"]
        connection.close()


def test_only_loopback_listens(emulator: Emulator) -> None:
    """Another address of this machine has no listener on the port."""
    port = urlsplit(emulator.url).port or 0
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", port), timeout=2)


def test_errors_carry_type_id_and_json(emulator: Emulator) -> None:
    """An error has x-amzn-ErrorType, x-amzn-RequestId and a JSON body, even for no signature."""
    answer = _raw(emulator, b"GET /FeatureGroup/g HTTP/1.1\r\nHost: x\r\nContent-Length: -\r\n\r\n")
    assert b" 400 " in answer
    port = urlsplit(emulator.url).port or 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/FeatureGroup/g")
    response = connection.getresponse()
    assert response.status == 403
    assert response.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    assert response.headers["x-amzn-RequestId"]
    assert "message" in json.loads(response.read())
    connection.close()


def test_pipelined_requests_keep_their_order(emulator: Emulator, aws: Aws) -> None:
    """Fifty requests in one burst on one connection are answered one after the other."""
    aws.create()
    sent = b""
    for at in range(50):
        url = f"{emulator.url}/FeatureGroup/g"
        body = json.dumps({"Record": record(id="1", t=f"2024-03-01T00:00:{at:02}Z")}).encode()
        if at % 2:
            body = b'{"Record":[]}'
        headers = _signed("PUT", url, body, key=emulator.access_key, secret=emulator.secret_key)
        headers |= {"Host": urlsplit(url).netloc, "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        sent += f"PUT /FeatureGroup/g HTTP/1.1\r\n{lines}\r\n".encode() + body
    answers = _raw(emulator, sent + b"end\r\n\r\n").split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"400"] * 25 + [b"400"]
    assert aws.get() == {"id": "1", "t": "2024-03-01T00:00:48Z"}


def test_many_clients_at_once(emulator: Emulator, aws: Aws) -> None:
    """Writes of sixteen clients share transactions and none is lost."""
    aws.create()

    def put(at: int) -> None:
        entries: list[dict[str, Any]] = [
            {"FeatureGroupName": "g", "Record": record(id=f"{at}-{n}", t=DAY)} for n in range(10)
        ]
        assert aws.runtime.batch_write_record(Entries=entries)["Errors"] == []

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, range(80)))
    pages = aws.runtime.get_paginator("list_records").paginate(FeatureGroupName="g")
    found = [one for page in pages for one in page["RecordIdentifiers"]]
    assert len(found) == len(set(found)) == 800
    assert sum(entry.applied for entry in emulator.journal()) == 800


def test_a_client_that_leaves_is_no_trouble(emulator: Emulator, aws: Aws) -> None:
    """Half a request and a closed connection leave the server serving."""
    address = ("127.0.0.1", urlsplit(emulator.url).port or 0)
    for part in (b"", b"GET", b"PUT / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf"):
        with socket.create_connection(address) as peer:
            peer.sendall(part)
    time.sleep(0.05)
    aws.create()
    assert aws.get() is None


def test_a_request_that_drips_is_dropped() -> None:
    """A request still incomplete after its patience is stalled, in its head or its body."""

    async def stalled(*parts: bytes) -> bool:
        landing = memoryview(bytearray(2**16))
        made = wire.Connection(lambda *_: None, lambda _: None, landing)
        for part in parts:
            landing[: len(part)] = part
            made.buffer_updated(len(part))
        now = asyncio.get_running_loop().time()
        assert not made.is_stalled(now)
        return made.is_stalled(now + wire.PATIENCE + 1)

    head = b"PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\n"
    assert asyncio.run(stalled(b"PUT / HT"))
    assert asyncio.run(stalled(head))
    assert asyncio.run(stalled(head, b"x"))
    assert not asyncio.run(stalled(head, b"xx"))
    assert not asyncio.run(stalled(head + b"xx"))
    assert not asyncio.run(stalled())


@given(st.lists(st.integers(0, 400), max_size=12), st.integers(1, 5))
def test_requests_arrive_in_any_pieces(cuts: list[int], count: int) -> None:
    """However the bytes are cut, the same requests come out, one after the other's answer."""
    sent = [b"x" * (37 * n) for n in range(count)]
    head = "PUT /{0} HTTP/1.1\r\nHost: h\r\nContent-Length: {1}\r\n\r\n"
    stream = b"".join(head.format(n, len(b)).encode() + b for n, b in enumerate(sent))

    async def arrived() -> list[tuple[str, bytes]]:
        found: list[wire.Request] = []
        landing = memoryview(bytearray(2**16))
        made = wire.Connection(lambda _, request: found.append(request), lambda _: None, landing)
        made.connection_made(_Silent())
        places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
        for begin, end in pairwise(places):
            made.received(stream[begin:end])
        for at in range(count):
            assert len(found) == at + 1
            made.answer(wire.Response(200))
        return [(one.path, one.body) for one in found]

    assert asyncio.run(arrived()) == [(f"/{n}", body) for n, body in enumerate(sent)]


class _Silent(asyncio.Transport):
    """Nobody on the other side."""

    aborted = False

    def abort(self) -> None:
        """Told to go."""
        self.aborted = True

    def write(self, data: Any) -> None:
        """Into the void."""

    def resume_reading(self) -> None:
        """Never paused."""


def test_answers_that_nobody_reads(emulator: Emulator, aws: Aws) -> None:
    """A client that sends and never reads is served no further than its buffers reach."""
    aws.create()
    port = urlsplit(emulator.url).port or 0
    for n in range(20):
        aws.put(id=str(n), t=DAY, text="x" * 100_000)
    wanted = {
        "FeatureGroupName": "g",
        "RecordIdentifiersValueAsString": [str(n) for n in range(20)],
    }
    body = json.dumps({"Identifiers": [wanted]}).encode()
    keys = {"key": emulator.access_key, "secret": emulator.secret_key}
    url = f"{emulator.url}/BatchGetRecord"
    headers = _signed("POST", url, body, **keys) | {"Host": f"127.0.0.1:{port}"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    one = f"POST /BatchGetRecord HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        peer.connect(("127.0.0.1", port))
        emulator.faults.add(rule := Rule(delayed(0.0), operation="BatchGetRecord"))
        peer.sendall((one.encode() + body) * 50)
        time.sleep(1.0)
        assert 1 <= emulator.faults.strikes[rule] <= 5
    assert aws.get("1") is not None


def test_a_thousand_connections_and_no_more() -> None:
    """Whoever comes when all places are taken is sent away; a place that is left can be had."""

    async def places() -> list[bool]:
        desk = Desk(cast("Any", None), 60.0)
        taken = [desk.connection() for _ in range(MAX_CONNECTIONS)]
        late = desk.connection()
        assert isinstance(late, Turnaway)
        peer = _Silent()
        late.connection_made(peer)
        first = taken[0]
        first.connection_lost(None)
        found = [peer.aborted, isinstance(desk.connection(), wire.Connection)]
        desk.close()
        return found

    assert asyncio.run(places()) == [True, True]


def test_buckets_are_folders(tmp_path: Path) -> None:
    """A location maps under the data folder; what would leave its bucket is refused."""
    assert folder(tmp_path, "s3://bucket/a/b.parquet") == tmp_path / "buckets/bucket/a/b.parquet"
    assert folder(tmp_path, "s3a://bucket") == tmp_path / "buckets/bucket"
    for bad in ("s3://../x", "s3://bucket/../x", "/etc/passwd", "s3://a..b/x", "s3://bucket/a/./b"):
        with pytest.raises(ValueError, match="location"):
            folder(tmp_path, bad)


def test_payload_hash_is_of_the_stored_text(emulator: Emulator, aws: Aws) -> None:
    """The journal's hash lets a checker tell payloads apart without reading them."""
    aws.create()
    aws.put(id="1", t=DAY)
    (entry,) = emulator.journal()
    text = json.dumps({"id": "1", "t": DAY}, separators=(",", ":"))
    assert entry.payload_hash == hashlib.sha256(text.encode()).hexdigest()

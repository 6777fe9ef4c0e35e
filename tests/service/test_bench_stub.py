"""The benchmark's stub believes nothing: what botocore signs passes, everything else is refused."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench import peers, rows, server

WHO = server.Identity()
BODY = json.dumps(
    {
        "Record": [
            {"FeatureName": one.name, "ValueAsString": "1"} for one in rows.group(20).features
        ],
        "TargetStores": ["OnlineStore"],
    }
).encode()
ARN_PATH = "/FeatureGroup/" + rows.ARN.replace(":", "%3A").replace("/", "%2F")
Change = Callable[[dict[str, str]], dict[str, str]]


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Stub | None]:
    """A stub; None where there is no Go to build it with."""
    if shutil.which("go") is None:
        yield None
        return
    with server.running(server.build(tmp_path_factory.mktemp("stub")), WHO) as running:
        yield running


def call(
    stub: server.Stub,
    *,
    path: str = "/FeatureGroup/bench-group",
    body: bytes = BODY,
    sent: bytes | None = None,
    change: Change = dict,
    who: server.Identity = WHO,
) -> int:
    """Sign ``body`` as botocore does, send it (or ``sent`` in its place); the status."""
    method = "POST" if path == "/BatchWriteRecord" else "PUT"
    unsigned = AWSRequest(method, stub.url + path, {"Content-Type": "application/json"}, body)
    keys = Credentials(who.key, who.secret, who.token)
    SigV4Auth(keys, "sagemaker", "us-east-1").add_auth(unsigned)
    headers = change(dict(unsigned.headers.items()))
    data = body if sent is None else sent
    request = urllib.request.Request(stub.url + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def lacking_go(stub: server.Stub | None) -> bool:
    """Without Go there is no stub, and whoever wants it is told so in one line."""
    if stub is not None:
        return False
    assert len(peers.missing(["go"])) == 1
    return True


def test_what_botocore_signs_is_counted(stub: server.Stub | None) -> None:
    """A name and an ARN in the path, a single record and a batch: all pass and count."""
    if lacking_go(stub):
        return
    assert stub is not None
    stub.settings(verify=2, group=rows.description(20))
    entry = {"FeatureGroupName": rows.GROUP, **json.loads(BODY)}
    other = {**entry, "Record": [{**one, "ValueAsString": "2"} for one in entry["Record"]]}
    batch = json.dumps({"Entries": [entry, other]}).encode()
    assert call(stub) == 200
    assert call(stub, path=ARN_PATH) == 200
    assert call(stub, path="/BatchWriteRecord", body=batch) == 200
    found = stub.stats()
    assert (found["requests"], found["records"], found["refused"]) == (3, 4, 0)
    assert (found["distinct"], found["features"], found["verified"]) == (2, 80, 3)


def _without(*names: str) -> Change:
    return lambda headers: {
        key: value for key, value in headers.items() if key.lower() not in names
    }


def _with(**more: str) -> Change:
    return lambda headers: {**headers, **{k.replace("_", "-"): v for k, v in more.items()}}


def _resigned(old: str, new: str) -> Change:
    return lambda headers: {
        **headers,
        "Authorization": headers["Authorization"].replace(old, new),
    }


@pytest.mark.parametrize(
    "how",
    [
        {"sent": BODY.replace(b'"1"', b'"2"', 1)},
        {"change": _without("authorization")},
        {"change": _without("x-amz-security-token")},
        {"change": _with(X_Amz_Security_Token="another")},
        {"change": _with(X_Amz_Meta="unsigned")},
        {"change": _with(X_Amz_Date="20200101T000000Z")},
        {"change": _resigned("/sagemaker/", "/s3/")},
        {"change": _resigned("Signature=", "Signature=0")},
        {"change": _resigned("host;", "")},
        {"who": server.Identity(secret="another")},
        {"who": server.Identity(key="another")},
    ],
)
def test_a_request_that_is_not_signed_so_is_refused(
    stub: server.Stub | None, how: dict[str, Any]
) -> None:
    """Another body, key, date, service, a header taken away or added: 403, and nothing counts."""
    if lacking_go(stub):
        return
    assert stub is not None
    stub.settings(verify=1)
    assert call(stub, **how) == 403
    found = stub.stats()
    assert (found["requests"], found["records"], found["refused"]) == (0, 0, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"Record": [], "TargetStores": ["OnlineStore"]}',
        BODY.replace(b"feature_name_02", b"feature_name_03"),
        BODY.replace(b'"1"', b"null", 1),
        BODY.replace(b"TargetStores", b"Stores"),
    ],
)
def test_a_body_that_is_no_record_is_refused(stub: server.Stub | None, body: bytes) -> None:
    """Bodies are parsed whole where that is asked for: 400, and nothing counts."""
    if lacking_go(stub):
        return
    assert stub is not None
    stub.settings(verify=2, group=rows.description(20))
    assert call(stub, body=body) == 400
    assert stub.stats()["records"] == 0


def test_the_stub_answers_nobody_else(stub: server.Stub | None, tmp_path: Path) -> None:
    """An address that is not this machine's own is refused before anything listens."""
    if lacking_go(stub):
        return
    import subprocess

    binary = server.build(tmp_path)
    done = subprocess.run(
        [binary, "-listen", "0.0.0.0:0"], capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 1
    assert b"not a loopback address" in done.stderr

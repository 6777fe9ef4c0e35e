"""Our signature is botocore's, byte for byte, for every request that is sent."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ProfileNotFound
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import CredentialsError
from penstock.online.keys import APART_S, TRIES, Keys
from penstock.online.signing import SERVICE, Signer

NOW = 1_764_028_800.7
ARN = "arn:aws:sagemaker:eu-central-1:123456789012:feature-group/my-fg_1"
TOKENS = (None, "FwoGZXIvYXdzE" + "A/+=" * 250)
URLS = (
    "http://127.0.0.1:4566",
    "https://featurestore-runtime.sagemaker.eu-central-1.amazonaws.com",
    "https://featurestore-runtime.sagemaker.cn-north-1.amazonaws.com.cn:443",
    "http://[::1]:80",
    "https://Gateway.Example:8443/stage",
)


def paths(group: str) -> Iterator[tuple[str, str, bytes]]:
    """Every kind of request: method, path with query, body."""
    own = f"/FeatureGroup/{quote(group, safe='')}"
    yield "PUT", own, b'{"Record":[]}'
    yield "POST", "/BatchWriteRecord", b'{"Entries":[]}'
    yield "POST", f"{own}/Record", '{"Features":["é🦜"]}'.encode()
    query = {
        "DeletionMode": "HardDelete",
        "EventTime": "2024-05-01T00:00:00Z",
        "RecordIdentifierValueAsString": "a b/c&d=e+~é🦜%",
    }
    text = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in query.items())
    yield "DELETE", f"{own}?{text}&TargetStores=OfflineStore&TargetStores=OnlineStore", b""
    yield "DELETE", f"{own}?TargetStores=OnlineStore&{text}", b""


def head_of(raw: bytes) -> tuple[str, dict[str, str]]:
    """Request line and headers of a head."""
    assert raw.endswith(b"\r\n\r\n")
    first, *lines = raw.decode().rstrip().split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines)


def golden(url: str, method: str, path: str, body: bytes, key: Any, at: float) -> dict[str, str]:
    """The headers botocore adds at a moment."""
    unsigned = AWSRequest(
        method, url + path, {"Content-Type": "application/json"} if body else {}, body
    )
    signer: Any = SigV4Auth(key, SERVICE, "eu-central-1")
    unsigned.context["timestamp"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    signer._modify_request_before_signing(unsigned)
    text = signer.string_to_sign(unsigned, signer.canonical_request(unsigned))
    signer._inject_signature_to_request(unsigned, signer.signature(text, unsigned))
    return dict(unsigned.headers.items())


@pytest.mark.parametrize(("token", "url"), list(itertools.product(TOKENS, URLS)))
@pytest.mark.parametrize("group", ["birds", ARN])
def test_every_request_is_signed_as_botocore_signs_it(
    token: str | None, url: str, group: str
) -> None:
    """All methods, paths, queries and header sets, by name and by ARN, with and without token."""
    key = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    signer = Signer(url, "eu-central-1", Keys(lambda: key), clock=lambda: NOW)
    prefix = "/stage" if url.endswith("/stage") else ""
    for method, path, body in paths(group):
        raw, generation = signer.head(method, prefix + path, body)
        line, headers = head_of(raw)
        assert line == f"{method} {prefix + path} HTTP/1.1"
        assert generation == 1
        assert headers.pop("Content-Length") == str(len(body))
        assert headers.pop("User-Agent") == "penstock"
        host = headers.pop("Host")
        assert host == SigV4Auth(key, SERVICE, "x").headers_to_sign(AWSRequest(method, url))["host"]
        assert headers == golden(url, method, path, body, key, NOW)


BODIES = st.binary(min_size=1, max_size=200)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40), st.text(min_size=1, max_size=40), BODIES)
def test_any_identifier_and_body_is_signed_right(identifier: str, secret: str, body: bytes) -> None:
    """Whatever stands in a query or body, and whatever the secret is."""
    try:
        value = quote(identifier, safe="-_.~")
        secret.encode()
    except UnicodeEncodeError:
        return
    key = Credentials("AKID", secret, None)
    signer = Signer(URLS[0], "eu-central-1", Keys(lambda: key), clock=lambda: NOW)
    path = f"/FeatureGroup/g?EventTime=1&RecordIdentifierValueAsString={value}"
    for method, where, what in (("DELETE", path, b""), ("PUT", "/FeatureGroup/g", body)):
        _, headers = head_of(signer.head(method, where, what)[0])
        wanted = golden(URLS[0], method, where, what, key, NOW)["Authorization"]
        assert headers["Authorization"] == wanted


def test_each_second_and_day_has_its_own_signature() -> None:
    """Over midnight, and back when the clock is set: state is replaced, never changed."""
    key = Credentials("AKID", "secret", "token")
    moment = [1_764_028_798.0]
    signer = Signer(URLS[0], "eu-central-1", Keys(lambda: key), clock=lambda: moment[0])
    for at in (1_764_028_798.2, 1_764_028_799.9, 1_764_028_800.0, 1_764_115_200.0, 1_764_028_798.5):
        moment[0] = at
        for method, path, body in paths("birds"):
            _, headers = head_of(signer.head(method, path, body)[0])
            wanted = golden(URLS[0], method, path, body, key, at)
            assert headers["Authorization"] == wanted["Authorization"]
            assert headers["X-Amz-Date"] == wanted["X-Amz-Date"]


def test_threads_with_keys_in_common_sign_right_over_many_seconds() -> None:
    """32 signers on one set of keys, seconds racing by: what killed a prototype does nothing."""
    key = Credentials("AKID", "secret", "token")
    keys = Keys(lambda: key)
    ticks = itertools.count(1_764_028_700)
    wrong: list[object] = []

    def sign() -> None:
        moment = [0.0]
        signer = Signer(URLS[0], "eu-central-1", keys, clock=lambda: moment[0])
        for _ in range(60):
            moment[0] = float(next(ticks))
            _, headers = head_of(signer.head("PUT", "/FeatureGroup/g", b"{}")[0])
            wanted = golden(URLS[0], "PUT", "/FeatureGroup/g", b"{}", key, moment[0])
            if headers["Authorization"] != wanted["Authorization"]:
                wrong.append(moment[0])

    threads = [threading.Thread(target=sign) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_keys_are_asked_once_a_second_and_after_a_renewal() -> None:
    """Refreshed credentials are picked up within a second, renewed ones at once."""
    found = iter([Credentials("KEY1", "secret"), Credentials("KEY2", "secret")])
    keys = Keys(lambda: next(found))
    moment = [NOW]
    signer = Signer(URLS[0], "eu-central-1", keys, clock=lambda: moment[0])

    def used() -> tuple[str, int]:
        raw, generation = signer.head("PUT", "/FeatureGroup/g", b"{}")
        return head_of(raw)[1]["Authorization"].split("Credential=")[1].split("/")[0], generation

    assert used() == ("KEY1", 1)
    keys.renew(1)
    assert used() == ("KEY2", 2)


def test_a_file_seen_while_it_is_rewritten_is_looked_at_again() -> None:
    """Empty, then without the profile, then whole: found; what never comes back is said."""
    answers: list[Any] = [Credentials("OLD", "s"), None, ProfileNotFound(profile="default")]
    found = iter([*answers, Credentials("NEW", "s"), *[None] * 9])
    paused: list[float] = []

    def resolve() -> Any:
        answer = next(found)
        if isinstance(answer, Exception):
            raise answer
        return answer

    keys = Keys(resolve, pause=paused.append)
    keys.renew(1)
    frozen, generation = keys.frozen()
    assert (frozen.access_key, generation, paused) == ("NEW", 2, [APART_S] * 2)
    with pytest.raises(CredentialsError, match="no AWS credentials"):
        keys.renew(2)
    assert len(paused) == 2 + TRIES - 1


def test_credentials_that_no_header_can_carry_are_refused() -> None:
    """A line break in a token would end the header and begin another."""
    key = Credentials("AKID", "secret", "token\r\nX-Evil: 1")
    signer = Signer(URLS[0], "eu-central-1", Keys(lambda: key), clock=lambda: NOW)
    with pytest.raises(CredentialsError, match="no header can carry"):
        signer.head("PUT", "/FeatureGroup/g", b"{}")


def test_one_thread_asks_for_all() -> None:
    """16 threads find the second over: botocore is asked once, and all get the same answer."""
    asked: list[int] = []

    class Slow:
        """Credentials that take a moment."""

        def get_frozen_credentials(self) -> object:
            """Say how often it was asked."""
            time.sleep(0.02)
            asked.append(1)
            return len(asked)

    moment = [0.0]
    keys = Keys(Slow, clock=lambda: moment[0])
    for second in range(3):
        moment[0] = second * 1.5
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda _: keys.frozen()[0], range(16)))
        assert found == [second + 1] * 16

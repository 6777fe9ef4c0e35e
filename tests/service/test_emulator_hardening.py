"""S04: what reaches the embedded AWS besides its clients, and how little comes of it."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.emulator.identity import key_pair
from penstock.emulator.server import Emulator
from tests.service.conftest import Aws

UPLOAD = b"PUT /FeatureGroup/g HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server in a process of its own that has the group g."""
    data = tmp_path_factory.mktemp("aws")
    command = [sys.executable, "-m", "penstock.emulator", "--data", str(data)]
    with subprocess.Popen(
        [*command, "--exit-with-stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as popen:
        assert popen.stdout is not None
        found = int(json.loads(popen.stdout.readline())["port"])
        pair = key_pair(data)
        aws = Aws(f"http://127.0.0.1:{found}", pair.access_key, pair.secret_key)
        aws.create()
        yield found
        assert aws.get() is None  # it served to the end
        assert popen.stdin is not None
        popen.stdin.close()


def _said(port: int, *parts: bytes) -> bytes:
    """All that comes back for these bytes, sent one after the other."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        for part in parts:
            with contextlib.suppress(ConnectionError):
                peer.sendall(part)
        while True:
            try:
                chunk = peer.recv(65_536)
            except ConnectionError:
                return received
            if not chunk:
                return received
            received += chunk


@pytest.mark.shows("4.3")
def test_s04_ten_gigabytes(port: int) -> None:
    """A body beyond the limit is 413 from its announcement on, whatever is sent after it."""
    started = time.monotonic()
    for announced in (10 * 2**30, 2**63):
        answer = _said(port, UPLOAD % announced, *[b"x" * 2**20] * 64)
        assert answer.startswith(b"HTTP/1.1 413 ") or not answer
    assert _said(port, UPLOAD % (10 * 2**30)).startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - started < 5


@pytest.mark.shows("4.3")
@pytest.mark.parametrize(
    "target",
    ["/FeatureGroup/g", "/FeatureGroup/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/../../etc/passwd", "/"],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "OPTIONS"])
@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "evil.example", "127.0.0.1.evil:{port}", ""])
def test_s04_pages_and_strangers(port: int, host: str, method: str, target: str) -> None:
    """Unsigned, or by another name: 403, and no word that would let a page read the answer."""
    named = host.format(port=port)
    head = f"{method} {target} HTTP/1.1\r\nHost: {named}\r\nOrigin: http://evil\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        peer.sendall(head.encode())
        answer = peer.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"access-control" not in answer.lower()


@pytest.mark.shows("4.3")
def test_s04_not_reachable_from_elsewhere(port: int) -> None:
    """No other address of this machine listens, loopback or not."""
    others = {"127.0.0.2", socket.gethostbyname(socket.gethostname())} - {"127.0.0.1"}
    for address in others:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, port), timeout=2)
    with pytest.raises(OSError), socket.create_connection(("::1", port), timeout=2):  # noqa: PT011 - no IPv6 at all is as good
        pass


@pytest.mark.shows("4.3")
def test_s04_slowloris(tmp_path: Path) -> None:
    """Heads and bodies that drip in end with the patience; others are served meanwhile."""
    wanted = 200
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(wanted, soft // 4)
    with Emulator(tmp_path, patience=0.5) as running, contextlib.ExitStack() as held:
        port = int(running.url.rpartition(":")[2])
        peers = [
            held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            for _ in range(count)
        ]
        for number, peer in enumerate(peers):
            peer.sendall(UPLOAD % 5 if number % 2 else b"PUT /Feat")
        aws = Aws(running.url, running.access_key, running.secret_key)
        aws.create()
        started = time.monotonic()
        assert aws.get() is None
        for peer in peers:
            with contextlib.suppress(ConnectionError):
                assert peer.recv(100) == b""
        assert time.monotonic() - started < 3
        assert aws.get() is None

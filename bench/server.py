"""The stub server as a child process: built with Go, told what to do, asked what it saw."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parent / "stub"


@dataclass(frozen=True)
class Identity:
    """An AWS identity of the bench's own; the token is as long as a role's on EMR or Glue."""

    key: str = "AKIDEXAMPLE"
    secret: str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    token: str = "IQoJb3JpZ2luX2Vj" + "AbCdEf0123456789+/Gh" * 50


@dataclass(frozen=True)
class Stub:
    """A running stub.

    Args:
        url: Plain HTTP.
        tls_url: The same over TLS.
        authority: PEM file that makes the TLS listener trusted.
        pid: Its process, which no measurement counts.
    """

    url: str
    tls_url: str
    authority: Path
    pid: int

    def settings(
        self,
        *,
        verify: int = 1,
        latency_ms: float = 0.0,
        features: int = 20,
        group: Mapping[str, Any] | None = None,
    ) -> None:
        """Set what it does from now on, and its figures to zero.

        Args:
            verify: 0 nothing; 1 every signature; 2 every body is parsed whole as well.
            latency_ms: Wait before each answer.
            features: How many features a record must have (verify 2).
            group: What DescribeFeatureGroup answers; its identifier is what records are told
                apart by (verify 2).
        """
        told = {
            "verify": verify,
            "latency_us": int(latency_ms * 1000),
            "features": features,
            "group": group,
            "identifier": (group or {}).get("RecordIdentifierFeatureName", ""),
        }
        body = json.dumps(told).encode()
        request = urllib.request.Request(f"{self.url}/stub/settings", body, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def stats(self) -> dict[str, Any]:
        """What it counted since the settings were set."""
        with urllib.request.urlopen(f"{self.url}/stub/stats", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def build(folder: Path) -> Path:
    """Compile the stub into ``folder``; needs Go and no network.

    Raises:
        subprocess.CalledProcessError: It does not compile; the compiler's words are on stderr.
    """
    binary = folder / "stub"
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": ""}
    command = ["go", "build", "-o", str(binary), "."]
    subprocess.run(command, cwd=SOURCE, env=environment, check=True)
    return binary


@contextmanager
def running(binary: Path, identity: Identity) -> Iterator[Stub]:
    """A stub that ends with the context, and with this process however it ends."""
    authority = binary.parent / "authority.pem"
    who = ["-key", identity.key, "-secret", identity.secret, "-token", identity.token]
    command = [str(binary), "-ca", str(authority), *who]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            ports = json.loads(child.stdout.readline())
            http, https = ports["http"], ports["https"]
            yield Stub(
                f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}", authority, child.pid
            )
        finally:
            child.stdin.close()
            child.wait(timeout=10)

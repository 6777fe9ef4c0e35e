"""The seam between what is sent and how it is sent.

A transport *pulls*: whenever it has room it asks the :class:`Work` for the next request, and it
hands every answer back. All decisions (order, pace, retries, outcomes) are the work's; a transport
only moves bytes. The work never blocks and is never called by two threads at once, so a pool of
threads and an event loop on one thread serve it alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

CONNECT_S = 2.0
READ_S = 10.0
REQUEST_S = 12.0  # connect and read together, whatever trickles in

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Failure(str, Enum):
    """Why there is no answer."""

    CONNECT = "Connect"  # name not found, refused, timed out before anything was sent
    TIMEOUT = "Timeout"  # sent, and silent or dripping for too long
    BROKEN = "Broken"  # reset, closed early, truncated, not HTTP
    CERTIFICATE = "Certificate"  # TLS refused who answered


class Request(NamedTuple):
    """One HTTP request, unsigned.

    Args:
        method: HTTP method.
        path: Path, percent-encoded, with a query if there is one.
        body: JSON, or nothing.
        tag: Whatever the work needs to know it again.
    """

    method: str
    path: str
    body: bytes
    tag: Any


class Answer(NamedTuple):
    """What came back.

    Args:
        status: HTTP status; 0 with a failure.
        headers: Case-insensitive.
        body: The whole body.
        failure: Why there is no answer, or None.
        detail: The failure in words.
        sent: Whether bytes of the request left: with a failure, it may have been applied.
        generation: Which credentials signed it, for :meth:`Transport.renew`.
    """

    status: int
    headers: Mapping[str, str] = _NO_HEADERS
    body: bytes = b""
    failure: Failure | None = None
    detail: str = ""
    sent: bool = True
    generation: int = 0


class Work(Protocol):
    """What is to be sent. Calls are serialised by the transport and never block for long."""

    def take(self) -> Request | float | None:
        """The next request; or seconds until to ask again (or after any answer); or None: done."""

    def answered(self, request: Request, answer: Answer) -> None:
        """Each request taken is answered once. An exception ends the run and leaves it."""


class Transport(Protocol):
    """Sends work. Kept for the life of a process; each run leaves no thread behind."""

    def run(self, work: Work) -> None:
        """Send until ``take`` gives None and all is answered; raises what ``work`` raises."""

    def renew(self, generation: int) -> None:
        """Find credentials again, unless that was done since ``generation``.

        Raises:
            CredentialsError: There are none.
        """

    def close(self) -> None:
        """Close connections."""

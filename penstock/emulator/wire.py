"""HTTP/1.1 with keep-alive on asyncio: only what AWS clients send, parsed once and cheaply.

A connection hands over one request at a time and reads the next after its answer, so answers keep
their order even when a client pipelines. Limits: 64 KB of headers, 16 MB of body, none chunked.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, cast

MAX_HEAD = 65_536
MAX_BODY = 16 * 2**20
#: A request must be complete this many seconds after its first byte.
PATIENCE = 30.0
#: Seconds to read on, and discard, after an answer that ends the connection.
LINGER = 0.5

_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True)
class Request:
    """One request as it came: path and query still percent-encoded, header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """One answer, and how it is to be delivered.

    Args:
        status: HTTP status.
        headers: Names and values, without Content-Length.
        body: Bytes of the body.
        delay: Seconds to wait before delivery.
        ending: ``whole``; ``truncated`` sends half of the body (where there is none: the first
            bytes of the status line) and closes; ``reset`` sends nothing and resets the
            connection; ``silence`` sends nothing and closes.
        closing: Whether the connection ends after the answer.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay: float = 0.0
    ending: Literal["whole", "truncated", "reset", "silence"] = "whole"
    closing: bool = False


class Malformed(Exception):  # noqa: N818 - the answer to the peer, not a defect
    """The bytes are no request we read; ``status`` is the answer."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def parse_head(head: str) -> tuple[Request, int]:
    """The request without its body, and the length of the body it announces.

    Raises:
        Malformed: No HTTP/1.1 request line or header, a chunked body, or one over the limit.
    """
    first, *lines = head.split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[1].startswith("/") or parts[2] != "HTTP/1.1":  # noqa: PLR2004 - method, target, version
        raise Malformed(400)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        key = name.lower()
        if not colon or key in headers:
            raise Malformed(400)
        headers[key] = value.strip()
    path, _, query = parts[1].partition("?")
    return Request(parts[0], path, query, headers, b""), _body_length(headers)


def _body_length(headers: dict[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise Malformed(411)
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise Malformed(400)
    length = int(text)
    if length > MAX_BODY:
        raise Malformed(413)
    return length


class Connection(asyncio.Protocol):
    """One client connection.

    Args:
        take: Called with the connection and each complete request; must lead to one ``answer``.
        gone: Called once when the connection is lost.
    """

    def __init__(
        self,
        take: Callable[[Connection, Request], None],
        gone: Callable[[Connection], None],
    ) -> None:
        self._take = take
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._head: tuple[Request, int] | None = None
        self._busy = False
        self._closing = False
        self._since: float | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's call."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Asyncio's call."""
        self._transport = None
        self._gone(self)

    def data_received(self, data: bytes) -> None:
        """Asyncio's call."""
        if self._closing:
            return
        self._buffer += data
        if not self._busy:
            self._advance()
        elif len(self._buffer) > MAX_HEAD + MAX_BODY and self._transport is not None:
            self._transport.pause_reading()

    def answer(self, response: Response) -> None:
        """Deliver the answer of the request handed over last."""
        if response.delay > 0:
            self._loop.call_later(response.delay, self._deliver, response)
        else:
            self._deliver(response)

    def close(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.close()

    def is_stalled(self, now: float) -> bool:
        """Whether a request has been incomplete for longer than ``PATIENCE``."""
        return self._since is not None and now - self._since > PATIENCE

    def _advance(self) -> None:
        try:
            request = self._next()
        except (Malformed, ValueError) as problem:
            status = problem.status if isinstance(problem, Malformed) else 400
            request_id = ("x-amzn-RequestId", str(uuid.uuid4()))
            self._deliver(Response(status, (request_id,), closing=True))
            return
        if request is not None:
            self._busy = True
            self._since = None
            self._take(self, request)
        elif (self._buffer or self._head is not None) and self._since is None:
            self._since = self._loop.time()

    def _next(self) -> Request | None:
        if self._head is None and not self._read_head():
            return None
        assert self._head is not None
        bare, length = self._head
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._head = None
        return Request(bare.method, bare.path, bare.query, bare.headers, body)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEAD)
        if end < 0:
            if len(self._buffer) >= MAX_HEAD:
                raise Malformed(431)
            return False
        self._head = parse_head(self._buffer[:end].decode("latin-1"))
        del self._buffer[: end + 4]
        if "expect" in self._head[0].headers and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _deliver(self, response: Response) -> None:
        transport = self._transport
        if transport is None:
            return
        if response.ending == "reset":
            _reset(transport)
            return
        if response.ending != "silence":
            transport.write(_encode(response))
        if response.closing:
            # Closing with unread bytes would reset the connection and lose the answer.
            self._closing = True
            self._loop.call_later(LINGER, self.close)
            return
        if response.ending != "whole":
            transport.close()
            return
        self._busy = False
        transport.resume_reading()
        if self._buffer:
            self._advance()


def _encode(response: Response) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Unknown')}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in response.headers]
    if response.closing:
        lines.append("Connection: close\r\n")
    lines.append(f"Content-Length: {len(response.body)}\r\n\r\n")
    head, body = "".join(lines).encode("latin-1"), response.body
    if response.ending != "truncated":
        return head + body
    return head + body[: len(body) // 2] if body else head[: len(b"HTTP/1.1")]


def _reset(transport: asyncio.Transport) -> None:
    """SO_LINGER 0 makes the close an RST."""
    peer = transport.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()

"""HTTP/1.1 with keep-alive on asyncio: only what AWS clients send, parsed once and cheaply.

A connection hands over one request at a time and reads the next after its answer, so answers keep
their order even when a client pipelines. Every limit stands here: size of head and body, time for
a request, idle time, and no new request while the peer does not read its answers.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Literal, NamedTuple, cast

MAX_HEAD = 65_536
#: One record is 350 KB at most and a client may escape each byte of it (six bytes of JSON).
MAX_BODY = 4 * 2**20
#: 25 records of 350 KB are 9 MB; 2,500 names and their JSON around each record come on top.
MAX_BATCH = 16 * 2**20
_BATCH_PATH = "/BatchWriteRecord"
#: A request must be complete this many seconds after its first byte.
PATIENCE = 30.0
#: A connection without a request is closed after this many seconds.
IDLE = 600.0
#: Seconds to read on, and discard, after an answer that ends the connection.
LINGER = 0.5

_STARTS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
#: Header names as they were sent, and in lower case; what is here is a token.
_NAMES: dict[str, str] = {}
_MAX_NAMES = 512


class Request(NamedTuple):
    """One request as it came: path and query still percent-encoded, header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Response(NamedTuple):
    """One answer, and how it is to be delivered.

    Args:
        status: HTTP status.
        headers: Names and values, without Content-Length.
        body: Bytes of the body.
        delay: Seconds to wait before delivery.
        ending: ``whole``; ``truncated`` sends half of the body (where there is none: the first
            bytes of the status line) and closes; ``reset`` sends nothing and resets the
            connection; ``silence`` sends nothing and closes; ``dripped`` sends byte by byte.
        closing: Whether the connection ends after the answer.
        pace: Bytes per second of a dripped answer.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay: float = 0.0
    ending: Literal["whole", "truncated", "reset", "silence", "dripped"] = "whole"
    closing: bool = False
    pace: float = 1.0


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
    if not head.count("\n") == head.count("\r") == len(lines):
        raise Malformed(400)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        key = _NAMES.get(name) or _lower(name)
        if not colon or key in headers:
            raise Malformed(400)
        headers[key] = value.strip()
    path, _, query = parts[1].partition("?")
    limit = MAX_BATCH if path == _BATCH_PATH else MAX_BODY
    return Request(parts[0], path, query, headers, b""), _body_length(headers, limit)


def _lower(name: str) -> str:
    if _TOKEN.fullmatch(name) is None:
        raise Malformed(400)
    lower = name.lower()
    if len(_NAMES) < _MAX_NAMES:
        _NAMES[name] = lower
    return lower


def _body_length(headers: dict[str, str], limit: int) -> int:
    if "transfer-encoding" in headers:
        raise Malformed(411)
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise Malformed(400)
    length = int(text) if len(text) <= len(str(limit)) else limit + 1
    if length > limit:
        raise Malformed(413)
    return length


class Connection(asyncio.BufferedProtocol):
    """One client connection.

    Args:
        take: Called with the connection and each complete request; must lead to one ``answer``.
        gone: Called once when the connection is lost.
        landing: Where the loop may put received bytes; shared by all connections of a loop.
        patience: Seconds in which a request must be complete, and in which an answer must be read.
    """

    def __init__(
        self,
        take: Callable[[Connection, Request], None],
        gone: Callable[[Connection], None],
        landing: memoryview,
        patience: float = PATIENCE,
    ) -> None:
        self._take = take
        self._gone = gone
        self._landing = landing
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._head: tuple[Request, int] | None = None
        self._busy = False
        self._closing = False
        self._blocked = False
        self._since: float | None = None
        self._last = self._loop.time()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's call."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Asyncio's call."""
        self._transport = None
        self._gone(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Asyncio's call."""
        return self._landing

    def buffer_updated(self, nbytes: int) -> None:
        """Asyncio's call."""
        self.received(bytes(self._landing[:nbytes]))

    def pause_writing(self) -> None:
        """Asyncio's call: the peer does not read its answers."""
        self._blocked = True
        self._since = self._loop.time()

    def resume_writing(self) -> None:
        """Asyncio's call."""
        self._blocked = False
        self._since = None
        self._resume()

    def received(self, data: bytes) -> None:
        """Take bytes of the peer."""
        if self._closing:
            return
        free = not (self._busy or self._blocked)
        if free and not self._buffer and self._head is None:
            self._advance(data)
            return
        self._buffer += data
        if free:
            self._advance()
        elif len(self._buffer) > MAX_HEAD + MAX_BATCH and self._transport is not None:
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

    def abort(self) -> None:
        """Drop the connection and what the peer did not read."""
        if self._transport is not None:
            self._transport.abort()

    def is_stalled(self, now: float) -> bool:
        """Whether a request is incomplete or an answer unread for too long, or nothing comes."""
        if self._since is not None:
            return now - self._since > self._patience
        return not self._busy and now - self._last > IDLE

    def _advance(self, data: bytes | None = None) -> None:
        """Hand over the next request: of these bytes, or of those kept."""
        try:
            request = self._next() if data is None else self._whole(data) or self._next()
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

    def _whole(self, data: bytes) -> Request | None:
        """The request that these bytes are exactly; else they are kept."""
        end = data.find(b"\r\n\r\n", 0, MAX_HEAD)
        if end >= 0:
            bare, length = parse_head(data[:end].decode("latin-1"))
            if len(data) == end + 4 + length:
                return Request(*bare[:4], data[end + 4 :])
        self._buffer += data
        return None

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
        return bare._replace(body=body)

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
        if response.ending == "dripped":
            self._drip(encoded(response), 1.0 / response.pace)
            return
        if response.ending != "silence":
            transport.write(encoded(response))
        if response.closing:
            # Closing with unread bytes would reset the connection and lose the answer.
            self._closing = True
            self._loop.call_later(LINGER, self.close)
        elif response.ending != "whole":
            transport.close()
        else:
            self._answered()

    def _drip(self, left: bytes, pause: float) -> None:
        if self._transport is None:
            return
        if not left:
            self._answered()
            return
        self._transport.write(left[:1])
        self._loop.call_later(pause, self._drip, left[1:], pause)

    def _answered(self) -> None:
        self._busy = False
        self._last = self._loop.time()
        self._resume()

    def _resume(self) -> None:
        if self._buffer and not self._busy and not self._blocked and not self._closing:
            if self._transport is not None:
                self._transport.resume_reading()
            self._advance()


def encoded(response: Response) -> bytes:
    """The bytes of an answer."""
    head = _STARTS.get(response.status) or f"HTTP/1.1 {response.status} Unknown\r\n"
    for name, value in response.headers:
        head += f"{name}: {value}\r\n"
    if response.closing:
        head += "Connection: close\r\n"
    head += f"Content-Length: {len(response.body)}\r\n\r\n"
    raw, body = head.encode("latin-1"), response.body
    if response.ending != "truncated":
        return raw + body
    return raw + body[: len(body) // 2] if body else raw[: len(b"HTTP/1.1")]


def _reset(transport: asyncio.Transport) -> None:
    """SO_LINGER 0 makes the close an RST."""
    peer = transport.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()

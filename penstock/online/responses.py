"""HTTP/1.1 answers, read as they come in: what is whole is an answer, all else is broken.

Bounded, strict where laxness would take something else for an answer, and cheap where it is whole
in one piece, as nearly all are: of the headers only those that frame the body are looked at; the
others wait until somebody asks. No pipelining: bytes after an answer end the connection.
RFC 9112 §4 to §7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

MAX_HEAD = 64 * 1024
#: A batch's answer may echo its 25 entries, once as error and once as unprocessed.
MAX_BODY = 64 * 1024 * 1024
_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?\Z")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\Z")
_MAX_SIZE_LINE = 1024
_CONTINUE, _SWITCH, _OK = 100, 101, 200
_BODILESS = (204, 304)


class NotHttp(Exception):  # noqa: N818 - it says what came, which is not always an error of ours
    """What came is not an answer, or not the whole of one; the text says what is wrong."""


class Headers(Mapping[str, str]):
    """Headers by name, whatever their case; of a repeated one the first. Parsed when asked.

    Args:
        raw: The header lines, each after a CRLF.
        lower: The same in lower case, where it is known.
    """

    __slots__ = ("_lower", "_raw")

    def __init__(self, raw: bytes, lower: bytes | None = None) -> None:
        self._raw = raw
        self._lower = raw.lower() if lower is None else lower

    def __contains__(self, name: object) -> bool:
        return _line_of(str(name)) in self._lower

    def __getitem__(self, name: str) -> str:
        value = self.find(_line_of(name))
        if value is None:
            raise KeyError(name)
        return value.decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        lines = self._raw.split(b"\r\n")[1:]
        return iter(dict.fromkeys(line.split(b":", 1)[0].decode("latin-1") for line in lines))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def find(self, key: bytes) -> bytes | None:
        """The value after ``key``: a CRLF, the name in lower case, a colon."""
        at = self._lower.find(key)
        if at < 0:
            return None
        start = at + len(key)
        end = self._raw.find(b"\r\n", start)
        return self._raw[start : None if end < 0 else end].strip()

    def repeated(self, key: bytes) -> bool:
        """Whether ``key`` stands there more than once."""
        return self._lower.count(key) > 1


@lru_cache(maxsize=64)
def _line_of(name: str) -> bytes:
    """How the line of a header begins."""
    return b"\r\n" + name.lower().encode() + b":"


class Response(NamedTuple):
    """A whole answer.

    Args:
        status: HTTP status.
        headers: Case-insensitive.
        body: The whole body, without its framing.
        keep: Whether the connection may carry another request.
    """

    status: int
    headers: Headers
    body: bytes
    keep: bool


class Reader:
    """Reads the answers of one connection, one after the other."""

    __slots__ = ("_body", "_have", "_headers", "_held", "_keep", "_length", "_status")

    def __init__(self) -> None:
        self._held = bytearray()
        self._body: list[bytes] = []
        self._have = 0
        self._headers: Headers | None = None
        self._length = 0
        self._status = 0
        self._keep = False

    def feed(self, data: bytes) -> Response | None:
        """Take what came in; the answer once it is whole.

        Raises:
            NotHttp: This is no answer.
        """
        if self._headers is not None:
            return self._more(data)
        if not self._held:
            response = _whole(data)
            if response is not None:
                return response
        else:
            self._held += data
            data = bytes(self._held)
            self._held.clear()
        while True:
            end = data.find(_END)
            if end < 0:
                self._hold(data)
                return None
            first = data.find(b"\r\n")
            status, lasting = _status(data[:first])
            if status >= _OK:
                break
            if status == _SWITCH:
                raise NotHttp("another protocol")
            data = data[end + 4 :]  # 100 Continue and the like come before the answer
        self._open(status, Headers(data[first:end]), lasting=lasting)
        return self._more(data[end + 4 :])

    def finish(self) -> Response:
        """The peer closed.

        Raises:
            NotHttp: The answer is not whole.
        """
        if self._headers is None:
            raise NotHttp("closed within the headers" if self._held else "closed without an answer")
        if self._length != _UNTIL_CLOSE:
            raise NotHttp("closed within the body")
        return self._done(b"".join(self._body))

    def _hold(self, data: bytes) -> None:
        if len(data) > MAX_HEAD:
            raise NotHttp("its headers do not end")
        if not data.startswith(_BEGIN[: len(data)]):
            raise NotHttp("not HTTP/1.1")
        self._held += data

    def _open(self, status: int, headers: Headers, *, lasting: bool) -> None:
        self._status, self._headers = status, headers
        self._length = _framing(status, headers)
        closing = headers.find(b"\r\nconnection:")
        closes = closing is not None and b"close" in closing.lower()
        self._keep = lasting and not closes and self._length != _UNTIL_CLOSE

    def _more(self, data: bytes) -> Response | None:
        if self._length == _CHUNKED:
            return self._chunks(data)
        missing = self._length - self._have
        if self._length == _UNTIL_CLOSE or len(data) < missing:
            self._keep_piece(data)
            return None
        if len(data) > missing:
            self._keep = False  # nobody asked for what follows
            data = data[:missing]
        return self._done(b"".join((*self._body, data)) if self._body else data)

    def _keep_piece(self, data: bytes) -> None:
        self._have += len(data)
        if self._have > MAX_BODY:
            raise NotHttp("its body does not end")
        self._body.append(data)

    def _chunks(self, data: bytes) -> Response | None:
        held = self._held
        held += data
        place = 0
        while (line := held.find(b"\r\n", place)) >= 0:
            size = _size(held[place:line])
            end = line + 2 + size
            if size == 0 or len(held) < end + 2:
                break
            if held[end : end + 2] != b"\r\n":
                raise NotHttp("a chunk of another size than it says")
            self._keep_piece(bytes(held[line + 2 : end]))
            place = end + 2
        del held[:place]
        if line < 0 and len(held) > _MAX_SIZE_LINE:
            raise NotHttp("a chunk without a size")
        return self._trailed(held, line - place) if line >= 0 and size == 0 else None

    def _trailed(self, held: bytearray, line: int) -> Response | None:
        """After the last chunk: perhaps trailers, which say nothing here; then an empty line."""
        end = held.find(_END, line)
        if end < 0:
            if len(held) > MAX_HEAD:
                raise NotHttp("its trailers do not end")
            return None
        self._keep = self._keep and len(held) == end + 4
        held.clear()
        return self._done(b"".join(self._body))

    def _done(self, body: bytes) -> Response:
        assert self._headers is not None
        response = Response(self._status, self._headers, body, self._keep)
        self._headers = None
        if self._body:
            self._body = []
        self._have = 0
        return response


_FINE = b"HTTP/1.1 200 OK"
_LENGTH = b"\r\ncontent-length:"
_BEGIN = b"HTTP/1."
_FINE = b"HTTP/1.1 200 OK"
_LENGTH = b"\r\ncontent-length:"
_CHUNKED = -1
_UNTIL_CLOSE = -2


def _whole(data: bytes) -> Response | None:
    """A success in one piece and of the length it names; None leaves it to the long way.

    Nearly every answer is one, and the long way calls 17 functions for it.
    """
    end = data.find(_END)
    if end < 0 or not data.startswith(b"HTTP/1.1 200 OK\r\n"):
        return None
    raw = data[len(_FINE) : end]
    lower = raw.lower()
    if b"\r\nconnection:" in lower or b"\r\ntransfer-encoding:" in lower:
        return None
    at = lower.find(_LENGTH)
    if at < 0 or lower.find(_LENGTH, at + 1) >= 0:
        return None
    stop = lower.find(b"\r\n", at + 1)
    named = lower[at + len(_LENGTH) : stop if stop >= 0 else None]
    body = data[end + len(_END) :]
    if named.strip() != b"%d" % len(body):
        return None
    return Response(_OK, Headers(raw, lower), body, keep=True)


def _status(line: bytes) -> tuple[int, bool]:
    """The status, and whether the protocol is the one whose connections last."""
    match = _STATUS.match(line)
    if match is None:
        raise NotHttp("not HTTP/1.1")
    return int(match[2]), match[1] == b"1"


def _framing(status: int, headers: Headers) -> int:
    """The body's length, or how else it ends."""
    coding = headers.find(b"\r\ntransfer-encoding:")
    if coding is not None:
        if coding.lower() != b"chunked":
            raise NotHttp("an unknown transfer encoding")
        return _CHUNKED
    if status in _BODILESS:
        return 0
    length = headers.find(_LENGTH)
    if length is None:
        return _UNTIL_CLOSE
    if not length.isdigit() or headers.repeated(_LENGTH):
        raise NotHttp("a content length that is no number")
    if int(length) > MAX_BODY:
        raise NotHttp("a body too long")
    return int(length)


def _size(line: bytearray) -> int:
    match = _SIZE.match(line)
    if match is None:
        raise NotHttp("a chunk without a size")
    size = int(match[1], 16)
    if size > MAX_BODY:
        raise NotHttp("a chunk too long")
    return size

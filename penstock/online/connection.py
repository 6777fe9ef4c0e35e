"""One connection that never blocks: connect, TLS, send a request, read its answer, stay open.

It is moved on by whoever learns that its socket is ready (:mod:`penstock.online.fast`). TLS is the
standard library's with verification and host name check; the socket is its own buffer, so a request
costs one write and one read.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from penstock.online.responses import NotHttp, Reader
from penstock.online.transport import CONNECT_S, READ_S, Failure

if TYPE_CHECKING:
    from penstock.online.responses import Response
    from penstock.online.transport import Request

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
PIECE = 16 * 1024  # of one read; a TLS record holds no more
_UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Lost(Exception):  # noqa: N818 - what befell a connection
    """The connection is of no use any more; its exchange, if there was one, has no answer."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail


class Address(NamedTuple):
    """What ``getaddrinfo`` answers, as far as it is needed."""

    family: int
    sockaddr: Any


class Origin:
    """Where connections go, and how they are secured.

    Args:
        url: Base URL; a path in it stands before every request's.
        context: TLS, for ``https``.
    """

    def __init__(self, url: str, context: ssl.SSLContext | None) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        self.context = context if parts.scheme == "https" else None

    def addresses(self) -> list[Address]:
        """Look the name up; blocks as long as the resolver does.

        Raises:
            OSError: It is not known.
        """
        found = socket.getaddrinfo(self.host, self.port, 0, socket.SOCK_STREAM)
        return [Address(family, sockaddr) for family, _, _, _, sockaddr in found]


class Connection:
    """A connection and the exchange on it, if there is one.

    Attributes:
        request: The request under way; None while idle.
        generation: Of the credentials that signed it.
        since: Clock when the request was begun.
        wants: What the socket has to be ready for.
        sent: Whether bytes of the request left.
    """

    sock: socket.socket
    __slots__ = (
        "_addresses",
        "_heard",
        "_opened",
        "_origin",
        "_out",
        "_reader",
        "_shaking",
        "generation",
        "open",
        "request",
        "sent",
        "since",
        "sock",
        "wants",
    )

    def __init__(self, origin: Origin, addresses: list[Address], now: float) -> None:
        self._origin = origin
        self._addresses = list(addresses)
        self._reader = Reader()
        self._out: memoryview | None = None
        self._heard = 0.0
        self.open = False
        self.request: Request | None = None
        self.generation = 0
        self.since = 0.0
        self.sent = False
        self.connect(now)

    def connect(self, now: float) -> None:
        """Begin to connect to the next address.

        Raises:
            Lost: There is none left.
        """
        words = "no address"
        self._opened, self._shaking, self.wants = now, False, WRITE
        while self._addresses:
            try:
                self.sock = _begun(self._addresses.pop(0))
            except OSError as error:
                words = _words(error)
            else:
                return
        raise Lost(Failure.CONNECT, words)

    @property
    def more(self) -> bool:
        """Whether, not being open yet, it has another address to try."""
        return not self.open and bool(self._addresses)

    def begin(self, request: Request, data: bytes, generation: int, now: float) -> None:
        """Send a request, now or as soon as the connection is open.

        Raises:
            Lost: It cannot be sent.
        """
        self.request, self.generation = request, generation
        self.since = self._heard = now
        self.sent = False
        if not self.open:
            self._out = memoryview(data)
            return
        try:
            count = self._send(data)
        except OSError as error:
            raise Lost(Failure.CONNECT, _words(error)) from error
        if count < len(data):
            self._out = memoryview(data)[count:]
            self.wants = READ | WRITE

    def advance(self, mask: int, now: float) -> Response | None:
        """Go on as far as the socket allows; the answer once it is whole.

        Raises:
            Lost: There will be no answer.
        """
        if not self.open and not self._opened_up(now):
            return None
        try:
            if self._out is None:
                self.wants = READ
            else:
                self._push(now)
            return self._pull(now) if mask & READ else None
        except NotHttp as error:
            raise Lost(Failure.BROKEN, str(error)) from error
        except OSError as error:
            raise Lost(Failure.BROKEN, _words(error)) from error

    def overdue(self, now: float, request_s: float) -> Lost | None:
        """What to say of an exchange that takes too long; None while it does not."""
        whole = now - self.since > request_s
        if not self.open:
            if whole:
                self._addresses = []
            late = whole or now - self._opened > CONNECT_S
            return Lost(Failure.CONNECT, f"no connection within {CONNECT_S:g} s") if late else None
        if whole:
            return Lost(Failure.TIMEOUT, f"no whole answer within {request_s:g} s")
        silent = now - self._heard > READ_S
        return Lost(Failure.TIMEOUT, f"nothing heard for {READ_S:g} s") if silent else None

    @property
    def alive(self) -> bool:
        """Whether an idle connection is still open and silent, as it should be."""
        try:
            self.sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    @property
    def clean(self) -> bool:
        """Whether all of the last request was sent, so that another may follow."""
        return self._out is None

    def close(self) -> None:
        """Close without ceremony."""
        self.sock.close()

    def _opened_up(self, now: float) -> bool:
        try:
            if not self._shaking:
                self._connected()
            self._shake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            self.wants = READ if isinstance(error, ssl.SSLWantReadError) else WRITE
            return False
        except ssl.SSLCertVerificationError as error:
            raise Lost(Failure.CERTIFICATE, _words(error)) from error
        except OSError as error:
            raise Lost(Failure.CONNECT, _words(error)) from error
        self.open = True
        self._addresses = []
        self._heard = now
        self.wants = READ | WRITE
        return True

    def _connected(self) -> None:
        error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, errno.errorcode.get(error, "error"))
        self._shaking = True
        if self._origin.context is not None:
            self.sock = self._origin.context.wrap_socket(
                self.sock,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=False,
                server_hostname=self._origin.host,
            )

    def _shake(self) -> None:
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.do_handshake()

    def _push(self, now: float) -> None:
        assert self._out is not None
        try:
            count = self._send(self._out)
        except (BrokenPipeError, ConnectionResetError):
            self.wants = READ  # it may have answered before it closed
            return
        if count:
            self._heard = now
            self._out = self._out[count:] if count < len(self._out) else None
        self.wants = READ if self._out is None else READ | WRITE

    def _send(self, data: bytes | memoryview) -> int:
        """Bytes that were taken; TLS takes all or, though some have left already, none yet."""
        try:
            count = self.sock.send(data)
        except (BlockingIOError, ssl.SSLWantReadError):
            return 0
        except ssl.SSLWantWriteError:
            self.sent = True
            return 0
        self.sent = True
        return count

    def _pull(self, now: float) -> Response | None:
        """Read what there is: TLS may hold more than the socket shows."""
        receive = self.sock.recv
        while True:
            try:
                data = receive(PIECE)
            except (BlockingIOError, ssl.SSLWantReadError):
                return None
            except ssl.SSLWantWriteError:
                self.wants = READ | WRITE
                return None
            if not data:
                return self._reader.finish()
            self._heard = now
            response = self._reader.feed(data)
            if response is not None:
                return response


def _begun(address: Address) -> socket.socket:
    """A socket that is connecting; raises OSError, also where no more files may be open."""
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    sock.settimeout(0.0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    code = sock.connect_ex(address.sockaddr)
    if code not in _UNDER_WAY:
        sock.close()
        raise OSError(code, os.strerror(code))
    return sock


def _words(error: OSError) -> str:
    return f"{type(error).__name__}: {error}"

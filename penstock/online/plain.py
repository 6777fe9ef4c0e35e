"""The plain transport: threads, urllib3 and botocore's own signer. The reference and kill switch.

TLS verification, proxies and the pool are a library's that every Spark runtime has. What the
library cannot bound is done by the thread that called ``run``: a server that drips a byte a second
renews every read timeout, so a request older than 12 s has its socket shut.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection

from penstock.online.signing import CONTENT_TYPE, SERVICE
from penstock.online.transport import CONNECT_S, READ_S, REQUEST_S, Answer, Failure, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.online.keys import Keys
    from penstock.online.transport import Work

WATCH_S = 0.25


class PlainTransport:
    """Up to ``in_flight`` threads per run, one request each. Facts: performance §5, choice A.

    Args:
        url: Base URL of the runtime service.
        region: Signing region.
        keys: Where credentials come from.
        in_flight: Threads, and connections kept.
        ca_bundle: File of trusted certificates; None takes botocore's.
    """

    def __init__(
        self, url: str, region: str, keys: Keys, in_flight: int, ca_bundle: str | None = None
    ) -> None:
        self._url = url.rstrip("/")
        self._region = region
        self._keys = keys
        self._in_flight = in_flight
        self.request_s = REQUEST_S
        self._watch = _Watch()
        self._manager = _manager(self._url, in_flight, ca_bundle)
        pool: Any = self._manager.connection_from_url(self._url)
        kind = _WatchedTls if self._url.startswith("https:") else _Watched
        pool.ConnectionCls = partial(kind, watch=self._watch)

    def run(self, work: Work) -> None:
        """See :class:`penstock.online.transport.Transport`."""
        crew = _Crew(work, self._exchange)
        threads = [
            threading.Thread(target=crew.serve, name=f"penstock-send-{n}", daemon=True)
            for n in range(self._in_flight)
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(WATCH_S)
                    late_s = 0.0 if crew.failed_for(1.0) else self.request_s
                    self._watch.shut(threads, late_s=late_s)
        finally:
            crew.stop()
            self._watch.shut(threads, late_s=0.0)
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
        crew.reraise()

    def renew(self, generation: int) -> None:
        """See :class:`penstock.online.transport.Transport`."""
        self._keys.renew(generation)

    def close(self) -> None:
        """Close idle connections."""
        self._manager.clear()

    def _exchange(self, request: Request) -> Answer:
        headers, generation = self._signed(request)
        parcel = _Parcel(request.body)
        try:
            with self._watch:
                response = self._manager.urlopen(
                    request.method,
                    self._url + request.path,
                    body=parcel,
                    headers=headers,
                    redirect=False,
                    enforce_content_length=True,
                )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # ValueError: a socket shut under a reading thread.
            failure = _failure(error, sent=parcel.started)
            detail = f"{type(error).__name__}: {error}"
            return Answer(
                0, failure=failure, detail=detail, sent=parcel.started, generation=generation
            )
        return Answer(response.status, response.headers, response.data, generation=generation)

    def _signed(self, request: Request) -> tuple[dict[str, str], int]:
        credentials, generation = self._keys.frozen()
        headers = {"Content-Type": CONTENT_TYPE} if request.body else {}
        unsigned = AWSRequest(request.method, self._url + request.path, headers, request.body)
        SigV4Auth(credentials, SERVICE, self._region).add_auth(unsigned)
        signed = dict(unsigned.headers.items())
        signed["Content-Length"] = str(len(request.body))
        signed["User-Agent"] = "penstock"
        return signed, generation


class _Crew:
    """Threads that share one work under one lock; one of those that wait keeps the time."""

    def __init__(self, work: Work, exchange: Any) -> None:
        self._work = work
        self._exchange = exchange
        self._turn = threading.Condition()
        self._until: float | None = None
        self._error: BaseException | None = None
        self._stopped_at: float | None = None

    def serve(self) -> None:
        """Send until there is nothing left."""
        try:
            while (request := self._next()) is not None:
                answer = self._exchange(request)
                with self._turn:
                    if self._error is None:
                        self._work.answered(request, answer)
        except BaseException as error:  # noqa: BLE001 - it is raised again by reraise()
            with self._turn:
                self._error = self._error or error
            self.stop()

    def stop(self) -> None:
        """No further request is taken."""
        with self._turn:
            if self._stopped_at is None:
                self._stopped_at = time.monotonic()
            self._turn.notify_all()

    def failed_for(self, seconds: float) -> bool:
        """Whether an error has been waiting so long for requests under way."""
        with self._turn:
            return (
                self._error is not None and time.monotonic() - (self._stopped_at or 0.0) > seconds
            )

    def reraise(self) -> None:
        """Raise what ended the run, if anything did."""
        if self._error is not None:
            raise self._error

    def _next(self) -> Request | None:
        with self._turn:
            while self._stopped_at is None:
                step = self._work.take()
                if step is None:
                    self._turn.notify_all()
                    return None
                if isinstance(step, Request):
                    self._turn.notify()  # there may be more: wake one that waits
                    return step
                self._wait(step)
        return None

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        if self._until is not None and self._until <= until:
            self._turn.wait()  # another one keeps an earlier time and will wake us
            return
        self._until = until
        self._turn.wait(seconds)
        if self._until == until:
            self._until = None


class _Parcel:
    """A body that knows whether the connection has begun to send it."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.started = False

    def __iter__(self) -> Iterator[bytes]:
        self.started = True
        yield self._body


class _Watch:
    """Which connection each thread is using, and since when."""

    def __init__(self) -> None:
        self._busy: dict[int, tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._busy.pop(threading.get_ident(), None)

    def begin(self, connection: Any) -> None:
        """This thread begins a request on ``connection``."""
        with self._lock:
            self._busy[threading.get_ident()] = (time.monotonic(), connection)

    def shut(self, threads: Sequence[threading.Thread], *, late_s: float) -> None:
        """Shut the sockets of these threads' requests that are older than ``late_s``."""
        limit = time.monotonic() - late_s
        with self._lock:
            busy = [self._busy.get(thread.ident or 0, (limit, None)) for thread in threads]
        late = [connection for since, connection in busy if since < limit]
        for connection in late:
            try:
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
            except (OSError, TypeError, AttributeError):
                continue  # it ended meanwhile


class _Watched(HTTPConnection):
    """A connection that tells the watch when it is used."""

    def __init__(self, *args: Any, watch: _Watch, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._watch = watch

    def request(self, *args: Any, **settings: Any) -> None:
        """Begin a request."""
        self._watch.begin(self)
        super().request(*args, **settings)


class _WatchedTls(HTTPSConnection):
    """The same over TLS."""

    def __init__(self, *args: Any, watch: _Watch, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._watch = watch

    def request(self, *args: Any, **settings: Any) -> None:
        """Begin a request."""
        self._watch.begin(self)
        super().request(*args, **settings)


def _manager(url: str, in_flight: int, ca_bundle: str | None) -> urllib3.PoolManager:
    settings: dict[str, Any] = {
        "maxsize": 2 * in_flight,  # two files of one process may share a line
        "retries": False,
        "timeout": urllib3.Timeout(connect=CONNECT_S, read=READ_S),
        "cert_reqs": "CERT_REQUIRED",
        "ca_certs": ca_bundle or get_cert_path(verify=True),
    }
    proxy = get_environ_proxies(url).get(url.split(":", 1)[0])
    if proxy:
        return urllib3.ProxyManager(proxy, **settings)
    return urllib3.PoolManager(**settings)


def _failure(error: Exception, *, sent: bool) -> Failure:
    """Timeouts and resets before the first byte count as CONNECT: nothing can have been applied."""
    causes = [error, *(one for one in error.args if isinstance(one, Exception))]
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in causes):
        return Failure.CERTIFICATE
    if not sent:
        return Failure.CONNECT
    timed_out = isinstance(error, (urllib3.exceptions.TimeoutError, TimeoutError))
    return Failure.TIMEOUT if timed_out else Failure.BROKEN

"""The fast transport: one event loop in the thread that calls ``run``, few kept connections.

One request at a time per connection; answers are read in whatever order they come. Nothing runs
between runs, and a request costs one write, one read and three short hashes. Proxies are the plain
transport's business (:mod:`penstock.online.line` chooses).
"""

from __future__ import annotations

import selectors
import ssl
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.httpsession import get_cert_path

from penstock.errors import UsageError
from penstock.online.connection import WRITE, Address, Connection, Lost, Origin
from penstock.online.signing import Signer
from penstock.online.transport import REQUEST_S, Answer, Failure, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.online.keys import Keys
    from penstock.online.responses import Response
    from penstock.online.transport import Work

SWEEP_S = 0.1  # how late a time-out may be noticed
RESOLVE_S = 30.0  # how long the addresses of a name are good
AGAIN_S = 1.0  # after a failure they are looked up anew, but not more often
OPENING = 16  # connections that may be opening at once: a listener's queue is finite


class FastTransport:
    """Up to ``in_flight`` requests under way per run. Facts: performance §5, choice B.

    Threads may run work of their own on it at once; they share idle connections alone.

    Args:
        url: Base URL of the runtime service.
        region: Signing region.
        keys: Where credentials come from.
        in_flight: Connections of a run.
        ca_bundle: File of trusted certificates; None takes botocore's.
        clock: Monotonic seconds.

    Raises:
        UsageError: The file of trusted certificates cannot be read.
    """

    def __init__(
        self,
        url: str,
        region: str,
        keys: Keys,
        in_flight: int,
        ca_bundle: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url.rstrip("/")
        self.region = region
        self.keys = keys
        self.in_flight = in_flight
        self.request_s = REQUEST_S
        self.clock = clock
        secure = self.url.startswith("https:")
        self.origin = Origin(self.url, _context(ca_bundle) if secure else None)
        self._kept: list[Connection] = []
        self._addresses: tuple[float, list[Address]] | None = None
        self._lock = threading.Lock()

    def run(self, work: Work) -> None:
        """See :class:`penstock.online.transport.Transport`."""
        run = _Run(self, work)
        try:
            run.serve()
        finally:
            run.end()

    def renew(self, generation: int) -> None:
        """See :class:`penstock.online.transport.Transport`."""
        self.keys.renew(generation)

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            kept, self._kept = self._kept, []
        for one in kept:
            one.close()

    def connection(self, now: float) -> Connection:
        """A kept connection that is still open, else one that is opening.

        Raises:
            Lost: The name is not known, or no address can be reached.
        """
        while True:
            with self._lock:
                kept = self._kept.pop() if self._kept else None
            if kept is None:
                return Connection(self.origin, self._looked_up(now), now)
            if kept.alive:
                return kept
            kept.close()

    def keep(self, connections: list[Connection]) -> None:
        """Keep idle connections for the next run, as many as it may use."""
        with self._lock:
            room = max(0, self.in_flight - len(self._kept))
            self._kept += connections[:room]
        for one in connections[room:]:
            one.close()

    def mistrust(self, now: float) -> None:
        """A connection failed: look the addresses up again, if they are not brand-new."""
        held = self._addresses
        if held is not None and now - held[0] > AGAIN_S:
            self._addresses = None

    def _looked_up(self, now: float) -> list[Address]:
        """The addresses; each time they begin with another, so that load is spread."""
        held = self._addresses
        if held is None or now - held[0] > RESOLVE_S:
            try:
                held = (now, self.origin.addresses())
            except OSError as error:
                raise Lost(Failure.CONNECT, f"{self.origin.host}: {error}") from error
        first, *others = held[1]
        self._addresses = (held[0], [*others, first])
        return held[1]


class _Run:
    """One run: its requests under way, its connections, its selector."""

    def __init__(self, transport: FastTransport, work: Work) -> None:
        self._transport, self._work = transport, work
        self._clock = transport.clock
        self._signer = Signer(transport.url, transport.region, transport.keys)
        self._prefix = urlsplit(transport.url).path  # nearly always none
        self._selector = selectors.DefaultSelector()
        self._idle: list[Connection] = []
        self._busy = self._opening = 0
        self._now = self._clock()
        self._sweep_at = self._now + SWEEP_S

    def serve(self) -> None:
        """Send until ``take`` gives None and all is answered."""
        while (wait := self._fill()) is not None:
            events = self._selector.select(wait)
            self._now = self._clock()
            for key, mask in events:
                self._advance(key.data, mask)
            if self._now >= self._sweep_at:
                self._sweep()

    def end(self) -> None:
        """Keep what is idle; close what is not: nobody waits for those answers."""
        known: list[Connection] = [key.data for key in self._selector.get_map().values()]
        self._selector.close()
        idle = set(map(id, self._idle))
        for one in known:
            if id(one) not in idle:
                one.close()
        self._transport.keep(self._idle)

    def _fill(self) -> float | None:
        """Begin as many requests as there is room for; seconds to wait, or None at the end."""
        take, room = self._work.take, self._transport.in_flight
        while self._busy < room and (self._idle or self._opening < OPENING):
            step = take()
            if isinstance(step, Request):
                self._begin(step)
            elif step is not None:
                return min(step, SWEEP_S)
            else:
                return SWEEP_S if self._busy else None
        return SWEEP_S

    def _begin(self, request: Request) -> None:
        method, path, body, _ = request
        path = self._prefix + path if self._prefix else path
        head, generation = self._signer.head(method, path, body)
        connection = self._idle.pop() if self._idle else None
        self._now = self._clock()  # taking it may have taken its time
        try:
            connection = connection or self._connection()
            self._busy += 1
            connection.begin(request, head + body, generation, self._now)
        except Lost as lost:
            if connection is not None:
                self._lost(connection, lost)
                return
            failed = Answer(0, failure=lost.failure, detail=lost.detail, sent=False)
            self._work.answered(request, failed._replace(generation=generation))
            return
        if connection.wants & WRITE:
            self._watch(connection)

    def _connection(self) -> Connection:
        connection = self._transport.connection(self._now)
        self._opening += not connection.open
        self._selector.register(connection.sock, connection.wants, connection)
        return connection

    def _advance(self, connection: Connection, mask: int) -> None:
        if connection.request is None:
            if connection in self._idle:  # else it was dropped a moment ago
                self._idle.remove(connection)
                self._drop(connection)
            return
        opening, wanted = not connection.open, connection.wants
        response = lost = None
        try:
            response = connection.advance(mask, self._now)
        except Lost as error:
            lost = error
        if opening and connection.open:
            self._opening -= 1
        if lost is not None:
            self._lost(connection, lost)
            return
        if opening or wanted != connection.wants:
            self._watch(connection)
        if response is not None:
            self._answered(connection, response)

    def _answered(self, connection: Connection, response: Response) -> None:
        request, generation = connection.request, connection.generation
        assert request is not None
        connection.request = None
        self._busy -= 1
        if response.keep and connection.clean:
            self._idle.append(connection)
        else:
            self._drop(connection)
        status, headers, body, _ = response
        answer = Answer(status, headers, body, None, "", True, generation)  # noqa: FBT003 - names cost a sixth of the loop here
        self._work.answered(request, answer)

    def _lost(self, connection: Connection, lost: Lost) -> None:
        if connection.more and lost.failure is Failure.CONNECT:
            try:
                self._selector.unregister(connection.sock)
                connection.close()
                connection.connect(self._now)
            except Lost as last:
                lost = last
            else:
                self._selector.register(connection.sock, connection.wants, connection)
                return
        request = connection.request
        assert request is not None
        connection.request = None
        self._busy -= 1
        self._opening -= not connection.open
        self._drop(connection)
        if lost.failure is Failure.CONNECT:
            self._transport.mistrust(self._now)
        failure, sent = lost.failure, connection.sent
        if not sent and failure is not Failure.CERTIFICATE:
            failure = Failure.CONNECT
        answer = Answer(0, failure=failure, detail=lost.detail, sent=sent)
        self._work.answered(request, answer._replace(generation=connection.generation))

    def _drop(self, connection: Connection) -> None:
        if connection.sock.fileno() >= 0:
            self._selector.unregister(connection.sock)
        connection.close()

    def _watch(self, connection: Connection) -> None:
        self._selector.modify(connection.sock, connection.wants, connection)

    def _sweep(self) -> None:
        """Give up what takes too long. What came in meanwhile has been read before."""
        self._sweep_at = self._now + SWEEP_S
        for key in list(self._selector.get_map().values()):
            connection: Connection = key.data
            if connection.request is not None:
                late = connection.overdue(self._now, self._transport.request_s)
                if late is not None:
                    self._lost(connection, late)


def _context(ca_bundle: str | None) -> ssl.SSLContext:
    file = ca_bundle or get_cert_path(verify=True)
    try:
        context = ssl.create_default_context(cafile=file)
    except OSError as error:
        message = f"the file of trusted certificates {file} cannot be read: {error}"
        raise UsageError(message, "Set AWS_CA_BUNDLE to a file of PEM certificates") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

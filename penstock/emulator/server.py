"""The embedded AWS as a server on 127.0.0.1: one thread, one event loop, one database connection.

``Emulator`` runs it on a thread of this process, for tests; ``serve`` runs it in the foreground.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import cast

from penstock.emulator import journal as journals
from penstock.emulator.engine import Engine, Settings
from penstock.emulator.faults import Faults
from penstock.emulator.identity import key_pair
from penstock.emulator.replication_worker import Replicator
from penstock.emulator.store import Expiry, Ties
from penstock.emulator.wire import PATIENCE, Connection, Request

#: Requests in one transaction at most: bounds how long the write lock is held.
MAX_TOGETHER = 64
#: Connections at once; more are closed as they come.
MAX_CONNECTIONS = 1_000
_LANDING_BYTES = 2**18
_SWEEP_SECONDS = 5.0


class Turnaway(asyncio.Protocol):
    """A client for whom there is no place."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's call."""
        cast("asyncio.Transport", transport).abort()


class Desk:
    """Collects requests and answers those that wait together.

    Args:
        engine: Makes the answers.
        patience: Seconds in which a request must be complete.
    """

    def __init__(self, engine: Engine, patience: float) -> None:
        self._engine = engine
        self._patience = patience
        self._landing = memoryview(bytearray(_LANDING_BYTES))
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Connection, Request]] = []
        self._connections: set[Connection] = set()
        self._pause = min(_SWEEP_SECONDS, patience / 2)
        self._sweeper = self._loop.call_later(self._pause, self._sweep)

    def connection(self) -> Connection | Turnaway:
        """A protocol for a new client."""
        if len(self._connections) >= MAX_CONNECTIONS:
            return Turnaway()
        made = Connection(self._take, self._leave, self._landing, self._patience)
        self._connections.add(made)
        return made

    def _leave(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def close(self) -> None:
        """Drop all clients; what was not answered was not promised."""
        self._sweeper.cancel()
        for connection in list(self._connections):
            connection.close()

    def _take(self, connection: Connection, request: Request) -> None:
        if not self._waiting:
            self._loop.call_soon(self._serve)
        self._waiting.append((connection, request))

    def _serve(self) -> None:
        now, self._waiting = self._waiting[:MAX_TOGETHER], self._waiting[MAX_TOGETHER:]
        if self._waiting:
            self._loop.call_soon(self._serve)
        answers = self._engine.answer([request for _, request in now])
        for (connection, _), answer in zip(now, answers, strict=True):
            connection.answer(answer)

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in list(self._connections):
            if connection.is_stalled(now):
                connection.abort()
        self._engine.sweep()
        self._sweeper = self._loop.call_later(self._pause, self._sweep)


async def serve(
    settings: Settings, faults: Faults, port: int, ready: Callable[[int], None], end: asyncio.Event
) -> None:
    """Serve until the event is set.

    Args:
        settings: Behaviour and data folder, which is made if it is missing.
        faults: The script of faults.
        port: Port on 127.0.0.1, 0 for any free one.
        ready: Called with the port once requests are answered.
        end: Ends the server.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    bound = listener.getsockname()[1]
    engine = Engine(settings, faults, bound)
    desk = Desk(engine, settings.patience)
    server = await asyncio.get_running_loop().create_server(
        desk.connection, sock=listener, backlog=512
    )
    try:
        with Replicator(settings.data, settings.replication_delay, settings.clock):
            ready(bound)
            await end.wait()
    finally:
        server.close()
        desk.close()
        engine.close()


class Emulator:
    """The embedded AWS on a thread, as a context manager.

    Args:
        data: Folder of its state.
        region: Its region.
        port: Port on 127.0.0.1, 0 for any free one.
        faults: Script of faults; may be changed while it runs.
        ties: What an equal event time does: ``ignore`` or ``apply``.
        create_delay: Seconds that creating or updating a feature group takes.
        journal: Whether runtime writes are recorded, for ``journal()``.
        clock: Epoch seconds; further than 300 s from the client's its signatures are refused.
        expiry: Whether the event time of an expired record is forgotten or still guards.
        replication_delay: Seconds an acknowledged row waits at least for the offline store.
        patience: Seconds in which a request must be complete.
    """

    def __init__(
        self,
        data: Path,
        region: str = "us-east-1",
        port: int = 0,
        *,
        faults: Faults | None = None,
        ties: Ties = "ignore",
        create_delay: float = 0.0,
        journal: bool = False,
        clock: Callable[[], float] = time.time,
        expiry: Expiry = "forget",
        replication_delay: float = 5.0,
        patience: float = PATIENCE,
    ) -> None:
        self._settings = Settings(
            data,
            region,
            ties,
            create_delay,
            journal,
            clock,
            expiry,
            replication_delay=replication_delay,
            patience=patience,
        )
        self.faults = Faults() if faults is None else faults
        self.region = region
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="embedded-aws", daemon=True)
        self._failure: BaseException | None = None

    def __enter__(self) -> Emulator:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        pair = key_pair(self._settings.data)
        self.access_key, self.secret_key = pair.access_key, pair.secret_key
        self.credentials_file = pair.file
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._end is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    @property
    def url(self) -> str:
        """Endpoint URL of every service."""
        return f"http://127.0.0.1:{self._port}"

    def journal(self) -> list[journals.Entry]:
        """What was recorded so far, oldest first."""
        return journals.read(self._settings.data)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as problem:  # noqa: BLE001 - handed to the thread that waits
            self._failure = problem
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        await serve(self._settings, self.faults, self._port, self._started, self._end)

    def _started(self, port: int) -> None:
        self._port = port
        self._ready.set()

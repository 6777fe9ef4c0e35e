"""From requests to answers: checks, faults, handlers, one transaction for all that wait.

Requests that arrive while others are worked on share the next transaction (group commit); no answer
leaves before its commit. Within it each call has its own savepoint.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.emulator.catalog import Catalog
from penstock.emulator.control import Control
from penstock.emulator.database import Database
from penstock.emulator.faults import Broken, Faults, Reply, Strike
from penstock.emulator.groups import Groups
from penstock.emulator.identity import Identity, key_pair
from penstock.emulator.journal import Journal
from penstock.emulator.refusal import Refusal
from penstock.emulator.runtime import Runtime
from penstock.emulator.services import CONTROL, GLUE, RUNTIME, STS, Call, Router, Service
from penstock.emulator.signature import Verifier
from penstock.emulator.store import Store, Ties
from penstock.emulator.wire import Request, Response

_log = logging.getLogger(__name__)
_BROKEN = Refusal("InternalFailure", "An internal failure occurred. Try your request again.", 500)
_BUSY = Refusal("ServiceUnavailable", "The service is currently unavailable.", 503)


@dataclass(frozen=True)
class Settings:
    """How the embedded AWS behaves.

    Args:
        data: Folder of its state.
        region: The one region it has.
        ties: What an equal event time does.
        create_delay: Seconds that creating or updating a feature group takes.
        journal: Whether runtime writes are recorded.
        clock: Epoch seconds.
    """

    data: Path
    region: str = "us-east-1"
    ties: Ties = "ignore"
    create_delay: float = 0.0
    journal: bool = False
    clock: Callable[[], float] = time.time


@dataclass(frozen=True)
class _Work:
    """A request on its way: its call once it is known, and what was decided about it."""

    service: Service
    request_id: str
    call: Call | None = None
    refusal: Refusal | None = None


class Engine:
    """All services over one database connection; belongs to the thread that made it.

    Args:
        settings: Behaviour.
        faults: The script; may be empty.
        port: Port of the server, for the check of the Host header.
    """

    def __init__(self, settings: Settings, faults: Faults, port: int) -> None:
        clock = settings.clock
        self._database = Database(settings.data)
        connection = self._database.connection
        self._faults = faults
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        pair = key_pair(settings.data)
        self._verifier = Verifier(pair.access_key, pair.secret_key, settings.region, clock)
        services = {name: Service(name) for name in (CONTROL, GLUE, STS)}
        services[RUNTIME] = Service(RUNTIME, special={"Record": _unchecked})
        self._router = Router(services)
        self._groups = Groups(connection, settings.region, clock)
        self._journal = Journal(connection) if settings.journal else None
        store = Store(connection, clock, settings.ties, self._journal)
        self._runtime = Runtime(self._groups, store, Service(RUNTIME).shapes, clock)
        control = Control(self._groups, settings.region, clock, settings.create_delay)
        catalog = Catalog(connection, clock)
        self._reads: dict[tuple[str, str], Callable[[Call], Any]] = {}
        self._writes: dict[tuple[str, str], Callable[[Call], Any]] = {}
        for name, part in ((RUNTIME, self._runtime), (CONTROL, control), (GLUE, catalog)):
            self._writes |= {(name, op): handler for op, handler in part.writes.items()}
            self._reads |= {(name, op): handler for op, handler in part.reads.items()}
        self._reads |= {(STS, op): handler for op, handler in Identity().reads.items()}
        self._prefix = (
            f"{secrets.token_hex(4)}-{secrets.token_hex(2)}-4{secrets.token_hex(2)[1:]}-8"
        )
        self._counter = itertools.count()

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        """One answer for each request, all committed."""
        works = [self._prepare(request) for request in requests]
        writes = bool(self._faults) or any(
            work.call is not None and (work.service.name, work.call.operation) in self._writes
            for work in works
        )
        try:
            with self._database.transaction(write=writes):
                self._groups.refresh()
                return [self._carry_out(work) for work in works]
        except sqlite3.Error:
            _log.exception("the transaction failed; its calls were undone")
            self._groups.forget()
            return [work.service.failure(_BUSY, work.request_id) for work in works]

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _prepare(self, request: Request) -> _Work:
        number = next(self._counter)
        request_id = f"{self._prefix}{number >> 48 & 0xFFF:03x}-{number & 0xFFFFFFFFFFFF:012x}"
        service = self._router.service(request)
        try:
            self._check_host(request)
            scope = self._verifier.service(request)
            call = self._router.call(service, scope, request, request_id)
        except Refusal as refusal:
            return _Work(service, request_id, refusal=refusal)
        return _Work(service, request_id, call)

    def _check_host(self, request: Request) -> None:
        """A page in a browser must not reach us through a name that resolves to loopback."""
        if request.headers.get("host") not in self._hosts:
            text = "The Host header does not name this server."
            raise Refusal("AccessDeniedException", text, 403)

    def _carry_out(self, work: _Work) -> Response:
        if work.call is None:
            assert work.refusal is not None
            return work.service.failure(work.refusal, work.request_id)
        if not self._faults:
            return self._handle(work.call)
        return self._handle_struck(work.call)

    def _handle_struck(self, call: Call) -> Response:
        strike = self._strike(call)
        action = strike.action
        if isinstance(action, Reply):
            self._note_fault(call, action.name)
            return _reply(action, call.request_id)
        call = dataclasses.replace(call, entries=strike.entries)
        if not isinstance(action, Broken):
            return self._handle(call)
        if not action.applied:
            self._note_fault(call, action.name)
            return Response(0, delay=action.delay, ending=action.ending)
        response = self._handle(call)
        return dataclasses.replace(response, delay=action.delay, ending=action.ending)

    def _handle(self, call: Call) -> Response:
        key = (call.service.name, call.operation)
        write = self._writes.get(key)
        try:
            if write is None:
                output = self._reads.get(key, _unknown)(call)
            else:
                with self._database.savepoint():
                    output = write(call)
        except Refusal as refusal:
            return call.service.failure(refusal, call.request_id)
        except sqlite3.Error:
            raise
        except Exception:  # noqa: BLE001 - one broken call must not end the server
            _log.exception("%s failed", call.operation)
            self._groups.forget()
            return call.service.failure(_BROKEN, call.request_id)
        return call.service.success(call.operation, output, call.request_id)

    def _strike(self, call: Call) -> Strike:
        return self._faults.strike(call.operation, self._targets(call))

    def _targets(self, call: Call) -> list[tuple[str, str, str]]:
        if call.service.name == RUNTIME:
            return self._runtime.targets(call)
        name = call.parameters.get("FeatureGroupName")
        return [] if name is None else [(name, "", "")]

    def _note_fault(self, call: Call, name: str) -> None:
        written = (call.service.name, call.operation) in self._writes
        if self._journal is None or not written or call.service.name != RUNTIME:
            return
        for group, identifier, event_time in self._targets(call):
            self._journal.record(
                call.request_id,
                call.operation,
                group=group,
                identifier=identifier,
                event_time=event_time,
                fault=name,
            )


def _unchecked(value: Any, path: str, problems: list[str]) -> None:
    """Records are checked by the runtime, against their group."""


def _unknown(call: Call) -> Any:
    text = f"The embedded AWS does not have the operation {call.operation}."
    raise Refusal("UnknownOperationException", text)


def _reply(action: Reply, request_id: str) -> Response:
    if action.bare:
        return Response(action.status, (("Content-Type", "text/html"),), action.body.encode())
    headers = [("x-amzn-RequestId", request_id), ("Content-Type", "application/json")]
    if action.code is not None:
        headers.append(("x-amzn-ErrorType", action.code))
    if action.retry_after is not None:
        headers.append(("x-amz-retry-after", str(action.retry_after)))
    return Response(action.status, tuple(headers), action.body.encode())

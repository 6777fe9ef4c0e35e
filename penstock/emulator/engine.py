"""From requests to answers: checks, faults, handlers, one transaction for all that wait.

Requests that arrive while others are worked on share the next transaction (group commit); no answer
leaves before its commit. Within it each call that can fail half-way has its own savepoint.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from penstock.emulator.catalog import Catalog
from penstock.emulator.control import Control
from penstock.emulator.database import Database
from penstock.emulator.faults import Broken, Faults, Reply, Rotated, Target, Turned, expired
from penstock.emulator.groups import Group, Groups
from penstock.emulator.identity import Identity, key_pair
from penstock.emulator.journal import Journal
from penstock.emulator.refusal import Refusal
from penstock.emulator.rotation import rotate
from penstock.emulator.runtime import Runtime
from penstock.emulator.script import NAME, ScriptError, ScriptFile
from penstock.emulator.services import CONTROL, GLUE, RUNTIME, STS, Call, Router, Service
from penstock.emulator.signature import Verifier
from penstock.emulator.store import Expiry, Store, Ties
from penstock.emulator.wire import PATIENCE, Request, Response

_log = logging.getLogger(__name__)
_BROKEN = Refusal("InternalFailure", "An internal failure occurred. Try your request again.", 500)
#: These write last and with nothing that can fail before: no savepoint, rows wait for the commit.
_COLLECTED = frozenset({(RUNTIME, "PutRecord"), (RUNTIME, "BatchWriteRecord")})
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
        expiry: Whether the event time of an expired record is forgotten or still guards.
        faults: File of the fault script, None for ``faults.json`` in ``data``; it is read again
            whenever it changes.
        replication_delay: Seconds an acknowledged row waits at least for the offline store.
        patience: Seconds in which a request must be complete.
    """

    data: Path
    region: str = "us-east-1"
    ties: Ties = "ignore"
    create_delay: float = 0.0
    journal: bool = False
    clock: Callable[[], float] = time.time
    expiry: Expiry = "forget"
    faults: Path | None = None
    replication_delay: float = 5.0
    patience: float = PATIENCE

    @property
    def script(self) -> Path:
        """Where the fault script lies, or may appear."""
        return self.data / NAME if self.faults is None else self.faults


class _Work(NamedTuple):
    """A request on its way: its call once it is known, and what was decided about it."""

    service: Service
    request_id: str
    call: Call | None = None
    writes: bool = False
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
        self._settings = settings
        self._script = ScriptFile(settings.script, faults)
        try:
            self._script.refresh()
        except ScriptError as problem:
            raise OSError(f"{settings.script}: {problem}") from problem
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
        self._store = Store(connection, clock, settings.ties, self._journal, settings.expiry)
        self._runtime = Runtime(self._groups, self._store, Service(RUNTIME).shapes, clock)
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
        try:
            self._script.refresh()
        except (ScriptError, OSError) as problem:
            return self._unscripted(requests, problem)
        works = [self._prepare(request) for request in requests]
        writes = bool(self._faults) or any(work.writes for work in works)
        try:
            with self._database.transaction(write=writes):
                self._groups.refresh()
                answers = [self._carry_out(work) for work in works]
                self._store.flush()
                if self._journal is not None and writes:
                    self._journal.flush()
        except Exception as problem:  # noqa: BLE001 - whatever it is, its clients wait for an answer
            _log.exception("the transaction failed; its calls were undone")
            self._forget()
            refusal = _BUSY if isinstance(problem, sqlite3.Error) else _BROKEN
            return [work.service.failure(refusal, work.request_id) for work in works]
        else:
            return answers

    def sweep(self) -> None:
        """Delete what expired; called now and then."""
        try:
            with self._database.transaction(write=False):
                waiting = self._store.expired()
            while waiting:
                with self._database.transaction(write=True):
                    self._groups.refresh()
                    waiting = self._store.sweep(self._group_of) > 0
        except sqlite3.Error:
            _log.exception("expired records stay for now")

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _group_of(self, row: int) -> Group | None:
        found = self._database.connection.execute(
            "SELECT name FROM feature_group WHERE id=?", (row,)
        ).fetchone()
        return None if found is None else self._groups.find(found[0])

    def _forget(self) -> None:
        self._groups.forget()
        self._store.forget()
        if self._journal is not None:
            self._journal.forget()

    def _unscripted(self, requests: Sequence[Request], problem: Exception) -> list[Response]:
        """A script that cannot be read must not pass for no faults."""
        _log.error("%s: %s", self._settings.script, problem)
        refusal = Refusal("InternalFailure", f"The fault script cannot be read: {problem}", 500)
        return [
            self._router.service(request).failure(refusal, self._request_id())
            for request in requests
        ]

    def _request_id(self) -> str:
        number = next(self._counter)
        return f"{self._prefix}{number >> 48 & 0xFFF:03x}-{number & 0xFFFFFFFFFFFF:012x}"

    def _prepare(self, request: Request) -> _Work:
        request_id = self._request_id()
        service = self._router.service(request)
        try:
            self._check_host(request)
            scope = self._verifier.service(request)
            call = self._router.call(service, scope, request, request_id)
        except Refusal as refusal:
            return _Work(service, request_id, refusal=refusal)
        return _Work(service, request_id, call, (service.name, call.operation) in self._writes)

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
        targets = self._targets(call)
        strike = self._faults.strike(call.operation, targets)
        action, delay = strike.action, strike.delay
        if action is None:
            call = call._replace(entries=strike.entries, names=strike.names)
            return self._handle(call)._replace(delay=delay)
        if isinstance(action, Broken):
            delay += action.delay
            answered = action.ending == "dripped"
            response = Response(0)
            if action.applied:
                response = self._handle(call._replace(fault=action.name, answered=answered))
            else:
                self._note_fault(call, action.name, targets, answered=False)
            return response._replace(delay=delay, ending=action.ending, pace=action.pace)
        if isinstance(action, Turned) and call.operation == "DescribeFeatureGroup":
            return self._handle(call, {"FeatureGroupStatus": action.status})._replace(delay=delay)
        self._note_fault(call, action.name, targets, answered=True)
        return self._refuse(call, action)._replace(delay=delay)

    def _refuse(self, call: Call, action: Reply | Turned | Rotated) -> Response:
        if isinstance(action, Rotated):
            pair = rotate(self._settings.data)
            self._verifier.rotate(pair.access_key, pair.secret_key)
            return _reply(expired(), call.request_id)
        if isinstance(action, Turned):
            text = f"The FeatureGroup is not in status Created but {action.status}."
            return call.service.failure(Refusal(call.service.invalid, text), call.request_id)
        return _reply(action, call.request_id)

    def _handle(self, call: Call, more: dict[str, Any] | None = None) -> Response:
        key = (call.service.name, call.operation)
        if key not in _COLLECTED:
            self._store.flush()
        write = self._writes.get(key)
        try:
            if write is None:
                output = self._reads.get(key, _unknown)(call)
            elif key in _COLLECTED:
                output = write(call)
            else:
                output = self._write(write, call)
        except Refusal as refusal:
            return call.service.failure(refusal, call.request_id)
        except sqlite3.Error:
            raise
        except Exception:  # noqa: BLE001 - one broken call must not end the server
            _log.exception("%s failed", call.operation)
            self._groups.forget()
            return call.service.failure(_BROKEN, call.request_id)
        return call.service.success(
            call.operation, output | more if more else output, call.request_id
        )

    def _write(self, handler: Callable[[Call], Any], call: Call) -> Any:
        """Undone alone when it raises, its notes with it."""
        mark = 0 if self._journal is None else self._journal.mark()
        try:
            with self._database.savepoint():
                return handler(call)
        except BaseException:
            if self._journal is not None:
                self._journal.forget(mark)
            raise

    def _targets(self, call: Call) -> list[Target]:
        if call.service.name == RUNTIME:
            return self._runtime.targets(call)
        name = call.parameters.get("FeatureGroupName")
        if not isinstance(name, str):
            return []
        group = self._groups.find(name)
        return [Target(name if group is None else group.name, "", "")]

    def _note_fault(
        self, call: Call, name: str, targets: Sequence[Target], *, answered: bool
    ) -> None:
        written = (call.service.name, call.operation) in self._writes
        if self._journal is None or not written or call.service.name != RUNTIME:
            return
        for group, identifier, event_time, _ in targets:
            self._journal.record(
                call.request_id,
                call.operation,
                group=group,
                identifier=identifier,
                event_time=event_time,
                fault=name,
                answered=answered,
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

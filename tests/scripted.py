"""A Feature Store runtime in a few lines, for faults no real service gives on demand.

It speaks HTTP on a real socket. A script decides on each call; by default it accepts everything and
keeps the newest event time of each identifier, as the service does.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

OK_HEADERS = {"x-amzn-RequestId": "00000000-0000-0000-0000-000000000000"}


@dataclass(frozen=True)
class Reply:
    """What the server answers.

    ``action``: reply; close after it; reset without it; drip it; behead: close within the headers;
    noise instead of HTTP.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: dict(OK_HEADERS))
    action: str = "reply"
    apply: bool = False


def error(status: int, code: str | None, message: str | None = "no", **headers: str) -> Reply:
    """An error as the service words it."""
    named = {"x-amzn-ErrorType": code} if code else {}
    return Reply(status, json.dumps({"message": message}).encode(), OK_HEADERS | named | headers)


@dataclass(frozen=True)
class Call:
    """One request as it came in."""

    number: int
    method: str
    path: str
    headers: dict[str, str]
    records: list[dict[str, str]]
    entries: list[dict[str, Any]]
    body: bytes
    at: float

    @property
    def key_line(self) -> str:
        """The Authorization header."""
        return self.headers.get("Authorization", "")

    @property
    def key(self) -> str:
        """Access key id it was signed with."""
        return self.key_line.split("Credential=")[-1].split("/")[0]


Script = Callable[[Call], Reply | None]


class Scripted:
    """The server's state. ``script`` may be replaced while it runs."""

    def __init__(self) -> None:
        self.script: Script = lambda _call: None
        self.calls: list[Call] = []
        self.store: dict[str, dict[str, str]] = {}
        self.lock = threading.Lock()
        self.url = ""
        self.connections: list[socket.socket] = []

    def apply(self, record: dict[str, str]) -> None:
        """Keep the newest by event time."""
        with self.lock:
            held = self.store.get(record["id"])
            if held is None or held["at"] < record["at"]:
                self.store[record["id"]] = record

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """Note the call, ask the script, apply what was accepted."""
        document = json.loads(body)
        entries = document.get("Entries") or [document]
        records = [
            {one["FeatureName"]: one["ValueAsString"] for one in entry["Record"]}
            for entry in entries
        ]
        with self.lock:
            number = len(self.calls)
            call = Call(number, method, path, headers, records, entries, body, time.monotonic())
            self.calls.append(call)
        reply = self.script(call)
        if reply is None or reply.apply:
            for record in records:
                self.apply(record)
        if reply is None:
            batch = path == "/BatchWriteRecord"
            return Reply(body=b'{"Errors":[],"UnprocessedEntries":[]}' if batch else b"")
        return reply


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: Scripted

    def setup(self) -> None:
        """Be known, so that the end of the server ends the connection."""
        super().setup()
        self.state.connections.append(self.connection)

    def log_message(self, *_: Any) -> None:  # the server is quiet
        pass

    def do_PUT(self) -> None:  # the name http.server looks for
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        reply = self.state.answer(self.command, self.path, dict(self.headers.items()), body)
        if reply.action == "reset":
            self.close_connection = True
            self.connection.shutdown(2)
            return
        head = {"Content-Length": str(len(reply.body))} | reply.headers
        lines = [f"HTTP/1.1 {reply.status} x", *(f"{k}: {v}" for k, v in head.items()), "", ""]
        raw = "\r\n".join(lines).encode() + reply.body
        if reply.action == "drip":
            self._drip(raw)
            return
        self.close_connection = reply.action != "reply"
        raw = {"behead": raw[:20], "noise": b"\x00\x01\r\n\r\n"}.get(reply.action, raw)
        self.wfile.write(raw)

    do_POST = do_PUT  # noqa: N815 - likewise

    def _drip(self, raw: bytes) -> None:
        self.close_connection = True
        try:
            for place in range(len(raw)):
                self.wfile.write(raw[place : place + 1])
                time.sleep(0.05)
        except OSError:
            return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:  # clients that leave are part of the script
        pass


@contextmanager
def scripted(port: int = 0, tls: Path | None = None) -> Iterator[Scripted]:
    """Serve on the loopback, on a free port unless one is named; ``tls``: key and certificate."""
    state = Scripted()
    server = _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"state": state}))
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    state.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        for connection in state.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def poisoned(call: Call) -> Reply | None:
    """Records k10, k11, … k90 are refused, in batches entry by entry."""
    bad = [
        entry
        for entry, record in zip(call.entries, call.records, strict=True)
        if re.fullmatch(r"k\d0", record["id"])
    ]
    if not bad:
        return None
    if call.method == "PUT":
        return error(
            400, "ValidationError", f"Value [{call.records[0]['length']}] of k is bad: wren"
        )
    errors = [
        {"Entry": entry, "ErrorCode": "ValidationError", "ErrorMessage": "bad 10.5 in kind 'wren'"}
        for entry in bad
    ]
    body = json.dumps({"Errors": errors, "UnprocessedEntries": []}).encode()
    return Reply(200, body, apply=True)

"""Events in Avro, and a schema registry that answers over HTTP as Confluent's does."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fastavro

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "reading",
    "fields": [
        {"name": "sensor", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "level", "type": ["null", "long"]},
        {"name": "share", "type": ["null", "double"]},
    ],
}


def binary(row: dict[str, Any], schema: Any = SCHEMA) -> bytes:
    """A record's binary form."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), row)
    return out.getvalue()


def wired(number: int, row: dict[str, Any], schema: Any = SCHEMA) -> bytes:
    """The same in Confluent's wire format."""
    return b"\0" + number.to_bytes(4, "big") + binary(row, schema)


@dataclass
class Server:
    """A schema registry: what it knows, how it answers, what it was asked."""

    schemas: dict[int, Any] = field(default_factory=dict)
    status: int = 200
    asked: list[str] = field(default_factory=list)
    identities: set[str | None] = field(default_factory=set)
    url: str = ""


@contextmanager
def served() -> Iterator[Server]:
    """One that runs."""
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            told.identities.add(self.headers.get("authorization"))
            schema = told.schemas.get(int(self.path.rsplit("/", 1)[-1]))
            status = told.status if schema is not None or told.status != 200 else 404
            found = {"error_code": 40403} if schema is None else {"schema": json.dumps(schema)}
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

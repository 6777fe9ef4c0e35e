"""A server that says exactly the bytes a test wants, and a work that notes what came of it."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from penstock.online.transport import Answer, Request

Step = bytes | float | Literal["close", "reset"]
FINE = b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: 1\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(frozen=True)
class Heard:
    """One request as it came in; header names in lower case."""

    number: int
    connection: int
    line: str
    headers: dict[str, str]
    body: bytes


Script = Callable[[Heard], Sequence[Step]]


class Wire:
    """A server on the loopback: each request is answered by the steps its script gives.

    Bytes are sent as they are, numbers waited for; ``close`` and ``reset`` end the connection.
    """

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.script: Script = lambda _: [FINE]
        self.heard: list[Heard] = []
        self.connections = 0
        self.busy = self.busiest = 0
        self.lock = threading.Lock()
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._open: list[socket.socket] = []
        port = self._listener.getsockname()[1]
        self.url = f"{'http' if context is None else 'https'}://127.0.0.1:{port}"

    def serve(self) -> None:
        """Accept until closed."""
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self._open.append(sock)
                arguments = (sock, self.connections)
                threading.Thread(target=self._connected, args=arguments, daemon=True).start()

    def hang_up(self) -> None:
        """Close every connection."""
        with self.lock:
            gone, self._open = self._open, []
        for sock in gone:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def close(self) -> None:
        """End."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def _connected(self, sock: socket.socket, number: int) -> None:
        with suppress(OSError, ValueError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            with sock:
                reader = sock.makefile("rb")
                while self._exchange(sock, reader, number):
                    pass

    def _exchange(self, sock: socket.socket, reader: Iterable[bytes], number: int) -> bool:
        lines = iter(reader)
        first = next(lines, b"").decode().strip()
        if not first:
            return False
        headers: dict[str, str] = {}
        while (line := next(lines).decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = reader.read(int(headers.get("content-length", "0")))  # type: ignore[attr-defined]  # a file
        with self.lock:
            heard = Heard(len(self.heard), number, first, headers, body)
            self.heard.append(heard)
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
        try:
            return self._play(sock, self.script(heard))
        finally:
            with self.lock:
                self.busy -= 1

    def _play(self, sock: socket.socket, steps: Sequence[Step]) -> bool:
        for step in steps:
            if step == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
                return False
            if step == "close":
                with suppress(OSError):
                    if isinstance(sock, ssl.SSLSocket):
                        sock.unwrap()  # a TLS connection that just ends was cut
                    sock.shutdown(socket.SHUT_RDWR)
                return False
            if isinstance(step, float):
                time.sleep(step)
            elif isinstance(step, bytes):
                sock.sendall(step)
        return True


@contextmanager
def wire(context: ssl.SSLContext | None = None) -> Iterator[Wire]:
    """A server as long as the context."""
    made = Wire(context)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join()


@dataclass
class Errand:
    """A work of so many requests; each is answered once, and calls never overlap."""

    requests: list[Request]
    answers: dict[int, Answer] = field(default_factory=dict)
    raises: BaseException | None = None
    taken: int = 0
    most: int = 0
    _inside: bool = False

    def take(self) -> Request | float | None:
        """The next request."""
        with self._alone():
            if self.taken < len(self.requests):
                self.taken += 1
                self.most = max(self.most, self.taken - len(self.answers))
                return self.requests[self.taken - 1]
            return None if len(self.answers) == len(self.requests) else 0.05

    def answered(self, request: Request, answer: Answer) -> None:
        """Note it."""
        with self._alone():
            assert request.tag not in self.answers
            self.answers[request.tag] = answer
            if self.raises is not None:
                raise self.raises

    @contextmanager
    def _alone(self) -> Iterator[None]:
        assert not self._inside
        self._inside = True
        try:
            yield
        finally:
            self._inside = False


def errand(count: int = 1, body: bytes = b'{"Record":[]}', path: str = "/FeatureGroup/g") -> Errand:
    """PutRecord so many times."""
    return Errand([Request("PUT", path, body, number) for number in range(count)])


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a folder, made by openssl."""

    folder: Path

    @property
    def bundle(self) -> str:
        """Its own certificate."""
        return str(self.folder / "ca.pem")

    def make(self) -> Authority:
        """Create key and certificate."""
        _openssl(
            self.folder,
            "req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
            # Python 3.13 takes no authority that does not say it is one.
            "-subj /CN=authority -addext keyUsage=critical,keyCertSign,cRLSign "
            "-keyout ca.key -out ca.pem",
        )
        return self

    def server(self, names: str) -> ssl.SSLContext:
        """A server's context with a certificate for ``names``: ``IP:127.0.0.1``, ``DNS:x``."""
        _openssl(
            self.folder,
            "req -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=server "
            f"-addext subjectAltName={names} -keyout server.key -out server.csr",
        )
        _openssl(
            self.folder,
            "x509 -req -days 2 -copy_extensions copyall -CA ca.pem -CAkey ca.key "
            "-CAcreateserial -in server.csr -out server.pem",
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        return context


def _openssl(folder: Path, words: str) -> None:
    command = ["openssl", *words.split()]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=30)

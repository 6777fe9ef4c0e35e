"""A transport without sockets or waiting: requests go straight into the engine of the embedded AWS.

Time is a number that the transport moves, so an outage of minutes costs milliseconds, and what is
in flight together is decided by the clock alone: a script of faults gives the same run each time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials
from urllib3 import HTTPHeaderDict

from penstock.emulator.engine import Engine, Settings
from penstock.emulator.faults import Faults
from penstock.emulator.identity import key_pair
from penstock.emulator.wire import Request as Wire
from penstock.emulator.wire import Response
from penstock.online.transport import Answer, Failure, Request

if TYPE_CHECKING:
    from penstock.online.transport import Work

HOST = "127.0.0.1:9"
REGION = "us-east-1"
LIMIT_S = 12.0  # of a request, as both transports have it
_WAY_S = 0.005  # from client to server, and back
_HEAD_BYTES = 150  # of an answer, about


class Killed(BaseException):
    """The worker is gone: what it had not written down is lost."""


@dataclass
class Clock:
    """Seconds, moved by whoever sends; quotas and time windows of scripts go by it too."""

    now: float = 1_000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


class Stand:
    """The embedded AWS as an object, with boto3 clients that call it without a socket.

    Args:
        data: Its folder.
        clock: Time of the script of faults.

    ``written`` is how much of the journal has been judged.
    """

    def __init__(self, data: Path, clock: Clock) -> None:
        self.data, self.clock, self.faults = data, clock, Faults(clock=clock)
        settings = Settings(data, REGION, journal=True)
        self.engine = Engine(settings, self.faults, int(HOST.rpartition(":")[2]))
        self.written = 0
        self.credentials = Credentials("", "")
        self.control: Any = None
        self.runtime: Any = None
        self.look_up()

    def look_up(self) -> None:
        """Find the credentials anew: a script may have changed them."""
        pair = key_pair(self.data)
        if pair.access_key == self.credentials.access_key:
            return
        self.credentials = Credentials(pair.access_key, pair.secret_key)
        self.control = self._client("sagemaker")
        self.runtime = self._client("sagemaker-featurestore-runtime")

    def signed(self, request: Request) -> Wire:
        """A request of the online path as the server reads it."""
        headers = {"Content-Type": "application/json"}
        url = f"http://{HOST}{request.path}"
        unsigned = AWSRequest(request.method, url, headers, request.body)
        SigV4Auth(self.credentials, "sagemaker", REGION).add_auth(unsigned)
        return _wire(request.method, url, dict(unsigned.headers.items()), request.body)

    def _client(self, service: str) -> Any:
        session: Any = boto3.Session()
        made = session.client(
            service,
            region_name=REGION,
            endpoint_url=f"http://{HOST}",
            aws_access_key_id=self.credentials.access_key,
            aws_secret_access_key=self.credentials.secret_key,
            config=Config(retries={"total_max_attempts": 1}),
        )
        made.meta.events.register("before-send", self._answer)
        return made

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        given = {name: _text(value) for name, value in request.headers.items()}
        wire = _wire(request.method, request.url, given, _bytes(request.body or b""))
        (answer,) = self.engine.answer([wire])
        headers: Any = HTTPHeaderDict(answer.headers)
        return AWSResponse(request.url, answer.status, headers, _Raw(answer.body))


@contextmanager
def stand(data: Path) -> Iterator[Stand]:
    """An embedded AWS on a folder, for this thread."""
    data.mkdir(parents=True, exist_ok=True)
    made = Stand(data, Clock())
    try:
        yield made
    finally:
        made.engine.close()


@dataclass
class Direct:
    """A :class:`penstock.online.transport.Transport` on a clock of its own.

    Args:
        stand: Who answers.
        in_flight: Requests under way at once.
        dies_after: Answers after which the worker is killed; None lets it live.
    """

    stand: Stand
    in_flight: int
    dies_after: int | None = None
    answered: int = 0
    longest_s: float = 0.0
    generation: int = 1
    _numbers: Iterator[int] = field(default_factory=count)

    def run(self, work: Work) -> None:
        """Send until there is no more."""
        flying: list[tuple[float, int, float, Request, Answer]] = []
        while True:
            step: Request | float | None = None
            while len(flying) < self.in_flight:
                step = work.take()
                if step is None or isinstance(step, float):
                    break
                heapq.heappush(flying, self._flight(step))
            if not flying:
                if step is None:
                    return
                assert isinstance(step, float)
                self.stand.clock.now += step
                continue
            due = flying[0][0]
            if isinstance(step, float) and self.stand.clock.now + step < due:
                self.stand.clock.now += step
                continue
            self.stand.clock.now, _, began, request, answer = heapq.heappop(flying)
            self.longest_s = max(self.longest_s, self.stand.clock.now - began)
            self.answered += 1
            if self.dies_after is not None and self.answered > self.dies_after:
                raise Killed
            work.answered(request, answer)

    def renew(self, generation: int) -> None:
        """Look credentials up, once per generation."""
        if generation == self.generation:
            self.generation += 1
            self.stand.look_up()

    def close(self) -> None:
        """Nothing is open."""

    def _flight(self, request: Request) -> tuple[float, int, float, Request, Answer]:
        """The server works on it as it arrives; the answer is on its way already."""
        (response,) = self.stand.engine.answer([self.stand.signed(request)])
        took, answer = _delivered(response)
        own = answer._replace(generation=self.generation)
        return self.stand.clock.now + took, next(self._numbers), self.stand.clock.now, request, own


def _delivered(response: Response) -> tuple[float, Answer]:
    """Seconds until the client knows, and what it then knows."""
    took = response.delay + 2 * _WAY_S
    if response.ending == "dripped":
        took += (_HEAD_BYTES + len(response.body)) / response.pace
    if took > LIMIT_S:
        return LIMIT_S, Answer(0, failure=Failure.TIMEOUT, detail="nothing came")
    if response.ending not in ("whole", "dripped"):
        return took, Answer(0, failure=Failure.BROKEN, detail=response.ending)
    return took, Answer(response.status, HTTPHeaderDict(response.headers), response.body)


class _Raw(BytesIO):
    """What botocore reads an answer's body from."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.getvalue()


def _wire(method: str, url: str, headers: dict[str, str], body: bytes) -> Wire:
    parts = urlsplit(url)
    own = {name.lower(): value for name, value in headers.items()} | {"host": HOST}
    return Wire(method, parts.path or "/", parts.query, own, body)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)

"""What one process knows of an endpoint, kept across files: connections, pace, operation, keys.

Spark re-uses its Python workers, so the second file starts with warm connections, at the rate the
first one found, and with the operation the service was found to know.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from botocore.utils import get_environ_proxies

from penstock import aws
from penstock.online.fast import FastTransport
from penstock.online.keys import Keys
from penstock.online.pacing import GENTLE, START, Pacer
from penstock.online.plain import PlainTransport

if TYPE_CHECKING:
    from penstock.aws import Endpoint
    from penstock.online.asking import ReadJob
    from penstock.online.job import Api, SendJob
    from penstock.online.transport import Transport


class Line:
    """Shared by all files a process sends to one group; safe between threads.

    Args:
        transport: Moves the bytes.
        pacer: The limiter.
        api: ``auto`` begins with BatchWriteRecord.
    """

    def __init__(
        self, transport: Transport, pacer: Pacer, api: Literal["auto", "batch", "put"]
    ) -> None:
        self.transport = transport
        self.api: Api = "put" if api == "put" else "batch"
        self.proved = False
        self._pacer = pacer
        self._auto = api == "auto"
        self._lock = threading.Lock()

    def take(self, now: float, units: int) -> float:
        """See :meth:`penstock.online.pacing.Pacer.take`."""
        with self._lock:
            return self._pacer.take(now, units)

    def accepted(self, now: float, units: int) -> None:
        """So many write units were accepted: the operation is the right one."""
        with self._lock:
            self.proved = True
            self._pacer.accepted(now, units)

    def throttled(self, now: float) -> None:
        """A request or an entry was throttled."""
        with self._lock:
            self._pacer.throttled(now)

    def fall_back(self) -> bool:
        """PutRecord from now on. False where BatchWriteRecord was asked for."""
        if self._auto:
            self.api = "put"
        return self._auto


def line_of(job: SendJob) -> Line:
    """This process's line for a job.

    Raises:
        CredentialsError: No credentials were found.
    """
    job = replace(job, transport=transport_of(job))
    rates = (job.max_write_units_per_s, job.expected_write_units_per_s)
    return _line(job.endpoint, job.group, job.api, job.most_slots, rates, job.transport)


def transport_of(job: SendJob | ReadJob) -> Literal["fast", "plain"]:
    """Which transport a job uses here: the one it names, but ``plain`` through a proxy."""
    url = aws.runtime_url(job.endpoint)
    proxies = get_environ_proxies(url)
    return "plain" if proxies.get(url.split(":", 1)[0]) else job.transport


@lru_cache(maxsize=16)
def _line(
    endpoint: Endpoint,
    group: str,  # noqa: ARG001 - part of the key: each group has its own pace and rights
    api: Literal["auto", "batch", "put"],
    in_flight: int,
    rates: tuple[float | None, float | None],
    transport: Literal["fast", "plain"],
) -> Line:
    ceiling, expected = rates
    carrier = carrier_of(endpoint, in_flight, transport)
    start = START if expected is None else min(START, max(GENTLE, expected))
    return Line(carrier, Pacer(time.monotonic(), ceiling, start), api)


@lru_cache(maxsize=4)
def carrier_of(endpoint: Endpoint, in_flight: int, name: Literal["fast", "plain"]) -> Transport:
    """This process's transport to an endpoint: groups share connections and credentials.

    Raises:
        CredentialsError: No credentials were found.
    """
    keys = Keys(lambda: aws.fresh_session(endpoint).get_credentials())
    bundle = aws.session(endpoint).get_config_variable("ca_bundle")
    bundle = bundle or os.environ.get("REQUESTS_CA_BUNDLE")  # as botocore's own clients do
    kind = FastTransport if name == "fast" else PlainTransport
    return kind(aws.runtime_url(endpoint), endpoint.region, keys, in_flight, bundle)

"""What one process knows of an endpoint, kept across files: connections, pace, operation, keys.

Spark re-uses its Python workers, so the second file starts with warm connections, at the rate the
first one found, and with the operation the service was found to know.
"""

from __future__ import annotations

import os
import threading
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from botocore.utils import get_environ_proxies

from penstock import aws
from penstock.online.fast import FastTransport
from penstock.online.keys import Keys
from penstock.online.pacing import Pacer
from penstock.online.plain import PlainTransport

if TYPE_CHECKING:
    from penstock.aws import Endpoint
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

    def accepted(self, now: float) -> None:
        """A request was accepted: the operation is the right one."""
        with self._lock:
            self.proved = True
            self._pacer.accepted(now)

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
    return _line(
        job.endpoint,
        job.group,
        job.api,
        job.most_slots,
        job.max_write_units_per_s,
        transport_of(job),
    )


def transport_of(job: SendJob) -> Literal["fast", "plain"]:
    """Which transport a job uses here: the one it names, but ``plain`` through a proxy."""
    url = _url(job.endpoint)
    proxies = get_environ_proxies(url)
    return "plain" if proxies.get(url.split(":", 1)[0]) else job.transport


@lru_cache(maxsize=16)
def _line(
    endpoint: Endpoint,
    group: str,  # noqa: ARG001 - part of the key: each group has its own pace and rights
    api: Literal["auto", "batch", "put"],
    in_flight: int,
    ceiling: float | None,
    transport: Literal["fast", "plain"],
) -> Line:
    keys = Keys(lambda: aws.fresh_session(endpoint).get_credentials())
    bundle = aws.session(endpoint).get_config_variable("ca_bundle")
    bundle = bundle or os.environ.get("REQUESTS_CA_BUNDLE")  # as botocore's own clients do
    kind = FastTransport if transport == "fast" else PlainTransport
    made = kind(_url(endpoint), endpoint.region, keys, in_flight, bundle)
    return Line(made, Pacer(time.monotonic(), ceiling), api)


def _url(endpoint: Endpoint) -> str:
    """The address of the runtime API, AWS's own (service facts §3.3) unless one is set."""
    if endpoint.url is not None:
        return endpoint.url
    session, region = aws.session(endpoint), endpoint.region
    resolver = session.get_component("endpoint_resolver")
    suffix = resolver.get_partition_dns_suffix(session.get_partition_for_region(region))
    return f"https://featurestore-runtime.sagemaker.{region}.{suffix}"

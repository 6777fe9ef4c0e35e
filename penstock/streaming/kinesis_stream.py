"""A Kinesis stream as its control calls tell of it, and how long passing trouble is borne.

Client, clocks, sleep and randomness are handed in.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import botocore.exceptions
from botocore.exceptions import BotoCoreError, ClientError

from penstock import aws
from penstock.errors import ConfigError, MismatchError, PenstockError, TemporaryError
from penstock.streaming.kinesis_offsets import Shard

LOG = logging.getLogger(__name__)

#: What passes by itself: throttles, and the service's own trouble (Kinesis API model).
PASSING = frozenset(
    {
        "ExpiredNextTokenException",
        "InternalFailure",
        "InternalFailureException",
        "KMSThrottlingException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ResourceInUseException",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
    }
)
CALL_S = 0.2  # five calls a second and shard (GetRecords and GetShardIterator, API model)
CAP_S = 5.0  # the longest throttle the API model speaks of
PATIENCE_S = 300.0
TOLD_AT = 8  # failures in a row, some ten seconds
ASKED_S = 60.0  # the retention of a stream may be changed at any time


class Kinesis(Protocol):
    """The calls we make of a boto3 client of Kinesis."""

    def describe_stream_summary(self, **request: Any) -> Mapping[str, Any]:
        """Creation and retention."""

    def list_shards(self, **request: Any) -> Mapping[str, Any]:
        """Shards that are not past the retention."""

    def get_shard_iterator(self, **request: Any) -> Mapping[str, Any]:
        """Where to read; good for five minutes."""

    def get_records(self, **request: Any) -> Mapping[str, Any]:
        """Up to 10,000 records or 10 MiB."""


@dataclass(frozen=True)
class Timing:
    """Clocks (steady and wall, in seconds), sleep and uniform draw from 0 to 1."""

    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    draw: Callable[[], float] = random.random


class Patience:
    """How long to wait after passing trouble, and when to give up.

    The n-th wait in a row (from 0) is ``CALL_S`` plus a uniform draw from 0 to
    ``min(CAP_S, CALL_S * 2**n)`` seconds. After waits of ``PATIENCE_S`` seconds together without
    one success it ends.
    """

    def __init__(self, timing: Timing, what: str) -> None:
        self._timing = timing
        self._what = what
        self._count = 0
        self._waited_s = 0.0

    def succeeded(self) -> None:
        """A call went through."""
        self._count, self._waited_s = 0, 0.0

    def wait(self, error: Exception) -> float:
        """Seconds to wait before the next call.

        Raises:
            TemporaryError: It has been failing for too long.
            PenstockError: The error does not pass by itself.
        """
        if not _passes(error):
            raise _final(error, self._what) from error
        if self._waited_s > PATIENCE_S:
            message = f"{self._what} has not answered for {self._waited_s:.0f} s: {error}"
            raise TemporaryError(message, "Start the query again; nothing is lost") from error
        widest = min(CAP_S, CALL_S * 2.0 ** min(self._count, 10))
        wait = CALL_S + self._timing.draw() * widest
        self._count += 1
        self._waited_s += wait
        if self._count == TOLD_AT:
            LOG.warning("%s: %s; going on for %.0f s", self._what, error, PATIENCE_S)
        return wait


class Stream:
    """One stream and what is common to its shards.

    Args:
        client: A boto3 client that tries once: waiting is done here.
        name: Name or ARN.
        timing: Clocks and randomness.
        fail_on_loss: Whether records that were trimmed before they were read end the query.
    """

    def __init__(
        self, client: Kinesis, name: str, timing: Timing, *, fail_on_loss: bool = True
    ) -> None:
        self.client = client
        self.name = name
        self.timing = timing
        self.which = {"StreamARN" if name.startswith("arn:") else "StreamName": name}
        self._fail_on_loss = fail_on_loss
        self._retention_s = 0.0
        self._asked: float | None = None

    def created(self) -> int:
        """Epoch second of its creation."""
        summary = self._patient(self.client.describe_stream_summary, **self.which)
        told = summary["StreamDescriptionSummary"]
        self._retention_s = told["RetentionPeriodHours"] * 3600.0
        self._asked = self.timing.clock()
        return int(told["StreamCreationTimestamp"].timestamp())

    def retention_s(self) -> float:
        """How long records are kept, in seconds; asked for at most once a minute."""
        if self._asked is None or self.timing.clock() - self._asked > ASKED_S:
            self.created()
        return self._retention_s

    def shards(self) -> tuple[list[Shard], int]:
        """All shards within the retention; and the time on Kinesis's clock, in whole seconds."""
        found: list[Shard] = []
        request: dict[str, Any] = self.which
        while True:
            answer = self._patient(self.client.list_shards, **request)
            found += [_shard(one) for one in answer["Shards"]]
            token = answer.get("NextToken")
            if not token:
                return found, self._served_at(answer)
            request = {"NextToken": token}

    def lost(self, shard: str, what: str) -> None:
        """Records are gone before they were read: an error, or a warning where that was asked for.

        Raises:
            MismatchError: Losses end the query.
        """
        message = f"shard {shard} of stream {self.name}: {what}"
        if self._fail_on_loss:
            remedy = (
                "Start anew from a fresh checkpoint, or set failOnDataLoss=false to go on with "
                "what is left; a longer retention of the stream bridges longer stops"
            )
            raise MismatchError(message, remedy)
        LOG.warning("records lost: %s; going on, for failOnDataLoss is false", message)

    def _patient(self, call: Callable[..., Mapping[str, Any]], **request: Any) -> Mapping[str, Any]:
        patience = Patience(self.timing, f"stream {self.name}")
        while True:
            try:
                return call(**request)
            except (ClientError, BotoCoreError) as error:
                self.timing.sleep(patience.wait(error))

    def _served_at(self, answer: Mapping[str, Any]) -> int:
        """A timestamp that is later than Kinesis's clock would be refused by AT_TIMESTAMP."""
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        told = headers.get("date")
        if told is None:
            return int(self.timing.wall())
        return int(parsedate_to_datetime(told).timestamp())


def _shard(told: Mapping[str, Any]) -> Shard:
    named = (told.get("ParentShardId"), told.get("AdjacentParentShardId"))
    parents = tuple(one for one in named if one)
    closed = told["SequenceNumberRange"].get("EndingSequenceNumber") is not None
    return Shard(told["ShardId"], parents, closed)


def _passes(error: Exception) -> bool:
    unheard = (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError)
    if isinstance(error, unheard):
        return True
    if not isinstance(error, ClientError):
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return aws.code(error) in PASSING or status >= 500  # noqa: PLR2004 - HTTP's own


def _final(error: Exception, what: str) -> PenstockError:
    if isinstance(error, ClientError) and aws.code(error) == "ResourceNotFoundException":
        return ConfigError(f"{what} does not exist", "Check the options stream and region")
    return aws.explained(error) or TemporaryError(f"{what}: {error}", "Start the query again")

"""Events into a Kinesis data stream: PutRecords, and what it refused again.

An answer of PutRecords may accept some entries and throttle others, and promises nothing about the
order of those of one request (AWS API reference, PutRecords). So a key is in a request once at
most, and its next event waits until that one has been accepted: the order of a key is kept, and a
stream of few keys is slow. Not verified on AWS: the tests speak to moto.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from random import random as between_0_and_1
from typing import Any

import botocore.exceptions

from penstock import aws
from penstock.errors import PenstockError, TemporaryError, UsageError
from penstock.replay.events import Event
from penstock.replay.target import KinesisTarget

ENTRIES = 500  # of a request, API reference
BYTES = 5 << 20  # of a request; the API reference says 10 MiB, and said 5 before
WAITING = 1_000  # events that are held at most
PARTITION_KEY = 256  # characters, API model
FIRST_S, LONGEST_S = 0.05, 1.0  # waits after a refusal, doubled each time
GIVEN_UP_S = 120.0  # after which no event at all was accepted
IDLE_S = 0.05
_THROTTLED = frozenset({"ProvisionedThroughputExceededException", "LimitExceededException"})


class KinesisSink:
    """One data stream.

    Args:
        client: boto3's, of ``kinesis``.
        target: The stream.
        clock: Monotonic seconds.
        random: A number of [0, 1), for waits and for keys of events that have none.
    """

    def __init__(
        self,
        client: Any,
        target: KinesisTarget,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = between_0_and_1,
    ) -> None:
        self._client, self._target = client, target
        self._clock, self._random = clock, random
        self._waiting: list[Event] = []
        self._sent = 0
        self._failure: PenstockError | None = None
        self._refusals = 0  # in a row
        self._not_before = self._accepted = clock()

    @property
    def sent(self) -> int:
        """Events the stream has accepted."""
        return self._sent

    @property
    def pending(self) -> int:
        """Events it has not accepted yet."""
        return len(self._waiting)

    @property
    def failure(self) -> PenstockError | None:
        """Why no more is sent."""
        return self._failure

    def send(self, event: Event) -> bool:
        """Hold it until the next request; False where :data:`WAITING` are held."""
        if len(self._waiting) >= WAITING:
            return False
        if not self._waiting:
            self._accepted = self._clock()  # nothing was asked for meanwhile
        self._waiting.append(event)
        return True

    def serve(self) -> float:
        """One request, unless a refusal asks to wait."""
        now = self._clock()
        if not self._waiting:
            return IDLE_S
        if now < self._not_before:
            return self._not_before - now
        chosen, left = _chosen(self._waiting)
        refused = self._put(chosen)
        self._waiting = refused + left
        self._sent += len(chosen) - len(refused)
        self._judge(len(chosen), len(refused))
        return 0.0

    def _put(self, events: list[Event]) -> list[Event]:
        """Those that were not accepted, in their order."""
        entries = [{"Data": one.value, "PartitionKey": self._partition(one)} for one in events]
        try:
            answer = self._client.put_records(StreamName=self._target.stream, Records=entries)
        except botocore.exceptions.ClientError as error:
            if aws.code(error) not in _THROTTLED:
                self._failure = self._explained(error)
            return events
        except botocore.exceptions.BotoCoreError as error:
            self._failure = aws.explained(error)
            return events
        both = zip(events, answer["Records"], strict=True)
        return [event for event, told in both if told.get("ErrorCode")]

    def _judge(self, asked: int, refused: int) -> None:
        """When to ask again, and whether at all."""
        now = self._clock()
        if refused < asked:
            self._accepted, self._refusals = now, 0
        elif now - self._accepted >= GIVEN_UP_S and self._failure is None:
            message = f"{self._target} accepted nothing for {GIVEN_UP_S:.0f} s"
            self._failure = TemporaryError(message, "Give it more shards, or send with --rate")
        if refused:
            wait = min(LONGEST_S, FIRST_S * 2.0 ** min(self._refusals, 10))
            self._refusals += 1
            self._not_before = now + wait * (0.5 + self._random() / 2)

    def _partition(self, event: Event) -> str:
        """Of one key always the same."""
        if event.key is None:
            return f"{self._random():.16f}"
        key = event.key.decode("utf-8", "replace")
        if 0 < len(key) <= PARTITION_KEY:
            return key
        return hashlib.sha256(event.key).hexdigest()

    def _explained(self, error: botocore.exceptions.ClientError) -> PenstockError | None:
        if aws.code(error) == "ResourceNotFoundException":
            message = f"there is no {self._target} in this account and region"
            return UsageError(message, "Create it, or correct --to")
        return aws.explained(error)


def _chosen(waiting: list[Event]) -> tuple[list[Event], list[Event]]:
    """The events of the next request, a key once, and all others in their order."""
    chosen: list[Event] = []
    left: list[Event] = []
    keys: set[bytes] = set()
    room = BYTES
    for event in waiting:
        # A key that is longer than the limit counts as the hash it becomes, which is shorter.
        size = event.size + PARTITION_KEY
        fits = not chosen or (len(chosen) < ENTRIES and size <= room)
        if fits and (event.key is None or event.key not in keys):
            chosen.append(event)
            room -= size
        else:
            left.append(event)
        if event.key is not None:
            keys.add(event.key)  # also of one that stays: those after it must not go before it
    return chosen, left

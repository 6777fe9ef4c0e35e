"""Where events go: a Kafka topic or a Kinesis stream, named as a URL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from penstock.errors import PenstockError, UsageError
from penstock.replay.events import Event

_KAFKA = re.compile(r"kafka://([^\s,:/@]+:\d{1,5}(?:,[^\s,:/@]+:\d{1,5})*)/([a-zA-Z0-9._-]{1,249})")
_KINESIS = re.compile(r"kinesis://([a-zA-Z0-9_.-]{1,128})")  # API model: StreamName


@dataclass(frozen=True)
class KafkaTarget:
    """A topic.

    Args:
        servers: HOST:PORT of brokers, with commas.
        topic: Its name.
    """

    servers: str
    topic: str

    def __str__(self) -> str:
        return f"topic {self.topic!r} at {self.servers}"


@dataclass(frozen=True)
class KinesisTarget:
    """A data stream of the account and region that ``conf`` names."""

    stream: str

    def __str__(self) -> str:
        return f"Kinesis stream {self.stream!r}"


def target(text: str) -> KafkaTarget | KinesisTarget:
    """What ``--to`` says.

    Raises:
        UsageError: It is neither.
    """
    if found := _KAFKA.fullmatch(text):
        return KafkaTarget(found[1], found[2])
    if found := _KINESIS.fullmatch(text):
        return KinesisTarget(found[1])
    message = f"--to {text!r} is no place for events"
    raise UsageError(message, "Write kafka://HOST:PORT/TOPIC or kinesis://STREAM")


class Sink(Protocol):
    """Takes events, and keeps the order of those that share a key. Never blocks for long."""

    @property
    def sent(self) -> int:
        """Events that the other side has acknowledged."""

    @property
    def pending(self) -> int:
        """Events on their way: each ends as sent, or the sink as failed."""

    @property
    def failure(self) -> PenstockError | None:
        """Why it gave up; None while it did not."""

    def send(self, event: Event) -> bool:
        """Take one; False where too much is on its way: serve, and hand it in again."""

    def serve(self) -> float:
        """Do what there is to do; answers the seconds until there may be more, 0.0 for now."""

"""Events into a Kafka topic, through the idempotent producer of Confluent's client.

It numbers what it sends, so that what it repeats by itself is stored once and in order (librdkafka:
``enable.idempotence``). The partition of a key is the one that Java's clients choose. The time of
an event in Kafka is that of its sending.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from penstock.errors import PenstockError, TemporaryError, UsageError
from penstock.replay.events import Event
from penstock.replay.target import KafkaTarget

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

REACHED_S = 6.0  # within which a broker must answer
DELIVERED_S = 120.0  # Java's delivery.timeout.ms
WAITING_KB = 65_536  # of events that are on their way at most
IDLE_S = 0.01

_LOG = logging.getLogger(__name__)


class KafkaSink:
    """One topic.

    Args:
        producer: Of Confluent's client, from :func:`connected`.
        target: The topic.
    """

    def __init__(self, producer: Producer, target: KafkaTarget) -> None:
        self._producer = producer
        self._target = target
        self._sent = 0
        self._failure: PenstockError | None = None

    @property
    def sent(self) -> int:
        """Events that all replicas in step have."""
        return self._sent

    @property
    def pending(self) -> int:
        """Events without an answer; each gets one, in time or too late."""
        return len(self._producer)

    @property
    def failure(self) -> PenstockError | None:
        """The first that was given up."""
        return self._failure

    def send(self, event: Event) -> bool:
        """Queue it; False where :data:`WAITING_KB` are on their way."""
        from confluent_kafka import KafkaException

        try:
            self._producer.produce(
                self._target.topic, event.value, event.key, on_delivery=self._answered
            )
        except BufferError:
            return False
        except KafkaException as error:
            self._fail(UsageError, f"an event of {event.size:,} bytes: {error.args[0].str()}")
            return True
        self._producer.poll(0)
        return True

    def serve(self) -> float:
        """Look for answers."""
        return 0.0 if self._producer.poll(0) else IDLE_S

    def close(self) -> None:
        """Forget what is on its way still."""
        self._producer.purge()
        self._producer.poll(0)

    def _answered(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self._sent += 1
        else:
            self._fail(TemporaryError, error.str())

    def _fail(self, kind: type[PenstockError], why: str) -> None:
        if self._failure is None:
            message = f"{self._target}: {why}"
            self._failure = kind(message, "What was sent stays; the same command sends it again")


def connected(target: KafkaTarget, delivered_s: float = DELIVERED_S) -> KafkaSink:
    """A sink whose brokers answer and whose topic is there.

    Args:
        target: The topic.
        delivered_s: Within which an event must have arrived.

    Raises:
        UsageError: The client is not installed, or there is no such topic.
        TemporaryError: No broker answers within :data:`REACHED_S`.
    """
    try:
        from confluent_kafka import KafkaException, Producer
    except ImportError:
        message = "Confluent's Kafka client is not installed"
        raise UsageError(message, "pip install 'penstock[stream]'") from None
    producer = Producer(_settings(target, delivered_s))
    try:
        topics = producer.list_topics(timeout=REACHED_S).topics
    except KafkaException as error:
        message = f"no Kafka broker answers at {target.servers}: {error.args[0].str()}"
        raise TemporaryError(message, "Start it, or correct --to; then run it again") from None
    if target.topic not in topics:
        message = f"there is no topic {target.topic!r} at {target.servers}"
        raise UsageError(message, "Create it, or correct --to")
    return KafkaSink(producer, target)


def _settings(target: KafkaTarget, delivered_s: float) -> dict[str, Any]:
    """Of librdkafka (its CONFIGURATION.md)."""
    return {
        "bootstrap.servers": target.servers,
        "client.id": "penstock-replay",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "linger.ms": 5,
        "message.timeout.ms": int(delivered_s * 1000),
        "queue.buffering.max.kbytes": WAITING_KB,
        "logger": _LOG,  # it would write to standard error
    }

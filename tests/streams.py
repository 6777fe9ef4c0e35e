"""Streams for tests: events put into a broker, and a group fed from there by a laboratory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Message, Producer

from penstock.config import Settings
from penstock.contract import Pipeline
from penstock.streaming.places import StreamPlaces, streams_of
from penstock.streaming.query import Asked, Ended, run_stream
from tests.flights import raw
from tests.kafka import Broker
from tests.lab import Lab

#: Key, value, and the partition or None for whichever the key says.
ANY = -1  # partition: the one the key says
Event = tuple[str | None, bytes | None, int | None]


def flights(count: int) -> list[dict[str, Any]]:
    """The first ones of the file, as text; null is None."""
    rows = raw("flights.csv.zip").head(count).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def events_of(rows: Iterable[Mapping[str, Any]], key: str) -> list[Event]:
    """Rows as events: JSON objects, by the value of one column."""
    return [(str(row[key]), json.dumps(dict(row)).encode(), None) for row in rows]


def send(broker: Broker, topic: str, events: Iterable[Event]) -> list[tuple[int, int]]:
    """Put events into a topic; answers partition and offset of each, once all are there."""
    producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 5, "acks": "all"})
    places: dict[int, tuple[int, int]] = {}
    count = 0
    for key, value, partition in events:
        chosen = ANY if partition is None else partition
        told = _noted(places, count)
        producer.produce(topic, value, key and key.encode(), chosen, on_delivery=told)
        producer.poll(0)
        count += 1
    assert producer.flush(30) == 0
    return [places[n] for n in range(count)]


def _noted(places: dict[int, tuple[int, int]], n: int) -> Callable[[Any, Message], None]:
    def told(error: Any, message: Message) -> None:
        assert error is None, error
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        places[n] = (partition, offset)

    return told


@dataclass(frozen=True)
class Fed:
    """A pipeline of a laboratory that a topic feeds.

    Args:
        lab: The laboratory.
        pipeline: The pipeline.
        broker: Where the topic is.
        topic: The topic.
        sources: Where the other sources lie.
        conf: More settings of the stream.
    """

    lab: Lab
    pipeline: Pipeline
    broker: Broker
    topic: str
    sources: Mapping[str, Any]
    conf: Mapping[str, Any]

    @property
    def settings(self) -> Settings:
        """What ``conf`` would say."""
        kafka = {"servers": self.broker.address, "topics": [self.topic]}
        own = dict(self.conf)
        kafka |= own.pop("kafka", {})
        stream = {"kafka": kafka, "offline_lag_s": 1.0, **own}
        found = self.lab.settings(dict(self.sources))
        plain = {**found.model_dump(by_alias=True), "streams": {self.pipeline.group.name: stream}}
        return Settings.model_validate(plain)

    def run(self, *, again: bool = False, metrics: Path | None = None) -> Ended:
        """Provision the group, and feed it with all that is there now."""
        settings = self.settings
        self.lab.provision(self.pipeline.group, settings)
        context = self.lab.context(settings)
        asked = Asked(available_now=True, again=again, metrics=metrics)
        return run_stream(context, self.pipeline, asked)

    @property
    def places(self) -> StreamPlaces:
        """Where the stream lies."""
        context = self.lab.context(self.settings)
        state, group = str(self.lab.root / "state"), self.pipeline.group.name
        return streams_of(context.storage, state, group)[-1]

"""Which feature groups are fed by a stream, as ``conf`` says it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from penstock.conf_record import Record
from penstock.conf_stream import Avro, KafkaStream, KinesisStream

#: What a declared column may be taken from where the event's value does not have it.
Envelope = Annotated[
    str, StringConstraints(pattern=r"^(key|timestamp|deleted|topic|header:.{1,200})$")
]


class Stream(Record):
    """How the events of one pipeline's source come as a stream."""

    kafka: KafkaStream | None = Field(
        default=None, description="Topics whose events are rows of the source."
    )
    kinesis: KinesisStream | None = Field(
        default=None, description="A stream whose records are rows of the source."
    )
    avro: Avro | None = Field(
        default=None, description="Schemas of events in Avro; None where events are JSON."
    )
    source: str | None = Field(
        default=None, description="Source of the pipeline; None where it has one that is no file."
    )
    columns: dict[str, Envelope] = Field(
        default_factory=dict,
        description="Column of the source: key, timestamp, topic, header:NAME, or deleted, which "
        "is true where the event has a key and no value. Used where the value lacks the column.",
    )
    trigger_s: float = Field(
        default=0.5, ge=0, le=3_600, description="Seconds from batch to batch; 0 waits for none."
    )
    offline_lag_s: float = Field(
        default=10.0, ge=0, le=3_600, description="Seconds the offline store may be behind."
    )
    small_rows: int = Field(
        default=20_000,
        ge=0,
        description="Batches of at most so many events are staged and sent by the driver itself.",
    )

    @model_validator(mode="after")
    def _check(self) -> Stream:
        if (self.kafka is None) == (self.kinesis is None):
            raise ValueError("comes from kafka or from kinesis, and from one of them only")
        named = any(one.startswith("header:") for one in self.columns.values())
        if named and (self.kafka is None or not self.kafka.headers):
            raise ValueError("takes a column from a header, and kafka.headers is not true")
        return self

    @property
    def max_rows(self) -> int:
        """Events of one batch, at most."""
        found = self.kafka or self.kinesis
        assert found is not None  # one of them is there
        return found.max_rows

    @property
    def reads(self) -> dict[str, str]:
        """What it reads: another thing is another stream."""
        if self.kafka is not None:
            return {"kafka": ",".join(sorted(self.kafka.topics))}
        assert self.kinesis is not None
        return {"kinesis": self.kinesis.stream}

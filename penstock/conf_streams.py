"""Which feature groups are fed by a stream, as ``conf`` says it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from penstock.conf_record import Record
from penstock.conf_stream import KafkaStream

#: What a declared column may be taken from where the event's value does not have it.
Envelope = Annotated[
    str, StringConstraints(pattern=r"^(key|timestamp|deleted|topic|header:.{1,200})$")
]


class Stream(Record):
    """How the events of one pipeline's source come as a stream."""

    kafka: KafkaStream = Field(description="Topics whose events are rows of the source.")
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
    def _check_headers(self) -> Stream:
        if not self.kafka.headers and any(
            one.startswith("header:") for one in self.columns.values()
        ):
            raise ValueError("takes a column from a header, and kafka.headers is not true")
        return self

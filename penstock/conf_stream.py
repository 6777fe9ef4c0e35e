"""Where a stream comes from, as ``conf`` says it: addresses, names, and references to secrets."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from penstock.conf_record import Record

#: Names of topics (Kafka: ``org.apache.kafka.common.internals.Topic``).
_TOPIC = r"^[a-zA-Z0-9._-]{1,249}$"
_SERVERS = r"^[^\s,:/]+:\d{1,5}(,[^\s,:/]+:\d{1,5})*$"

_PRIVATE = re.compile(r"^(https://|http://(localhost|127\.0\.0\.1|\[::1\])([:/]|$))")

#: Where a secret stands, never the secret: a variable of the environment, or a file that holds it.
Reference = Annotated[str, StringConstraints(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$")]
Store = Literal["JKS", "PKCS12", "PEM"]


class Avro(Record):
    """Where the schemas of events in Avro are; events are in Avro where this is given."""

    schema_file: str | None = Field(
        default=None,
        min_length=1,
        description="File (.avsc) with the schema of all events, which are its binary form alone.",
    )
    registry: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s@/?#]+(/[^\s@?#]*)?$",
        description="Address of a schema registry; events are in Confluent's wire format.",
    )
    username: Reference | None = Field(default=None, description="env:NAME or file:/PATH.")
    password: Reference | None = Field(default=None, description="env:NAME or file:/PATH.")

    @model_validator(mode="after")
    def _check(self) -> Avro:
        if (self.schema_file is None) == (self.registry is None):
            raise ValueError("has a schema_file or a registry, and one of them only")
        if (self.username is None) != (self.password is None):
            raise ValueError("has username and password, or none of them")
        if self.username is not None and self.registry is None:
            raise ValueError("has username and password with a registry only")
        if self.username is not None and not _PRIVATE.match(str(self.registry)):
            raise ValueError("has a password with https only, or on loopback")
        return self


class KafkaSecurity(Record):
    """How a Kafka cluster is spoken to."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="Kafka's security.protocol."
    )
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "AWS_MSK_IAM"] | None = Field(
        default=None,
        description="How we say who we are, with SASL. AWS_MSK_IAM needs AWS's own jar, "
        "software.amazon.msk:aws-msk-iam-auth, and takes AWS credentials; not verified on AWS.",
    )
    username: Reference | None = Field(default=None, description="env:NAME or file:/PATH.")
    password: Reference | None = Field(default=None, description="env:NAME or file:/PATH.")
    truststore: str | None = Field(
        default=None, description="File, on driver and executors, with the authorities we trust."
    )
    truststore_type: Store = Field(default="JKS", description="Its format.")
    truststore_password: Reference | None = Field(default=None, description="A reference.")
    keystore: str | None = Field(
        default=None, description="File, on driver and executors, with our own key and certificate."
    )
    keystore_type: Store = Field(default="JKS", description="Its format.")
    keystore_password: Reference | None = Field(default=None, description="A reference.")
    key_password: Reference | None = Field(default=None, description="A reference.")

    @model_validator(mode="after")
    def _check(self) -> KafkaSecurity:
        sasl, tls = self.protocol.startswith("SASL_"), self.protocol.endswith("SSL")
        if sasl != (self.mechanism is not None):
            raise ValueError("has a mechanism with SASL, and only then")
        named = self.mechanism not in (None, "AWS_MSK_IAM")
        if {self.username is not None, self.password is not None} != {named}:
            raise ValueError("has username and password with PLAIN and SCRAM, and only then")
        if self.mechanism == "AWS_MSK_IAM" and not tls:
            raise ValueError("has protocol SASL_SSL with AWS_MSK_IAM, and no other")
        if not tls and (self.truststore is not None or self.keystore is not None):
            raise ValueError("has a truststore or keystore with SSL only")
        return self


class KafkaStream(Record):
    """One or more topics that are read as one stream."""

    servers: str = Field(pattern=_SERVERS, description="HOST:PORT of brokers, with commas.")
    topics: tuple[Annotated[str, StringConstraints(pattern=_TOPIC)], ...] = Field(
        min_length=1, strict=False, description="Topics that are read."
    )
    starting: Literal["earliest", "latest"] = Field(
        default="earliest", description="Where the first start begins; later ones go on."
    )
    fail_on_data_loss: bool = Field(
        default=True,
        description="Stop where rows are gone before they were read; false goes on without them.",
    )
    max_rows: int = Field(
        default=20_000, ge=1, le=10_000_000, description="Rows of one batch, all partitions."
    )
    headers: bool = Field(default=False, description="Read the events' headers as well.")
    security: KafkaSecurity = KafkaSecurity()


class KinesisStream(Record):
    """A Kinesis stream, read by penstock's own source: Spark 4."""

    stream: str = Field(pattern=r"^[a-zA-Z0-9_.:/-]{1,2048}$", description="Its name or ARN.")
    starting: Literal["earliest", "latest"] = Field(
        default="earliest", description="Where the first start begins; later ones go on."
    )
    fail_on_data_loss: bool = Field(
        default=True,
        description="Stop where records are gone before they were read; false goes on without.",
    )
    max_rows: int = Field(
        default=20_000, ge=1, le=10_000_000, description="Records of one batch, all shards."
    )
    endpoint_url: str | None = Field(
        default=None, description="Of Kinesis alone: AWS's own over https, or loopback."
    )

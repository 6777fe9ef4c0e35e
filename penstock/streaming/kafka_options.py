"""Options of Spark's Kafka source, from what ``conf`` says.

Names and values: Spark's "Structured Streaming + Kafka Integration Guide" (``subscribe``,
``startingOffsets``, ``failOnDataLoss``, ``maxOffsetsPerTrigger``, ``includeHeaders``; what begins
with ``kafka.`` goes to Kafka's consumer) and Kafka's "Security" chapter (``security.protocol``,
``sasl.*``, ``ssl.*``). For AWS_MSK_IAM: the README of aws/aws-msk-iam-auth.

Never set here: ``kafka.group.id``, which Spark makes itself so that two queries do not take rows
from each other, and ``kafka.auto.offset.reset`` and ``kafka.enable.auto.commit``, which Spark
refuses because its own checkpoint says where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from penstock.conf_stream import KafkaSecurity, KafkaStream
from penstock.streaming.secret import secret

_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
_IAM = "software.amazon.msk.auth.iam.IAMLoginModule"
_IAM_CALLBACK = "software.amazon.msk.auth.iam.IAMClientCallbackHandler"
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})

Resolve = Callable[[str], str]  # a reference → the secret behind it


@dataclass(frozen=True)
class Options:
    """Options of a source.

    Args:
        shown: Those anybody may see.
        hidden: Those that hold a secret; not part of the text of this record.
    """

    shown: Mapping[str, str]
    hidden: Mapping[str, str] = field(default_factory=dict, repr=False)

    def all(self) -> dict[str, str]:
        """What Spark is told. Hand it over at once: its text has the secrets in it."""
        return {**self.shown, **self.hidden}


def options(stream: KafkaStream, resolve: Resolve = secret) -> Options:
    """The options of ``spark.readStream.format("kafka")``.

    Args:
        stream: From ``conf``.
        resolve: Looks a secret up.

    Raises:
        CredentialsError: A secret is not where ``conf`` says.
    """
    shown = {
        "kafka.bootstrap.servers": stream.servers,
        "subscribe": ",".join(stream.topics),
        "startingOffsets": stream.starting,
        "failOnDataLoss": _flag(stream.fail_on_data_loss),
        "maxOffsetsPerTrigger": str(stream.max_rows),
        "includeHeaders": _flag(stream.headers),
    }
    return Options({**shown, **_shown(stream.security)}, _hidden(stream.security, resolve))


def jaas(module: str, **values: str) -> str:
    """The text of ``sasl.jaas.config``.

    Kafka reads it with a ``StreamTokenizer`` (``org.apache.kafka.common.security.JaasConfig``):
    a quoted value ends at its quote or at the end of the line, and a backslash escapes.
    """
    words = [f'{name}="{value.translate(_ESCAPED)}"' for name, value in values.items()]
    return f"{' '.join([module, 'required', *words])};"


def _shown(security: KafkaSecurity) -> dict[str, str]:
    stated: dict[str, str | None] = {"kafka.security.protocol": security.protocol}
    stated["kafka.sasl.mechanism"] = security.mechanism
    if security.mechanism == "AWS_MSK_IAM":
        stated["kafka.sasl.jaas.config"] = jaas(_IAM)
        stated["kafka.sasl.client.callback.handler.class"] = _IAM_CALLBACK
    for name, path, kind in (
        ("truststore", security.truststore, security.truststore_type),
        ("keystore", security.keystore, security.keystore_type),
    ):
        if path is not None:
            stated[f"kafka.ssl.{name}.location"] = path
            stated[f"kafka.ssl.{name}.type"] = kind
    return {key: value for key, value in stated.items() if value is not None}


def _hidden(security: KafkaSecurity, resolve: Resolve) -> dict[str, str]:
    found = {
        f"kafka.ssl.{name}.password": resolve(reference)
        for name, reference in (
            ("truststore", security.truststore_password),
            ("keystore", security.keystore_password),
            ("key", security.key_password),
        )
        if reference is not None
    }
    if security.username is not None and security.password is not None:
        module = _PLAIN if security.mechanism == "PLAIN" else _SCRAM
        user, password = resolve(security.username), resolve(security.password)
        found["kafka.sasl.jaas.config"] = jaas(module, username=user, password=password)
    return found


def _flag(value: bool) -> str:  # noqa: FBT001 - it is the value itself
    return "true" if value else "false"

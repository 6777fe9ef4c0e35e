"""Options of Spark's Kafka source: what conf says, nothing else, and no secret in sight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from penstock.conf_stream import KafkaSecurity, KafkaStream
from penstock.errors import CredentialsError
from penstock.streaming.kafka_options import jaas, options
from penstock.streaming.secret import secret

PLAIN: dict[str, Any] = {"servers": "a:9092,b:9092", "topics": ["flights"]}
SCRAM = {
    "protocol": "SASL_SSL",
    "mechanism": "SCRAM-SHA-512",
    "username": "env:KAFKA_USER",
    "password": "file:/run/secrets/kafka",
    "truststore": "/etc/kafka/trust.p12",
    "truststore_type": "PKCS12",
    "truststore_password": "env:TRUST",
}
SECRETS = {
    "env:KAFKA_USER": "flights",
    "file:/run/secrets/kafka": 'pa"ss\\word',
    "env:TRUST": "changeit",
}


def _tokens(text: str) -> list[str]:
    """Java's ``StreamTokenizer`` as Kafka's ``JaasConfig`` sets it up, for what we write."""
    found, n = [], 0
    while n < len(text):
        one = text[n]
        if one == '"':
            value, n = _quoted(text, n + 1)
            found.append(value)
        elif one in "=;":
            found.append(one)
            n += 1
        elif one <= " ":
            n += 1
        else:
            end = n
            while end < len(text) and text[end] not in '=;"' and text[end] > " ":
                end += 1
            found.append(text[n:end])
            n = end
    return found


def _quoted(text: str, n: int) -> tuple[str, int]:
    """A quoted value from after its first quote: it ends at a quote, or at the end of a line."""
    value = []
    escapes = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
    while n < len(text) and text[n] not in '"\n\r':
        if text[n] == "\\":
            n += 1
            assert text[n] not in "01234567", "an octal escape"
            value.append(escapes.get(text[n], text[n]))
        else:
            value.append(text[n])
        n += 1
    return "".join(value), n + 1


@given(st.text(), st.text())
def test_kafka_reads_the_user_and_the_password_that_were_written(user: str, password: str) -> None:
    """Whatever characters they have."""
    tokens = _tokens(jaas("org.example.Module", username=user, password=password))
    wanted = ["org.example.Module", "required", "username", "=", user, "password", "=", password]
    assert tokens == [*wanted, ";"]


def test_without_security_it_is_what_the_guide_shows() -> None:
    """Unless told otherwise, rows that are gone stop it, and it begins at the oldest."""
    found = options(KafkaStream.model_validate(PLAIN))
    assert found.hidden == {}
    assert found.all() == {
        "kafka.bootstrap.servers": "a:9092,b:9092",
        "subscribe": "flights",
        "startingOffsets": "earliest",
        "failOnDataLoss": "true",
        "maxOffsetsPerTrigger": "20000",
        "includeHeaders": "false",
        "kafka.isolation.level": "read_committed",
        "kafka.security.protocol": "PLAINTEXT",
    }


def test_what_conf_says_is_what_spark_is_told() -> None:
    """Every key of the record."""
    more = {"topics": ["a", "b"], "starting": "latest", "fail_on_data_loss": False}
    stream = KafkaStream.model_validate(PLAIN | more | {"max_rows": 7, "headers": True})
    found = options(stream).all()
    assert found["subscribe"] == "a,b"
    assert found["startingOffsets"] == "latest"
    assert found["failOnDataLoss"] == "false"
    assert found["maxOffsetsPerTrigger"] == "7"
    assert found["includeHeaders"] == "true"


def test_secrets_reach_spark_and_no_text_of_ours() -> None:
    """Neither the record of conf nor that of the options shows one."""
    stream = KafkaStream.model_validate(PLAIN | {"security": SCRAM})
    found = options(stream, SECRETS.__getitem__)
    told = found.all()
    assert told["kafka.sasl.mechanism"] == "SCRAM-SHA-512"
    assert told["kafka.ssl.truststore.location"] == "/etc/kafka/trust.p12"
    assert told["kafka.ssl.truststore.type"] == "PKCS12"
    assert told["kafka.ssl.truststore.password"] == "changeit"
    assert told["kafka.sasl.jaas.config"] == (
        "org.apache.kafka.common.security.scram.ScramLoginModule required "
        'username="flights" password="pa\\"ss\\\\word";'
    )
    shown = f"{stream!r} {stream} {found!r} {found}"
    assert "startingOffsets" in shown
    for text in ("pa", "changeit"):
        assert text not in shown.replace("password", "").replace("Pattern", "")


def test_iam_needs_no_secret() -> None:
    """As the README of aws-msk-iam-auth has it."""
    security = {"protocol": "SASL_SSL", "mechanism": "AWS_MSK_IAM"}
    found = options(KafkaStream.model_validate(PLAIN | {"security": security}))
    assert found.hidden == {}
    assert found.shown["kafka.sasl.jaas.config"] == (
        "software.amazon.msk.auth.iam.IAMLoginModule required;"
    )
    assert found.shown["kafka.sasl.client.callback.handler.class"] == (
        "software.amazon.msk.auth.iam.IAMClientCallbackHandler"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mechanism": "PLAIN"}, "mechanism with SASL"),
        ({"protocol": "SASL_SSL"}, "mechanism with SASL"),
        ({"protocol": "SASL_SSL", "mechanism": "PLAIN"}, "username and password with PLAIN"),
        (
            {"protocol": "SASL_SSL", "mechanism": "AWS_MSK_IAM", "username": "env:A"},
            "username and password with PLAIN",
        ),
        ({"protocol": "SASL_PLAINTEXT", "mechanism": "AWS_MSK_IAM"}, "SASL_SSL with AWS_MSK_IAM"),
        ({"truststore": "/a"}, "truststore or keystore with SSL"),
        (SCRAM | {"password": "hunter2"}, "String should match pattern"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], said: str) -> None:
    """A password in conf itself, too."""
    with pytest.raises(ValidationError) as caught:
        KafkaSecurity.model_validate(changes)
    assert said in caught.value.errors(include_input=False)[0]["msg"]


def test_secrets_are_found_where_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file's own last line end is not part of it; all else is."""
    monkeypatch.setenv("A_SECRET", "one ")
    assert secret("env:A_SECRET") == "one "
    for text, wanted in ((b"two\n", "two"), (b"two\r\n", "two"), (b" two \n\n", " two \n")):
        (tmp_path / "secret").write_bytes(text)
        assert secret(f"file:{tmp_path / 'secret'}") == wanted


def test_a_secret_that_is_not_there_is_named_by_its_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty counts as not there; bytes that are no text are not shown."""
    monkeypatch.delenv("NO_SECRET", raising=False)
    (tmp_path / "empty").write_bytes(b"\n")
    (tmp_path / "bytes").write_bytes(b"\xffhunter2")
    absent = tmp_path / "absent"
    places = ["env:NO_SECRET", *(f"file:{one}" for one in (absent, tmp_path / "empty"))]
    for reference in (*places, f"file:{tmp_path / 'bytes'}"):
        with pytest.raises(CredentialsError) as caught:
            secret(reference)
        assert repr(reference) in str(caught.value)
        assert "hunter2" not in str(caught.value)

"""Events in Avro become the texts of columns, by a schema's file or a registry's id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from penstock.conf_stream import Avro
from penstock.errors import CredentialsError, TemporaryError, UsageError
from penstock.streaming import registry as module
from penstock.streaming.form import AvroOfRegistry, AvroPlain, Form, Json, form_of
from penstock.streaming.registry import Registry
from tests.avro import SCHEMA, Server, binary, served, wired

TEXT = json.dumps(SCHEMA)
AT = datetime(2024, 1, 2, 3, 4, 5, 678_000, timezone.utc)
ROW: dict[str, Any] = {"sensor": "s1", "at": AT, "level": 7, "share": 0.25}
COLUMNS = ("share", "sensor", "level", "at", "none")
TOLD = ["0.25", "s1", "7", "2024-01-02T03:04:05.678000Z", None]


@pytest.fixture
def server() -> Iterator[Server]:
    """With one schema."""
    with served() as found:
        found.schemas[7] = SCHEMA
        yield found


def test_a_record_is_the_texts_of_its_columns() -> None:
    """By name; a column that is not in it is null."""
    assert AvroPlain(TEXT).values(binary(ROW), COLUMNS) == TOLD
    empty = {**ROW, "level": None, "share": None}
    assert AvroPlain(TEXT).values(binary(empty), COLUMNS)[::2] == [None] * 3  # type: ignore[index]  # a column of texts is there


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("boolean", True, "true"),
        ("int", -1, "-1"),
        ("long", 2**63 - 1, "9223372036854775807"),
        ("double", 1e300, "1e+300"),
        ("double", float("nan"), "nan"),
        ("string", "é 🦜", "é 🦜"),
        ("bytes", b"\xff\0", "/wA="),
        ({"type": "enum", "name": "e", "symbols": ["A", "B"]}, "B", "B"),
        ({"type": "int", "logicalType": "date"}, date(1900, 2, 28), "1900-02-28"),
        ({"type": "long", "logicalType": "timestamp-micros"}, AT, TOLD[3]),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 4},
            Decimal("1.2500"),
            "1.2500",
        ),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, AT, TOLD[3][:-1]),  # type: ignore[index]  # a column of texts is there
    ],
)
def test_each_type_has_one_text(kind: Any, value: Any, text: str) -> None:
    """Numbers keep their digits, instants are in UTC, a local time says no zone."""
    schema = {"type": "record", "name": "r", "fields": [{"name": "x", "type": kind}]}
    given_ = value.replace(tzinfo=None) if "local" in str(kind) else value
    found = AvroPlain(json.dumps(schema)).values(binary({"x": given_}, schema), ("x",))
    assert found == [text]


def test_what_is_no_record_is_no_row() -> None:
    """Cut off, with more behind it, of another schema, of nothing; a list in a column."""
    whole, form = binary(ROW), AvroPlain(TEXT)
    for bad in (b"", whole[:-1], whole + b"\0", b"\xff" * 40, b'{"sensor": "a"}'):
        assert form.values(bad, COLUMNS) is None
    kinds = [{"name": "x", "type": {"type": "array", "items": "int"}}, SCHEMA["fields"][0]]
    nested = {"type": "record", "name": "r", "fields": kinds}
    value = binary({"x": [1], "sensor": "s"}, nested)
    assert AvroPlain(json.dumps(nested)).values(value, ("x",)) is None
    assert AvroPlain(json.dumps(nested)).values(value, ("sensor",)) == ["s"]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_bytes_of_any_kind_raise_nothing(data: bytes) -> None:
    """They are a row or they are none."""
    found = AvroPlain(TEXT).values(data, COLUMNS)
    assert found is None or len(found) == len(COLUMNS)
    if not data.startswith(b"\0"):
        nowhere = AvroOfRegistry(Registry("http://127.0.0.1:9"))
        assert nowhere.values(data, COLUMNS) is None


def test_a_registry_is_asked_once_for_each_schema(server: Server) -> None:
    """What it does not know is no row, and is not asked for again soon."""
    form: Form = AvroOfRegistry(Registry(server.url))
    server.schemas[8] = {**SCHEMA, "fields": SCHEMA["fields"][:1]}
    for _ in range(3):
        assert form.values(wired(7, ROW), COLUMNS) == TOLD
        assert form.values(wired(8, ROW, server.schemas[8]), COLUMNS) == [None, "s1", *[None] * 3]
        assert form.values(wired(9, ROW), COLUMNS) is None
    assert sorted(server.asked) == [f"/schemas/ids/{n}" for n in (7, 8, 9)]
    for bad in (b"", b"\0\0\0\0", binary(ROW), b"\1" + wired(7, ROW)[1:]):
        assert form.values(bad, COLUMNS) is None


def test_an_unknown_schema_is_asked_for_again_in_a_while(server: Server) -> None:
    """It may be registered later."""
    one = Registry(server.url)
    assert one.schema(9, lambda: 100.0) is None
    server.schemas[9] = SCHEMA
    assert one.schema(9, lambda: 100.0 + module.UNKNOWN_S - 1) is None
    assert one.schema(9, lambda: 100.0 + module.UNKNOWN_S + 1) == TEXT


def test_a_registry_that_is_away_stops_the_stream(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 75: that it does not answer says nothing of the event."""
    monkeypatch.setattr(module, "TRIES", 2)
    server.status = 503
    with pytest.raises(TemporaryError, match=r"does not answer for schema 7: HTTP 503"):
        Registry(server.url).schema(7)
    assert len(server.asked) == 2
    with pytest.raises(TemporaryError, match="does not answer for schema 7"):
        Registry("http://127.0.0.1:9").schema(7)


def test_a_registry_may_ask_who_we_are(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """By references, which alone are kept; refused, it is 77."""
    monkeypatch.setenv("WHO", "ann")
    monkeypatch.setenv("PASS", "s3cret")
    one = Registry(server.url, "env:WHO", "env:PASS")
    assert "s3cret" not in repr(one)
    assert one.schema(7) == TEXT
    assert server.identities == {"Basic YW5uOnMzY3JldA=="}
    server.status = 401
    with pytest.raises(CredentialsError, match="refuses us: HTTP 401"):
        one.schema(10)


@pytest.mark.parametrize(
    ("avro", "why"),
    [
        ({}, "schema_file or a registry"),
        ({"schema_file": "a.avsc", "registry": "http://r"}, "schema_file or a registry"),
        ({"registry": "https://u:p@r"}, "registry"),
        ({"registry": "ftp://r"}, "registry"),
        ({"registry": "https://r", "username": "env:A"}, "username and password"),
        ({"registry": "http://r", "username": "env:A", "password": "env:B"}, "https only"),
        ({"schema_file": "a", "username": "env:A", "password": "env:B"}, "with a registry only"),
        ({"registry": "https://r", "username": "ann", "password": "env:B"}, "username"),
    ],
)
def test_what_cannot_be_meant_is_refused(avro: dict[str, Any], why: str) -> None:
    """In conf."""
    with pytest.raises(ValidationError, match=why):
        Avro.model_validate(avro)


def test_a_schema_that_is_none_is_told_before_the_start() -> None:
    """And no schema at all is JSON."""
    assert form_of(None, None) == Json()
    plain = Avro(schema_file="a.avsc")
    assert form_of(plain, TEXT) == AvroPlain(TEXT)
    for text in ("{", '"string"', '{"type": "record"}', "[]"):
        with pytest.raises(UsageError, match=r"a\.avsc is no Avro schema of a record"):
            form_of(plain, text)

"""``query`` and ``sql`` on Athena, which moto plays: text, rows, and what it read."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from penstock.cli.program import run
from tests.flow.project import make
from tests.service.moto import served

ROWS: list[list[str | None]] = [["sensor", "level"], ["a", "1"], ["b", None]]


@dataclass(frozen=True)
class Account:
    """Athena in a server, and the words that lead a project there."""

    client: Any
    words: list[str]
    url: str

    def answers(self, rows: list[list[str | None]]) -> None:
        """What the next query gives: the names first, as Athena does."""
        data = [{"Data": [{} if one is None else {"VarCharValue": one} for one in r]} for r in rows]
        columns = [{"Name": name, "Type": "varchar"} for name in ROWS[0]]
        body = {"results": [{"rows": data, "column_info": columns}]}
        request = urllib.request.Request(
            f"{self.url}/moto-api/static/athena/query-results",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 201

    def texts(self) -> list[str]:
        """All queries it was given."""
        found = self.client.list_query_executions()["QueryExecutionIds"]
        told = [self.client.get_query_execution(QueryExecutionId=one) for one in found]
        return [one["QueryExecution"]["Query"] for one in told]


@pytest.fixture
def account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Account]:
    """A project whose AWS is that server."""
    request.getfixturevalue("own_project")
    make(tmp_path, 3)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with served() as url:
        client = boto3.client("athena", endpoint_url=url, region_name="us-east-1")
        client.create_work_group(Name="analysts")
        words = ["--project", str(tmp_path), "--set", "aws.embedded=false"]
        words += ["--set", f"aws.endpoint_url={url}"]
        yield Account(client, words, url)


def test_a_query_is_asked_of_athena(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    """Its text for Athena, its rows, and on standard error what it read."""
    account.answers(ROWS)
    words = [*account.words, "--workgroup", "analysts"]
    assert run(["query", "live", "readings", *words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == [{"sensor": "a", "level": "1"}, {"sensor": "b", "level": None}]
    assert account.texts() == [told["sql"]["athena"]]
    assert told["scanned_bytes"] >= 0
    account.answers(ROWS)
    assert run(["query", "latest", "readings", *words, "--limit", "1"]) == 0
    said = capsys.readouterr()
    assert said.out.split()[-2:] == ["a", "1"]
    assert " bytes" in said.err
    assert run(["query", "live", "readings", *words, "--sql-only"]) == 0
    assert len(account.texts()) == 2


def test_any_sql_is(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    """The same way; the embedded AWS has none."""
    account.answers(ROWS)
    text = "SELECT sensor, level FROM readings"
    assert run(["sql", text, *account.words, "--workgroup", "analysts", "--json"]) == 0
    assert [one["sensor"] for one in json.loads(capsys.readouterr().out)["rows"]] == ["a", "b"]
    words = [*account.words, "--set", "aws.embedded=true", "--set", "aws.endpoint_url=null"]
    for command in (["sql", text], ["query", "live", "readings"]):
        assert run([*command, *words, "--workgroup", "analysts"]) == 2
        assert "the embedded AWS has no Athena" in capsys.readouterr().err

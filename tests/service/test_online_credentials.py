"""Credentials that change while a file is being sent, found as a worker finds them."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.aws import Endpoint
from penstock.errors import CredentialsError
from penstock.online import send_file
from penstock.storage import LocalStorage
from tests.scripted import Call, Reply, Scripted, error, scripted
from tests.sending import JOB, staged, table

STORAGE = LocalStorage()
INI = "[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n"
#: Answers the next key each time it is asked, good for two minutes: botocore asks again at once.
PROCESS = """#!/bin/sh
n=$(cat {counter}); n=$((n + 1)); echo $n > {counter}
printf '{{"Version": 1, "AccessKeyId": "KEY%s", "SecretAccessKey": "secret", ' $n
printf '"SessionToken": "token%s", "Expiration": "%s"}}' $n \
    "$(date -u -d '+2 minutes' +%Y-%m-%dT%H:%M:%SZ)"
"""


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A scripted server."""
    with scripted() as running:
        yield running


@pytest.mark.parametrize("transport", ["fast", "plain"])
def test_a_credentials_file_that_changes_is_read_again_once(
    server: Scripted, tmp_path: Path, transport: Any
) -> None:
    """The old key expires in mid-run and the new one lies in the file: one look-up, no reject."""
    file = tmp_path / "credentials"
    file.write_text(INI.format(key="OLD"))

    def script(call: Call) -> Reply | None:
        if call.number == 10:
            file.write_text(INI.format(key="NEW"))
        good = call.key == ("OLD" if call.number < 10 else "NEW")
        return None if good else error(403, "ExpiredTokenException", "expired")

    server.script = script
    endpoint = Endpoint("us-east-1", server.url, str(file))
    job = replace(
        JOB, endpoint=endpoint, results=str(tmp_path / "results"), transport=transport, api="put"
    )
    outcome = send_file(job, staged(tmp_path, table(200)), STORAGE)
    assert (outcome.figures.accepted, outcome.figures.rejected) == (200, 0)
    assert 1 <= outcome.figures.by_code["ExpiredTokenException"] <= 8
    assert {call.key for call in server.calls} == {"OLD", "NEW"}


@pytest.mark.parametrize("transport", ["fast", "plain"])
def test_a_credential_process_is_asked_once_a_second(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: Any
) -> None:
    """Credentials about to expire are refreshed on the way: nothing fails, no storm of asking."""
    counter, process, config = (tmp_path / name for name in ("counter", "process", "config"))
    counter.write_text("0")
    process.write_text(PROCESS.format(counter=counter))
    process.chmod(stat.S_IRWXU)
    config.write_text(f"[default]\ncredential_process = {process}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))

    def script(call: Call) -> Reply | None:
        time.sleep(0.01)
        same = call.key.removeprefix("KEY") == call.headers["X-Amz-Security-Token"][5:]
        return None if same else error(403, "InvalidSignatureException", "key and token differ")

    server.script = script
    endpoint = Endpoint("us-east-1", server.url)
    job = replace(JOB, endpoint=endpoint, results=str(tmp_path / "results"), transport=transport)
    job = replace(job, api="put", in_flight=2, group=f"birds-{transport}")
    began = time.monotonic()
    outcome = send_file(job, staged(tmp_path, table(500)), STORAGE)
    seconds = time.monotonic() - began
    assert (outcome.figures.accepted, outcome.figures.repeated) == (500, 0)
    used = list(dict.fromkeys(call.key for call in server.calls))
    assert len(used) >= 2
    assert used == sorted(used, key=lambda key: int(key[3:]))
    assert int(counter.read_text()) <= seconds + 3


def test_a_process_that_fails_is_said(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that cannot be found end in exit 77, without a request."""
    config = tmp_path / "config"
    config.write_text("[default]\ncredential_process = /bin/false\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    job = replace(
        JOB, endpoint=Endpoint("us-east-1", server.url), results=str(tmp_path / "results")
    )
    with pytest.raises(CredentialsError, match="credential"):
        send_file(job, staged(tmp_path, table(10)), STORAGE)
    assert not server.calls

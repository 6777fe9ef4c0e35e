"""The embedded AWS as processes: several on one folder, killed, told to end."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from penstock.emulator import journal, script
from penstock.emulator.identity import key_pair
from tests.service.conftest import Aws, definitions, record, refusal

DAY = "2024-03-01T00:00:00Z"


@dataclass(frozen=True)
class Process:
    """A running server process."""

    popen: subprocess.Popen[str]
    aws: Aws


@contextmanager
def _server(data: Path, *options: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "penstock.emulator", "--data", str(data), *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as popen:
        try:
            assert popen.stdout is not None
            line = json.loads(popen.stdout.readline())
            pair = key_pair(data)
            assert line["credentials"] == str(data / "credentials")
            url = f"http://127.0.0.1:{line['port']}"
            yield Process(popen, Aws(url, pair.access_key, pair.secret_key))
        finally:
            popen.kill()


def _entries(prefix: str, count: int) -> list[dict[str, Any]]:
    return [
        {"FeatureGroupName": "g", "Record": record(id=f"{prefix}-{n}", t=DAY)} for n in range(count)
    ]


def _identifiers(aws: Aws) -> set[str]:
    pages = aws.runtime.get_paginator("list_records").paginate(FeatureGroupName="g")
    return {one for page in pages for one in page["RecordIdentifiers"]}


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    """What one creates, changes or writes the other sees at once; writes of both all stay."""
    with _server(tmp_path) as first, _server(tmp_path) as second:
        first.aws.create()
        assert second.aws.get() is None
        second.aws.control.update_feature_group(
            FeatureGroupName="g", FeatureAdditions=definitions(more="String")
        )
        first.aws.put(id="x", t=DAY, more="1")
        assert second.aws.get("x") == {"id": "x", "t": DAY, "more": "1"}

        def write(at: int) -> None:
            aws = (first, second)[at % 2].aws
            answer = aws.runtime.batch_write_record(Entries=_entries(str(at), 25))
            assert answer["Errors"] == []

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(40)))
        assert len(_identifiers(first.aws)) == len(_identifiers(second.aws)) == 1_001
        second.aws.control.delete_feature_group(FeatureGroupName="g")
        assert refusal(lambda: first.aws.get("x")) == (404, "ResourceNotFound")


def test_the_guard_holds_across_processes(tmp_path: Path) -> None:
    """The newest of many interleaved writes to one record through two servers stays."""
    with _server(tmp_path) as first, _server(tmp_path) as second:
        first.aws.create()
        seconds = [at * 37 % 60 for at in range(60)]

        def write(at: int) -> None:
            (first, second)[at % 2].aws.put(id="1", t=f"2024-03-01T00:00:{seconds[at]:02}Z")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(60)))
        assert first.aws.get() == {"id": "1", "t": "2024-03-01T00:00:59Z"}


def test_a_write_waits_for_another_process(tmp_path: Path) -> None:
    """A put that arrives while another process writes waits for its commit and is not refused."""
    with _server(tmp_path) as process, ThreadPoolExecutor(1) as pool:
        process.aws.create()
        with closing(sqlite3.connect(tmp_path / "emulator.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("UPDATE meta SET value=value+1")
            waiting = pool.submit(process.aws.put, id="1", t=DAY)
            time.sleep(0.3)
            assert not waiting.done()
            other.execute("COMMIT")
        assert waiting.result() is None
        assert process.aws.get() == {"id": "1", "t": DAY}


def test_a_kill_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """SIGKILL under load: every record that was answered 200 is there after a restart."""
    acknowledged: list[str] = []
    with _server(tmp_path) as process:
        process.aws.create()

        def write(at: int) -> None:
            for turn in range(1_000):
                entries = _entries(f"{at}-{turn}", 25)
                try:
                    process.aws.runtime.batch_write_record(Entries=entries)
                except BotoCoreError:
                    return
                acknowledged.extend(one["Record"][0]["ValueAsString"] for one in entries)

        with ThreadPoolExecutor(4) as pool:
            running = [pool.submit(write, at) for at in range(4)]
            deadline = time.monotonic() + 20
            while len(acknowledged) < 1_000 and time.monotonic() < deadline:
                time.sleep(0.01)
            process.popen.send_signal(signal.SIGKILL)
            for one in running:
                one.result()
    assert len(acknowledged) >= 1_000
    with _server(tmp_path) as process:
        found = _identifiers(process.aws)
    assert set(acknowledged) <= found
    assert len(found) - len(acknowledged) <= 4 * 25


@pytest.mark.parametrize("how", ["terminate", "interrupt", "stdin"])
def test_it_ends_when_told(tmp_path: Path, how: str) -> None:
    """SIGTERM, SIGINT and, when asked, the end of stdin end it cleanly within a second."""
    with _server(tmp_path, "--exit-with-stdin") as process:
        process.aws.create()
        popen = process.popen
        assert popen.stdin is not None
        started = time.monotonic()
        if how == "stdin":
            popen.stdin.close()
        else:
            popen.send_signal(signal.SIGTERM if how == "terminate" else signal.SIGINT)
        assert popen.wait(timeout=5) == 0
        assert time.monotonic() - started < 1.0
        assert refused(process.aws)


def refused(aws: Aws) -> bool:
    """Whether nobody answers any more."""
    try:
        aws.get()
    except BotoCoreError:
        return True
    return False


def test_a_taken_port_is_said_in_one_line(tmp_path: Path) -> None:
    """A port in use ends the command with exit 1 and one line, no traceback."""
    with _server(tmp_path) as process:
        port = process.aws.url.rpartition(":")[2]
        command = [sys.executable, "-m", "penstock.emulator", "--data", str(tmp_path)]
        again = subprocess.run(
            [*command, "--port", port], capture_output=True, text=True, timeout=20, check=False
        )
    assert again.returncode == 1
    assert again.stderr.count("\n") == 1
    assert "--port" in again.stderr


def test_settings_of_the_command(tmp_path: Path) -> None:
    """--ties, --create-delay and --port do what they say."""
    with _server(tmp_path, "--ties", "apply", "--create-delay", "30") as process:
        process.aws.create()
        found = process.aws.control.describe_feature_group(FeatureGroupName="g")
        assert found["FeatureGroupStatus"] == "Creating"
        port = process.aws.url.rpartition(":")[2]
    with _server(tmp_path, "--ties", "apply", "--port", port) as process:
        assert process.aws.url.endswith(port)
        process.aws.control.delete_feature_group(FeatureGroupName="g")
        process.aws.create()
        process.aws.put(id="1", t=DAY, text="old")
        process.aws.put(id="1", t=DAY, text="new")
        assert process.aws.get() == {"id": "1", "t": DAY, "text": "new"}


def test_a_fault_script_of_the_command(tmp_path: Path) -> None:
    """--faults FILE is in force at once, also when it changes; a broken one ends the start."""
    file = tmp_path / "script.json"
    rule = {"operation": "PutRecord", "first": 1, "action": {"kind": "failing", "status": 503}}
    file.write_text(json.dumps({"rules": [rule]}))
    with _server(tmp_path / "aws", "--faults", str(file), "--journal") as process:
        process.aws.create()
        assert refusal(lambda: process.aws.put(id="1", t=DAY)) == (503, "ServiceUnavailable")
        process.aws.put(id="1", t=DAY)
        file.write_text(json.dumps({"rules": [{"action": {"kind": "denied"}}]}))
        assert refusal(process.aws.get) == (403, "AccessDeniedException")
        file.unlink()
        assert process.aws.get() is not None
        told = [(one.applied, one.fault) for one in journal.read(tmp_path / "aws")]
        assert told == [(False, "status 503"), (True, None)]
    file.write_text('{"rules": [{"action": {"kind": "explode"}}]}')
    command = [sys.executable, "-m", "penstock.emulator", "--data", str(tmp_path / "aws")]
    ended = subprocess.run(
        [*command, "--faults", str(file)], capture_output=True, text=True, timeout=20, check=False
    )
    assert ended.returncode == 1
    assert "explode" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_rotated_key_outlives_the_process(tmp_path: Path) -> None:
    """After a kill the server knows the key that the file has; a client with it goes on."""
    with _server(tmp_path) as process:
        process.aws.create()
        rotating = {"operation": "PutRecord", "nth": 1, "action": {"kind": "rotated"}}
        script.place(tmp_path, {"rules": [rotating]})
        assert refusal(lambda: process.aws.put(id="1", t=DAY))[1] == "ExpiredTokenException"
        (tmp_path / script.NAME).unlink()
    with _server(tmp_path) as process:
        process.aws.put(id="1", t=DAY)
        assert process.aws.get() is not None


def test_folders_of_earlier_versions_are_read(tmp_path: Path) -> None:
    """A journal without the newer column gets it; what it has stays."""
    with _server(tmp_path, "--journal") as process:
        process.aws.create()
        process.aws.put(id="1", t=DAY)
    with closing(sqlite3.connect(tmp_path / "emulator.sqlite")) as connection:
        connection.execute("ALTER TABLE journal DROP COLUMN answered")
    with _server(tmp_path, "--journal") as process:
        process.aws.put(id="2", t=DAY)
    assert [(one.identifier, one.answered) for one in journal.read(tmp_path)] == [
        ("1", True),
        ("2", True),
    ]

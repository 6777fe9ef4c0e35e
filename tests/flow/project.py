"""A small project in a folder of its own, run through the real command in a process of its own.

Twelve hundred sensors with several versions each, exact duplicates, ties and rows that are bad in
different ways; the files are the same bytes every time.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import penstock
from penstock import aws
from penstock.emulator.server import Emulator
from tests.jvm import SHORT_LIVED, packages

GROUP = "readings"
RUN = "from penstock.cli import main; main()"

_BASE = """
project: small
sources:
  readings: {format: csv, path: data}
quality: {docs: false}
"""
_LOCAL = f"""
lake: .penstock/lake
state: .penstock/state
aws: {{embedded: true, region: us-east-1}}
spark:
  master: local[2]
  settings:
    spark.driver.bindAddress: 127.0.0.1
    spark.driver.host: 127.0.0.1
    spark.driver.memory: 1g
    spark.driver.extraJavaOptions: "{SHORT_LIVED}"
    spark.ui.enabled: "false"
    spark.ui.showConsoleProgress: "false"
    spark.sql.shuffle.partitions: "3"
    spark.databricks.delta.snapshotPartitions: "1"
""" + "".join(f"    {key}: {value}\n" for key, value in packages().items())
_SCHEMA = '''
"""Readings of sensors."""

from penstock.contract import (
    Column,
    ColumnType,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)

READINGS = Pipeline(
    FeatureGroup(
        name="readings",
        record_identifier="sensor",
        event_time="at",
        features=(
            Feature("sensor", FeatureType.STRING),
            Feature("at", FeatureType.STRING),
            Feature("level", FeatureType.INTEGRAL),
            Feature("share", FeatureType.FRACTIONAL),
        ),
    ),
    {
        "readings": Source(
            columns=(
                Column("sensor"),
                Column("at", ColumnType.TIMESTAMP),
                Column("level", ColumnType.LONG),
                Column("share", ColumnType.DOUBLE),
            )
        )
    },
)
'''


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which is one JSON document."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Small:
    """The project in ``root``.

    Args:
        root: Its folder.
        path: Folders that Python looks into first.
        env: Variables that commands have beside ours.
    """

    root: Path
    path: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """Ledger, staged files, markers."""
        return self.root / ".penstock" / "state"

    @property
    def lake(self) -> Path:
        """Offline tables and quarantine."""
        return self.root / ".penstock" / "lake"

    @property
    def journal(self) -> Path:
        """Events of the first generation."""
        return self.state / "ledger" / GROUP / "all" / "0000"

    @property
    def manifest(self) -> Path:
        """What the first generation staged."""
        return self.state / "staged" / GROUP / "all" / "0000" / "manifest.json"

    @property
    def markers(self) -> list[str]:
        """Names of the first generation's markers."""
        folder = self.state / "online" / GROUP / "all" / "0000"
        return sorted(one.name for one in folder.glob("*.json")) if folder.is_dir() else []

    def states(self) -> list[str]:
        """States of the first generation's events, in order."""
        return [json.loads(one.read_text())["state"] for one in sorted(self.journal.glob("*.json"))]

    def command(self, name: str, *arguments: str) -> list[str]:
        """The words of a command of this project."""
        return [sys.executable, "-c", RUN, name, *arguments, "--project", str(self.root)]

    def environment(self) -> dict[str, str]:
        """Ours, without a session's settings, with our folders first."""
        folders = [*map(str, self.path), str(Path(penstock.__file__).parents[1])]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYSPARK_")}
        path = {"PYTHONPATH": os.pathsep.join(folders), "PYTHONDONTWRITEBYTECODE": "1"}
        return {**kept, **path, **self.env}

    def start(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        """A command that runs on; its output is text pipes."""
        return subprocess.Popen(
            self.command(name, *arguments),
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, name: str, *arguments: str, timeout: float = 180) -> Answer:
        """A command, to its end."""
        return ended(self.start(name, *arguments), timeout)

    def offline(self) -> list[tuple[Any, ...]]:
        """All offline rows, sorted; of api_invocation_time what it differs from the latest by."""
        from deltalake import DeltaTable

        rows = DeltaTable(self.lake / "offline" / GROUP).to_pyarrow_table().to_pylist()
        newest = max(row["api_invocation_time"] for row in rows)
        names = ("sensor", "at", "level", "share", "is_deleted")
        return sorted(
            (
                *((row[name] is not None, row[name]) for name in names),
                newest - row["api_invocation_time"],
            )
            for row in rows
        )

    def write_times(self) -> int:
        """How many different write times the offline rows have."""
        from deltalake import DeltaTable

        table = DeltaTable(self.lake / "offline" / GROUP).to_pyarrow_table()
        return len(set(table.column("write_time").to_pylist()))

    def online(self) -> dict[str, Any]:
        """All records of the online store, by identifier."""
        with Emulator(data=self.root / ".penstock" / "aws", region="us-east-1") as emulator:
            endpoint = aws.Endpoint(emulator.region, emulator.url, str(emulator.credentials_file))
            runtime = aws.client(endpoint, "sagemaker-featurestore-runtime")
            pages = runtime.get_paginator("list_records").paginate(FeatureGroupName=GROUP)
            found = [one for page in pages for one in page["RecordIdentifiers"]]
            return {
                one["RecordIdentifierValueAsString"]: one["Record"]
                for n in range(0, len(found), 100)
                for one in _batch(runtime, found[n : n + 100])
            }

    def quarantine(self) -> list[tuple[Any, ...]]:
        """All entries but who entered them and when, sorted."""
        from deltalake import DeltaTable

        rows = DeltaTable(self.lake / "quarantine").to_pyarrow_table().to_pylist()
        return sorted(
            (row["file"].rsplit("/", 1)[-1], row["position"], row["column"], row["rule"])
            for row in rows
        )


def ended(process: subprocess.Popen[str], timeout: float = 180) -> Answer:
    """Wait for a command's end."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Answer(process.returncode, out, err)


def make(root: Path, sensors: int = 1200, path: tuple[Path, ...] = ()) -> Small:
    """Write the project into ``root``."""
    for name, text in (("base", _BASE), ("local", _LOCAL)):
        place = root / "conf" / f"{name}.yaml"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    schemas = root / "schemas"
    schemas.mkdir()
    (schemas / "__init__.py").write_text("", encoding="utf-8")
    (schemas / "readings.py").write_text(_SCHEMA, encoding="utf-8")
    lines = _lines(sensors)
    (root / "data").mkdir()
    for n in range(2):
        first, *rest = lines[n::2]
        if n:  # Arrow reads the one file and, because of its quotes, Python the other
            first = f'"{first[:6]}"{first[6:]}'
        text = "".join(["sensor,at,level,share\n", first, *rest])
        (root / "data" / f"part-{n}.csv").write_text(text, encoding="utf-8")
    return Small(root, path)


def _lines(sensors: int) -> list[str]:
    """Rows in a random order that is always the same."""
    chance = random.Random(7)
    lines = []
    for sensor in range(sensors):
        at = datetime(2024, 1, 1) + timedelta(seconds=chance.randrange(10_000_000))  # noqa: DTZ001 - formatted as UTC
        for version in range(chance.randint(1, 3)):
            moment = f"{at + timedelta(hours=version):%Y-%m-%dT%H:%M:%SZ}"
            share = "" if chance.random() < 0.1 else repr(chance.random())
            line = f"s{sensor:05d},{moment},{chance.randrange(10**6)},{share}\n"
            lines.append(line)
            if chance.random() < 0.02:
                lines.append(line)
            if chance.random() < 0.02:
                lines.append(f"s{sensor:05d},{moment},{chance.randrange(10**6)},0.25\n")
    bad = ("x,2024-01-01T00:00:00Z,1.5,\n", "y,2024,1,\n", ",2024-01-01T00:00:00Z,1,\n")
    lines += [bad[n % 3] for n in range(max(3, sensors // 200))]
    chance.shuffle(lines)
    return lines


def _batch(runtime: Any, identifiers: list[str]) -> list[Any]:
    asked = [{"FeatureGroupName": GROUP, "RecordIdentifiersValueAsString": identifiers}]
    answer = runtime.batch_get_record(Identifiers=asked)
    assert not answer["Errors"]
    assert not answer["UnprocessedIdentifiers"]
    records: list[Any] = answer["Records"]
    return records

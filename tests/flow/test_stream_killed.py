"""Streams whose driver is killed at every step of a batch, and whose broker dies: nothing is lost.

Real processes, a real broker. Events are numbered, so that each can be looked for in both stores.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from deltalake import DeltaTable

from tests.flow.copies import change, copied
from tests.flow.processes import until
from tests.flow.project import GROUP, Small, make
from tests.flow.stores import fine
from tests.kafka import Broker, started
from tests.streams import Event, send

DIE = "__import__('os').kill(__import__('os').getpid(), 9)"
ROUND = 90  # events before each kill
SENSORS = 40
_CONF = """
streams:
  readings:
    kafka: {{servers: "{address}", topics: [readings], max_rows: {rows}}}
    offline_lag_s: {lag}
    trigger_s: 0.2
"""
#: Where a driver dies: module, and the line before which, or behind which where it begins with +.
POINTS = (
    ("streaming/sink.py", "            made, fresh = self._staging.stage("),
    ("streaming/staging.py", "        batch = Batch(\n"),
    ("streaming/sink.py", "            batch = keep("),
    ("streaming/sink.py", "        totals = deliver("),
    ("online/marker.py", "        self._storage.put_if_absent(path, json.dumps(marker"),
    ("streaming/sink.py", "        self._meter.delivered("),
    ("streaming/sink.py", "        self._tail.add("),
    ("streaming/tail.py", "        enter(context.quarantine"),
    ("streaming/tail.py", "        last = batches[-1].number\n"),
    ("streaming/committing.py", "            if self._log.append(parts, schema, last"),
    ("streaming/tail.py", "            self._meter.committed("),
    ("streaming/tail.py", "        storage.remove(self._places.batch("),
    ("streaming/sink.py", "        self._tail.flush()\n        return count"),
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of its own: it is killed too."""
    with started(tmp_path_factory.mktemp("kafka") / "broker") as found:
        yield found


def project(root: Path, broker: Broker, *, rows: int, lag: float) -> Small:
    """The small project, its group fed by a topic."""
    root.mkdir()
    small = make(root, 1)
    conf = small.root / "conf" / "local.yaml"
    text = _CONF.format(address=broker.address, rows=rows, lag=lag)
    conf.write_text(conf.read_text(encoding="utf-8") + text, encoding="utf-8")
    fine(small.run("provision", "--json"))
    return small


def event(n: int) -> Event:
    """The n-th event; one in twenty is none that can be read."""
    if n % 20 == 7:
        return (f"s{n % SENSORS}", b"{", None)
    return (f"s{n % SENSORS}", json.dumps(row(n)).encode(), None)


def row(n: int) -> dict[str, Any]:
    """What the n-th event says: each is newer than those before."""
    at = f"2024-01-{1 + n // 86_400:02d}T{n // 3_600 % 24:02d}:{n // 60 % 60:02d}:{n % 60:02d}Z"
    return {"sensor": f"s{n % SENSORS}", "at": at, "level": n, "share": None}


def check(small: Small, count: int) -> None:
    """Every event is in its store once: offline, online where it is the newest, or put aside."""
    good = [n for n in range(count) if n % 20 != 7]
    table = DeltaTable(small.lake / "offline" / GROUP).to_pyarrow_table()
    assert sorted(table.column("level").to_pylist()) == good
    newest = {f"s{n % SENSORS}": str(n) for n in good}
    online = {
        name: next(one["ValueAsString"] for one in record if one["FeatureName"] == "level")
        for name, record in small.online().items()
    }
    assert online == newest
    aside = DeltaTable(small.lake / "quarantine").to_pyarrow_table()
    assert len(set(aside.column("row_key").to_pylist())) == aside.num_rows == count - len(good)
    assert (
        len(set(zip(*(aside.column(one).to_pylist() for one in ("file", "position")), strict=True)))
        == aside.num_rows
    )
    batches = small.state / "streams" / GROUP / "0001" / "batches"
    assert not batches.exists() or not list(batches.iterdir())
    assert not (batches.parent / "gated").exists()


@pytest.mark.prove
@pytest.mark.shows("7.2")
def test_t40_foreachbatch_crash_points(tmp_path: Path, broker: Broker) -> None:
    """A kill at each step, one after the other, each met by the run that follows."""
    broker.create_topic("readings", 3)
    small = project(tmp_path / "small", broker, rows=40, lag=0.3)
    count = 0
    for n, (module, snippet) in enumerate(POINTS):
        send(broker, "readings", [event(one) for one in range(count, count + ROUND)])
        count += ROUND
        hit = tmp_path / f"hit-{n}"
        copy = copied(tmp_path / f"copy-{n}")
        indent = snippet[: len(snippet) - len(snippet.lstrip(" "))]
        line = f"{indent}__import__('pathlib').Path({str(hit)!r}).touch(exist_ok=False) or {DIE}\n"
        change(copy, module, snippet, line + snippet)
        killed = replace(small, path=(copy,)).run("stream", GROUP, "--available-now", "--takeover")
        assert hit.exists(), (snippet, killed)
        assert killed.code == -signal.SIGKILL, (snippet, killed)
    answer = fine(small.run("stream", GROUP, "--available-now", "--takeover", "--json"))
    assert answer.json["why"] == "caught up"
    check(small, count)


@pytest.mark.prove
@pytest.mark.shows("7.2")
def test_t38_kafka_broker_kill_three_rounds(tmp_path: Path, broker: Broker) -> None:
    """300 events a second for a minute; the broker is killed three times; a stop at the end."""
    seconds, rate = 60, 300
    broker.create_topic("live", 3)
    small = project(tmp_path / "small", broker, rows=20_000, lag=2)
    words = ("--set", "streams.readings.kafka.topics=[live]")
    process = small.start("stream", GROUP, "--json", *words)
    status = small.state / "streams" / GROUP / "0001" / "status.json"
    until(status.exists, "the stream", 90)
    producer = Producer(
        {"bootstrap.servers": broker.address, "enable.idempotence": True, "linger.ms": 5}
    )
    began, count = time.monotonic(), 0
    kills = [10.0, 25.0, 40.0]
    while time.monotonic() - began < seconds or kills:
        elapsed = time.monotonic() - began
        if kills and elapsed > kills[0]:
            kills.pop(0)
            broker.kill()
            broker.start()
        due = int(min(elapsed, seconds) * rate)
        for n in range(count, due):
            key, value, _ = event(n)
            producer.produce("live", value, key, on_delivery=_delivered)
        count = max(count, due)
        producer.poll(0.05)
    assert producer.flush(60) == 0
    assert count >= 10_000
    until(
        lambda: json.loads(status.read_text(encoding="utf-8"))["events"] >= count, "all events", 60
    )
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["why"] == "stopped"
    check(small, count)


def _delivered(error: object, _message: object) -> None:
    assert error is None, error

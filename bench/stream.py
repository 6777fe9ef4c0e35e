"""How fresh a stream is, and how much it takes: a real broker, the stand-in for AWS, one machine.

    make bench-stream                     both arms, 12 minutes; writes bench/results/stream.json
                                          and docs/freshness.md

An arm is a feature group of the flights project, fed by ``penstock stream`` from a topic. The
stand-in answers each call 10 ms late and notes when it applied each record. Freshness of a record
is from the sending of the newest event in it to that moment and the 10 ms: measured outside
penstock. After half a minute 1,000 events a second are measured for three minutes; then steps of a
quarter of a minute ask for more, until the lag grows: half of what is sent in the last third of a
step is staler than half of the third before (p99 tells of the commit each ten seconds). Missed
targets are printed as such and never fail the run.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # noqa: TID253 - the join of what was sent with what was applied
from confluent_kafka import Producer

from bench.measure import tree_cpu
from bench.stream_page import GROUPS, MOST, TARGETS_S, page, word
from penstock.emulator import journal
from penstock.emulator.faults import Rule, delayed
from penstock.emulator.server import Emulator
from tests import flights
from tests.kafka import Broker, started

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "stream.json"
PAGE = ROOT / "docs" / "freshness.md"
LATENCY_S = 0.010
RATE, WARM_S, MEASURED_S, STEP_S = 1_000, 30.0, 180.0, 15.0
STEPS = (2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 20_000)
_CONF = """
lake: {folder}/lake
state: {folder}/state
aws: {{region: us-east-1, endpoint_url: "{url}"}}
streams:
  {group}:
    source: flights
    kafka: {{servers: "{servers}", topics: [flights], starting: latest}}
    trigger_s: {trigger}
"""


@dataclass(frozen=True)
class Sent:
    """Events that were sent: their keys, and when, in nanoseconds of the monotonic clock."""

    keys: pd.Series[str]
    nanos: np.ndarray


@functools.cache
def in_order() -> pd.DataFrame:
    """Flights in the order of their hours: the file has October second."""
    return flights.flights().sort_values("time_hour", kind="stable")


def events(start: int, count: int) -> pd.DataFrame:
    """The same over and over, each time a year later."""
    of = in_order()
    at = np.arange(start, start + count)
    found = of.iloc[at % len(of)].reset_index(drop=True)
    year = pd.Series(2013 + at // len(of)).astype(str)
    return found.assign(year=year, time_hour=year + found["time_hour"].str[4:])


def keys_of(arm: str, of: pd.DataFrame) -> pd.Series[str]:
    """What tells, in a record of an arm, which event is the newest in it; empty for none."""
    if arm == "per_event":
        flight: pd.Series[str] = of["carrier"] + "-" + of["flight"] + "-" + of["origin"]
        return flight + "-" + of["time_hour"]
    minute = flights.times(of)["arrival"].dt.strftime("%Y-%m-%dT%H:%M")
    found: pd.Series[str] = of["origin"] + "-" + of["dest"] + "|" + minute
    return found.fillna("")


def key_in(arm: str, entry: journal.Entry) -> str:
    """The same, of a record that was applied. Arrivals are of whole minutes (route_traffic)."""
    return entry.identifier if arm == "per_event" else f"{entry.identifier}|{entry.event_time[:16]}"


def produce(servers: str, start: int, rate: float, seconds: float, out: Path) -> None:
    """Send so many events a second; note when."""
    count = int(rate * seconds)
    of = events(start, count)
    values = [json.dumps(one).encode() for one in of.to_dict("records")]
    names = (of["carrier"] + of["flight"]).str.encode("ascii").tolist()
    producer = Producer(
        {"bootstrap.servers": servers, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000}
    )
    at, began = np.zeros(count, np.int64), time.monotonic()
    for n in range(count):
        wait = began + n / rate - time.monotonic()
        if wait > 0.002:
            producer.poll(wait)
        at[n] = time.monotonic_ns()
        producer.produce("flights", values[n], names[n])
    producer.flush(30)
    np.save(out, at)


@dataclass
class Arm:
    """One arm while it runs."""

    name: str
    folder: Path
    broker: Broker
    process: subprocess.Popen[bytes]
    next: int = 0
    unread: int = 0  # sent before it read: it begins at the newest

    @property
    def status(self) -> dict[str, Any]:
        """What penstock says of itself."""
        file = self.folder / "state" / "streams" / GROUPS[self.name] / "0001" / "status.json"
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found

    def send(self, rate: float, seconds: float) -> Sent:
        """From a process of its own."""
        out = self.folder / "sent.npy"
        words = [self.broker.address, str(self.next), str(rate), str(seconds), str(out)]
        subprocess.run([sys.executable, "-m", "bench.stream", "--produce", *words], check=True)
        at = np.load(out)
        keys = keys_of(self.name, events(self.next, len(at)))
        self.next += len(at)
        return Sent(keys, at)

    def settled(self) -> None:
        """Wait until all that was sent has been read."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.status["events"] + self.unread < self.next:
            time.sleep(0.5)

    def fresh(self, sent: Sent, since: float, until: float) -> np.ndarray:
        """Seconds, of records applied for events that were sent in a part of the time."""
        told = pd.DataFrame({"key": sent.keys, "sent": sent.nanos}).query("key != ''")
        applied = pd.DataFrame(
            [
                (key_in(self.name, one), one.nanos)
                for one in journal.read(self.folder / "aws")
                if one.applied and one.nanos >= sent.nanos[0]
            ],
            columns=["key", "applied"],
        ).sort_values("applied")
        applied = applied.astype({"applied": np.int64})
        told = told.sort_values("sent")
        pairs = pd.merge_asof(applied, told, left_on="applied", right_on="sent", by="key")
        begun = (pairs["sent"] - sent.nanos[0]) / 1e9
        chosen = pairs[(begun >= since) & (begun < until)]
        took: np.ndarray = (chosen["applied"] - chosen["sent"]).to_numpy(dtype=float)
        return took / 1e9 + LATENCY_S


def measured(name: str) -> dict[str, Any]:
    """One arm, from its start to the rate it no longer takes."""
    with running(name) as (arm, startup_s):
        say(f"{name}: started in {startup_s:.1f} s; {RATE} events a second")
        warm = arm.send(RATE, WARM_S)
        cpu = tree_cpu(arm.process.pid, without=0)
        sent = arm.send(RATE, MEASURED_S)
        cpu = tree_cpu(arm.process.pid, without=0) - cpu
        arm.settled()
        del warm
        fresh = arm.fresh(sent, 0.0, MEASURED_S)
        found: dict[str, Any] = {
            "rate": RATE,
            "freshness_s": spread(fresh),
            "records": len(fresh),
            "cpu_s_per_1k": round(cpu / len(sent.nanos) * 1_000, 3),
            "startup_s": round(startup_s, 1),
            "max_rate": RATE,
            "steps": [],
        }
        say(f"{name}: {found['freshness_s']}, {found['cpu_s_per_1k']} CPU s per 1,000 events")
        for rate in STEPS:
            step = taken(arm, rate)
            found["steps"].append(step)
            say(f"{name}: {step}")
            if not step["flat"]:
                break
            found["max_rate"] = rate
        return found


def taken(arm: Arm, rate: int) -> dict[str, Any]:
    """Whether a rate is taken: events sent at the end are, by half, as fresh as those before."""
    sent = arm.send(rate, STEP_S)
    arm.settled()
    reached = (len(sent.nanos) - 1) / ((sent.nanos[-1] - sent.nanos[0]) / 1e9)
    first = spread(arm.fresh(sent, STEP_S / 3, 2 * STEP_S / 3))
    last = spread(arm.fresh(sent, 2 * STEP_S / 3, STEP_S))
    flat = (
        first is not None
        and last is not None
        and last["p50"] <= max(1.5 * first["p50"], first["p50"] + 0.5)
    )
    reached_it = reached >= 0.95 * rate
    return {"rate": rate, "sent": round(reached), "last": last, "flat": bool(flat and reached_it)}


@contextmanager
def running(name: str) -> Iterator[tuple[Arm, float]]:
    """An arm that reads, and the seconds its start took."""
    group = GROUPS[name]
    with tempfile.TemporaryDirectory() as scratch, started(Path(scratch) / "kafka") as broker:
        folder = Path(scratch)
        broker.create_topic("flights", 2)
        with Emulator(data=folder / "aws", journal=True) as emulator:
            emulator.faults.add(Rule(delayed(LATENCY_S)))
            conf = folder / "conf"
            conf.mkdir()
            base = (ROOT / "conf" / "base.yaml").read_text(encoding="utf-8")
            local = (ROOT / "conf" / "local.yaml").read_text(encoding="utf-8")
            spark = local[local.index("spark:\n") :]
            own = _CONF.format(
                folder=folder,
                url=emulator.url,
                group=group,
                servers=broker.address,
                trigger=0.3 if name == "per_event" else 0.5,
            )
            (conf / "base.yaml").write_text(base, encoding="utf-8")
            (conf / "bench.yaml").write_text(own + spark, encoding="utf-8")
            environment = {
                **os.environ,
                "AWS_SHARED_CREDENTIALS_FILE": str(emulator.credentials_file),
            }
            command = [sys.executable, "-c", "from penstock.cli import main; main()"]
            place = ["--conf", str(conf), "--env", "bench", "--project", str(ROOT)]
            subprocess.run(
                [*command, "provision", group, *place], env=environment, check=True, cwd=folder
            )
            began = time.monotonic()
            with (folder / "out.txt").open("wb") as out:
                process = subprocess.Popen(
                    [*command, "stream", group, *place],
                    env=environment,
                    cwd=folder,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                )
            try:
                arm = Arm(name, folder, broker, process)
                yield arm, _until_it_reads(arm, began)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def _until_it_reads(arm: Arm, began: float) -> float:
    """The first event has come through: sent again and again, for it begins at the newest."""
    while time.monotonic() - began < 120:
        assert arm.process.poll() is None, (arm.folder / "out.txt").read_text(encoding="utf-8")
        try:
            if arm.status["events"]:
                took = time.monotonic() - began
                time.sleep(3)
                arm.unread = arm.next - arm.status["events"]
                return took
            arm.send(10, 1)
        except FileNotFoundError:
            time.sleep(0.2)
    raise SystemExit(f"{arm.name}: it does not read")


def spread(fresh: np.ndarray) -> dict[str, float] | None:
    """Percentiles; None of nothing."""
    if not len(fresh):
        return None
    p50, p99 = np.percentile(fresh, [50, 99])
    return {
        "p50": round(float(p50), 3),
        "p99": round(float(p99), 3),
        "max": round(float(fresh.max()), 3),
    }


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, write, and say what was missed."""
    if sys.argv[1:2] == ["--produce"]:
        servers, start, rate, seconds, out = sys.argv[2:]
        produce(servers, int(start), float(rate), float(seconds), Path(out))
        return
    arms = {name: measured(name) for name in GROUPS}
    made = {
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "arms": arms,
    }
    RESULTS.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(page(made), encoding="utf-8")
    for name, found in arms.items():
        fresh = found["freshness_s"] or {"p99": float("inf")}
        held = fresh["p99"] <= TARGETS_S[name]
        say(f"{name}: p99 {fresh['p99']} s, at most {TARGETS_S[name]}: {word(hit=held)}")
        hit = found["max_rate"] >= MOST
        say(f"{name}: {found['max_rate']} events/s, at least {MOST}: {word(hit=hit)}")


if __name__ == "__main__":
    main()

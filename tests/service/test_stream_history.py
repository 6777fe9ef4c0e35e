"""What a stream leaves behind after so many batches: bounded, and quick to look at and to resume.

The batches are staged, marked as sent, entered into the quarantine and committed by the functions a
stream does that with; no broker and no Spark. So ten thousand of them take minutes, not hours.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from deltalake import DeltaTable

import penstock
from penstock.quarantine import Quarantine
from penstock.storage import LocalStorage
from penstock.streaming.committing import OfflineTail
from penstock.streaming.meter import Meter
from penstock.streaming.offsets import last_batch
from penstock.streaming.places import StreamPlaces, opened, streams_of
from penstock.streaming.sink import Sink
from tests.flow.project import RUN
from tests.staged_batches import GROUP, STORAGE
from tests.stream_bench import Bench

TOGETHER = 20  # batches of a commit: one each half second, offline_lag_s is 10
KEPT = 100  # batches whose two files Spark's checkpoint keeps (minBatchesToRetain)
READS = {"topics": "g"}
STATUS_S = 2.0
_CONF = """
project: p
lake: {root}/lake
state: {root}/state
aws: {{region: us-east-1}}
"""
_SCHEMA = """
from penstock.contract import Pipeline
from tests.staged_batches import GROUP, SOURCE

PIPELINE = Pipeline(GROUP, {"s": SOURCE})
"""


@dataclass
class Counted(LocalStorage):
    """Says how often it was asked for what."""

    asked: Counter[str] = field(default_factory=Counter)

    def read(self, path: str) -> bytes:
        """Counted."""
        self.asked["read"] += 1
        return super().read(path)

    def list(self, folder: str) -> list[str]:
        """Counted, by what comes back."""
        found = super().list(folder)
        self.asked["listed"] += len(found)
        return found


class History:
    """A stream that ran."""

    def __init__(self, root: Path) -> None:
        self.root, self.bench = root, Bench(root)
        state = f"{root}/state"
        self.places = opened(STORAGE, state, "g", READS, filled=False, again=False).places
        self.bench.places = self.places
        self.meter = Meter(self.bench.clock.at.timestamp())
        self.bench.meter = self.meter
        self.offline = self._offline()
        self.bench.offline = cast("Any", self.offline)
        self.kib: list[int] = []  # of this process, after each hundred commits

    def _offline(self) -> OfflineTail:
        path = f"{self.root}/lake/offline/g"
        application = self.places.application
        return OfflineTail(GROUP, path, STORAGE, STORAGE, application, compare=False)

    def run(self, batches: int) -> None:
        """So many batches, one in twenty with an event that is none."""
        tail = self.bench.tail()
        for number in range(batches):
            self._checkpoint(number)
            bad = [b"{"] if number % 20 == 7 else []
            made, totals = self.bench.batch(number, *bad, rows=2)
            now = self.bench.clock.at.timestamp()
            stamps = np.full(3, int(now * 1e6) - 200_000, np.int64)
            self.meter.delivered(made, totals, stamps, now)
            tail.add(made, totals)
            self.bench.clock.at += timedelta(seconds=0.5)
            if number % TOGETHER == TOGETHER - 1:
                tail.flush()
                self._status()
            if number % (100 * TOGETHER) == 0:
                self.kib.append(resident())
        tail.flush()
        self._status()

    def _checkpoint(self, number: int) -> None:
        """As Spark keeps it."""
        for name in ("offsets", "commits"):
            folder = Path(self.places.checkpoint) / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / str(number)).write_text(f'v1\n{{}}\n{{"g":{{"0":{number + 1}}}}}')
            (folder / str(number - KEPT)).unlink(missing_ok=True)

    def _status(self) -> None:
        said = {"run": "run", "state": "running", "at": f"{self.bench.clock.at:%FT%TZ}"}
        plain = self.meter.plain(self.bench.clock.at.timestamp())
        STORAGE.write(self.places.status, json.dumps({**said, **plain}).encode())

    def files(self) -> Counter[str]:
        """Files by the folder below the state, or the lake, that they are in."""
        found: Counter[str] = Counter()
        for below in ("state", "lake"):
            for one in (self.root / below).rglob("*"):
                if one.is_file():
                    parts = one.relative_to(self.root).parts
                    kind = "log" if "_delta_log" in parts else ""
                    found["/".join([*parts[:2], kind]).rstrip("/")] += 1
        return found

    def resumed(self) -> tuple[float, Counter[str]]:
        """Seconds to find out where the stream stands, and what was looked at."""
        began, storage = time.monotonic(), Counted()
        state = f"{self.root}/state"
        found = opened(storage, state, "g", READS, filled=True, again=False)
        assert found.places == self.places
        tail = self.bench.tail()
        staging: Any = _Nothing(self.bench, found.places, storage)
        assert Sink(staging, tail, self.meter).resume() == 0
        self._offline()
        assert tail.reached == last_batch(storage, found.places.checkpoint)
        quarantine = Quarantine(cast("Any", None), f"{self.root}/lake/quarantine", STORAGE)
        assert quarantine.reached(found.places.application) >= 0
        return time.monotonic() - began, storage.asked

    def status(self) -> tuple[float, list[dict[str, Any]]]:
        """Seconds that ``penstock status`` takes, its process included, and what it says."""
        (self.root / "conf").mkdir(exist_ok=True)
        (self.root / "conf" / "base.yaml").write_text(_CONF.format(root=self.root))
        (self.root / "conf" / "local.yaml").write_text("{}")
        (self.root / "schemas").mkdir(exist_ok=True)
        (self.root / "schemas" / "__init__.py").write_text("")
        (self.root / "schemas" / "g.py").write_text(_SCHEMA)
        words = [sys.executable, "-c", RUN, "status", "g", "--json", "--project", str(self.root)]
        where = str(Path(penstock.__file__).parents[1])
        began = time.monotonic()
        done = subprocess.run(
            words, check=True, capture_output=True, env={"PYTHONPATH": where, "PATH": ""}
        )
        return time.monotonic() - began, json.loads(done.stdout)


class _Nothing:
    """A staging of which nothing is asked but where things lie."""

    def __init__(self, bench: Bench, places: StreamPlaces, storage: LocalStorage) -> None:
        self.context, self.places = _Stored(bench.context, storage), places


@dataclass(frozen=True)
class _Stored:
    context: Any
    storage: LocalStorage


def resident() -> int:
    """Memory of this process, KiB."""
    told = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (line,) = [one for one in told if one.startswith("VmRSS")]
    return int(line.split()[1])


def _check(history: History, batches: int) -> dict[str, Any]:
    """All bounds; answers what was found."""
    commits, files = batches // TOGETHER, history.files()
    table = DeltaTable(f"{history.root}/lake/offline/g")
    assert len(table.to_pyarrow_table(columns=["id"])) == 2 * batches
    # State: what a stream is, that it began, how it goes, and of Spark's checkpoint two a batch.
    assert files["state/streams"] == 3 + 1 + 2 * min(KEPT, batches)
    assert [one for one in files if one.startswith("state/")] == ["state/streams"]
    assert streams_of(STORAGE, f"{history.root}/state", "g") == [history.places]
    # Lake: one file and one commit each offline_lag_s, and one checkpoint of the log a hundred.
    assert files["lake/offline"] == commits
    assert files["lake/offline/log"] <= commits + commits // 100 + 2
    seconds, asked = history.resumed()
    assert seconds < 1.0
    assert asked["read"] <= 6
    assert asked["listed"] <= 2 * (KEPT + 3)
    found = [history.status() for _ in range(2)]  # the first one may compile modules
    took, said = [seconds for seconds, _ in found], found[-1][1]
    (stream,) = [one for one in said if "stream" in one]
    assert stream["events"] == 2 * batches + batches // 20
    assert (stream["offline"], stream["last"]) == (2 * batches, batches - 1)
    return {"status_s": min(took), "files": dict(files), "kib": history.kib}


@pytest.mark.shows("7.5")
def test_a_history_of_120_batches(tmp_path: Path) -> None:
    """As of ten thousand: the state has the files of the last hundred."""
    history = History(tmp_path)
    history.run(120)
    _check(history, 120)


@pytest.mark.prove
@pytest.mark.shows("7.5")
def test_a_history_of_10000_batches(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Bounds of docs/streaming.md; memory does not grow with the batches."""
    history = History(tmp_path)
    history.run(10_000)
    found = _check(history, 10_000)
    assert found["status_s"] <= STATUS_S  # held to a time where it runs alone: in 'make prove'
    record_property("found", json.dumps(found))
    assert history.kib[-1] - history.kib[1] < 64 * 1024

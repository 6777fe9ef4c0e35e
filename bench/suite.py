"""The arms, and the rounds in which they take turns."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import rows, theirs
from bench.figures import Arm, Sample
from bench.measure import cost
from bench.ours import Ours
from bench.server import Stub
from penstock.online.job import IN_FLIGHT, Api

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FILE_ROWS = 100_000  # staging begins another file then
APIS: tuple[Api, ...] = ("put", "batch")
WIDE = {"put": 256, "batch": 64}  # requests under way at 10 ms
FEW = 2_000  # rows of the peers at 10 ms, one request at a time


class MiscountError(Exception):
    """The stub did not see every record once, signed: the run proves nothing."""


@dataclass(frozen=True)
class Task:
    """An arm and what it does."""

    arm: Arm
    act: Callable[[], None]


@dataclass
class Suite:
    """Builds arms on one session.

    Args:
        spark: The session.
        stub: The server.
        folder: For rows, state and lake.
        records: Rows an arm at 0 ms.
        online: Settings of ``online:`` for all of penstock's arms.
    """

    spark: SparkSession
    stub: Stub
    folder: Path
    records: int
    online: dict[str, Any] = field(default_factory=dict)
    _frames: dict[tuple[int, int], DataFrame] = field(default_factory=dict)

    def side_by_side(self) -> list[Task]:
        """boto3, the connector, and penstock's two arms, put and batch, at 0 ms."""
        frame = self._frame(self.records)
        tasks = self._peers(frame, self.records)
        for api in APIS:
            tasks += [self._online(api, self.records), self._ingest(api, frame)]
        return tasks

    def latency(self, put_rows: int, batch_rows: int) -> list[Task]:
        """The same peers at 10 ms with few rows; ours with many and enough in flight."""
        slow = [
            Task(replace(one.arm, name=f"{one.arm.name}_10ms", latency_ms=10.0), one.act)
            for one in self._peers(self._frame(FEW), FEW)
        ]
        counts = {"put": put_rows, "batch": batch_rows}
        ours = [
            self._online(api, counts[api], suffix="_10ms", latency_ms=10.0, in_flight=WIDE[api])
            for api in APIS
        ]
        return slow + ours

    def alone(self) -> list[Task]:
        """Penstock with fewer and more features, over TLS, and with slow markers."""
        tasks = []
        for api in APIS:
            for features, records in ((10, self.records), (50, self.records), (200, self.records)):
                count = records if features < 100 else records // 4
                tasks.append(
                    self._online(api, count, suffix=f"_{features}_features", features=features)
                )
            tasks.append(self._online(api, self.records, suffix="_tls", tls=True))
            tasks += [
                self._online(api, self.records, suffix=f"_marker_{ms}ms", marker_ms=float(ms))
                for ms in (2, 40)
            ]
        return tasks

    def run(self, task: Task, number: int, *, verify: int = 1) -> Sample:
        """Measure one arm once; what the stub counted must be what was sent.

        Raises:
            MiscountError: It is not.
        """
        arm = task.arm
        described = rows.description(arm.features)
        self._collect()
        self.stub.settings(
            verify=verify, latency_ms=arm.latency_ms, features=arm.features, group=described
        )
        took = cost(task.act, without=self.stub.pid)
        _check(arm, self.stub.stats(), verify)
        thousands = arm.records / 1000
        return Sample(arm.name, number, took.cpu_s / thousands, arm.records / took.wall_s)

    def _peers(self, frame: DataFrame, count: int) -> list[Task]:
        acts = {
            "connector_put": theirs.connector_put,
            "connector_batch": theirs.connector_batch,
            "boto3_put": theirs.boto3_put,
            "boto3_batch": theirs.boto3_batch,
        }
        return [
            Task(Arm(name, count, self._version), partial(act, frame)) for name, act in acts.items()
        ]

    def _online(
        self,
        api: Api,
        count: int,
        *,
        suffix: str = "",
        features: int = 20,
        latency_ms: float = 0.0,
        tls: bool = False,
        in_flight: int | None = None,
        marker_ms: float = 0.0,
    ) -> Task:
        arm = Arm(
            f"online_{api}{suffix}",
            count,
            self._version,
            features,
            latency_ms,
            tls,
            in_flight or IN_FLIGHT[api],
            marker_ms,
        )
        url = self.stub.tls_url if tls else self.stub.url
        settings = {**self.online, "api": api}
        if in_flight is not None:
            settings["in_flight"] = in_flight
        ours = Ours(self.spark, url, self.folder, settings, marker_ms / 1000)
        return Task(arm, partial(ours.send, rows.group(features), self._files(count, features)))

    def _ingest(self, api: Api, frame: DataFrame) -> Task:
        arm = Arm(f"ingest_{api}", self.records, self._version, in_flight=IN_FLIGHT[api])
        ours = Ours(self.spark, self.stub.url, self.folder, {**self.online, "api": api})
        return Task(arm, partial(ours.ingest, rows.group(arm.features), frame))

    def _files(self, count: int, features: int) -> list[tuple[Path, int]]:
        """Staged files: the last one may be shorter."""
        starts = range(0, count, FILE_ROWS)
        sizes = [min(FILE_ROWS, count - start) for start in starts]
        return [
            (rows.written(self.folder, size, features, first=start), size)
            for start, size in zip(starts, sizes, strict=True)
        ]

    def _frame(self, count: int) -> DataFrame:
        """The rows as a cached DataFrame of one partition."""
        key = (count, 20)
        if key not in self._frames:
            read = self.spark.read.parquet(str(rows.written(self.folder, count, 20)))
            frame = read.repartition(1).cache()
            if frame.count() != count:
                raise MiscountError(f"the frame has not {count} rows")
            self._frames[key] = frame
        return self._frames[key]

    @property
    def _version(self) -> str:
        return f"{self.spark.version} {self.spark.sparkContext.master}"

    def _collect(self) -> None:
        """Nobody pays for the garbage of the arm before."""
        gc.collect()
        jvm = self.spark.sparkContext._jvm  # noqa: SLF001 - pyspark has no public way to System.gc
        assert jvm is not None
        jvm.java.lang.System.gc()


def _check(arm: Arm, stats: dict[str, Any], verify: int) -> None:
    wanted = {"records": arm.records, "refused": 0}
    if verify > 1:
        wanted |= {"distinct": arm.records, "features": arm.records * arm.features}
    found = {name: stats[name] for name in wanted}
    if found != wanted or stats["verified"] < stats["requests"]:
        told = f" ({stats['why']})" if stats["why"] else ""
        raise MiscountError(f"{arm.name}: the stub counted {found}, not {wanted}{told}")


def rounds(
    suite: Suite, tasks: Sequence[Task], number: int, say: Callable[[str, int, Sample], None]
) -> list[Sample]:
    """Warm every arm up with bodies checked whole, then let all take turns ``number`` times.

    Every other round goes backwards, so that no arm always follows the same one.
    """
    for task in tasks:
        say("warm-up", 0, suite.run(task, 0, verify=2))
    samples = []
    for count in range(1, number + 1):
        for task in tasks if count % 2 else reversed(tasks):
            samples.append(suite.run(task, count))
            say("round", count, samples[-1])
    return samples

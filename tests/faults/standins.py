"""Whole runs without a JVM: what a double crash is played on.

The engine's own loop, journal, lease, gates, markers, sender and catalogue are at work, against the
embedded AWS. Two things are stand-ins: Spark, which here runs its tasks one after the other in the
driver, and Delta, whose commits are objects that are put if absent. Both leave what theirs leave
when a driver is killed: files that nobody refers to, and a commit whole or not at all.
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import penstock.run.staging
from penstock.contract import FeatureGroup
from penstock.entries import Commit, Transaction
from penstock.gate import ORIGIN
from penstock.run.places import offline_path
from penstock.run.work import Work
from penstock.stage.report import Report, total
from penstock.stage.tasks import FeatureTask
from penstock.storage import LocalStorage, Storage

#: The point where this process dies.
_FATAL: list[str] = []


def arm(point: str | None) -> None:
    """From now on this process dies at a point; at none."""
    _FATAL[:] = [] if point is None else [point]


def at(point: str) -> None:
    """Called at every point by a copy of the package."""
    if point in _FATAL:
        os.kill(os.getpid(), signal.SIGKILL)


def install() -> None:
    """Put the stand-ins into this process, once."""
    for owner, name, value in (
        # The shuffle before the feature gate is written in Spark's functions, which need a JVM.
        (penstock.run.staging, "stage_features", staged_features),
        (Work, "table", property(Table.of)),
    ):
        setattr(owner, name, value)


@dataclass(frozen=True)
class Rdd:
    """Pieces of a list, on which a function is run piece by piece."""

    pieces: Sequence[Iterable[Any]]

    def mapPartitions(self, work: Callable[[Iterable[Any]], Iterator[Any]]) -> Rdd:  # noqa: N802 - Spark's name
        """Run tasks when asked for their answers."""
        return Rdd([work(one) for one in self.pieces])

    def collect(self) -> list[Any]:
        """Run them, one after the other."""
        return [answer for one in self.pieces for answer in one]

    def count(self) -> int:
        """Run them; how many answers there are."""
        return len(self.collect())


@dataclass(frozen=True)
class Frame:
    """A table that was read."""

    rows: pa.Table

    @property
    def columns(self) -> list[str]:
        """Names."""
        names: list[str] = self.rows.column_names
        return names


@dataclass
class Spark:
    """As much of a session, its context and its reader as a run asks for."""

    settings: dict[str, str] = field(default_factory=lambda: {"spark.sql.shuffle.partitions": "2"})
    defaultParallelism: int = 2  # noqa: N815 - Spark's name

    @property
    def sparkContext(self) -> Spark:  # noqa: N802 - Spark's name
        """The context."""
        return self

    @property
    def conf(self) -> dict[str, str]:
        """Settings."""
        return self.settings

    @property
    def read(self) -> Spark:
        """The reader."""
        return self

    def schema(self, _: object) -> Spark:
        """Files say it themselves."""
        return self

    def option(self, *_: object) -> Spark:
        """Nothing depends on one."""
        return self

    def parquet(self, *paths: str) -> Frame:
        """Files."""
        return Frame(pa.concat_tables([pq.read_table(one) for one in paths]))

    def parallelize(self, items: Sequence[Any], pieces: int) -> Rdd:
        """Pieces of a list."""
        return Rdd([items[n::pieces] for n in range(pieces)])


def staged_features(frame: Frame, task: FeatureTask, partitions: int, storage: Storage) -> Report:
    """The feature gate over an identifier's rows side by side, as Spark's shuffle brings them."""
    names = [*task.group.names, ORIGIN]
    rows = frame.rows.select(names).sort_by(task.group.record_identifier)
    keys = rows.column(task.group.record_identifier).to_pylist()
    place = pa.array([sum(str(key).encode()) % partitions for key in keys])
    pieces = [rows.filter(pc.equal(place, n)).to_batches() for n in range(partitions)]
    return total([task.run(one, storage) for one in pieces])


@dataclass(frozen=True)
class Table:
    """Delta's table: files, and commits that are put if absent, one a transaction."""

    path: str
    group: FeatureGroup

    @classmethod
    def of(cls, work: Work) -> Table:
        """The offline table of a run."""
        return cls(offline_path(work.context.settings, work.group.name), work.group)

    def staged(self, files: Sequence[str], rejected: Sequence[str] = ()) -> pa.Table:
        """Staged rows; nothing is rejected where this is used."""
        assert not rejected
        return pa.concat_tables([pq.read_table(one) for one in files])

    def append(
        self,
        rows: pa.Table,
        transaction: Transaction,
        *,
        api_invocation_time: datetime,
        write_time: datetime,
        compare: bool,
    ) -> Commit:
        """Once for a transaction, however often it is called."""
        assert not compare
        log = f"{self.path}/commits/{transaction.application}-{transaction.version}"
        if not Path(log).exists():
            part = f"part-{uuid.uuid4().hex}.parquet"
            for name, value in (("api", api_invocation_time), ("write", write_time)):
                rows = rows.append_column(name, pa.array([value] * rows.num_rows))
            Path(self.path).mkdir(parents=True, exist_ok=True)
            pq.write_table(rows, f"{self.path}/{part}")
            at("cp10")
            LocalStorage().put_if_absent(log, part.encode())
        return Commit(pq.read_metadata(f"{self.path}/{Path(log).read_text()}").num_rows, 0, 0)

    def rows(self) -> list[dict[str, Any]]:
        """Of all commits."""
        parts = [one.read_text() for one in Path(self.path).glob("commits/*")]
        tables = [pq.read_table(f"{self.path}/{one}") for one in parts]
        found: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist() if tables else []
        return found

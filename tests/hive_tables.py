"""Hive tables of tests: rows of runs, processes that die or are met, and readers of folders."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from penstock.entries import Part, Transaction
from penstock.offline.hive import HiveLog
from penstock.offline.log import Brought
from penstock.parts import PartTask
from penstock.storage import LocalStorage, Storage

INSTANT = pa.timestamp("us", "UTC")
SYSTEM = [("api_invocation_time", INSTANT), ("write_time", INSTANT), ("is_deleted", pa.bool_())]
SCHEMA = pa.schema([("id", pa.string()), ("Event-Time", pa.string()), ("n", pa.int64()), *SYSTEM])
WIDE = pa.schema([*SCHEMA, ("new", pa.float64())])
FIRST, SECOND, THIRD = (Transaction("penstock:readings:all", n) for n in range(3))
START = datetime(2024, 1, 31, 23, tzinfo=timezone.utc)
Row = Mapping[str, Any]


class DiedError(Exception):
    """What a storage raises whose process is dead."""


class Met(LocalStorage):
    """Something happens before its n-th call, those among its own methods included.

    Args:
        n: From 0.
        act: What happens.
        ever: Before each later one too.
    """

    def __init__(self, n: int, act: Callable[[], object], *, ever: bool = False) -> None:
        self.n, self.ever, self.calls, self.acts = n, ever, itertools.count(), [act]

    def __getattribute__(self, name: str) -> Any:
        """Counted where it is a method."""
        found = super().__getattribute__(name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            number = next(self.calls)
            if number == self.n or (self.ever and number > self.n):
                self.acts[0]()
            return found(*arguments, **named)

        return call


def mortal(n: int) -> Met:
    """A storage whose process dies before its n-th call; nothing works after it."""

    def die() -> None:
        raise DiedError

    return Met(n, die, ever=True)


def hive(path: str, storage: Storage | None = None) -> HiveLog:
    """A log that has seen nothing yet."""
    return HiveLog(path, storage or LocalStorage(), "Event-Time")


def rows(*names: str, run: int = 0, **more: Any) -> list[Row]:
    """One row a name, an hour after the other; a run's have its instants, ties one less each."""
    at = START + timedelta(days=run, microseconds=1)
    return [
        {
            "id": one,
            "Event-Time": (START + timedelta(hours=n)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "n": n,
            "api_invocation_time": at - timedelta(microseconds=n),
            "write_time": at,
            "is_deleted": False,
            **more,
        }
        for n, one in enumerate(names)
    ]


def brought(run: int, ties: int = 9) -> Brought:
    """What pins :func:`rows` of a run; in another zone than the table has."""
    at = (START + timedelta(days=run, microseconds=1)).astimezone(timezone(timedelta(hours=2)))
    return Brought(at - timedelta(microseconds=ties), at, at)


def written(
    log: HiveLog,
    path: str,
    some: Iterable[Row],
    schema: pa.Schema = SCHEMA,
    storage: Storage | None = None,
) -> list[Part]:
    """The rows as a task writes them."""
    latest_first = sorted(some, key=lambda one: str(one["Event-Time"]), reverse=True)
    batch = pa.RecordBatch.from_pylist(latest_first, schema)
    (answer,) = PartTask(schema, path, storage or LocalStorage(), log.layout)([batch])
    return [Part(**json.loads(one)) for one in answer.column(0).to_pylist()]


def append(
    path: str, some: Sequence[Row], transaction: Transaction | None = None, **more: Any
) -> bool:
    """By a process of its own."""
    log, schema = hive(path), more.pop("schema", SCHEMA)
    return log.append(written(log, path, some, schema), schema, transaction, **more)


def seen(path: str, schema: pa.Schema = SCHEMA) -> list[Row]:
    """What a reader finds who only lists folders."""
    if not Path(path, "data").exists():
        return []
    form = ds.partitioning(flavor="hive")
    found: Any = ds.dataset(f"{path}/data", schema, format="parquet", partitioning=form)
    return by_name(found.to_table().to_pylist())


def by_name(some: Iterable[Row]) -> list[Row]:
    """Sorted."""
    return sorted(some, key=lambda one: (one["id"], one["write_time"]))


def ids(path: str) -> list[str]:
    """Of the rows that are seen."""
    return [one["id"] for one in seen(path)]


def check_whole(path: str) -> None:
    """The newest version's files are all that is below ``data``, and none is staged any more."""
    log = hive(path)
    version = log.version()
    named = {} if version is None else dict(log.files(version).sizes)
    assert LocalStorage().sizes(f"{path}/data") == named


class Beaten(LocalStorage):
    """Another append comes between a look and each of the first puts."""

    def __init__(self, path: str, times: int) -> None:
        self.path, self.times = path, times

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """After the other."""
        if self.times and path.startswith(f"{self.path}/log/0") and "snap" not in path:
            self.times -= 1
            some = rows(f"x{self.times}", run=5) if self.times < 5 else []
            assert append(self.path, some)
        return super().put_if_absent(path, data)


class OnlyEntry(LocalStorage):
    """Dies right after an entry is in."""

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Its last act."""
        super().put_if_absent(path, data)
        raise DiedError


def dead_after_entry(path: str, act: Callable[[HiveLog], object]) -> None:
    """What is left by a process whose entry is in and not published."""
    with pytest.raises(DiedError):
        act(hive(path, OnlyEntry()))

"""Rows of the offline store as Parquet files in the service's layouts.

Names and columns are those of the developer guide; the bytes of a file follow from its name and its
rows alone, so that writing it again changes nothing. Both times are UTC microseconds (the physical
type of the service's own files is not documented).
"""

from __future__ import annotations

import json
import os
import random
import string
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from math import floor
from pathlib import Path
from typing import Any, NamedTuple

from penstock.emulator.records import Key
from penstock.emulator.replication import Target

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_YEAR_ONE = -62_135_596_800
_CYCLE_SECONDS = 146_097 * 86_400  # 400 years: the calendar repeats, and datetime has no year 0
_ALNUM = string.ascii_letters + string.digits
_TEXT = {"Integral": int, "Fractional": float, "String": str}


class Pending(NamedTuple):
    """One row for the offline store; ``body`` is None for a deletion."""

    received: int
    identifier: str
    event_time: str
    body: str | None


def stamp(instant: Key) -> str:
    """Event time as ``yyyy-MM-ddTHH:mm:ss`` UTC, from its ordering key."""
    if isinstance(instant, str):
        return instant[:19]
    seconds = floor(instant)
    early = seconds < _YEAR_ONE
    text = (_EPOCH + timedelta(seconds=seconds + early * _CYCLE_SECONDS)).isoformat()[:19]
    return f"0000{text[4:]}" if early else text


def partition(target: Target, instant: Key) -> tuple[str, ...]:
    """Partition values: year, month, day and hour; for Iceberg the first 10 characters."""
    text = stamp(instant)
    if target.iceberg:
        return (text[:10],)
    return text[:4], text[5:7], text[8:10], text[11:13]


def file_name(target: Target, keys: Sequence[str], latest: Key, chance: random.Random) -> str:
    """Name of a file below the target's ``uri``, as the developer guide shows them.

    Args:
        target: Of the group.
        keys: Partition values.
        latest: The greatest event time in the file.
        chance: Makes the random part.
    """
    moment = stamp(latest).replace("-", "").replace(":", "")
    name = f"{moment}Z_{_random(chance, 16)}.parquet"
    if target.iceberg:
        return f"{_random(chance, 8).lower()}/{target.event_time}_trunc={keys[0]}/{name}"
    year, month, day, hour = keys
    return f"year={year}/month={month}/day={day}/hour={hour}/{name}"


def write(path: Path, aside: Path, target: Target, rows: Sequence[Pending], written: int) -> None:
    """Write a file whole or not at all.

    Args:
        path: Where it shall lie.
        aside: A folder on the same file system for the unfinished file.
        target: Of the group.
        rows: Its rows, at least one.
        written: ``write_time`` in milliseconds since the epoch.

    Raises:
        OSError: The folder cannot be written.
    """
    import pyarrow.parquet as pq

    aside.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = aside / f"{os.getpid()}-{path.name}"
    pq.write_table(table(target, rows, written), unfinished)
    unfinished.replace(path)


def table(target: Target, rows: Sequence[Pending], written: int) -> Any:
    """Rows as a pyarrow table with the three system columns."""
    import pyarrow as pa

    records = [_values(target, row) for row in rows]
    types = {"Integral": pa.int64(), "Fractional": pa.float64(), "String": pa.string()}
    moment = pa.timestamp("us", "UTC")
    columns = {
        name: pa.array(
            [None if (text := one.get(name)) is None else _TEXT[kind](text) for one in records],
            types[kind],
        )
        for name, kind in target.features
    }
    columns["write_time"] = pa.array([written * 1000] * len(rows), pa.int64()).cast(moment)
    times = [row.received * 1000 for row in rows]
    columns["api_invocation_time"] = pa.array(times, pa.int64()).cast(moment)
    columns["is_deleted"] = pa.array([row.body is None for row in rows], pa.bool_())
    return pa.table(columns)


def _values(target: Target, row: Pending) -> dict[str, Any]:
    if row.body is None:
        return {target.identifier: row.identifier, target.event_time: row.event_time}
    found: dict[str, Any] = json.loads(row.body)
    return found


def _random(chance: random.Random, length: int) -> str:
    return "".join(chance.choices(_ALNUM, k=length))

"""Where files of an offline table lie by the event times of their rows, as the service has them.

``hive``: folders by the hour, ``year=2020/month=06/day=30/hour=00``. ``iceberg``: by the day,
``EventTime_trunc=2022-11-09`` below a random folder; a Fractional event time has no such partition,
for truncating a number cuts digits. A file is named by its latest event time and 16 random
characters (AWS developer guide, "Amazon SageMaker Feature Store offline store").
"""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

_LETTERS = string.ascii_letters + string.digits
_HOUR, _DAY = len("2020-06-30T00"), len("2020-06-30")


@dataclass(frozen=True)
class Layout:
    """How rows become files.

    Args:
        kind: Of the table.
        event_time: Column of the event time: ISO 8601 text in UTC, or seconds as a double.
        folder: Relative to the table's, that all files are below.
    """

    kind: Literal["hive", "iceberg"]
    event_time: str
    folder: str

    def keys(self, rows: pa.Table) -> pa.Array:
        """Text for each row; rows of one file have the same."""
        at = rows.column(self.event_time).combine_chunks()
        if pa.types.is_floating(at.type):
            if self.kind == "iceberg":
                return pa.repeat(pa.scalar(""), len(at))
            at = pc.strftime(_seconds(at), "%Y-%m-%dT%H")
        return pc.utf8_slice_codeunits(at, 0, _HOUR if self.kind == "hive" else _DAY)

    def name(self, key: str, latest: Any) -> str:
        """Of a file that nobody else writes, relative to the table's folder.

        Args:
            key: What :meth:`keys` says of its rows.
            latest: Greatest event time of its rows, as the column has it.
        """
        file = f"{_instant(latest)}_{_random(16)}.parquet"
        if self.kind == "hive":
            year, month, day, hour = key[:4], key[5:7], key[8:10], key[11:]
            return f"{self.folder}/year={year}/month={month}/day={day}/hour={hour}/{file}"
        day = f"/{self.event_time}_trunc={key}" if key else ""
        return f"{self.folder}/{_random(8)}{day}/{file}"


def _instant(latest: Any) -> str:
    """``20200630T001500Z``."""
    if isinstance(latest, float):
        latest = pc.strftime(_seconds(pa.array([latest])), "%Y-%m-%dT%H:%M:%S")[0].as_py()
    return f"{latest[:19].replace('-', '').replace(':', '')}Z"


def _seconds(at: pa.Array) -> pa.Array:
    """Whole seconds, of instants before 1970 too."""
    return pc.cast(pc.cast(pc.floor(at), pa.int64()), pa.timestamp("s", "UTC"))


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))

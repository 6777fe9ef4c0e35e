"""Which rows of a Hive table are meant, and which of its files may have some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timezone

import pyarrow as pa
import pyarrow.compute as pc

from penstock.offline.hive_entries import File
from penstock.offline.identifiers import are, typed
from penstock.offline.log import Brought

_INSTANT = pa.timestamp("us", "UTC")
_PINNED = ["write_time", "api_invocation_time"]


@dataclass(frozen=True)
class Which:
    """Some rows of a table.

    Args:
        columns: That tell.
        are: Which of the rows with these columns; no null among it.
        may_be: Whether a file may have some.
    """

    columns: list[str]
    are: Callable[[pa.Table], pa.ChunkedArray]
    may_be: Callable[[File], bool] = lambda _: True


def of_append(brought: Brought) -> Which:
    """What one append brought."""
    return Which(
        _PINNED, lambda rows: _brought(rows, brought), lambda file: _may_have(file, brought)
    )


def with_identifiers(schema: pa.Schema, column: str, texts: Sequence[str]) -> Which:
    """Rows whose column, of this schema, has one of these texts."""
    wanted = typed(texts, schema.field(column).type)
    return Which([column], lambda rows: are(rows.column(column), wanted))


def _brought(rows: pa.Table, brought: Brought) -> pa.ChunkedArray:
    """Which rows are of the append; no null among it."""
    at, invoked = (pc.cast(rows.column(name), _INSTANT, safe=False) for name in _PINNED)
    found = pc.and_(
        pc.equal(at, pa.scalar(brought.at, _INSTANT)),
        pc.and_(
            pc.greater_equal(invoked, pa.scalar(brought.first, _INSTANT)),
            pc.less_equal(invoked, pa.scalar(brought.last, _INSTANT)),
        ),
    )
    no = False
    return pc.fill_null(found, no)


def _may_have(file: File, brought: Brought) -> bool:
    """Whether a file's bounds allow rows of the append; they are in whole milliseconds."""
    at = brought.at.astimezone(timezone.utc)
    text = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
    return file.written is None or file.written[0] <= text <= file.written[1]

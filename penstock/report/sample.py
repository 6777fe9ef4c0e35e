"""Rows of staged Parquet files, as many as a report needs: never all of a large run.

A staged file holds the rows of some identifiers, in their order. So rows are taken from every file,
or of many from files spread over all, and within a file evenly: what is small is read whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.contract import DELETED
from penstock.storage import Storage

MAX_ROWS = 200_000
MAX_CELLS = 2_000_000  # rows times columns: what is read takes a fraction of a second
MAX_FILES = 64
_READERS = 4


@dataclass(frozen=True)
class Sample:
    """What was looked at.

    Args:
        rows: Features of the rows that were taken, without deletions.
        looked: Rows taken, deletions among them.
        total: Rows of all files.
        files: Files looked into.
        all_files: How many there are.
    """

    rows: pa.Table
    looked: int
    total: int
    files: int
    all_files: int

    def plain(self) -> dict[str, Any]:
        """Its size, as JSON."""
        names = ("looked", "total", "files", "all_files")
        return {name: getattr(self, name) for name in names}


def sample(
    storage: Storage, files: Sequence[tuple[str, int]], columns: Sequence[str]
) -> Sample | None:
    """Rows of files, the same ones each time.

    Args:
        storage: Where they are.
        files: Path and rows of each.
        columns: What is read of them.

    Returns:
        None where there is no row or no column.

    Raises:
        FileNotFoundError: A file is gone.
    """
    total = sum(rows for _, rows in files)
    if not total or not columns:
        return None
    wanted = min(MAX_ROWS, max(1, MAX_CELLS // len(columns)))
    full = [one for one in files if one[1]]
    chosen = full[:: max(1, -(-len(full) // MAX_FILES))]
    there = sum(rows for _, rows in chosen)
    share = min(1.0, wanted / there)
    with ThreadPoolExecutor(_READERS) as pool:
        tables = list(pool.map(lambda one: _taken(storage, one[0], columns, share), chosen))
    rows = pa.concat_tables(tables)
    looked = rows.num_rows
    if DELETED in rows.schema.names:
        rows = rows.filter(pc.invert(pc.fill_null(rows.column(DELETED), fill_value=False)))
    return Sample(rows.select(list(columns)), looked, total, len(chosen), len(full))


def _taken(storage: Storage, path: str, columns: Sequence[str], share: float) -> pa.Table:
    with storage.open_input(path) as opened:
        file = pq.ParquetFile(opened)
        names = [*columns, *({DELETED} & set(file.schema_arrow.names))]
        if share >= 1:
            return file.read(columns=names, use_threads=False)
        groups = file.num_row_groups
        some = max(1, math.ceil(groups * share))
        kept = [n * groups // some for n in range(some)]
        table = file.read_row_groups(kept, columns=names, use_threads=False)
        rows = max(1, round(share * file.metadata.num_rows))
        every = max(1, table.num_rows // rows)
        return table.take(pa.array(range(0, table.num_rows, every), pa.int64()))

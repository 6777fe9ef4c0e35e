"""Rows of staged Parquet files, as many as a report needs: never all of a large run.

A staged file holds the rows of some identifiers, chosen by a hash, in the order of these. So whole
files are a fair sample and the first rows of a file are none: of few rows all files are read, of
many some whole files spread over all, and of what was read rows are kept evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.contract import DELETED
from penstock.storage import Storage

MAX_ROWS = 200_000
MAX_CELLS = 2_000_000  # rows times columns that are described
READ_CELLS = 8_000_000  # that are read for it, in about half a second; one file may be more
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
    chosen = _spread(full, max(1, READ_CELLS // len(columns)))
    there = sum(rows for _, rows in chosen)
    share = min(1.0, wanted / there)
    with ThreadPoolExecutor(_READERS) as pool:
        tables = list(pool.map(lambda one: _taken(storage, one[0], columns, share), chosen))
    rows = pa.concat_tables(tables)
    looked = rows.num_rows
    if DELETED in rows.schema.names:
        rows = rows.filter(pc.invert(pc.fill_null(rows.column(DELETED), fill_value=False)))
    return Sample(rows.select(list(columns)), looked, total, len(chosen), len(full))


def _spread(files: Sequence[tuple[str, int]], limit: int) -> list[tuple[str, int]]:
    """Files of about so many rows together, evenly from all; at least one."""
    whole = sum(rows for _, rows in files)
    count = max(1, min(len(files), len(files) * limit // whole))
    return [files[n * len(files) // count] for n in range(count)]


def _taken(storage: Storage, path: str, columns: Sequence[str], share: float) -> pa.Table:
    with storage.open_input(path) as opened:
        file = pq.ParquetFile(opened)
        names = [*columns, *({DELETED} & set(file.schema_arrow.names))]
        groups = _groups(file, READ_CELLS // len(names))
        table = file.read_row_groups(groups, columns=names, use_threads=False)
        if share >= 1:
            return table
        rows = max(1, min(table.num_rows, round(share * file.metadata.num_rows)))
        places = np.arange(rows, dtype=np.int64)
        return table.take(pa.array(places * table.num_rows // rows))


def _groups(file: pq.ParquetFile, limit: int) -> list[int]:
    """All row groups; of a file that is too large some, evenly."""
    groups, rows = file.num_row_groups, max(1, file.metadata.num_rows)
    some = max(1, min(groups, groups * limit // rows))
    return [n * groups // some for n in range(some)]

"""A plan that Spark makes once and runs for batch after batch.

Asked anew, Spark plans anew: of the flights' own transform that is 0.2 CPU seconds of the 0.22 a
batch of 400 rows costs, and 110 of its 135 ms (measured). A plan may run again as it is, small
tables it broadcasts included, if only its file is at the same place and has the same length: Spark
remembers both, and reads the footer and the rows anew. So each batch's rows lie in one Parquet file
of one name, padded before its footer, where no reader looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from penstock.session import spark_line
from penstock.storage import Storage

LENGTH = 1 << 18  # bytes at first: a thousand rows or two
_TAIL = 8  # bytes after the footer: its length, and the magic number


class Plan:
    """Rows of one file after another through the same steps.

    Args:
        put_together: Gives the steps' result, its only moving input the file; called once, when
            the file is there.
        path: Of the file, absolute.
        storage: Where that is.
    """

    def __init__(self, put_together: Callable[[], DataFrame], path: str, storage: Storage) -> None:
        self._put_together, self._path, self._storage = put_together, path, storage
        self._length = LENGTH
        self._steps: DataFrame | None = None
        self._planned: DataFrame | None = None  # None where it must be planned anew
        self._judged = False  # whether that is known of files of this length

    def run(self, rows: pa.Table) -> pa.Table:
        """What the steps make of these rows, by one Spark job without Python's workers.

        Raises:
            ContractError: As ``put_together`` does.
        """
        data = _parquet(rows)
        while self._length < len(data):
            self._length *= 2
            self._planned, self._judged = None, False
        with self._storage.create(self._path) as file:  # what it holds is lost with the run
            file.write(padded(data, self._length))
        if self._steps is None:
            self._steps = self._put_together()
        if self._planned is None:
            for one in _relations(self._steps._jdf.queryExecution().analyzed()):  # noqa: SLF001 - Spark tells its plans to Java alone
                one.location().refresh()
            planned = self._steps.select("*")
            if not self._judged:
                self._planned = planned if repeats(planned, self._path) else None
                self._judged = True
            return collected(planned)
        return collected(self._planned)


def padded(data: bytes, length: int) -> bytes:
    """A Parquet file made longer: its offsets are from the beginning, its footer is at the end."""
    footer = int.from_bytes(data[-_TAIL : -_TAIL // 2], "little") + _TAIL
    return data[:-footer] + bytes(length - len(data)) + data[-footer:]


def repeats(frame: DataFrame, path: str) -> bool:
    """Whether a plan may run again over another file at ``path``.

    Not where it holds the time it was made at, or asks a query of its own; nor where rows of the
    file are exchanged: Spark keeps what was exchanged, and would take it for the new rows.
    """
    query = frame._jdf.queryExecution()  # noqa: SLF001 - Spark tells its plans to Java alone
    jvm = cast("Any", frame.sparkSession)._jvm  # noqa: SLF001 - the same
    patterns = jvm.org.apache.spark.sql.catalyst.trees.TreePattern
    held = (patterns.CURRENT_LIKE(), patterns.PLAN_EXPRESSION())
    if any(query.analyzed().containsPattern(one) for one in held):
        return False
    wanted = sum(_reads(one, path) for one in _relations(query.optimizedPlan()))
    nodes = list(_nodes(query.executedPlan()))
    scans = [one.relation() for one in nodes if name_of(one) == "FileSourceScanExec"]
    asks = any(one.subqueries().size() for one in nodes)
    return not asks and 0 < sum(_reads(one, path) for one in scans) == wanted


def _reads(relation: Any, path: str) -> bool:
    roots = map(str, _listed(relation.location().rootPaths()))
    return any(urlsplit(one).path == urlsplit(path).path for one in roots)


def _relations(plan: Any) -> list[Any]:
    """What a logical plan reads of files."""
    leaves = _listed(plan.collectLeaves())
    return [one.relation() for one in leaves if name_of(one) == "LogicalRelation"]


def _nodes(plan: Any) -> Iterator[Any]:
    """Nodes of a physical plan that no exchange is above of."""
    if "Exchange" not in name_of(plan):
        yield plan
        for child in children_of(plan):
            yield from _nodes(child)


def children_of(node: Any) -> list[Any]:
    """Nodes right below a node of a plan."""
    return _listed(node.children())


def name_of(node: Any) -> str:
    """Name of a node's class, such as ``Project``."""
    return str(node.getClass().getSimpleName())


def _listed(found: Any) -> list[Any]:
    """What a sequence of Scala's has."""
    return [found.apply(n) for n in range(found.size())]


def _parquet(rows: pa.Table) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(rows, out)
    made: bytes = out.getvalue().to_pybytes()
    return made


def collected(frame: DataFrame) -> pa.Table:
    """All rows, on the driver, by one Spark job without Python's workers."""
    if spark_line() != "3.5":
        found: pa.Table = frame.toArrow()
        return found
    from pyspark.sql.pandas.types import to_arrow_schema

    schema, private = to_arrow_schema(frame.schema), cast("Any", frame)
    batches = private._collect_as_arrow()  # noqa: SLF001 - what toPandas is made of in 3.5
    # The batches' instants bear the session's time zone.
    return pa.Table.from_batches(batches).cast(schema) if batches else schema.empty_table()

"""Entries of a Delta table's log: what a commit names, what is noted beside it, what it did."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.storage import Storage

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable
    from deltalake.transaction import AddAction


@dataclass(frozen=True)
class Transaction:
    """Name of one append: ``application`` per group and window, ``version`` its generation."""

    application: str
    version: int

    @property
    def mark(self) -> dict[str, Any]:
        """How it is noted beside the commit."""
        return {"penstock": self.application, "generation": self.version}


@dataclass(frozen=True)
class Part:
    """A Parquet file in the table's folder.

    Args:
        name: Relative to the folder.
        size: Bytes.
        statistics: Rows and bounds of its columns, as JSON text of Delta's protocol.
    """

    name: str
    size: int
    statistics: str


@dataclass(frozen=True)
class Commit:
    """What an append did.

    Args:
        rows: Rows added.
        present: Rows left out because the table had them already.
        version: Version of the table.
    """

    rows: int
    present: int
    version: int


@dataclass(frozen=True)
class Files:
    """Parquet files whose rows are all the rows of a table.

    Args:
        sizes: Bytes, by absolute path.
        storage: Where they are.
    """

    sizes: Mapping[str, int]
    storage: Storage


def has(table: DeltaTable, transaction: Transaction) -> bool:
    """Whether it was committed, or one after it."""
    found = table.transaction_version(transaction.application)
    return found is not None and found >= transaction.version


def mark_of(commit: Mapping[str, Any]) -> Mapping[str, Any]:
    """What :attr:`Transaction.mark` says beside a commit; empty where it is of others."""
    try:
        made = json.loads(commit.get("userMetadata") or "{}")
    except ValueError:
        return {}
    return made if isinstance(made, dict) else {}


def action(part: Part) -> AddAction:
    """The entry of a file that becomes rows."""
    from deltalake.transaction import AddAction

    return AddAction(
        path=part.name,
        size=part.size,
        partition_values={},
        modification_time=0,
        data_change=True,
        stats=part.statistics,
    )


def commit_of(one: Mapping[str, Any], mark: Mapping[str, Any]) -> Commit:
    """What a commit did; those that Spark made have their rows among their figures."""
    figures = one.get("operationMetrics") or {}
    rows = mark.get("rows", figures.get("numOutputRows", 0))
    return Commit(int(rows), int(mark["present"]), int(one["version"]))


def properties(
    actions: Sequence[AddAction], transaction: Transaction | None, present: int
) -> CommitProperties:
    """What is noted beside a commit; its rows are those of the files it names."""
    if transaction is None:
        return once({})
    rows = sum(json.loads(one.stats)["numRecords"] for one in actions)
    mark = json.dumps({**transaction.mark, "present": present, "rows": rows})
    return once({"userMetadata": mark}, transaction)


def once(metadata: Mapping[str, Any], transaction: Transaction | None = None) -> CommitProperties:
    """Properties of one attempt: what comes between is looked at before the next."""
    from deltalake import CommitProperties
    from deltalake.transaction import Transaction as Named

    named = [] if transaction is None else [Named(transaction.application, transaction.version)]
    return CommitProperties(dict(metadata), max_commit_retries=0, app_transactions=named)


def count(table: DeltaTable, condition: str) -> int:
    """Rows of a table that meet a condition, in DataFusion's SQL."""
    from deltalake import QueryBuilder

    text = f"SELECT count(*) AS n FROM rows WHERE {condition}"  # noqa: S608 - made by us, without texts of others
    found = QueryBuilder().register("rows", table).execute(text).read_all()
    return int(found["n"][0].as_py())

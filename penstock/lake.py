"""Small looks into the lake without Spark: single records and the quarantine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from penstock.commits import check_installed
from penstock.contract import FeatureGroup
from penstock.offline.log import TableLog
from penstock.storage import Storage

_ORDER = ("api_invocation_time", "write_time")


def current_rows(log: TableLog, group: FeatureGroup, identifiers: Sequence[str]) -> dict[str, Any]:
    """The current offline row of each identifier that has one; a deleted one counts as none.

    Current: greatest event time, then api_invocation_time, then write_time (AWS developer guide,
    Athena queries); then deleted ones go.

    Raises:
        UsageError: What reads the table is not installed.
    """
    name = group.record_identifier
    found: dict[str, Any] = {}
    for row in log.matching(name, identifiers).to_pylist():
        key = str(row[name])
        if key not in found or _rank(row, group) > _rank(found[key], group):
            found[key] = row
    return {key: row for key, row in found.items() if not row["is_deleted"]}


def quarantined(
    path: str, storage: Storage, group: str | None = None, key: str | None = None
) -> list[dict[str, Any]]:
    """Entries of the quarantine, newest first; those of a group, or whose key starts so.

    Raises:
        UsageError: delta-rs is not installed.
    """
    rows = _read(path, storage).to_pylist()
    chosen = [
        row
        for row in rows
        if (group is None or row["feature_group"] == group)
        and (key is None or row["row_key"].startswith(key))
    ]
    return sorted(chosen, key=lambda row: (row["quarantined_at"], row["row_key"]), reverse=True)


def _rank(row: dict[str, Any], group: FeatureGroup) -> tuple[Any, ...]:
    return (row[group.event_time], *(row[name] for name in _ORDER))


def _read(path: str, storage: Storage) -> pa.Table:
    check_installed()
    from deltalake import DeltaTable

    options = storage.options()
    if not DeltaTable.is_deltatable(path, options):
        return pa.table({})
    return DeltaTable(path, storage_options=options).to_pyarrow_dataset().to_table()

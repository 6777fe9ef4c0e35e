"""Small looks into the lake without Spark: single records and the quarantine, through delta-rs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.commits import check_installed
from penstock.contract import FeatureGroup
from penstock.storage import Storage

_ORDER = ("api_invocation_time", "write_time")


def current_rows(
    path: str, storage: Storage, group: FeatureGroup, identifiers: Sequence[str]
) -> dict[str, Any]:
    """The current offline row of each identifier that has one; a deleted one counts as none.

    Current: greatest event time, then api_invocation_time, then write_time (AWS developer guide,
    Athena queries); then deleted ones go.

    Raises:
        UsageError: delta-rs is not installed.
    """
    name = group.record_identifier
    table = _read(
        path, storage, lambda dataset: pc.field(name).isin(_typed(dataset, name, identifiers))
    )
    found: dict[str, Any] = {}
    for row in table.to_pylist():
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
    rows = _read(path, storage, None).to_pylist()
    chosen = [
        row
        for row in rows
        if (group is None or row["feature_group"] == group)
        and (key is None or row["row_key"].startswith(key))
    ]
    return sorted(chosen, key=lambda row: (row["quarantined_at"], row["row_key"]), reverse=True)


def _rank(row: dict[str, Any], group: FeatureGroup) -> tuple[Any, ...]:
    return (row[group.event_time], *(row[name] for name in _ORDER))


def _typed(dataset: Any, name: str, identifiers: Sequence[str]) -> pa.Array:
    kind = dataset.schema.field(name).type
    return pc.cast(pa.array(identifiers, pa.string()), kind)


def _read(path: str, storage: Storage, condition: Any) -> pa.Table:
    check_installed()
    from deltalake import DeltaTable

    options = storage.options()
    if not DeltaTable.is_deltatable(path, options):
        return pa.table({})
    dataset = DeltaTable(path, storage_options=options).to_pyarrow_dataset()
    return dataset.to_table(filter=None if condition is None else condition(dataset))

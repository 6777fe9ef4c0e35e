"""What a send file says of a row beside its features, and the calls that rows of their own need.

Deletions and corrections travel alone, one call a row (DeleteRecord, UpdateRecord). A time to live
or a store of its own changes only what stands after a record's text. Shapes: botocore's model.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from penstock.contract import CORRECT, DELETED, OFFLINE_ONLY, TTL_S
from penstock.errors import MismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.online.job import SendJob

Single = Literal["DeleteRecord", "UpdateRecord"]

#: Optional columns of a send file; absent is false or null for all rows.
CONTROLS: dict[str, pa.DataType] = {
    DELETED: pa.bool_(),
    CORRECT: pa.bool_(),
    OFFLINE_ONLY: pa.bool_(),
    TTL_S: pa.int64(),
}
_OFFLINE = ("OfflineStore",)


class Call(NamedTuple):
    """The request of a row that travels alone."""

    operation: Single
    method: str
    path: str
    body: bytes


class Controls:
    """The control columns of one chunk.

    Args:
        rows: The chunk's rows.

    Raises:
        MismatchError: A control column is of another type than it should be.
    """

    def __init__(self, rows: pa.RecordBatch) -> None:
        for name in controls_in(rows.schema):
            found, wanted = rows.schema.field(name).type, CONTROLS[name]
            if found != wanted:
                message = f"a send file's column {name!r} is {found}, not {wanted}"
                raise MismatchError(message, "This is a defect: report it")
        self._rows = rows
        self._offline = self._true(OFFLINE_ONLY)

    @property
    def stores_differ(self) -> bool:
        """Whether some row goes to other stores than the job says."""
        return bool(self._offline)

    def suffixes(self, stores: Sequence[str]) -> pa.Array | None:
        """JSON that follows each record's text; None where there is none for any row."""
        parts = [*self._stores_text(stores), *self._ttl_text()]
        return pc.binary_join_element_wise(*parts, "") if parts else None

    def calls(
        self, job: SendJob, path: str, keys: tuple[pa.Array, pa.Array], records: Sequence[Any]
    ) -> dict[int, Call]:
        """The rows that travel alone, by number.

        Args:
            job: Names the stores and how to delete.
            path: URI of the group.
            keys: Identifiers and event times as sent.
            records: Each row's record as JSON, with what follows it.
        """
        tail = "}" if self._offline else f"{_stores_json(job.target_stores)}}}"
        found = {
            row: _update(job, path, keys[0][row].as_py(), records[row], tail)
            for row in self._true(CORRECT)
        }
        for row in self._true(DELETED):
            identifier, event_time = (one[row].as_py() for one in keys)
            found[row] = _delete(job, path, identifier, event_time, self._stores(job, row))
        return found

    def _stores(self, job: SendJob, row: int) -> Sequence[str]:
        return _OFFLINE if row in self._offline else job.target_stores

    def _true(self, name: str) -> set[int]:
        """Rows whose control says yes."""
        column = self._column(name)
        if column is None:
            return set()
        return set(pc.indices_nonzero(pc.fill_null(column, fill_value=False)).to_pylist())

    def _column(self, name: str) -> pa.Array | None:
        return self._rows.column(name) if name in self._rows.schema.names else None

    def _stores_text(self, stores: Sequence[str]) -> Iterator[pa.Array]:
        if self._offline:
            alone = pc.fill_null(self._column(OFFLINE_ONLY), fill_value=False)
            yield pc.if_else(alone, _stores_json(_OFFLINE), _stores_json(stores))

    def _ttl_text(self) -> Iterator[pa.Array]:
        column = self._column(TTL_S)
        if column is not None and column.null_count < len(column):
            head = ',"TtlDuration":{"Unit":"Seconds","Value":'
            text = pc.binary_join_element_wise(head, pc.cast(column, pa.string()), "}", "")
            yield pc.fill_null(text, "")


def controls_in(schema: pa.Schema) -> list[str]:
    """The control columns a send file has."""
    return [name for name in CONTROLS if name in schema.names]


def _stores_json(stores: Sequence[str]) -> str:
    return f',"TargetStores":{json.dumps(list(stores), separators=(",", ":"))}'


def _delete(
    job: SendJob, path: str, identifier: str, event_time: str, stores: Sequence[str]
) -> Call:
    """All is in the query, in the order the signature wants."""
    query = [("DeletionMode", job.deletion), ("EventTime", event_time)]
    query += [("RecordIdentifierValueAsString", identifier)]
    query += [("TargetStores", one) for one in sorted(stores)]
    text = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in query)
    return Call("DeleteRecord", "DELETE", f"{path}?{text}", b"")


def _update(job: SendJob, path: str, identifier: str, record: Any, tail: str) -> Call:
    """The record without its identifier, which stands first and is named beside it."""
    text = json.dumps(identifier, ensure_ascii=False)
    first = f'[{{"FeatureName":{json.dumps(job.record_identifier)},"ValueAsString":{text}}},'
    head = f'{{"RecordIdentifierValueAsString":{text},"Features":['
    body = b"".join((head.encode(), record[len(first.encode()) :], tail.encode()))
    return Call("UpdateRecord", "POST", f"{path}/Record", body)

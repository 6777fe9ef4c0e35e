"""Request bodies from Arrow columns: one string array per chunk, built column by column.

A record is ``[{"FeatureName":…,"ValueAsString":…},…]`` with nulls left out and the record
identifier first, which is never null, so that no comma has to be decided per row. Only values that
need escaping pass through Python. What differs between records of one chunk besides their features
(stores, time to live) stands after each record's text. Shapes: botocore's model of the runtime API.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from penstock.contract import FeatureType
from penstock.encoding import STORAGE, double_text
from penstock.errors import MismatchError
from penstock.online.control import Controls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.online.control import Call
    from penstock.online.job import SendJob

MAX_ENTRIES = 25  # botocore model, BatchWriteRecordRequest.Entries
WRITE_UNIT = 1024  # AWS developer guide, quotas: one unit per started KB
#: What JSON must escape (RFC 8259 §7); everything else may stand as UTF-8.
_ESCAPED = '["\\\\\\x00-\\x1f]'


@dataclass(frozen=True)
class Bodies:
    """The encoded rows of one chunk; bodies are joined from them when a request is made.

    Args:
        records: JSON of each row's ``Record``, views into one Arrow buffer.
        identifiers: Each row's record identifier as sent, before escaping.
        event_times: Each row's event time as sent, before escaping.
        keys: Names of identifier and event time.
        units: Write units of each row: started KB of its JSON, an upper bound of what is billed.
        frame: Bytes before, between and after: of PutRecord two, of BatchWriteRecord three.
        calls: Rows that are not written but deleted or corrected, one call each.
    """

    records: list[memoryview]
    identifiers: pa.Array
    event_times: pa.Array
    keys: tuple[str, str]
    units: list[int]
    frame: Frame
    calls: Mapping[int, Call]

    def put(self, row: int) -> bytes:
        """Body of PutRecord for one row."""
        return b"".join((self.frame.put_head, self.records[row], self.frame.put_tail))

    def batch(self, rows: Sequence[int]) -> bytes:
        """Body of BatchWriteRecord for up to 25 rows, entries in the order of ``rows``."""
        records = self.records
        joined = self.frame.batch_between.join([records[row] for row in rows])
        return b"".join((self.frame.batch_head, joined, self.frame.batch_tail))

    def key(self, row: int) -> tuple[str, str]:
        """(identifier, event time) as texts: what an echoed entry is matched by."""
        return self.identifiers[row].as_py(), self.event_times[row].as_py()


@dataclass(frozen=True)
class Frame:
    """What stands around records in a body; constant for a job.

    Args:
        path: URI of PutRecord.
        put_head: Before a single record.
        put_tail: After it.
        batch_head: Before the first record of a batch.
        batch_between: Between two.
        batch_tail: After the last.
    """

    path: str
    put_head: bytes
    put_tail: bytes
    batch_head: bytes
    batch_between: bytes
    batch_tail: bytes


def frame_of(group: str, target_stores: Sequence[str]) -> Frame:
    """The constant parts of bodies for one group; without stores none are named."""
    listed = json.dumps(list(target_stores), separators=(",", ":"))
    stores = f'"TargetStores":{listed}'
    before, after = (f"{stores},", f",{stores}") if target_stores else ("", "")
    entry = f'{{"FeatureGroupName":{json.dumps(group)},{before}"Record":'
    return Frame(
        path=put_path(group),
        put_head=b'{"Record":',
        put_tail=f"{after}}}".encode(),
        batch_head=f'{{"Entries":[{entry}'.encode(),
        batch_between=f"}},{entry}".encode(),
        batch_tail=b"}]}",
    )


def put_path(group: str) -> str:
    """URI of PutRecord. An ARN is percent-encoded, slash included, as botocore does."""
    return f"/FeatureGroup/{quote(group, safe='')}"


BATCH_PATH = "/BatchWriteRecord"


def encode(job: SendJob, frame: Frame, rows: pa.RecordBatch) -> Bodies:
    """Encode the rows of one chunk.

    Raises:
        MismatchError: The file is not what staging promises: another column or type, a null
            identifier or event time, a double that is not finite, text that is not UTF-8.
    """
    texts = {
        name: _text(name, kind, rows.column(name) if name in rows.schema.names else None)
        for name, kind in zip(job.features, job.types, strict=True)
    }
    names = (job.record_identifier, job.event_time)
    for name in names:
        if texts[name].null_count:
            raise MismatchError(
                f"a send file has a null in {name!r}", "This is a defect: report it"
            )
    keys = (texts[names[0]], texts[names[1]])
    controls = Controls(rows)
    records = _views(_joined(job, texts, controls.suffixes(job.target_stores)))
    calls = controls.calls(job, frame.path, keys, records)
    if controls.stores_differ:
        frame = frame_of(job.group, ())
    units = [-(-len(one) // WRITE_UNIT) for one in records]
    return Bodies(records, *keys, names, units, frame, calls)


def _text(name: str, kind: FeatureType, column: Any) -> pa.Array:
    """A column as the texts of its values, unescaped."""
    wanted = STORAGE[kind][0]
    if column is None or column.type != wanted:
        message = f"a send file's column {name!r} is {column and column.type}, not {wanted}"
        raise MismatchError(message, "This is a defect: report it")
    if kind is FeatureType.STRING:
        return _checked(name, column)
    return (
        _double_text(name, column)
        if kind is FeatureType.FRACTIONAL
        else pc.cast(column, pa.string())
    )


def _checked(name: str, column: pa.Array) -> pa.Array:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        message = f"a send file's column {name!r} holds text that is not UTF-8"
        raise MismatchError(message, "This is a defect: report it") from None
    return column


def _double_text(name: str, column: pa.Array) -> pa.Array:
    """The encoding's text of a double; the gate let no other than finite ones through."""
    if not pc.all(pc.is_finite(column)).as_py() and column.null_count < len(column):
        message = f"a send file's column {name!r} holds a double that is not finite"
        raise MismatchError(message, "This is a defect: report it")
    return double_text(column)


def _joined(job: SendJob, texts: dict[str, pa.Array], suffixes: pa.Array | None) -> pa.Array:
    names = [job.record_identifier, *(n for n in job.features if n != job.record_identifier)]
    heads = [f'{{"FeatureName":{json.dumps(name)},"ValueAsString":"' for name in names]
    kinds = dict(zip(job.features, job.types, strict=True))
    values = [
        _escaped(texts[name]) if kinds[name] is FeatureType.STRING else texts[name]
        for name in names
    ]
    parts: list[Any] = ["["]
    for place, (head, value) in enumerate(zip(heads, values, strict=True)):
        before = head if place == 0 else "," + head
        if value.null_count:
            piece = pc.binary_join_element_wise(before, value, '"}', "")
            parts.append(pc.fill_null(piece, ""))
        else:
            parts += [before, value, '"}']
    parts += ["]"] if suffixes is None else ["]", suffixes]
    return pc.binary_join_element_wise(*parts, "")


def _escaped(text: pa.Array) -> pa.Array:
    odd = pc.fill_null(pc.match_substring_regex(text, _ESCAPED), fill_value=False)
    if not pc.any(odd).as_py():
        return text
    exact = [json.dumps(one, ensure_ascii=False)[1:-1] for one in text.filter(odd).to_pylist()]
    return pc.replace_with_mask(text, odd, pa.array(exact, pa.string()))


def _views(texts: pa.Array) -> list[memoryview]:
    """Views of an Arrow string array's values; the buffer lives as long as a view does."""
    if not len(texts):
        return []
    _, offsets, data = texts.buffers()
    bounds = memoryview(offsets).cast("i")[texts.offset : texts.offset + len(texts) + 1].tolist()
    whole = memoryview(data)
    return [whole[start:end] for start, end in pairwise(bounds)]

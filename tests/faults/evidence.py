"""Gathers what the checker judges, from files, the journal and the service's own answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from penstock.emulator import journal as journals
from penstock.online.marker import marker_path
from penstock.storage import LocalStorage, Storage
from tests.checker import Dead, Row, Shape, Write

if TYPE_CHECKING:
    from penstock.online.job import SendJob

LOCAL = LocalStorage()
_TOGETHER = 100  # identifiers in a BatchGetRecord


@dataclass(frozen=True)
class Sent:
    """Outcomes of the rows of send files, as the markers tell them."""

    sent: list[Row]
    answered: list[Row]
    dead: list[Dead]
    figures: dict[str, int]


def shape_of(job: SendJob) -> Shape:
    """How records of a job are compared."""
    kinds = {name: kind.value for name, kind in zip(job.features, job.types, strict=True)}
    return Shape(job.record_identifier, job.event_time, kinds)


def of_send_files(job: SendJob, files: Iterable[str], storage: Storage = LOCAL) -> Sent:
    """Read the files, the markers that are there, and the rejects these name."""
    shape, found = shape_of(job), Sent([], [], [], {})
    for file in files:
        rows = [
            shape.row(values, f"{Path(file).name}:{n}", deleted=bool(values.get("_deleted")))
            for n, values in enumerate(_table(storage, file).to_pylist())
        ]
        found.sent.extend(rows)
        for start in range(0, len(rows), job.chunk_rows):
            path = marker_path(job.results, file, start // job.chunk_rows)
            if storage.exists(path):
                _add_chunk(found, json.loads(storage.read(path)), rows, storage)
    return found


def _table(storage: Storage, path: str, columns: list[str] | None = None) -> Any:
    with storage.open_input(path) as source:
        return pq.read_table(source, columns=columns)


def _add_chunk(found: Sent, marker: Mapping[str, Any], rows: list[Row], storage: Storage) -> None:
    for name in ("sent", "accepted", "skipped", "rejected", "repeated", "throttled", "ambiguous"):
        found.figures[name] = found.figures.get(name, 0) + marker.get(name, 0)
    rejects = {}
    if marker["rejects_file"] is not None:
        table = _table(storage, marker["rejects_file"], ["_row", "_code"])
        rejects = {one["_row"]: one["_code"] for one in table.to_pylist()}
    first = marker["first_row"]
    for n in range(first, first + marker["rows"]):
        if n in rejects:
            found.dead.append(Dead(rows[n], rejects[n]))
        else:
            found.answered.append(rows[n])


def journal(data: Path, group: str, after: int = 0) -> list[Write]:
    """The service's journal of one group, from behind its first ``after`` entries."""
    return [
        Write(
            one.identifier,
            one.event_time,
            one.payload_hash,
            one.operation,
            one.applied,
            one.fault,
            one.nanos,
        )
        for one in journals.read(data, after)
        if one.group == group
    ]


def online(runtime: Any, job: SendJob) -> dict[str, Row]:
    """Every online record, by ListRecords and BatchGetRecord of a boto3 client."""
    pages = runtime.get_paginator("list_records").paginate(FeatureGroupName=job.group)
    identifiers = [one for page in pages for one in page["RecordIdentifiers"]]
    found: dict[str, Row] = {}
    for some in _cut(identifiers):
        asked = [{"FeatureGroupName": job.group, "RecordIdentifiersValueAsString": some}]
        answer = runtime.batch_get_record(Identifiers=asked)
        assert not answer["Errors"]
        assert not answer["UnprocessedIdentifiers"]
        for one in answer["Records"]:
            values = {each["FeatureName"]: each["ValueAsString"] for each in one["Record"]}
            found[one["RecordIdentifierValueAsString"]] = shape_of(job).row(values)
    assert found.keys() == set(identifiers)
    return found


def _cut(identifiers: list[str]) -> Iterable[list[str]]:
    starts = range(0, len(identifiers), _TOGETHER)
    return [identifiers[start : start + _TOGETHER] for start in starts]

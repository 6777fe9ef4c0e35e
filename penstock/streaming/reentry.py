"""Events that a stream's source gate put aside, through the gates of today.

The quarantine keeps them as they came, so a mended contract, schema or mapping is asked anew: the
very functions that make rows of a stream's events make rows of these. What comes out are rows of
the feature group, which go to both stores as those of any replay do.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.aside import ORIGIN, ORIGIN_TYPE, event_of
from penstock.contract import Pipeline
from penstock.run.context import Context
from penstock.run.payload import Judged, gated, joined
from penstock.run.places import state_folder
from penstock.stage.report import Report, check_files
from penstock.streaming.admission import messages_for, others_of, stream_of
from penstock.streaming.messages import HEADERS, Messages
from penstock.streaming.rows import Rows
from penstock.streaming.steps import kind_of

_WINDOWS = "its stream keeps windows of time, and an event alone is one of many of a window"
_HEADER = pa.struct([("key", pa.string()), ("value", pa.binary())])
_AT = pa.timestamp("us", "UTC")
_EVENTS = pa.schema(
    [
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("file", pa.string()),
        ("position", pa.int64()),
        ("topic", pa.string()),
        ("timestamp", _AT),
        (HEADERS, pa.list_(_HEADER)),
    ]
)


class EventReentry:
    """How events of a group's stream go through the gates again.

    Args:
        context: The surroundings.
        pipeline: Whose events.
    """

    def __init__(self, context: Context, pipeline: Pipeline) -> None:
        self._context, self._pipeline = context, pipeline

    @functools.cached_property
    def problem(self) -> str | None:
        """Why they cannot go by themselves; None where they can.

        Raises:
            UsageError: ``conf`` says nothing of a stream, or a step of the transform cannot stream.
        """
        with self._work() as work:
            kind = kind_of(self._context.spark, self._pipeline, work.streamed, work.rows.others)
        return _WINDOWS if kind == "windows" else None

    def judged(self, entries: Sequence[Mapping[str, Any]], latest: datetime) -> Judged:
        """Put entries through both gates and the transform.

        Args:
            entries: ``row_key``, ``payload`` and ``event``.
            latest: Event times after this aware instant are unfit.

        Raises:
            ContractError: The transform's output lacks a feature.
            MismatchError: A row was lost on the way.
        """
        with self._work() as work:
            found = work.judged(entries, latest)
            if found is not None:
                return found
            # Rows that do not say where they are from tell it by coming alone.
            return joined([work.alone(one, latest) for one in entries])

    @contextmanager
    def _work(self) -> Iterator[_Work]:
        context, pipeline, run = self._context, self._pipeline, uuid.uuid4().hex[:12]
        name = pipeline.group.name
        folder = f"{state_folder(context.settings)}/replays/{name}/events-{run}"
        stream, streamed = stream_of(context, pipeline)
        try:
            others = others_of(context, pipeline, streamed, f"{folder}/others", run, enter=False)
            storage = context.storage
            rows = Rows(context.spark, pipeline, streamed, others, f"{folder}/rows", storage)
            messages = messages_for(context, stream, pipeline.sources[streamed])
            yield _Work(context, pipeline, streamed, messages, rows)
        finally:
            context.storage.remove(folder)


@dataclass(frozen=True)
class _Work:
    """What the events of one look go through."""

    context: Context
    pipeline: Pipeline
    streamed: str
    messages: Messages
    rows: Rows

    def judged(self, entries: Sequence[Mapping[str, Any]], latest: datetime) -> Judged | None:
        """All together; None where the transform's rows do not say which event they are of."""
        found = self._source(entries)
        made = self._made(found)
        if made is not None and not _says(made):
            return None
        return self._told(entries, found, made, latest)

    def alone(self, entry: Mapping[str, Any], latest: datetime) -> Judged:
        """One by itself."""
        found = self._source([entry])
        made = self._made(found)
        if made is not None and not _says(made):
            made = made.drop_columns([ORIGIN]) if ORIGIN in made.column_names else made
            own = {"file": entry["row_key"], "position": None}
            made = made.append_column(ORIGIN, pa.array([own] * made.num_rows, ORIGIN_TYPE))
        return self._told([entry], found, made, latest)

    def _source(self, entries: Sequence[Mapping[str, Any]]) -> Report:
        """Through the source gate."""
        found = self.rows.gate(self.messages.rows(_events(entries)))
        what = f"{self.pipeline.group.name}: source {self.streamed}"
        check_files(what, found, self.context.storage)
        return found

    def _made(self, found: Report) -> pa.Table | None:
        return self.rows.transformed(found) if found.fit else None

    def _told(
        self,
        entries: Sequence[Mapping[str, Any]],
        found: Report,
        made: pa.Table | None,
        latest: datetime,
    ) -> Judged:
        batches = [] if made is None else made.to_batches()
        judged = gated(batches, self.pipeline.group, latest)
        unfit = {**self._bad(found), **judged.unfit}
        met = {*unfit, *judged.rows.column("row_key").to_pylist()}
        gone = [one["row_key"] for one in entries if one["row_key"] not in met]
        return Judged(judged.rows, unfit, tuple(gone))

    def _bad(self, found: Report) -> dict[str, str]:
        """Rule of each event that the source gate puts aside again."""
        rules: dict[str, str] = {}
        for one in found.bad:
            with self.context.storage.open_input(one.path) as opened:
                table = pq.read_table(opened, columns=["file", "rule"])
            rules |= {row["file"]: row["rule"] for row in table.to_pylist()}
            self.context.storage.delete(one.path)
        return rules


def _says(made: pa.Table) -> bool:
    """Whether each row says where it is from."""
    if ORIGIN not in made.column_names:
        return False
    return bool(pc.struct_field(made.column(ORIGIN), "file").null_count == 0)


def _events(entries: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """Events as a stream gives them; each is from a file that has its entry's key for a name."""
    told = [event_of(one) for one in entries]
    columns: dict[str, list[Any]] = {
        name: [one[name] for one in told] for name in ("key", "value", "topic", HEADERS)
    }
    columns["file"] = [one["row_key"] for one in entries]
    columns["position"] = [None] * len(told)
    at = pa.array([one["at"] for one in told], pa.int64()).cast(_AT)
    arrays = [
        at if field.name == "timestamp" else pa.array(columns[field.name], field.type)
        for field in _EVENTS
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=_EVENTS)

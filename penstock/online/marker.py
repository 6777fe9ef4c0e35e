"""Markers and rejects of finished chunks: the only truth about what reached the online store.

A marker exists only after every row of its chunk has its outcome and the rejects it names are
durable. It is put if absent, so the first attempt to finish a chunk speaks for all; rejects files
are named by their content, so a second attempt cannot replace what the first one's marker refers
to.
"""

from __future__ import annotations

import hashlib
import json
import re
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.errors import MismatchError, TemporaryError
from penstock.online.job import Figures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.online.job import SendJob
    from penstock.online.parcel import Chunk, Reject
    from penstock.storage import Storage

WRITERS = 4
BACKLOG = 32  # finished chunks not yet written; each holds its rejected rows only
MAX_MESSAGE = 256

#: Columns beside the features'. Features cannot begin with an underscore (contract), so none clash.
REJECT_COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    ("_row", pa.int64()),  # index in the send file
    ("_identifier_hash", pa.string()),  # SHA-256, hex
    ("_event_time", pa.string()),
    ("_class", pa.string()),
    ("_code", pa.string()),
    ("_message", pa.string()),  # without values
    ("_attempts", pa.int64()),
    ("_first_utc", pa.timestamp("us", "UTC")),
    ("_last_utc", pa.timestamp("us", "UTC")),
)


def stem_of(path: str) -> str:
    """Name of a staged file without folder and ``.parquet``."""
    return path.rsplit("/", 1)[-1].removesuffix(".parquet")


def marker_path(results: str, file: str, chunk: int) -> str:
    """Where a chunk's marker lies."""
    return f"{results.rstrip('/')}/{stem_of(file)}-{chunk:06d}.json"


class Markers:
    """Writes markers on a few threads of its own; a :class:`penstock.online.sender.Sink`.

    Args:
        job: For the results folder and the feature names.
        file: The send file.
        storage: Where results lie.
    """

    def __init__(self, job: SendJob, file: str, storage: Storage) -> None:
        self._job, self._file, self._storage = job, file, storage
        self._pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="penstock-marker")
        self._pending: list[Future[None]] = []
        self.figures = Figures()
        self.chunks = 0

    def put(self, chunk: Chunk, seconds: float) -> None:
        """Write the chunk's rejects, then its marker, in the background."""
        _check(chunk, self._file)
        self.figures.add(chunk.figures)
        self.chunks += 1
        rejects = _table(chunk, self._job) if chunk.rejects else None
        marker = {
            "file": stem_of(self._file),
            "chunk": chunk.index,
            "first_row": chunk.first_row,
            "rows": chunk.rows.num_rows,
            "seconds": round(seconds, 6),
            **asdict(chunk.figures),
        }
        self._pending.append(self._pool.submit(self._write, marker, rejects))

    @property
    def full(self) -> bool:
        """Whether more than BACKLOG chunks wait; raises what writing one raised."""
        waiting = []
        for one in self._pending:
            if one.done():
                one.result()
            else:
                waiting.append(one)
        self._pending = waiting
        return len(waiting) >= BACKLOG

    def close(self) -> None:
        """Wait for all that was put; raises what writing one raised."""
        self._pool.shutdown(wait=True)
        for one in self._pending:
            one.result()

    def _write(self, marker: dict[str, Any], rejects: pa.Table | None) -> None:
        try:
            self._write_both(marker, rejects)
        except OSError as error:
            message = f"results of {stem_of(self._file)} could not be written: {error.strerror}"
            raise TemporaryError(message, "Make room, then run the same command again") from error

    def _write_both(self, marker: dict[str, Any], rejects: pa.Table | None) -> None:
        path = marker_path(self._job.results, self._file, marker["chunk"])
        marker["rejects_file"] = None
        if rejects is not None:
            data = _parquet(rejects)
            name = hashlib.sha256(data).hexdigest()[:12]
            marker["rejects_file"] = f"{path.removesuffix('.json')}-{name}-rejects.parquet"
            self._storage.put_if_absent(marker["rejects_file"], data)
        self._storage.put_if_absent(path, json.dumps(marker, sort_keys=True).encode())


def marked(file: str, names: Iterable[str]) -> set[int]:
    """Chunks of ``file`` that have a marker among ``names``, the paths in the results folder."""
    pattern = re.compile(re.escape(stem_of(file)) + r"-(\d{6,})\.json")
    found = (pattern.fullmatch(name.rsplit("/", 1)[-1]) for name in names)
    return {int(match[1]) for match in found if match}


def _check(chunk: Chunk, file: str) -> None:
    figures = chunk.figures
    rows = (chunk.rows.num_rows, figures.sent, figures.settled)
    if len(set(rows)) != 1 or figures.rejected != len(chunk.rejects):
        message = f"{stem_of(file)}, chunk {chunk.index}: rows, sent and answered are {rows}"
        raise MismatchError(message, "This is a defect: report it")


def _table(chunk: Chunk, job: SendJob) -> pa.Table:
    rejects = sorted(chunk.rejects, key=lambda one: one.row)
    payload = chunk.rows.take(pa.array([one.row for one in rejects]))
    facts = [_facts(chunk, job, one) for one in rejects]
    columns = {
        name: pa.array([each[place] for each in facts], kind)
        for place, (name, kind) in enumerate(REJECT_COLUMNS)
    }
    columns.update({name: payload.column(name) for name in payload.schema.names})
    return pa.table(columns)


def _facts(chunk: Chunk, job: SendJob, reject: Reject) -> tuple[Any, ...]:
    identifier, event_time = chunk.bodies.key(reject.row)
    values = [str(chunk.rows.column(name)[reject.row].as_py()) for name in job.features]
    return (
        chunk.first_row + reject.row,
        hashlib.sha256(identifier.encode()).hexdigest(),
        event_time,
        reject.verdict.outcome.value,
        reject.verdict.code,
        scrubbed(reject.verdict.message, [*values, identifier], {job.group, *job.features}),
        reject.attempts,
        _utc(reject.first),
        _utc(reject.last),
    )


def scrubbed(message: str, values: Iterable[str], names: set[str]) -> str:
    """A message without feature values, on one line, 256 characters at most.

    What stands in quotes or brackets goes unless it is the name of a feature or of the group; so
    does every value of the row that stands as a word of its own.
    """

    def kept(match: re.Match[str]) -> str:
        return match[0] if match[0][1:-1] in names else f"{match[0][0]}…{match[0][-1]}"

    text = re.sub(r"\[[^\]]*\]|\"[^\"]*\"|'[^']*'|`[^`]*`|\{[^}]*\}", kept, message)
    for value in sorted({one for one in values if one} - names, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", text)
    return " ".join(text.split())[:MAX_MESSAGE]


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=timezone.utc)


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data

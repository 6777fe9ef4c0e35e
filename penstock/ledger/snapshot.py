"""A snapshot: the events of a group's finished windows, in one file that never changes.

A window is finished where its newest generation is DONE; after that only the folder of a later
generation is ever written, so whatever lies in the folders of those in the snapshot is ignored.
Snapshots are numbered. The number's record is put if absent, once the Parquet file it names is
durable, and has the file's hash; the newest number counts. The file has the events as they were
written, so a journal that is read from it is checked like any other.

First come the *heads*, the newest event of each window, by name; then all other events. Both in row
groups of their own, so that ``status`` reads heads alone and one window's events are found by the
row groups' statistics.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.errors import MismatchError
from penstock.ledger.journal import Journal, State, is_event, sealed, unsealed
from penstock.storage import Storage

ROWS = 4_096  # of a row group: some MB to read for one window's events
SCHEMA = pa.schema(
    [
        ("window", pa.string()),
        ("generation", pa.int32()),
        ("number", pa.int32()),
        ("state", pa.string()),
        ("at", pa.string()),
        ("text", pa.string()),  # the event as it was stored
        ("last", pa.bool_()),  # whether it is the window's head
        # Of heads, from their text, for whoever reads a hundred thousand of them:
        ("data", pa.string()),  # JSON of what the event carries
        ("meaning", pa.string()),
        ("mode", pa.string()),
        ("pins", pa.string()),  # JSON
    ]
)
#: Columns of few different values; the others' are all different.
DICTIONARIES = ("state", "meaning", "mode", "pins")
_DAMAGED = "Restore the file; the ledger's page in docs says what else can be done"


@dataclass(frozen=True)
class Snapshot:
    """One snapshot of a group.

    Args:
        storage: Where it lies.
        folder: Folder of the group's snapshots.
        number: From 1; 0 is the one before the first compaction, with nothing in it.
        file: Path of the Parquet file.
        digest: Its SHA-256, hex.
        windows: How many windows are in it.
        events: How many events.
    """

    storage: Storage
    folder: str
    number: int = 0
    file: str = ""
    digest: str = ""
    windows: int = 0
    events: int = 0

    def heads(self, columns: Sequence[str] = SCHEMA.names) -> pa.Table:
        """The newest event of each window, by name.

        Raises:
            MismatchError: The file is damaged.
            FileNotFoundError: A newer snapshot has taken its place meanwhile.
        """
        found = self._read(columns, _of("last", least=True))
        if found.num_rows != self.windows:
            raise MismatchError(f"{self.file}: {found.num_rows} windows are in it", _DAMAGED)
        return found

    def generations(self) -> dict[str, int]:
        """Every window in it and its newest generation; raises as :meth:`heads` does."""
        columns = self.heads(["window", "generation"]).columns
        return dict(zip(*(one.to_pylist() for one in columns), strict=True))

    def generation(self, window: str) -> int:
        """Number of a window's newest generation in it; -1 where it is not in it."""
        numbers = self._of(window, ("window", "generation")).column("generation").to_pylist()
        return max(numbers, default=-1)

    def journals(self, window: str, folder: Callable[[int], str]) -> dict[int, Journal]:
        """A window's journals by generation, each checked; ``folder`` says where each lay."""
        rows = self._of(window, ("window", "generation", "number", "text"))
        rows = rows.sort_by([("generation", "ascending"), ("number", "ascending")])
        return chained(self.storage, self.file, rows.to_pylist(), folder)

    def tables(self) -> Iterator[pa.Table]:
        """All rows, a row group at a time."""
        if self.number:
            with self._opened() as file:
                for n in range(file.num_row_groups):
                    yield file.read_row_group(n)

    def check_hash(self) -> None:
        """Raise MismatchError where the file is not the one that was written."""
        if self.number and hashlib.sha256(self.storage.read(self.file)).hexdigest() != self.digest:
            raise MismatchError(f"{self.file}: not what was written", _DAMAGED)

    def _of(self, window: str, columns: Sequence[str]) -> pa.Table:
        found = self._read(columns, _of("window", least=window))
        return found.filter(pc.equal(found.column("window"), window))

    def _read(self, columns: Sequence[str], fits: Callable[[Any], bool]) -> pa.Table:
        if not self.number:
            return SCHEMA.empty_table().select(list(columns))
        with self._opened() as file:
            groups = [n for n in range(file.num_row_groups) if fits(file.metadata.row_group(n))]
            if file.metadata.num_rows != self.events:
                message = f"{self.file}: {file.metadata.num_rows} events are in it"
                raise MismatchError(message, _DAMAGED)
            return file.read_row_groups(groups, columns=list(columns))

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        try:
            with self.storage.open_input(self.file) as opened:
                yield pq.ParquetFile(opened, pre_buffer=True, page_checksum_verification=True)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError, KeyError) as error:
            raise MismatchError(f"{self.file}: cannot be read: {error}", _DAMAGED) from error


def newest(storage: Storage, folder: str) -> Snapshot:
    """The snapshot that counts.

    Raises:
        MismatchError: Its record is damaged.
    """
    while True:
        numbers = [path for path in storage.list(folder) if is_event(path)]
        if not numbers:
            return Snapshot(storage, folder)
        try:
            data = storage.read(numbers[-1])
        except FileNotFoundError:  # a newer one has taken its place meanwhile
            continue
        record = unsealed(numbers[-1], data)
        if record["number"] != int(numbers[-1].rsplit("/", 1)[-1][:-5]):
            raise MismatchError(f"{numbers[-1]}: is snapshot {record['number']}", _DAMAGED)
        return Snapshot(storage, folder, **{**record, "file": f"{folder}/{record['file']}"})


def put(before: Snapshot, heads: pa.Table, rest: Iterable[pa.Table]) -> Snapshot | None:
    """Write the snapshot after ``before``; None where another one has its number already.

    Args:
        before: The newest one.
        heads: All heads, by window.
        rest: All other events; those of a window best together.
    """
    data, events = _parquet(heads, rest)
    digest = hashlib.sha256(data).hexdigest()
    number = before.number + 1
    name = f"{number:06d}-{digest[:16]}.parquet"
    found = Snapshot(
        before.storage,
        before.folder,
        number,
        f"{before.folder}/{name}",
        digest,
        heads.num_rows,
        events,
    )
    before.storage.put_if_absent(found.file, data)
    record = {
        "number": number,
        "file": name,
        "digest": digest,
        "windows": found.windows,
        "events": events,
    }
    path = f"{before.folder}/{number:06d}.json"
    return found if before.storage.put_if_absent(path, sealed(record)) else None


def chained(
    storage: Storage, file: str, rows: Sequence[Any], folder: Callable[[int], str]
) -> dict[int, Journal]:
    """Journals of one window's rows, in order of generation and number, each checked.

    Raises:
        MismatchError: An event is not what was written, or one is missing.
    """
    found: dict[int, Journal] = {}
    for row in rows:
        number = row["generation"]
        journal = found.setdefault(number, Journal(storage, folder(number)))
        name = f"{file}: {row['window']}, generation {number}, event {row['number']}"
        journal.take([(name, row["text"].encode())])
    if found and found[max(found)].state is not State.DONE:
        raise MismatchError(f"{file}: {rows[0]['window']} does not end in DONE", _DAMAGED)
    return found


def rows_of(window: str, generation: int, journal: Journal, texts: Sequence[bytes]) -> list[Any]:
    """Events of one generation as rows of :data:`SCHEMA`, none of them a head; texts as stored."""
    return [
        {
            "window": window,
            "generation": generation,
            "number": event.number,
            "state": event.state.value,
            "at": event.at,
            "text": text.decode(),
            "last": False,
        }
        for event, text in zip(journal.events, texts, strict=True)
    ]


def head_of(row: Any) -> Any:
    """An event's row as its window's head."""
    data = json.loads(row["text"])["data"]
    said = {name: data.get(name) for name in ("meaning", "mode")}
    pins = json.dumps(data.get("pins"))
    return row | said | {"last": True, "data": json.dumps(data), "pins": pins}


def _of(column: str, *, least: Any) -> Callable[[Any], bool]:
    """Whether a row group may have rows with a value, by its statistics."""
    place = SCHEMA.get_field_index(column)

    def fits(group: Any) -> bool:
        found = group.column(place).statistics
        return found is None or bool(found.min <= least <= found.max)

    return fits


def _parquet(heads: pa.Table, rest: Iterable[pa.Table]) -> tuple[bytes, int]:
    sink, events = pa.BufferOutputStream(), heads.num_rows
    with pq.ParquetWriter(
        sink, SCHEMA, compression="zstd", write_page_checksum=True, use_dictionary=DICTIONARIES
    ) as writer:
        writer.write_table(heads, row_group_size=ROWS)
        for table in _pieces(rest):
            writer.write_table(table, row_group_size=ROWS)
            events += table.num_rows
    data: bytes = sink.getvalue().to_pybytes()
    return data, events


def _pieces(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of at least :data:`ROWS`, but for the last one."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(one.num_rows for one in held) >= ROWS:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)

"""Entries of a Hive table's log: what each changes, and what the table is after them.

An entry is one JSON object. It names a file by where it was written, below ``staged/``, and by
where readers find it, below ``data/``. What the table is after an entry is a value, and so is what
a snapshot keeps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from penstock.entries import Commit, Part, Transaction
from penstock.errors import ContractError, UsageError

FORMAT = 1
STAGED = "staged"
_TYPES = {
    str(one): one
    for one in (
        pa.string(),
        pa.int64(),
        pa.float64(),
        pa.bool_(),
        pa.timestamp("us", "UTC"),
        pa.int32(),
        pa.float32(),
        pa.date32(),
        pa.binary(),
    )
}


@dataclass(frozen=True)
class File:
    """A Parquet file of the table.

    Args:
        staged: Where it was written, relative to the table's folder.
        size: Bytes.
        rows: Of it.
        written: Bounds of its ``write_time`` to the millisecond, rounded outward; None: unknown.
    """

    staged: str
    size: int
    rows: int
    written: tuple[str, str] | None = None


@dataclass(frozen=True)
class Noted:
    """What is kept of an application's newest append.

    Args:
        generation: Of the transaction.
        rows: Rows added.
        present: Rows left out because the table had them already.
        version: Of the table.
        before: Version of the application's append before this one; None: it is the first.
    """

    generation: int
    rows: int
    present: int
    version: int
    before: int | None

    @property
    def commit(self) -> Commit:
        """As :meth:`TableLog.find <penstock.offline.log.TableLog.find>` answers."""
        return Commit(self.rows, self.present, self.version)


@dataclass(frozen=True)
class Entry:
    """One change of the table.

    Args:
        add: Files by name relative to ``data/``.
        remove: Names of files that are no longer of the table.
        schema: All columns from now on; None: as before.
        transaction: Name of the append.
        before: See :class:`Noted`.
        present: Is noted with the transaction.
    """

    add: Mapping[str, File] = field(default_factory=dict)
    remove: Sequence[str] = ()
    schema: pa.Schema | None = None
    transaction: Transaction | None = None
    before: int | None = None
    present: int = 0

    @property
    def rows(self) -> int:
        """Of the files it adds."""
        return sum(one.rows for one in self.add.values())

    def noted(self, version: int) -> Noted | None:
        """What is kept of it as this version; None where it has no transaction."""
        if self.transaction is None:
            return None
        generation = self.transaction.version
        return Noted(generation, self.rows, self.present, version, self.before)

    def data(self) -> bytes:
        """As an object holds it."""
        named = self.transaction
        made = {
            "format": FORMAT,
            "transaction": named
            and {"application": named.application, "generation": named.version},
            "before": self.before,
            "rows": self.rows,
            "present": self.present,
            "add": _plain(self.add),
            "remove": list(self.remove),
            "schema": None if self.schema is None else _columns(self.schema),
        }
        return json.dumps(made).encode()

    @staticmethod
    def read(data: bytes, path: str) -> Entry:
        """The reverse of :meth:`data`.

        Raises:
            UsageError: A later version of penstock wrote it.
        """
        made = _known(data, path)
        named = made["transaction"]
        return Entry(
            _files(made["add"]),
            made["remove"],
            None if made["schema"] is None else _schema(made["schema"]),
            named and Transaction(named["application"], named["generation"]),
            made["before"],
            made["present"],
        )


@dataclass(frozen=True)
class State:
    """What the table is after an entry.

    Args:
        last: Number of that entry; -1: there is no table.
        schema: Its columns.
        files: By name relative to ``data/``.
        commits: By application.
    """

    last: int = -1
    schema: pa.Schema = field(default_factory=lambda: pa.schema([]))
    files: Mapping[str, File] = field(default_factory=dict)
    commits: Mapping[str, Noted] = field(default_factory=dict)

    @property
    def version(self) -> int | None:
        """None where there is no table."""
        return self.last if self.last >= 0 else None

    def has(self, transaction: Transaction) -> bool:
        """Whether it was committed, or one after it."""
        noted = self.commits.get(transaction.application)
        return noted is not None and noted.generation >= transaction.version

    def after(self, entries: Sequence[Entry]) -> State:
        """The table after those that follow."""
        schema, files, commits = self.schema, dict(self.files), dict(self.commits)
        for number, one in enumerate(entries, self.last + 1):
            schema = schema if one.schema is None else one.schema
            files |= one.add
            for name in one.remove:
                del files[name]
            noted = one.noted(number)
            if one.transaction is not None and noted is not None:
                commits[one.transaction.application] = noted
        return State(self.last + len(entries), schema, files, commits)

    def data(self) -> bytes:
        """As a snapshot holds it."""
        made = {
            "format": FORMAT,
            "last": self.last,
            "schema": _columns(self.schema),
            "files": _plain(self.files),
            "commits": {name: asdict(one) for name, one in self.commits.items()},
        }
        return json.dumps(made).encode()

    @staticmethod
    def read(data: bytes, path: str) -> State:
        """The reverse of :meth:`data`; raises as :meth:`Entry.read`."""
        made = _known(data, path)
        commits = {name: Noted(**one) for name, one in made["commits"].items()}
        return State(made["last"], _schema(made["schema"]), _files(made["files"]), commits)


def added(parts: Sequence[Part]) -> dict[str, File]:
    """Files that tasks have written, by the names readers find them under.

    Raises:
        UsageError: One was written elsewhere than below ``staged/``.
    """
    return {_final(one.name): _file(one) for one in parts}


def widened(path: str, there: pa.Schema, wanted: pa.Schema) -> pa.Schema:
    """The columns that are there, then those that are wanted and are not.

    Raises:
        ContractError: One is there with another type, or has a type no table has.
    """
    fields = list(there)
    for one in wanted:
        place = there.get_field_index(one.name)
        if place >= 0 and there.field(place).type != one.type:
            was = there.field(place).type
            message = f"{path}: column {one.name!r} is {was}, not {one.type}"
            raise ContractError(message, "A type cannot change: give the feature another name")
        if str(one.type) not in _TYPES:
            message = f"{path}: column {one.name!r} is {one.type}, which no Hive table has here"
            raise ContractError(message, f"Use one of {', '.join(_TYPES)}")
        if place < 0:
            fields.append(pa.field(one.name, one.type))
    return pa.schema(fields)


def _file(part: Part) -> File:
    known = json.loads(part.statistics)
    bounds = [known.get(one, {}).get("write_time") for one in ("minValues", "maxValues")]
    written = None if None in bounds else (bounds[0], bounds[1])
    return File(part.name, part.size, known["numRecords"], written)


def _final(staged: str) -> str:
    """What comes after ``staged/`` and the folder of whoever wrote it."""
    folder, _, rest = staged.partition("/")
    _, _, name = rest.partition("/")
    if folder != STAGED or not name:
        message = f"{staged}: was not written below {STAGED}/"
        raise UsageError(message, "Write with the layout of the table's log")
    return name


def _plain(files: Mapping[str, File]) -> dict[str, Any]:
    return {name: asdict(one) for name, one in files.items()}


def _files(plain: Mapping[str, Any]) -> dict[str, File]:
    return {
        name: File(**one | {"written": one["written"] and tuple(one["written"])})
        for name, one in plain.items()
    }


def _columns(schema: pa.Schema) -> list[list[str]]:
    return [[one.name, str(one.type)] for one in schema]


def _schema(columns: Sequence[Sequence[str]]) -> pa.Schema:
    return pa.schema([(name, _TYPES[kind]) for name, kind in columns])


def _known(data: bytes, path: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(data)
    if made["format"] != FORMAT:
        message = f"{path}: has format {made['format']}, which this version does not read"
        raise UsageError(message, "Use the version of penstock that wrote it")
    return made

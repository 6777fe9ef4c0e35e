"""The Glue Data Catalog: databases, tables with a version as optimistic lock, partitions.

Names are kept in lower case, as Glue does. An UpdateTable with a VersionId that is not the current
one is refused with ConcurrentModificationException. Partition filters: ``key = 'value'`` joined
by AND.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from penstock.emulator import pages
from penstock.emulator.groups import ACCOUNT
from penstock.emulator.refusal import Refusal
from penstock.emulator.services import Call

_CODE = "InvalidInputException"
_EQUALS = re.compile(r"\s*\(?\s*([A-Za-z_]\w*)\s*=\s*(?:'([^']*)'|(\d+))\s*\)?\s*")


class Catalog:
    """Handlers by operation.

    Args:
        connection: Of the database; calls belong inside a transaction.
        clock: Epoch seconds.
    """

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self._run = connection.execute
        self._clock = clock
        self.writes: Mapping[str, Callable[[Call], Any]] = {
            "CreateDatabase": self._create_database,
            "CreateTable": self._create_table,
            "UpdateTable": self._update_table,
            "DeleteTable": self._delete_table,
            "BatchCreatePartition": self._create_partitions,
        }
        self.reads: Mapping[str, Callable[[Call], Any]] = {
            "GetDatabase": self._get_database,
            "GetDatabases": self._get_databases,
            "GetTable": self._get_table,
            "GetTables": self._get_tables,
            "GetPartitions": self._get_partitions,
        }

    def add_database(self, sent: dict[str, Any]) -> bool:
        """Make a database from a DatabaseInput; False when there is one of its name."""
        name = sent["Name"].lower()
        document = sent | {"Name": name, "CreateTime": self._clock(), "CatalogId": ACCOUNT}
        added = self._run(
            "INSERT OR IGNORE INTO glue_database VALUES (?, ?)", (name, json.dumps(document))
        )
        return bool(added.rowcount)

    def add_table(self, database: str, sent: dict[str, Any]) -> bool:
        """Make a table from a TableInput; False when there is one of its name."""
        now = self._clock()
        document = sent | {
            "DatabaseName": database,
            "CatalogId": ACCOUNT,
            "CreateTime": now,
            "UpdateTime": now,
            "IsRegisteredWithLakeFormation": False,
        }
        added = self._run(
            "INSERT OR IGNORE INTO glue_table VALUES (?, ?, 0, ?)",
            (database, sent["Name"], json.dumps(document)),
        )
        return bool(added.rowcount)

    def has_table(self, database: str, name: str) -> bool:
        """Whether there is a table of this name."""
        query = "SELECT 1 FROM glue_table WHERE database=? AND name=?"
        return self._run(query, (database, name)).fetchone() is not None

    def change_table(self, database: str, name: str, change: dict[str, Any]) -> None:
        """Replace members of a table; it gets the next version."""
        document = self._table(database, name) | change | {"UpdateTime": self._clock()}
        document.pop("VersionId", None)
        self._run(
            "UPDATE glue_table SET version=version+1, document=? WHERE database=? AND name=?",
            (json.dumps(document), database, name),
        )

    def table(self, database: str, name: str) -> dict[str, Any] | None:
        """A table as it is described, None where there is none."""
        return self._table(database, name) if self.has_table(database, name) else None

    def add_partition(self, table: dict[str, Any], sent: dict[str, Any]) -> bool:
        """Register a partition of a described table; False when it is there."""
        database, name = table["DatabaseName"], table["Name"]
        head = {"DatabaseName": database, "TableName": name, "CatalogId": ACCOUNT}
        document = sent | head | {"CreationTime": self._clock()}
        added = self._run(
            "INSERT OR IGNORE INTO glue_partition VALUES (?, ?, ?, ?)",
            (database, name, json.dumps(sent["Values"]), json.dumps(document)),
        )
        return bool(added.rowcount)

    def _create_database(self, call: Call) -> dict[str, Any]:
        if not self.add_database(call.parameters["DatabaseInput"]):
            raise Refusal("AlreadyExistsException", "Database already exists.")
        return {}

    def _get_database(self, call: Call) -> dict[str, Any]:
        return {"Database": self._database(call.parameters["Name"].lower())}

    def _get_databases(self, call: Call) -> dict[str, Any]:
        rows = self._run("SELECT name, document FROM glue_database ORDER BY name").fetchall()
        page, more = _page([name for name, _ in rows], "databases", call.parameters)
        documents = dict(rows)
        return {"DatabaseList": [json.loads(documents[name]) for name in page]} | more

    def _create_table(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        database = self._database(given["DatabaseName"].lower())["Name"]
        if not self.add_table(database, _table_input(given)):
            raise Refusal("AlreadyExistsException", "Table already exists.")
        return {}

    def _get_table(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        return {"Table": self._table(given["DatabaseName"].lower(), given["Name"].lower())}

    def _get_tables(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        database = self._database(given["DatabaseName"].lower())["Name"]
        rows = self._run("SELECT name FROM glue_table WHERE database=? ORDER BY name", (database,))
        try:
            pattern = re.compile(given.get("Expression") or ".*")
        except re.error:
            raise Refusal(_CODE, "Expression is not a regular expression.") from None
        names = [name for (name,) in rows if pattern.fullmatch(name)]
        page, more = _page(names, f"tables {database}", given)
        return {"TableList": [self._table(database, name) for name in page]} | more

    def _update_table(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        sent = _table_input(given)
        current = self._table(given["DatabaseName"].lower(), sent["Name"])
        version = given.get("VersionId")
        if version is not None and not version.isdecimal():
            raise Refusal(_CODE, "VersionId must be a number.")
        if version is not None and version != current["VersionId"]:
            text = "Update table failed due to concurrent modifications."
            raise Refusal("ConcurrentModificationException", text)
        kept = ("DatabaseName", "CatalogId", "CreateTime", "IsRegisteredWithLakeFormation")
        document = sent | {key: current[key] for key in kept} | {"UpdateTime": self._clock()}
        self._run(
            "UPDATE glue_table SET version=version+1, document=? WHERE database=? AND name=?",
            (json.dumps(document), current["DatabaseName"], sent["Name"]),
        )
        return {}

    def _delete_table(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        table = self._table(given["DatabaseName"].lower(), given["Name"].lower())
        key = (table["DatabaseName"], table["Name"])
        self._run("DELETE FROM glue_partition WHERE database=? AND name=?", key)
        self._run("DELETE FROM glue_table WHERE database=? AND name=?", key)
        return {}

    def _create_partitions(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        table = self._table(given["DatabaseName"].lower(), given["TableName"].lower())
        errors = []
        for sent in given["PartitionInputList"]:
            problem = self._create_partition(table, sent)
            if problem is not None:
                detail = {"ErrorCode": problem.code, "ErrorMessage": problem.message}
                errors.append({"PartitionValues": sent.get("Values") or [], "ErrorDetail": detail})
        return {"Errors": errors}

    def _create_partition(self, table: dict[str, Any], sent: dict[str, Any]) -> Refusal | None:
        values = sent.get("Values") or []
        if len(values) != len(table.get("PartitionKeys") or []):
            text = "The number of partition keys do not match the number of partition values"
            return Refusal(_CODE, text)
        if self.add_partition(table, sent | {"Values": values}):
            return None
        return Refusal("AlreadyExistsException", "Partition already exists.")

    def _get_partitions(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        table = self._table(given["DatabaseName"].lower(), given["TableName"].lower())
        keys = [key["Name"].lower() for key in table.get("PartitionKeys") or []]
        wanted = _equalities(given.get("Expression"), keys)
        rows = self._run(
            "SELECT keys, document FROM glue_partition WHERE database=? AND name=? ORDER BY keys",
            (table["DatabaseName"], table["Name"]),
        ).fetchall()
        found = {
            text: document
            for text, document in rows
            if wanted.items() <= dict(zip(keys, json.loads(text), strict=True)).items()
        }
        page, more = _page(list(found), f"partitions {table['Name']}", given)
        return {"Partitions": [json.loads(found[text]) for text in page]} | more

    def _database(self, name: str) -> dict[str, Any]:
        row = self._run("SELECT document FROM glue_database WHERE name=?", (name,)).fetchone()
        if row is None:
            raise Refusal("EntityNotFoundException", f"Database {name} not found.")
        document: dict[str, Any] = json.loads(row[0])
        return document

    def _table(self, database: str, name: str) -> dict[str, Any]:
        self._database(database)
        row = self._run(
            "SELECT version, document FROM glue_table WHERE database=? AND name=?", (database, name)
        ).fetchone()
        if row is None:
            raise Refusal("EntityNotFoundException", f"Entity Not Found: table {name}")
        return dict(json.loads(row[1])) | {"VersionId": str(row[0])}


def _table_input(given: dict[str, Any]) -> dict[str, Any]:
    """TableInput with its name in lower case; open-table-format input is not supported."""
    sent = given.get("TableInput")
    if sent is None:
        raise Refusal(_CODE, "The embedded AWS needs a TableInput.")
    return dict(sent) | {"Name": sent["Name"].lower()}


def _equalities(expression: str | None, keys: list[str]) -> dict[str, str]:
    wanted: dict[str, str] = {}
    for part in re.split(r"(?i)\sand\s", expression) if expression else []:
        match = _EQUALS.fullmatch(part)
        if match is None or match[1].lower() not in keys:
            raise Refusal(
                _CODE, "The embedded AWS filters partitions by key = 'value' AND ... only."
            )
        wanted[match[1].lower()] = match[2] if match[2] is not None else match[3]
    return wanted


def _page(names: list[str], scope: str, given: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    start = pages.after(scope, given.get("NextToken"), _CODE)
    rest = [name for name in names if name > start]
    size = given.get("MaxResults", 100)
    page = rest[:size]
    return page, {} if len(rest) <= size else {"NextToken": pages.token(scope, page[-1])}

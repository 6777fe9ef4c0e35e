"""Offline tables in other formats than Delta: rows, queries, single records, data sets."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest

from penstock import aws, lake, query
from penstock.entries import Transaction
from penstock.errors import UsageError
from penstock.ledger.window import Window
from penstock.offline.log import TableLog
from penstock.offline.table import OfflineTable
from penstock.run.ingest import ingest_pipeline
from penstock.run.places import offline_path
from penstock.run.tables import check_tables
from penstock.stage.spark import rows_schema
from penstock.storage import LocalStorage
from tests.lab import Lab
from tests.readings import GROUP, PIPELINE

FIRST = """a,2024-01-01T05:00:00Z,1,0.5
b,2024-01-01T06:30:00Z,2,
a,2024-01-02T00:00:00Z,3,1.5
"""
SECOND = """a,2024-01-01T05:00:00Z,1,0.5
c,2024-01-03T00:00:00Z,4,2.5
"""
LATEST = {"a": 3, "b": 2, "c": 4}


@pytest.mark.parametrize("registered", [True, pytest.param(False, marks=pytest.mark.prove)])
@pytest.mark.parametrize("lab", ["iceberg", "hive"], indirect=True)
def test_what_came_already_is_not_written_again(lab: Lab, *, registered: bool) -> None:
    """Rows are there once, and found by the queries and by their identifier."""
    flags: dict[str, Any] = {"catalog__register": registered}
    sources = {"readings": _file(lab, FIRST)}
    first = lab.ingest(PIPELINE, sources, **flags)
    assert (first.figures.offline, first.figures.present) == (3, 0)
    assert lab.ingest(PIPELINE, sources, **flags).state == "unchanged"
    second = lab.ingest(PIPELINE, {"readings": _file(lab, SECOND)}, **flags)
    assert (second.figures.offline, second.figures.present) == (1, 1)
    context = lab.context(lab.settings(**flags))
    rows = context.table(GROUP).rows()
    assert rows.count() == 4
    live = query.run(lab.spark, "live", GROUP, "", rows=rows)
    assert {row["sensor"]: row["level"] for row in live.collect()} == LATEST
    found = lake.current_rows(context.log(GROUP), GROUP, ["a", "c", "nobody"])
    assert {one: row["level"] for one, row in found.items()} == {"a": 3, "c": 4}


@pytest.mark.parametrize("lab", ["iceberg"], indirect=True)
def test_a_registered_table_says_what_its_commits_do_not(lab: Lab) -> None:
    """Whose it is; and a run that changes nothing changes nothing there."""
    sources = {"readings": _file(lab, FIRST)}
    lab.ingest(PIPELINE, sources)
    table = lab.table(GROUP)
    names = [(one["Name"], one["Type"]) for one in table["StorageDescriptor"]["Columns"]]
    assert names == [
        ("sensor", "string"),
        ("at", "string"),
        ("level", "bigint"),
        ("share", "double"),
        ("api_invocation_time", "timestamp"),
        ("write_time", "timestamp"),
        ("is_deleted", "boolean"),
    ]
    assert table["StorageDescriptor"]["Location"] == f"file://{lab.root}/lake/offline/readings"
    parameters = dict(table["Parameters"])
    told = parameters.pop("metadata_location"), parameters.pop("previous_metadata_location")
    assert [one.endswith(".metadata.json") for one in told] == [True, True]
    assert parameters == {
        "table_type": "ICEBERG",
        "penstock.group": "readings",
        "penstock.meaning": PIPELINE.meaning,
        "penstock.columns": ",".join(name for name, _ in names),
    }
    before = table["VersionId"]
    lab.ingest(PIPELINE, sources)
    assert lab.table(GROUP)["VersionId"] == before


class _Deaf:
    """A log that commits, and whose answer is lost."""

    def __init__(self, log: TableLog) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def append(self, *arguments: Any, **named: Any) -> NoReturn:
        """Made, and not told."""
        self._log.append(*arguments, **named)
        raise ConnectionError("the answer was lost")


@pytest.mark.prove
@pytest.mark.parametrize("lab", ["iceberg", "hive"], indirect=True)
def test_an_answer_that_was_lost(lab: Lab) -> None:
    """The commit is found and not repeated; generation 1 does not take 10 for its own."""
    context = lab.context(lab.settings())
    context.client("glue").create_database(DatabaseInput={"Name": "penstock"})
    log, path = context.log(GROUP), offline_path(lab.settings(), GROUP.name)
    table, deaf = (
        OfflineTable(lab.spark, path, LocalStorage(), GROUP, rows_schema(GROUP), one)
        for one in (log, cast("TableLog", _Deaf(log)))
    )
    row = [("a", "2024-01-01T00:00:00Z", 1, 0.5, 0)]
    schema = "sensor string, at string, level long, share double, _tie int"
    rows = lab.spark.createDataFrame(row, schema)
    at, tenth = datetime(2024, 1, 1, tzinfo=timezone.utc), Transaction("penstock:readings:all", 10)
    told = deaf.append(rows, tenth, api_invocation_time=at, write_time=at, compare=False)
    assert (told.rows, told.present) == (1, 0)
    assert table.append(rows, tenth, api_invocation_time=at, write_time=at, compare=False) == told
    assert table.find(Transaction("penstock:readings:all", 1)) is None
    assert table.rows().count() == 1


@pytest.mark.parametrize("lab", ["hive"], indirect=True)
def test_hours_are_registered_as_they_come(lab: Lab) -> None:
    """Each folder once, with the table's columns; nothing is asked of Glue where none came."""
    lab.ingest(PIPELINE, {"readings": _file(lab, FIRST)})
    table, place = lab.table(GROUP), f"file://{lab.root}/lake/offline/readings/data"
    assert table["StorageDescriptor"]["Location"] == place
    assert table["PartitionKeys"] == [
        {"Name": name, "Type": "string"} for name in ("year", "month", "day", "hour")
    ]
    hours = {("2024", "01", "01", "05"), ("2024", "01", "01", "06"), ("2024", "01", "02", "00")}
    assert _partitions(lab) == {one: _folder(place, one) for one in hours}
    lab.ingest(PIPELINE, {"readings": _file(lab, SECOND)})
    hours.add(("2024", "01", "03", "00"))
    assert _partitions(lab) == {one: _folder(place, one) for one in hours}
    late = f"{SECOND}d,2024-01-03T00:59:59Z,5,\n"
    before = lab.table(GROUP)["VersionId"]
    lab.ingest(PIPELINE, {"readings": _file(lab, late)})
    assert lab.table(GROUP)["VersionId"] == before
    assert len(_partitions(lab)) == 4
    # Hours that came while nothing was registered are registered by the next run that does.
    later = f"{late}e,2024-01-05T07:00:00Z,6,\n"
    lab.ingest(PIPELINE, {"readings": _file(lab, later)}, catalog__register=False)
    assert len(_partitions(lab)) == 4
    lab.ingest(PIPELINE, {"readings": _file(lab, f"{later}f,2024-01-05T07:30:00Z,6,\n")})
    assert ("2024", "01", "05", "07") in _partitions(lab)


def _partitions(lab: Lab) -> dict[tuple[str, ...], str]:
    """Values → location of each that Glue has; all have the table's columns."""
    glue, settings = aws.client(lab.endpoint, "glue"), lab.settings()
    found = glue.get_partitions(DatabaseName=settings.catalog.database, TableName="readings")
    columns = lab.table(GROUP)["StorageDescriptor"]["Columns"]
    made = [(tuple(one["Values"]), one["StorageDescriptor"]) for one in found["Partitions"]]
    assert all(one["Columns"] == columns for _, one in made)
    return {values: one["Location"] for values, one in made}


def _folder(place: str, hour: tuple[str, ...]) -> str:
    names = zip(("year", "month", "day", "hour"), hour, strict=True)
    return "/".join([place, *(f"{name}={value}" for name, value in names)])


def test_a_table_of_another_format_is_left_alone(lab: Lab) -> None:
    """What to set is said, and nothing was begun."""
    sources = {"readings": _file(lab, FIRST)}
    lab.ingest(PIPELINE, sources)
    settings = lab.settings(sources, offline__format="iceberg")
    with pytest.raises(UsageError, match="is a table of format delta, and conf says"):
        ingest_pipeline(lab.context(settings), PIPELINE, Window())
    check_tables(lab.settings(), GROUP.name)


def _file(lab: Lab, text: str) -> Path:
    path = lab.root / "readings.csv"
    path.write_text(f"sensor,at,level,share\n{text}")
    return path

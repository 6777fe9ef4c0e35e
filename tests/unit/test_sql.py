"""Queries in Athena's dialect: which tables they mean, what Spark gets, what is refused."""

from __future__ import annotations

import pytest

from penstock.errors import UsageError
from penstock.sql import Known, statement

FLIGHTS = Known(
    "flight_status",
    "flights_flight_status",
    "/lake/flight_status",
    {"flight_id": "varchar", "tailnum": "varchar", "delay": "double", "legs": "bigint"},
)
HISTORY = Known(
    "aircraft_history", "history", "/lake/history", {"tailnum": "varchar", "Flights_1d": "bigint"}
)
KNOWN = [FLIGHTS, HISTORY]


def spark(text: str) -> str:
    """On one line."""
    return " ".join(statement(text, KNOWN, "lake").spark.split())


@pytest.mark.parametrize(
    "name",
    [
        "flight_status",
        "Flight_Status",
        "flights_flight_status",
        '"lake"."flights_flight_status"',
        "awsdatacatalog.lake.flight_status",
    ],
)
def test_a_table_has_two_names(name: str) -> None:
    """Its feature group's and Glue's; Athena gets Glue's, Spark a view."""
    found = statement(f"SELECT legs FROM {name}", KNOWN, "lake")
    assert '"lake"."flights_flight_status"' in found.athena
    assert "`_penstock_0`" in found.spark
    assert found.views == {"_penstock_0": FLIGHTS}


def test_groups_are_joined_and_names_of_with_are_no_tables() -> None:
    """A name that WITH gives hides a table's; an alias stays."""
    text = """
        WITH history AS (SELECT tailnum, sum(flights_1d) AS n FROM aircraft_history GROUP BY 1)
        SELECT flight_status.flight_id, h.n FROM flight_status JOIN history h
        ON flight_status.tailnum = h.tailnum
    """
    found = statement(text, KNOWN, "lake")
    assert set(found.views) == {"_penstock_0", "_penstock_1"}
    assert 'FROM "lake"."history" AS "aircraft_history"' in found.athena
    assert "JOIN history AS h" in found.athena


def test_what_the_engines_mean_differently_is_said() -> None:
    """Whole numbers divide to whole numbers, nulls come last, functions have Spark's names."""
    assert "CAST(`flight_status`.`legs` / 2 AS BIGINT)" in spark(
        "SELECT legs / 2 FROM flight_status"
    )
    assert "CAST" not in spark("SELECT delay / 2 FROM flight_status")
    assert "NULLS LAST" in spark("SELECT delay FROM flight_status ORDER BY delay")
    assert "PERCENTILE_APPROX" in spark("SELECT approx_percentile(delay, 0.5) FROM flight_status")


@pytest.mark.shows("6.7")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("DROP TABLE flight_status", "one query"),
        ("DELETE FROM flight_status", "one query"),
        ("INSERT INTO flight_status SELECT 1", "one query"),
        ("CREATE TABLE x AS SELECT 1", "one query"),
        ("UNLOAD (SELECT 1) TO 's3://bucket/'", "one query"),
        ("SELECT 1 FROM flight_status; DROP TABLE flight_status", "one query"),
        ("", "one query"),
        ("SELEC 1", "no SQL of Athena's"),
        ("SELECT 'open FROM flight_status", "no SQL of Athena's"),
        ("SELECT 1 FROM elsewhere.flight_status", "no table 'elsewhere.flight_status'"),
        ('SELECT 1 FROM "../../etc/passwd"', "no table '../../etc/passwd'"),
        ("SELECT 1 FROM delta.`/etc/passwd`", "no SQL of Athena's"),
    ],
)
def test_what_is_no_query_of_these_tables_is_refused(text: str, said: str) -> None:
    """Before anything runs."""
    with pytest.raises(UsageError, match=said):
        statement(text, KNOWN, "lake")


@pytest.mark.shows("6.7")
@pytest.mark.parametrize("value", ["it''s", "; DROP TABLE x", "\\", "`", '"', "Ж", "--", "/*"])
def test_a_text_stays_a_text(value: str) -> None:
    """Quotes, semicolons and comments within one."""
    found = statement(f"SELECT 1 FROM flight_status WHERE tailnum = '{value}'", KNOWN, "lake")
    assert f"'{value}'" in found.athena
    assert found.spark.count("WHERE") == 1
    assert found.spark.rstrip().endswith("'")

"""The four queries: golden texts for both dialects; Athena's run on DuckDB against pandas."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd  # noqa: TID253 - the independent computation these tests compare with
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.contract import FeatureGroup, FeatureType
from penstock.errors import UsageError
from penstock.query import ATHENA, KINDS, SPARK, Dialect, Kind, Table, literal, sql
from tests.offline_rows import (
    CASES,
    COLUMNS,
    SECONDS,
    STRING,
    T0,
    UTC,
    expected,
    frame,
    group_of,
    plain,
    row,
    text_event,
)

if TYPE_CHECKING:
    from collections.abc import Callable

TABLE = Table.registered("lake", "weather")
LIVE_ATHENA = """\
SELECT
  "origin",
  "at",
  "wind-speed",
  "gusts"
FROM (
  SELECT
    "origin",
    "at",
    "wind-speed",
    "gusts",
    "api_invocation_time",
    "write_time",
    "is_deleted",
    row_number() OVER (
      PARTITION BY "origin"
      ORDER BY "at" DESC, "api_invocation_time" DESC, "write_time" DESC, "is_deleted" DESC, \
"wind-speed" DESC, "gusts" DESC
    ) AS "_rank"
  FROM "lake"."weather"
) AS "_ranked"
WHERE "_rank" = 1 AND NOT "is_deleted\""""


def test_live_for_athena_is_this_text() -> None:
    """What people paste into Athena changes only on purpose."""
    assert sql("live", STRING, TABLE, ATHENA) == LIVE_ATHENA


def test_live_for_spark_is_the_same_text_in_its_own_quotes() -> None:
    """One query, two dialects: identifiers differ, nothing else."""
    assert sql("live", STRING, TABLE, SPARK) == LIVE_ATHENA.replace('"', "`")


def test_explore_is_this_text() -> None:
    """Explore shows every column, the service's three included, and stops at its limit."""
    assert sql("explore", STRING, TABLE, SPARK, limit=7) == (
        "SELECT\n  `origin`,\n  `at`,\n  `wind-speed`,\n  `gusts`,\n  `api_invocation_time`,\n"
        "  `write_time`,\n  `is_deleted`\nFROM `lake`.`weather`\nLIMIT 7"
    )


def test_latest_shows_deletions_and_keeps_deleted_rows() -> None:
    """Latest differs from live by the system columns shown and by keeping what was deleted."""
    text = sql("latest", STRING, TABLE, ATHENA)
    outer, _, last = text.partition("FROM (")
    assert '"is_deleted"' in outer
    assert "_rank" not in outer
    assert last.endswith('WHERE "_rank" = 1')


def test_as_of_bounds_the_rows_before_they_are_ranked() -> None:
    """A bound after ranking would lose identifiers whose newest row is later."""
    text = sql("as-of", STRING, TABLE, ATHENA, moment="2013-07-01T12:00:00-04:00")
    bounded = (
        '  FROM "lake"."weather"\n  WHERE "at" <= \'2013-07-01T16:00:00Z\'\n) AS "_ranked"\nWHERE'
    )
    assert bounded in text
    assert text.replace("\n  WHERE \"at\" <= '2013-07-01T16:00:00Z'", "") == LIVE_ATHENA


@pytest.mark.parametrize(
    ("group", "dialect", "moment", "wanted"),
    [
        (STRING, ATHENA, T0, "'2013-07-01T00:00:00Z'"),
        (STRING, SPARK, "2013-07-01T00:00:00.999999999Z", "'2013-07-01T00:00:00Z'"),
        (
            group_of(FeatureType.STRING, 9),
            SPARK,
            "2013-07-01T00:00:00.5Z",
            "'2013-07-01T00:00:00.500000000Z'",
        ),
        (SECONDS, ATHENA, T0, "DOUBLE '1372636800.0'"),
        (SECONDS, SPARK, T0 + timedelta(microseconds=1), "1372636800.000001D"),
    ],
)
def test_an_instant_is_written_as_the_group_stores_it(
    group: FeatureGroup, dialect: Dialect, moment: datetime | str, wanted: str
) -> None:
    """Text of the group's fixed width, or epoch seconds as an exact double."""
    assert literal(group, dialect, moment) == wanted


@pytest.mark.parametrize(
    "moment",
    [
        "2013",
        "2013-07-01",
        "2013-07-01T00:00:00",
        "1372636800",
        "2013-02-30T00:00:00Z",
        "2013-07-01T00:00:00Z' OR '1'='1",
        "2013-07-01T00:00:00Z\n",
        "9999-01-01T00:00:00Z",
        "",
        "\ud800",
        datetime(2013, 7, 1),  # noqa: DTZ001 - a naive one is the case
    ],
)
@pytest.mark.parametrize("group", [STRING, SECONDS])
def test_what_is_no_instant_never_reaches_a_query(group: FeatureGroup, moment: Any) -> None:
    """Anything but one instant is refused in one line with the remedy."""
    with pytest.raises(UsageError) as caught:
        sql("as-of", group, TABLE, ATHENA, moment=moment)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_as_of_without_an_instant_is_refused() -> None:
    """There is no default instant to guess."""
    with pytest.raises(UsageError, match="instant"):
        sql("as-of", STRING, TABLE, ATHENA)


@pytest.mark.parametrize("limit", [0, -1, True, "1; DROP"])
def test_a_limit_that_is_no_count_is_refused(limit: Any) -> None:
    """The limit is the only number that stands in the text as it came."""
    with pytest.raises(UsageError, match="limit"):
        sql("explore", STRING, TABLE, SPARK, limit=limit)


def test_a_name_spark_would_rewrite_is_refused() -> None:
    """Spark replaces ${…} everywhere in a text, quoted or not (measured: it becomes empty)."""
    with pytest.raises(UsageError, match="variables"):
        sql("live", STRING, Table.at("/lake/${env:HOME}"), SPARK)


def test_an_unknown_query_is_refused() -> None:
    """The remedy lists the four."""
    kind: Any = "newest"
    with pytest.raises(UsageError, match="explore, latest, live, as-of"):
        sql(kind, STRING, TABLE, SPARK)


@given(st.text(min_size=1).filter(lambda text: "\0" not in text and "${" not in text))
def test_any_name_stays_one_identifier(name: str) -> None:
    """Whatever a table or path is called, each dialect's parser reads that very name back."""
    for dialect, read in ((ATHENA, "trino"), (SPARK, "spark")):
        text = sql("explore", STRING, Table.registered(name, name), dialect)
        found = sqlglot.parse_one(text, read=read).find(sqlglot.exp.Table)
        assert found is not None
        assert (found.db, found.name) == (name, name)


@given(
    st.datetimes(
        min_value=datetime(1700, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone itself
        max_value=datetime(2200, 1, 1),  # noqa: DTZ001 - as above
        timezones=st.timezones(),
    ),
    st.integers(-5_000_000, 5_000_000),
    st.sampled_from([0, 3, 6, 9]),
)
def test_literals_sort_like_the_instants(moment: datetime, micros: int, digits: int) -> None:
    """Comparing texts of one group compares instants cut to the group's precision."""
    group = group_of(FeatureType.STRING, digits)
    first = moment.astimezone(UTC)
    second = first + timedelta(microseconds=micros)
    size = timedelta(microseconds=10 ** (6 - min(digits, 6)))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    cut = [(one - epoch) // size for one in (first, second)]
    texts = [literal(group, SPARK, one) for one in (moment, second)]
    assert (texts[0] <= texts[1]) == (cut[0] <= cut[1])
    assert len(texts[0]) == len(texts[1])


@given(st.integers(100_000_000_000_000, 4_000_000_000_000_000))
def test_a_literal_of_seconds_is_the_stored_double(micros: int) -> None:
    """Microseconds of any instant come back as the very double that is stored for it."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    assert float(literal(SECONDS, SPARK, moment).removesuffix("D")) == micros / 1e6


# What the texts answer: DuckDB runs Athena's text, pandas answers the same question on its own.


def on_duckdb(text: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Athena's text, in DuckDB's dialect, over rows registered as lake.weather."""
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'; CREATE SCHEMA lake")
        db.register("rows_in", rows)
        db.execute("CREATE TABLE lake.weather AS SELECT * FROM rows_in")
        return db.execute(sqlglot.transpile(text, read="trino", write="duckdb")[0]).df()


@pytest.mark.shows("3.3")
@pytest.mark.parametrize(("group", "event"), CASES)
@pytest.mark.parametrize("kind", ["latest", "live"])
def test_athenas_text_finds_the_current_rows(
    group: FeatureGroup, event: Callable[[int], Any], kind: Kind
) -> None:
    """With duplicates, deletions, late rows and ties the text answers what pandas answers."""
    rows = frame(event)
    answer = on_duckdb(sql(kind, group, TABLE, ATHENA), rows)
    assert plain(answer) == plain(expected(kind, rows))
    assert len(answer) == (9 if kind == "latest" else 7)


@pytest.mark.shows("3.3")
@pytest.mark.parametrize(("group", "event"), CASES)
@pytest.mark.parametrize("minute", range(6))
def test_athenas_text_answers_as_of_any_instant(
    group: FeatureGroup, event: Callable[[int], Any], minute: int
) -> None:
    """At each event time, the event itself included, the text answers what pandas answers."""
    rows = frame(event)
    moment = T0 + timedelta(minutes=minute)
    answer = on_duckdb(sql("as-of", group, TABLE, ATHENA, moment=moment), rows)
    assert plain(answer) == plain(expected("as-of", rows, event(minute)))
    just_before = sql("as-of", group, TABLE, ATHENA, moment=moment - timedelta(microseconds=1))
    earlier = expected("as-of", rows, event(minute - 1))
    assert plain(on_duckdb(just_before, rows)) == plain(earlier)


@pytest.mark.shows("3.3")
def test_athenas_explore_answers_stored_rows() -> None:
    """Explore changes no row and answers no more than its limit."""
    rows = frame(text_event)
    everything = on_duckdb(sql("explore", STRING, TABLE, ATHENA), rows)
    assert plain(everything) == plain(rows)
    assert len(on_duckdb(sql("explore", STRING, TABLE, ATHENA, limit=3), rows)) == 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.integers(0, 2),
            st.none() | st.integers(0, 2),
            st.none() | st.integers(0, 2),
            st.integers(0, 1),
            st.integers(0, 1),
            st.integers(0, 1),
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(["latest", "live", "as-of"]),
)
def test_athenas_text_answers_any_small_table(rows: list[tuple[Any, ...]], kind: Kind) -> None:
    """Few values and many rows: every kind of tie, in any order of the rows."""
    made = [
        row(one[0], text_event(one[1]), None if one[2] is None else float(one[2]), *one[3:])
        for one in rows
    ]
    table = pd.DataFrame(made, columns=COLUMNS).astype({"gusts": "Int64", "wind-speed": "Float64"})
    moment = None if kind != "as-of" else T0 + timedelta(minutes=1)
    answer = on_duckdb(sql(kind, STRING, TABLE, ATHENA, moment=moment), table)
    until = None if moment is None else text_event(1)
    assert plain(answer) == plain(expected(kind, table, until))


def test_every_kind_has_a_text() -> None:
    """The list that commands offer is the list that works."""
    for kind in KINDS:
        assert sql(kind, STRING, TABLE, SPARK, moment=T0).startswith("SELECT\n")

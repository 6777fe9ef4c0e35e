"""Lookups on Spark: one row a label, equal to brute force, in every session."""

from __future__ import annotations

from datetime import timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import deltalake
import pyarrow as pa
import pytest

from penstock.commits import Log
from penstock.dataset import Lookup
from penstock.errors import UsageError
from penstock.storage import LocalStorage
from penstock.training.exchange import _slots
from penstock.training.join import looked_up, plan_of
from tests.offline_rows import CASES, STRING, frame, text_event

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from penstock.contract import FeatureGroup

SESSIONS = [
    ("Asia/Kolkata", "true"),
    pytest.param(("UTC", "true"), marks=pytest.mark.prove),
    pytest.param(("America/Los_Angeles", "false"), marks=pytest.mark.prove),
]
#: Whom and when: minutes after T0. Some never were, one is nobody, one asks twice.
ASKED: list[tuple[str | None, int]] = [
    *((who, minute) for who in ("EWR", "JFK", "LGA", "BOS", "PHL") for minute in range(6)),
    *((who, 2) for who in ("DCA", "IAD", "BWI", "é'\"`", "ZZZ", "BWI")),
    ("é'\"`", 5),
    *((None, minute) for minute in range(5)),
]


@pytest.fixture(params=SESSIONS, ids=str)
def session(spark: SparkSession, request: pytest.FixtureRequest) -> SparkSession:
    """A session of its own in one zone and one ANSI mode."""
    zone, ansi = request.param
    own = spark.newSession()
    own.conf.set("spark.sql.session.timeZone", zone)
    own.conf.set("spark.sql.ansi.enabled", ansi)
    return own


def events(
    session: SparkSession, folder: Path, event: Callable[[int], Any]
) -> tuple[DataFrame, list[dict[str, Any]]]:
    """The offline rows as Spark and as Python has them; written by delta-rs, not Spark."""
    rows = frame(event)
    deltalake.write_deltalake(str(folder), pa.Table.from_pandas(rows, preserve_index=False))
    plain: Any = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return session.read.format("delta").load(str(folder)), plain


def labels(session: SparkSession, kind: str) -> DataFrame:
    """The questions, with moments as text or as timestamps; ``n`` tells them apart."""
    rows = [(n, who, text_event(minute)) for n, (who, minute) in enumerate(ASKED)]
    made = session.createDataFrame(rows, "n int, `who is` string, moment string")
    moment = "moment" if kind == "string" else "cast(moment as timestamp) as moment"
    return made.selectExpr("n", "`who is`", moment)


def best(
    rows: list[dict[str, Any]], who: str | None, until: Any, *, before: bool
) -> dict[str, Any] | None:
    """The row the four queries would call current, among those up to a moment; by brute force."""
    known = [
        row
        for row in rows
        if row["origin"] == who and (row["at"] < until if before else row["at"] <= until)
    ]

    def rank(row: dict[str, Any]) -> tuple[Any, ...]:
        features = [(row[name] is not None, row[name] or 0) for name in ("wind-speed", "gusts")]
        times = (row["at"], row["api_invocation_time"], row["write_time"])
        return (*times, row["is_deleted"], *features)

    found = max(known, key=rank, default=None)
    return None if found is None or found["is_deleted"] else found


@pytest.mark.shows("6.2")
@pytest.mark.parametrize(
    ("group", "event", "kind"),
    [
        (*CASES[0], "string"),
        (*CASES[1], "timestamp"),
        pytest.param(*CASES[0], "timestamp", marks=pytest.mark.prove),
        pytest.param(*CASES[1], "string", marks=pytest.mark.prove),
    ],
    ids=["String-string", "Fractional-timestamp", "String-timestamp", "Fractional-string"],
)
def test_each_label_gets_what_was_known_at_its_moment(
    session: SparkSession,
    tmp_path: Path,
    group: FeatureGroup,
    event: Callable[[int], Any],
    kind: str,
) -> None:
    """Duplicates, deletions, late rows and ties; labels of nobody; always one row per label."""
    table, rows = events(session, tmp_path, event)
    asked, log = labels(session, kind), Log(str(tmp_path), LocalStorage())
    for before, source in ((False, table), (False, log.files(0)), (True, log.files(0))):
        assert source is not None
        lookup = Lookup("weather", "who is", before=before, prefix="w_")
        plan = plan_of(lookup, group, asked.columns, 0)
        answer = looked_up(asked, "moment", plan, group, source).collect()
        assert sorted(row["n"] for row in answer) == list(range(len(ASKED)))
        for one in answer:
            who, minute = ASKED[one["n"]]
            wanted = best(rows, who, event(minute), before=before) or {}
            found = {name: one[f"w_{name}"] for name in ("at", "wind-speed", "gusts")}
            assert found == {name: wanted.get(name) for name in found}, ASKED[one["n"]]
            assert (one["_age_0"] is None) is (not wanted)
            newest = max((row["at"] for row in rows if row["origin"] == who), default=None)
            assert one["_later_0"] is (newest is not None and newest > event(minute))


@pytest.mark.shows("6.2")
@pytest.mark.parametrize(("group", "event"), CASES, ids=["String", "Fractional"])
def test_the_three_most_recent_versions(
    spark: SparkSession, tmp_path: Path, group: FeatureGroup, event: Callable[[int], Any]
) -> None:
    """The best row of each event time, the newest first, down to the first deletion."""
    table, rows = events(spark, tmp_path, event)
    files = Log(str(tmp_path), LocalStorage()).files(0)
    assert files is not None
    asked = labels(spark, "string")
    plan = plan_of(Lookup("weather", "who is", prefix="w_", recent=3), group, asked.columns, 0)
    seen = 0
    for source in (table, files):
        answer = looked_up(asked, "moment", plan, group, source).collect()
        assert sorted(row["n"] for row in answer) == list(range(len(ASKED)))
        for one in answer:
            who, minute = ASKED[one["n"]]
            times = {row["at"] for row in rows if row["at"] <= event(minute)}
            own = {row["at"] for row in rows if row["origin"] == who}
            newest = (
                best([row for row in rows if row["at"] == time], who, time, before=False)
                for time in sorted(times & own, reverse=True)
            )
            wanted = [*takewhile(lambda row: row is not None, newest), None, None, None][:3]
            for row, end in zip(wanted, ("", "_2", "_3"), strict=True):
                found = {name: one[f"w_{name}{end}"] for name in ("at", "wind-speed", "gusts")}
                assert found == {name: (row or {}).get(name) for name in found}, (who, minute, end)
            seen += wanted[2] is not None
    assert seen


@pytest.mark.shows("6.2")
def test_what_is_too_old_or_was_not_written_yet_is_absent(
    spark: SparkSession, tmp_path: Path
) -> None:
    """max_age counts from the event; ``written`` asks when the offline store had the row."""
    table, _ = events(spark, tmp_path, text_event)
    asked = labels(spark, "string").where("`who is` = 'EWR'")
    young = Lookup("weather", "who is", max_age=timedelta(minutes=1), features=("gusts",))
    rows = looked_up(
        asked, "moment", plan_of(young, STRING, asked.columns, 0), STRING, table
    ).collect()
    got = {ASKED[row["n"]][1]: row["gusts"] for row in rows}
    assert got == {0: None, 1: 1, 2: 2, 3: 3, 4: 3, 5: None}
    # The rows were written in August, minutes 0, 1 and 9 after midnight; the labels are July's.
    written = Lookup("weather", "who is", written=True, features=("gusts",))
    none = looked_up(
        asked, "moment", plan_of(written, STRING, asked.columns, 0), STRING, table
    ).collect()
    assert {row["gusts"] for row in none} == {None}
    later = [(n, "EWR", f"2013-08-01T00:0{n}:00Z") for n in (0, 1, 9)]
    asked = spark.createDataFrame(later, "n int, `who is` string, moment string")
    some = looked_up(
        asked, "moment", plan_of(written, STRING, asked.columns, 0), STRING, table
    ).collect()
    assert {row["n"]: row["gusts"] for row in some} == {0: 1, 1: 3, 9: 3}


def test_every_partition_gets_its_share(spark: SparkSession) -> None:
    """Where a slot goes is what we take it for: no two of them share a partition."""
    slots = [(one,) for one in _slots(16)]
    frame = spark.createDataFrame(slots, "_slot int").repartition(16, "_slot")
    assert len({row[0] for row in frame.selectExpr("spark_partition_id()").collect()}) == 16


@pytest.mark.parametrize(
    ("lookup", "words"),
    [
        (Lookup("weather", "whom"), "the labels have no column 'whom'"),
        (Lookup("weather", "who is", ("rain",)), "there is no feature 'rain'"),
        (Lookup("weather", "who is", prefix="w_"), "column 'w_gusts' already"),
    ],
)
def test_what_a_lookup_cannot_do_is_one_line(
    spark: SparkSession, lookup: Lookup, words: str
) -> None:
    """Which column or feature, and what there is instead; before anything runs."""
    asked = labels(spark, "string").selectExpr("*", "1 as W_gusts")
    with pytest.raises(UsageError, match=words):
        plan_of(lookup, STRING, asked.columns, 0)


def test_another_type_of_identifier_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    """A number never equals a text silently."""
    table, _ = events(spark, tmp_path, text_event)
    asked = spark.createDataFrame([(1, text_event(1))], "who int, moment string")
    plan = plan_of(Lookup("weather", "who"), STRING, asked.columns, 0)
    with pytest.raises(UsageError, match="'who' is int, not string"):
        looked_up(asked, "moment", plan, STRING, table)

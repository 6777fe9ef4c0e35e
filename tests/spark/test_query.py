"""The four queries run by Spark on a Delta table, in every session zone and both ANSI modes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import deltalake
import pandas as pd  # noqa: TID253 - the independent computation the queries are compared with
import pyarrow as pa
import pytest

from penstock.errors import UsageError
from penstock.query import run
from tests.offline_rows import CASES, SECONDS, STRING, T0, expected, frame, plain, text_event

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from penstock.contract import FeatureGroup

ZONES = ["UTC", "America/Los_Angeles", "Asia/Kolkata"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The rows as Delta tables, one per kind of event time, written by delta-rs, not Spark."""
    folder = tmp_path_factory.mktemp("an offline 'lake' `here`")
    made = {}
    for group, event in CASES:
        kind = group.feature(group.event_time).type.value
        rows = pa.Table.from_pandas(frame(event), preserve_index=False)
        made[kind] = str(folder / kind)
        deltalake.write_deltalake(made[kind], rows)
    return made


@pytest.fixture(params=[(zone, ansi) for zone in ZONES for ansi in ("true", "false")], ids=str)
def session(spark: SparkSession, request: pytest.FixtureRequest) -> SparkSession:
    """A session of its own in one zone and one ANSI mode."""
    zone, ansi = request.param
    own = spark.newSession()
    own.conf.set("spark.sql.session.timeZone", zone)
    own.conf.set("spark.sql.ansi.enabled", ansi)
    return own


def answer(rows: DataFrame) -> list[tuple[Any, ...]]:
    """Rows with instants as microseconds, which no zone touches on the way to Python."""
    columns = [
        f"unix_micros(`{name}`) AS `{name}`" if kind == "timestamp" else f"`{name}`"
        for name, kind in rows.dtypes
    ]
    collected = [tuple(one) for one in rows.selectExpr(*columns).collect()]
    return sorted(collected, key=repr)


def path_of(paths: dict[str, str], group: FeatureGroup) -> str:
    """The table of a group."""
    return paths[group.feature(group.event_time).type.value]


@pytest.mark.shows("3.3")
@pytest.mark.shows("3.6")
@pytest.mark.parametrize(("group", "event"), CASES, ids=["String", "Fractional"])
def test_sparks_text_answers_what_pandas_answers(
    session: SparkSession,
    paths: dict[str, str],
    group: FeatureGroup,
    event: Callable[[int], Any],
) -> None:
    """Latest, live and as-of, with duplicates, deletions, late rows and ties, in every session."""
    rows, path = frame(event), path_of(paths, group)
    assert answer(run(session, "latest", group, path)) == plain(expected("latest", rows))
    assert answer(run(session, "live", group, path)) == plain(expected("live", rows))
    for moment, minute in ((T0 + timedelta(minutes=2), 2), (T0 + timedelta(seconds=119.5), 1)):
        found = answer(run(session, "as-of", group, path, moment=moment))
        assert found == plain(expected("as-of", rows, event(minute)))
        assert found


@pytest.mark.shows("3.3")
def test_explore_answers_stored_rows(spark: SparkSession, paths: dict[str, str]) -> None:
    """All rows as they are stored, and never more than the limit."""
    path = path_of(paths, STRING)
    assert answer(run(spark, "explore", STRING, path)) == plain(frame(text_event))
    assert run(spark, "explore", STRING, path, limit=3).count() == 3


def test_columns_are_the_contracts(spark: SparkSession, paths: dict[str, str]) -> None:
    """Neither the rank nor the deletion mark leaks out of live and as-of."""
    path = path_of(paths, SECONDS)
    assert run(spark, "live", SECONDS, path).columns == list(SECONDS.names)
    assert run(spark, "as-of", SECONDS, path, moment=T0).columns == list(SECONDS.names)
    system = ["api_invocation_time", "write_time", "is_deleted"]
    assert run(spark, "latest", SECONDS, path).columns == [*SECONDS.names, *system]


def test_no_table_is_said_in_one_line(spark: SparkSession, tmp_path: Path) -> None:
    """A missing folder, an empty one and one of other files: no stack trace, and the remedy."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    pd.DataFrame({"origin": ["EWR"]}).to_parquet(tmp_path / "other" / "part.parquet")
    for name in ("missing", "empty", "other"):
        with pytest.raises(UsageError, match="no offline table of 'weather'") as caught:
            run(spark, "live", STRING, str(tmp_path / name))
        assert "Ingest" in caught.value.remedy

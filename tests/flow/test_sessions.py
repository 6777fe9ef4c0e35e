"""The session's time zone and ANSI mode change no result, nor does the Spark line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd  # noqa: TID253 - the independent computation
import pytest
from pyspark.sql import SparkSession

from penstock.contract import Pipeline
from schemas.aircraft_history import PIPELINE as HISTORY
from schemas.flight_status import PIPELINE as STATUS
from tests import flights
from tests.lab import Lab, Rows

ROWS = 1_500
ZONES = ("UTC", "America/Los_Angeles", "Asia/Kolkata")
SETTINGS = ("spark.sql.session.timeZone", "spark.sql.ansi.enabled")


@pytest.fixture
def restored(spark: SparkSession) -> Iterator[SparkSession]:
    """The shared session, with its settings put back afterwards."""
    before = {key: spark.conf.get(key) for key in SETTINGS}
    yield spark
    for key, value in before.items():
        spark.conf.set(key, value or "")


@pytest.fixture
def excerpt(tmp_path: Path) -> Path:
    """Flights around both changes of the clocks, written as CSV."""
    raw = flights.raw("flights.csv.zip")
    spring = raw[(raw["month"] == "3") & (raw["day"].isin(["9", "10"]))]
    autumn = raw[(raw["month"] == "11") & (raw["day"].isin(["2", "3"]))]
    chosen = pd.concat([spring, autumn]).sample(ROWS, random_state=7)
    file = tmp_path / "flights.csv"
    chosen.to_csv(file, index=False, na_rep="NA")
    return file


@pytest.mark.shows("3.6")
@pytest.mark.parametrize(
    ("zone", "ansi"),
    [
        pytest.param("UTC", "true", marks=pytest.mark.prove),
        ("America/Los_Angeles", "false"),
        pytest.param("Asia/Kolkata", "true", marks=pytest.mark.prove),
        pytest.param("UTC", "false", marks=pytest.mark.prove),
        pytest.param("America/Los_Angeles", "true", marks=pytest.mark.prove),
        pytest.param("Asia/Kolkata", "false", marks=pytest.mark.prove),
    ],
)
def test_a_session_setting_changes_no_row(
    lab: Lab, restored: SparkSession, excerpt: Path, zone: str, ansi: str
) -> None:
    """Both stores equal the pandas computation under each setting."""
    restored.conf.set(SETTINGS[0], zone)
    restored.conf.set(SETTINGS[1], ansi)
    raw = pd.read_csv(excerpt, dtype=str, keep_default_na=False)
    raw = raw.astype(object).where(raw != "NA", None)
    for pipeline, expected in (
        (STATUS, flights.flight_status(raw)),
        (HISTORY, flights.aircraft_history(raw)),
    ):
        sources = {"flights": excerpt, "airports": flights.path("airports.csv")}
        result = lab.ingest(pipeline, sources)
        assert result.figures.read == ROWS + 1_458
        assert _same(pipeline, lab.features(pipeline.group), expected)
        assert _online_is_newest(lab, pipeline)


def _same(pipeline: Pipeline, rows: Rows, expected: pd.DataFrame) -> bool:
    group = pipeline.group
    names, keys = list(group.names), [group.record_identifier, group.event_time]
    found = pd.DataFrame(rows, columns=names).sort_values(keys).reset_index(drop=True)
    wanted = expected[names].sort_values(keys).reset_index(drop=True)
    pd.testing.assert_frame_equal(found.astype(object), wanted.astype(object), check_dtype=False)
    return len(found) > 0


def _online_is_newest(lab: Lab, pipeline: Pipeline) -> bool:
    group = pipeline.group
    newest = {row[group.record_identifier]: row for row in lab.features(group)}
    assert lab.online_identifiers(group) == sorted(newest)
    some = sorted(newest)[:20]
    for identifier, record in lab.online(group, *some).items():
        row = {key: value for key, value in newest[identifier].items() if value is not None}
        assert record == {key: _text(value) for key, value in row.items()}
    return True


def _text(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)


@pytest.mark.shows("3.6")
def test_parquet_instants_are_those_that_were_written(lab: Lab, restored: SparkSession) -> None:
    """A timestamp column keeps its instant in any zone."""
    from penstock.contract import Column, ColumnType, Source
    from tests.readings import GROUP

    restored.conf.set(SETTINGS[0], "Asia/Kolkata")
    folder = lab.root / "readings"
    frame = restored.sql(
        "select 'a' as sensor, timestamp_micros(1704067200000000) as at, 1L as level, 0.5D as share"
    )
    frame.write.parquet(str(folder))
    source = Source(
        (
            Column("sensor"),
            Column("at", ColumnType.TIMESTAMP),
            Column("level", ColumnType.LONG),
            Column("share", ColumnType.DOUBLE),
        )
    )
    pipeline = Pipeline(GROUP, {"readings": source})
    lab.ingest(pipeline, {"readings": {"format": "parquet", "path": str(folder)}})
    assert [row["at"] for row in lab.features(GROUP)] == ["2024-01-01T00:00:00Z"]

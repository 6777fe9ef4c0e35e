"""The flights groups in full, in all three formats: four queries, by Spark and in Athena's words.

Each format is read by Spark and by its own library, whose rows DuckDB asks; both must be what
pandas makes of these rows, and the features those of the other formats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pandas as pd  # noqa: TID253 - the independent computation the queries are compared with
import pytest
from pyspark.sql import SparkSession

from penstock.contract import FeatureGroup, Pipeline
from penstock.emulator.server import Emulator
from penstock.query import ATHENA, KINDS, Kind, Table, run, sql
from penstock.run.places import offline_path
from schemas.aircraft_history import PIPELINE as AIRCRAFT_HISTORY
from schemas.airport_weather import PIPELINE as AIRPORT_WEATHER
from schemas.flight_status import PIPELINE as FLIGHT_STATUS
from schemas.route_traffic import PIPELINE as ROUTE_TRAFFIC
from tests.flights import path
from tests.flow.test_histories import FORMS, SYSTEM, on_duckdb, own_rows
from tests.lab import Lab

MOMENT = datetime(2013, 7, 1, tzinfo=timezone.utc)
MOST = 10**7
FILES = {"flights": "flights.csv.zip", "weather": "weather.csv", "airports": "airports.csv"}
PIPELINES = (AIRPORT_WEATHER, FLIGHT_STATUS, AIRCRAFT_HISTORY, ROUTE_TRAFFIC)
ROWS = {"airport_weather": 26_115, "flight_status": 336_776}


@pytest.fixture(scope="module")
def seen() -> Iterator[dict[str, str]]:
    """Digest of each group's features, of the format that came first."""
    found: dict[str, str] = {}
    yield found
    assert len(found) in (0, len(PIPELINES))


@pytest.mark.prove
@pytest.mark.shows("6.1")
@pytest.mark.parametrize("form", FORMS)
def test_the_flights_groups_in_full(
    spark: SparkSession, tmp_path: Path, form: str, seen: dict[str, str]
) -> None:
    """All rows of all groups, all four queries."""
    with Emulator(data=tmp_path / "aws", region="us-east-1") as emulator:
        lab = Lab(spark, emulator, tmp_path, form)
        for one in PIPELINES:
            _check(lab, one, form, seen)


def _check(lab: Lab, pipeline: Pipeline, form: str, seen: dict[str, str]) -> None:
    group = pipeline.group
    lab.ingest(pipeline, {name: path(FILES[name]) for name in pipeline.sources})
    settings = lab.settings()
    stored = lab.context(settings).table(group).rows()
    own = own_rows(offline_path(settings, group.name), form, group.event_time).to_pandas()
    assert len(own) == ROWS.get(group.name, len(own)) > 0
    for kind in KINDS:
        moment = MOMENT if kind == "as-of" else None
        wanted = _expected(kind, own, group, moment)
        text = sql(kind, group, Table.registered("lake", "t"), ATHENA, limit=MOST, moment=moment)
        _check_same(wanted, on_duckdb(text, own))
        answer = run(lab.spark, kind, group, "", rows=stored, limit=MOST, moment=moment)
        _check_same(wanted, answer.toPandas())
    features = own[list(group.names)].sort_values(list(group.names)).to_csv(index=False)
    digest = hashlib.sha256(features.encode()).hexdigest()
    assert seen.setdefault(group.name, digest) == digest


def _expected(
    kind: Kind, rows: pd.DataFrame, group: FeatureGroup, moment: datetime | None
) -> pd.DataFrame:
    """Sorted ascending, the last of each identifier; then the deleted ones go."""
    rows = rows[[*group.names, *SYSTEM]]
    if moment is not None:
        fraction = f".{'0' * group.fraction_digits}" if group.fraction_digits else ""
        rows = rows[rows[group.event_time] <= f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"]
    if kind == "explore":
        return rows
    rest = [one for one in group.names if one not in (group.event_time, group.record_identifier)]
    order = [group.event_time, *SYSTEM, *rest]
    rows = rows.sort_values(order, na_position="first", kind="stable")
    rows = rows.drop_duplicates(group.record_identifier, keep="last")
    if kind == "latest":
        return rows
    return rows.loc[~rows["is_deleted"], list(group.names)]


def _check_same(wanted: pd.DataFrame, found: pd.DataFrame) -> None:
    """The same rows, in whatever order; of two tables without a row twice."""
    assert list(found.columns) == list(wanted.columns)
    pd.testing.assert_frame_equal(_plain(found), _plain(wanted), check_dtype=False)


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """Sorted; instants as microseconds since the epoch in UTC, numbers as doubles."""
    made = rows.copy()
    for name in made.columns:
        if isinstance(made[name].dtype, pd.DatetimeTZDtype):
            made[name] = made[name].dt.tz_convert("UTC").dt.tz_localize(None)
        if pd.api.types.is_datetime64_any_dtype(made[name]):
            made[name] = made[name].astype("datetime64[us]").astype("int64")
        elif pd.api.types.is_numeric_dtype(made[name]):
            made[name] = made[name].astype("float64")
        else:
            made[name] = made[name].where(made[name].notna(), None)
    order = list(made.columns)
    return made.sort_values(order, na_position="first").reset_index(drop=True)

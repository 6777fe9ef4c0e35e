"""Histories of any kind in all formats: the four queries answer the same, and what pandas says.

Rows come as users have them: instants in three zones and of mixed precision, duplicates, ties,
deletions, late rows in a second run. Each format is read by Spark and by its own library, whose
rows DuckDB asks in Athena's words.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import pandas as pd  # noqa: TID253 - the independent computation the queries are compared with
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
import sqlglot
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyiceberg.table import StaticTable
from pyspark.sql import DataFrame, SparkSession

from penstock.contract import (
    Column,
    ColumnType,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)
from penstock.emulator.server import Emulator
from penstock.query import ATHENA, KINDS, Kind, Table, run, sql
from penstock.run.places import offline_path
from tests.lab import Lab

FORMS = ("delta", "iceberg", "hive")
ZONES = (timezone.utc, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8)))
SESSIONS = ("UTC", "America/Los_Angeles", "Asia/Kolkata")
START = datetime(2013, 7, 1, 22, tzinfo=timezone.utc)
SYSTEM = ("api_invocation_time", "write_time", "is_deleted")


def pipeline(kind: FeatureType) -> Pipeline:
    """Readings whose event time is of a kind."""
    group = FeatureGroup(
        name="readings",
        record_identifier="sensor",
        event_time="at",
        features=(
            Feature("sensor", FeatureType.STRING),
            Feature("at", kind),
            Feature("level", FeatureType.INTEGRAL),
            Feature("share", FeatureType.FRACTIONAL),
        ),
        fraction_digits=3 if kind is FeatureType.STRING else 0,
        deleted_when="gone",
    )
    columns = (
        Column("sensor"),
        Column("at", ColumnType.TIMESTAMP),
        Column("level", ColumnType.LONG),
        Column("share", ColumnType.DOUBLE),
        Column("gone", ColumnType.BOOLEAN),
    )
    return Pipeline(group, {"readings": Source(columns)})


@dataclass(frozen=True)
class Reading:
    """A row of the source."""

    sensor: str
    half_hours: int
    millis: int
    zone: timezone
    level: int | None
    share: float | None
    gone: bool

    def line(self) -> str:
        """As CSV; whole seconds are written without a fraction."""
        at = START + timedelta(minutes=30 * self.half_hours, milliseconds=self.millis)
        text = at.astimezone(self.zone).isoformat(
            timespec="milliseconds" if self.millis else "seconds"
        )
        values = (self.sensor, text, self.level, self.share, str(self.gone).lower())
        return ",".join("" if one is None else str(one) for one in values)


READINGS = st.builds(
    Reading,
    st.sampled_from("abcd"),
    st.integers(0, 6),
    st.sampled_from([0, 0, 500]),
    st.sampled_from(ZONES),
    st.none() | st.integers(0, 2),
    st.none() | st.sampled_from([0.5, 1.5]),
    st.booleans(),
)


@pytest.mark.prove
@pytest.mark.shows("6.1")
@pytest.mark.parametrize(
    "kind", [FeatureType.STRING, FeatureType.FRACTIONAL], ids=lambda one: one.value
)
def test_the_four_queries_answer_the_same_in_all_formats(
    spark: SparkSession, kind: FeatureType
) -> None:
    """Whatever the history."""
    ours = pipeline(kind)

    @settings(
        max_examples=6,
        deadline=None,
        phases=[Phase.generate],  # an example takes a minute; a smaller one is found by hand
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(st.lists(READINGS, min_size=1, max_size=150), st.lists(READINGS, max_size=50))
    def check(first: list[Reading], more: list[Reading]) -> None:
        answers = [_answers(spark, ours, form, first, more) for form in FORMS]
        for one in answers[1:]:
            assert one == answers[0]

    check()


def _answers(
    spark: SparkSession,
    ours: Pipeline,
    form: str,
    first: Sequence[Reading],
    more: Sequence[Reading],
) -> dict[str, Any]:
    """What each query answers of the features, after it was compared with pandas."""
    group = ours.group
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        emulator = stack.enter_context(Emulator(data=root / "aws", region="us-east-1"))
        lab = Lab(spark, emulator, root, form)
        for some in (first, [*first, *more]):
            file = root / f"{len(some)}.csv"
            file.write_text(
                "\n".join(["sensor,at,level,share,gone", *(one.line() for one in some)])
            )
            lab.ingest(ours, {"readings": file})
        path = offline_path(lab.settings(), group.name)
        stored = lab.context(lab.settings()).table(group).rows()
        own = own_rows(path, form, "at").to_pandas()
        moments = (None, None, None, START + timedelta(hours=2))
        found: dict[str, Any] = {}
        for kind, moment in zip(KINDS, moments, strict=True):
            wanted = _expected(kind, own, group, moment)
            text = sql(
                kind, group, Table.registered("lake", "t"), ATHENA, limit=10**6, moment=moment
            )
            assert _plain(on_duckdb(text, own)) == wanted
            for zone in SESSIONS:
                answer = _asked(stored, kind, group, moment, zone)
                assert answer == wanted
            features = {row[: len(group.names)] for row in wanted}
            found[kind] = sorted(features, key=repr)
        return found


def own_rows(path: str, form: str, event_time: str) -> pa.Table:
    """All rows by the format's own library."""
    if form == "delta":
        return deltalake.DeltaTable(path).to_pyarrow_table()
    if form == "iceberg":
        newest = max(Path(path, "metadata").glob("*.metadata.json"))
        return StaticTable.from_metadata(str(newest)).scan().to_arrow()
    hours = pa.schema([(name, pa.string()) for name in ("year", "month", "day", "hour")])
    table = ds.dataset(
        f"{path}/data", partitioning=ds.partitioning(hours, flavor="hive")
    ).to_table()
    at = table.column(event_time)
    if pa.types.is_string(at.type):  # the folder says the hour of each row
        hour = [one[:13] for one in at.to_pylist()]
        parts = zip(*(table.column(name).to_pylist() for name in hours.names), strict=True)
        assert hour == [f"{y}-{m}-{d}T{h}" for y, m, d, h in parts]
    return table.drop_columns(hours.names)


def _expected(kind: Kind, rows: pd.DataFrame, group: FeatureGroup, moment: datetime | None) -> Any:
    """Sorted ascending, the last of each identifier; then the deleted ones go."""
    rows = rows[[*group.names, *SYSTEM]]
    if moment is not None:
        text = moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        string = group.feature("at").type is FeatureType.STRING
        rows = rows[rows["at"] <= (text if string else moment.timestamp())]
    if kind == "explore":
        return _plain(rows)
    order = ["at", *SYSTEM, "level", "share"]
    rows = rows.sort_values(order, na_position="first", kind="stable")
    rows = rows.drop_duplicates("sensor", keep="last")
    if kind == "latest":
        return _plain(rows)
    return _plain(rows.loc[~rows["is_deleted"], list(group.names)])


def on_duckdb(text: str, rows: pd.DataFrame) -> pd.DataFrame:
    """What a query in Athena's words answers of a table ``lake.t`` with these rows."""
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'; CREATE SCHEMA lake")
        db.register("rows_in", rows)
        db.execute("CREATE TABLE lake.t AS SELECT * FROM rows_in")
        return db.execute(sqlglot.transpile(text, read="trino", write="duckdb")[0]).df()


def _asked(
    stored: DataFrame, kind: Kind, group: FeatureGroup, moment: datetime | None, zone: str
) -> Any:
    spark = stored.sparkSession
    before = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", zone)
    try:
        rows = run(spark, kind, group, "", rows=stored, limit=10**6, moment=moment)
        instants = {name for name, type_ in rows.dtypes if type_ == "timestamp"}
        columns = [
            f"unix_micros(`{name}`) AS `{name}`" if name in instants else f"`{name}`"
            for name in rows.columns
        ]
        collected = [tuple(one) for one in rows.selectExpr(*columns).collect()]
    finally:
        assert before is not None
        spark.conf.set("spark.sql.session.timeZone", before)
    return sorted(collected, key=repr)


def _plain(rows: pd.DataFrame) -> Any:
    """Sorted tuples: None for null, whole levels, instants as UTC microseconds."""

    def value(name: str, one: Any) -> Any:
        if pd.isna(one):
            return None
        if isinstance(one, pd.Timestamp):
            return one.tz_convert("UTC").value // 1_000
        if name == "level":
            return int(one)
        return one.item() if hasattr(one, "item") else one

    lines = rows.itertuples(index=False, name=None)
    made = [tuple(value(*pair) for pair in zip(rows.columns, one, strict=True)) for one in lines]
    return sorted(made, key=repr)

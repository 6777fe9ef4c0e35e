"""Inputs of every kind: registered tables, windows with lookback, DataFrames, the Python call."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use

import penstock
from penstock import aws
from penstock.contract import (
    Column,
    ColumnType,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)
from penstock.ledger.window import Window, window
from penstock.run.places import offline_path
from tests.flow.test_ingest import TEXT
from tests.lab import Lab
from tests.readings import GROUP, PIPELINE, SOURCE

COUNTS = FeatureGroup(
    name="counts",
    record_identifier="sensor",
    event_time="date",
    features=(
        Feature("sensor", FeatureType.STRING),
        Feature("date", FeatureType.STRING),
        Feature("readings_3d", FeatureType.INTEGRAL),
    ),
)
EVENTS = Source(
    columns=(Column("sensor"), Column("at", ColumnType.TIMESTAMP)),
    time="at",
    lookback=timedelta(days=2),
)
DAY_S = 86_400


def counted(events: DataFrame) -> DataFrame:
    """Readings of a sensor on each day with one and the two days before."""
    day = F.floor(F.unix_micros("at") / (DAY_S * 1_000_000))
    daily = events.groupBy("sensor", day.alias("d")).agg(F.count("*").alias("n"))
    earlier = daily.select("sensor", F.col("d").alias("e"), F.col("n").alias("m"))
    near = (F.col("e") <= F.col("d")) & (F.col("e") >= F.col("d") - 2)
    joined = daily.join(earlier, "sensor").where(near)
    return (
        joined.groupBy("sensor", "d")
        .agg(F.sum("m").alias("readings_3d"))
        .select(
            "sensor",
            F.timestamp_seconds(F.col("d") * DAY_S + (DAY_S - 1)).alias("date"),
            "readings_3d",
        )
    )


def test_windows_read_back_and_give_what_one_run_over_all_gives(lab: Lab, tmp_path: Path) -> None:
    """Two half-open windows one after the other equal the whole; rows outside are left out."""
    file = tmp_path / "events.csv"
    start = datetime(2024, 1, 1, 12, tzinfo=timezone.utc)
    lines = [f"s{n % 3},{start + timedelta(hours=7 * n):%Y-%m-%dT%H:%M:%SZ}" for n in range(40)]
    file.write_text("\n".join(["sensor,at", *lines]) + "\n", encoding="utf-8")
    pipeline = Pipeline(COUNTS, {"events": EVENTS}, counted, window="day")
    middle = "2024-01-07"
    results = [
        lab.ingest(pipeline, {"events": file}, window(*ends))
        for ends in (("2024-01-01", middle), (middle, "2024-02-01"))
    ]
    parts = lab.features(COUNTS)
    assert sum(one.figures.offline for one in results) == len(parts)
    assert results[0].figures.sources[0].outside > 0
    assert results[1].figures.outside > 0  # days of the lookback belong to the window before
    whole = Lab(lab.spark, lab.emulator, tmp_path / "whole")
    whole.ingest(pipeline, {"events": file}, catalog__register=False)
    assert parts == whole.features(COUNTS)
    assert len(parts) > 20


def test_a_window_inside_one_that_is_done_adds_nothing(lab: Lab, tmp_path: Path) -> None:
    """Windows that overlap compare with what is there instead of doubling it."""
    file = _text(tmp_path, TEXT)
    lab.ingest(PIPELINE, {"readings": file})
    again = lab.ingest(PIPELINE, {"readings": file}, window("2024-01-01", "2024-01-02"))
    assert (again.state, again.figures.offline, again.figures.present) == ("done", 0, 2)
    assert len(lab.offline(GROUP)) == 3


def test_a_registered_delta_table_is_a_source(lab: Lab, tmp_path: Path) -> None:
    """The offline table of one group feeds another, found through Glue."""
    lab.ingest(PIPELINE, {"readings": _text(tmp_path, TEXT)})
    copy = FeatureGroup("copies", "sensor", "at", GROUP.features)
    source = Source((Column("sensor"), Column("at"), *SOURCE.columns[2:]))
    table = f"{lab.settings().catalog.database}.readings"
    result = lab.ingest(
        Pipeline(copy, {"rows": source}), {"rows": {"format": "table", "table": table}}
    )
    assert result.figures.sources[0].extra == ("api_invocation_time", "is_deleted", "write_time")
    assert lab.features(copy) == lab.features(GROUP)


def test_a_frame_is_evaluated_once_and_adds_nothing_the_second_time(
    lab: Lab, spark: SparkSession
) -> None:
    """Rows of a DataFrame; a counter in the plan shows how often it was computed."""
    seen = spark.sparkContext.accumulator(0)

    def count(number: int) -> str:
        seen.add(1)
        return f"s{number % 5}"

    frame = _frame(spark).withColumn("sensor", F.udf(count, "string", useArrow=False)("id"))
    first = lab.ingest_frame(frame, GROUP)
    assert (first.figures.read, first.figures.identifiers, seen.value) == (50, 5, 50)
    second = lab.ingest_frame(frame, GROUP)
    assert (second.figures.offline, second.figures.present) == (0, 50)
    assert len(lab.offline(GROUP)) == 50


def test_new_values_at_old_event_times_are_refused(lab: Lab, spark: SparkSession) -> None:
    """The online store would ignore them and the stores would part: exit 65, nothing changes."""
    frame = _frame(spark).withColumn("sensor", F.lit("a"))
    lab.ingest_frame(frame, GROUP)
    before = lab.offline(GROUP)
    with pytest.raises(penstock.PenstockError, match="1 identifiers have new values") as refused:
        lab.ingest_frame(frame.withColumn("level", F.col("level") + 1), GROUP)
    assert refused.value.exit_code == 65
    assert lab.offline(GROUP) == before


def test_the_python_call_does_the_same_with_a_conf_folder(
    spark: SparkSession, tmp_path: Path
) -> None:
    """``penstock.ingest(frame, group)`` on the embedded AWS of a configuration."""
    conf = tmp_path / "conf"
    conf.mkdir()
    values = {
        "project": "lab",
        "lake": str(tmp_path / "lake"),
        "state": str(tmp_path / "state"),
        "aws": {"embedded": True},
    }
    (conf / "base.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (conf / "local.yaml").write_text("{}\n", encoding="utf-8")
    settings = penstock.config.load(conf, "local")
    with aws.connected(settings) as endpoint:
        from penstock.provision import provision

        provision(aws.client(endpoint, "sagemaker"), None, GROUP, settings)
    result = penstock.ingest(_frame(spark).withColumn("sensor", F.lit("a")), GROUP, conf=conf)
    assert (result.state, result.figures.accepted, result.figures.offline) == ("done", 1, 50)
    assert Path(offline_path(settings, "readings")).is_dir()


def test_everything_is_a_window_of_its_own() -> None:
    """Without --start and --end the window has no bounds."""
    assert window(None, None) == Window()


def _frame(spark: SparkSession) -> DataFrame:
    return spark.range(50).select(
        "id",
        F.timestamp_seconds(F.lit(1_704_067_200) + F.col("id")).alias("at"),
        F.col("id").alias("level"),
        F.lit(None).cast("double").alias("share"),
    )


def _text(folder: Path, text: str) -> Path:
    file = folder / "readings.csv"
    file.write_text(text, encoding="utf-8")
    return file

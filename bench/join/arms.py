"""The arms of ``make bench-join``: each reads the same files and writes its answer as Parquet.

    python -m bench.join.arms ARM FOLDER ROWS:TIMES ...

Run by :mod:`bench.join`, one process an arm; a line of JSON on standard output for each run.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from bench.join.data import GROUP, VALUES, Case
from bench.measure import cost

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CORES = 2
PARTITIONS = 8
FEATURES = ", ".join(f"f.{name}" for name in VALUES)
OWN = "l.label, l.who, l.moment"

#: A range join, then the newest row of each label: how Feast's template for Spark goes about it,
#: with its join back to the labels, so that those without features stay.
FEAST = f"""
WITH joined AS (
  SELECT l.label, {FEATURES} FROM labels l JOIN events f ON l.who = f.id AND f.at <= l.moment),
ranked AS (
  SELECT *, row_number() OVER (PARTITION BY label ORDER BY at DESC) AS place FROM joined),
newest AS (SELECT * FROM ranked WHERE place = 1)
SELECT {OWN}, {FEATURES} FROM labels l LEFT JOIN newest f ON l.label = f.label
"""

#: What the SageMaker SDK's DatasetBuilder asks for with ``point_in_time_accurate_join()``: rows
#: without duplicates, those before the newest tombstone left out, then every earlier row of each
#: label. It is no point-in-time join: it answers with many rows a label.
SDK = f"""
WITH ranked AS (
  SELECT *, row_number() OVER (PARTITION BY id, at
    ORDER BY api_invocation_time DESC, write_time DESC) AS place FROM events),
distinct_rows AS (SELECT * FROM ranked WHERE place = 1),
ends AS (
  SELECT id, at, row_number() OVER (PARTITION BY id
    ORDER BY at DESC, api_invocation_time DESC, write_time DESC) AS place
  FROM distinct_rows WHERE is_deleted),
alive AS (
  SELECT d.* FROM distinct_rows d LEFT JOIN (SELECT * FROM ends WHERE place = 1) e
  ON d.id = e.id WHERE NOT d.is_deleted AND (e.id IS NULL OR d.at > e.at))
SELECT {OWN}, {FEATURES} FROM labels l JOIN alive f ON l.who = f.id AND l.moment >= f.at
"""

DUCKDB = """
COPY (SELECT {own}, {features} FROM '{labels}' l ASOF LEFT JOIN '{events}' f
ON l.who = f.id AND l.moment >= f.at) TO '{out}' (FORMAT parquet)
"""


def penstock(labels: DataFrame, events: DataFrame) -> DataFrame:
    """The join of ``penstock dataset build``, without what it says about ages and leaks.

    Of the history it takes the files, as there.
    """
    from penstock.dataset import Lookup
    from penstock.entries import Files
    from penstock.storage import LocalStorage, local_path
    from penstock.training.join import looked_up, plan_of

    paths = [Path(unquote(local_path(one))) for one in events.inputFiles()]
    files = Files({str(one): one.stat().st_size for one in paths}, LocalStorage())
    plan = plan_of(Lookup("history", on="who", features=VALUES), GROUP, labels.columns, 0)
    return looked_up(labels, "moment", plan, GROUP, files).drop(plan.age, plan.later)


def window(labels: DataFrame, events: DataFrame) -> DataFrame:
    """Written by hand: both sides in one window, the last row that is not null."""
    from pyspark.sql import Window
    from pyspark.sql import functions as fn

    nothing = events.select(fn.struct(*VALUES)).schema[0].dataType
    right = events.select(
        fn.col("id").alias("who"), fn.col("at").alias("moment"), fn.struct(*VALUES).alias("f")
    )
    left = labels.withColumn("f", fn.lit(None).cast(nothing))
    both = left.unionByName(right, allowMissingColumns=True)
    order = Window.partitionBy("who").orderBy("moment", fn.col("label").asc_nulls_first())
    newest = fn.last("f", ignorenulls=True).over(order.rowsBetween(Window.unboundedPreceding, 0))
    filled = both.withColumn("f", newest).where("label IS NOT NULL")
    return filled.select("label", "who", "moment", "f.*")


def spark_asof(labels: DataFrame, events: DataFrame) -> DataFrame:
    """Spark's own, that of ``pyspark.pandas.merge_asof``."""
    right = events.select("id", *VALUES)
    joined = labels._joinAsOf(  # noqa: SLF001 - Spark has no public name for it
        right,
        leftAsOfColumn=labels["moment"],
        rightAsOfColumn=right["at"],
        on=labels["who"] == right["id"],
        how="left",
    )
    return joined.select("label", "who", "moment", *VALUES)


def _sql(text: str) -> Callable[[DataFrame, DataFrame], DataFrame]:
    def act(labels: DataFrame, events: DataFrame) -> DataFrame:
        labels.createOrReplaceTempView("labels")
        events.createOrReplaceTempView("events")
        return labels.sparkSession.sql(text)

    return act


SPARK: dict[str, Callable[[DataFrame, DataFrame], DataFrame]] = {
    "penstock": penstock,
    "penstock_skewed": penstock,
    "window": window,
    "feast": _sql(FEAST),
    "spark_asof": spark_asof,
    "sdk": _sql(SDK),
}
ARMS = ("duckdb", *SPARK)


def runner(arm: str) -> Callable[[Case, Path], None]:
    """What joins a case's files into a folder that is not there yet."""
    if arm == "duckdb":
        return _duckdb
    spark = _session(arm)

    def run(case: Case, out: Path) -> None:
        labels, events = spark.read.parquet(case.labels), spark.read.parquet(case.events)
        SPARK[arm](labels, events).write.parquet(str(out))

    return run


def answer(out: Path) -> dict[str, Any]:
    """Rows, those with features, and a sum over them: equal for all that answer right."""
    import duckdb

    text = f"SELECT count(*), count(v1), sum(v3 * label) FROM '{out}/*.parquet'"
    with duckdb.connect() as db:
        found = db.execute(text).fetchone()
    rows, with_features, total = found or (0, 0, 0)
    return {"rows": rows, "with_features": with_features, "sum": int(total or 0)}


def _duckdb(case: Case, out: Path) -> None:
    import duckdb

    names = {"own": OWN, "features": FEATURES, "labels": case.labels, "events": case.events}
    out.mkdir()
    with duckdb.connect() as db:
        db.execute(f"SET threads = {CORES}")
        db.execute(DUCKDB.format(**names, out=out / "0.parquet"))


def _session(arm: str) -> SparkSession:
    from pyspark.sql import SparkSession

    settings: dict[str, bool | float | int | str | None] = {
        "spark.driver.memory": "6g",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(PARTITIONS),
    }
    builder = SparkSession.builder.master(f"local[{CORES}]").appName(f"bench-join {arm}")
    session = builder.config(map=settings).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def main() -> None:
    """Run the arm over each size; the first run, over the smallest, only warms it up."""
    arm, folder = sys.argv[1], Path(sys.argv[2])
    cases = [
        (Case(folder, int(rows), skewed=arm.endswith("_skewed")), int(times))
        for rows, times in (one.split(":") for one in sys.argv[3:])
    ]
    run, out = runner(arm), folder / f"out-{arm}"
    for number, (case, times) in enumerate([(cases[0][0], 1), *cases]):
        for _ in range(times):
            took = cost(partial(run, case, out), without=0)
            made = {"rows": case.rows, "wall_s": took.wall_s, "cpu_s": took.cpu_s}
            print(json.dumps({**made, "warm": number > 0, "answer": answer(out)}), flush=True)
            shutil.rmtree(out)


if __name__ == "__main__":
    main()

"""What a flow costs beside the same steps fused by hand in plain pyspark, in one run.

    make bench-flow                       5 minutes; writes bench/results/flow.json

A million rows of thirty columns go through a flow of twenty steps, from Parquet to Parquet; both
arms fit on all rows and write the same rows, which is checked. Each arm is a process of its own;
wall seconds, and CPU seconds of the process tree, are the median of three runs, the arms taking
turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.measure import cost
from penstock.config import Spark
from penstock.session import spark_session
from penstock.wrangle import document
from penstock.wrangle.reading import Reader
from penstock.wrangle.running import Run, pinned

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "flow.json"
ROWS, ROUNDS, TARGET = 1_000_000, 3, 1.5
_NUMBERS = [f"n{i:02d}" for i in range(18)]
_TEXTS = [f"t{i:02d}" for i in range(10)]
_LABELS = ["red", "green", "blue", "grey", "Black", " white "]
_SHARES = [0.4, 0.25, 0.15, 0.1, 0.06, 0.04]
FLOW = """
sources:
  rows: {path: rows.parquet}
steps:
  - flag_missing: {columns: [n00, n01]}
  - impute: {columns: [n00, n01, n02], strategy: mean}
  - fill_missing: {columns: [n03, n04], value: 0}
  - outliers: {columns: [n05, n06, n07], method: standard_deviation}
  - limits: {columns: [n08], lower: -2, upper: 2}
  - scale: {columns: [n00, n01, n02], scaler: standard}
  - scale: {columns: [n09, n10, n11], scaler: min_max}
  - formula: {formula: "n12 * n13", output: product}
  - formula: {formula: "coalesce(n14, 0) + coalesce(n15, 0)", output: total}
  - fill_missing: {columns: [t00, t01, t02], value: none}
  - format_text: {columns: [t00, t01], to: lower_case}
  - format_text: {columns: [t02], to: upper_case}
  - replace_rare: {columns: [t03], fraction_threshold: 0.1, value: other}
  - one_hot: {columns: [t04]}
  - ordinal: {columns: [t05]}
  - cast: {columns: [n16], to: long}
  - date_parts: {column: at, parts: [year, month, day], one_based: true}
  - concatenate_columns: {columns: [t06, t07], delimiter: "-", output: both}
  - rename_columns: {columns: {t08: label}}
  - drop_columns: {columns: [t09, n17]}
"""


def main() -> None:
    """Both arms, their figures, and whether they answered alike."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arm", choices=["flow", "by_hand"])
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    if asked.arm:
        _run(asked.arm, asked.folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _make(folder)
        found = _measured(folder)
        _compare(folder)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name, figures in found["arms"].items():
        print(f"{name:10} {figures['wall_s']:6.1f} s wall {figures['cpu_s']:6.1f} s CPU")
    print({name: f"{one:.2f} (at most {TARGET})" for name, one in found["ratios"].items()})


def _measured(folder: Path) -> dict[str, Any]:
    runs: dict[str, list[tuple[float, float]]] = {"flow": [], "by_hand": []}
    for _ in range(ROUNDS):
        for arm, measured in runs.items():
            command = [
                sys.executable,
                "-m",
                "bench.wrangling",
                "--arm",
                arm,
                "--folder",
                str(folder),
            ]
            done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
            wall, cpu = map(float, done.stdout.split()[-2:])
            measured.append((wall, cpu))
            print(f"{arm:10} {wall:6.1f} s", flush=True)
    arms = {
        name: {
            "wall_s": round(statistics.median(wall for wall, _ in one), 2),
            "cpu_s": round(statistics.median(cpu for _, cpu in one), 2),
        }
        for name, one in runs.items()
    }
    ratios = {
        figure: round(arms["flow"][figure] / arms["by_hand"][figure], 3)
        for figure in ("wall_s", "cpu_s")
    }
    made = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"made": made, "rows": ROWS, "columns": 30, "steps": 20, "arms": arms, "ratios": ratios}


def _run(arm: str, folder: Path) -> None:
    """One arm in this process; the session is started, and Spark warm, before the clock is."""
    settings = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
    spark = spark_session(Spark(master="local[2]", settings=settings), "bench")
    spark.sparkContext.setLogLevel("ERROR")
    spark.read.parquet(str(folder / "rows.parquet")).limit(1000).toPandas()
    build = _flow if arm == "flow" else _by_hand

    def act() -> None:
        build(spark, folder).write.mode("overwrite").parquet(str(folder / arm))

    with pinned(spark):
        found = cost(act, without=0)
    print(found.wall_s, found.cpu_s)


def _flow(spark: SparkSession, folder: Path) -> DataFrame:
    found = document.parse(FLOW.encode(), "bench.yaml")
    return Run(found, Reader(spark, folder, {})).frame(found.result())


def _by_hand(spark: SparkSession, folder: Path) -> DataFrame:
    """As one writes it who fuses what can be fused: three jobs to learn, one select to apply."""
    from pyspark.sql import functions as fn

    rows = spark.read.parquet(str(folder / "rows.parquet"))
    number = {name: fn.when(~fn.isnan(name), fn.col(name)) for name in _NUMBERS}
    first = ["n00", "n01", "n02"]
    asked = [fn.avg(number[one]).alias(f"mean_{one}") for one in (*first, "n05", "n06", "n07")]
    asked += [fn.stddev_samp(number[one]).alias(f"std_{one}") for one in ("n05", "n06", "n07")]
    asked += [fn.min(number[one]).alias(f"min_{one}") for one in ("n09", "n10", "n11")]
    asked += [fn.max(number[one]).alias(f"max_{one}") for one in ("n09", "n10", "n11")]
    found = rows.agg(fn.count("*").alias("rows"), *asked).first()
    assert found is not None
    filled = {one: fn.coalesce(number[one], fn.lit(found[f"mean_{one}"])) for one in first}
    spread = rows.agg(*[fn.stddev_samp(filled[one]).alias(one) for one in first]).first()
    assert spread is not None
    counts = {
        name: rows.groupBy(name).count().orderBy(fn.desc("count"), name).collect()
        for name in ("t03", "t04", "t05")
    }
    common = [
        one["t03"]
        for one in counts["t03"]
        if one["t03"] is not None and one["count"] > 0.1 * found["rows"]
    ]
    hot = [one["t04"] for one in counts["t04"] if (one["t04"] or "").strip()]
    ranks = [one["t05"] for one in counts["t05"] if one["t05"] is not None]
    return rows.select(*_columns(found, spread, filled, common, hot, ranks))


def _columns(
    found: Any,
    spread: Any,
    filled: dict[str, Any],
    common: list[str],
    hot: list[str],
    ranks: list[str],
) -> list[Any]:
    from pyspark.sql import functions as fn

    made: dict[str, Any] = {name: fn.col(name) for name in ("id", "at", *_NUMBERS, *_TEXTS)}
    nan = fn.lit(float("nan"))
    for one in ("n00", "n01", "n02"):
        made[one] = filled[one] * (1 / spread[one])
    for one in ("n03", "n04"):
        made[one] = fn.when(fn.col(one).isNull() | fn.isnan(one), 0.0).otherwise(fn.col(one))
    for one in ("n05", "n06", "n07"):
        middle, reach = found[f"mean_{one}"], 4.0 * found[f"std_{one}"]
        made[one] = _clipped(one, middle - reach, middle + reach)
    made["n08"] = _clipped("n08", -2.0, 2.0)
    for one in ("n09", "n10", "n11"):
        low, high = found[f"min_{one}"], found[f"max_{one}"]
        value = fn.coalesce(fn.col(one), nan)
        made[one] = (value - low) * (1.0 / (high - low)) + 0.0
    for one in ("t00", "t01", "t02"):
        made[one] = fn.when(fn.col(one).isNull() | (fn.trim(one) == ""), "none").otherwise(
            fn.col(one)
        )
    made["t00"], made["t01"] = fn.lower(made["t00"]), fn.lower(made["t01"])
    made["t02"] = fn.upper(made["t02"])
    made["t03"] = fn.when(fn.col("t03").isin(common), fn.col("t03")).otherwise("other")
    del made["t04"]
    ranked = fn.create_map(*[fn.lit(x) for n, one in enumerate(ranks) for x in (one, float(n))])
    made["t05"] = fn.coalesce(ranked[fn.col("t05")], nan)
    made["n16"] = fn.col("n16").cast("bigint")
    made["label"] = made.pop("t08")
    for name in ("t09", "n17"):
        del made[name]
    order = [name for name in ("id", "at", *_NUMBERS, *_TEXTS, "label") if name in made]
    columns = [made[name].alias(name) for name in order]
    for one in ("n00", "n01"):
        missing = fn.col(one).isNull() | fn.isnan(one)
        columns.append(missing.alias(f"{one}_indicator"))
    columns.append((fn.col("n12") * fn.col("n13")).alias("product"))
    columns.append((fn.coalesce("n14", fn.lit(0)) + fn.coalesce("n15", fn.lit(0))).alias("total"))
    columns += [
        fn.coalesce((fn.col("t04") == one).cast("double"), fn.lit(0.0)).alias(f"t04_{one}")
        for one in hot
    ]
    columns += [
        fn.year("at").cast("double").alias("at_year"),
        fn.month("at").cast("double").alias("at_month"),
        fn.dayofmonth("at").cast("double").alias("at_day"),
        fn.concat_ws("-", "t06", "t07").alias("both"),
    ]
    return columns


def _clipped(name: str, low: float, high: float) -> Any:
    from pyspark.sql import functions as fn

    value = fn.col(name)
    return fn.when(value < low, low).when((value > high) & ~fn.isnan(value), high).otherwise(value)


def _make(folder: Path) -> None:
    random = np.random.default_rng(20_130_101)
    columns: dict[str, Any] = {"id": pa.array(np.arange(ROWS))}
    seconds = random.integers(1_356_998_400, 1_388_534_400, ROWS) * 1_000_000
    columns["at"] = pa.array(seconds, pa.timestamp("us", "UTC"))
    for name in _NUMBERS:
        values = random.normal(size=ROWS) * 3
        columns[name] = pa.array(values, mask=random.random(ROWS) < 0.03)
    for name in _TEXTS:
        values = np.array(_LABELS)[
            random.choice(len(_LABELS), ROWS, p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
        ]
        columns[name] = pa.array(values, mask=random.random(ROWS) < 0.02)
    pq.write_table(pa.table(columns), folder / "rows.parquet", row_group_size=100_000)


def _compare(folder: Path) -> None:
    """Both arms wrote the same columns and rows; floats to the ninth digit."""
    ours, theirs = (pq.read_table(folder / arm).sort_by("id") for arm in ("flow", "by_hand"))
    if sorted(ours.column_names) != sorted(theirs.column_names):
        raise AssertionError(set(ours.column_names) ^ set(theirs.column_names))
    for name in ours.column_names:
        left, right = ours[name].to_pandas(), theirs[name].to_pandas()
        if left.dtype.kind == "f":
            np.testing.assert_allclose(left, right, rtol=1e-9, err_msg=name)
        else:
            assert left.equals(right), name


if __name__ == "__main__":
    main()

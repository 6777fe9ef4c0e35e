"""A plan that is made once gives, of each batch, what a plan made for it gives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyspark.sql import functions as fn

from penstock.storage import LocalStorage
from penstock.streaming.plan import LENGTH, Plan, padded, repeats

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = pa.schema(
    [
        ("n", pa.int64()),
        ("key", pa.string()),
        ("share", pa.float64()),
        ("price", pa.decimal128(20, 4)),
        ("at", pa.timestamp("us", "UTC")),
        ("day", pa.date32()),
        ("raw", pa.binary()),
        ("tags", pa.list_(pa.string())),
    ]
)
TEXT = (
    "n long, key string, share double, price decimal(20,4), at timestamp, day date, raw binary, "
    "tags array<string>"
)
Steps = Callable[["DataFrame", "DataFrame"], "DataFrame"]


def rows(first: int, count: int) -> pa.Table:
    """Rows that differ from batch to batch; every seventh is null but for its number."""
    made: list[dict[str, Any]] = []
    for n in range(first, first + count):
        one: dict[str, Any] = {"n": n}
        if n % 7:
            one |= {
                "key": f"k{n % 5}",
                "share": float("nan") if n % 11 == 0 else n / 3,
                "price": Decimal(n) / 8,
                "at": datetime(1890, 1, 1, tzinfo=timezone.utc) + timedelta(days=n, microseconds=n),
                "day": date(1500, 1, 1) + timedelta(days=n),
                "raw": bytes([n % 256, 0]),
                "tags": [str(n), None],
            }
        made.append(one)
    return pa.Table.from_pylist(made, schema=SCHEMA)


@pytest.fixture
def small(spark: SparkSession) -> DataFrame:
    """What batches are joined with; five keys of six."""
    return spark.createDataFrame([(f"k{n}", n * 10) for n in (0, 1, 2, 3, 9)], "key string, w int")


@pytest.fixture
def plain(spark: SparkSession) -> Any:
    """The session as a stream has it."""
    keys = ("spark.sql.adaptive.enabled", "spark.sql.autoBroadcastJoinThreshold")
    before = {key: spark.conf.get(key) for key in keys}
    spark.conf.set("spark.sql.adaptive.enabled", "false")
    yield
    for key, value in before.items():
        spark.conf.set(key, str(value))


def made(spark: SparkSession, folder: Path, small: DataFrame, steps: Steps) -> tuple[Plan, str]:
    """A plan over a file that is not there yet."""
    path = str(folder / "rows-of-batch.parquet")

    def put_together() -> DataFrame:
        reader = spark.read.schema(TEXT).option("datetimeRebaseMode", "CORRECTED")
        return steps(reader.parquet(path), small)

    return Plan(put_together, path, LocalStorage()), path


def by_itself(
    spark: SparkSession, folder: Path, small: DataFrame, steps: Steps, of: pa.Table
) -> Any:
    """The same, planned for these rows alone."""
    folder.mkdir()
    return made(spark, folder, small, steps)[0].run(of)


def joined(frame: DataFrame, small: DataFrame) -> DataFrame:
    """Steps a stream may have: a small table, figures, a filter."""
    weights = small.groupBy("key").agg(fn.max("w").alias("w"))
    both = frame.join(fn.broadcast(weights), "key", "left")
    return both.where("n % 2 = 0 or w is null").withColumn("sum", fn.col("n") + fn.col("w"))


def halves(frame: DataFrame, small: DataFrame) -> DataFrame:
    """The file is read twice."""
    other = frame.where("n % 2 = 1").join(fn.broadcast(small), "key", "left").select("n", "w")
    return frame.where("n % 2 = 0").select("n", fn.lit(0).alias("w")).union(other)


def sorted_rows(table: pa.Table) -> list[str]:
    """Rows as text: NaN equals itself."""
    return sorted(map(str, table.to_pylist()))


@pytest.mark.parametrize("steps", [joined, halves])
@pytest.mark.usefixtures("plain")
def test_batch_after_batch(
    spark: SparkSession, tmp_path: Path, small: DataFrame, steps: Steps
) -> None:
    """One plan; other values, other counts, a batch of one row, and one that is longer."""
    plan, path = made(spark, tmp_path, small, steps)
    batches = [rows(0, 50), rows(1_000, 3), rows(50, 1), rows(2_000, 60_000), rows(9, 20)]
    for n, batch in enumerate(batches):
        found = plan.run(batch)
        expected = by_itself(spark, tmp_path / str(n), small, steps, batch)
        assert found.schema == expected.schema
        assert sorted_rows(found) == sorted_rows(expected)
        assert plan._planned is not None
    assert Path(path).stat().st_size > LENGTH  # the fourth did not fit, and was planned anew


@pytest.mark.usefixtures("plain")
def test_values_are_kept_to_the_last_bit(
    spark: SparkSession, tmp_path: Path, small: DataFrame
) -> None:
    """All types, nulls, days before the Gregorian calendar, padding between rows and footer."""
    plan, _ = made(spark, tmp_path, small, lambda frame, _: frame)
    for batch in (rows(0, 40), rows(40, 40)):
        found = plan.run(batch)
        assert str(found.select(SCHEMA.names).to_pylist()) == str(batch.to_pylist())


def clock(frame: DataFrame, _small: DataFrame) -> DataFrame:
    """The time of the batch."""
    return frame.select("n", fn.unix_micros(fn.current_timestamp()).alias("now"))


def exchanged(frame: DataFrame, small: DataFrame) -> DataFrame:
    """Both sides are sent to where their key belongs."""
    return frame.join(small.hint("merge"), "key").select("n", "w")


def asked(frame: DataFrame, small: DataFrame) -> DataFrame:
    """A query within."""
    small.createOrReplaceTempView("small_of_stream_plan")
    return frame.select("n", fn.expr("(select max(w) from small_of_stream_plan)").alias("w"))


@pytest.mark.parametrize("steps", [clock, exchanged, asked])
@pytest.mark.usefixtures("plain")
def test_what_must_be_planned_anew(
    spark: SparkSession, tmp_path: Path, small: DataFrame, steps: Steps
) -> None:
    """Else rows would bear an old time, or be those of the batch before."""
    plan, path = made(spark, tmp_path, small, steps)
    answers = [plan.run(batch) for batch in (rows(0, 30), rows(100, 30))]
    assert plan._planned is None
    for first, found in zip((0, 100), answers, strict=True):
        assert set(found.column("n").to_pylist()) <= set(range(first, first + 30))
        assert found.num_rows > 15
    if steps is clock:
        times = [set(one.column("now").to_pylist()) for one in answers]
        assert [len(one) for one in times] == [1, 1]
        assert times[0] != times[1]
    again = spark.read.schema(TEXT).parquet(path)
    assert not repeats(steps(again, small), path)


@pytest.mark.usefixtures("plain")
def test_a_plan_that_may_change_by_itself_is_none(
    spark: SparkSession, tmp_path: Path, small: DataFrame
) -> None:
    """Adaptive plans keep what they found out of the rows before."""
    spark.conf.set("spark.sql.adaptive.enabled", "true")
    plan, _ = made(spark, tmp_path, small, joined)
    first, second = plan.run(rows(0, 30)), plan.run(rows(100, 30))
    assert max(first.column("n").to_pylist()) < 30 <= min(second.column("n").to_pylist())


def test_padding_is_before_the_footer() -> None:
    """The beginning stays where it is, the end is the end."""
    data = b"PAR1rows" + b"footer" + (6).to_bytes(4, "little") + b"PAR1"
    longer = padded(data, 100)
    assert len(longer) == 100
    assert longer.startswith(b"PAR1rows\0")
    assert longer.endswith(b"\0footer\x06\0\0\0PAR1")

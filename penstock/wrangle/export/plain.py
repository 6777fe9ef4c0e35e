"""Functions of the cells after the steps: create the group, read back, join, write.

They stand on their own, as those of steps do, and are copied with their text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as fn

from penstock.wrangle.columns import at

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def as_features(frame: DataFrame, features: dict[str, list[str]]) -> DataFrame:
    """Columns as features: ``{feature: [column, type]}``; what is no number becomes no value."""
    made = []
    for feature, (column, feature_type) in features.items():
        value, kind = at(column), dict(frame.dtypes)[column]
        if feature_type == "Integral":
            value = value.cast("bigint")
        elif feature_type == "Fractional":
            number = value.cast("double")
            value = fn.when(~fn.isnan(number) & (fn.abs(number) != float("inf")), number)
        elif kind.startswith(("date", "timestamp")):
            value = fn.date_format(value.cast("timestamp"), "yyyy-MM-dd'T'HH:mm:ss'Z'")
        else:
            value = value.cast("string")
        made.append(value.alias(feature))
    return frame.select(*made)


def ensure_group(client: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The feature group as the service describes it; created where it is not there.

    Raises:
        RuntimeError: It cannot be created, or what is there has other features.
    """
    import time

    name = request["FeatureGroupName"]
    try:
        described = client.describe_feature_group(FeatureGroupName=name)
    except client.exceptions.ResourceNotFound:
        client.create_feature_group(**request)
        described = client.describe_feature_group(FeatureGroupName=name)
    while described["FeatureGroupStatus"] == "Creating":
        time.sleep(1)
        described = client.describe_feature_group(FeatureGroupName=name)
    if described["FeatureGroupStatus"] != "Created":
        raise RuntimeError(f"{name}: {described.get('FailureReason', 'not created')}")
    there = {(one["FeatureName"], one["FeatureType"]) for one in described["FeatureDefinitions"]}
    wanted = {(one["FeatureName"], one["FeatureType"]) for one in request["FeatureDefinitions"]}
    if not wanted <= there:
        raise RuntimeError(f"{name} has other features: it lacks {sorted(wanted - there)}")
    return dict(described)


def online_records(
    runtime: Any, group: str, identifiers: list[str]
) -> dict[str, dict[str, str] | None]:
    """Records of the online store by identifier, one request each; None where there is none."""
    found: dict[str, dict[str, str] | None] = {}
    for one in identifiers:
        answer = runtime.get_record(FeatureGroupName=group, RecordIdentifierValueAsString=one)
        record = answer.get("Record")
        found[one] = record and {each["FeatureName"]: each["ValueAsString"] for each in record}
    return found


def current_rows(frame: DataFrame, identifier: str, event_time: str) -> DataFrame:
    """Of an offline table the newest row of each identifier; none of what is deleted."""
    order = [event_time, "api_invocation_time", "write_time"]
    newest = Window.partitionBy(at(identifier)).orderBy(*[at(one).desc() for one in order])
    ranked = frame.withColumn("_rank", fn.row_number().over(newest)).filter("_rank = 1")
    return ranked.filter("not is_deleted").drop("_rank", *order[1:], "is_deleted")


def instant(frame: DataFrame, column: str) -> Column:
    """An event time, text or epoch seconds, as microseconds since 1970."""
    if dict(frame.dtypes)[column] == "string":
        return fn.unix_micros(fn.to_timestamp(at(column)))
    return fn.round(at(column) * 1_000_000).cast("bigint")


def join_as_of(
    left: DataFrame,
    right: DataFrame,
    on: dict[str, str],
    left_time: str,
    right_time: str,
    prefix: str,
) -> DataFrame:
    """Every row of ``left``, with the newest row of ``right`` not after its own time.

    ``right`` is an offline table; its features get a prefix. A record that was deleted by then
    gives nothing. Rows of ``left`` stay as many as they are, whatever ``right`` holds.
    """
    system = ["api_invocation_time", "write_time", "is_deleted"]
    keys = list(on.items())
    order = [instant(right, right_time).alias("_at"), *[at(one) for one in system]]
    features = [at(one).alias(f"{prefix}{one}") for one in right.columns if one not in system]
    keyed = [at(theirs).alias(f"_key{n}") for n, (_, theirs) in enumerate(keys)]
    rows = right.select(*keyed, *order, *features)
    numbered = left.withColumn("_row", fn.monotonically_increasing_id()).localCheckpoint()
    same = [at(ours) == fn.col(f"_key{n}") for n, (ours, _) in enumerate(keys)]
    condition = fn.col("_at") <= instant(numbered, left_time)
    for one in same:
        condition = condition & one
    newest = Window.partitionBy("_row").orderBy(
        *[fn.col(one).desc() for one in ("_at", "api_invocation_time", "write_time")]
    )
    joined = numbered.join(rows, condition, "left").withColumn(
        "_rank", fn.row_number().over(newest)
    )
    kept = joined.filter("_rank = 1")
    hidden = fn.coalesce(fn.col("is_deleted"), fn.lit(False))  # noqa: FBT003 - a literal
    theirs = [f"{prefix}{one}" for one in right.columns if one not in system]
    return kept.select(
        *[at(one) for one in left.columns],
        *[fn.when(~hidden, at(one)).alias(one) for one in theirs],
    )


def offline_rows(spark: SparkSession, lake: str, table: str) -> DataFrame:
    """All rows of a group's offline table, a Delta table in the lake."""
    return spark.read.format("delta").load(f"{lake}/offline/{table}")

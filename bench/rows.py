"""The rows every arm sends: made once, the same for all, as Parquet and as a feature group.

An identifier, an event time, numbers of full length and two short texts; about 1.4 KB of JSON a
record of 20 features.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.contract import Expectation, Feature, FeatureGroup, FeatureType

REGION = "us-east-1"
GROUP = "bench-group"
ARN = f"arn:aws:sagemaker:{REGION}:123456789012:feature-group/{GROUP}"
IDENTIFIER, EVENT_TIME = "record_id", "event_time"
CHANNELS = ("web", "app", "store")
ROW_GROUP = 50_000  # staging writes about as many at once
TEXTS = 2


def group(features: int) -> FeatureGroup:
    """The contract: an identifier, an event time, a fifth of integers, doubles, two texts."""
    found = [Feature(IDENTIFIER, FeatureType.STRING), Feature(EVENT_TIME, FeatureType.STRING)]
    integers = (features - 2 - TEXTS) // 4
    for place in range(2, features):
        kind = FeatureType.FRACTIONAL
        if place < 2 + integers:
            kind = FeatureType.INTEGRAL
        elif place >= features - TEXTS:
            kind = FeatureType.STRING
        found.append(Feature(f"feature_name_{place:02d}", kind))
    return FeatureGroup(GROUP, IDENTIFIER, EVENT_TIME, tuple(found), expectations=_rules(found))


def _rules(features: list[Feature]) -> tuple[Expectation, ...]:
    """Rules of four kinds, for the arm that has gates; no row breaks any."""
    number = next(one.name for one in features if one.type is FeatureType.FRACTIONAL)
    between = {"min_value": 0, "max_value": 1000}
    return (
        Expectation("expect_column_values_to_not_be_null", features[2].name),
        Expectation("expect_column_values_to_be_between", number, between),
        Expectation(
            "expect_column_values_to_be_in_set", features[-1].name, {"value_set": list(CHANNELS)}
        ),
        Expectation("expect_column_values_to_match_regex", IDENTIFIER, {"regex": "^cust-[0-9]+$"}),
    )


def table(count: int, features: int, first: int = 0) -> pa.Table:
    """``count`` rows from number ``first`` on, sorted by identifier; the same ones each time."""
    chance = random.Random(first)
    columns: dict[str, Any] = {
        IDENTIFIER: [f"cust-{n:010d}" for n in range(first, first + count)],
        EVENT_TIME: [f"2024-05-01T06:{n // 60 % 60:02d}:{n % 60:02d}Z" for n in range(count)],
    }
    for one in group(features).features[2:]:
        columns[one.name] = _column(one, count, chance)
    columns[one.name] = [CHANNELS[n % 3] for n in range(count)]
    return pa.table(columns)


def _column(feature: Feature, count: int, chance: random.Random) -> list[Any]:
    if feature.type is FeatureType.INTEGRAL:
        return [chance.randrange(10**6) for _ in range(count)]
    if feature.type is FeatureType.FRACTIONAL:
        return [chance.random() * 1000 for _ in range(count)]
    return [f"segment_{n % 37}" for n in range(count)]


def written(folder: Path, count: int, features: int, first: int = 0) -> Path:
    """The rows as a Parquet file, written the first time it is asked for."""
    path = folder / f"rows-{first}-{count}-{features}.parquet"
    if not path.exists():
        pq.write_table(table(count, features, first), path, row_group_size=ROW_GROUP)
    return path


def description(features: int) -> dict[str, Any]:
    """What DescribeFeatureGroup says of the group."""
    definitions = [
        {"FeatureName": one.name, "FeatureType": one.type.value} for one in group(features).features
    ]
    return {
        "FeatureGroupArn": ARN,
        "FeatureGroupName": GROUP,
        "RecordIdentifierFeatureName": IDENTIFIER,
        "EventTimeFeatureName": EVENT_TIME,
        "FeatureDefinitions": definitions,
        "CreationTime": 1.7e9,
        "OnlineStoreConfig": {"EnableOnlineStore": True},
        "FeatureGroupStatus": "Created",
    }

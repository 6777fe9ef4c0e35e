"""The small feature group most tests of whole runs use: readings of sensors."""

from __future__ import annotations

from penstock.contract import (
    Column,
    ColumnType,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)

#: Without ``share``, for groups that have something else beside the level.
LEVELS = FeatureGroup(
    name="readings",
    record_identifier="sensor",
    event_time="at",
    features=(
        Feature("sensor", FeatureType.STRING),
        Feature("at", FeatureType.STRING),
        Feature("level", FeatureType.INTEGRAL),
    ),
)
COLUMNS = (Column("sensor"), Column("at", ColumnType.TIMESTAMP), Column("level", ColumnType.LONG))
GROUP = FeatureGroup(
    name=LEVELS.name,
    record_identifier=LEVELS.record_identifier,
    event_time=LEVELS.event_time,
    features=(*LEVELS.features, Feature("share", FeatureType.FRACTIONAL)),
)
SOURCE = Source((*COLUMNS, Column("share", ColumnType.DOUBLE)))
PIPELINE = Pipeline(GROUP, {"readings": SOURCE})

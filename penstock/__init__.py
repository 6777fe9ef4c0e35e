"""penstock: Spark pipelines into Amazon SageMaker Feature Store."""

from penstock.api import ingest
from penstock.contract import (
    Column,
    ColumnType,
    Expectation,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)
from penstock.errors import PenstockError

__all__ = [
    "Column",
    "ColumnType",
    "Expectation",
    "Feature",
    "FeatureGroup",
    "FeatureType",
    "PenstockError",
    "Pipeline",
    "Source",
    "ingest",
]

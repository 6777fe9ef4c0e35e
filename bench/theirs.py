"""The peers: boto3 in ``foreachPartition`` and AWS's Spark connector, as users write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bench.rows import ARN, GROUP

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

ENTRIES = 25  # what BatchWriteRecord takes


def boto3_put(frame: DataFrame) -> None:
    """One PutRecord a row, one client a partition."""
    frame.foreachPartition(_put)


def boto3_batch(frame: DataFrame) -> None:
    """One BatchWriteRecord for 25 rows, one client a partition."""
    frame.foreachPartition(_batch)


def connector_put(frame: DataFrame) -> None:
    """AWS's connector with its defaults."""
    _connector(frame, batch=False)


def connector_batch(frame: DataFrame) -> None:
    """AWS's connector with ``use_batch_write_record``."""
    _connector(frame, batch=True)


def _client() -> Any:
    import boto3
    from botocore.config import Config

    retries = Config(retries={"mode": "standard", "max_attempts": 10})
    runtime: Any = boto3.client("sagemaker-featurestore-runtime", config=retries)
    return runtime


def _record(row: Row) -> list[dict[str, str]]:
    values = row.asDict().items()
    return [
        {"FeatureName": name, "ValueAsString": str(value)}
        for name, value in values
        if value is not None
    ]


def _put(rows: Iterable[Row]) -> None:
    client = _client()
    for row in rows:
        client.put_record(FeatureGroupName=GROUP, Record=_record(row), TargetStores=["OnlineStore"])


def _batch(rows: Iterable[Row]) -> None:
    client, entries = _client(), []
    for row in rows:
        entries.append(
            {"FeatureGroupName": GROUP, "Record": _record(row), "TargetStores": ["OnlineStore"]}
        )
        if len(entries) == ENTRIES:
            _written(client, entries)
            entries = []
    if entries:
        _written(client, entries)


def _written(client: Any, entries: list[dict[str, Any]]) -> None:
    answer = client.batch_write_record(Entries=entries)
    if answer["Errors"] or answer["UnprocessedEntries"]:
        raise RuntimeError("the stub refused an entry")


def _connector(frame: DataFrame, *, batch: bool) -> None:
    from feature_store_pyspark.FeatureStoreManager import (  # type: ignore[import-not-found]  # only in the bench's own environment
        FeatureStoreManager,
    )

    manager = FeatureStoreManager()
    manager.ingest_data(frame, ARN, target_stores=["OnlineStore"], use_batch_write_record=batch)
    manager.get_failed_stream_ingestion_data_frame().unpersist()

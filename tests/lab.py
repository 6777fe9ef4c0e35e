"""A laboratory: pipelines run on a shared Spark session against an embedded AWS of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from penstock import aws, config, lake, provision
from penstock.catalog.table import table_name
from penstock.contract import FeatureGroup, Pipeline
from penstock.emulator.server import Emulator
from penstock.ledger.window import Window
from penstock.run.context import Context
from penstock.run.ingest import Result, ingest_frame, ingest_pipeline
from penstock.run.places import quarantine_path
from penstock.storage import LocalStorage

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Lab:
    """Everything under ``root``; sources are named by path or by a location's fields.

    Args:
        spark: A session.
        emulator: The AWS.
        root: A folder.
        form: Format of the offline tables.
    """

    spark: SparkSession
    emulator: Emulator
    root: Path
    form: str = "delta"

    @property
    def endpoint(self) -> aws.Endpoint:
        """Where the embedded AWS is."""
        emulator = self.emulator
        return aws.Endpoint(emulator.region, emulator.url, str(emulator.credentials_file))

    def settings(self, sources: dict[str, Any] | None = None, **flags: Any) -> config.Settings:
        """Settings with these sources; flags are dotted keys with __ for the dot."""
        located = {
            name: one if isinstance(one, dict) else {"format": "csv", "path": str(one)}
            for name, one in (sources or {}).items()
        }
        values: dict[str, Any] = {
            "project": "lab",
            "lake": str(self.root / "lake"),
            "state": str(self.root / "state"),
            "aws": {"region": self.endpoint.region},
            "sources": located,
            "quality": {"docs": False},
            "offline": {"format": self.form},
        }
        for key, value in flags.items():
            section, _, name = key.partition("__")
            values.setdefault(section, {})[name] = value
        return config.Settings.model_validate(values)

    def context(self, settings: config.Settings) -> Context:
        """A context on these settings."""
        return Context(lambda: self.spark, self.endpoint, settings, self.root)

    def provision(self, group: FeatureGroup, settings: config.Settings) -> None:
        """Make the feature group."""
        sagemaker = aws.client(self.endpoint, "sagemaker")
        provision.provision(sagemaker, aws.client(self.endpoint, "glue"), group, settings)

    def ingest(
        self,
        pipeline: Pipeline,
        sources: dict[str, Any],
        window: Window | None = None,
        **flags: Any,
    ) -> Result:
        """Provision the group and ingest one window."""
        settings = self.settings(sources, **flags)
        self.provision(pipeline.group, settings)
        return ingest_pipeline(self.context(settings), pipeline, window or Window())

    def ingest_frame(self, frame: DataFrame, group: FeatureGroup, **flags: Any) -> Result:
        """Provision the group and ingest a DataFrame."""
        settings = self.settings(**flags)
        self.provision(group, settings)
        return ingest_frame(self.context(settings), frame, group)

    def offline(self, group: FeatureGroup) -> Rows:
        """All offline rows, sorted by identifier, event time and tie."""
        log = self.context(self.settings()).log(group)
        version = log.version()
        if version is None:
            return []
        files = log.files(version)
        assert files is not None
        tables = [pq.read_table(one) for one in files.sizes]
        rows: Rows = [row for one in tables for row in one.to_pylist()]
        keys = (group.record_identifier, group.event_time, "api_invocation_time")
        return sorted(rows, key=lambda row: tuple(row[key] for key in keys))

    def features(self, group: FeatureGroup) -> Rows:
        """All offline rows without the three system columns."""
        return [{name: row[name] for name in group.names} for row in self.offline(group)]

    def online(self, group: FeatureGroup, *identifiers: str) -> dict[str, dict[str, str] | None]:
        """What GetRecord answers for each identifier."""
        runtime = aws.client(self.endpoint, "sagemaker-featurestore-runtime")
        found: dict[str, dict[str, str] | None] = {}
        for one in identifiers:
            answer = runtime.get_record(
                FeatureGroupName=group.name, RecordIdentifierValueAsString=one
            )
            record = answer.get("Record")
            found[one] = record and {f["FeatureName"]: f["ValueAsString"] for f in record}
        return found

    def online_identifiers(self, group: FeatureGroup) -> list[str]:
        """All identifiers the online store has, sorted."""
        runtime = aws.client(self.endpoint, "sagemaker-featurestore-runtime")
        pages = runtime.get_paginator("list_records").paginate(FeatureGroupName=group.name)
        return sorted(one for page in pages for one in page["RecordIdentifiers"])

    def quarantine(self) -> Rows:
        """All entries, sorted by file, position and column."""
        rows = lake.quarantined(quarantine_path(self.settings()), LocalStorage())
        return sorted(rows, key=lambda r: (r["file"] or "", r["position"] or 0, r["column"] or ""))

    def table(self, group: FeatureGroup) -> dict[str, Any]:
        """The group's Glue table."""
        glue, settings = aws.client(self.endpoint, "glue"), self.settings()
        name = table_name(group.name, settings)
        answer = glue.get_table(DatabaseName=settings.catalog.database, Name=name)
        return dict(answer["Table"])

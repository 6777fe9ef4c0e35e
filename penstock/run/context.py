"""What every step of a run is handed: session, endpoint, settings, clock, and whom to tell."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from penstock import aws
from penstock.bucket import storage_of
from penstock.config import Settings
from penstock.contract import FeatureGroup
from penstock.offline.log import TableLog
from penstock.offline.table import OfflineTable
from penstock.progress import Progress, Silent
from penstock.quarantine import Quarantine
from penstock.run.interruption import own_interrupt
from penstock.run.places import offline_path, quarantine_path
from penstock.run.tables import table_log
from penstock.stage.report import Report
from penstock.stage.spark import rows_schema
from penstock.storage import Storage


def _now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class Kept:
    """A source as it came through its gate: for which group, figures and files."""

    reader: str
    report: Report


@dataclass(frozen=True)
class Context:
    """The surroundings of a run.

    Args:
        start: Gives a session with Delta; called when one is needed first.
        endpoint: Where AWS is.
        settings: What ``conf`` says.
        root: Folder that relative paths of sources are relative to.
        progress: Whom to tell.
        now: Aware wall clock; for pins and for people.
        monotonic: Seconds, for durations.
        sleep: Waits so many seconds.
        takeover: Do not wait for the lease of another run.
        read: What this session has read, for groups that share a source: see
            :func:`penstock.run.readings.read`.
    """

    start: Callable[[], SparkSession]
    endpoint: aws.Endpoint
    settings: Settings
    root: Path
    progress: Progress = field(default_factory=Silent)
    now: Callable[[], datetime] = _now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    takeover: bool = False
    read: dict[str, Kept] = field(default_factory=dict)

    @functools.cached_property
    def spark(self) -> SparkSession:
        """The session; starting it takes seconds, so a run with nothing to do never asks for it."""
        with own_interrupt():
            return self.start()

    @property
    def storage(self) -> Storage:
        """Where ledger, staged files and markers are."""
        return storage_of(self.settings.state, self.settings)

    def table(self, group: FeatureGroup) -> OfflineTable:
        """A group's offline table."""
        path = offline_path(self.settings, group.name)
        storage = storage_of(path, self.settings)
        log = self.log(group)
        return OfflineTable(self.spark, path, storage, group, rows_schema(group), log)

    def log(self, group: FeatureGroup) -> TableLog:
        """Its log, which needs no Spark."""
        return table_log(self.settings, group.name, group.event_time, lambda: self.client("glue"))

    @property
    def quarantine(self) -> Quarantine:
        """The quarantine table."""
        path = quarantine_path(self.settings)
        return Quarantine(self.spark, path, storage_of(path, self.settings))

    def client(self, service: str) -> Any:
        """A boto3 client of a control-plane service."""
        return aws.client(self.endpoint, service)

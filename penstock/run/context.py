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
from penstock.config import Settings
from penstock.progress import Progress, Silent
from penstock.run.interruption import own_interrupt
from penstock.storage import Storage, storage_of


def _now() -> datetime:
    return datetime.now(timezone.utc)


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

    @functools.cached_property
    def spark(self) -> SparkSession:
        """The session; starting it takes seconds, so a run with nothing to do never asks for it."""
        with own_interrupt():
            return self.start()

    @property
    def storage(self) -> Storage:
        """Where ledger, staged files and markers are; raises ConfigError: no run on S3 as yet."""
        return storage_of(self.settings.state)

    def client(self, service: str) -> Any:
        """A boto3 client of a control-plane service."""
        return aws.client(self.endpoint, service)

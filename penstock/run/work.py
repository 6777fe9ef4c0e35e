"""One window on its way through the steps, and what it is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame

from penstock.contract import FeatureGroup, Transform
from penstock.errors import PenstockError
from penstock.ledger.journal import Journal
from penstock.offline.table import OfflineTable
from penstock.quality import Finding
from penstock.quarantine import Entry, Quarantine
from penstock.run.context import Context
from penstock.run.inputs import Input
from penstock.run.manifest import Manifest, read_manifest
from penstock.run.mode import Mode
from penstock.run.places import Places


@dataclass(frozen=True)
class Feed:
    """What a window is made from.

    Args:
        group: The contract.
        meaning: Hash of what decides the rows.
        inputs: Pinned sources; empty for a DataFrame.
        transform: From the sources' frames to one.
        frame: A DataFrame instead of sources.
    """

    group: FeatureGroup
    meaning: str
    inputs: tuple[Input, ...] = ()
    transform: Transform | None = None
    frame: DataFrame | None = None

    @property
    def pins(self) -> Any:
        """Pins of all inputs; None for a DataFrame, which is pinned by being staged."""
        return None if self.frame is not None else {one.name: one.pin for one in self.inputs}


@dataclass
class Work:
    """One window on its way; what is no ingestion keeps its manifest elsewhere.

    ``findings`` is what this run found when it judged the staged set, ``report`` the path of its
    report; None before, and where there is none.
    """

    context: Context
    feed: Feed
    places: Places
    generation: int
    epoch: int
    run: str
    journal: Journal
    mode: Mode
    compare: bool
    began: float
    _manifest: Manifest | None = field(default=None)
    manifest_path: str | None = None
    findings: tuple[Finding, ...] | None = None
    report: str | None = None

    @property
    def group(self) -> FeatureGroup:
        """The contract."""
        return self.feed.group

    @property
    def manifest(self) -> Manifest:
        """What was staged, in this run or an earlier one."""
        if self._manifest is None:
            path = self.manifest_path or self.places.manifest(self.generation)
            self._manifest = read_manifest(self.context.storage, path)
        if self._manifest is None:
            raise PenstockError(f"{self.group.name}: nothing is staged")
        return self._manifest

    @property
    def table(self) -> OfflineTable:
        """The offline table."""
        return self.context.table(self.group)

    @property
    def quarantine(self) -> Quarantine:
        """The quarantine table."""
        return self.context.quarantine

    def say(self, detail: str) -> None:
        """Tell that a step begins."""
        self.context.progress.step(self.group.name, detail)

    def note(self, text: str) -> None:
        """Tell something worth knowing."""
        self.context.progress.note(self.group.name, text)

    def entry(self) -> Entry:
        """Who enters rows into the quarantine."""
        return Entry(self.group.name, self.run, self.context.now())

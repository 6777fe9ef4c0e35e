"""Where the durable things of a run lie; names of groups and windows are safe in paths."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.catalog.table import table_name
from penstock.config import Settings
from penstock.ledger.history import Ledger
from penstock.ledger.window import Window
from penstock.storage import Storage, absolute


@dataclass(frozen=True)
class Places:
    """Folders under ``state`` of one window; ``lake`` holds what users read.

    Args:
        state: Absolute folder of ledger, staged files and markers.
        group: Logical name of the feature group.
        window: The window.
    """

    state: str
    group: str
    window: Window

    @property
    def lease(self) -> str:
        """The lease of whoever runs the window."""
        return f"{self.state}/leases/{self.group}/{self.window.name}.json"

    def journal(self, generation: int) -> str:
        """Folder of one generation's events."""
        return f"{self.state}/ledger/{self.group}/{self.window.name}/{generation:04d}"

    def staged(self, generation: int, epoch: int) -> str:
        """Folder of what one driver staged."""
        return f"{self._staged(generation)}/{epoch:04d}"

    def manifest(self, generation: int) -> str:
        """What was staged; the first one written stands for ever."""
        return f"{self._staged(generation)}/manifest.json"

    def pin(self, generation: int, name: str) -> str:
        """A value that is decided once."""
        return f"{self._staged(generation)}/{name}.json"

    def results(self, generation: int, selection: int | None = None) -> str:
        """Folder of chunk markers and rejects, of all candidates or of one selection of them."""
        number = "" if selection is None else f"-{selection:04d}"
        return f"{self.state}/online/{self.group}/{self.window.name}/{generation:04d}{number}"

    def selected(self, generation: int, selection: int) -> str:
        """Folder of the send files of one selection, for whoever makes it."""
        return f"{self._staged(generation)}/selection-{selection:04d}"

    def _staged(self, generation: int) -> str:
        return f"{self.state}/staged/{self.group}/{self.window.name}/{generation:04d}"


def state_folder(settings: Settings) -> str:
    """Absolute folder of the state, or its ``s3://`` URI."""
    return absolute(settings.state)


def streams_folder(state: str, group: str) -> str:
    """Folder of all streams of a group, below the folder of the state."""
    return f"{state}/streams/{group}"


def reconcile_folder(state: str, group: str) -> str:
    """Folder of what comparisons of a group's stores have found, below the folder of the state."""
    return f"{state}/reconcile/{group}"


def metrics_path(settings: Settings, run: str) -> str:
    """JSON lines of one run's figures while it sends."""
    return f"{state_folder(settings)}/metrics/{run}.jsonl"


def offline_path(settings: Settings, group: str) -> str:
    """Absolute folder of a group's offline table, or its ``s3://`` URI."""
    return f"{absolute(settings.lake)}/offline/{table_name(group, settings)}"


def quarantine_path(settings: Settings) -> str:
    """Absolute folder of the quarantine table, or its ``s3://`` URI."""
    return f"{absolute(settings.lake)}/quarantine"


def docs_path(settings: Settings, group: str) -> str:
    """Absolute folder of a group's Data Docs, or its ``s3://`` URI."""
    return f"{absolute(settings.lake)}/docs/{group}"


def reports_path(settings: Settings, group: str) -> str:
    """Absolute folder of the reports of a group's runs, or its ``s3://`` URI."""
    return f"{absolute(settings.lake)}/reports/{group}"


def ledger_of(storage: Storage, places: Places) -> Ledger:
    """The ledger of a window's group."""
    return Ledger(storage, places.state, places.group)

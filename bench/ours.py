"""penstock's own arms: the ONLINE step over a staged file, and a DataFrame up to ONLINE_DONE.

Both are the engine's own code with its own settings: retries, pacing, markers and dead letters are
on, and nothing is switched off for the measurement.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.rows import REGION
from penstock.aws import Endpoint
from penstock.config import Settings
from penstock.contract import FeatureGroup
from penstock.ledger.journal import Journal, State
from penstock.ledger.window import Window
from penstock.run.context import Context
from penstock.run.figures import Figures
from penstock.run.ingest import ingest_frame
from penstock.run.manifest import Manifest
from penstock.run.mode import mode_of
from penstock.run.places import Places, state_folder
from penstock.run.steps import send
from penstock.run.work import Feed, Work
from penstock.stage.report import Report, Staged
from penstock.storage import LocalStorage, Storage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Ours:
    """penstock on a session and an endpoint.

    Args:
        spark: The session all arms share.
        url: The stub.
        folder: For state and lake; each run gets a fresh one in it.
        online: Settings of ``online:`` in ``conf``, for example ``{"api": "put"}``.
        marker_s: How long the storage takes to put a marker, on top of the disk's own time.
    """

    spark: SparkSession
    url: str
    folder: Path
    online: dict[str, Any] = field(default_factory=dict)
    marker_s: float = 0.0

    def send(self, group: FeatureGroup, files: Sequence[tuple[Path, int]]) -> None:
        """The ONLINE step over staged files (path, rows): a Spark job, then the fold of markers.

        Raises:
            RuntimeError: Not every row was accepted.
        """
        work = self._work(group, files)
        found, rows = send(work), sum(rows for _, rows in files)
        if (found["accepted"], found["rejected"]) != (rows, 0):
            raise RuntimeError(f"{found['accepted']} of {rows} records were accepted")

    def ingest(self, group: FeatureGroup, frame: DataFrame) -> None:
        """``penstock.ingest`` from the claim to ONLINE_DONE, where it is stopped.

        Raises:
            RuntimeError: It ended before that.
        """
        context = self._context()
        stop = _Stop(lambda: _state(context, group))
        try:
            ingest_frame(_with_progress(context, stop), frame, group)
        except _OnlineDoneError:
            return
        raise RuntimeError("the run ended without being stopped at ONLINE_DONE")

    def _work(self, group: FeatureGroup, files: Sequence[tuple[Path, int]]) -> Work:
        context = self._context()
        places = Places(state_folder(context.settings), group.name, Window())
        mode = mode_of(group, context.settings, "latest", None)
        staged = tuple(Staged(str(path), rows) for path, rows in files)
        rows = sum(rows for _, rows in files)
        manifest = Manifest(
            run="bench",
            pins=None,
            meaning=group.meaning,
            mode=mode,
            chunk_rows=context.settings.online.chunk_rows,
            compare=False,
            staged=Report(rows_in=rows, fit=rows, identifiers=rows, send=staged),
            figures=Figures(produced=rows, valid=rows, identifiers=rows),
        )
        return Work(
            context=context,
            feed=Feed(group, group.meaning),
            places=places,
            generation=0,
            epoch=1,
            run="bench",
            journal=Journal(context.storage, places.journal(0)),
            mode=mode,
            compare=False,
            began=time.monotonic(),
            _manifest=manifest,
        )

    def _context(self) -> Context:
        home = self.folder / f"run-{next(_NUMBERS)}"
        settings = Settings.model_validate(
            {
                "project": "bench",
                "lake": str(home / "lake"),
                "state": str(home / "state"),
                "aws": {"region": REGION, "endpoint_url": self.url},
                "online": self.online,
            }
        )
        session = self.spark
        return _Context(
            lambda: session, Endpoint(REGION, self.url), settings, home, marker_s=self.marker_s
        )


_NUMBERS = count()


@dataclass(frozen=True)
class _Context(Context):
    """A context whose storage may be slow."""

    marker_s: float = 0.0

    @property
    def storage(self) -> Storage:
        return SlowStorage(self.marker_s) if self.marker_s else super().storage


@dataclass(frozen=True)
class SlowStorage(LocalStorage):
    """A folder that takes its time to put, as an object store does."""

    seconds: float

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Later."""
        time.sleep(self.seconds)
        return super().put_if_absent(path, data)


class _OnlineDoneError(Exception):
    """The run has come as far as it is measured."""


@dataclass(frozen=True)
class _Stop:
    """A progress that ends the run at the first step after ONLINE_DONE."""

    state: Callable[[], State | None]

    def step(self, what: str, detail: str) -> None:
        """Look how far it is."""
        del what, detail
        if self.state() is State.ONLINE_DONE:
            raise _OnlineDoneError

    def advance(self, what: str, done: int, total: int) -> None:
        """Nothing."""

    def live(self, what: str, text: str) -> None:
        """Nothing."""

    def note(self, what: str, text: str) -> None:
        """Nothing."""


def _state(context: Context, group: FeatureGroup) -> State | None:
    places = Places(state_folder(context.settings), group.name, Window())
    return Journal(context.storage, places.journal(0)).refresh().state


def _with_progress(context: Context, progress: _Stop) -> Context:
    return replace(context, progress=progress)

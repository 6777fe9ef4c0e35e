"""One batch of a stream, staged: what it read, what is fit, what is sent. Decided once.

The manifest is put if absent. A batch that Spark replays after a crash is taken from it, so that
what was sent is what is stored, whatever an evaluation would give a second time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from penstock.run.figures import SourceFigures, source_of
from penstock.run.mode import Mode, mode
from penstock.stage.report import Report, report
from penstock.storage import Storage

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Batch:
    """A staged batch.

    Args:
        number: Spark's.
        run: Identifier of the run that staged it.
        at: When, in microseconds: ``api_invocation_time`` of its rows.
        until: Offsets at its end, as Spark notes them; None where it tells none.
        way: Who staged it and sends it: the ``driver``, or Spark's ``tasks``.
        mode: What is done to which store.
        chunk_rows: Rows a marker.
        source: The source gate.
        bad: Files of rows it put aside.
        staged: Files and figures of the feature gate.
        expired: Candidates that are not sent because their time to live is over.
    """

    number: int
    run: str
    at: int
    until: Any
    way: str
    mode: Mode
    chunk_rows: int
    source: SourceFigures
    bad: tuple[str, ...]
    staged: Report
    expired: int = 0

    @property
    def put_aside(self) -> list[str]:
        """Files of all rows that were put aside."""
        return [*self.bad, *(one.path for one in self.staged.bad)]

    @property
    def send(self) -> dict[str, int]:
        """Rows of the files that are sent."""
        return {one.path: one.rows for one in self.staged.send}

    def encoded(self) -> bytes:
        """As it is stored."""
        plain = {
            **self.__dict__,
            "mode": self.mode.plain(),
            "source": asdict(self.source),
            "staged": self.staged.plain(),
        }
        return json.dumps(plain, sort_keys=True).encode()


def read_batch(storage: Storage, folder: str) -> Batch | None:
    """The batch that was staged into a folder, or None."""
    try:
        plain = json.loads(storage.read(f"{folder}/{_MANIFEST}"))
    except FileNotFoundError:
        return None
    return _batch(plain)


def keep(storage: Storage, folder: str, batch: Batch) -> Batch:
    """Write the manifest down; the one that was there first counts."""
    if storage.put_if_absent(f"{folder}/{_MANIFEST}", batch.encoded()):
        return batch
    found = read_batch(storage, folder)
    assert found is not None
    return found


def results_of(folder: str) -> str:
    """Folder of the markers and rejects of a batch."""
    return f"{folder}/online"


def _batch(plain: Mapping[str, Any]) -> Batch:
    made = {
        **plain,
        "mode": mode(plain["mode"]),
        "source": source_of(plain["source"]),
        "bad": tuple(plain["bad"]),
        "staged": report(plain["staged"]),
    }
    return Batch(**made)

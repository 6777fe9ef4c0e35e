"""The manifest: what exactly was staged. Once it exists, every later step is a function of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from typing import Any

from penstock.offline.comparison import Means
from penstock.run.figures import Figures, figures
from penstock.run.mode import Mode, mode
from penstock.stage.report import Report, report
from penstock.storage import Storage


@dataclass(frozen=True)
class Manifest:
    """One staged window.

    Args:
        run: Identifier of the run that staged it.
        pins: What the sources were, as JSON values; None for a DataFrame.
        meaning: Hash of the pipeline's meaning.
        mode: What is done to which store: fixed here, whatever ``conf`` says later.
        chunk_rows: Rows a marker; fixed here, because markers count in it.
        compare: Whether rows may be in the offline table already.
        staged: Files and figures of the feature gate.
        figures: Figures so far.
        correct: How values are corrected that the online store has at the same event time; None
            where there are none.
    """

    run: str
    pins: Any
    meaning: str
    mode: Mode
    chunk_rows: int
    compare: bool
    staged: Report
    figures: Figures
    correct: Means | None = None

    def ended(
        self, online: Mapping[str, Any], offline: Mapping[str, Any], seconds: float
    ) -> Figures:
        """Figures of the whole run, from what its last events carry."""
        known = {one.name for one in fields(Figures)}
        said = {name: value for name, value in {**online, **offline}.items() if name in known}
        return replace(self.figures, **said, seconds=seconds)

    def done(self, ended: Figures) -> dict[str, Any]:
        """What DONE carries."""
        return {
            "figures": ended.plain(),
            "pins": self.pins,
            "meaning": self.meaning,
            "mode": self.mode.name,
            "run": self.run,
        }

    def encoded(self) -> bytes:
        """As it is stored."""
        plain = {
            **self.__dict__,
            "mode": self.mode.plain(),
            "staged": self.staged.plain(),
            "figures": self.figures.plain(),
        }
        return json.dumps(plain, sort_keys=True).encode()


def read_manifest(storage: Storage, path: str) -> Manifest | None:
    """The manifest at ``path``, or None."""
    try:
        plain = json.loads(storage.read(path))
    except FileNotFoundError:
        return None
    made = {
        **plain,
        "mode": mode(plain["mode"]),
        "staged": report(plain["staged"]),
        "figures": figures(plain["figures"]),
    }
    return Manifest(**made)


def pinned_instant(storage: Storage, path: str, now: datetime) -> datetime:
    """An instant decided once: ``now`` for the first caller, the same for all others."""
    text = now.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")
    storage.put_if_absent(path, json.dumps(text).encode())
    found = json.loads(storage.read(path))
    return datetime.strptime(found, "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=timezone.utc)

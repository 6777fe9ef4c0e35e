"""The folder of a group's reports in the lake: names, the newest one, and how many are kept.

A report is two files of one name: ``.html`` for people and ``.json``, what it was made of, which
the next run compares itself with. A name is ``TIME-RUN-WINDOW``: a listing is in order of time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from penstock.storage import Storage

KEPT = 200  # reports of a group; the oldest go first
_LOOKED = 20  # reports that are read to find one that can be compared with
_PARTS = 3


@dataclass(frozen=True)
class Shelf:
    """The reports of one group.

    Args:
        storage: Where the lake is.
        folder: Of the group's reports.
    """

    storage: Storage
    folder: str

    def pages(self) -> dict[str, str]:
        """Path of the newest report of each window, by the window's name."""
        found: dict[str, str] = {}
        for path in self._files(".html"):
            found[_window(path)] = path
        return found

    def previous(self, run: str) -> dict[str, Any] | None:
        """What the newest report was made of that is of another run which came to its end.

        Replays of the quarantine are passed over: their rows are no sample of anything.
        """
        for path in self._files(".json")[::-1][:_LOOKED]:
            with suppress(FileNotFoundError, ValueError):
                plain: dict[str, Any] = json.loads(self.storage.read(path))
                comparable = plain.get("state") == "done" and plain.get("features")
                if plain.get("run") != run and comparable and not _window(path).startswith("dlq-"):
                    return plain
        return None

    def put(self, plain: dict[str, Any], html: str, now: datetime) -> str:
        """Write a report, and let the oldest ones go; its path.

        Args:
            plain: What it was made of: ``run``, ``window`` and all else, as JSON.
            html: The page.
            now: Aware.
        """
        at = now.astimezone(timezone.utc)
        stem = f"{self.folder}/{at:%Y%m%dT%H%M%S%fZ}-{plain['run']}-{plain['window']}"
        self.storage.write(f"{stem}.json", json.dumps(plain, sort_keys=True).encode())
        self.storage.write(f"{stem}.html", html.encode())
        self.storage.delete_all(list(self._surplus()))
        return f"{stem}.html"

    def _surplus(self) -> Iterator[str]:
        for suffix in (".html", ".json"):
            yield from self._files(suffix)[:-KEPT]

    def _files(self, suffix: str) -> list[str]:
        return [one for one in self.storage.list(self.folder) if one.endswith(suffix)]


def _window(path: str) -> str:
    stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    parts = stem.split("-", _PARTS - 1)
    return parts[-1] if len(parts) == _PARTS else ""

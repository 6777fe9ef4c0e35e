"""The fold of all markers of a run: nothing is done until every chunk of every file is marked."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from penstock.errors import MismatchError, TemporaryError
from penstock.online.job import Figures
from penstock.online.marker import marked, marker_path, stem_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from penstock.storage import Storage

_SHOWN = 3


@dataclass(frozen=True)
class OnlineTotals:
    """What all markers of a run say together.

    Args:
        rows: Rows of all chunks, as the markers give them.
        chunks: Markers.
        figures: Sums of the markers' figures.
        rejects_files: Paths of rejects, one per chunk that has any; sorted.
        seconds: Sum of the chunks' times; chunks overlap, so this is not wall time.
    """

    rows: int
    chunks: int
    figures: Figures
    rejects_files: tuple[str, ...]
    seconds: float


def missing(
    storage: Storage,
    results: str,
    files: Mapping[str, int] | Iterable[tuple[str, int]],
    chunk_rows: int,
) -> list[str]:
    """Markers that should be there and are not, as ``stem-chunk``; ``files``: path, rows."""
    names = storage.list(results)
    return [
        f"{stem_of(file)}-{chunk:06d}"
        for file, rows in dict(files).items()
        for chunk in sorted(set(range(-(-rows // chunk_rows))) - marked(file, names))
    ]


def fold(
    storage: Storage,
    results: str,
    files: Mapping[str, int] | Iterable[tuple[str, int]],
    chunk_rows: int,
) -> OnlineTotals:
    """Read and add up the markers of ``files`` (path and rows of each).

    Raises:
        TemporaryError: A chunk has no marker yet: run again.
        MismatchError: A marker speaks of other rows than its chunk has, or its figures differ.
    """
    counts = dict(files)
    absent = missing(storage, results, counts, chunk_rows)
    if absent:
        message = f"{len(absent)} chunks are not marked, first: {', '.join(absent[:_SHOWN])}"
        raise TemporaryError(message, "Run the same command again: it sends only what is missing")
    figures, rejects, chunks, seconds, total = Figures(), [], 0, 0.0, 0
    for file, rows in counts.items():
        for chunk in range(-(-rows // chunk_rows)):
            marker = json.loads(storage.read(marker_path(results, file, chunk)))
            own = figures_of(marker)
            _check(marker, own, chunk, min(chunk_rows, rows - chunk * chunk_rows))
            figures.add(own)
            total += marker["rows"]
            chunks += 1
            seconds += marker["seconds"]
            rejects += [marker["rejects_file"]] if marker["rejects_file"] else []
    return OnlineTotals(total, chunks, figures, tuple(sorted(rejects)), seconds)


def figures_of(marker: Mapping[str, Any]) -> Figures:
    """A marker's figures; one that an older version did not write counts as nothing."""
    found = {one.name: marker[one.name] for one in fields(Figures) if one.name in marker}
    found["latency"] = {int(edge): calls for edge, calls in found.get("latency", {}).items()}
    return Figures(**found)


def _check(marker: Mapping[str, Any], figures: Figures, chunk: int, rows: int) -> None:
    answered = figures.settled
    named = bool(marker["rejects_file"]) == bool(figures.rejected)
    same = {marker["rows"], figures.sent, answered} == {rows}
    if not same or not named or marker["chunk"] != chunk:
        message = (
            f"marker {marker['file']}-{chunk:06d}: {rows} rows expected, {marker['rows']} noted, "
            f"{figures.sent} sent, {answered} answered"
        )
        raise MismatchError(message, "The results folder was changed, or this is a defect")

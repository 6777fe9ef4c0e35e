"""Sources that groups of one session share: read and gated once, for all that ask for the same.

The same is: the same name, the same declaration, the same pins, the same part of it. Every run
still pins its sources for itself, so that one which changed in between is read anew. It has copies
of the rows put aside in a folder of its own, where the end of a run looks for them: what outlives
staging never lies in another group's folder. Typed rows are shared; nobody reads them once the
feature gate is through.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from pyspark.sql import DataFrame

from penstock import meaning
from penstock.gate import Bounds
from penstock.ledger.window import Window
from penstock.run.context import Kept
from penstock.run.inputs import FileInput, Input, bounds_of
from penstock.source.splits import Reading as FileReading
from penstock.stage.report import Report, Staged, check_files
from penstock.stage.spark import SourceStaging


@dataclass(frozen=True)
class Reading:
    """What came of a source at its gate.

    Args:
        report: Figures and files, checked against each other.
        frame: The rows that passed, typed.
        reader: The group it was read for; None where that is the one that asked.
    """

    report: Report
    frame: DataFrame
    reader: str | None = None


def read(
    kept: dict[str, Kept],
    group: str,
    one: Input,
    window: Window,
    staging: SourceStaging,
    say: Callable[[str], None],
) -> Reading:
    """A source of a group for a window, read now or taken from what the session has read.

    Windows that run side by side may read the same at the same time: then the last one is kept.

    Args:
        kept: What the session has read; of each source figures and names of files, no rows.
        group: Who asks.
        one: The source, pinned.
        window: What is read of it.
        staging: Puts it through the gate, into a folder of this attempt.
        say: Is told what is begun.

    Raises:
        DataGateError: A file is truncated or corrupt, or a rule with ``on_fail: fail`` is broken.
        MismatchError: Rows were lost between two counts.
        TemporaryError: The source changed while it was read.
    """
    bounds = _bounds(one, window)
    key = _key(one, bounds)
    known = _taken(kept, key, f"{group}: source {one.name}", staging)
    if known is not None:
        say(f"{one.name} was read for {known.reader} already")
        return Reading(known.report, staging.typed(one.source, known.report), known.reader)
    say(f"reading {one.name}")
    report = one.stage(staging, bounds)
    check_files(f"{group}: source {one.name}", report, staging.storage)
    one.check_read(report.rows_in)
    one.check()  # what is kept was read while the files were what they were pinned to
    kept[key] = Kept(group, report)
    return Reading(report, staging.typed(one.source, report))


def _taken(kept: dict[str, Kept], key: str, what: str, staging: SourceStaging) -> Kept | None:
    """What was read under a key, its rows put aside copied; None where it is not all there."""
    known = kept.get(key)
    if known is None:
        return None
    try:
        bad = tuple(_copied(one, staging) for one in known.report.bad)
        taken = replace(known.report, bad=bad)
        check_files(what, taken, staging.storage)
    except FileNotFoundError:  # collected, or forgotten, by another process
        kept.pop(key, None)
        return None
    return Kept(known.reader, taken)


def _copied(file: Staged, staging: SourceStaging) -> Staged:
    storage = staging.storage
    path = f"{staging.folder}/{file.path.rpartition('/')[2]}"
    storage.write(path, storage.read(file.path))
    return replace(file, path=path)


def _bounds(one: Input, window: Window) -> Bounds:
    """What is read for a window: of a source without a time all, whatever the window."""
    return Bounds() if one.source.time is None else bounds_of(one.source, window)


def _key(one: Input, bounds: Bounds) -> str:
    """Equal where the source gate would answer the same, row for row."""
    source = replace(one.source, lookback=timedelta(0))  # what it leads to is in the bounds
    parts = [
        one.name,
        _how(one.reading) if isinstance(one, FileInput) else "delta",
        one.pin,
        meaning.plain(source),
        [str(bounds.start), str(bounds.end)],
    ]
    return json.dumps(parts, sort_keys=True)


def _how(reading: FileReading) -> list[object]:
    return [reading.format, reading.delimiter, reading.header]

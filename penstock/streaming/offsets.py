"""Ranges of Kafka's offsets as Spark's checkpoint tells them, batch by batch.

A file a batch, ``offsets/N``: a version, a line about the query, then a line a source, ``-`` where
it had nothing yet; the source of Kafka notes where it began in ``sources/0/0`` (Spark's
``OffsetSeqLog`` and ``HDFSMetadataLog``, the same in 3.5 to 4.1).
"""

from __future__ import annotations

import json
from typing import Any

from penstock.storage import Storage

Offsets = dict[str, dict[str, int]]  # topic → partition → offset


def offsets_of(storage: Storage, checkpoint: str, batch: int) -> Offsets | None:
    """Where a batch ends; where the stream begins for -1. None where it is not to be found."""
    place = f"offsets/{batch}" if batch >= 0 else "sources/0/0"
    try:
        text = storage.read(f"{checkpoint}/{place}").decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    line = text.strip().rpartition("\n")[2]
    try:
        # Before the version of the first offsets stands a byte that old versions of Spark look for.
        found: Any = json.loads(line[line.index("{") :])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def newest_batch(storage: Storage, checkpoint: str) -> int:
    """The newest batch whose end a checkpoint tells; -1 where there is none."""
    names = (one.rpartition("/")[2] for one in storage.list(f"{checkpoint}/offsets"))
    return max((int(one) for one in names if one.isdigit()), default=-1)


def events_between(start: Offsets | None, end: Offsets | None) -> int | None:
    """How many events lie between, at most; None where nobody can tell."""
    if start is None or end is None:
        return None
    begun = {(topic, one): at for topic, parts in start.items() for one, at in parts.items()}
    return sum(
        at - begun.get((topic, one), 0) for topic, parts in end.items() for one, at in parts.items()
    )

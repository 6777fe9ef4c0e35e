"""Where the durable things of a stream lie, and which of a group's streams is the one that runs.

Each stream of a group has a number; a new one begins where there was none, or where somebody said
that the old one's checkpoint is lost and its events may be read again.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.errors import UsageError
from penstock.storage import Storage
from penstock.streaming.offsets import newest_batch

_DIGITS = 4


@dataclass(frozen=True)
class StreamPlaces:
    """Folders of one stream under ``state``.

    Args:
        state: Absolute folder of the state.
        group: Logical name of the feature group.
        number: Of the stream, from 1.
    """

    state: str
    group: str
    number: int

    @property
    def folder(self) -> str:
        """All that is the stream's own."""
        return f"{streams_folder(self.state, self.group)}/{self.number:0{_DIGITS}d}"

    @property
    def identity(self) -> str:
        """What the stream is; the first one to say it is right."""
        return f"{self.folder}/stream.json"

    @property
    def started(self) -> str:
        """Is there once Spark may have read something."""
        return f"{self.folder}/started.json"

    @property
    def status(self) -> str:
        """How it goes."""
        return f"{self.folder}/status.json"

    @property
    def checkpoint(self) -> str:
        """Spark's own."""
        return f"{self.folder}/checkpoint"

    @property
    def batches(self) -> str:
        """Folders of batches that are not done."""
        return f"{self.folder}/batches"

    def batch(self, number: int) -> str:
        """Folder of one of them."""
        return f"{self.batches}/{number:010d}"

    @property
    def gates(self) -> str:
        """Reports of source gates that run in Spark's tasks."""
        return f"{self.folder}/gates"

    @property
    def application(self) -> str:
        """Name of its transactions: batch numbers begin anew with each checkpoint."""
        return f"penstock:{self.group}:stream-{self.number:0{_DIGITS}d}"


def streams_folder(state: str, group: str) -> str:
    """Folder of all streams of a group."""
    return f"{state}/streams/{group}"


def lease_path(state: str, group: str) -> str:
    """The lease of whoever runs the group's stream."""
    return f"{state}/leases/{group}/stream.json"


def newest(storage: Storage, state: str, group: str) -> StreamPlaces | None:
    """The stream that runs or ran last; None where there was none."""
    names = (one.rsplit("/", 1)[-1] for one in storage.list(streams_folder(state, group)))
    numbers = sorted((int(one) for one in names if one.isdigit()), reverse=True)
    found = (StreamPlaces(state, group, one) for one in numbers)
    # Whoever died before the first file was whole left a folder, and no stream.
    return next((one for one in found if storage.list(one.folder)), None)


@dataclass(frozen=True)
class Opened:
    """A stream that may be started.

    Args:
        places: Where it lies.
        compare: Whether rows may be in the offline table already.
        resumed: Whether it has run before.
    """

    places: StreamPlaces
    compare: bool
    resumed: bool


def opened(
    storage: Storage,
    state: str,
    group: str,
    reads: Mapping[str, Any],
    *,
    filled: bool,
    again: bool,
) -> Opened:
    """The stream to go on with, or a new one. Doing it again gives the same one.

    Args:
        storage: Where the state is.
        state: Its absolute folder.
        group: The feature group.
        reads: What the stream reads, as JSON: other topics are another stream.
        filled: Whether the offline table has rows.
        again: Whether events that were read before may be read again, by a new stream.

    Raises:
        UsageError: The checkpoint is gone, or the stream reads something else than before.
    """
    last = newest(storage, state, group)
    if last is None:
        return _begun(storage, StreamPlaces(state, group, 1), reads, compare=filled)
    said = json.loads(storage.read(last.identity))
    begun = storage.exists(last.started)
    if begun and not storage.exists(f"{last.checkpoint}/metadata"):
        problem = f"the checkpoint of its stream is gone ({last.checkpoint})"
    elif said["reads"] != reads:
        problem = f"its stream reads {_told(said['reads'])}, and is now to read {_told(reads)}"
    else:
        return _begun(storage, last, reads, compare=said["compare"])
    if not again:
        message = f"{group}: {problem}"
        remedy = (
            "Restore it; or start with --allow-reprocess: events are read from the start, rows "
            "that are there add nothing"
        )
        raise UsageError(message, remedy)
    return _begun(storage, StreamPlaces(state, group, last.number + 1), reads, compare=True)


def check_not_older(storage: Storage, places: StreamPlaces, reached: int) -> None:
    """A checkpoint from before batches that are in would give other events their numbers.

    Spark notes what a batch reads before it hands it over, so a checkpoint knows every batch that
    is in both stores. One that was set back does not: what it reads next would be passed over.

    Args:
        storage: Where the state is.
        places: Of the stream.
        reached: Its greatest batch that is in.

    Raises:
        UsageError: The checkpoint does not know that batch.
    """
    known = newest_batch(storage, places.checkpoint)
    if known < reached:
        message = (
            f"{places.group}: the checkpoint of its stream ({places.checkpoint}) ends at batch "
            f"{known}, and batch {reached} is in the stores"
        )
        remedy = "Restore a newer one; or delete it and start with --allow-reprocess"
        raise UsageError(message, remedy)


def _begun(
    storage: Storage, places: StreamPlaces, reads: Mapping[str, Any], *, compare: bool
) -> Opened:
    """Spark takes the name of a query from its checkpoint; the first one there is ours."""
    identity = {"reads": reads, "compare": compare, "id": str(uuid.uuid4())}
    storage.put_if_absent(places.identity, json.dumps(identity).encode())
    found = json.loads(storage.read(places.identity))
    resumed = storage.exists(places.started)
    if not resumed:
        metadata = json.dumps({"id": found["id"]}).encode()
        storage.put_if_absent(f"{places.checkpoint}/metadata", metadata)
        storage.put_if_absent(places.started, b"{}")
    return Opened(places, bool(found["compare"]), resumed)


def _told(reads: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(reads.items()))

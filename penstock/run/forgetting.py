"""Forgetting records: every place of penstock's where a record identifier may be, and how it goes.

Online goes first, so that nobody is served it any more; then the offline table with its history,
what finished runs have staged, rows put aside, and what was made from the table. An order that is
interrupted is given again: each place is looked at anew. At the end every place is read back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from botocore.exceptions import ClientError

from penstock import aws, encoding, lake
from penstock.bucket import storage_of
from penstock.contract import FeatureGroup, FeatureType
from penstock.erasure import Erasure, is_one_of
from penstock.errors import MismatchError, TemporaryError, UsageError
from penstock.ledger.history import Ledger
from penstock.run.collection import collect
from penstock.run.context import Context
from penstock.run.group import known_online
from penstock.run.holding import holding_all
from penstock.run.identified import Held
from penstock.run.places import (
    docs_path,
    offline_path,
    quarantine_path,
    reconcile_folder,
    state_folder,
    streams_folder,
)
from penstock.run.tables import row_erasure
from penstock.run.unfinished import check_finished
from penstock.storage import absolute

_FAR = datetime(9999, 12, 31, tzinfo=timezone.utc)
#: A retention: whatever the clock said of the driver that ended a window.
_WHENEVER = timedelta(days=-36_500)
#: Far ahead, and in the years that all our event times can say (encoding: 1684 to 2255).
_AHEAD = datetime(2250, 1, 1, tzinfo=timezone.utc)
#: What a deletion is answered that is older than the record (API reference, DeleteRecord).
_STALE = ("ValidationException", "ValidationError")
#: What no command of ours comes to; every report says so.
BEYOND = (
    "sources: take the record out of them, or the next run brings it back",
    "other feature groups, what they have staged of the same sources too: forget it in each",
    "an offline store that the service writes itself, whatever the format of its files",
    "data sets written to another folder than the lake's, and whatever was copied or trained",
    "windows of its stream that are open: Spark's checkpoint keeps them until they close",
    "backups, versions of objects that a bucket keeps, log files, and reasons people wrote down",
)


@dataclass(frozen=True)
class Place:
    """One place where the identifiers were.

    Args:
        what: Its kind.
        where: Folder, or name of the feature group.
        found: How many were, or where it was only looked are, there.
        unit: Of what.
    """

    what: str
    where: str
    found: int
    unit: str


def forget(
    context: Context, group: FeatureGroup, identifiers: Sequence[str], *, look_only: bool
) -> list[Place]:
    """Remove every trace of records; doing it again is safe. Needs no Spark.

    Args:
        context: The surroundings.
        group: The contract.
        identifiers: Texts of record identifiers.
        look_only: Only say what would go.

    Returns:
        Each place that was looked at.

    Raises:
        UsageError: An identifier cannot be one, a window is not done, the feature group is not
            on AWS, or the offline table is none as penstock writes it. Nothing was done.
        TemporaryError: A run works on the project.
        MismatchError: Something is still there afterwards.
    """
    order = _Order(context, group, [_text(group, one) for one in identifiers])
    if look_only:
        order.check()
        return order.look()
    with holding_all(context) as check:
        order.check()
        places = order.look()
        order.carry_out(check)
        left = [one for one in order.look() if one.found]
    if left:
        names = ", ".join(f"{one.found} {one.unit} in {one.where}" for one in left)
        message = f"{group.name}: still there after they were removed: {names}"
        raise MismatchError(message, "Run it again; if that does not help, report it")
    return places


class _Order:
    """One order to forget, whose project is held."""

    def __init__(self, context: Context, group: FeatureGroup, identifiers: Sequence[str]) -> None:
        self._context, self._group, self._identifiers = context, group, identifiers
        settings, state = context.settings, state_folder(context.settings)
        self._place = settings.group(group.name)
        self._physical = self._place.physical or group.name
        self._ledger = Ledger(context.storage, state, group.name)
        self._replays = f"{state}/replays/{group.name}"
        self._compared = reconcile_folder(state, group.name)
        self._storage, self._streams = context.storage, streams_folder(state, group.name)
        self._quarantine = quarantine_path(settings)
        self._lake = storage_of(settings.lake, settings)
        self._offline = offline_path(settings, group.name)
        self._table = row_erasure(settings, group, identifiers, lambda: context.client("glue"))

    def check(self) -> None:
        """Return where everything can go."""
        check_finished(self._context, self._group.name)
        self._table.check()
        self._erasure([]).check()

    def look(self) -> list[Place]:
        """What is there."""
        name, staged = self._group.name, self._collect(dry_run=True)
        replays = self._context.storage.walk(self._replays)
        streams = [one for one in self._streamed() if self._storage.walk(one)]
        streamed = [Place("read by streams", self._streams, len(streams), "folders")]
        # Of a comparison that was killed; one that ends leaves nothing.
        files = self._storage.walk(self._compared)
        compared = [Place("what reconcile found", self._compared, len(files), "files")]
        return [
            *(streamed if self._storage.list(self._streams) else []),
            *(compared if files else []),
            Place("online store", self._physical, len(self._online()), "records"),
            Place("offline table", self._offline, self._table.rows(), "rows"),
            Place("staged by runs", f"{self._ledger.state}/staged/{name}", staged, "files"),
            Place("replayed rows", self._replays, len(replays), "files"),
            Place("quarantine", self._quarantine, len(self._aside()), "rows"),
            Place("data sets", self._datasets_folder, len(self._datasets()), "data sets"),
            Place("Data Docs", self._docs, len(self._lake.walk(self._docs)), "files"),
        ]

    def carry_out(self, check: Callable[[], None]) -> None:
        """Remove it all; ``check`` raises once the project is not held any more."""
        context, say, name = self._context, self._say, self._group.name
        say("removing records from the online store")
        self._delete()
        say("rewriting the offline table")
        self._table.carry_out(check)
        say("removing what was staged, put aside, and made from it")
        check()
        self._collect(dry_run=False)
        for folder in ("staged", "online"):
            context.storage.sweep(f"{self._ledger.state}/{folder}/{name}")
        context.storage.remove(self._replays)
        context.storage.remove(self._compared)
        for folder in self._streamed():
            context.storage.remove(folder)
        self._erasure(self._aside()).carry_out(check)
        for folder in self._datasets():
            self._lake.remove(folder)
        self._lake.remove(self._docs)

    def _streamed(self) -> list[str]:
        """Folders of its streams with rows: of other sources, and put aside by tasks."""
        streams = self._storage.list(self._streams)
        return [f"{one}/{name}" for one in streams for name in ("others", "gates", "gated")]

    def _say(self, text: str) -> None:
        self._context.progress.step(self._group.name, text)

    @property
    def _docs(self) -> str:
        return docs_path(self._context.settings, self._group.name)

    @property
    def _datasets_folder(self) -> str:
        return f"{absolute(self._context.settings.lake)}/datasets"

    def _online(self) -> dict[str, str]:
        """Event time of each record that is there."""
        if not self._place.is_online:
            return {}
        runtime = self._runtime()
        found = {}
        for identifier in self._identifiers:
            with known_online(self._context, self._group):
                answer = runtime.get_record(
                    FeatureGroupName=self._physical,
                    RecordIdentifierValueAsString=identifier,
                    FeatureNames=[self._group.event_time],
                )
            if answer.get("Record"):
                found[identifier] = str(answer["Record"][0]["ValueAsString"])
        return found

    def _delete(self) -> None:
        """Removed for good; also where none shows: a soft deletion has kept the identifier."""
        if not self._place.is_online:
            return
        runtime, there, now = self._runtime(), self._online(), self._context.now()

        def delete(identifier: str, at: str) -> None:
            runtime.delete_record(
                FeatureGroupName=self._physical,
                RecordIdentifierValueAsString=identifier,
                EventTime=at,
                TargetStores=["OnlineStore"],
                DeletionMode="HardDelete",
            )

        for identifier in self._identifiers:
            try:
                delete(identifier, _later(self._group, there.get(identifier), now))
            except ClientError as error:
                # A soft deletion shows no event time, and this one may be of the future.
                if identifier in there or aws.code(error) not in _STALE:
                    raise
                delete(identifier, _later(self._group, None, _AHEAD))

    def _runtime(self) -> Any:
        return self._context.client("sagemaker-featurestore-runtime")

    def _collect(self, *, dry_run: bool) -> int:
        """Files that windows have staged, all of them, whenever they were done."""
        found = collect(self._ledger, self._context.now(), _WHENEVER, dry_run=dry_run, gated=True)
        if found.kept or found.damaged:
            why = "; ".join([*found.kept, *found.damaged])
            message = f"{self._group.name}: what its runs have staged cannot be removed: {why}"
            remedy = f"See: penstock ledger verify {self._group.name}"
            raise (UsageError if dry_run else TemporaryError)(message, remedy)
        return found.taken.files

    def _aside(self) -> list[str]:
        """Keys of rows put aside that are of the identifiers, or may be."""
        rows = lake.quarantined(self._quarantine, self._lake, self._group.name)
        held = Held(self._group, self._identifiers)
        return [one["row_key"] for one in rows if held.by(one["payload"], one.get("event"))]

    def _erasure(self, keys: Sequence[str]) -> Erasure:
        return Erasure(self._quarantine, self._lake, is_one_of("row_key", keys or [""]))

    def _datasets(self) -> list[str]:
        """Folders of data sets that were made from the group, and of those nobody finished."""
        return [
            folder
            for dataset in self._lake.list(self._datasets_folder)
            for folder in self._lake.list(dataset)
            if self._lake.walk(folder) and self._is_made_from_group(folder)
        ]

    def _is_made_from_group(self, folder: str) -> bool:
        """Also where its manifest does not say, or is not there: it was never finished."""
        try:
            manifest = json.loads(self._lake.read(f"{folder}/manifest.json"))
            return any(one["group"] == self._group.name for one in manifest["lineage"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return True


def _text(group: FeatureGroup, identifier: str) -> str:
    """The identifier as both stores write it.

    Raises:
        UsageError: No record can have it.
    """
    feature = group.feature(group.record_identifier)
    kind = encoding.STORAGE[feature.type][0]
    try:
        value = pc.cast(pa.array([identifier], pa.string()), kind)[0].as_py()
    except (pa.ArrowInvalid, UnicodeEncodeError):
        value = None
    if value is None or identifier == "":
        message = f"{group.name}: {identifier!a} is no {feature.type.value} record identifier"
        raise UsageError(message, "Nothing was done")
    return str(value)


def _later(group: FeatureGroup, event_time: str | None, now: datetime) -> str:
    """An event time after this one: an older or equal one deletes nothing."""
    if group.feature(group.event_time).type is FeatureType.FRACTIONAL:
        # Numbers, not instants: somebody may have written milliseconds, or nanoseconds.
        there_is = float(event_time or 0)
        return repr(max(now.timestamp(), there_is + 1, math.nextafter(there_is, math.inf)))
    there = None if event_time is None else encoding.to_instant(pa.array([event_time])).values[0]
    after = now if there is None or not there.is_valid else there.as_py() + timedelta(seconds=1)
    array = pa.array([max(now, after)], pa.timestamp("us", "UTC"))
    found = encoding.event_time(array, FeatureType.STRING, group.fraction_digits, _FAR)
    return str(found.values[0].as_py())

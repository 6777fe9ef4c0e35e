"""Feature groups as stored documents, and compiled for the runtime.

A compiled group lives as long as the stored generation number stands; every change of a group, by
any process, raises it. Names are found without regard to case: ARNs carry them in lower case.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penstock.emulator import replication
from penstock.emulator.records import Feature, Layout

ACCOUNT = "000000000000"

_SECONDS = {"Seconds": 1, "Minutes": 60, "Hours": 3_600, "Days": 86_400, "Weeks": 604_800}
_LONGEST_TTL = 10**12  # seconds; keeps sums within 64 bits
_NEVER = float("inf")


@dataclass(frozen=True)
class Group:
    """A feature group as the runtime sees it.

    Args:
        id: Row of the group.
        name: As it was created.
        layout: What its records look like.
        online: Whether it has an online store.
        offline: Whether it has an offline store.
        storage: Online storage type.
        ttl: Default time to live in seconds, or None.
        ready: Epoch seconds from which the group is Created; infinite when creation failed.
        stale: Epoch seconds at which pending features become effective, or None.
    """

    id: int
    name: str
    layout: Layout
    online: bool
    offline: bool
    storage: str
    ttl: int | None
    ready: float
    stale: float | None


class Groups:
    """The stored feature groups.

    Args:
        connection: Of the database; calls belong inside a transaction.
        region: Region of the ARNs.
        clock: Epoch seconds.
    """

    def __init__(
        self, connection: sqlite3.Connection, region: str, clock: Callable[[], float]
    ) -> None:
        self.connection = connection
        self._run = connection.execute
        self._arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}:feature-group"
        self._clock = clock
        self._compiled: dict[str, Group | None] = {}
        self._generation = -1
        replication.prepare(connection)

    def refresh(self) -> None:
        """Forget compiled groups when another process changed one; once per transaction."""
        (generation,) = self._run("SELECT value FROM meta WHERE name='groups'").fetchone()
        if generation != self._generation:
            self._compiled.clear()
            self._generation = generation

    def forget(self) -> None:
        """Drop what is compiled, after a transaction was undone."""
        self._generation = -1

    def arn(self, name: str) -> str:
        """ARN of the group with this name."""
        return f"{self._arn}/{name.lower()}"

    def find(self, reference: str) -> Group | None:
        """The group with this name or ARN, compiled; None for one that is being deleted."""
        found = self._compiled.get(reference)
        if found is None or (found.stale is not None and self._clock() >= found.stale):
            row = self._row(reference)
            if row is None or "Gone" in row[1]:
                return None
            found = self._compiled[reference] = compiled(*row, self._clock())
        return found

    def document(self, reference: str) -> dict[str, Any] | None:
        """The stored document of the group with this name or ARN."""
        row = self._row(reference)
        return None if row is None else row[1]

    def documents(self) -> list[dict[str, Any]]:
        """All stored documents."""
        now = self._clock()
        rows = self._run("SELECT document FROM feature_group").fetchall()
        found = [json.loads(text) for (text,) in rows]
        return [document for document in found if document.get("Gone", _NEVER) > now]

    def put(self, document: dict[str, Any]) -> int:
        """Store a new or changed document; returns the row of the group."""
        name = short_name(document["FeatureGroupName"])
        self._run(
            "INSERT INTO feature_group(name, document) VALUES (?, ?) "
            "ON CONFLICT(name) DO UPDATE SET document=excluded.document",
            (name, json.dumps(document)),
        )
        self._changed()
        (row,) = self._run("SELECT id FROM feature_group WHERE name=?", (name,)).fetchone()
        return int(row)

    def remove(self, reference: str) -> None:
        """Forget a group and its online records; offline data is not ours to delete."""
        for (row,) in self._run(
            "SELECT id FROM feature_group WHERE name=?", (short_name(reference),)
        ).fetchall():
            self._run("DELETE FROM record WHERE group_id=?", (row,))
            self._run("DELETE FROM feature_group WHERE id=?", (row,))
            self._changed()

    def empty(self, reference: str) -> None:
        """Delete the online records of a group."""
        self._run(
            "DELETE FROM record WHERE group_id=(SELECT id FROM feature_group WHERE name=?)",
            (short_name(reference),),
        )

    def row(self, reference: str) -> int | None:
        """Row of the group with this name or ARN."""
        found = self._row(reference)
        return None if found is None else found[0]

    def _changed(self) -> None:
        self._run("UPDATE meta SET value=value+1 WHERE name='groups'")
        self.refresh()

    def _row(self, reference: str) -> tuple[int, dict[str, Any]] | None:
        home, slash, _ = reference.rpartition("/")
        if slash and home != self._arn:
            return None
        row = self._run(
            "SELECT id, document FROM feature_group WHERE name=?", (short_name(reference),)
        ).fetchone()
        document = None if row is None else json.loads(row[1])
        if document is None or document.get("Gone", _NEVER) <= self._clock():
            return None
        return row[0], document


def short_name(reference: str) -> str:
    """The key of a group: the name in a name or ARN, in lower case."""
    return reference.rpartition("/")[2].lower()


def ttl_seconds(duration: dict[str, Any] | None) -> int | None:
    """Seconds of a TtlDuration, None where there is none."""
    if not duration or duration.get("Unit") is None or duration.get("Value") is None:
        return None
    return min(int(_SECONDS[duration["Unit"]] * duration["Value"]), _LONGEST_TTL)


def compiled(row: int, document: dict[str, Any], now: float) -> Group:
    """A document made ready for the runtime as of ``now``."""
    online = document.get("OnlineStoreConfig") or {}
    definitions = document["FeatureDefinitions"]
    pending = document.get("UpdateReady", 0.0) > now
    if pending:
        definitions = definitions[: document["EffectiveFeatures"]]
    return Group(
        id=row,
        name=document["FeatureGroupName"],
        layout=Layout(
            {item["FeatureName"]: _feature(item) for item in definitions},
            document["RecordIdentifierFeatureName"],
            document["EventTimeFeatureName"],
        ),
        online=bool(online.get("EnableOnlineStore")),
        offline=document.get("OfflineStoreConfig") is not None,
        storage=online.get("StorageType", "Standard"),
        ttl=ttl_seconds(online.get("TtlDuration")),
        ready=_NEVER if "FailureReason" in document else document["Ready"],
        stale=document["UpdateReady"] if pending else None,
    )


def _feature(item: dict[str, Any]) -> Feature:
    vector = (item.get("CollectionConfig") or {}).get("VectorConfig") or {}
    return Feature(
        item["FeatureName"],
        item["FeatureType"],
        item.get("CollectionType"),
        vector.get("Dimension"),
    )

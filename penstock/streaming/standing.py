"""How the streams of a project stand, read from what they write down: no Spark, no Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from penstock.bucket import storage_of
from penstock.config import Settings
from penstock.errors import TemporaryError
from penstock.ledger.lease import check_free
from penstock.run.places import state_folder
from penstock.storage import Storage
from penstock.streaming.places import lease_path, streams_of


def standings(settings: Settings, groups: Iterable[str], now: float) -> list[dict[str, Any]]:
    """What the newest stream of each group said last, by group; of those that have one.

    Args:
        settings: What ``conf`` says.
        groups: Names.
        now: Epoch seconds: one whose lease has ended is not running, whatever it said last.
    """
    storage, state = storage_of(settings.state, settings), state_folder(settings)
    found: list[dict[str, Any]] = []
    for group in groups:
        places = next(reversed(streams_of(storage, state, group)), None)
        if places is None:
            continue
        said: dict[str, Any] = {"state": "begun", "at": None}
        with suppress(FileNotFoundError):
            said = json.loads(storage.read(places.status))
        if said["state"] == "running" and not _held(storage, lease_path(state, group), now):
            said["state"] = "interrupted"
        found.append({"group": group, "stream": places.number, **said})
    return found


def _held(storage: Storage, lease: str, now: float) -> bool:
    try:
        check_free(storage, lease, now)
    except TemporaryError:
        return True
    return False


def line_of(plain: dict[str, Any]) -> str:
    """The figures in one line, for people."""
    fresh = plain["freshness_s"]
    said = "no event in the last minute"
    if fresh is not None:
        said = f"fresh within {fresh['p50']:.2f} s (p50), {fresh['p99']:.2f} s (p99)"
    backlog = "" if plain["backlog"] is None else f", {plain['backlog']:,} behind"
    aside = f", {plain['put_aside']:,} put aside" if plain["put_aside"] else ""
    aside += f", {plain['late']:,} too late for their window" if plain["late"] else ""
    return (
        f"{plain['events']:,} events, {plain['rate']:,.0f}/s, {said}{backlog}{aside}, offline "
        f"{plain['offline']:,} rows, {plain['offline_behind_s']:.0f} s behind"
    )


def line(standing: dict[str, Any]) -> str:
    """How a stream stands in one line, for people."""
    name = f"{standing['group']} stream {standing['stream']}: {standing['state']}"
    if standing["at"] is None:
        return name
    advice = "" if standing["state"] == "running" else f"; penstock stream {standing['group']}"
    return f"{name}, at {standing['at']}: {line_of(standing)}{advice}"

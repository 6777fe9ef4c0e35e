"""Entries of the quarantine and how they stand: listed, shown, discarded. Needs no Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from penstock import lake
from penstock.bucket import storage_of
from penstock.config import Settings
from penstock.ledger.decisions import (
    OPEN,
    Decision,
    Decisions,
    Standing,
    Verdict,
    history,
    verdicts,
)
from penstock.run.places import quarantine_path, state_folder
from penstock.storage import Storage

Stage = Literal["source", "feature", "online"]
EVENT_KEYS = 10_000  # rows one decision is about, so that its file stays small


@dataclass(frozen=True)
class Choice:
    """Which entries; None takes all.

    Args:
        group: Feature group.
        stage: Gate that put the row aside, or ``online`` for the service.
        rule: The rule or code it broke last.
        run: The run that entered it.
        key: Start of its key.
        standing: How it stands.
    """

    group: str | None = None
    stage: Stage | None = None
    rule: str | None = None
    run: str | None = None
    key: str | None = None
    standing: Standing | None = None

    def takes(self, entry: Mapping[str, Any], verdict: Verdict) -> bool:
        """Whether an entry is among them; its group is not looked at."""
        wanted = (self.stage, self.rule, self.run, self.standing)
        is_ = (entry["stage"], verdict.rule or entry["rule"], entry["run"], verdict.standing)
        alike = all(one is None or one == other for one, other in zip(wanted, is_, strict=True))
        return alike and (self.key is None or entry["row_key"].startswith(self.key))


@dataclass(frozen=True)
class Held:
    """An entry, and how it stands."""

    entry: Mapping[str, Any]
    verdict: Verdict

    @property
    def key(self) -> str:
        """The entry's key."""
        return str(self.entry["row_key"])

    @property
    def rule(self) -> str:
        """The rule or code it broke last."""
        return self.verdict.rule or str(self.entry["rule"])

    def plain(self, *, values: bool) -> dict[str, Any]:
        """A JSON form, with the row's values or without."""
        hidden = {"types"} if values else {"types", "payload", "event"}
        kept = {name: one for name, one in self.entry.items() if name not in hidden}
        verdict, last = self.verdict, self.verdict.last
        return kept | {
            "state": verdict.standing,
            "tries": verdict.tries,
            "last_rule": self.rule,
            "decided": None if last is None else plain_decision(last, self.key),
        }


def plain_decision(event: Decision, key: str) -> dict[str, Any]:
    """A JSON form of what a decision says about one row."""
    outcome = event.outcomes.get(key)
    kept = ("run", "window", "reason")
    return {
        "at": event.at,
        "kind": event.kind,
        "outcome": outcome and outcome.what,
        "rule": outcome and outcome.rule,
        "entry": outcome and outcome.entry,
        **{name: event.data.get(name) for name in kept},
        "by": event.by,
    }


def decided(settings: Settings, held: Held) -> list[dict[str, Any]]:
    """Every decision about an entry, in order, in JSON forms."""
    events = decisions_of(settings, str(held.entry["feature_group"])).events
    return [plain_decision(one, held.key) for one in history(events, held.key)]


def decisions_of(settings: Settings, group: str, storage: Storage | None = None) -> Decisions:
    """The decisions about a group's rows, as they are now."""
    folder = f"{state_folder(settings)}/decisions/{group}"
    return Decisions(storage or storage_of(settings.state, settings), folder).refresh()


def quarantined(settings: Settings, choice: Choice) -> list[Held]:
    """Chosen entries, newest first, each key once.

    Raises:
        MismatchError: The decisions are damaged.
        UsageError: delta-rs is not installed.
    """
    rows = _entries(settings, choice)
    groups = sorted({row["feature_group"] for row in rows})
    stand = {group: verdicts(decisions_of(settings, group).events) for group in groups}
    found: dict[tuple[str, str], Held] = {}
    for row in rows:
        group, key = row["feature_group"], row["row_key"]
        verdict = stand[group].get(key, OPEN)
        if choice.takes(row, verdict):
            found[group, key] = Held(row, verdict)
    return list(found.values())


def discard(settings: Settings, choice: Choice, reason: str, by: str, now: datetime) -> int:
    """Note that open rows are not wanted; the rows stay where they are.

    Args:
        settings: Where they are.
        choice: Which; its group is needed, and only open ones are taken.
        reason: Why, for whoever asks later.
        by: Who.
        now: Aware.

    Returns:
        How many rows were open and are discarded now; 0 where it was done before.
    """
    if choice.group is None:
        raise ValueError("a group is needed")
    rows = _entries(settings, choice)
    log, done = decisions_of(settings, choice.group), 0

    def some(stand: Mapping[str, Verdict]) -> bool:
        nonlocal done
        keys = _open(rows, choice, stand)[:EVENT_KEYS]
        if not keys:
            return True
        if log.add("discarded", keys, by=by, now=now, reason=reason):
            done += len(keys)
        return False

    log.settle(some)
    return done


def _entries(settings: Settings, choice: Choice) -> list[dict[str, Any]]:
    path = quarantine_path(settings)
    return lake.quarantined(path, storage_of(path, settings), choice.group, choice.key)


def _open(
    rows: Sequence[Mapping[str, Any]], choice: Choice, stand: Mapping[str, Verdict]
) -> list[str]:
    keys = {
        row["row_key"]
        for row in rows
        if stand.get(row["row_key"], OPEN).standing == "open"
        and choice.takes(row, stand.get(row["row_key"], OPEN))
    }
    return sorted(keys)

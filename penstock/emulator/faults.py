"""Scripted faults: which calls go wrong, how often, and what the client sees.

A rule matches calls by operation, group and identifier, and strikes on the first n, the nth, every
nth or a random share (seeded) of its matches, within a time window. Rules for entries of a batch
count entries. Delays add up; the first other rule that strikes decides. Calls that no rule strikes
draw on the write quotas. Nothing else changes: signature and model are checked as always.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from penstock.emulator.actions import (
    Action,
    Broken,
    Delay,
    Entry,
    Reply,
    Rotated,
    Shape,
    Turned,
    closed,
    delayed,
    denied,
    dripped,
    expired,
    failing,
    garbage,
    hanging,
    refused,
    refusing,
    reset_after,
    reset_before,
    rotated,
    throttled,
    truncated,
    turned,
    unprocessed,
    vanished,
)
from penstock.emulator.quotas import Meter, Quota
from penstock.emulator.refusal import Refusal

__all__ = [
    "Action", "Broken", "Delay", "Entry", "Faults", "Quota", "Reply", "Rotated", "Rule", "Shape",
    "Strike", "Target", "Turned", "closed", "delayed", "denied", "dripped", "expired", "failing",
    "garbage", "hanging", "refused", "reset_after", "reset_before", "rotated", "throttled",
    "truncated", "turned", "unprocessed", "vanished",
]  # fmt: skip

_BATCHES = frozenset({"BatchWriteRecord", "BatchGetRecord"})


@dataclass(frozen=True, eq=False)
class Rule:
    """When an action strikes; with no word on when, it always does.

    Args:
        action: What happens.
        operation: Only this operation.
        group: Only calls that name this group.
        identifier: Only records whose identifier contains a match of this regular expression.
        first: Only the first n matches.
        every: Only every nth match.
        probability: Only this share of matches.
        seed: Of the random numbers.
        nth: Only the nth match.
        after: Only from this many seconds after the rule's first match on.
        until: Only before this many seconds after the rule's first match.
    """

    action: Action
    operation: str | None = None
    group: str | None = None
    identifier: str | None = None
    first: int | None = None
    every: int | None = None
    probability: float | None = None
    seed: int = 0
    nth: int | None = None
    after: float = 0.0
    until: float = float("inf")


class Target(NamedTuple):
    """One record of a call, as far as it shows; ``units`` are 0 for what writes nothing."""

    group: str
    identifier: str
    event_time: str
    units: int = 0


@dataclass(frozen=True)
class Strike:
    """What was decided for one call.

    Args:
        action: For the whole call; None lets it through.
        delay: Seconds by which its answer is late.
        entries: Outcome of single records by position: a refusal, or None for unprocessed.
        names: What kept each of those from being applied, for the journal.
    """

    action: Reply | Broken | Turned | Rotated | None = None
    delay: float = 0.0
    entries: dict[int, Refusal | None] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)


class Faults:
    """The script of a server; may be changed while it runs, from any thread.

    Args:
        rules: In order of precedence.
        quotas: All of them must grant a write.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        quotas: Sequence[Quota] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._rules: list[_Counter] = []
        self._meters: list[Meter] = []
        self._all_meters: dict[Quota, Meter] = {}
        self.strikes: dict[Rule, int] = {}
        self.replace(rules, quotas)

    def __bool__(self) -> bool:
        return bool(self._rules) or bool(self._meters)

    def add(self, one: Rule | Quota) -> None:
        """Append a rule or a quota."""
        with self._lock:
            if isinstance(one, Quota):
                self._meters.append(self._all_meters.setdefault(one, Meter(one)))
            else:
                self._rules.append(_Counter(one, self._clock))
                self.strikes.setdefault(one, 0)

    def clear(self) -> None:
        """No more faults; counts stay."""
        with self._lock:
            self._rules.clear()
            self._meters.clear()

    def replace(self, rules: Sequence[Rule], quotas: Sequence[Quota]) -> None:
        """Another script in place of this one."""
        self.clear()
        for rule in rules:
            self.add(rule)
        for quota in quotas:
            self.add(quota)

    def granted(self, quota: Quota) -> tuple[int, int]:
        """Write units that a quota granted and refused so far."""
        meter = self._all_meters[quota]
        return meter.granted, meter.refused

    def strike(self, operation: str, targets: Sequence[Target]) -> Strike:
        """Decide for a call.

        Args:
            operation: Name of the operation.
            targets: Its records, in order; may be empty.
        """
        out = Strike()
        delay = 0.0
        with self._lock:
            for counter in self._rules:
                rule = counter.rule
                if rule.operation not in {None, operation}:
                    continue
                hits = [at for at, target in enumerate(targets) if _hits(rule, target)]
                if isinstance(rule.action, Entry):
                    for at in hits:
                        if at not in out.entries and self._due(counter):
                            out.entries[at] = rule.action.refusal
                            out.names[at] = rule.action.name
                elif (hits or _is_general(rule)) and self._due(counter):
                    if not isinstance(rule.action, Delay):
                        return Strike(rule.action, delay)
                    delay += rule.action.seconds + counter.random.uniform(0, rule.action.jitter)
            action = self._over_quota(operation, targets, out)
        action = action or _whole(operation, out)
        return Strike(action, delay, out.entries, out.names)

    def _due(self, counter: _Counter) -> bool:
        due = counter.due()
        self.strikes[counter.rule] += due
        return due

    def _over_quota(self, operation: str, targets: Sequence[Target], out: Strike) -> Reply | None:
        """Draw on every quota; what is over one comes back alone, or the call as a whole."""
        now = self._clock() if self._meters else 0.0
        for meter in self._meters:
            quota = meter.quota
            whole = quota.batch == "call" or operation not in _BATCHES
            asked = [at for at, one in enumerate(targets) if one.units and at not in out.entries]
            if whole and asked:
                first = targets[asked[0]]
                total = sum(targets[at].units for at in asked)
                if not meter.take(first.group, first.identifier, total, now):
                    return throttled(quota.shape, quota.retry_after, "throttled by quota")
                continue
            for at in asked:
                one = targets[at]
                if not meter.take(one.group, one.identifier, one.units, now):
                    out.entries[at] = None
                    out.names[at] = "throttled by quota"
        return None


class _Counter:
    """A rule and how often it was met."""

    def __init__(self, rule: Rule, clock: Callable[[], float]) -> None:
        self.rule = rule
        self.random = random.Random(rule.seed)
        self._clock = clock
        self._seen = 0
        self._begin: float | None = None

    def due(self) -> bool:
        """Count a match; whether the rule strikes it."""
        rule = self.rule
        self._seen += 1
        seen = self._seen
        return (
            (rule.first is None or seen <= rule.first)
            and (rule.nth is None or seen == rule.nth)
            and (rule.every is None or seen % rule.every == 0)
            and self._in_window()
            and (rule.probability is None or self.random.random() < rule.probability)
        )

    def _in_window(self) -> bool:
        now = self._clock()
        if self._begin is None:
            self._begin = now
        return self.rule.after <= now - self._begin < self.rule.until


def _whole(operation: str, out: Strike) -> Reply | None:
    """Outcomes of records are outcomes of the call where it has one record."""
    if not out.entries or operation in _BATCHES:
        return None
    return refusing(out.entries[0], out.names[0])


def _hits(rule: Rule, target: Target) -> bool:
    return rule.group in {None, target[0]} and (
        rule.identifier is None or re.search(rule.identifier, target[1]) is not None
    )


def _is_general(rule: Rule) -> bool:
    return rule.group is None and rule.identifier is None

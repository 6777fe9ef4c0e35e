"""Scripted faults: which calls go wrong, how often, and what the client sees.

A rule matches calls by operation, group and identifier, and strikes on the first n, every nth or a
random share (seeded) of its matches. Rules for entries of a batch count entries. The first rule
that strikes decides. Nothing else about a call changes: signature and model are checked as always.
"""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from penstock.emulator.refusal import Refusal, group_not_found


@dataclass(frozen=True)
class Reply:
    """Answer this instead of doing anything.

    Args:
        name: Name in the journal.
        status: HTTP status.
        body: Body of the answer.
        code: Value of x-amzn-ErrorType, None for no such header.
        retry_after: Milliseconds in x-amz-retry-after, None for no such header.
        bare: Without request id and JSON content type, as a proxy would answer.
    """

    name: str
    status: int
    body: str
    code: str | None = None
    retry_after: int | None = None
    bare: bool = False


@dataclass(frozen=True)
class Broken:
    """Break the delivery of the answer.

    Args:
        name: Name in the journal.
        applied: Whether the call is carried out first.
        ending: ``reset``, ``truncated`` or ``silence``.
        delay: Seconds before that.
    """

    name: str
    applied: bool
    ending: Literal["reset", "truncated", "silence", "whole"]
    delay: float = 0.0


@dataclass(frozen=True)
class Entry:
    """Strike entries of a batch: leave them unprocessed (None), or answer them this error."""

    refusal: Refusal | None


Action = Reply | Broken | Entry
Shape = Literal["exception", "null", "bare", "coded", "provisioned", "limit"]


def throttled(shape: Shape = "exception", retry_after: int | None = None) -> Reply:
    """The shapes in which throttling was seen or is documented."""
    status = 429 if shape in {"bare", "coded"} else 400
    codes: dict[str, str] = {
        "exception": "ThrottlingException",
        "coded": "ThrottlingException",
        "provisioned": "ProvisionedThroughputExceededException",
        "limit": "RequestLimitExceeded",
    }
    code = codes.get(shape)
    body = "" if shape == "bare" else _error_body(code, "Rate exceeded" if code else None)
    return Reply(f"throttled {shape}", status, body, code, retry_after)


def failing(status: int) -> Reply:
    """500, 502, 503, 504 or 509, the first and third with the service's codes."""
    code = {500: "InternalFailure", 503: "ServiceUnavailable"}.get(status)
    body = _error_body(code, "Internal server error. Please try again later.") if code else ""
    return Reply(f"status {status}", status, body, code)


def denied() -> Reply:
    """403: not allowed, in the words of IAM (the model's own code is AccessForbidden)."""
    text = "User is not authorized to perform this action."
    code = "AccessDeniedException"
    return Reply("denied", 403, _error_body(code, text), code)


def expired() -> Reply:
    """403: the session token is over."""
    text = "The security token included in the request is expired"
    return Reply(
        "expired", 403, _error_body("ExpiredTokenException", text), "ExpiredTokenException"
    )


def vanished(name: str) -> Reply:
    """400: the spurious answer that an existing group is not there."""
    refusal = group_not_found("ValidationError", name)
    return Reply("vanished", 400, _error_body(refusal.code, refusal.message), refusal.code)


def garbage() -> Reply:
    """200 with the page of a proxy, without a request id."""
    return Reply("garbage", 200, "<html><body>Welcome</body></html>", bare=True)


def reset_before() -> Broken:
    """Connection reset; nothing was applied."""
    return Broken("reset before", applied=False, ending="reset")


def reset_after() -> Broken:
    """Connection reset after the call was applied."""
    return Broken("reset after", applied=True, ending="reset")


def truncated() -> Broken:
    """The call is applied; half of its answer arrives, then the connection closes."""
    return Broken("truncated", applied=True, ending="truncated")


def hanging(seconds: float) -> Broken:
    """No answer for this long, then the connection closes; nothing was applied."""
    return Broken("hanging", applied=False, ending="silence", delay=seconds)


def delayed(seconds: float) -> Broken:
    """The call is applied and answered, this much later."""
    return Broken("delayed", applied=True, ending="whole", delay=seconds)


def unprocessed() -> Entry:
    """The entry comes back under UnprocessedEntries (or UnprocessedIdentifiers)."""
    return Entry(None)


def refused(code: str = "ValidationError", message: str = "Refused by a script.") -> Entry:
    """The entry comes back under Errors."""
    return Entry(Refusal(code, message))


@dataclass(frozen=True, eq=False)
class Rule:
    """When an action strikes; without ``first``, ``every`` or ``probability`` it always does.

    Args:
        action: What happens.
        operation: Only this operation.
        group: Only calls that name this group.
        identifier: Only records whose identifier contains a match of this regular expression.
        first: Only the first n matches.
        every: Only every nth match.
        probability: Only this share of matches.
        seed: Of the random numbers.
    """

    action: Action
    operation: str | None = None
    group: str | None = None
    identifier: str | None = None
    first: int | None = None
    every: int | None = None
    probability: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Strike:
    """What was decided for one call: an action for the whole call, or outcomes of its entries."""

    action: Reply | Broken | None = None
    entries: dict[int, Refusal | None] = field(default_factory=dict)


class Faults:
    """The script of a server; may be changed while it runs.

    Args:
        rules: In order of precedence.
    """

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._seen: dict[Rule, int] = {}
        self._random: dict[Rule, random.Random] = {}
        self.strikes: dict[Rule, int] = {}
        for rule in rules:
            self.add(rule)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def add(self, rule: Rule) -> None:
        """Append a rule."""
        with self._lock:
            self._rules.append(rule)
            self._seen[rule] = self.strikes[rule] = 0
            self._random[rule] = random.Random(rule.seed)

    def clear(self) -> None:
        """No more faults; counts of strikes stay."""
        with self._lock:
            self._rules.clear()

    def strike(self, operation: str, targets: Sequence[tuple[str, str, str]]) -> Strike:
        """Decide for a call.

        Args:
            operation: Name of the operation.
            targets: Group, identifier and event time of each of its records; may be empty.
        """
        entries: dict[int, Refusal | None] = {}
        with self._lock:
            for rule in self._rules:
                if rule.operation not in {None, operation}:
                    continue
                hits = [at for at, target in enumerate(targets) if _hits(rule, target)]
                if isinstance(rule.action, Entry):
                    for at in hits:
                        if at not in entries and self._due(rule):
                            entries[at] = rule.action.refusal
                elif (hits or _is_general(rule)) and self._due(rule):
                    return Strike(rule.action)
        return Strike(None, entries)

    def _due(self, rule: Rule) -> bool:
        self._seen[rule] += 1
        seen = self._seen[rule]
        due = (
            (rule.first is None or seen <= rule.first)
            and (rule.every is None or seen % rule.every == 0)
            and (rule.probability is None or self._random[rule].random() < rule.probability)
        )
        self.strikes[rule] += due
        return due


def _hits(rule: Rule, target: tuple[str, str, str]) -> bool:
    group, identifier, _ = target
    return rule.group in {None, group} and (
        rule.identifier is None or re.search(rule.identifier, identifier) is not None
    )


def _is_general(rule: Rule) -> bool:
    return rule.group is None and rule.identifier is None


def _error_body(code: str | None, message: str | None) -> str:
    named = {} if code is None else {"__type": code}
    return json.dumps(named | {"message": message})

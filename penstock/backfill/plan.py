"""A plan: which windows there are, what would be done to each, what that comes to. Only values.

A window that exists in the ledger stands as it stands there. Where the range is cut otherwise than
the ledger's windows, what they cover with today's meaning is left out and the rest is planned.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from penstock.backfill.estimate import Count, Span, count, total
from penstock.errors import UsageError
from penstock.ledger.interval import Overlapping, difference, split, unit
from penstock.ledger.window import Window, parse_name
from penstock.meaning import digest
from penstock.run.mode import Correct, Online
from penstock.run.timeline import Calendar, Cell, Standing

VERSION = 1
READABLE = 1_000  # windows of a plan file that is laid out for people
Action = Literal["run", "resume", "again", "restate", "leave"]
_HEAD = "penstock_plan"


@dataclass(frozen=True)
class Range:
    """What a plan is asked for.

    Args:
        start: Text of the first instant.
        end: Text of the instant after the last.
        size: Size of the windows, as :func:`penstock.ledger.interval.unit` reads it.
        online: ``latest`` or ``never``, as of ``ingest``.
        correct: ``update`` or None, as of ``ingest``.
        restate: Also run what is done, where meaning or sources have changed since.
        newest_first: The last window first.
    """

    start: str
    end: str
    size: str
    online: Online = "latest"
    correct: Correct | None = None
    restate: bool = False
    newest_first: bool = False


@dataclass(frozen=True)
class Step:
    """One window of a plan.

    Args:
        window: The window.
        standing: How it stands in the ledger.
        action: ``run`` for the first time or after a gate, ``resume`` what was interrupted, run
            ``again`` for what came late, ``restate`` what was made otherwise, ``leave`` as it is.
        why: A word on it.
        count: What it comes to; None where it is left, or nothing could be told.
    """

    window: Window
    standing: Standing
    action: Action
    why: str = ""
    count: Count | None = None

    @property
    def acts(self) -> bool:
        """Whether anything is done."""
        return self.action != "leave"

    def plain(self) -> dict[str, Any]:
        """A JSON form."""
        counted = None if self.count is None else self.count.plain()
        return {
            "window": self.window.name,
            "standing": self.standing,
            "action": self.action,
            "why": self.why,
            "count": counted,
        }


@dataclass(frozen=True)
class Plan:
    """A whole plan.

    Args:
        group: The feature group.
        asked: What for.
        meaning: Hash of the pipeline's meaning when it was made.
        pins: Hash of what the sources were then.
        made_at: ISO instant.
        steps: In order of time.
        told: How the figures were come by, rate, dollars, seconds: for people and programs.
    """

    group: str
    asked: Range
    meaning: str
    pins: str
    made_at: str
    steps: tuple[Step, ...]
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def order(self) -> tuple[Step, ...]:
        """The windows in the order they are run in."""
        acting = tuple(one for one in self.steps if one.acts)
        return acting[::-1] if self.asked.newest_first else acting

    @property
    def count(self) -> Count | None:
        """What all windows that are run come to; None where of one nothing could be told."""
        acting = [one.count for one in self.order]
        known = [one for one in acting if one is not None]
        return total(known) if len(known) == len(acting) else None

    @property
    def standings(self) -> dict[str, int]:
        """Windows by how they stand."""
        return dict(Counter(one.standing for one in self.steps))

    @property
    def dollars(self) -> Span | None:
        """What writing costs; None where it cannot be told."""
        found = (self.told.get("dollars") or {}).get("writes")
        return None if found is None or self.count is None else Span(*found)

    def encoded(self) -> bytes:
        """The plan file: JSON, a new line at its end."""
        whole = self.count
        plain = {
            _HEAD: VERSION,
            "group": self.group,
            "made_at": self.made_at,
            "asked": self.asked.__dict__,
            "meaning": self.meaning,
            "pins": self.pins,
            "windows": [one.plain() for one in self.steps],
            "total": None if whole is None else whole.plain(),
            **self.told,
        }
        # Only without indentation is it encoded in C, which takes a tenth of the time.
        indent = 1 if len(self.steps) <= READABLE else None
        return (json.dumps(plain, indent=indent) + "\n").encode()


def decoded(data: bytes, path: str) -> Plan:
    """The plan of a file.

    Raises:
        UsageError: It is none, or one of another version.
    """
    try:
        plain = json.loads(data)
        version = plain[_HEAD]
    except (ValueError, TypeError, KeyError):
        raise UsageError(f"{path} is no plan", "Make one: penstock plan GROUP --out FILE") from None
    if version != VERSION:
        message = f"{path} is a plan of version {version!r}, this is {VERSION}"
        raise UsageError(message, "Plan anew")
    try:
        steps = tuple(_step(one) for one in plain["windows"])
        made = {name: plain[name] for name in ("group", "meaning", "pins", "made_at")}
        told = {name: plain[name] for name in TOLD if name in plain}
        return Plan(asked=Range(**plain["asked"]), steps=steps, told=told, **made)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"{path}: not what 'penstock plan' writes: {error!r}"
        raise UsageError(message, "Plan anew; a plan is not written by hand") from None


#: What is to be known of a window that comes after newer ones.
BEHIND = "what has a newer event offline is not sent"
#: Keys of a plan file beside the plan itself.
TOLD = ("method", "requests", "rate", "dollars", "seconds", "parallel")


def pins_digest(pins: Any) -> str:
    """Hash of what the sources are."""
    return digest(json.loads(json.dumps(pins)))


def steps(
    calendar: Calendar, whole: Window, asked: Range, mode: str, pins: Any
) -> tuple[Step, ...]:
    """What would be done to each window of a range. Pure.

    Args:
        calendar: How the group's windows stand.
        whole: The range.
        asked: How to cut it, and what to do.
        mode: Name of what a run would do to the stores.
        pins: What the sources are now.

    Raises:
        UsageError: The size is none, or makes too many windows.
    """
    assert whole.start is not None
    assert whole.end is not None
    found: list[Step] = []
    judge = _Judge(asked, mode, json.loads(json.dumps(pins)))
    others = [*calendar.cells, *([calendar.everything] if calendar.everything else [])]
    finished = [one for one in others if one.finished]
    sharing: Overlapping[Cell] | None = None
    for window in split(whole.start, whole.end, unit(asked.size)):
        cell = calendar.cell(window)
        if cell is not None:
            found.append(judge.known(cell))
        else:
            sharing = sharing or Overlapping((one.window, one) for one in finished)
            found += judge.unknown(window, sharing.of(window))
    return _behind(found, finished) if asked.online == "latest" else tuple(found)


def _behind(found: list[Step], finished: list[Cell]) -> tuple[Step, ...]:
    """Note which windows start before the end of another whose records were sent."""
    may = (one for one in finished if not (one.mode or "").startswith("never"))
    known = ((one.window.end or one.at, one) for one in may)
    latest = sorted(((end, one) for end, one in known if end is not None), key=_first)[::-1]
    sent = ((end, one.window) for end, one in latest if (one.figures or {}).get("sent"))
    ends = list(itertools.islice(sent, 2))  # of one at least another window is the owner

    def noted(step: Step) -> Step:
        start = step.window.start
        if not step.acts or start is None:
            return step
        if not any(end > start and one != step.window for end, one in ends):
            return step
        return replace(step, why="; ".join(filter(None, (step.why, BEHIND))))

    return tuple(map(noted, found))


def _first(pair: tuple[datetime, Cell]) -> datetime:
    return pair[0]


#: What is done to windows that no run has finished.
_UNFINISHED: dict[Standing, Action] = {
    "failed": "run",
    "interrupted": "resume",
    "running": "resume",
}


@dataclass(frozen=True)
class _Judge:
    asked: Range
    mode: str
    pins: Any
    known_pins: dict[str | None, bool] = field(default_factory=dict)

    def same(self, pins: str | None) -> bool:
        """Whether sources were what they are now; many windows were made from the same ones."""
        if pins not in self.known_pins:
            self.known_pins[pins] = pins is not None and json.loads(pins) == self.pins
        return self.known_pins[pins]

    def known(self, cell: Cell) -> Step:
        """A window of the ledger."""
        if cell.standing in _UNFINISHED:
            return Step(cell.window, cell.standing, _UNFINISHED[cell.standing], cell.why)
        if cell.standing == "stale":
            action: Action = "restate" if self.asked.restate else "leave"
            return Step(cell.window, cell.standing, action, cell.why)
        return Step(cell.window, cell.standing, *self._done(cell))

    def _done(self, cell: Cell) -> tuple[Action, str]:
        """What is done to a window of today's meaning, and a word on it."""
        if cell.mode != self.mode:
            return "again", f"was run as {cell.mode}"
        if self.same(cell.pins):
            return "leave", cell.why
        changed = "its sources have changed since"
        if cell.standing == "open":
            return "again", changed
        if self.asked.restate:
            return "restate", changed
        return "leave", f"{changed}; --restate reads them again"

    def unknown(self, window: Window, near: list[Cell]) -> Iterator[Step]:
        """A window the ledger has not, beside finished ones that share time with it."""
        stale = [one.window for one in near if one.standing == "stale"]
        if stale:
            why = f"made otherwise, as {', '.join(one.name for one in stale[:2])}"
            action: Action = "restate" if self.asked.restate else "leave"
            yield Step(window, "stale", action, why)
            return
        fresh = [one.window for one in near if one.mode == self.mode]
        rest = difference([window], fresh)
        why = f"as part of {', '.join(one.name for one in fresh[:2])}"
        done = [Step(one, "done", "leave", why) for one in difference([window], rest)]
        missing = [Step(one, "missing", "run") for one in rest]
        yield from sorted([*done, *missing], key=lambda one: one.window.name)


def _step(plain: Mapping[str, Any]) -> Step:
    counted, window = plain["count"], parse_name(plain["window"])
    if window.start is None or window.replays:
        raise ValueError(plain["window"])
    return Step(
        window,
        plain["standing"],
        plain["action"],
        plain["why"],
        None if counted is None else count(counted),
    )

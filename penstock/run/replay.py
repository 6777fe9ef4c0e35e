"""Rows of the quarantine on their way again: judged under today's contract, then a run like others.

Rows the transform gave (stage ``feature``) and rows the service refused (``online``) are whole and
go by themselves. So do events of a stream that is worked on row by row: they are kept as they came,
and begin at the source gate. Another row of a source (``source``) may be one of many an aggregate
needs, so only its window, ingested again, brings it back. What a replay sends is written down
before it starts: an interrupted one is finished by the next, and rows that came through are never
sent by a second one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from penstock.config import Settings
from penstock.contract import FeatureGroup, Pipeline
from penstock.errors import UsageError
from penstock.expectation import ROW_TYPES, split
from penstock.ledger.decisions import OPEN, Outcome, Verdict, verdicts
from penstock.quarantine import Quarantine
from penstock.run.context import Context
from penstock.run.holding import sharing
from penstock.run.ingest import Result
from penstock.run.payload import KEY, Judged, joined, judged, without
from penstock.run.quarantined import EVENT_KEYS, Choice, decisions_of
from penstock.run.replay_plan import Asked, Planned, finished, plan, unfinished
from penstock.run.taken import taken_keys

#: The rule of a row whose event time the offline store has with other values.
CORRECTION = "CORRECTION"
EVENTS = 500  # events looked at together, each up to what a broker takes: often 1 MB


class Reentry(Protocol):
    """How events that a stream's source gate put aside go through the gates again."""

    @property
    def problem(self) -> str | None:
        """Why they cannot go by themselves; None where they can."""

    def judged(self, entries: Sequence[Mapping[str, Any]], latest: datetime) -> Judged:
        """Put them through both gates and the transform of today; event times end at ``latest``."""


@dataclass(frozen=True)
class Replayed:
    """What a replay came to.

    Args:
        group: The feature group.
        tried: Rows that were tried, an interrupted replay's included.
        outcomes: Rows by what became of them: ``accepted``, ``dropped``, ``moved``, ``unfit``,
            ``rejected``; of a dry run ``fit``, ``dropped``, ``unfit``.
        rules: Rows that stay in quarantine, by the rule or code they broke now.
        runs: The runs it took.
        source: Chosen rows that only ingesting their window again brings back.
        events: Chosen events of a stream that cannot go by themselves, for :attr:`problem`.
        untyped: Chosen rows an older version put aside without their types; the same is true.
        left: Chosen rows beyond the limit.
        problem: Why events stay; None where none does.
    """

    group: str
    tried: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    rules: Mapping[str, int] = field(default_factory=dict)
    runs: tuple[Result, ...] = ()
    source: int = 0
    events: int = 0
    untyped: int = 0
    left: int = 0
    problem: str | None = None


def replay(
    context: Context,
    pipeline: Pipeline,
    choice: Choice,
    *,
    by: str,
    limit: int | None = None,
    asked: Asked | None = None,
    dry_run: bool = False,
    reentry: Reentry | None = None,
) -> Replayed:
    """Bring open rows of the quarantine into both stores, under the contract of today.

    Event times stay what they were, so that the service itself ignores what is older than what it
    has. Rows that fail again stay open. Doing it twice changes nothing in the stores.

    Args:
        context: Where.
        pipeline: Whose rows; its transform is run on events of its stream alone.
        choice: Which rows; only open ones are taken.
        by: Who, for the history.
        limit: Rows at most, oldest first.
        asked: What is done to the stores; by default what ``ingest`` does.
        dry_run: Only say what the gate makes of the rows now; nothing is written.
        reentry: How events of its stream go; None where it has none.

    Raises:
        UsageError: Only rows of a source were asked for, and they cannot go by themselves.
        PenstockError: As a run does.
    """
    group = pipeline.group
    if choice.stage == "source" and reentry is None:
        message = f"{group.name}: rows of a source cannot be replayed by themselves"
        remedy = f"Mend source or contract, then run: penstock ingest {group.name}"
        raise UsageError(message, remedy)
    work = _Replay(context, pipeline, by, asked or Asked(), reentry)
    if dry_run:
        return work.run(choice, limit, dry_run=True)
    with sharing(context, group.name):  # what was read is not forgotten before it is in the stores
        work.finish()
        return work.run(choice, limit, dry_run=False)


class _Replay:
    def __init__(
        self,
        context: Context,
        pipeline: Pipeline,
        by: str,
        asked: Asked,
        reentry: Reentry | None,
    ) -> None:
        self._context = replace(context, settings=_lenient(context.settings))
        self._pipeline, self._by, self._asked = pipeline, by, asked
        self._group, self._reentry = pipeline.group, reentry
        self._log = decisions_of(context.settings, self._group.name, context.storage)
        self._quarantine: Quarantine | None = None
        self._runs: list[Result] = []
        self._outcomes: dict[str, Outcome] = {}

    def finish(self) -> None:
        """Finish what an interrupted replay had staged."""
        found = unfinished(self._context, self._group, self._log)
        if found is not None:
            self._context.progress.note(self._group.name, "finishing an interrupted replay")
            self._go(found)

    def run(self, choice: Choice, limit: int | None, *, dry_run: bool) -> Replayed:
        stand = verdicts(self._log.refresh().events)
        heads = [one for one in self._entries().heads(self._group.name) if _open(one, stand)]
        heads = [one for one in heads if choice.takes(one, stand.get(one["row_key"], OPEN))]
        raw = [one for one in heads if one["stage"] == "source"]
        events = [one for one in raw if one["streamed"] and self._reentry is not None]
        problem = self._reentry.problem if events and self._reentry is not None else None
        if problem is not None and choice.stage == "source":
            remedy = "Send the mended events to the stream"
            raise UsageError(f"{self._group.name}: {problem}", remedy)
        able = {one["row_key"]: None for one in events if problem is None}
        # What this very command has tried already, finishing another, is not tried again.
        tried = {*self._outcomes, *(one.entry for one in self._outcomes.values())}
        goes = [one["row_key"] for one in heads if one["stage"] != "source"]
        whole = [key for key in dict.fromkeys([*goes, *able]) if key not in tried]
        chosen = whole[:limit]
        untyped, found = 0, Counter[str]()
        for keys in _portions(chosen, able):
            entries = self._entries().payloads(self._group.name, keys)
            known = [one for one in entries if one["types"] is not None or one["row_key"] in able]
            untyped += len(entries) - len(known)
            found.update(self._batch(known, stand, dry_run=dry_run))
        what = Counter(str(one.what) for one in self._outcomes.values())
        rules = Counter(
            one.rule or "" for one in self._outcomes.values() if one.what in ("unfit", "rejected")
        )
        # Plain mappings: until Python 3.12 asdict makes another one of a Counter.
        return Replayed(
            self._group.name,
            len(chosen) - untyped if dry_run else len(self._outcomes),
            dict(found if dry_run else what),
            dict(rules),
            tuple(self._runs),
            len(raw) - len(events),
            len(events) if problem is not None else 0,
            untyped,
            len(whole) - len(chosen),
            problem,
        )

    def _batch(
        self, entries: Sequence[Mapping[str, Any]], stand: Mapping[str, Verdict], *, dry_run: bool
    ) -> Counter[str]:
        """Judge rows; note those that fail again; run the others."""
        group, context = self._group, self._context
        context.progress.step(group.name, f"judging {len(entries):,} rows of the quarantine")
        tolerance = context.settings.quality.future_tolerance_s
        found = self._judged(entries, context.now() + timedelta(seconds=tolerance))
        outcomes = {key: Outcome("unfit", rule) for key, rule in found.unfit.items()}
        outcomes |= {key: Outcome("dropped") for key in found.dropped}
        rows = found.rows
        if self._asked.correct is None:
            taken = taken_keys(context, group, rows)
            outcomes |= {key: Outcome("unfit", CORRECTION) for key in taken}
            rows = without(rows, taken)
        counts = Counter(str(one.what) for one in outcomes.values())
        counts["fit"] = len(set(rows.column(KEY).to_pylist()))
        if dry_run:
            self._outcomes |= {k: one for k, one in outcomes.items() if one.what == "unfit"}
            return counts
        if outcomes:
            self._note(outcomes)
        if rows.num_rows:
            tries = {key: stand.get(key, OPEN).tries for key in rows.column(KEY).to_pylist()}
            planned = plan(
                context,
                group,
                self._log,
                rows,
                tries,
                meaning=self._pipeline.meaning,
                asked=self._asked,
                by=self._by,
            )
            self._go(planned)
        return counts

    def _judged(self, entries: Sequence[Mapping[str, Any]], latest: datetime) -> Judged:
        """Through the gates of today: events through all of them."""
        whole = [one for one in entries if one["stage"] != "source"]
        events = [one for one in entries if one["stage"] == "source"]
        some = [judged(whole, self._group, latest)]
        if events and self._reentry is not None:
            some.append(self._reentry.judged(events, latest))
        return joined(some)

    def _go(self, planned: Planned) -> None:
        result, outcomes = finished(
            self._context, _row_wise(self._group), self._log, planned, self._entries(), self._by
        )
        self._runs.append(result)
        self._outcomes |= outcomes

    def _note(self, outcomes: Mapping[str, Outcome]) -> None:
        log, now = self._log, self._context.now()

        def once(_: Mapping[str, Verdict]) -> bool:
            return log.add("replayed", outcomes, by=self._by, now=now, outcomes=outcomes)

        log.settle(once)
        self._outcomes |= outcomes

    def _entries(self) -> Quarantine:
        if self._quarantine is None:
            self._quarantine = self._context.quarantine
        return self._quarantine


def _portions(keys: Sequence[str], events: Collection[str]) -> Iterator[list[str]]:
    """Keys that are looked at together: of events fewer."""
    rest = [key for key in keys if key not in events]
    for size, some in ((EVENT_KEYS, rest), (EVENTS, [key for key in keys if key in events])):
        for first in range(0, len(some), size):
            yield some[first : first + size]


def _open(entry: Mapping[str, Any], stand: Mapping[str, Verdict]) -> bool:
    return stand.get(entry["row_key"], OPEN).standing == "open"


def _lenient(settings: Settings) -> Settings:
    """Rows that were refused once may be refused again, all of them: that stops nothing."""
    online = settings.online.model_copy(update={"max_reject_ratio": 1.0})
    quality = settings.quality.model_copy(update={"docs": False})
    return settings.model_copy(update={"online": online, "quality": quality})


def _row_wise(group: FeatureGroup) -> FeatureGroup:
    """The contract without what is expected of a whole set: a few rows are no set."""
    found = split(group.all_expectations)
    alone = [one for one in found.staged if one.type in ROW_TYPES and "mostly" not in one.arguments]
    features = tuple(replace(one, expectations=()) for one in group.features)
    return replace(group, features=features, expectations=(*found.gate, *alone))

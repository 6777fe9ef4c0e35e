"""The checker: from what went in and what is there now, whether the promises were kept.

One program for every fault test. It believes nothing the engine says about itself: what the engine
counts is one input, what the service's journal, the stores and the dead letters hold are others,
and each must agree with all. A run that ended well has an outcome for every row; one that stopped
may leave rows open, never a claim that does not hold.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

#: The order of a window's states; a step may be repeated after a new claim, never left out.
STATES = ("CLAIMED", "PLANNED", "STAGED", "ONLINE_DONE", "OFFLINE_COMMITTED", "REGISTERED", "DONE")
#: Faults that strike after the service did its work: the answer is what was lost.
ANSWER_LOST = frozenset({"reset after", "closed after", "truncated", "dripped"})
#: Operations that may apply an equal event time: a hard delete leaves nothing to compare with.
REPEATABLE = frozenset({"UpdateRecord", "DeleteRecord"})
_SHOWN = 3


class Row(NamedTuple):
    """A row, wherever it was found.

    Args:
        identifier: Record identifier, as text.
        event_time: As text that sorts.
        content: Canonical text of all features, see :class:`Shape`; empty for a tombstone.
        place: Where an input row came from; what is read from a store has none.
    """

    identifier: str
    event_time: str
    content: str
    place: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """(identifier, event time)."""
        return self.identifier, self.event_time


class Dead(NamedTuple):
    """A dead letter: the row, and the cause that stands beside it."""

    row: Row
    code: str


class Write(NamedTuple):
    """One line of the service's journal.

    Args:
        payload: Hash of what is stored; empty for a tombstone.
        applied: Whether the online record became this one.
        fault: What a script did to the call.
    """

    identifier: str
    event_time: str
    payload: str
    operation: str = "PutRecord"
    applied: bool = True
    fault: str | None = None
    nanos: int = 0

    @property
    def taken(self) -> bool:
        """Whether the service took it, even if a newer record won or the answer was lost."""
        return self.fault is None or self.applied or self.fault in ANSWER_LOST


@dataclass(frozen=True)
class Shape:
    """How the features of a group are compared: texts of the wire and values of a table alike.

    Args:
        identifier: Name of the record identifier.
        event_time: Name of the event time.
        kinds: Feature to ``String``, ``Integral`` or ``Fractional``.
    """

    identifier: str
    event_time: str
    kinds: Mapping[str, str]

    def row(self, values: Mapping[str, Any], place: str = "", *, deleted: bool = False) -> Row:
        """The row these values make; a null and an absent feature are the same."""
        own = {name: values[name] for name in self.kinds if values.get(name) is not None}
        plain = {name: self._plain(name, value) for name, value in own.items()}
        content = "" if deleted else json.dumps(plain, sort_keys=True)
        return Row(str(own[self.identifier]), str(own[self.event_time]), content, place)

    def _plain(self, name: str, value: Any) -> str:
        kind = self.kinds[name]
        if kind == "Fractional":
            return float(value).hex()
        return str(int(value)) if kind == "Integral" else str(value)


@dataclass(frozen=True)
class Evidence:
    """All that is known after a run, and after each resume of it.

    Args:
        rows: I: every row that went in.
        sent: The rows of the send files; those of ``rows`` where nothing is collapsed.
        answered: Of these, rows whose chunk is marked and that are no dead letters.
        dead: D: rows in rejects files that a marker names.
        journal: J: what the service did, in its order.
        online: O: the final online record of each identifier.
        figures: Sums of the markers' figures: sent, accepted, skipped, rejected.
        offline: F: all offline rows, as often as they are there; None where no run reached it.
        quarantined: Q: places of input rows that were put aside before sending.
        collapsed: Exact duplicates the run says it dropped.
        ledger: Events of one generation, oldest first: state, epoch.
        texts: Logs and other texts by name, to be searched for canaries.
        canaries: Values no text may hold.
        exit_code: How the run ended.
        before: Rows that were online before the run; the journal has them.
        causes: Codes that may put a single record into the dead letters.
    """

    rows: Sequence[Row]
    sent: Sequence[Row]
    answered: Sequence[Row]
    dead: Sequence[Dead]
    journal: Sequence[Write]
    online: Mapping[str, Row]
    figures: Mapping[str, int]
    offline: Sequence[Row] | None = None
    quarantined: frozenset[str] = frozenset()
    collapsed: int = 0
    ledger: Sequence[tuple[str, int]] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    canaries: Sequence[str] = ()
    exit_code: int = 0
    before: Sequence[Row] = ()
    causes: frozenset[str] = frozenset({"ValidationError", "ValidationException"})


@dataclass(frozen=True)
class Findings:
    """What is wrong; all empty when nothing is.

    Args:
        lost: Rows that went in and have no outcome, or two.
        dup: Rows offline more than once.
        phantom: Rows said to be accepted that the service never took.
        unexpected: Rows in a store, the journal or the dead letters that nobody put in.
        went_back: Online records whose event time did not rise with a write.
        wrong_latest: Identifiers whose online record is not the newest accepted, or not the newest
            offline one.
        changed: Rows that were sent with two payloads.
        unfounded: Dead letters whose cause is not the record's own.
        miscounted: Figures that are not what is there.
        ledger: Illegal transitions.
        canaries: Secrets and values in texts.
        exit: An exit code other than expected.
        idle: Fewer rows really processed than the test needs to mean something.
    """

    lost: list[str] = field(default_factory=list)
    dup: list[str] = field(default_factory=list)
    phantom: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    went_back: list[str] = field(default_factory=list)
    wrong_latest: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unfounded: list[str] = field(default_factory=list)
    miscounted: list[str] = field(default_factory=list)
    ledger: list[str] = field(default_factory=list)
    canaries: list[str] = field(default_factory=list)
    exit: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) for one in fields(self))

    def __str__(self) -> str:
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return "\n".join(
            f"{name}: {len(some)}, first {some[:_SHOWN]}" for name, some in found.items() if some
        )

    @property
    def kinds(self) -> set[str]:
        """Names of the kinds that have any."""
        return {one.name for one in fields(self) if getattr(self, one.name)}


def check(evidence: Evidence, *, floor: int = 0, exit_code: int = 0) -> Findings:
    """Everything that is wrong.

    Args:
        evidence: What is known.
        floor: Rows that the service must have taken, so that nothing passes vacuously.
        exit_code: The expected one.
    """
    found = Findings()
    _check_outcomes(evidence, found)
    _check_claims(evidence, found)
    _check_journal(evidence, found)
    _check_online(evidence, found)
    if evidence.offline is not None:
        _check_offline(evidence, evidence.offline, found)
    _check_figures(evidence, found)
    found.ledger.extend(_transitions(evidence.ledger))
    for name, text in evidence.texts.items():
        found.canaries.extend(f"{name}: {one!r}" for one in evidence.canaries if one in text)
    if evidence.exit_code != exit_code:
        found.exit.append(f"{evidence.exit_code} instead of {exit_code}")
    taken = len({write.identifier for write in evidence.journal if write.taken})
    if taken < floor:
        found.idle.append(f"{taken} rows were processed, at least {floor} are needed")
    return found


def assure(evidence: Evidence, *, floor: int = 0, exit_code: int = 0) -> None:
    """Fail with all findings, if there are any."""
    found = check(evidence, floor=floor, exit_code=exit_code)
    assert not found, f"\n{found}"


def received(journal: Iterable[Write]) -> list[Write]:
    """Writes the service took."""
    return [write for write in journal if write.taken]


def _check_outcomes(evidence: Evidence, found: Findings) -> None:
    """Each row of the send files is answered or dead, once; open only where the run stopped."""
    outcomes = Counter(row.key for row in evidence.answered)
    outcomes.update(one.row.key for one in evidence.dead)
    wanted = Counter(row.key for row in evidence.sent)
    for key, times in (outcomes - wanted).items():
        kind = "lost" if key in wanted else "unexpected"
        getattr(found, kind).append(f"{key}: {times} outcomes too many")
    if evidence.exit_code == 0:
        found.lost.extend(f"{key}: no outcome" for key in (wanted - outcomes))
    found.unfounded.extend(
        f"{one.row.key}: {one.code}" for one in evidence.dead if one.code not in evidence.causes
    )


def _check_claims(evidence: Evidence, found: Findings) -> None:
    """What is said to be accepted, the service took. Skipped rows alone it did not."""
    taken = {(write.identifier, write.event_time) for write in received(evidence.journal)}
    without = [row.key for row in evidence.answered if row.key not in taken]
    skipped = evidence.figures.get("skipped", 0)
    if len(without) > skipped:
        found.phantom.extend(f"{key}: accepted, never written" for key in without)


def _check_journal(evidence: Evidence, found: Findings) -> None:
    """Only rows that went in were written; each with one payload; event times only rise."""
    known = {row.key for row in (*evidence.before, *evidence.sent)}
    identifiers = {identifier for identifier, _ in known}
    payloads: dict[tuple[str, str], set[str]] = defaultdict(set)
    newest: dict[str, str] = {}
    for write in evidence.journal:
        key = (write.identifier, write.event_time)
        # A call that a fault kept from being read shows no more than whose record it is.
        named = not write.taken and not write.event_time and write.identifier in identifiers
        if key not in known and not named:
            found.unexpected.append(f"{key}: written, never put in")
        if not write.taken:
            continue
        if write.operation != "UpdateRecord":
            payloads[key].add(write.payload)
        if write.applied:
            before = newest.get(write.identifier, "")
            equal = write.operation in REPEATABLE and write.event_time == before
            if write.event_time <= before and not equal:
                found.went_back.append(f"{write.identifier}: {before}, then {write.event_time}")
            newest[write.identifier] = write.event_time
    found.changed.extend(f"{key}: {len(some)}" for key, some in payloads.items() if len(some) > 1)


def _check_online(evidence: Evidence, found: Findings) -> None:
    """The online record of an identifier is the newest one the service took of it."""
    contents = {row.key: row.content for row in (*evidence.before, *evidence.sent)}
    newest: dict[str, str] = {}
    for write in received(evidence.journal):
        newest[write.identifier] = max(newest.get(write.identifier, ""), write.event_time)
    for identifier, event_time in newest.items():
        wanted = contents.get((identifier, event_time), "")
        there = evidence.online.get(identifier)
        if there is None and wanted:
            found.wrong_latest.append(f"{identifier}: {event_time} was accepted, none is there")
        elif there is not None and (there.event_time, there.content) != (event_time, wanted):
            found.wrong_latest.append(f"{identifier}: {there.event_time} is there")
    strangers = evidence.online.keys() - newest.keys()
    found.unexpected.extend(f"{one}: online, never written" for one in strangers)


def _check_offline(evidence: Evidence, offline: Sequence[Row], found: Findings) -> None:
    """I = F + Q + D + collapsed, by row and by count; no row twice; the newest is online."""
    dead = {one.row[:3] for one in evidence.dead}
    there = Counter(row[:3] for row in offline)
    wanted = [row for row in evidence.rows if row.place not in evidence.quarantined]
    put_in = {row[:3] for row in wanted}
    found.dup.extend(f"{row[:2]}: {times} times" for row, times in there.items() if times > 1)
    found.unexpected.extend(f"{row[:2]}: offline, never put in" for row in there.keys() - put_in)
    found.lost.extend(f"{row[:2]}: rejected and offline" for row in there.keys() & dead)
    if evidence.exit_code != 0:
        return
    gone = put_in - there.keys() - dead
    found.lost.extend(f"{row[:2]}: in no store and no dead letter" for row in gone)
    total = len(offline) + len(evidence.quarantined) + len(evidence.dead) + evidence.collapsed
    if total != len(evidence.rows):
        found.lost.append(f"{len(evidence.rows)} rows went in, {total} have an outcome")
    _check_stores_agree(evidence, offline, found)


def _check_stores_agree(evidence: Evidence, offline: Sequence[Row], found: Findings) -> None:
    newest: dict[str, str] = {}
    for row in offline:
        newest[row.identifier] = max(newest.get(row.identifier, ""), row.event_time)
    rejected = {one.row.identifier for one in evidence.dead}
    contents: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in offline:
        contents[row.key].add(row.content)
    for identifier, event_time in newest.items():
        if identifier in rejected:
            continue
        there = evidence.online.get(identifier)
        texts = contents[identifier, event_time]
        if there is None and "" not in texts:
            found.wrong_latest.append(f"{identifier}: offline, not online")
        elif there is not None and (there.event_time != event_time or there.content not in texts):
            found.wrong_latest.append(f"{identifier}: stores differ at {event_time}")


def _check_figures(evidence: Evidence, found: Findings) -> None:
    figures = {name: evidence.figures.get(name, 0) for name in ("sent", "accepted", "skipped")}
    rejected = evidence.figures.get("rejected", 0)
    there = len(evidence.answered)
    if figures["accepted"] + figures["skipped"] != there:
        found.miscounted.append(f"accepted {figures}, {there} rows are answered")
    if rejected != len(evidence.dead):
        found.miscounted.append(f"rejected {rejected}, {len(evidence.dead)} dead letters")
    if figures["sent"] != there + len(evidence.dead):
        found.miscounted.append(f"sent {figures['sent']}, {there} + {len(evidence.dead)} answered")


def _transitions(ledger: Sequence[tuple[str, int]]) -> list[str]:
    """Epochs never fall; a claim raises them; steps follow one another without a gap."""
    wrong: list[str] = []
    reached, epoch = 0, 0
    for state, own in ledger:
        if own < epoch or (state == "CLAIMED") != (own > epoch):
            wrong.append(f"{state} with epoch {own} after {epoch}")
        epoch = max(epoch, own)
        if state in ("CLAIMED", "GATED"):
            continue
        at = STATES.index(state)
        if at > reached + 1:
            wrong.append(f"{state} after {STATES[reached]}")
        reached = max(reached, at)
    return wrong

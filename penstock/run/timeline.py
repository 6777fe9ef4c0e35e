"""The calendar of a group: its windows in time, each with how it stands, and the gaps between them.

Everything comes from the ledger, and the meaning of the pipeline as it is now: no Spark, no AWS. A
window that is done is *stale* once the pipeline means something else, and *open* as long as rows
for it may still arrive.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from json.encoder import encode_basestring_ascii
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

from penstock.bucket import storage_of
from penstock.config import Settings
from penstock.contract import Pipeline
from penstock.errors import TemporaryError
from penstock.ledger.interval import Unit, gaps
from penstock.ledger.journal import State, parsed
from penstock.ledger.lease import check_free
from penstock.ledger.window import Window, parse_name
from penstock.memory import all_kept
from penstock.run.places import Places, state_folder
from penstock.run.status import Status, statuses
from penstock.timetable import Unit as UnitName

Standing = Literal["done", "open", "stale", "failed", "running", "interrupted", "missing"]
#: Windows whose rows are in the stores, whatever is to be done with them next.
FINISHED = frozenset({"done", "open", "stale"})
LAST_RUNS = 3  # shown by ``penstock status``


class Cell(NamedTuple):
    """One window of the ledger.

    Args:
        window: The window.
        standing: How it stands.
        at: When its newest event was written, by the clock of that driver.
        generation: Number of its newest generation.
        why: What to know beside the standing: the gate's words, who runs it, the other meaning.
        mode: What was done to which store; None where nothing is done yet.
        pins: What its sources were, as JSON; None where nothing is done yet.
        data: What its newest event carries.
        label: Name of the window, where it need not be found from its ends.
    """

    window: Window
    standing: Standing
    at: datetime | None = None
    generation: int = 0
    why: str = ""
    mode: str | None = None
    pins: str | None = None
    data: Mapping[str, Any] = MappingProxyType({})
    label: str | None = None

    @property
    def name(self) -> str:
        """Name of the window."""
        return self.label or self.window.name

    @property
    def figures(self) -> Any:
        """Of the run that finished it; None where nothing is done yet."""
        return self.data.get("figures") if self.finished else None

    @property
    def finished(self) -> bool:
        """Whether its rows are in the stores."""
        return self.standing in FINISHED


@dataclass(frozen=True)
class Calendar:
    """All windows of one group, and what is missing between them.

    Args:
        group: Its name.
        size: Size of its windows: the pipeline's, else what the newest were cut by.
        cells: Windows made of time, by their start.
        everything: The run over all of time; None where there was none.
        now: When it was looked at.
    """

    group: str
    size: str
    cells: tuple[Cell, ...]
    everything: Cell | None
    now: datetime

    def cell(self, window: Window) -> Cell | None:
        """The window of exactly this start and end."""
        return self._by_window.get(window)

    @functools.cached_property
    def _by_window(self) -> dict[Window, Cell]:
        return {one.window: one for one in self.cells}

    @functools.cached_property
    def gaps(self) -> tuple[Window, ...]:
        """Time between the first and the last window that no window covers."""
        if self.everything is not None and self.everything.finished:
            return ()
        return gaps(one.window for one in self.cells)

    @property
    def counts(self) -> dict[str, int]:
        """Windows by standing; every gap counts as one that is missing."""
        found = Counter[str](one.standing for one in self.cells)
        return dict(found) | ({"missing": len(self.gaps)} if self.gaps else {})

    @functools.cached_property
    def fresh_until(self) -> datetime | None:
        """Where the newest finished window ends; of a run over everything, when it was."""
        ends = [one.window.end for one in self.cells if one.finished]
        if self.everything is not None and self.everything.finished:
            ends.append(self.everything.at)
        return max((one for one in ends if one is not None), default=None)

    @property
    def age_s(self) -> float | None:
        """Seconds since then; negative where the window has not ended yet."""
        until = self.fresh_until
        return None if until is None else (self.now - until).total_seconds()

    @property
    def last_runs(self) -> tuple[Cell, ...]:
        """The windows something happened to last, newest first."""
        ran = [one for one in self.cells if one.at is not None]
        return tuple(sorted(ran, key=lambda one: str(one.at), reverse=True)[:LAST_RUNS])

    @functools.cached_property
    def advice(self) -> str | None:
        """What to type next; None where the single windows say it."""
        undone = [one.window for one in self.cells if one.standing in ("failed", "interrupted")]
        undone += self.gaps
        if undone:
            return f"penstock backfill {self.group} {self._range(undone)}"
        stale = [one.window for one in self.cells if one.standing == "stale"]
        if stale:
            return f"penstock plan {self.group} {self._range(stale)} --restate"
        return None

    def json_rows(
        self, found: Sequence[Status], reports: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[str]:
        """For programs: every window as it always was, with its standing; then the gaps; as JSON.

        What events carry is not parsed for it.

        Args:
            found: What the calendar was made from.
            reports: Path of the page about a window's newest run, by the window's name.
        """
        until = _instant(self.fresh_until)
        common = {"fresh_until": until, "age_s": self.age_s, "group_next": self.advice}
        whole = [self.everything] if self.everything is not None else []
        stands = {(one.name, one.generation): one for one in [*self.cells, *whole]}
        end = json.dumps(common, ensure_ascii=False)[1:]

        known = _Known()  # texts alone are encoded ten times as fast as the mapping they are in
        names = (*Status(self.group).head, "standing", "why", "report")
        form = ", ".join(f'"{name}": %s' for name in names)

        def row(one: Status, standing: str | None, why: str) -> str:
            page = reports.get(one.window or "")
            told = form % tuple([known[value] for value in (*one.values, standing, why, page)])
            data = "null" if one.data is None else one.data.text
            return f'{{{told}, "data": {data}, {end}'

        for one in found:
            cell = stands.get((one.window or "", one.generation))
            yield row(one, None, "") if cell is None else row(one, cell.standing, cell.why)
        for gap in self.gaps:
            yield row(Status(self.group, gap.name), "missing", "")

    def lines(self) -> list[str]:
        """For people: how many windows stand how, the gaps, freshness, last runs, what is next."""
        if not self.cells:
            return []
        told = [f"{count} {name}" for name, count in sorted(self.counts.items())]
        lines = [f"{self.group}: windows: {', '.join(told)}; {self._freshness()}"]
        lines += [f"{self.group}: missing: {spoken(one)}" for one in self.gaps]
        lines += [
            f"{self.group}: {spoken(one.window)} {one.standing}: {one.why}"
            for one in self.cells
            if one.why and one.standing != "stale"  # which says it all
        ]
        ran = [f"{spoken(one.window)} ({one.standing})" for one in self.last_runs]
        lines.append(f"{self.group}: last runs: {', '.join(ran)}")
        return [*lines, f"{self.group}: next: {self.advice}"] if self.advice else lines

    def _freshness(self) -> str:
        age = self.age_s
        if age is None:
            return "nothing is done yet"
        return f"done up to {_instant(self.fresh_until)}, {_duration(age)}"

    def _range(self, windows: Sequence[Window]) -> str:
        first = min(str(_instant(one.start)) for one in windows)
        last = max(str(_instant(one.end)) for one in windows)
        size = "" if self.size == "all" else f" --window {self.size}"
        return f"--start {first} --end {last}{size}"


def read_calendar(settings: Settings, pipeline: Pipeline, now: datetime) -> Calendar:
    """The calendar of a pipeline as the ledger has it.

    Raises:
        MismatchError: The ledger is damaged.
    """
    return calendar(settings, pipeline, statuses(settings, [pipeline.group.name]), now)


def calendar(
    settings: Settings, pipeline: Pipeline, found: Sequence[Status], now: datetime
) -> Calendar:
    """The calendar from the states of a group's windows.

    Replays of the quarantine are not in it, nor windows whose only run was taken back.

    Args:
        settings: Where the leases are.
        pipeline: What the windows would be made by now.
        found: Its part of :func:`penstock.run.status.statuses`.
        now: Aware.
    """
    storage, state = storage_of(settings.state, settings), state_folder(settings)

    def holder(window: Window) -> str | None:
        path = Places(state, pipeline.group.name, window).lease
        try:
            check_free(storage, path, now.timestamp())
        except TemporaryError as error:
            return error.message
        return None

    with all_kept():
        return _calendar(pipeline, found, now, holder)


def _calendar(
    pipeline: Pipeline,
    found: Sequence[Status],
    now: datetime,
    holder: Callable[[Window], str | None],
) -> Calendar:
    meaning = pipeline.meaning
    windows = [(parse_name(one.window), one) for one in found if one.window is not None]
    cells = [
        _cell(window, one, pipeline, meaning, holder)
        for window, one in windows
        if not window.replays and not one.undone
    ]
    timed = sorted((one for one in cells if one.window.start is not None), key=_order)
    whole = [one for one in cells if one.window.start is None]
    size = pipeline.window if pipeline.window != "all" else _size(timed)
    return Calendar(pipeline.group.name, size, tuple(timed), whole[0] if whole else None, now)


def spoken(window: Window) -> str:
    """A window for people: its two ends as they are typed."""
    if window.start is None or window.end is None:
        return "everything"
    return f"{_instant(window.start)} to {_instant(window.end)}"


def _cell(
    window: Window,
    found: Status,
    pipeline: Pipeline,
    meaning: str,
    holder: Callable[[Window], str | None],
) -> Cell:
    at = None if found.at is None else parsed(found.at)
    data = found.data if found.data is not None else {}
    about: tuple[Any, ...] = (None, None, data, found.window)
    if found.state is State.GATED:
        return Cell(window, "failed", at, found.generation, str(data.get("why", "")), *about)
    if found.state is not State.DONE:
        held = holder(window)
        standing: Standing = "interrupted" if held is None else "running"
        return Cell(window, standing, at, found.generation, held or "", *about)
    standing, why = "done", ""
    if found.meaning != meaning:
        standing, why = "stale", "the pipeline has changed since"
    elif at is not None and window.end is not None and at < window.end + pipeline.lateness:
        standing = "open"
    mode = found.mode or f"{data.get('online')}:own:OnlineStore"
    about = (mode, found.pins, data, found.window)
    return Cell(window, standing, at, found.generation, why, *about)


class _Known(dict[Any, str]):
    """Texts, numbers and None as JSON; most come again and again."""

    def __missing__(self, value: str | int | None) -> str:
        if value is None:
            made = "null"
        else:
            made = encode_basestring_ascii(value) if isinstance(value, str) else str(value)
        self[value] = made
        return made


def _size(cells: Sequence[Cell]) -> str:
    """The size somebody cut the newest windows by; ``all`` where it is none with a name."""
    for window in (one.window for one in reversed(cells[-LAST_RUNS:])):
        for name in get_args(UnitName):
            assert window.start is not None
            if (window.start, window.end) == _borders(Unit(name), window.start):
                return str(name)
    return "all"


def _borders(unit: Unit, at: datetime) -> tuple[datetime, datetime]:
    return unit.floor(at), unit.after(at)


def _order(cell: Cell) -> tuple[datetime, datetime]:
    assert cell.window.start is not None
    assert cell.window.end is not None
    return cell.window.start, cell.window.end


def _instant(at: datetime | None) -> str | None:
    """An instant as it is typed: a date where that says it all."""
    if at is None:
        return None
    at = at.astimezone(timezone.utc)
    text = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    return text.removesuffix("T00:00:00Z")


def _duration(seconds: float) -> str:
    """How long ago, in the unit that suits it."""
    if seconds < 0:
        return "which is yet to come"
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {name} ago"
    return f"{seconds:.0f} seconds ago"

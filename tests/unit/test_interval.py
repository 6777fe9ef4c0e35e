"""Laws of the interval algebra, against sets of hours and over borders of months and years."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.ledger import interval
from penstock.ledger.interval import (
    Overlapping,
    Unit,
    covers,
    difference,
    gaps,
    overlaps,
    split,
    union,
    unit,
)
from penstock.ledger.window import Window, parse_name
from penstock.timetable import Unit as UnitName


def _naive(first: str, last: str) -> st.SearchStrategy[datetime]:
    return st.datetimes(datetime.fromisoformat(first), datetime.fromisoformat(last))


INSTANTS = _naive("1600-01-01", "2400-01-01").map(
    lambda at: at.replace(microsecond=0, tzinfo=timezone.utc)
)
UNITS = st.builds(Unit, st.sampled_from(get_args(UnitName)), st.integers(1, 50))
ORIGIN = datetime(2013, 3, 9, 22, tzinfo=timezone.utc)  # a change of clocks in New York follows


def _hours(first: int, count: int) -> Window:
    start = ORIGIN + timedelta(hours=first)
    return Window(start, start + timedelta(hours=count))


SMALL = st.builds(_hours, st.integers(0, 60), st.integers(1, 12))
SETS = st.lists(SMALL, max_size=12)


def _set(windows: list[Window] | tuple[Window, ...]) -> set[int]:
    """The hours the windows hold, as plain numbers."""
    found: set[int] = set()
    for one in windows:
        assert one.start is not None
        assert one.end is not None
        first, last = ((at - ORIGIN) // timedelta(hours=1) for at in (one.start, one.end))
        found |= set(range(first, last))
    return found


@given(INSTANTS, UNITS)
def test_a_border_is_where_it_is_whoever_asks(at: datetime, size: Unit) -> None:
    """Floor <= instant <= ceil, which are borders; nothing lies between one and the next."""
    below, above = size.floor(at), size.ceil(at)
    assert below <= at <= above
    assert size.floor(below) == size.ceil(below) == below
    assert size.floor(above) == above
    assert (below == above) == (at == below)
    assert size.after(at) == (size.after(above) if below == above else above)


@given(INSTANTS, st.timedeltas(timedelta(seconds=1), timedelta(days=40)), UNITS)
def test_a_split_covers_exactly_once(start: datetime, length: timedelta, size: Unit) -> None:
    """Side by side from start to end; every border within is one of the unit's."""
    end = start + timedelta(seconds=length // timedelta(seconds=1))
    windows = split(start, end, size)
    assert windows[0].start == start
    assert windows[-1].end == end
    for before, behind in pairwise(windows):
        assert before.end == behind.start
        assert behind.start is not None
        assert size.floor(behind.start) == behind.start
    assert union(windows) == (Window(start, end),)
    assert [parse_name(one.name) for one in windows] == list(windows)


@given(SETS, SETS)
def test_union_and_difference_are_those_of_sets(some: list[Window], others: list[Window]) -> None:
    """Compared hour by hour; what comes out is in order and nothing in it touches."""
    for made, wanted in (
        (union(some), _set(some)),
        (union([*some, *others]), _set(some) | _set(others)),
        (difference(some, others), _set(some) - _set(others)),
    ):
        assert _set(made) == wanted
        assert len(wanted) == sum(len(_set((one,))) for one in made)
        assert union(made) == made
        for before, behind in pairwise(made):
            assert before.end < behind.start  # type: ignore[operator]  # none of these is open


@given(SETS)
def test_gaps_and_what_is_covered_are_the_whole(windows: list[Window]) -> None:
    """Together they are everything from the first start to the last end, and share nothing."""
    holes = gaps(windows)
    assert not _set(holes) & _set(windows)
    hours = _set(windows)
    whole = set(range(min(hours), max(hours) + 1)) if hours else set()
    assert _set(holes) | hours == whole
    assert not windows or len(union([*holes, *windows])) == 1


@given(SETS, SMALL)
def test_covered_is_when_nothing_is_left(windows: list[Window], part: Window) -> None:
    """covers, overlaps and difference agree."""
    assert covers(windows, part) == (not difference([part], windows))
    assert any(interval.overlaps(one, part) for one in windows) == bool(
        _set(windows) & _set([part])
    )


@given(SETS, SMALL)
def test_all_of_time_holds_everything(windows: list[Window], part: Window) -> None:
    """It swallows every other window, and leaves nothing of it; one without ends is never made."""
    assert union([*windows, Window()]) == (Window(),)
    assert difference([part], [Window()]) == ()
    assert covers([Window()], part)
    with pytest.raises(ValueError, match="bounded"):
        difference([Window()], [part])


@given(_naive("2013-01-01", "2013-12-01"))
def test_local_clocks_have_no_say(naive: datetime) -> None:
    """An instant told in New York's time, on a day with 23 or 25 hours too, has the same border."""
    local = naive.replace(tzinfo=ZoneInfo("America/New_York"))
    for name in get_args(UnitName):
        assert Unit(name).floor(local) == Unit(name).floor(local.astimezone(timezone.utc))
    day = Unit("day")
    assert day.after(local) - day.floor(local) == timedelta(days=1)


@pytest.mark.parametrize(
    ("size", "at", "borders"),
    [
        ("month", "2013-01-31", ("2013-01-01", "2013-02-01")),
        ("month", "2012-12-15", ("2012-12-01", "2013-01-01")),
        ("3 months", "2013-05-31", ("2013-04-01", "2013-07-01")),
        ("week", "2013-01-01", ("2012-12-31", "2013-01-07")),
        ("day", "2012-02-29", ("2012-02-29", "2012-03-01")),
    ],
)
def test_borders_as_a_calendar_has_them(size: str, at: str, borders: tuple[str, str]) -> None:
    """Months begin on the first, quarters in January, weeks on Mondays."""
    day = datetime.fromisoformat(at).replace(tzinfo=timezone.utc)
    found = unit(size).floor(day), unit(size).after(day)
    assert tuple(f"{one:%Y-%m-%d}" for one in found) == borders


@pytest.mark.parametrize("text", ["", "year", "0 day", "00day", "-1 day", "1.5 day", "day month"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """With what may be written."""
    with pytest.raises(UsageError, match="is not the size of a window"):
        unit(text)


def test_a_slip_of_the_pen_is_refused() -> None:
    """Three centuries by the hour are no plan; at the ends of time nothing overflows."""
    with pytest.raises(UsageError, match="more than 1,000,000 windows"):
        split(datetime(1800, 1, 1, tzinfo=timezone.utc), interval.LAST, Unit("hour"))
    assert Unit("month").after(interval.LAST) == interval.LAST
    assert Unit("week").floor(interval.FIRST) == interval.FIRST
    assert str(unit("6hours")) == "6 hours"


@given(SETS, SMALL)
def test_those_that_share_time_are_found_as_if_each_were_asked(
    many: list[Window], one: Window
) -> None:
    """Long ones beside short ones, doubles, all of time; in order of their start."""
    things = [*enumerate([*many, Window()])]
    found = Overlapping((window, n) for n, window in things).of(one)
    assert sorted(found) == [n for n, window in things if overlaps(window, one)]
    starts = [things[n][1].start or interval.FIRST for n in found]
    assert starts == sorted(starts)


def test_a_name_that_is_no_window_is_refused() -> None:
    """Neither another form of an instant nor a day that is none."""
    for name in (
        "2013",
        "2013-01-01_2013-01-02",
        "20130101T000000Z",
        "20130230T000000Z_20130301T000000Z",
    ):
        with pytest.raises(ValueError, match=r"."):
            parse_name(name)

"""Schedules: windows without gap or overlap whatever the clocks do, and exactly what is started."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.ledger import interval
from penstock.ledger.window import Window
from penstock.schedule.command import SCHEDULED
from penstock.schedule.firing import instant, least_catch_up, windows
from penstock.timetable import Cron, Rate, Unit, after_end, duration, parse

UNITS: tuple[Unit, ...] = ("hour", "day", "week", "month")
#: Clocks that change by an hour, by half of one, over midnight, often, across the date line; none.
ZONES = (
    *("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo"),
    *("Africa/Casablanca", "Pacific/Apia", "America/Santiago", "Asia/Kolkata", "UTC"),
)
START = datetime(2000, 1, 1, tzinfo=timezone.utc)
MOMENT = st.integers(0, 35 * 365 * 86_400 - 1).map(lambda n: START + timedelta(seconds=n))
DELAY = st.integers(0, 60 * 24 * 40).map(lambda n: timedelta(minutes=n))
UNIT = st.sampled_from(UNITS)


def _floor(moment: datetime, unit: Unit) -> datetime:
    return interval.Unit(unit).floor(moment)


def _span(window: Window) -> tuple[datetime, datetime]:
    assert window.start is not None
    assert window.end is not None
    return window.start, window.end


def _without_gap(found: list[Window]) -> bool:
    """Whether windows, each taken once, lie end to end."""
    spans = sorted({_span(one) for one in found})
    return all(one[1] == other[0] for one, other in pairwise(spans))


@given(MOMENT, UNIT, DELAY)
def test_a_firing_is_about_the_newest_unit_that_ended_a_delay_ago(
    moment: datetime, unit: Unit, delay: timedelta
) -> None:
    """It had ended by then, the next one had not, and both ends are starts of the unit."""
    start, end = _span(windows(moment, unit, delay)[-1])
    assert start < end <= moment - delay
    assert _floor(end - timedelta(microseconds=1), unit) == start
    assert _floor(end, unit) == end
    assert _floor(moment - delay, unit) == end


@given(MOMENT, MOMENT, UNIT, DELAY)
def test_windows_of_two_firings_are_one_or_share_nothing(
    one: datetime, other: datetime, unit: Unit, delay: timedelta
) -> None:
    """Half-open and aligned: a firing that comes twice, or late, names the window of before."""
    first, second = (_span(windows(moment, unit, delay)[-1]) for moment in sorted((one, other)))
    assert first == second or first[1] <= second[0]


@given(
    MOMENT,
    UNIT,
    DELAY,
    st.lists(st.floats(0, 1, exclude_min=True), min_size=1, max_size=30),
    MOMENT,
)
def test_every_instant_is_in_exactly_one_window_of_firings_that_are_close_enough(
    start: datetime, unit: Unit, delay: timedelta, steps: list[float], probe: datetime
) -> None:
    """At most a unit apart, however unevenly: the windows lie end to end; no instant is in two."""
    shortest = {"hour": 1, "day": 24, "week": 168, "month": 28 * 24}[unit]
    moments = [start]
    for step in steps:
        moments.append(moments[-1] + timedelta(hours=step * shortest))
    found = {windows(one, unit, delay)[-1] for one in moments}
    assert _without_gap(list(found))
    low, high = min(map(_span, found))[0], max(map(_span, found))[1]
    inside = low + (probe - START) % (high - low)
    assert sum(first <= inside < last for first, last in map(_span, found)) == 1


@given(MOMENT, UNIT, DELAY, st.integers(0, 30))
def test_what_is_caught_up_lies_before_end_to_end(
    moment: datetime, unit: Unit, delay: timedelta, count: int
) -> None:
    """Oldest first, the firing's own window last."""
    found = windows(moment, unit, delay, count)
    assert len(found) == count + 1
    assert found == sorted(found, key=_span)
    assert _without_gap(found)
    assert found[-1] == windows(moment, unit, delay)[-1]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.integers(0, 23),
    st.integers(0, 59),
    st.dates(date(2005, 1, 1), date(2030, 1, 1)),
    st.sampled_from(("hour", "day")),
    st.integers(0, 60 * 30).map(lambda n: timedelta(minutes=n)),
)
def test_clock_changes_of_the_zone_leave_no_gap(
    zone: str, hour: int, minute: int, day: date, unit: Unit, delay: timedelta
) -> None:
    """One window more than the clock's own, the default, makes up for a firing that is skipped.

    Daily firings for days, hourly ones for hours, over the 400 days after any day.
    """
    hours = (hour,) if unit == "day" else tuple(range(24))
    everyday = Cron((minute,), hours, tuple(range(1, 32)), tuple(range(1, 13)), tuple(range(7)))
    after = datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
    moments = list(islice(everyday.firings(after, zone), 400 if unit == "day" else 2_000))
    assert least_catch_up(everyday, zone, unit, delay, after) <= 1
    assert _without_gap([one for moment in moments for one in windows(moment, unit, delay, 1)])


def test_without_it_there_would_be_one() -> None:
    """New York has nights without half past two; Berlin's half past one wanders over midnight."""
    spring = datetime(2024, 3, 1, tzinfo=timezone.utc)
    night = _cron("cron(30 2 * * ? *)")
    moments = list(islice(night.firings(spring, "America/New_York"), 20))
    assert datetime(2024, 3, 10, tzinfo=timezone.utc).date() not in {one.date() for one in moments}
    assert not _without_gap([windows(one, "day")[-1] for one in moments])
    autumn = datetime(2024, 10, 20, tzinfo=timezone.utc)
    moments = list(islice(_cron("cron(30 1 * * ? *)").firings(autumn, "Europe/Berlin"), 20))
    assert not _without_gap([windows(one, "day")[-1] for one in moments])
    assert least_catch_up(night, "America/New_York", "day", timedelta(0), spring) == 1


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("text", ["cron(0/30 * * * ? *)", "cron(15 2,23 ? * SUN,2-4 *)"])
def test_firings_are_the_minutes_the_clock_on_the_wall_shows(zone: str, text: str) -> None:
    """Each minute of a month with a change of clocks looked at by itself; one shown twice, once."""
    timetable = _cron(text)
    for month in ("2024-03-03", "2024-10-20", "2011-12-20"):
        begin = datetime.fromisoformat(f"{month}T00:00:00+00:00")
        shown: set[datetime] = set()
        wanted = []
        for n in range(60 * 24 * 20 // 15):
            moment = begin + timedelta(minutes=15 * n)
            wall = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            if _matches(text, wall) and wall not in shown:
                wanted.append(moment)
            shown.add(wall)
        found = list(islice(timetable.firings(begin - timedelta(hours=2), zone), 3_000))
        end = begin + timedelta(days=20)
        # A quarter of an hour before the month is shown for the second time where the clocks
        # have just gone back: not in these months.
        assert [one for one in found if begin <= one < end] == wanted


def _cron(text: str) -> Cron:
    found = parse(text)
    assert isinstance(found, Cron)
    return found


def _matches(text: str, wall: datetime) -> bool:
    if text.startswith("cron(0/30"):
        return wall.minute in (0, 30)
    return wall.minute == 15 and wall.hour in (2, 23) and wall.strftime("%a") in "Sun Mon Tue Wed"


@pytest.mark.parametrize(
    ("text", "crontab"),
    [
        ("cron(0 3 * * ? *)", "0 3 * * *"),
        ("cron(0/15 9-17 ? * MON-FRI *)", "0,15,30,45 9,10,11,12,13,14,15,16,17 * * 1,2,3,4,5"),
        ("cron(5 0 1,15 JAN-mar/2 ? *)", "5 0 1,15 1,3 *"),
        ("cron(0 0 ? * 1 *)", "0 0 * * 0"),
        ("rate(15 minutes)", "*/15 * * * *"),
        ("rate(1 hour)", "0 * * * *"),
        ("rate(6 hours)", "0 */6 * * *"),
        ("rate(1 day)", "0 0 * * *"),
    ],
)
def test_an_expression_as_a_crontab_line(text: str, crontab: str) -> None:
    """Days of the week count from Sunday, 1 there and 0 here."""
    assert parse(text).crontab() == crontab


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("daily", "must be rate(1 day) or cron(0 3 * * ? *)"),
        ("rate(0 days)", "must be rate(1 day) or cron(0 3 * * ? *)"),
        ("at(2024-01-01T00:00:00)", "must be rate(1 day) or cron(0 3 * * ? *)"),
        ("cron(0 3 * * *)", "must have six fields"),
        ("cron(0 3 * * ? 2024)", "must have * for the year"),
        ("cron(0 3 * * * *)", "must have ? for either"),
        ("cron(0 3 ? * ? *)", "must have ? for either"),
        ("cron(60 3 * * ? *)", "has '60' where 0 to 59 is possible"),
        ("cron(0 5-3 * * ? *)", "has '5-3' where 0 to 23 is possible"),
        ("cron(0 3 L * ? *)", "has 'L', which is not read"),
        ("cron(0 3 ? * 2#1 *)", "has '2#1', which is not read"),
        ("cron(0 */0 * * ? *)", "has no step after the / of '*/0'"),
        ("cron(0 3 ٣ * ? *)", "has '٣', which is not read"),
        ("cron(0 3 30 2 ? *)", "never fires"),
        ("rate(7 minutes)", "is a rate a crontab cannot say"),
    ],
)
def test_what_is_no_timetable(text: str, says: str) -> None:
    """Said before AWS sees it, and what cron cannot say before it gets a line."""
    with pytest.raises(ValueError, match=re.escape(says)):
        parse(text).crontab()


@settings(max_examples=40, deadline=None)
@given(MOMENT, UNIT, st.integers(0, 27 * 24 * 60).map(lambda n: timedelta(minutes=n)))
def test_a_schedule_without_every_fires_when_its_window_is_due(
    moment: datetime, unit: Unit, delay: timedelta
) -> None:
    """Exactly the delay after the end of each window; what it is on AWS reads back as the same."""
    timetable = after_end(unit, delay)
    assert parse(timetable.expression()) == timetable
    moments = list(islice(timetable.firings(moment), 3))
    ends = [_span(windows(one, unit, delay)[-1])[1] for one in moments]
    assert [one - end for one, end in zip(moments, ends, strict=True)] == [delay] * 3
    assert least_catch_up(timetable, "UTC", unit, delay, moment) == 0


def test_a_delay_that_not_every_month_has_needs_every() -> None:
    """The 29th is not in each month."""
    with pytest.raises(ValueError, match="cannot have window: month and a delay of 28d"):
        after_end("month", timedelta(days=28))


@pytest.mark.parametrize(
    ("text", "unit", "least"),
    [
        ("cron(0 3 ? * MON *)", "day", 6),
        ("cron(0 3 * * ? *)", "hour", 23),
        ("cron(0 3 1 * ? *)", "week", 4),
        ("cron(0 3 1 3,9 ? *)", "month", 5),
        ("rate(1 day)", "hour", 23),
        ("rate(2 days)", "month", 0),
        ("rate(25 hours)", "day", 1),
    ],
)
def test_how_many_windows_lie_between_two_firings(text: str, unit: Unit, least: int) -> None:
    """As many must be caught up."""
    now = datetime(2024, 1, 10, tzinfo=timezone.utc)
    assert least_catch_up(parse(text), "UTC", unit, timedelta(0), now) == least


@settings(deadline=None)
@given(st.integers(1, 20_000), UNIT, DELAY, MOMENT)
def test_a_rate_needs_what_it_says_and_no_more_than_one_too_many(
    minutes: int, unit: Unit, delay: timedelta, moment: datetime
) -> None:
    """From wherever it is counted."""
    rate = Rate(timedelta(minutes=minutes))
    least = least_catch_up(rate, "UTC", unit, delay, moment)
    moments = [moment + n * rate.period for n in range(50)]
    assert _without_gap([one for m in moments for one in windows(m, unit, delay, least)])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2024-01-02T03:00:00Z", "2024-01-02T03:00:00"),
        ("2024-01-02T03:00:59.999999999Z", "2024-01-02T03:00:59"),
        ("2024-01-02T03:00:00+05:30", "2024-01-01T21:30:00"),
    ],
)
def test_the_scheduled_time_is_read(text: str, found: str) -> None:
    """As EventBridge Scheduler writes it, and as other schedulers might."""
    assert instant(text).isoformat() == f"{found}+00:00"


@pytest.mark.parametrize(
    "text",
    [
        *("", "2024-01-02", "2024-01-02T03:00:00", "2024-02-30T00:00:00Z", "1969-01-01T00:00:00Z"),
        *("9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00", SCHEDULED, "1704164400"),
    ],
)
def test_what_is_no_scheduled_time(text: str) -> None:
    """One without a zone, one that was not filled in, one nobody can have meant."""
    with pytest.raises(UsageError, match="is not a scheduled time"):
        instant(text)


def test_durations() -> None:
    """Minutes, hours, days; nothing else, and no more than a year."""
    assert duration("90m") == timedelta(minutes=90)
    assert duration("3h") == timedelta(hours=3)
    for text in ("", "3", "3s", "-3h", "1.5h", "3h30m", "٣h", "367d", "9999999d"):
        with pytest.raises(ValueError, match=r"^must be "):
            duration(text)

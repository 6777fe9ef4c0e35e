"""Plans as values: what is done to which window, bounds, dollars, the file, who may refuse it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.backfill.estimate import NAMES, WIDER, Count, Span, estimated, order, total
from penstock.backfill.execution import Ended, Meter, check_cost, check_plan, exit_code
from penstock.backfill.plan import BEHIND, Plan, Range, Step, decoded, pins_digest, steps
from penstock.backfill.price import bill, pace
from penstock.conf_price import Prices
from penstock.errors import (
    CredentialsError,
    DataGateError,
    MismatchError,
    PenstockError,
    TemporaryError,
    UsageError,
)
from penstock.ledger.interval import union
from penstock.ledger.journal import State
from penstock.ledger.window import Window, window
from penstock.run.timeline import Calendar, Cell, read_calendar
from tests.ledgers import MODE, PINS, PIPELINE, Ledger, month

NOW = datetime(2020, 2, 1, tzinfo=timezone.utc)
YEAR = Range("2013-01-01", "2014-01-01", "month")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty one."""
    return Ledger(tmp_path)


def _steps(ledger: Ledger, asked: Range = YEAR, mode: str = MODE, pins: Any = PINS) -> list[Step]:
    calendar = read_calendar(ledger.settings, PIPELINE, NOW)
    return list(steps(calendar, window(asked.start, asked.end), asked, mode, pins))


def _actions(found: list[Step]) -> dict[int, tuple[str, str]]:
    """Standing and action by month."""
    return {
        one.window.start.month: (one.standing, one.action)
        for one in found
        if one.window.start is not None
    }


@pytest.mark.shows("5.4")
def test_what_is_done_follows_from_how_a_window_stands(ledger: Ledger) -> None:
    """Missing and failed ones are run, interrupted ones resumed, done ones left; stale ones too."""
    ledger.write(month(1), State.DONE)
    ledger.write(month(2), State.DONE, meaning="another")
    ledger.write(month(3), State.GATED)
    ledger.write(month(4), State.ONLINE_DONE)
    ledger.write(month(5), State.DONE, pins={"readings": []})
    ledger.write(month(6), State.DONE, mode="never:own:OnlineStore")
    found = _actions(_steps(ledger))
    assert found == {
        1: ("done", "leave"),
        2: ("stale", "leave"),
        3: ("failed", "run"),
        4: ("interrupted", "resume"),
        5: ("done", "leave"),
        6: ("done", "again"),
        **dict.fromkeys(range(7, 13), ("missing", "run")),
    }
    again = _actions(_steps(ledger, replace(YEAR, restate=True)))
    assert (again[1], again[2], again[5]) == (
        ("done", "leave"),
        ("stale", "restate"),
        ("done", "restate"),
    )


def test_an_open_window_is_run_again_when_its_sources_have_changed(ledger: Ledger) -> None:
    """Rows may come for two days after its end; what has not changed is not read again."""
    end = month(1).end
    assert end is not None
    ledger.write(month(1), State.DONE, at=end)
    assert _actions(_steps(ledger))[1] == ("open", "leave")
    assert _actions(_steps(ledger, pins={"readings": []}))[1] == ("open", "again")


def test_a_range_cut_otherwise_leaves_out_what_is_covered(ledger: Ledger) -> None:
    """Days that are done are not run again as part of a month; what remains is, once."""
    for first, last in (("2013-01-01", "2013-01-20"), ("2013-01-20", "2013-02-10")):
        ledger.write(window(first, last), State.DONE)
    found = _steps(ledger, Range("2013-01-01", "2013-04-01", "month"))
    assert [(one.window, one.action) for one in found] == [
        (month(1), "leave"),
        (window("2013-02-01", "2013-02-10"), "leave"),
        (window("2013-02-10", "2013-03-01"), "run"),
        (month(3), "run"),
    ]
    ledger.write(Window(), State.DONE)
    assert {one.action for one in _steps(ledger)} == {"leave"}


def test_windows_behind_newer_ones_are_told_apart(ledger: Ledger) -> None:
    """Their records are an upper bound; a normal next window, and one that sends none, are not."""
    ledger.write(month(3), State.DONE, figures={"sent": 3, "seconds": 1.0, "online_s": 1.0})
    found = {one.window.name: one.why for one in _steps(ledger)}
    assert [found[month(n).name] for n in (2, 3, 4)] == [BEHIND, "", ""]
    assert {one.why for one in _steps(ledger, replace(YEAR, online="never"), "other")} == {
        "",
        "was run as latest:own:OnlineStore",
    }


def test_what_shares_time_with_something_stale_is_stale(ledger: Ledger) -> None:
    """Run as new, its rows would be other values at event times that are written already."""
    ledger.write(Window(), State.DONE, meaning="another")
    found = _steps(ledger)
    assert {(one.standing, one.action) for one in found} == {("stale", "leave")}
    again = _steps(ledger, replace(YEAR, restate=True))
    assert {one.action for one in again} == {"restate"}


@given(st.sets(st.integers(1, 12)), st.booleans(), st.sampled_from(["month", "week", "3 months"]))
def test_steps_cover_the_range_once(done: set[int], newest: bool, size: str) -> None:
    """Whatever is done already; the order is that of time, or the other way round."""
    asked = replace(YEAR, size=size, newest_first=newest)
    cells = tuple(
        Cell(month(one), "done", mode=MODE, pins=json.dumps(PINS)) for one in sorted(done)
    )
    calendar = Calendar("readings", "month", cells, None, NOW)
    whole = window(YEAR.start, YEAR.end)
    found = steps(calendar, whole, asked, MODE, PINS)
    assert union(one.window for one in found if one.acts) == union(
        month(one) for one in range(1, 13) if one not in done
    )
    assert union(one.window for one in found) == (whole,)
    run = Plan("readings", asked, "", "", "", found).order
    starts = [str(one.window.start) for one in run]
    assert starts == sorted(starts, reverse=newest)


def _count(rows: float, records: float = 0) -> Count:
    return Count(
        **{name: Span.exactly(rows) for name in NAMES if name != "records"},
        records=Span.exactly(records or rows),
    )


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(100, 1000), min_size=1),
    st.floats(0.5, 2),
    st.data(),
)
def test_bounds_hold_where_windows_are_alike(
    weights: dict[str, int], ratio: float, data: st.DataObject
) -> None:
    """Of windows that differ by less than the bounds are wide: each figure and the sum."""
    shake = st.floats(1 - WIDER / 3, 1 + WIDER / 3)
    true = {name: _count(one * ratio * data.draw(shake)) for name, one in weights.items()}
    seen = data.draw(st.sets(st.sampled_from(sorted(true)), min_size=1))
    found = estimated({name: true[name] for name in seen}, weights)
    assert set(found) == set(weights)
    for name, one in found.items():
        assert one.rows.holds(true[name].rows.about)
        assert one.exact == (name in seen or one.rows.high == 0)
    assert total(found.values()).rows.holds(sum(one.rows.about for one in true.values()))


def test_nothing_is_told_of_what_no_ratio_tells_of() -> None:
    """Without a count there is none; a small window has its own or none, and tells of no other."""
    assert estimated({}, {"a": 1}) == {}
    sizes = {"a": 50, "b": 50, "late": 1}
    assert set(estimated({"a": _count(50)}, sizes)) == {"a", "b"}
    found = estimated({"a": _count(50), "late": _count(30)}, sizes)
    assert set(found) == {"a", "b", "late"}
    assert found["b"].rows == Span(50 * (1 - WIDER), 50, 50 * (1 + WIDER))
    assert set(estimated({"late": _count(30)}, sizes)) == {"late"}
    assert set(estimated({"late": _count(2)}, {"late": 0})) == {"late"}


@given(st.integers(1, 200), st.sets(st.integers(0, 199), max_size=20))
def test_the_ends_and_the_small_are_counted_first(size: int, empty: set[int]) -> None:
    """Every window once: one that tells of others, the small ones, the other end, the rest."""
    weights = {f"{n:03d}": 0.0 if n in empty else 1.0 for n in range(size)}
    found = order(weights)
    assert sorted(found) == sorted(weights)
    small = [name for name in weights if not weights[name]]
    telling = [name for name in found if weights[name]]
    assert found == [*telling[:1], *small, *telling[1:]]
    ends = dict.fromkeys(name for name in ("000", f"{size - 1:03d}") if weights[name])
    assert telling[: len(ends)] == list(ends)


PRICES = Prices.model_validate(
    {"date": "2026-01-02", "source": "a page", "regions": {"eu-west-1": {"write_units": 2.0}}}
)


def test_dollars_come_from_the_region_s_prices() -> None:
    """Units times price, bounds kept; without a price it is said, never taken to be 0."""
    found = _count(3_000_000)
    made = bill(found, PRICES, "eu-west-1")
    assert made.writes == Span.exactly(6.0)
    assert made.storage is None
    assert (made.date, made.source) == ("2026-01-02", "a page")
    assert bill(found, PRICES, "us-east-1").writes is None


def test_time_is_by_the_rate_that_is_allowed_else_reached(ledger: Ledger) -> None:
    """The ceiling, the expectation, what a finished window reached; else nothing is told."""
    online = ledger.settings.online
    assert pace(ledger.settings, []).seconds(_count(10), 1, 1) is None
    ledger.write(month(1), State.DONE)
    cells = read_calendar(ledger.settings, PIPELINE, NOW).cells
    reached = pace(ledger.settings, cells)
    assert (reached.units_s, reached.window_s) == (1.5, 3.0)
    allowed = {"online": online.model_copy(update={"max_write_units_per_s": 5.0})}
    found = pace(ledger.settings.model_copy(update=allowed), cells)
    assert found.seconds(_count(100), 4, 2) == Span.exactly(20 + 2 * 3)


def _plan(rows: int = 10, dollars: list[float] | None = None) -> Plan:
    made = (Step(month(1), "done", "leave"), Step(month(2), "missing", "run", "", _count(rows)))
    told: dict[str, Any] = {"dollars": {"writes": dollars}, "requests": [1, 1, 1]}
    return Plan("readings", YEAR, PIPELINE.meaning, pins_digest(PINS), "then", made, told)


def test_a_plan_file_is_the_plan() -> None:
    """What is written is read back, total included; it is one JSON document of this version."""
    plan = _plan(dollars=[1.0, 2.0, 3.0])
    plain = json.loads(plan.encoded())
    assert plain["penstock_plan"] == 1
    assert plain["total"]["rows"] == [10, 10, 10]
    back = decoded(plan.encoded(), "file")
    assert back == plan
    assert back.dollars == Span(1, 2, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (b"", "is no plan"),
        (b"[]", "is no plan"),
        ({"penstock_plan": 2}, "version 2"),
        ({"windows": [{"window": "../../etc"}]}, "not what"),
        ({"windows": None}, "not what"),
        ({"asked": {"start": "x"}}, "not what"),
    ],
)
def test_what_is_no_plan_is_refused(change: bytes | dict[str, Any], said: str) -> None:
    """One line that says so and how to make one."""
    data = change
    if isinstance(data, dict):
        data = json.dumps(json.loads(_plan().encoded()) | data).encode()
    with pytest.raises(UsageError, match=said):
        decoded(data, "file")


def test_names_that_are_no_windows_of_time_are_refused() -> None:
    """Neither everything nor replays, whose names are folders, come from a file."""
    plain = json.loads(_plan().encoded())
    for name in ("all", f"dlq-../../../x_{month(1).name}"):
        plain["windows"][0]["window"] = name
        with pytest.raises(UsageError, match="not what"):
            decoded(json.dumps(plain).encode(), "file")


def test_an_outdated_plan_is_refused() -> None:
    """The pipeline means something else, or its sources are others, than when it was made."""
    check_plan(_plan(), PIPELINE, pins_digest(PINS))
    with pytest.raises(UsageError, match="its sources have changed"):
        check_plan(_plan(), PIPELINE, pins_digest({}))
    with pytest.raises(UsageError, match="the pipeline has changed"):
        check_plan(replace(_plan(), meaning="another"), PIPELINE, pins_digest(PINS))


def test_a_budget_is_held_by_the_upper_bound() -> None:
    """Above is refused, and so is what cannot be told; nothing to do costs nothing."""
    check_cost(_plan(), None)
    check_cost(_plan(dollars=[1, 2, 3]), 3.0)
    with pytest.raises(UsageError, match=r"may cost 3 dollars, more than 2\.5"):
        check_cost(_plan(dollars=[1, 2, 3]), 2.5)
    with pytest.raises(UsageError, match="cannot be told"):
        check_cost(_plan(), 1_000.0)
    check_cost(replace(_plan(), steps=_plan().steps[:1]), 0.0)


def test_the_exit_code_is_the_gravest() -> None:
    """A defect before credentials, the data, the command, and what passes by itself."""
    step = Step(month(1), "missing", "run")

    def code(*errors: PenstockError) -> int:
        return exit_code([Ended(step, "failed", error=one) for one in errors])

    assert exit_code([Ended(step, "done"), Ended(step, "left")]) == 0
    assert exit_code([Ended(step, "stopped"), Ended(step, "done")]) == 75
    assert code(TemporaryError(""), UsageError("")) == 2
    assert code(UsageError(""), DataGateError("")) == 65
    assert code(DataGateError(""), CredentialsError("")) == 77
    assert code(MismatchError(""), CredentialsError("")) == 70


def test_the_rest_is_told_by_rows_where_they_are_known() -> None:
    """A quarter of the rows in ten seconds leaves thirty; without rows windows count alike."""
    clock = iter([0.0, 10.0, 40.0])
    made = [Step(month(n), "missing", "run", "", _count(rows)) for n, rows in ((1, 25), (2, 75))]
    plan = Plan("readings", YEAR, "", "", "", tuple(made))
    meter = Meter(plan, lambda: next(clock))
    assert meter.said(made[0]) == "1 of 2 windows (25%), about 30 s left"
    assert meter.said(made[1]) == "2 of 2 windows (100%)"
    clock = iter([0.0, 600.0])
    bare = tuple(replace(one, count=None) for one in made)
    meter = Meter(replace(plan, steps=bare), lambda: next(clock))
    assert meter.said(bare[1]) == "1 of 2 windows (50%), about 10 min left"

"""Making a plan: the ledger's calendar, the sources as they are, and what the windows come to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from penstock.backfill.estimate import WIDER, Count, estimated
from penstock.backfill.measure import Measured, measure_all, measure_some
from penstock.backfill.plan import Plan, Range, Step, pins_digest, steps
from penstock.backfill.price import bill, pace
from penstock.contract import Pipeline
from penstock.errors import UsageError
from penstock.ledger.window import Window, window
from penstock.memory import all_kept
from penstock.run.context import Context
from penstock.run.inputs import inputs
from penstock.run.mode import Mode, mode_of
from penstock.run.timeline import Calendar, read_calendar

BUDGET_S = 20.0  # of a plan that is not exact, the start of Spark included
#: Of these, for Python's start, for stopping what is being counted, and for the answer: 3.5 s were
#: taken on a slow machine.
_SPARE_S = 5.0


def planned(
    context: Context,
    pipeline: Pipeline,
    asked: Range,
    *,
    exact: bool = False,
    parallel: int = 1,
    count: bool = True,
) -> Plan:
    """What a backfill of a range would do, and what it comes to. Changes nothing.

    Args:
        context: The surroundings; Spark is started only where rows are counted.
        pipeline: What would be run.
        asked: The range and how it is to be run.
        exact: Count every window; else as many as :data:`BUDGET_S` seconds allow.
        parallel: Windows at a time, for the expected time.
        count: Whether to count at all.

    Raises:
        UsageError: The range or the size of windows is none.
        PenstockError: The ledger is damaged, or a source cannot be read.
    """
    began = context.monotonic()
    mode = mode_of(pipeline.group, context.settings, asked.online, asked.correct)
    whole = _whole(asked)
    pins: Any = {one.name: one.pin for one in inputs(context, pipeline)}
    with all_kept():
        calendar = read_calendar(context.settings, pipeline, context.now())
        made = steps(calendar, whole, asked, mode.name, pins)
    plan = Plan(
        group=pipeline.group.name,
        asked=asked,
        meaning=pipeline.meaning,
        pins=pins_digest(pins),
        made_at=f"{context.now():%Y-%m-%dT%H:%M:%SZ}",
        steps=made,
    )
    if not count:
        return plan
    budget = None if exact else BUDGET_S - _SPARE_S - (context.monotonic() - began)
    return _counted(context, pipeline, plan, calendar, mode, budget, parallel)


def _whole(asked: Range) -> Window:
    found = window(asked.start, asked.end)
    if asked.size == "all":
        message = "a range is cut into windows, and the pipeline names no size for them"
        raise UsageError(message, "Give --window month, day, …")
    return found


def _counted(
    context: Context,
    pipeline: Pipeline,
    plan: Plan,
    calendar: Calendar,
    mode: Mode,
    budget: float | None,
    parallel: int,
) -> Plan:
    acting = [one.window for one in plan.steps if one.acts]
    found = Measured({}, {}, 0.0)
    if acting and budget is None:
        found = measure_all(context, pipeline, acting, mode)
    elif acting and budget is not None:
        found = measure_some(context, pipeline, acting, mode, budget)
    counts = estimated(found.counted, found.weights or dict.fromkeys(found.counted, 1.0))
    plan = replace(plan, steps=tuple(_with(one, counts) for one in plan.steps))
    whole, settings = plan.count, context.settings
    expected = pace(settings, calendar.cells)
    seconds = None if whole is None else expected.seconds(whole, len(acting), parallel)
    dollars = None if whole is None else bill(whole, settings.prices, context.endpoint.region)
    told = {
        "method": {
            "counted": len(found.counted),
            "of": len(acting),
            "seconds": round(found.seconds, 1),
            "bounds": _bounds(found, len(counts), len(acting)),
        },
        "requests": None if whole is None else whole.requests(settings.online.api).plain(),
        "rate": {"write_units_s": expected.units_s, "source": expected.source},
        "dollars": None if dollars is None else dollars.plain(),
        "seconds": None if seconds is None else seconds.plain(),
        "parallel": parallel,
    }
    return replace(plan, told=told)


def _with(step: Step, counts: dict[str, Count]) -> Step:
    return replace(step, count=counts.get(step.window.name)) if step.acts else step


def _bounds(found: Measured, told: int, windows: int) -> str:
    """How far the figures are to be believed."""
    if len(found.counted) == windows:
        return "every window was counted"
    if not told:
        return "nothing could be counted in the time: --exact takes what it takes"
    some = "" if told == windows else "; of some windows nothing can be told"
    return (
        f"{len(found.counted)} windows were counted; the others have the lowest and highest rows a "
        f"source row of these, {WIDER:.0%} wider{some}"
    )

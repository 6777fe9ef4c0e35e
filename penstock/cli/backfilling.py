"""``plan`` and ``backfill``: many windows, with the bill first."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from penstock.cli.options import (
    Workspace,
    correct_option,
    online_option,
    spark_context,
    takeover_option,
    workspace_options,
)
from penstock.cli.tables import show, show_json
from penstock.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.backfill.execution import Ended
    from penstock.backfill.plan import Plan, Range
    from penstock.contract import Pipeline
    from penstock.run.context import Context
    from penstock.run.mode import Correct, Online

LOG = logging.getLogger("penstock")
SHOWN = 200  # windows in a table for people; of more, those that are run
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _range_options(command: _Command) -> _Command:
    """Options that say which windows, and how they are run."""
    options = (
        click.option("--start", help="Start of the range, UTC, inclusive: 2013-01-01."),
        click.option("--end", help="End of the range, UTC, exclusive."),
        click.option("--window", "size", help="hour, day, week, month, '6 hour'; the pipeline's."),
        click.option(
            "--restate", is_flag=True, help="Also windows whose meaning or sources changed."
        ),
        click.option("--newest-first", is_flag=True, help="The last window first."),
        click.option(
            "--parallel",
            type=click.IntRange(1, 64),
            default=2,
            show_default=True,
            help="Windows at a time.",
        ),
        correct_option,
        online_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("group")
@_range_options
@click.option("--exact", is_flag=True, help="Count every window, however long it takes.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the plan here.")
@workspace_options
def plan(
    workspace: Workspace, *, group: str, parallel: int, exact: bool, out: Path | None, **asked: Any
) -> int:
    """What a backfill would do: windows, rows, write units, dollars, time. Changes nothing.

    Without --exact it takes at most 20 seconds, counts as many windows as it can, and says the
    bounds of the rest.

    \b
    Examples:
      penstock plan aircraft_history --start 2013-01-01 --end 2014-02-01
      penstock plan aircraft_history --start 2013-01-01 --end 2013-02-01 --window day --exact
      penstock plan aircraft_history --start 2013-01-01 --end 2014-02-01 --out year.json
    """
    from penstock.backfill.planning import planned

    pipeline = workspace.project.pipeline(group)
    wanted = _asked(pipeline, asked)
    with spark_context(workspace) as context:
        made = planned(context, pipeline, wanted, exact=exact, parallel=parallel)
    if out is not None:
        out.write_bytes(made.encoded())
    if workspace.as_json:
        click.echo(made.encoded(), nl=False)
        return 0
    _show_plan(made)
    if out is not None:
        click.echo(f"Next: penstock backfill {group} --plan {out}")
    return 0


@click.command()
@click.argument("group")
@_range_options
@click.option(
    "--plan",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Run exactly the windows of this plan; refused where pipeline or sources have changed.",
)
@click.option("--max-cost", type=click.FloatRange(min=0), help="Refuse above so many dollars.")
@takeover_option
@workspace_options
def backfill(
    workspace: Workspace,
    *,
    group: str,
    parallel: int,
    file: Path | None,
    max_cost: float | None,
    takeover: bool,
    **asked: Any,
) -> int:
    """Run the windows of a range that are missing, failed or interrupted; several at a time.

    A window that fails is said and the others go on; the exit code is that of the gravest. What is
    done stays as it is, and the same command goes on after an interruption.

    \b
    Examples:
      penstock backfill aircraft_history --start 2013-01-01 --end 2014-02-01
      penstock backfill aircraft_history --start 2013-01-01 --end 2014-02-01 --newest-first
      penstock backfill aircraft_history --plan year.json --max-cost 5
    """
    from penstock.backfill.execution import check_cost, execute, exit_code

    pipeline = workspace.project.pipeline(group)
    began = time.monotonic()
    said = _asked(pipeline, asked) if file is None else _from_file(pipeline, file, asked)
    with spark_context(workspace, takeover=takeover) as context:
        made = _planned(context, pipeline, said, max_cost, parallel)
        check_cost(made, max_cost)
        ended = execute(context, pipeline, made, parallel)
    code = exit_code(ended)
    if workspace.as_json:
        show_json([_plain(one) for one in ended])
    else:
        _show_ended(group, ended, time.monotonic() - began)
    _say_failed(ended)
    return code


def _asked(pipeline: Pipeline, asked: dict[str, Any]) -> Range:
    from penstock.backfill.plan import Range

    start, end, size = (asked.pop(name) for name in ("start", "end", "size"))
    if start is None or end is None:
        raise UsageError("a range needs --start and --end", "For example --start 2013-01-01 …")
    online: Online = asked.pop("online")
    correct: Correct | None = asked.pop("correct")
    return Range(start, end, size or pipeline.window, online, correct, **asked)


def _planned(
    context: Context,
    pipeline: Pipeline,
    said: Range | Plan,
    max_cost: float | None,
    parallel: int,
) -> Plan:
    """A plan as it was made; or one of a range, its rows counted only where the bill matters."""
    from penstock.backfill.execution import check_plan
    from penstock.backfill.plan import Range, pins_digest
    from penstock.backfill.planning import planned
    from penstock.run.inputs import inputs

    if isinstance(said, Range):
        return planned(context, pipeline, said, parallel=parallel, count=max_cost is not None)
    pins = {one.name: one.pin for one in inputs(context, pipeline)}
    check_plan(said, pipeline, pins_digest(pins))
    return said


def _from_file(pipeline: Pipeline, file: Path, asked: dict[str, Any]) -> Plan:
    from penstock.backfill.plan import decoded

    given = [name for name in asked if _typed(name)]
    if given:
        option = {"size": "window"}.get(given[0], given[0].replace("_", "-"))
        message = f"--plan has everything a range says; --{option} contradicts"
        raise UsageError(message, "Give the one or the other")
    made = decoded(file.read_bytes(), str(file))
    if made.group != pipeline.group.name:
        message = f"{file} is a plan for {made.group}"
        raise UsageError(message, f"Run: penstock backfill {made.group} --plan {file}")
    return made


def _typed(option: str) -> bool:
    """Whether somebody wrote an option down, be it what it would be anyway."""
    source = click.get_current_context().get_parameter_source(option)
    return source is ParameterSource.COMMANDLINE


_PLAN_HEAD = ("window", "stands", "what is done", "rows", "records", "write units", "why")


def _show_plan(made: Plan) -> None:
    from penstock.backfill.estimate import Count
    from penstock.run.timeline import spoken

    def row(window: str, standing: str, action: str, one: Count | None, why: str) -> list[Any]:
        figures = (None, None, None) if one is None else (one.rows, one.records, one.write_units)
        return [window, standing, action, *map(_figure, figures), why]

    steps = made.steps if len(made.steps) <= SHOWN else made.order[:SHOWN]
    rows = [row(spoken(one.window), one.standing, one.action, one.count, one.why) for one in steps]
    whole = made.count
    if made.order:
        rows.append(row("all", "", f"{len(made.order)} windows", whole, ""))
    show(_PLAN_HEAD, rows)
    if len(steps) < len(made.steps):
        standings = ", ".join(f"{count:,} {name}" for name, count in made.standings.items())
        click.echo(f"{len(made.steps):,} windows ({standings}); --json or --out has all")
    for line in _plan_lines(made):
        click.echo(line)


def _figure(span: Any) -> str | None:
    return None if span is None else str(span)


def _plan_lines(made: Plan) -> list[str]:
    """Requests, bytes, dollars, time, and how far all that is to be believed."""
    if not made.order:
        return ["Nothing to do."]
    from penstock.backfill.estimate import Span

    told, whole = made.told, made.count
    method, rate = told["method"], told["rate"]
    lines = [f"{method['bounds']} ({method['counted']} of {method['of']}, {method['seconds']} s)."]
    if whole is None:
        return [*lines, "What it comes to cannot be told of every window."]
    prices = told["dollars"]
    lines.append(f"Requests: {Span(*told['requests'])}; Parquet bytes: {whole.table_bytes}.")
    if prices["writes"] is None:
        lines.append(f"Dollars: conf has no prices for {prices['region']}.")
    else:
        lines.append(
            f"Dollars: {_dollars(prices['writes'])} for writing, at most "
            f"{_dollars(prices['storage_a_month'])} a month for keeping it online "
            f"({prices['region']}, {prices['date']}: {prices['source']})."
        )
    if told["seconds"] is None:
        lines.append(f"Time: {rate['source']}.")
    else:
        minutes = Span(*told["seconds"]).times(1 / 60)
        lines.append(f"Time: {minutes.about:,.1f} min, by {rate['source']}.")
    return lines


def _dollars(plain: Sequence[float] | None) -> str:
    if plain is None:
        return "an unknown sum"
    low, about, high = plain
    return f"{about:,.4f}" if low == high else f"{about:,.4f} ({low:,.4f} to {high:,.4f})"


def _plain(ended: Ended) -> dict[str, Any]:
    error, result = ended.error, ended.result
    return {
        "window": ended.step.window.name,
        "state": ended.fate,
        "why": ended.step.why,
        "error": None if error is None else str(error),
        "exit_code": 0 if error is None else error.exit_code,
        "figures": None if result is None else result.figures.plain(),
    }


_ENDED_HEAD = ("window", "state", "valid", "identifiers", "older", "sent", "accepted", "offline")


def _show_ended(group: str, ended: Sequence[Ended], seconds: float) -> None:
    from penstock.run.timeline import spoken

    rows: list[list[Any]] = []
    for one in ended:
        found = None if one.result is None else one.result.figures
        names = ("valid", "identifiers", "older", "sent", "accepted", "offline")
        figures = [None if found is None else getattr(found, name) for name in names]
        rows.append([spoken(one.step.window), one.fate, *figures])
    show(_ENDED_HEAD, rows)
    if all(one.fate == "left" for one in ended):
        click.echo("Nothing to do: every window is done, or left as the plan says.")
    click.echo(f"This took {seconds:.0f} s. Next: penstock status {group}")


def _say_failed(ended: Sequence[Ended]) -> None:
    """One line an error, as every command ends."""
    for one in ended:
        if one.error is not None:
            LOG.error("%s: %s", one.step.window.name, one.error, exc_info=one.error)
            click.echo(f"penstock: {one.step.window.name}: {one.error}", err=True)
    stopped = sum(one.fate == "stopped" for one in ended)
    if stopped:
        text = f"{stopped} windows were not run; the same command goes on there"
        click.echo(f"penstock: {text}", err=True)

"""``provision`` and ``ingest``: what writes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from penstock import aws
from penstock.cli.failures import again, show_failures, told
from penstock.cli.options import (
    Workspace,
    correct_option,
    online_option,
    spark_context,
    tag_option,
    takeover_option,
    workspace_options,
)
from penstock.cli.tables import show, show_json
from penstock.errors import PenstockError, UsageError, gravest
from penstock.ledger.window import Window, window
from penstock.schedule.firing import instant, windows
from penstock.timetable import Unit, duration

if TYPE_CHECKING:
    from penstock.contract import Pipeline
    from penstock.provision import Waiting
    from penstock.run.ingest import Correct, Online, Result

LOG = logging.getLogger("penstock")


@click.command()
@click.argument("groups", nargs=-1)
@tag_option
@click.option("--check", "check_only", is_flag=True, help="Only say what differs; write nothing.")
@workspace_options
def provision(
    workspace: Workspace, *, groups: tuple[str, ...], tag: str | None, check_only: bool
) -> int:
    """Create the feature groups, or add the features that are missing.

    \b
    Examples:
      penstock provision                 all groups of the project
      penstock provision flight_status   one
      penstock provision --tag daily     those that bear a tag
      penstock provision --check         exit 2 where AWS differs from the contracts
    """
    from penstock import provision as engine

    chosen = workspace.project.chosen(groups, tag)
    with aws.connected(workspace.settings) as endpoint:
        sagemaker = aws.client(endpoint, "sagemaker")
        if check_only:
            found = [engine.check(sagemaker, one.group, workspace.settings) for one in chosen]
            if workspace.as_json:
                show_json([{"group": f.physical, "agrees": f.agrees} for f in found])
            for difference in found:
                for line in difference.lines():
                    click.echo(line, err=workspace.as_json)
            return 0 if all(f.agrees for f in found) else 2
        registers = workspace.settings.catalog.register_tables
        glue = aws.client(endpoint, "glue") if registers else None
        made = []
        for one in chosen:
            said = _telling(workspace, one.group.name)
            done = engine.provision(sagemaker, glue, one.group, workspace.settings, said)
            workspace.progress.note(done.group, done.action)
            made.append(done)
    if workspace.as_json:
        show_json([asdict(one) for one in made])
    return 0


def _telling(workspace: Workspace, group: str) -> Waiting:
    from penstock.provision import Waiting

    return Waiting(progress=lambda text: workspace.progress.note(group, text))


@click.command()
@click.argument("groups", nargs=-1)
@tag_option
@click.option("--start", help="Start of the window, UTC, inclusive: 2013-01-01 or an instant.")
@click.option("--end", help="End of the window, UTC, exclusive.")
@click.option(
    "--scheduled-time",
    help="The instant a scheduler fired at, 2024-01-02T03:00:00Z: loads the --window before it.",
)
@click.option(
    "--window",
    "unit",
    type=click.Choice(["hour", "day", "week", "month"]),
    help="With --scheduled-time: load the last of these that has ended, in UTC.",
)
@click.option("--delay", help="How long after a window's end its rows are waited for: 90m, 3h, 2d.")
@click.option(
    "--catch-up",
    type=click.IntRange(0, 1_000),
    help="Load also those of so many windows before it that are not done; default 0.",
)
@online_option
@correct_option
@takeover_option
@workspace_options
def ingest(
    workspace: Workspace,
    *,
    groups: tuple[str, ...],
    tag: str | None,
    start: str | None,
    end: str | None,
    scheduled_time: str | None,
    unit: Unit | None,
    delay: str | None,
    catch_up: int | None,
    online: Online,
    correct: Correct | None,
    takeover: bool,
) -> int:
    """Read, transform, validate, send to the online store, write offline, register.

    Running it again changes nothing; after an interruption it goes on where it stopped. Several
    groups run in one Spark session and read a source they share once. A group that fails is said
    and the others go on; the exit code is that of the gravest.

    \b
    Examples:
      penstock ingest                                     every group of the project
      penstock ingest flight_status                       one
      penstock ingest --tag daily                         those that bear a tag
      penstock ingest aircraft_history --start 2013-01-01 --end 2013-02-01
      penstock ingest --set online.max_write_units_per_s=500
      penstock ingest flight_status --correct update
      penstock ingest aircraft_history --scheduled-time 2013-02-01T03:00:00Z --window month
    """
    chosen = workspace.project.chosen(groups, tag)
    wanted = fired(scheduled_time, unit, delay, catch_up) or [window(start, end)]
    if scheduled_time is not None and (start, end) != (None, None):
        raise UsageError("--scheduled-time names the window", "Leave out --start and --end")
    from penstock.run.due import ingest_due

    began = time.monotonic()
    with spark_context(workspace, takeover=takeover) as context:
        results, failed = one_by_one(
            chosen,
            lambda one: ingest_due(context, one, wanted, online, correct),
            context.progress.note,
        )
    for group, error in failed.items():
        LOG.error("%s: exit %d: %s", group, error.exit_code, error, exc_info=error)
    if workspace.as_json:
        show_json([*map(_plain, results), *(_lost(*one) for one in failed.items())])
        for error in failed.values():
            click.echo(f"penstock: {error}", err=True)
        return gravest(one.exit_code for one in failed.values())
    if results:
        _summary(workspace, results, time.monotonic() - began)
    if failed:
        show_failures(failed, len(chosen), again([*failed]))
    elif results:
        name = results[0].group
        click.echo(f"Next: penstock query latest {name} · penstock get {name} ID · penstock status")
    return gravest(one.exit_code for one in failed.values())


def one_by_one(
    pipelines: Sequence[Pipeline],
    run: Callable[[Pipeline], list[Result]],
    note: Callable[[str, str], None],
) -> tuple[list[Result], dict[str, PenstockError]]:
    """Run each pipeline though others fail, whatever with; the results, and by group the errors.

    A role may lack one group alone, so what a refusal costs the others is a call each.

    Raises:
        Exception: Where there is one pipeline only, what it raised.
    """
    results: list[Result] = []
    failed: dict[str, PenstockError] = {}
    for one in pipelines:
        try:
            results += run(one)
        except Exception as error:
            if len(pipelines) == 1:
                raise
            failed[one.group.name] = found = told(error)
            found.__cause__ = None if found is error else error
            note(one.group.name, f"stopped: {found.message}")
    return results, failed


def fired(
    scheduled_time: str | None, unit: Unit | None, delay: str | None, catch_up: int | None
) -> list[Window]:
    """The windows of a firing, oldest first; none where no scheduler fired.

    Raises:
        UsageError: One of the options is missing, or does not read.
    """
    if scheduled_time is None:
        if (unit, delay, catch_up) == (None, None, None):
            return []
        message = "--window, --delay and --catch-up are about a firing"
        raise UsageError(message, "Give --scheduled-time as well, or --start and --end instead")
    if unit is None:
        raise UsageError("--scheduled-time needs --window", "Add for example --window day")
    try:
        waits = duration(delay or "0m")
    except ValueError as error:
        raise UsageError(f"--delay {error}") from None
    return windows(instant(scheduled_time), unit, waits, catch_up or 0)


def _plain(result: Result) -> dict[str, Any]:
    found = result.figures
    more: dict[str, Any] = {
        "read": found.read,
        "all_quarantined": found.all_quarantined,
        "rate": found.rate,
        "report": result.report,
    }
    return {"group": result.group, "window": result.window, "state": result.state} | (
        found.plain() | more
    )


def _lost(group: str, error: PenstockError) -> dict[str, Any]:
    code = error.exit_code
    return {"group": group, "state": "failed", "error": str(error), "exit_code": code}


_HEAD = (
    "feature group",
    "read",
    "quarantined",
    "exact duplicates",
    "valid",
    "identifiers",
    "sent",
    "accepted",
    "records/s",
    "offline rows",
    "seconds",
)


def _summary(workspace: Workspace, results: list[Result], seconds: float) -> None:
    rows = []
    for result in results:
        found = result.figures
        rows.append(
            (
                result.group,
                found.read,
                found.all_quarantined,
                found.duplicates,
                found.valid,
                found.identifiers,
                found.sent,
                found.accepted,
                f"{found.rate:,.0f}",
                found.offline + found.present,
                f"{found.seconds:.1f}",
            )
        )
    show(_HEAD, rows)
    if all(result.state == "unchanged" for result in results):
        click.echo("Nothing to do: every window is done, and its sources have not changed.")
    click.echo(f"The lake is in {workspace.settings.lake}; this took {seconds:.0f} s.")
    pages = [one.report for one in results if one.report is not None]
    if pages:
        click.echo(f"What happened, as {_pages(pages)}")


def _pages(paths: list[str]) -> str:
    """One page by its path; of several how many, and the last."""
    if len(paths) == 1:
        return f"a page: {paths[0]}"
    return f"{len(paths)} pages, the last: {paths[-1]}"

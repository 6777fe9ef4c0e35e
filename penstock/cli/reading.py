"""``status``, ``get`` and ``query``: what only reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from penstock import lake
from penstock.bucket import storage_of
from penstock.cli.asking import on_athena, plain_rows, workgroup_option
from penstock.cli.options import Workspace, spark_context, workspace_options
from penstock.cli.tables import plain, show, show_json, show_rows
from penstock.config import Settings
from penstock.contract import FeatureGroup, Pipeline
from penstock.errors import PenstockError, UsageError
from penstock.memory import all_kept
from penstock.report.shelf import Shelf
from penstock.run.places import offline_path, reports_path
from penstock.run.status import Status, statuses
from penstock.run.timeline import calendar
from penstock.streaming.standing import line as stream_line
from penstock.streaming.standing import standings
from penstock.streaming.track import stream_window

if TYPE_CHECKING:
    from penstock.query import Table
    from penstock.run.context import Context

SHOWN = 100  # windows in a table for people


@click.command()
@click.argument("groups", nargs=-1)
@workspace_options
def status(workspace: Workspace, *, groups: tuple[str, ...]) -> int:
    """What is done, window by window, what is missing between, and what to type next.

    Read from the ledger alone. Windows are done, open (rows may still arrive), stale (the pipeline
    has changed since), failed, running, interrupted or missing. Below them is the page about the
    newest run; with --json every window has the page about its newest run.

    \b
    Example:
      penstock status flight_status --json
    """
    with all_kept():
        return _status(workspace, workspace.project.chosen(groups))


def _status(workspace: Workspace, chosen: Sequence[Pipeline]) -> int:
    found = {one.group.name: statuses(workspace.settings, [one.group.name]) for one in chosen}
    now = datetime.now(timezone.utc)
    calendars = [calendar(workspace.settings, one, found[one.group.name], now) for one in chosen]
    streams = standings(workspace.settings, list(found), now.timestamp())
    reports = {group: _reports(workspace.settings, group) for group in found}
    for one in streams:
        one["report"] = reports[one["group"]].get(stream_window(one["stream"]))
    if workspace.as_json:
        rows = (
            row for one in calendars for row in one.json_rows(found[one.group], reports[one.group])
        )
        show_rows(chain(rows, map(json.dumps, streams)))
        return 0
    head = (
        "feature group",
        "window",
        "state",
        "since",
        "valid",
        "accepted",
        "offline rows",
        "next",
    )
    states = [one for group in found.values() for one in group]
    shown = _readable(states)
    show(head, [one.row() for one in shown])
    for line in filter(None, (one.summary for one in shown)):
        click.echo(line)
    if len(shown) < len(states):
        click.echo(f"{len(states) - len(shown):,} more windows: --json has all")
    for line in (line for one in calendars for line in one.lines()):
        click.echo(line)
    for group, pages in reports.items():
        if pages:
            click.echo(f"{group}: newest report: {max(pages.values())}")
    for one in streams:
        click.echo(stream_line(one))
    return 0


def _reports(settings: Settings, group: str) -> dict[str, str]:
    """Path of the newest report of each window; windows that ran long ago may have none.

    The ledger is told of though the lake cannot be reached.
    """
    folder = reports_path(settings, group)
    with suppress(PenstockError, OSError):
        return Shelf(storage_of(folder, settings), folder).pages()
    return {}


def _readable(found: Sequence[Status]) -> list[Status]:
    """What a person can read: all, or those that are not done and the newest ones that are."""
    if len(found) <= SHOWN:
        return list(found)
    undone = [one for one in found if one.stands_out][-SHOWN:]
    done = [one for one in found if not one.stands_out][-max(1, SHOWN - len(undone)) :]
    kept = {id(one) for one in (*undone, *done)}
    return [one for one in found if id(one) in kept]


@click.command()
@click.argument("group")
@click.argument("identifiers", nargs=-1, required=True)
@workspace_options
def get(workspace: Workspace, *, group: str, identifiers: tuple[str, ...]) -> int:
    """Show records: the online one beside the offline one.

    \b
    Example:
      penstock get flight_status UA-1545-EWR-2013-01-01T10:00:00Z
    """
    contract = workspace.project.pipeline(group).group
    with spark_context(workspace) as context:  # Spark itself is not asked for
        offline = lake.current_rows(context.log(contract), contract, identifiers)
        online = _online(context, contract, identifiers)
    if workspace.as_json:
        show_json([{"id": i, "online": online[i], "offline": offline.get(i)} for i in identifiers])
        return 0
    for one in identifiers:
        click.echo(f"{group} {one}")
        beside, row = online[one] or {}, offline.get(one) or {}
        show(
            ("feature", "online", "offline"),
            [(name, beside.get(name), plain(row.get(name))) for name in contract.names],
        )
        if not beside and not row:
            click.echo("  neither store has it")
    return 0


def _online(
    context: Context, group: FeatureGroup, identifiers: Sequence[str]
) -> dict[str, dict[str, str] | None]:
    from penstock.run.group import known_online

    place = context.settings.group(group.name)
    if not place.is_online:
        return dict.fromkeys(identifiers)
    runtime = context.client("sagemaker-featurestore-runtime")
    with known_online(context, group):
        return {one: _record(runtime, place.physical or group.name, one) for one in identifiers}


def _record(runtime: Any, group: str, identifier: str) -> dict[str, str] | None:
    answer = runtime.get_record(FeatureGroupName=group, RecordIdentifierValueAsString=identifier)
    record = answer.get("Record")
    return None if not record else {one["FeatureName"]: one["ValueAsString"] for one in record}


@click.command()
@click.argument("kind", type=click.Choice(["explore", "latest", "live", "as-of"]))
@click.argument("group")
@click.argument("moment", required=False)
@click.option(
    "--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Rows shown."
)
@workgroup_option
@click.option("--sql-only", is_flag=True, help="Print the SQL and run nothing.")
@workspace_options
def query(
    workspace: Workspace,
    *,
    kind: Any,
    group: str,
    moment: str | None,
    limit: int,
    workgroup: str | None,
    sql_only: bool,
) -> int:
    """One of the four queries: prints its SQL for Athena and for Spark, and runs it.

    On Spark here, or with --workgroup on Athena, which says how many bytes it read.

    \b
      explore   rows as they are
      latest    newest version of each record, deleted ones too
      live      the same without deleted ones
      as-of     records as they were at MOMENT, without deleted ones

    \b
    Examples:
      penstock query latest aircraft_history
      penstock query as-of aircraft_history 2013-07-01T00:00:00Z
      penstock query live aircraft_history --env aws --workgroup analysts
    """
    from penstock import query as engine

    if (moment is not None) != (kind == "as-of"):
        message = "as-of needs a moment" if kind == "as-of" else f"{kind} takes no moment"
        raise UsageError(message, "For example: penstock query as-of GROUP 2013-07-01T00:00:00Z")
    contract = workspace.project.pipeline(group).group
    registered, path = offline_names(workspace.settings, group)
    delta = workspace.settings.offline.format == "delta"
    for_spark = engine.Table.at(path) if delta else registered
    texts = {
        name: engine.sql(kind, contract, table, dialect, limit=limit, moment=moment)
        for name, table, dialect in (
            ("athena", registered, engine.ATHENA),
            ("spark", for_spark, engine.SPARK),
        )
    }
    if not workspace.as_json:
        click.echo(f"-- Athena\n{texts['athena']}\n\n-- Spark\n{texts['spark']}\n")
    rows: list[dict[str, Any]] = []
    names: list[str] = []
    told: dict[str, Any] = {"sql": texts}
    if workgroup is not None and not sql_only:
        answer = on_athena(workspace, texts["athena"], workgroup, limit)
        names, rows = list(answer.names), plain_rows(answer)
        told["scanned_bytes"] = answer.scanned
    elif not sql_only:
        with spark_context(workspace) as context:
            stored = None if delta else context.table(contract).rows()
            frame = engine.run(
                context.spark, kind, contract, path, rows=stored, limit=limit, moment=moment
            )
            names = frame.columns
            rows = [one.asDict() for one in frame.limit(limit).collect()]
    if workspace.as_json:
        show_json({**told, "rows": rows})
    elif not sql_only:
        show(names, [[plain(row[name]) for name in names] for row in rows])
    return 0


def offline_names(settings: Settings, group: str) -> tuple[Table, str]:
    """A group's offline table in the catalogue, and its folder.

    Raises:
        UsageError: Penstock writes no such table.
    """
    from penstock.catalog.table import table_name
    from penstock.query import Table

    if not settings.group(group).own_table:
        message = f"penstock writes no offline table of {group!r}"
        raise UsageError(message, f"conf says so at groups.{group}: see docs/modes.md")
    registered = Table.registered(settings.catalog.database, table_name(group, settings))
    return registered, offline_path(settings, group)

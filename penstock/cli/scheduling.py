"""``schedule``: runs that start by themselves, on EventBridge Scheduler or by cron."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

import click

from penstock import aws
from penstock.cli.options import Workspace, workspace_options
from penstock.cli.tables import show, show_change, show_json
from penstock.conf_schedule import Schedule
from penstock.errors import ConfigError, UsageError
from penstock.schedule import scheduler
from penstock.schedule.command import crontab, crontab_line
from penstock.schedule.entry import Entry, entry, group_name
from penstock.schedule.firing import least_catch_up, windows
from penstock.timetable import Cron

_CRON = "cron"
_LATER = "EventBridge Scheduler"


@click.group()
def schedule() -> None:
    """Runs that start by themselves: what conf/ says under 'schedules'.

    A firing loads the UTC window that ended last; a second firing for the same window finds it
    done, or held by the first.

    \b
    Examples:
      penstock schedule show                        what fires when, and what exactly it starts
      penstock schedule apply --env aws --check     what would be changed on AWS
      penstock schedule cron                        for the crontab of a machine
    """


@schedule.command(name="show")
@click.argument("names", nargs=-1)
@workspace_options
def show_command(workspace: Workspace, *, names: tuple[str, ...]) -> int:
    """What fires when and loads what, and the exact request or crontab line; AWS is not asked.

    \b
    Examples:
      penstock schedule show
      penstock schedule show nightly --env aws --json
    """
    chosen, now = _chosen(workspace, names), datetime.now(timezone.utc)
    if workspace.as_json:
        show_json([_plain(workspace, name, now) for name in chosen])
        return 0
    started = {name: _started(workspace, name) for name in chosen}
    head = ("schedule", "groups", "loads", "fires", "next firing", "next window", "started by")
    show(head, [_row(name, chosen[name], now) for name in chosen])
    for name, one in started.items():
        click.echo(f"{name}:")
        if "crontab" in one:
            click.echo(one["crontab"])
        else:
            show_json(one["request"])
    return 0


@schedule.command()
@click.argument("names", nargs=-1)
@workspace_options
def cron(workspace: Workspace, *, names: tuple[str, ...]) -> int:
    """Lines for a crontab, of the schedules that have target: cron.

    \b
    Example, which replaces all that the user's crontab had:
      penstock schedule cron | crontab -
    """
    chosen = {name: one for name, one in _chosen(workspace, names).items() if one.target == _CRON}
    if not chosen:
        raise UsageError("no schedule here has target: cron", "Set it in conf under 'schedules'")
    lines = list(crontab(workspace.settings, chosen, workspace.environment, workspace.root))
    if workspace.as_json:
        show_json(lines)
        return 0
    click.echo("\n".join(lines))
    return 0


@schedule.command()
@click.argument("names", nargs=-1)
@click.option("--check", "check_only", is_flag=True, help="Only say what differs; write nothing.")
@workspace_options
def apply(workspace: Workspace, *, names: tuple[str, ...], check_only: bool) -> int:
    """Create the entries in EventBridge Scheduler, or update those that differ.

    Exit code 2 with --check where something differs.

    \b
    Examples:
      penstock schedule apply --env aws --check
      penstock schedule apply nightly --env aws
    """
    chosen = {name: one for name, one in _chosen(workspace, names).items() if one.target != _CRON}
    if not chosen:
        message = "no schedule here has a target on AWS"
        raise UsageError(message, "Set target: emr-serverless or glue, or run 'schedule cron'")
    wanted = [_entry(workspace, name) for name in chosen]
    act = scheduler.compare if check_only else scheduler.apply
    with _scheduler(workspace) as client:
        changes = [_told(workspace, act(client, one), check_only=check_only) for one in wanted]
        group = wanted[0].group
        left = [one for one in scheduler.entries(client, group) if not _is_wanted(workspace, one)]
    if workspace.as_json:
        show_json({"entries": [asdict(one) for one in changes], "left_over": left})
    for name in left:
        remedy = f"penstock schedule remove {name} --env {workspace.environment}"
        text = f"{name} of {group} is not in conf any more: {remedy}"
        click.echo(text, err=workspace.as_json)
    return 2 if check_only and any(one.action != "none" for one in changes) else 0


@schedule.command()
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that penstock made for this --env.")
@workspace_options
def remove(workspace: Workspace, *, names: tuple[str, ...], everything: bool) -> int:
    """Delete entries that penstock made from EventBridge Scheduler; runs under way go on.

    \b
    Examples:
      penstock schedule remove nightly --env aws
      penstock schedule remove --all --env aws
    """
    if bool(names) == everything:
        raise UsageError("remove needs names, or --all", "Write: penstock schedule remove NAME")
    group = group_name(workspace.settings, workspace.environment)
    with _scheduler(workspace) as client:
        chosen = names or tuple(scheduler.entries(client, group))
        removed = {name: scheduler.remove(client, group, name) for name in chosen}
    if workspace.as_json:
        show_json([{"schedule": name, "removed": done} for name, done in removed.items()])
        return 0
    for name, done in removed.items():
        click.echo(f"{name}: {'removed' if done else f'not in {_LATER}'}")
    if not removed:
        click.echo(f"{_LATER} has nothing of penstock's in group {group}.")
    return 0


def _chosen(workspace: Workspace, names: Sequence[str]) -> dict[str, Schedule]:
    """The schedules named, or all, each of them sound."""
    found = workspace.settings.schedules
    if not found:
        message = f"{workspace.conf} has no schedules"
        raise UsageError(message, "Write them under 'schedules'; docs/scheduling.md shows how")
    for name in names:
        if name not in found:
            message = f"there is no schedule {name!r} in {workspace.conf}"
            raise UsageError(message, f"There are: {', '.join(found)}")
    chosen = {name: found[name] for name in names or found}
    for name, one in chosen.items():
        _check_groups(workspace, name, one)
        _check_gaps(workspace, name, one)
    return chosen


def _check_groups(workspace: Workspace, name: str, one: Schedule) -> None:
    there = workspace.project.pipelines
    for group in one.groups:
        if group not in there:
            where = workspace.settings.place(f"schedules.{name}.groups")
            message = f"{where}: there is no feature group {group!r} in this project"
            raise ConfigError(message, f"There are: {', '.join(there)}")


def _check_gaps(workspace: Workspace, name: str, one: Schedule) -> None:
    """Refuse a schedule whose firings leave windows out."""
    if one.unit is None:
        return
    now = datetime.now(timezone.utc)
    least = least_catch_up(one.timetable, one.timezone, one.unit, one.waits, now)
    if least > one.catch_up:
        where = workspace.settings.place(f"schedules.{name}")
        message = f"{where}: schedule {name!r} fires too seldom to load every {one.unit}"
        raise ConfigError(message, f"Set catch_up: {least}, or let it fire more often")


def _is_wanted(workspace: Workspace, name: str) -> bool:
    found = workspace.settings.schedules.get(name)
    return found is not None and found.target != _CRON


def _entry(workspace: Workspace, name: str) -> Entry:
    return entry(workspace.settings, name, workspace.environment)


@contextmanager
def _scheduler(workspace: Workspace) -> Iterator[Any]:
    if workspace.settings.aws.embedded:
        message = "the embedded AWS has no EventBridge Scheduler"
        raise UsageError(message, "Name an environment with --env, or set target: cron")
    with aws.connected(workspace.settings) as endpoint:
        yield aws.client(endpoint, "scheduler")


def _told(workspace: Workspace, change: scheduler.Change, *, check_only: bool) -> scheduler.Change:
    """Say what is or was changed; on standard error where JSON goes to standard output."""
    what, err = f"{change.schedule} in {change.group}", workspace.as_json
    show_change(what, change.action, change.differences, check_only=check_only, err=err)
    return change


def _next(one: Schedule, now: datetime) -> tuple[datetime, str] | None:
    """The next firing and the window it loads; None where only AWS knows."""
    timetable = one.timetable
    if not one.enabled or not isinstance(timetable, Cron):
        return None
    fired = next(timetable.firings(now, one.timezone))
    return fired, "all" if one.unit is None else windows(fired, one.unit, one.waits)[-1].name


def _row(name: str, one: Schedule, now: datetime) -> tuple[object, ...]:
    upcoming = _next(one, now)
    fired, window = (f"{upcoming[0]:%Y-%m-%dT%H:%MZ}", upcoming[1]) if upcoming else ("", "")
    loads = "everything" if one.unit is None else f"last {one.unit}"
    fires = one.expression + ("" if one.timezone == "UTC" else f" {one.timezone}")
    groups = ", ".join(one.groups) or "all"
    return (name, groups, loads, fires, fired or _off(one), window, one.target)


def _off(one: Schedule) -> str:
    return "by AWS's clock" if one.enabled else "off"


def _plain(workspace: Workspace, name: str, now: datetime) -> Mapping[str, Any]:
    one = workspace.settings.schedules[name]
    upcoming = _next(one, now)
    return {
        "schedule": name,
        "groups": one.groups,
        "window": one.window,
        "expression": one.expression,
        "timezone": one.timezone,
        "target": one.target,
        "next": upcoming and {"firing": upcoming[0], "window": upcoming[1]},
        **_started(workspace, name),
    }


def _started(workspace: Workspace, name: str) -> dict[str, Any]:
    """What exactly is run, or asked of AWS."""
    settings, environment = workspace.settings, workspace.environment
    one = settings.schedules[name]
    if one.target == _CRON:
        return {"crontab": crontab_line(settings, one, environment, workspace.root)}
    return {"request": _entry(workspace, name).request}

"""``compact`` and ``expire``: upkeep of the offline tables and of the quarantine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone

import click

from penstock.bucket import storage_of
from penstock.cli.options import Workspace, age_of, spark_context, workspace_options
from penstock.cli.tables import show, show_json
from penstock.run.places import offline_path, quarantine_path
from penstock.run.tables import check_delta
from penstock.upkeep import TARGET_BYTES, Kept, Upkeep

_MEGA = 2**20


@click.command()
@click.argument("groups", nargs=-1)
@click.option(
    "--target-mb",
    type=click.IntRange(1, 10_000),
    default=TARGET_BYTES // _MEGA,
    show_default=True,
    help="Size of a file.",
)
@workspace_options
def compact(workspace: Workspace, *, groups: tuple[str, ...], target_mb: int) -> int:
    """Make the small files of offline tables and quarantine into large ones.

    Each window is a file at least, and each reader pays for every file. Rows stay what they are;
    runs may go on meanwhile. The small files stay for readers of older versions until 'penstock
    expire'.

    \b
    Examples:
      penstock compact
      penstock compact flight_status --target-mb 256
    """
    from penstock.run.holding import sharing

    with spark_context(workspace) as context, sharing(context, "_upkeep"):
        found = _each(workspace, groups, lambda one: one.compact(target_mb * _MEGA))
    head = ("table", "rows", "files before", "files now")
    return _told(workspace, found, head, [(_name(o), o.rows, o.files, o.left) for o in found])


@click.command()
@click.argument("groups", nargs=-1)
@click.option(
    "--older-than",
    "age",
    default="7d",
    show_default=True,
    help="Versions that were replaced so long ago: 12h, 30d.",
)
@workspace_options
def expire(workspace: Workspace, *, groups: tuple[str, ...], age: str) -> int:
    """Remove files that only older versions of offline tables and quarantine need.

    The version that was the newest one then stays readable, and all since. Time travel ends there:
    a data set that was built from an older version cannot be built again. Waits for nobody: while a
    run works in the project it ends with 75, and runs that begin meanwhile do.

    \b
    Examples:
      penstock expire
      penstock expire flight_status --older-than 30d
    """
    from penstock.run.holding import holding_all

    before = datetime.now(timezone.utc) - age_of(age)
    with spark_context(workspace) as context, holding_all(context) as check:
        found = _each(workspace, groups, lambda one: one.expire(before, check))
    head = ("table", "rows", "files", "files removed", "bytes")
    rows = [(_name(one), one.rows, one.left, one.removed, one.bytes) for one in found]
    return _told(workspace, found, head, rows)


def _each(
    workspace: Workspace, groups: tuple[str, ...], act: Callable[[Upkeep], Kept]
) -> list[Kept]:
    """Every table of these groups that penstock writes; without groups the quarantine too."""
    settings = workspace.settings
    names = [one.group.name for one in workspace.project.chosen(groups)]
    paths = [offline_path(settings, one) for one in names if settings.group(one).own_table]
    if groups:
        check_delta(settings, "upkeep")
    elif settings.offline.format != "delta":
        workspace.progress.note("offline tables", "left to Athena's OPTIMIZE and VACUUM")
        paths = []
    found = []
    for path in [*paths, *([] if groups else [quarantine_path(settings)])]:
        workspace.progress.step(path.rsplit("/", 1)[-1], "looking at its files")
        found.append(act(Upkeep(path, storage_of(path, settings))))
    return found


def _told(
    workspace: Workspace,
    found: Sequence[Kept],
    head: tuple[str, ...],
    rows: Sequence[tuple[object, ...]],
) -> int:
    if workspace.as_json:
        show_json([asdict(one) for one in found])
    else:
        show(head, rows)
    return 0


def _name(one: Kept) -> str:
    return one.path.rsplit("/", 1)[-1]

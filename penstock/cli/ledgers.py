"""``ledger``: looked after, checked, and rebuilt from what else is durable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

import click

from penstock.bucket import storage_of
from penstock.cli.options import Workspace, age_of, workspace_options
from penstock.cli.tables import show, show_json
from penstock.conf_ledger import NEVER
from penstock.errors import UsageError
from penstock.ledger.compaction import Compacted, compact
from penstock.ledger.history import Ledger
from penstock.ledger.window import parse_name
from penstock.run.collection import Collected, collect
from penstock.run.damage import damages
from penstock.run.places import state_folder

DAMAGED = 70
_COMPACTED = ("feature group", "compacted now", "compacted", "left", "damaged")
_COLLECTED = ("feature group", "what they staged", "windows", "files", "bytes")
_EVERY = 100  # windows between two words on how far it is


@click.group()
def ledger() -> None:
    """The ledger: what happened to each window, as small files that are never changed.

    'compact' puts the events of finished windows into one file a group, 'collect' removes what
    these have staged, 'verify' looks at every event, 'rebuild' recreates a journal from what else
    is durable. See docs/ledger.md.
    """


@ledger.command("compact")
@click.argument("groups", nargs=-1)
@click.option(
    "--older-than",
    "age",
    default="1h",
    show_default=True,
    help="Only windows that have been done for so long: 30m, 1h, 7d.",
)
@workspace_options
def compacted(workspace: Workspace, *, groups: tuple[str, ...], age: str) -> int:
    """Put the events of finished windows into one file a group, and remove their folders.

    Nothing that is read changes, and every event is kept. Runs may go on meanwhile. Ends with 70
    where a window is damaged; it is left where it is, the others are compacted.

    \b
    Examples:
      penstock ledger compact
      penstock ledger compact flight_status --older-than 7d
    """
    before = datetime.now(timezone.utc) - age_of(age)
    found = [
        compact(one, before, _progress(workspace, one.group)) for one in _ledgers(workspace, groups)
    ]
    return _told(workspace, found, _COMPACTED, [_row(one) for one in found])


@ledger.command("collect")
@click.argument("groups", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option(
    "--older-than",
    "age",
    help="Only windows that have been done for so long: 12h, 30d. "
    "Without it ledger.collect_after in conf says so, 7d unless set.",
)
@workspace_options
def collection(
    workspace: Workspace, *, groups: tuple[str, ...], dry_run: bool, age: str | None
) -> int:
    """Remove the files that finished windows have staged: without this they are kept for ever.

    Staged rows, send files, markers and rejects go where a window has been DONE long enough.
    Nothing goes of one that is not. Events, manifests and a note of what the markers said stay, so
    'status', 'plan', 'ledger verify' and 'ledger rebuild' work as before; 'undo' of such a run is
    refused from then on. Runs may go on meanwhile. Ends with 70 where a window is damaged; it is
    left as it is.

    \b
    Examples:
      penstock ledger collect --dry-run
      penstock ledger collect flight_status --older-than 30d
    """
    retention = workspace.settings.ledger.retention if age is None else age_of(age)
    if retention is None:
        place = workspace.settings.place("ledger.collect_after")
        click.echo(f"Nothing is collected: {place}: ledger.collect_after is {NEVER}.", err=True)
        return 0
    now = datetime.now(timezone.utc)
    found = [
        collect(one, now, retention, _progress(workspace, one.group), dry_run=dry_run)
        for one in _ledgers(workspace, groups)
    ]
    rows = [row for one in found for row in _amounts(one, dry_run=dry_run)]
    return _told(workspace, found, _COLLECTED, rows)


@ledger.command("verify")
@click.argument("groups", nargs=-1)
@workspace_options
def verified(workspace: Workspace, *, groups: tuple[str, ...]) -> int:
    """Look at every event of every window: seals, chains, gaps, lost journals, the snapshot.

    Ends with 70 where something is damaged, with a line for each.

    \b
    Example:
      penstock ledger verify --json
    """
    ours = _ledgers(workspace, groups)
    found = [two for one in ours for two in damages(one, None, _progress(workspace, one.group))]
    if workspace.as_json:
        show_json([asdict(one) for one in found])
    else:
        for one in found:
            click.echo(f"{one.group}: {one.what}")
        for group in dict.fromkeys(one.group for one in found):
            click.echo(f"Next: penstock ledger rebuild {group}")
        if not found:
            click.echo("Nothing is damaged.")
    return DAMAGED if found else 0


@ledger.command("rebuild")
@click.argument("group")
@click.option("--window", "name", help="Only this window, by its name in 'penstock status --json'.")
@workspace_options
def rebuilt(workspace: Workspace, *, group: str, name: str | None) -> int:
    """Recreate damaged or lost journals from manifests, markers and Delta's transactions.

    What is damaged is moved to state/damaged, never deleted. Nothing is sent or written elsewhere.
    A window that had not come to its end is finished by 'penstock ingest' afterwards.

    \b
    Examples:
      penstock ledger rebuild flight_status
      penstock ledger rebuild flight_status --window 20130101T000000Z_20130201T000000Z
    """
    from penstock.run.rebuilding import rebuilt_all

    if name is not None:
        _check_name(name)
    (ours,) = _ledgers(workspace, (group,))
    tell = _progress(workspace, group)
    done = rebuilt_all(workspace.settings, ours, name, datetime.now(timezone.utc), tell)
    if workspace.as_json:
        show_json([asdict(one) for one in done])
        return 0
    for one in done:
        what = "snapshot" if one.damage.window is None else one.damage.window
        state = "nothing proves it; the window is missing" if one.state is None else one.state.value
        aside = "" if one.aside is None else f" (damaged files: {one.aside})"
        click.echo(f"{group} {what}: {state}{aside}")
    click.echo(f"Next: penstock status {group}" if done else "Nothing is damaged.")
    return 0


def _ledgers(workspace: Workspace, groups: tuple[str, ...]) -> list[Ledger]:
    settings = workspace.settings
    storage, state = storage_of(settings.state, settings), state_folder(settings)
    names = [one.group.name for one in workspace.project.chosen(groups)]
    return [Ledger(storage, state, name) for name in names]


def _progress(workspace: Workspace, group: str) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        if done % _EVERY == 0 or done == total:
            workspace.progress.advance(group, done, total)

    return tell


def _told(
    workspace: Workspace,
    found: Sequence[Compacted] | Sequence[Collected],
    head: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
) -> int:
    """Show what was done and what is damaged; the exit code."""
    if workspace.as_json:
        show_json([asdict(one) for one in found])
    else:
        show(head, rows)
        for line in (line for one in found for line in one.damaged):
            click.echo(line)
    return DAMAGED if any(one.damaged for one in found) else 0


def _row(one: Compacted) -> tuple[Any, ...]:
    return (one.group, one.windows, one.whole, one.left, len(one.damaged))


def _amounts(one: Collected, *, dry_run: bool) -> list[tuple[Any, ...]]:
    """What was removed, then what was kept and why."""
    did = "would be removed" if dry_run else "removed"
    kept = ((f"kept: {why}", amount) for why, amount in one.kept.items())
    return [
        (one.group, what, amount.windows, amount.files, amount.bytes)
        for what, amount in ((did, one.taken), *kept)
    ]


def _check_name(name: str) -> None:
    try:
        parse_name(name)
    except ValueError:
        message = f"{name!r} is not the name of a window"
        raise UsageError(message, "See: penstock status --json") from None

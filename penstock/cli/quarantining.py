"""``quarantine``: rows that were put aside, what was decided about them, and their way back."""

from __future__ import annotations

import functools
import getpass
import os
import socket
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeVar

import click

from penstock.cli.options import (
    Workspace,
    correct_option,
    online_option,
    spark_context,
    takeover_option,
    workspace_options,
)
from penstock.cli.tables import plain, show, show_json
from penstock.errors import UsageError
from penstock.run.quarantined import Choice, Held, decided, discard, quarantined

if TYPE_CHECKING:
    from penstock.contract import Pipeline
    from penstock.run.ingest import Correct, Online
    from penstock.run.replay import Replayed

_Command = TypeVar("_Command", bound=Callable[..., Any])
_STAGES = click.Choice(["source", "feature", "online"])
_STATES = click.Choice(["open", "replayed", "discarded", "resolved", "all"])


def _choosing(command: _Command) -> _Command:
    """Adds the options that choose entries; the command gets them as one :class:`Choice`."""

    @click.option("--rule", help="The rule or the service's code they broke, for example TYPE.")
    @click.option(
        "--stage",
        type=_STAGES,
        help="Who put them aside: the gate of a source, of the features, or the service.",
    )
    @click.option("--run", help="The run that put them aside.")
    @click.option("--key", help="Start of an entry's key.")
    @functools.wraps(command)
    def wrapped(
        workspace: Workspace,
        *,
        group: str | None,
        rule: str | None,
        stage: Any,
        run: str | None,
        key: str | None,
        **others: Any,
    ) -> Any:
        choice = Choice(group=group, stage=stage, rule=rule, run=run, key=key)
        return command(workspace, choice, **others)

    return wrapped  # type: ignore[return-value]  # click hands over other arguments than it is given


@click.group()
def quarantine() -> None:
    """Rows that were put aside: which, from where, why, and what became of them.

    Nothing is deleted but by 'penstock forget'. A row is open until it is replayed, its window was
    read again without meeting it (resolved), or somebody discards it.
    """


@quarantine.command("list")
@click.argument("group", required=False)
@click.option("--state", type=_STATES, default="open", show_default=True, help="How they stand.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Rows shown."
)
@workspace_options
@_choosing
def listed(workspace: Workspace, choice: Choice, *, state: Any, limit: int) -> int:
    """List entries, newest first; without the values of the rows.

    \b
    Examples:
      penstock quarantine list flight_status
      penstock quarantine list --stage online --rule ValidationError
      penstock quarantine list flight_status --state discarded
    """
    standing = None if state == "all" else state
    found = quarantined(workspace.settings, _with(choice, standing=standing))
    if not found:
        _check_group(workspace, choice)
    if workspace.as_json:
        show_json([one.plain(values=False) for one in found])
        return 0
    head = ("key", "feature group", "stage", "source", "file", "position", "column", "rule")
    show((*head, "state", "tries"), [_row(one) for one in found[:limit]])
    named = "" if standing is None else f"{standing} "
    rows = "row" if len(found) == 1 else "rows"
    more = f", {limit} shown" if len(found) > limit else ""
    click.echo(f"{len(found)} {named}{rows} in quarantine{more}")
    return 0


@quarantine.command("show")
@click.argument("key")
@click.option("--group", help="Feature group, where two have an entry of that key.")
@workspace_options
def shown(workspace: Workspace, *, key: str, group: str | None) -> int:
    """Show one entry: the row as it came, and every decision about it. KEY is the key's start.

    \b
    Example:
      penstock quarantine show 3f1c99a0
    """
    choice = Choice(group=group, key=key)
    found = quarantined(workspace.settings, choice)
    if not found:
        _check_group(workspace, choice)
    if len(found) != 1:
        message = f"{len(found)} entries have a key that starts with {key!r}"
        raise UsageError(message, "See 'penstock quarantine list --state all'")
    (one,) = found
    history = decided(workspace.settings, one)
    if workspace.as_json:
        show_json(one.plain(values=True) | {"history": history})
        return 0
    facts = {**one.entry, "state": one.verdict.standing, "tries": one.verdict.tries}
    hidden = {"types"}
    show(("", ""), [(name, plain(value)) for name, value in facts.items() if name not in hidden])
    show(("when", "what", "by"), [(_when(one.entry["quarantined_at"]), "put aside", _run(one))])
    for event in history:
        click.echo(f"{event['at'][:19]}Z  {_said(event)}  ({event['by']})")
    return 0


@quarantine.command("replay")
@click.argument("group")
@click.option("--limit", type=click.IntRange(min=1), help="Rows at most, oldest first.")
@click.option("--dry-run", is_flag=True, help="Say what the gate makes of the rows; write nothing.")
@online_option
@correct_option
@takeover_option
@workspace_options
@_choosing
def replayed(
    workspace: Workspace,
    choice: Choice,
    *,
    limit: int | None,
    dry_run: bool,
    online: Online,
    correct: Correct | None,
    takeover: bool,
) -> int:
    """Send open rows on their way again, under the contract of today.

    Rows of stage 'feature' and 'online' go by themselves, with the event times they have: feature
    gate, online store, offline store. Events of a stream (stage 'source') begin at the source gate.
    What fails again stays open. Other rows of stage 'source' come back when their window is
    ingested again. An interrupted replay is finished by the next one.

    \b
    Examples:
      penstock quarantine replay flight_status --dry-run
      penstock quarantine replay flight_status --stage online
      penstock quarantine replay flight_status --rule TYPE --limit 1000
    """
    from penstock.run.replay import replay
    from penstock.run.replay_plan import Asked
    from penstock.streaming.reentry import EventReentry

    pipeline = workspace.project.pipeline(str(choice.group))
    with spark_context(workspace, takeover=takeover) as context:
        done = replay(
            context,
            pipeline,
            choice,
            by=_person(),
            limit=limit,
            asked=Asked(online, correct),
            dry_run=dry_run,
            reentry=EventReentry(context, pipeline) if _streams(workspace, pipeline) else None,
        )
    if workspace.as_json:
        runs = [
            {"window": one.window, "state": one.state, "figures": one.figures.plain()}
            for one in done.runs
        ]
        show_json(asdict(done) | {"runs": runs, "dry_run": dry_run})
        return 0
    _tell(done, dry_run=dry_run)
    return 0


@quarantine.command("discard")
@click.argument("group")
@click.option("--reason", required=True, help="Why, for whoever asks later.")
@workspace_options
@_choosing
def discarded(workspace: Workspace, choice: Choice, *, reason: str) -> int:
    """Note that open rows are not wanted. They stay where they are, out of the list.

    \b
    Example:
      penstock quarantine discard flight_status --rule FUTURE --reason "clock of gate 7, INC-1204"
    """
    if not reason.strip():
        raise UsageError("the reason is empty", "Say why in a few words")
    workspace.project.pipeline(str(choice.group))
    now = datetime.now(timezone.utc)
    count = discard(workspace.settings, choice, reason, _person(), now)
    if workspace.as_json:
        show_json({"group": choice.group, "discarded": count})
        return 0
    click.echo(f"{count} {'row' if count == 1 else 'rows'} discarded")
    return 0


def _check_group(workspace: Workspace, choice: Choice) -> None:
    """Nothing was found: is there such a group? Entries outlive the groups of a project."""
    if choice.group is not None:
        workspace.project.pipeline(choice.group)


def _with(choice: Choice, **more: Any) -> Choice:
    return Choice(**{**asdict(choice), **more})


def _row(one: Held) -> tuple[object, ...]:
    entry = one.entry
    position = None if entry["position"] is None else str(entry["position"])
    place = (entry["source"], entry["file"], position, entry["column"])
    verdict = one.verdict
    head = (one.key[:12], entry["feature_group"], entry["stage"])
    return (*head, *place, one.rule, verdict.standing, verdict.tries or None)


def _said(event: dict[str, Any]) -> str:
    """A decision in words."""
    run, window = event["run"], event["window"]
    rule = event["rule"] or ""
    outcomes = {
        "accepted": f"replayed in run {run}: accepted",
        "dropped": "replayed: a rule leaves such rows out",
        "moved": f"replayed in run {run}: the service refused it ({rule}), see {event['entry']}",
        "unfit": f"replayed: it does not pass ({rule})",
        "rejected": f"replayed in run {run}: the service refused it again ({rule})",
    }
    kinds = {
        "replaying": f"planned for the replay {window}",
        "discarded": f"discarded: {event['reason']}",
        "resolved": f"resolved: window {window} was read again in run {run} without meeting it",
        "returned": f"open again: put aside once more in run {run}",
    }
    return outcomes.get(event["outcome"]) or kinds.get(event["kind"], event["kind"])


def _tell(done: Replayed, *, dry_run: bool) -> None:
    from penstock.run.replay import CORRECTION

    words = {
        "fit": "would go to both stores",
        "accepted": "are in the stores",
        "dropped": "are left out by a rule that drops, or by the transform",
        "moved": "were refused by the service; they are entered as such",
        "rejected": "were refused by the service again and stay open",
        "unfit": "do not pass and stay open",
    }
    shown_ = [(what, done.outcomes.get(what, 0), words[what]) for what in words]
    show(("outcome", "rows", ""), [one for one in shown_ if one[1]])
    for rule, count in sorted(done.rules.items()):
        click.echo(f"  {rule}: {count}")
    if CORRECTION in done.rules:
        click.echo(f"{CORRECTION}: the event time is taken with other values; see --correct update")
    if not done.tried:
        click.echo("Nothing to replay.")
    if done.left:
        click.echo(f"{done.left} more rows match; run it again for them.")
    again = done.source + done.untyped
    if again:
        one = "row comes" if again == 1 else "rows come"
        click.echo(f"{again} more {one} back only with the window: penstock ingest {done.group}")
    if done.events:
        one = "event stays" if done.events == 1 else "events stay"
        click.echo(f"{done.events} {one}: {done.problem}; send the mended ones to the stream")
    if dry_run:
        click.echo("Nothing was written.")


def _streams(workspace: Workspace, pipeline: Pipeline) -> bool:
    return pipeline.group.name in workspace.settings.streams


def _run(one: Held) -> str:
    return f"run {one.entry['run']}"


def _when(at: Any) -> str:
    return f"{str(at)[:19].replace(' ', 'T')}Z"


def _person() -> str:
    """Who types: for the history, where a name helps."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # no such user in a container
        name = f"user {os.getuid()}"
    return f"{name} on {socket.gethostname()}"

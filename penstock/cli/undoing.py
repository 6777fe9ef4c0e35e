"""``undo``: take one run back."""

from __future__ import annotations

from dataclasses import asdict

import click

from penstock.cli.options import Workspace, spark_context, takeover_option, workspace_options
from penstock.cli.tables import show_json


@click.command()
@click.argument("run")
@takeover_option
@workspace_options
def undo(workspace: Workspace, run: str, *, takeover: bool) -> int:
    """Take a run back: its rows leave the offline store, the records before it come back online.

    RUN is its name, which 'penstock status --json' gives in "data" under "run". Of each record the
    run sent, the newest one that is left offline comes back; what has none is removed; what is
    newer by now stays. Records are removed before they come back, so for a minute readers do not
    find them. A run that others stand on is refused.

    \b
    Examples:
      penstock status aircraft_history --json
      penstock undo 3f9a1c77e0b2
    """
    from penstock.run.undo import undo as take_back
    from penstock.run.undoable import find

    with spark_context(workspace, takeover=takeover) as context:
        found = find(context, run)
        group = workspace.project.pipeline(found.places.group).group
        done = take_back(context, group, run, found)
    if workspace.as_json:
        show_json(asdict(done))
        return 0
    click.echo(
        f"{done.group} {done.window}: {done.offline:,} rows left the offline store; of "
        f"{done.removed:,} records that left the online store {done.restored:,} came back"
    )
    stands = "the run before it stands again" if done.stays else "the window is missing now"
    click.echo(f"{stands}. Next: penstock status {done.group}")
    return 0

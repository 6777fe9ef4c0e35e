"""``forget``: records leave every place of penstock's for good."""

from __future__ import annotations

from dataclasses import asdict

import click

from penstock.cli.options import Workspace, spark_context, workspace_options
from penstock.cli.tables import show, show_json


@click.command()
@click.argument("group")
@click.argument("identifiers", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Remove them; without it is only said what is there.")
@workspace_options
def forget(workspace: Workspace, *, group: str, identifiers: tuple[str, ...], yes: bool) -> int:
    """Remove every trace of records: say what is there, and with --yes remove it.

    \b
      online store     the record, by a hard delete
      offline table    its rows, and all older versions: time travel to before ends
      staged files     of all runs of the group, which can then not be taken back
      quarantine       rows put aside that are of the identifier, and all older versions
      data sets        that were made from the group, whole; and unfinished ones
      Data Docs        of the group; its next run makes them anew

    All windows of the group must be done, and no run may go on in the project. What was removed is
    looked for afterwards. The report ends with what no command of ours comes to.

    \b
    Examples:
      penstock forget aircraft_history N14228
      penstock forget aircraft_history N14228 N24211 --yes
    """
    from penstock.run.forgetting import BEYOND
    from penstock.run.forgetting import forget as carry_out

    contract = workspace.project.pipeline(group).group
    with spark_context(workspace) as context:
        places = carry_out(context, contract, identifiers, look_only=not yes)
    if workspace.as_json:
        found = [asdict(one) for one in places]
        show_json({"removed": yes, "places": found, "beyond": list(BEYOND)})
        return 0
    did = "removed" if yes else "found"
    show(
        ("what", did, "of", "where"), [(one.what, one.found, one.unit, one.where) for one in places]
    )
    click.echo("Not reached:" if yes else "Would not be reached:")
    for line in BEYOND:
        click.echo(f"  {line}")
    if not yes:
        click.echo("Nothing was removed. Next: the same command with --yes")
    return 0

"""``stream``: a feature group fed by a stream, until it is stopped."""

from __future__ import annotations

from pathlib import Path

import click

from penstock.cli.options import Workspace, spark_context, takeover_option, workspace_options
from penstock.cli.tables import show_json


@click.command()
@click.argument("group")
@click.option(
    "--available-now",
    is_flag=True,
    help="End once all events that are there now are in both stores; for scheduled runs.",
)
@click.option(
    "--allow-reprocess",
    "again",
    is_flag=True,
    help="Begin a new stream where the checkpoint of the old one is lost: events are read from the "
    "start, rows that are there add nothing.",
)
@click.option(
    "--metrics",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that gets a JSON line every two seconds, where figures changed: events, rate, "
    "freshness, backlog, how far offline is behind. It only grows.",
)
@takeover_option
@workspace_options
def stream(
    workspace: Workspace,
    *,
    group: str,
    available_now: bool,
    again: bool,
    metrics: Path | None,
    takeover: bool,
) -> int:
    """Feed a feature group from its stream: online within a second, offline a little later.

    conf says where its events come from (streams.GROUP: docs/streaming.md). Contract, transform
    and gates are those of a batch. Ctrl-C or SIGTERM lets the batch end that is under way; killed
    at any point, the same command goes on, and nothing is lost or written twice.

    \b
    Examples:
      penstock stream flight_status
      penstock stream flight_status --available-now
      penstock stream flight_status --metrics flight_status.jsonl
    """
    from penstock.run.interruption import stoppable
    from penstock.streaming.query import Asked, run_stream
    from penstock.streaming.standing import line_of

    (pipeline,) = workspace.project.chosen((group,))
    with (
        spark_context(workspace, takeover=takeover, kafka=True) as context,
        stoppable() as stop,
    ):
        ended = run_stream(context, pipeline, Asked(available_now, again, metrics), stop)
    if workspace.as_json:
        told = {"group": ended.group, "why": ended.why, "resumed": ended.resumed}
        show_json({**told, **ended.figures})
    else:
        click.echo(f"{ended.group}: {ended.why}: {line_of(dict(ended.figures))}")
    return 0

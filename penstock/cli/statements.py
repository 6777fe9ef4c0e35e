"""``sql``: any query over the offline tables, on Spark or on Athena."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from penstock.cli.asking import on_athena, plain_rows, workgroup_option
from penstock.cli.options import Workspace, spark_context, workspace_options
from penstock.cli.tables import plain, show, show_json

if TYPE_CHECKING:
    from penstock.sql import Known, Statement

_TYPES = {"string": "varchar"}  # Glue's name → Athena's


@click.command()
@click.argument("text")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Rows shown."
)
@workgroup_option
@click.option("--sql-only", is_flag=True, help="Print the texts for both engines; run nothing.")
@workspace_options
def sql(
    workspace: Workspace, *, text: str, limit: int, workgroup: str | None, sql_only: bool
) -> int:
    """Run a query in Athena's dialect over the offline tables of all feature groups.

    Tables are named by their feature group, or as in Glue. Here the query is translated for Spark;
    with --workgroup Athena runs it as it is, and says how many bytes it read.

    \b
    Examples:
      penstock sql "SELECT origin, count(*) FROM flight_status GROUP BY origin"
      penstock sql "SELECT f.*, a.flights_7d FROM flight_status f JOIN aircraft_history a
                    ON f.tailnum = a.tailnum" --limit 5
      penstock sql "SELECT count(*) FROM flight_status" --env aws --workgroup analysts
    """
    from penstock.sql import statement

    asked = statement(text, _known(workspace), workspace.settings.catalog.database)
    if sql_only:
        _show_texts(workspace, asked)
        return 0
    if workgroup is not None:
        answer = on_athena(workspace, asked.athena, workgroup, limit)
        if workspace.as_json:
            show_json({"rows": plain_rows(answer), "scanned_bytes": answer.scanned})
        else:
            show(answer.names, answer.rows)
        return 0
    from penstock.sql import run

    with spark_context(workspace) as context:
        delta = workspace.settings.offline.format == "delta"
        groups = workspace.project.pipelines
        stored = None if delta else lambda name: context.table(groups[name].group).rows()
        frame = run(context.spark, asked, stored)
        rows = [one.asDict() for one in frame.limit(limit).collect()]
        _show(workspace, frame.columns, [[row[name] for name in frame.columns] for row in rows])
    return 0


def _known(workspace: Workspace) -> list[Known]:
    """Every offline table of ours."""
    from penstock.catalog.table import SYSTEM_COLUMNS, table_name
    from penstock.encoding import STORAGE
    from penstock.run.places import offline_path
    from penstock.sql import Known

    found = []
    for one in workspace.project.pipelines.values():
        group, settings = one.group, workspace.settings
        if settings.group(group.name).own_table:
            types = {feature.name: STORAGE[feature.type][2] for feature in group.features}
            types |= {name: kind for name, kind, _ in SYSTEM_COLUMNS}
            named = {name: _TYPES.get(kind, kind) for name, kind in types.items()}
            table, path = table_name(group.name, settings), offline_path(settings, group.name)
            found.append(Known(group.name, table, path, named))
    return found


def _show_texts(workspace: Workspace, asked: Statement) -> None:
    if workspace.as_json:
        show_json({"athena": asked.athena, "spark": asked.spark})
        return
    click.echo(f"-- Athena\n{asked.athena}\n\n-- Spark\n{asked.spark}")
    for view, one in asked.views.items():
        delta = workspace.settings.offline.format == "delta"
        click.echo(f"-- {view} is {f'delta.`{one.path}`' if delta else one.path}")


def _show(workspace: Workspace, names: list[str], rows: list[list[Any]]) -> None:
    if workspace.as_json:
        show_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        show(names, [[plain(value) for value in row] for row in rows])

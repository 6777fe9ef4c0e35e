"""Texts that Athena runs: its rows, and on standard error what it read and what that costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from penstock import aws
from penstock.cli.options import Workspace
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.athena import Answer

workgroup_option = click.option(
    "--workgroup", help="Run it on Athena, in this work group; else on Spark, here."
)


def on_athena(workspace: Workspace, text: str, workgroup: str, limit: int) -> Answer:
    """Run a text in Athena's dialect and say what it read, unless results are JSON.

    Raises:
        UsageError: The embedded AWS has no Athena, or Athena says the query is wrong.
        TemporaryError: It was cancelled, or failed for a reason that may pass.
    """
    from penstock.athena import Athena

    settings = workspace.settings
    if settings.aws.embedded:
        message = "the embedded AWS has no Athena"
        raise UsageError(message, "Name an environment with --env, or leave --workgroup out")
    with aws.connected(settings) as endpoint:
        client = aws.client(endpoint, "athena")
        answer = Athena(client, workgroup, settings.catalog.database).run(text, limit)
        region = endpoint.region
    if not workspace.as_json:
        price = settings.prices.regions.get(region)
        per_tb = None if price is None else price.athena
        cost = "" if per_tb is None else f", about {answer.dollars(per_tb):,.6f} dollars"
        click.echo(f"{answer.execution} read {answer.scanned:,} bytes{cost}", err=True)
    return answer


def plain_rows(answer: Answer) -> list[dict[str, Any]]:
    """Rows by name of column."""
    return [dict(zip(answer.names, row, strict=True)) for row in answer.rows]

"""``dataset``: training data sets, listed, built, and told as SQL."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from penstock.cli.options import Workspace, spark_context, workspace_options
from penstock.cli.reading import offline_names
from penstock.cli.tables import show, show_json
from penstock.dataset import Dataset, StratifiedSplit, TimeSplit
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.query import Table
    from penstock.training.build import Format
    from penstock.training.lookup import Moments
    from penstock.training.scope import Scope

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _scope_options(command: _Command) -> _Command:
    """Options that say which labels and which rows; the command gets a :class:`Scope`."""

    @click.option("--start", help="Labels whose moment is at or after it: 2013-01-01, UTC.")
    @click.option("--end", help="Labels whose moment is before it.")
    @click.option(
        "--as-of", help="Only rows that were in the offline tables by then, by write_time."
    )
    @functools.wraps(command)
    def wrapped(*, start: str | None, end: str | None, as_of: str | None, **others: Any) -> Any:
        from penstock.ledger.window import instant
        from penstock.training.scope import Scope

        instants = (None if text is None else instant(text) for text in (start, end, as_of))
        return command(scope=Scope(*instants), **others)

    return wrapped  # type: ignore[return-value]  # click hands over other arguments than it is given


@click.group()
def dataset() -> None:
    """Training data sets: labels, each with the features known at its moment.

    \b
    A project declares them in schemas/ (docs/datasets.md):
      penstock dataset list
      penstock dataset build flight_delays
      penstock dataset sql flight_delays --labels lake.flight_labels
    """


@dataset.command("list")
@workspace_options
def list_(workspace: Workspace) -> int:
    """What the project declares.

    \b
    Example:
      penstock dataset list --json
    """
    declared = list(workspace.project.datasets.values())
    if workspace.as_json:
        show_json([_plain(one) for one in declared])
    elif not declared:
        click.echo("this project declares no data set: docs/datasets.md shows how")
    else:
        head = ("data set", "labels from", "moment", "features from", "parts", "description")
        show(head, [_row(one) for one in declared])
    return 0


@dataset.command()
@click.argument("name")
@click.option("--to", "folder", help="Folder it is put into; by default LAKE/datasets/NAME.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "csv", "delta"]),
    default="parquet",
    show_default=True,
    help="File format.",
)
@_scope_options
@workspace_options
def build(
    workspace: Workspace, *, name: str, folder: str | None, form: Format, scope: Scope
) -> int:
    """Build one from the offline tables as they are now.

    Each label gets the features that were known at its moment: no feature of its future, and one
    row a label whatever happened since. Building the same again finds it there.

    --start and --end choose labels by their moment. --as-of leaves out rows that were written to
    the offline tables later, of labels and features alike. They may stand alone; instants are UTC.

    \b
    Examples:
      penstock dataset build flight_delays --format csv --to /tmp/delays
      penstock dataset build flight_delays --start 2013-07-01 --end 2013-08-01T12:00:00Z
    """
    from penstock.training.build import build as built

    project = workspace.project
    wanted = project.dataset(name)
    groups = {name: one.group for name, one in project.pipelines.items()}
    with spark_context(workspace, folder or "") as context:
        workspace.progress.step(name, "joining")
        found = built(context, wanted, groups, folder=folder, form=form, scope=scope)
    if workspace.as_json:
        show_json({"path": found.path, "made": found.made, **found.manifest})
        return 0
    _show(found.manifest)
    click.echo(f"{'made' if found.made else 'was there already'}: {found.path}")
    readers = {
        "parquet": f"pandas.read_parquet('{found.path}/data')",
        "delta": f"deltalake.DeltaTable('{found.path}/data').to_pandas()",
    }
    if form in readers:
        click.echo(f"read it: {readers[form]}")
    return 0


@dataset.command()
@click.argument("name")
@click.option(
    "--engine",
    type=click.Choice(["athena", "spark"]),
    default="athena",
    show_default=True,
    help="Whose dialect.",
)
@click.option("--labels", help="Table of labels, where Python makes them: TABLE or DATABASE.TABLE.")
@click.option(
    "--moments",
    type=click.Choice(["text", "seconds", "timestamp"]),
    help="What the moments in that table are; by default as in the base group, else timestamps.",
)
@_scope_options
@workspace_options
def sql(
    workspace: Workspace,
    *,
    name: str,
    engine: str,
    labels: str | None,
    moments: Moments | None,
    scope: Scope,
) -> int:
    """Print the SQL that answers what build makes, before its transform. Runs nothing.

    Python cannot be said in SQL: where a function makes the labels, name a table of them. For
    Spark, a name with a slash is the folder of a Delta table, which is read as it is: --as-of is
    said of the offline tables alone.

    \b
    Examples:
      penstock dataset sql flight_delays --labels lake.flight_labels
      penstock dataset sql flight_delays --labels lake.flight_labels --start 2013-07-01
      penstock dataset sql flight_delays --engine spark --labels /lake/flight_labels
    """
    from penstock.query import ATHENA, SPARK, Table
    from penstock.training.sql import sql as text_of

    wanted, project = workspace.project.dataset(name), workspace.project
    groups = {name: one.group for name, one in project.pipelines.items()}
    settings, athena = workspace.settings, engine == "athena"
    tables = {}
    for group in wanted.groups:
        registered, path = offline_names(settings, group)
        tables[group] = registered if athena else Table.at(path)
    text = text_of(
        wanted,
        groups,
        tables,
        ATHENA if athena else SPARK,
        labels=None if labels is None else _table(labels, engine, settings.catalog.database),
        moments=moments,
        scope=scope,
    )
    if workspace.as_json:
        show_json({"engine": engine, "sql": text})
    else:
        click.echo(text)
    return 0


def _table(name: str, engine: str, database: str) -> Table:
    """The table of labels a user names."""
    from penstock.query import Table

    if engine == "spark" and "/" in name:
        return Table.at(name)
    parts = tuple(name.split("."))
    if not all(parts):
        raise UsageError(f"{name!r} is no table", "Name it TABLE or DATABASE.TABLE")
    return Table(parts if len(parts) > 1 else (database, *parts))


def _show(manifest: Mapping[str, Any]) -> None:
    labels = manifest["labels"]
    show(("part", "rows"), list(manifest["parts"].items()))
    head = ("features of", "by", "found for", "median age", "greatest age", "a naive join leaks")
    rows = [
        (
            one["group"],
            one["on"],
            _share(one["found"], labels),
            _age(one["median_age_s"]),
            _age(one["oldest_s"]),
            _share(one["naive_join_leaks"], labels),
        )
        for one in manifest["lookups"]
    ]
    show(head, rows)


def _share(count: int, of: int) -> str:
    return f"{count:,} ({count / of:.1%})" if of else "0"


def _age(seconds: float | None) -> str | None:
    return None if seconds is None else str(timedelta(seconds=round(seconds)))


def _parts(one: Dataset) -> str:
    if one.split is None:
        return "all"
    parts = ", ".join(one.split.parts)
    if isinstance(one.split, TimeSplit):
        return f"{parts} by {one.time}"
    how = "within each" if isinstance(one.split, StratifiedSplit) else "by"
    return f"{parts} {how} {one.split.on}"


def _row(one: Dataset) -> tuple[str, ...]:
    lookups = ", ".join(dict.fromkeys(lookup.group for lookup in one.lookups))
    return (one.name, one.base, one.time, lookups, _parts(one), one.description)


def _plain(one: Dataset) -> dict[str, Any]:
    return {
        "name": one.name,
        "base": one.base,
        "time": one.time,
        "groups": one.groups,
        "parts": _parts(one),
        "meaning": one.meaning,
        "description": one.description,
    }

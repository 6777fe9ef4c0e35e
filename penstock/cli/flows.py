"""``flow``: data-preparation flows, ours and Data Wrangler's, told, checked and run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.flow_texts import diff, explain, flow_argument, lint, steps, strip
from penstock.cli.options import Workspace, anywhere_options, new_file, spark_context
from penstock.cli.reading import offline_names
from penstock.cli.tables import show_json
from penstock.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from penstock.query import Kind
    from penstock.run.context import Context
    from penstock.wrangle.export.document import Form, Stores
    from penstock.wrangle.flow import Flow, Input
    from penstock.wrangle.running import Run

input_option = click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="SOURCE=PATH",
    help="Read this file or folder in a source's place. SOURCE is the data set's name, or the name "
    "of the file in its address.",
)
code_option = click.option(
    "--allow-code",
    is_flag=True,
    help="Run Python and SQL that the flow holds. Read it first: it may do anything you may.",
)


@click.group()
def flow() -> None:
    """Data-preparation flows: our YAML, and .flow files of SageMaker Data Wrangler.

    \b
    A first look, without running anything:
      penstock flow explain churn.flow
      penstock flow lint churn.flow
    Then:
      penstock flow run churn.flow --input churn.csv=data/churn.csv --output out
    Before it goes to where others read it, and when it comes back changed:
      penstock flow strip churn.flow
      penstock flow diff churn.flow changed.flow
    """


for _one in (explain, lint, steps, strip, diff):
    flow.add_command(_one)


@flow.command()
@flow_argument
@input_option
@click.option(
    "--node",
    metavar="ID",
    default="",
    help="The step whose rows are wanted: its id or the beginning of it, or its name; ID.OUTPUT "
    "for one part of a split. By default what the flow writes, or its only result.",
)
@click.option(
    "--output",
    "folder",
    required=True,
    metavar="DIR",
    help="Folder to write into; an earlier result there is replaced, other files are not touched.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet", "delta"]),
    default="csv",
    show_default=True,
    help="File format.",
)
@click.option("--refit", is_flag=True, help="Learn all anew; do not use what the flow has stored.")
@click.option(
    "--instant",
    default="",
    metavar="TIME",
    help="Event time of all rows, ISO 8601 with Z or an offset, for event_time steps that name "
    "nothing. The clock is never asked: the same command gives the same rows.",
)
@code_option
@anywhere_options
def run(
    workspace: Workspace,
    *,
    path: Path,
    inputs: tuple[str, ...],
    node: str,
    folder: str,
    form: str,
    refit: bool,
    instant: str,
    allow_code: bool,
) -> int:
    """Run a flow over files and write its result.

    What steps learn (categories, means, vocabularies) is learnt from all rows, unless the flow has
    stored it for the very settings it has now. What was learnt is written beside the result, as
    DIR.fitted.json.

    \b
    Examples:
      penstock flow run churn.flow --input churn.csv=data/churn.csv --output out
      penstock flow run churn.flow --input churn.csv=s3://raw/churn/ --node 3fa1 --output out \\
          --format parquet
    """
    from penstock.wrangle import reading, writing
    from penstock.wrangle.operators.event_time import given_instant
    from penstock.wrangle.running import pinned

    found, wanted, given = _asked(path, node, inputs)
    found = given_instant(found, instant) if instant else found
    sources = reading.needed(found, wanted)
    placed = [reading.located(one, path.parent, given) for one in sources if not one.group]
    writing.check_folder(folder, [one.path for one in placed])
    with spark_context(workspace, folder, *given.values()) as context, pinned(context.spark):
        made = _run(
            workspace, context, found, path.parent, given, refit=refit, allow_code=allow_code
        )
        frame, losses = made.watched(wanted)
        workspace.progress.step(found.name, "writing")
        writing.write(frame, folder, form)
        lost = losses.counted()
        columns = dict(frame.dtypes)
        _keep(folder, made)
    if workspace.as_json:
        show_json({"path": folder, "columns": columns, "lost": lost})
        return 0
    for text, count in lost.items():
        click.echo(f"warning: {count:,} {text}", err=True)
    click.echo(f"written: {folder} ({len(columns)} columns, {form})")
    return 0


@flow.command()
@flow_argument
@input_option
@click.option("--node", metavar="ID", default="", help="The step whose rows are wanted; as of run.")
@click.option("--refit", is_flag=True, help="Learn all anew; do not use what the flow has stored.")
@code_option
@anywhere_options
def fit(
    workspace: Workspace,
    *,
    path: Path,
    inputs: tuple[str, ...],
    node: str,
    refit: bool,
    allow_code: bool,
) -> int:
    """Learn what a flow's steps need, and keep it beside the flow, as FLOW.fitted.json.

    A flow that is a pipeline's transform uses it, so that every batch, window and stream sees the
    same categories and means. It is plain JSON: read it, and put it under version control.

    \b
    Example:
      penstock flow fit transforms/claims.yaml --input claims=data/claims.csv
    """
    from penstock.wrangle.running import Fitted, pinned

    found, wanted, given = _asked(path, node, inputs)
    with spark_context(workspace, *given.values()) as context, pinned(context.spark):
        made = _run(
            workspace, context, found, path.parent, given, refit=refit, allow_code=allow_code
        )
        made.frame(wanted)
    beside = path.with_name(f"{path.stem}.fitted.json")
    beside.write_text(Fitted(made.states).text, encoding="utf-8")
    if workspace.as_json:
        show_json({"path": str(beside), "steps": sorted(made.states)})
        return 0
    click.echo(f"written: {beside} ({len(made.states)} steps have learnt)")
    return 0


@flow.command()
@flow_argument
@input_option
@click.option("--node", metavar="ID", default="", help="The step to export; as of run.")
@click.option(
    "--to",
    "form",
    type=click.Choice(["notebook", "script"]),
    default="notebook",
    show_default=True,
    help="A Jupyter notebook, or a Python script with the same cells.",
)
@click.option(
    "--stores",
    type=click.Choice(["online", "offline", "both"]),
    default="both",
    show_default=True,
    help="Which stores the feature group has.",
)
@click.option("--group", required=True, metavar="NAME", help="Name of the feature group.")
@click.option(
    "--record-identifier", required=True, metavar="COLUMN", help="Which column identifies a record."
)
@click.option("--event-time", required=True, metavar="COLUMN", help="Which column orders versions.")
@click.option(
    "--join",
    "joins",
    multiple=True,
    metavar="GROUP:OURS=THEIRS@EVENT_TIME",
    help="Another feature group to join, by its features and as of our event time.",
)
@click.option(
    "--feature",
    "new",
    multiple=True,
    metavar="NAME=SQL",
    help="A new feature of the data set, in Spark SQL over the joined rows.",
)
@click.option(
    "--output",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; by default the flow's name with .ipynb or .py.",
)
@code_option
@anywhere_options
def export(
    workspace: Workspace,
    *,
    path: Path,
    inputs: tuple[str, ...],
    node: str,
    form: Form,
    stores: Stores,
    group: str,
    record_identifier: str,
    event_time: str,
    joins: tuple[str, ...],
    new: tuple[str, ...],
    file: Path | None,
    allow_code: bool,
) -> int:
    """Write a notebook that holds everything, in plain pyspark.

    Every step with what it has learnt, the contract, the creation of the feature group, the
    ingestion, reading back, a join across feature groups, new features, and the data set's files.
    It needs penstock to write to the stores, and nothing of the flow.

    \b
    Example:
      penstock flow export claims.flow --input claims.csv=data/claims.csv --allow-code \\
          --group claims --record-identifier policy_id --event-time event_time
    """
    from penstock.wrangle.export.document import Export, joined, text
    from penstock.wrangle.running import pinned

    found, wanted, given = _asked(path, node, inputs)
    others = joined(joins, workspace.settings)
    asked = Export(
        group, record_identifier, event_time, stores, form, others, dict(map(_expression, new))
    )
    target = new_file(file or path.with_suffix(".ipynb" if form == "notebook" else ".py"))
    with spark_context(workspace, *given.values()) as context, pinned(context.spark):
        made = _run(workspace, context, found, path.parent, given, allow_code=allow_code)
        whole = text(made, wanted, asked, workspace.settings, path.parent, given)
    target.write_text(whole, encoding="utf-8")
    if workspace.as_json:
        show_json({"path": str(target)})
    else:
        click.echo(f"written: {target}")
    return 0


def _expression(one: str) -> tuple[str, str]:
    name, equals, expression = one.partition("=")
    if not equals or not name.strip() or not expression.strip():
        raise UsageError(f"--feature {one!r} is no NAME=SQL")
    return name.strip(), expression.strip()


def flow_run(
    workspace: Workspace,
    context: Context,
    path: Path,
    node: str,
    inputs: tuple[str, ...],
    *,
    allow_code: bool,
) -> DataFrame:
    """The rows of a flow's step."""
    found, wanted, given = _asked(path, node, inputs)
    made = _run(workspace, context, found, path.parent, given, allow_code=allow_code)
    return made.frame(wanted)


def _asked(path: Path, node: str, inputs: tuple[str, ...]) -> tuple[Flow, Input, dict[str, str]]:
    """The flow, which of its outputs, and the paths of ``--input``."""
    from penstock.wrangle import document, reading

    found = document.load(path)
    wanted = found.result(node)
    return found, wanted, reading.assigned(inputs, list(found.sources.values()))


def _run(
    workspace: Workspace,
    context: Context,
    flow: Flow,
    folder: Path,
    given: dict[str, str],
    *,
    allow_code: bool,
    refit: bool = False,
) -> Run:
    """The run of a flow whose feature groups are those of the project."""
    from penstock.wrangle.reading import Reader
    from penstock.wrangle.running import Run

    def say(text: str) -> None:
        workspace.progress.step(flow.name, text)

    def warn(text: str) -> None:
        click.echo(f"warning: {text}", err=True)

    reader = Reader(context.spark, folder, given, group_rows(workspace, context))
    return Run(flow, reader, refit=refit, allow_code=allow_code, say=say, warn=warn)


def group_rows(workspace: Workspace, context: Context) -> Callable[[str, str], DataFrame]:
    """Rows of a feature group of the project: latest, or as of an instant; none that is deleted."""

    def rows(name: str, as_of: str) -> DataFrame:
        from penstock.query import run as asked

        group = workspace.project.pipeline(name).group
        path = offline_names(workspace.settings, name)[1]
        delta = workspace.settings.offline.format == "delta"
        stored = None if delta else context.table(group).rows()
        kind: Kind = "as-of" if as_of else "live"
        spark, moment = context.spark, as_of or None
        return asked(spark, kind, group, path, rows=stored, moment=moment)

    return rows


def _keep(folder: str, made: Run) -> None:
    """What steps learnt, beside the result."""
    if made.states and "://" not in folder:
        from penstock.wrangle.running import Fitted

        beside = Path(f"{folder.rstrip('/')}.fitted.json")
        beside.write_text(Fitted(made.states).text, encoding="utf-8")

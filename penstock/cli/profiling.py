"""``profile``: what is in a data set, on one page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.flows import code_option, flow_run, group_rows, input_option
from penstock.cli.options import Workspace, anywhere_options, new_file, spark_context
from penstock.cli.tables import show, show_json
from penstock.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from penstock.profiling.study import Study
    from penstock.run.context import Context

_FLOWS = (".flow", ".yaml", ".yml")
#: The remedy where it is no file that can be read.
_READ = "{}, tables of Delta, folders of Parquet and flows can be profiled"
_FILES = {".csv": "csv", ".parquet": "parquet", ".json": "json", ".jsonl": "json", ".orc": "orc"}


@click.command()
@click.argument("what", metavar="FILE|GROUP|FLOW")
@click.option("--target", default="", metavar="COLUMN", help="What other columns are to tell.")
@click.option("--time", default="", metavar="COLUMN", help="Time of the rows, for series.")
@click.option(
    "--output",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Page to write; by default NAME.profile.html here.",
)
@click.option("--node", default="", metavar="ID", help="Of a flow: the step whose rows are meant.")
@input_option
@code_option
@anywhere_options
def profile(
    workspace: Workspace,
    *,
    what: str,
    target: str,
    time: str,
    file: Path | None,
    node: str,
    inputs: tuple[str, ...],
    allow_code: bool,
) -> int:
    """Profile a file, a feature group's current rows, or what a flow makes.

    One HTML page that needs nothing else: findings with what to do about them, a summary of each
    column, histograms, correlation, scatter plots, multicollinearity, and where there is a time the
    trend, season and anomalies of numbers. With --target also target leakage and a quick model.

    \b
    Examples:
      penstock profile claims.csv --target fraud
      penstock profile flight_status --time scheduled_departure
      penstock profile churn.flow --input churn.csv=data/churn.csv --target churned
    """
    from penstock.profiling.document import document
    from penstock.profiling.study import Asked, studied
    from penstock.wrangle.running import pinned

    title = Path(what).name
    page = new_file(file or Path(f"{Path(what).stem}.profile.html"))
    if not _there(what) and Path(what).suffix:
        raise UsageError(f"{what}: no such file", "Name a file, a flow, or a feature group")
    _check_ending(what)
    places = (what, *(one.partition("=")[2] for one in inputs))
    with spark_context(workspace, *places) as context, pinned(context.spark):
        frame = _rows(workspace, context, what)(node, inputs, allow_code).cache()

        def say(text: str) -> None:
            workspace.progress.step(title, text)

        study = studied(frame, Asked(target, time), say)
        frame.unpersist()
    when = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    about = f"{what}, profiled by penstock at {when}"
    page.write_text(document(study, f"Profile of {title}", about), encoding="utf-8")
    _tell(workspace, study, page)
    return 0


def _check_ending(what: str) -> None:
    """Files without an ending may be Parquet, as folders may."""
    suffix = Path(what).suffix.lower()
    if Path(what).is_file() and suffix and suffix not in (*_FLOWS, *_FILES):
        raise UsageError(f"{what}: files that end in {suffix} are not read", _readable())


def _readable() -> str:
    return _READ.format(", ".join(_FILES))


def _rows(
    workspace: Workspace, context: Context, what: str
) -> Callable[[str, tuple[str, ...], bool], DataFrame]:
    """How to get the rows of what was named."""
    suffix = Path(what).suffix.lower()
    there = _there(what)
    if there and suffix in _FLOWS:
        return lambda node, inputs, code: flow_run(
            workspace, context, Path(what), node, inputs, allow_code=code
        )
    if there:
        return lambda *_: _file(context, what, _FILES.get(suffix, "parquet"))
    return lambda *_: group_rows(workspace, context)(what, "")


def _there(what: str) -> bool:
    """Whether it is a file, or an address of one."""
    return "://" in what or Path(what).exists()


def _file(context: Context, path: str, form: str) -> DataFrame:
    """A file's rows; of CSV the types are found as a flow's first step finds them."""
    from penstock.wrangle import reading
    from penstock.wrangle.call import made
    from penstock.wrangle.operators.inference import InferTypes, Rules
    from penstock.wrangle.source import Source

    if form != "csv" and "_delta_log" in {one.name for one in Path(path).glob("*")}:
        form = "delta"
    call = reading.call(Source("file", path=path, format=form))
    try:
        frame = call.function(context.spark, **call.arguments)
    except Exception as error:  # Spark's own classes differ between its releases
        if not Path(path).exists():
            raise  # whoever serves it may be the trouble
        raise UsageError(f"{path}: it cannot be read as {form}", _readable()) from error
    if form != "csv":
        return frame
    step = InferTypes(rules=Rules.NEW)
    return made(step.calls(step.fit(frame)), frame)


def _tell(workspace: Workspace, study: Study, page: Path) -> None:
    if workspace.as_json:
        show_json(
            {
                "path": str(page),
                "rows": study.evidence.rows,
                "columns": len(study.evidence.columns),
                "duplicates": study.evidence.duplicates,
                "findings": [vars(one) for one in study.findings],
            }
        )
        return
    if study.findings:
        rows = [(one.gravity, one.about, one.text, one.remedy) for one in study.findings[:20]]
        show(("gravity", "where", "what", "what to do"), rows)
    click.echo(f"written: {page} ({study.evidence.rows:,} rows)")

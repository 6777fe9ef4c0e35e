"""Steps of flows in tests: one step on a few rows, as a flow runs it."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle import data_wrangler
from penstock.wrangle.flow import Flow, Input, Node, Refused
from penstock.wrangle.running import Run, pinned
from penstock.wrangle.source import Source
from penstock.wrangle.step import DEFAULT, Step

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def frame(spark: SparkSession, schema: str, *rows: Sequence[Any]) -> DataFrame:
    """Rows under a schema in Spark's words, ``'age int, name string'``; their order is kept."""
    return spark.createDataFrame([tuple(one) for one in rows], schema).coalesce(1)


def table(result: DataFrame) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns with their types in order, and the rows: to compare with what is wanted."""
    return [f"{name} {kind}" for name, kind in result.dtypes], [
        tuple(one) for one in result.collect()
    ]


def applied(step: Step, *frames: DataFrame, output: str = DEFAULT) -> DataFrame:
    """A step fitted on the first frame and applied, through JSON as state is kept."""
    with pinned(frames[0].sparkSession):
        return run_of(step, *frames).frame(Input("step", output))


def learnt(step: Step, *frames: DataFrame) -> tuple[DataFrame, dict[str, Any]]:
    """The same, with the state it was applied with: it is fitted once."""
    run = run_of(step, *frames)
    with pinned(frames[0].sparkSession):
        found = run.frame(Input("step"))
    state: Any = run.states["step"]["state"]
    return found, json.loads(json.dumps(state))


def run_of(
    step: Step,
    *frames: DataFrame,
    parameters: Mapping[str, Any] | None = None,
    trained: Mapping[str, Any] | None = None,
) -> Run:
    """A run over a flow of one step."""
    sources = [Node(f"in{n}", Source(f"in{n}")) for n in range(len(frames))]
    inputs = tuple(Input(one.id) for one in sources)
    node = Node("step", step, inputs, parameters=parameters or {}, trained=trained or {})
    flow = Flow("test", (*sources, node))
    given = {f"in{n}": one for n, one in enumerate(frames)}
    return Run(flow, lambda source: given[source.name], allow_code=True)


def step_of(family: str, **parameters: Any) -> Step:
    """The step of a ``.flow`` node: ``step_of('process_numeric', operator='Scale values', …)``.

    Raises:
        UsageError: It is refused; says why.
    """
    written = {
        "node_id": "step",
        "type": "TRANSFORM",
        "operator": f"sagemaker.spark.{family}_0.1",
        "parameters": json.loads(json.dumps(parameters)),
        "inputs": [],
        "outputs": [{"name": DEFAULT}],
    }
    (node,) = data_wrangler.of({"metadata": {"version": 1}, "nodes": [written]}, "test").nodes
    if isinstance(node.does, Refused):
        raise UsageError(node.does.reason)
    assert isinstance(node.does, Step), node.does
    return node.does


def packed(model: Any, folder: Path) -> str:
    """A Spark ML model as ``.flow`` files hold it."""
    model.write().overwrite().save(str(folder / "model"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in (folder / "model").rglob("*"):
            archive.write(one, one.relative_to(folder / "model"))
    return base64.b85encode(buffer.getvalue()).decode()


def lost(step: Step, rows: DataFrame, state: Mapping[str, Any]) -> dict[str, int]:
    """How many of what a step says it loses."""
    with pinned(rows.sparkSession):
        losses = step.losses(rows, state)
        sums = [fn.sum(one.cast("int")).alias(text) for text, one in losses.items()]
        found: dict[str, int] = rows.agg(*sums).collect()[0].asDict() if sums else {}
    return found


__all__ = ["applied", "frame", "learnt", "lost", "packed", "pinned", "run_of", "step_of", "table"]

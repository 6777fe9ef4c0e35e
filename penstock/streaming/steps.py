"""What the steps of a transform ask of a stream, told before it starts.

A transform whose steps look at one row at a time does the same to each batch of a stream as to all
of its rows: it is run on batches as they come. One that collects rows by time, with a watermark,
is run by Spark's streaming engine, which keeps what is open. Steps that need all rows at once can
do neither, and are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as fn

from penstock.contract import Pipeline
from penstock.errors import UsageError
from penstock.stage.spark import source_schema, transformed
from penstock.streaming.plan import children_of, name_of

Kind = Literal["rows", "windows"]

#: Nodes of Spark's plans that look at one row at a time, or at how rows lie.
_ROWS = frozenset(
    {
        *("Project", "Filter", "SubqueryAlias", "View", "Generate", "Union", "ResolvedHint"),
        *("Repartition", "RepartitionByExpression", "RebalancePartitions", "EventTimeWatermark"),
        *("MapInArrow", "PythonMapInArrow", "MapInPandas", "Expand", "TypedFilter"),
        *("StreamingRelation", "StreamingRelationV2", "LogicalRDD", "UnresolvedHint"),
    }
)
_OPEN = frozenset({"Aggregate", "Deduplicate", "DeduplicateWithinWatermark", "Distinct"})
_WHY = {
    "Window": "a window over rows (row_number, lag, a sum over the last ones) needs all of them",
    "Sort": "an order needs all rows",
    "GlobalLimit": "a limit needs all rows",
    "LocalLimit": "a limit needs all rows",
    "Offset": "an offset needs all rows",
    "Tail": "the last rows need all rows",
    "Sample": "a sample of a stream is another one each time it is read",
    "Pivot": "a pivot needs all rows",
}
_SIDES = {"LeftOuter": 0, "LeftSemi": 0, "LeftAnti": 0, "RightOuter": 1}


def kind_of(
    spark: SparkSession, pipeline: Pipeline, streamed: str, others: Mapping[str, DataFrame]
) -> Kind:
    """Whether a pipeline's transform works row by row, or by windows of time.

    Args:
        spark: The session.
        pipeline: The pipeline.
        streamed: Which of its sources is the stream.
        others: The other ones.

    Raises:
        UsageError: A step cannot stream; says which, and why.
        ContractError: The transform gives no DataFrame.
    """
    group = pipeline.group.name
    if pipeline.transform is None:
        return "rows"
    stream = _streaming(spark, pipeline, streamed)
    made = transformed(pipeline, {**others, streamed: stream})
    if not made.isStreaming:
        message = f"{group}: what the transform gives does not come from {streamed!r}"
        raise UsageError(message, "Name the source that is the stream: streams.GROUP.source")
    nodes = list(_nodes(made._jdf.queryExecution().analyzed()))  # noqa: SLF001 - Spark tells its plans to Java alone
    reasons = [why for why in map(_problem, nodes) if why is not None]
    names = {name_of(one) for one in nodes}
    collects = sorted(names & _OPEN)
    if collects and "EventTimeWatermark" not in names:
        reasons.append(f"{collects[0]} without a watermark would keep all rows for ever")
    if reasons:
        remedy = "Take the step out, use withWatermark and windows of time, or run it as a batch"
        raise UsageError(f"{group}: the transform cannot stream: {'; '.join(reasons)}", remedy)
    return "windows" if collects else "rows"


def _streaming(spark: SparkSession, pipeline: Pipeline, streamed: str) -> DataFrame:
    """A stream with the columns of the source, which is never started."""
    schema = source_schema(pipeline.sources[streamed])
    columns = [fn.lit(None).cast(one.dataType).alias(one.name) for one in schema.fields]
    return spark.readStream.format("rate").load().select(*columns)


def _nodes(plan: Any) -> Iterator[Any]:
    """Nodes of a plan that stream."""
    if plan.isStreaming():
        yield plan
        for child in children_of(plan):
            yield from _nodes(child)


def _problem(node: Any) -> str | None:
    """Why a node cannot stream; None where it can."""
    name = name_of(node)
    if name == "Join":
        return _join_problem(node)
    if name in _ROWS or name in _OPEN:
        return None
    return f"{name}: {_WHY.get(name, 'not a step that is known to stream')}"


def _join_problem(node: Any) -> str | None:
    sides = [node.left().isStreaming(), node.right().isStreaming()]
    kind = str(node.joinType().toString())
    if all(sides):
        return "Join of a stream with itself: needs all rows"
    if kind in ("Inner", "Cross") or (kind in _SIDES and sides[_SIDES[kind]]):
        return None
    return f"Join {kind} in which the stream is the other side: needs all rows"

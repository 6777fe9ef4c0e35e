"""All cells: parameters, steps, contract, group, ingestion, reading back, joining, writing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pprint import pformat
from typing import Any

from penstock.config import Settings
from penstock.difference import create_request
from penstock.wrangle.explaining import in_line
from penstock.wrangle.export import plain
from penstock.wrangle.export.contract import Fitting
from penstock.wrangle.export.functions import IMPORTS, Texts
from penstock.wrangle.export.steps import Cell, Written
from penstock.wrangle.running import PINNED

_SPARK = {
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "8",
    "spark.databricks.delta.snapshotPartitions": "2",
}
_PARAMETERS = ("parameters",)  # papermill's tag


@dataclass(frozen=True)
class Joined:
    """A feature group to join.

    Args:
        group: Its physical name; what stands before its features in the result.
        table: Folder of its offline table in the lake.
        on: Feature of ours → of theirs.
        event_time: Its event time.
    """

    group: str
    table: str
    on: Mapping[str, str]
    event_time: str


@dataclass(frozen=True)
class Wanted:
    """What is to be written out beside the steps.

    Args:
        title: Of the notebook.
        recipe: The flow as a recipe.
        fitting: The group and where its features come from.
        table: Folder of its offline table in the lake.
        stores: ``both``, ``online`` or ``offline``.
        joined: Groups to join.
        new: New features: name → Spark SQL over the joined rows.
        settings: Of the project: region, endpoint, the group's role and key.
    """

    title: str
    recipe: Sequence[str]
    fitting: Fitting
    table: str
    stores: str
    joined: Sequence[Joined]
    new: Mapping[str, str]
    settings: Settings


def cells(wanted: Wanted, written: Written, result: str) -> list[Cell]:
    """The cells in order.

    Args:
        wanted: What.
        written: The steps.
        result: Variable of the flow's result.
    """
    return [
        *_beginning(wanted, written),
        *written.cells,
        *_contract(wanted, result, written.texts),
        *_stores(wanted, written.texts),
        *_training(wanted, written.texts),
    ]


def _beginning(wanted: Wanted, written: Written) -> Iterator[Cell]:
    recipe = "\n".join(wanted.recipe)
    fence = _ticks(recipe, least=3)
    yield Cell(f"# {wanted.title}\n\n{fence}text\n{recipe}\n{fence}", code=False)
    yield Cell(
        "## Parameters\n\nWhere rows come from and where they go. ENDPOINT is an address such as "
        "that of `penstock local`; None is AWS (not verified there).",
        code=False,
    )
    yield Cell(_parameters(wanted, written), tags=_PARAMETERS)
    yield Cell(_session(wanted.fitting.group.name))
    yield Cell("## The steps of the flow", code=False)


def _parameters(wanted: Wanted, written: Written) -> str:
    aws, place = wanted.settings.aws, wanted.settings.group(wanted.fitting.group.name)
    own = {"stores": wanted.stores, "role_arn": place.role_arn, "kms_key": place.kms_key}
    return "\n".join(
        [
            *(f"{name} = {path!r}" for name, path in written.paths.items()),
            'LAKE = "lake"  # offline tables: a folder, or s3://bucket/prefix',
            'EXPORT_TO = "training"  # the data set made at the end: a folder, or s3a://bucket/prefix',
            f"REGION = {aws.region or 'us-east-1'!r}",
            f"ENDPOINT = {aws.endpoint_url!r}",
            f"GROUP_SETTINGS = {own!r}  # stores: both, online or offline",
            "# For a small machine; under spark-submit the submitter's settings count.",
            f"SPARK_SETTINGS = {_laid_out(_SPARK)}",
        ]
    )


def _session(name: str) -> str:
    pins = "\n".join(f'spark.conf.set("{key}", "{value}")' for key, value in PINNED.items())
    return f"""{IMPORTS}

import json
from pathlib import Path

import boto3

import penstock
from penstock.config import load
from penstock.session import spark_session

conf, lake = Path("conf"), LAKE if "://" in LAKE else str(Path(LAKE).absolute())
settings = {{
    "project": "notebook",
    "lake": lake,
    "state": str(Path("state").absolute()),
    "aws": {{"region": REGION, "endpoint_url": ENDPOINT}},
    "groups": {{{name!r}: GROUP_SETTINGS}},
    "spark": {{"settings": SPARK_SETTINGS}},
}}
conf.mkdir(exist_ok=True)
(conf / "base.yaml").write_text(json.dumps(settings))
(conf / "local.yaml").write_text("{{}}")
spark = spark_session(load(conf, "local").spark, "notebook")
# The steps mean what they mean without ANSI mode and in UTC.
{pins}"""


def _contract(wanted: Wanted, result: str, texts: Texts) -> Iterator[Cell]:
    group = wanted.fitting.group
    renamed = {one: column for one, column in wanted.fitting.columns.items() if one != column}
    said = "".join(f"\n- {_verbatim(column)} becomes `{one}`" for one, column in renamed.items())
    text = (
        "## The contract\n\nWhole numbers and booleans are Integral, other numbers Fractional, all "
        "else String. Null, NaN and infinity are left out of a record."
    )
    yield Cell(text + (f"\n\nNames the service does not take:\n{said}" if said else ""), code=False)
    features = {
        one.name: [wanted.fitting.columns[one.name], one.type.value] for one in group.features
    }
    pairs = "".join(f"    {name!r}: {pair!r},\n" for name, pair in features.items())
    yield Cell(
        _with(
            texts.of([plain.as_features]),
            f"FEATURES = {{\n{pairs}}}\nfeatures = as_features({result}, FEATURES)",
        )
    )
    lines = "".join(
        f"        penstock.Feature({one.name!r}, penstock.FeatureType.{one.type.name}),\n"
        for one in group.features
    )
    yield Cell(
        f"group = penstock.FeatureGroup(\n    name={group.name!r},\n"
        f"    record_identifier={group.record_identifier!r},\n"
        f"    event_time={group.event_time!r},\n    features=(\n{lines}    ),\n)"
    )


def _stores(wanted: Wanted, texts: Texts) -> Iterator[Cell]:
    group = wanted.fitting.group
    if wanted.stores != "offline":
        request = create_request(group, wanted.settings)
        yield Cell("## Create the feature group", code=False)
        yield Cell(
            _with(
                texts.of([plain.ensure_group]),
                f"request = {_laid_out(request)}\n"
                'sagemaker = boto3.client("sagemaker", region_name=REGION, endpoint_url=ENDPOINT)\n'
                'print(ensure_group(sagemaker, request)["FeatureGroupStatus"])',
            )
        )
    yield Cell(
        "## Ingest\n\nValidated, sent online, appended offline, registered in Glue. Run again with "
        "the same rows, it changes nothing.",
        code=False,
    )
    yield Cell(
        'result = penstock.ingest(features, group, conf=conf, environment="local")\n'
        "print(result.state, result.figures)"
    )
    if wanted.stores != "offline":
        yield Cell("## Read back", code=False)
        yield Cell(_read_back(wanted, texts))


def _read_back(wanted: Wanted, texts: Texts) -> str:
    group = wanted.fitting.group
    name = create_request(group, wanted.settings)["FeatureGroupName"]
    return _with(
        texts.of([plain.online_records]),
        f"runtime = boto3.client(\n"
        f'    "sagemaker-featurestore-runtime", region_name=REGION, endpoint_url=ENDPOINT\n)\n'
        f"some = [str(row[0]) for row in features.select({group.record_identifier!r}).take(3)]\n"
        f"for identifier, record in online_records(runtime, {name!r}, some).items():\n"
        f"    print(identifier, record)",
    )


def _training(wanted: Wanted, texts: Texts) -> Iterator[Cell]:
    if wanted.stores == "online":
        return
    group = wanted.fitting.group
    yield Cell("## Select and join across feature groups\n\n" + _JOINING, code=False)
    functions: list[Callable[..., Any]] = [plain.offline_rows, plain.current_rows, plain.join_as_of]
    lines = [
        f"rows = offline_rows(spark, lake, {wanted.table!r})",
        f"training = current_rows(rows, {group.record_identifier!r}, {group.event_time!r})",
    ]
    lines += [
        f"training = join_as_of(\n    training,\n"
        f"    offline_rows(spark, lake, {one.table!r}),\n"
        f"    on={dict(one.on)!r},\n    left_time={group.event_time!r},\n"
        f"    right_time={one.event_time!r},\n    prefix={f'{one.group}_'!r},\n)"
        for one in wanted.joined
    ]
    yield Cell(_with(texts.of(functions), "\n".join([*lines, "training.printSchema()"])))
    yield Cell("## Engineer new features\n\nSpark SQL over the joined rows.", code=False)
    pairs = "".join(f"    {name!r}: {text!r},\n" for name, text in wanted.new.items())
    yield Cell(
        f"NEW_FEATURES = {{\n{pairs}}}\nfor name, expression in NEW_FEATURES.items():\n"
        "    training = training.withColumn(name, fn.expr(expression))"
    )
    yield Cell("## Export the data set", code=False)
    yield Cell(
        'training.write.mode("overwrite").parquet(EXPORT_TO)\n'
        "made = spark.read.parquet(EXPORT_TO)\n"
        'print(made.count(), "rows,", len(made.columns), "columns:", EXPORT_TO)'
    )


_JOINING = (
    "The newest row of each identifier that is not deleted, and beside it what other groups knew "
    "at its event time: rows of later than that are not looked at. Each row stays one row."
)


def _ticks(text: str, least: int) -> str:
    """So many back-ticks that those in a text do not end what they begin in Markdown."""
    return "`" * max(least, *(len(one) + 1 for one in re.findall("`+", text)), 1)


def _verbatim(text: str) -> str:
    """A text in Markdown as it is."""
    ticks = _ticks(text, least=1)
    blank = " " if "`" in text else ""
    return f"{ticks}{blank}{in_line(text)}{blank}{ticks}"


def _with(functions: Sequence[str], lines: str) -> str:
    return "\n\n\n".join([*functions, lines])


def _laid_out(value: Any) -> str:
    """A plain value as Python, laid out."""
    return pformat(value, sort_dicts=False, width=96)

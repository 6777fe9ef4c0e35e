"""Building a data set: labels, lookups, new features, parts, files, and figures of it all.

Offline tables are pinned to their versions first, so everything is read as it was at one moment.
The folder is named after the data set's meaning and those versions: building the same thing twice
finds it there. A folder counts once its manifest is in it, which is put there last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Literal

from penstock import meaning, query
from penstock.bucket import storage_of
from penstock.contract import FeatureGroup
from penstock.dataset import Dataset
from penstock.entries import Files
from penstock.errors import MismatchError, UsageError
from penstock.offline.table import OfflineTable
from penstock.run.context import Context
from penstock.run.holding import sharing
from penstock.session import raised
from penstock.stage.report import rows_of
from penstock.storage import Storage, absolute
from penstock.training.join import Plan, looked_up, plan_of
from penstock.training.scope import EVERYTHING, Scope, within
from penstock.training.split import part

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructType

Format = Literal["parquet", "csv", "delta"]
PART = "part"  # folder key of the parts: part=train
_VIEW = "penstock_dataset_base"


@dataclass(frozen=True)
class Built:
    """A data set that is there.

    Args:
        path: Its folder.
        manifest: What ``manifest.json`` in it says.
        made: Whether it was made just now; else it was there.
    """

    path: str
    manifest: Mapping[str, Any]
    made: bool


@dataclass(frozen=True)
class Version:
    """An offline table, pinned."""

    group: FeatureGroup
    table: OfflineTable
    version: int

    def plain(self) -> dict[str, Any]:
        """A JSON form: the lineage."""
        return {"group": self.group.name, "path": self.table.path, "version": self.version}

    @property
    def rows(self) -> DataFrame:
        """Its rows, with the system columns."""
        return self.table.rows(self.version)

    @property
    def events(self) -> DataFrame | Files:
        """The same, as files where they can be had."""
        return self.table.files(self.version) or self.rows


def build(
    context: Context,
    dataset: Dataset,
    groups: Mapping[str, FeatureGroup],
    *,
    folder: str | None = None,
    form: Format = "parquet",
    scope: Scope = EVERYTHING,
) -> Built:
    """Build a data set from the offline tables as they are now. Doing it again changes nothing.

    Args:
        context: The surroundings.
        dataset: What is built.
        groups: Contracts by name.
        folder: Where to; by default ``datasets/NAME`` in the lake.
        form: File format.
        scope: Which labels, and which rows of the offline tables.

    Raises:
        UsageError: A group or column is not there, or a group has no offline table.
        DataGateError: A label has no moment.
        MismatchError: The transform left rows out or made new ones, or a file lacks rows.
        TemporaryError: Files are being removed.
    """
    with sharing(context, "_datasets"):
        return _built(context, dataset, groups, folder, form, scope)


def _built(
    context: Context,
    dataset: Dataset,
    groups: Mapping[str, FeatureGroup],
    folder: str | None,
    form: Format,
    scope: Scope,
) -> Built:
    versions = {name: _version(context, groups, name) for name in dataset.groups}
    lineage = [versions[name].plain() for name in dataset.groups]
    scoped = [] if scope == EVERYTHING else [scope.plain()]
    named = [dataset.meaning, form, *lineage, *scoped]
    root = absolute(folder or f"{context.settings.lake}/datasets/{dataset.name}")
    path = f"{root}/{meaning.digest(named)}"
    storage = storage_of(path, context.settings)
    there = _manifest(storage, path)
    if there is not None:
        return Built(path, there, made=False)
    frame, plans = _looked_up(context, dataset, versions, scope)
    try:
        counts = _write(frame, dataset, plans, path, form)
    except Exception as error:
        known = raised(error)
        if known is None:
            raise
        raise known from error
    _check(dataset, counts.before["kept"], counts.rows, _rows_there(context, path, storage, form))
    columns = [[one.name, one.dataType.simpleString()] for one in counts.schema]
    manifest = {
        "dataset": dataset.name,
        "meaning": dataset.meaning,
        "format": form,
        "scope": scope.plain(),
        "made": context.now().isoformat(timespec="seconds"),
        "parts": counts.parts,
        "columns": columns,
        "lookups": [_told(plan, counts.before) for plan in plans],
        "labels": counts.before["rows"],
        "lineage": lineage,
    }
    data = json.dumps(manifest, indent=2).encode()
    storage.put_if_absent(_manifest_path(path), data)
    return Built(path, _manifest(storage, path) or manifest, made=True)


def _version(context: Context, groups: Mapping[str, FeatureGroup], name: str) -> Version:
    if name not in groups:
        message = f"there is no feature group {name!r} in this project"
        raise UsageError(message, f"There are: {', '.join(sorted(groups))}")
    group = groups[name]
    table = context.table(group)
    version = table.version()
    if version is None:
        message = f"there is no offline table of {name!r} at {table.path}"
        raise UsageError(message, f"penstock ingest {name}")
    return Version(group, table, version)


def _labels(
    context: Context, dataset: Dataset, versions: Mapping[str, Version], scope: Scope
) -> DataFrame:
    from pyspark.sql import functions as fn

    base = versions[dataset.base]
    rows = base.rows
    if scope.written is not None:
        rows = rows.where(fn.unix_micros("write_time") <= scope.written // 1_000)
    rows.createOrReplaceTempView(_VIEW)
    text = query.sql("live", base.group, query.Table((_VIEW,)), query.SPARK)
    current = context.spark.sql(text)
    labels: DataFrame = current if dataset.labels is None else dataset.labels(current)
    if dataset.time not in labels.columns:
        message = f"data set {dataset.name!r}: the labels have no column {dataset.time!r}"
        raise UsageError(message, f"They have: {', '.join(labels.columns)}")
    kind = dict(labels.dtypes)[dataset.time]
    if kind not in ("timestamp", "string", "double"):
        message = f"data set {dataset.name!r}: the moments in {dataset.time!r} are {kind}"
        raise UsageError(message, "Make them timestamps, or ISO text with T and Z")
    return within(labels, dataset.time, scope)


def _looked_up(
    context: Context, dataset: Dataset, versions: Mapping[str, Version], scope: Scope
) -> tuple[DataFrame, list[Plan]]:
    frame = _labels(context, dataset, versions, scope)
    plans: list[Plan] = []
    for number, lookup in enumerate(dataset.lookups):
        version = versions[lookup.group]
        plan = plan_of(lookup, version.group, frame.columns, number)
        events = version.events
        frame = looked_up(frame, dataset.time, plan, version.group, events, scope.written)
        plans.append(plan)
    return frame, plans


@dataclass(frozen=True)
class Counts:
    """What was counted while the rows went by.

    Args:
        before: Labels, how many have their required features, and figures of each lookup.
        rows: Rows written.
        parts: Rows written, by part.
        schema: Of the files, without the part.
    """

    before: Mapping[str, Any]
    rows: int
    parts: Mapping[str, int]
    schema: StructType


def _write(
    frame: DataFrame, dataset: Dataset, plans: list[Plan], path: str, form: Format
) -> Counts:
    """Write all parts in one pass, and count on the way."""
    from pyspark.sql import Observation
    from pyspark.sql import functions as fn

    before, after = Observation(), Observation()
    wanted = [fn.col(plan.age).isNotNull() for plan in plans if plan.lookup.required]
    fit = reduce(and_, wanted, fn.lit(True))  # noqa: FBT003 - a literal column
    rows = fn.count(fn.lit(1)).alias("rows")
    frame = frame.observe(before, rows, fn.count_if(fit).alias("kept"), *_observed(plans))
    frame = frame.where(fit).drop(*(name for plan in plans for name in (plan.age, plan.later)))
    labels = plans[0].labels if plans else frame.columns
    if dataset.transform is not None:
        frame = dataset.transform(frame)
    if PART in frame.columns:
        message = f"data set {dataset.name!r} has a column {PART!r} of its own"
        raise UsageError(message, "Rename it: parts are named so")
    schema, names = frame.schema, () if dataset.split is None else dataset.split.parts
    if dataset.split is not None:
        frame = frame.withColumn(PART, part(frame, dataset, labels))
    parts = [fn.count_if(fn.col(PART) == one).alias(f"part {one}") for one in names]
    writer = frame.observe(after, rows, *parts).write.mode("overwrite").format(form)
    if form == "csv":
        writer = writer.option("header", "true").option("escape", '"')
    if form == "delta":  # over what an interrupted build may have left
        writer = writer.option("overwriteSchema", "true")
    if dataset.split is not None:
        writer = writer.partitionBy(PART)
    writer.save(f"{path}/data")
    counted = after.get
    by_part = {one: int(counted[f"part {one}"]) for one in names} or {"all": int(counted["rows"])}
    return Counts(before.get, int(counted["rows"]), by_part, schema)


def _observed(plans: list[Plan]) -> list[Column]:
    from pyspark.sql import functions as fn

    columns: list[Column] = []
    for plan in plans:
        n, age = plan.number, fn.col(plan.age)
        columns += [
            fn.count(age).alias(f"found_{n}"),
            fn.count_if(fn.col(plan.later)).alias(f"later_{n}"),
            fn.percentile_approx(age, 0.5).alias(f"median_{n}"),
            fn.max(age).alias(f"oldest_{n}"),
        ]
    return columns


def _rows_there(context: Context, path: str, storage: Storage, form: Format) -> int | None:
    """Rows by what was written; None where that does not say."""
    if form == "csv":
        return None
    if form == "delta":
        return context.spark.read.format("delta").load(f"{path}/data").count()
    files = (one for one in storage.walk(f"{path}/data") if one.endswith(".parquet"))
    return sum(rows_of(one, storage) for one in files)


def _check(dataset: Dataset, kept: int, rows: int, there: int | None) -> None:
    """Counted independently: labels kept by the lookups, rows written, rows that are there."""
    if rows != kept:
        message = f"data set {dataset.name!r}: of {kept} labels {rows} rows were made"
        raise MismatchError(message, "The transform must keep every row, and make none")
    if there not in (None, rows):
        message = f"data set {dataset.name!r}: {rows} rows made, {there} in the files"
        raise MismatchError(message, "Run it again; if that does not help, report it")


def _told(plan: Plan, counted: Mapping[str, Any]) -> dict[str, Any]:
    """A lookup's figures; ``leaks`` is what joining the newest row, not the one of then, would."""
    n = plan.number
    return {
        "group": plan.lookup.group,
        "on": plan.lookup.on,
        "features": list(plan.names),
        "found": int(counted[f"found_{n}"]),
        "median_age_s": counted[f"median_{n}"],
        "oldest_s": counted[f"oldest_{n}"],
        "naive_join_leaks": int(counted[f"later_{n}"]),
    }


def _manifest_path(path: str) -> str:
    return f"{path}/manifest.json"


def _manifest(storage: Storage, path: str) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = json.loads(storage.read(_manifest_path(path)))
    except FileNotFoundError:
        return None
    return found

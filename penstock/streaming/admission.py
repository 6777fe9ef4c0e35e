"""What must hold before a stream starts, and what it reads beside its events."""

from __future__ import annotations

from pyspark.sql import DataFrame

from penstock.bucket import storage_of
from penstock.conf_streams import Stream
from penstock.contract import Pipeline, Source
from penstock.errors import UsageError
from penstock.gate import Bounds
from penstock.ledger.history import Ledger
from penstock.quarantine import Entry
from penstock.run.context import Context
from penstock.run.inputs import inputs_of
from penstock.run.places import state_folder
from penstock.run.tables import check_tables
from penstock.stage.report import check_files
from penstock.stage.spark import SourceStaging
from penstock.storage import is_s3
from penstock.streaming.form import form_of
from penstock.streaming.messages import Messages, messages_of

SMALL = 100_000  # rows of a source that is no stream, for one task


def stream_of(context: Context, pipeline: Pipeline) -> tuple[Stream, str]:
    """What ``conf`` says of the stream of a pipeline, and which of its sources that is.

    Raises:
        UsageError: It says nothing, or names what is not there.
    """
    name, streams = pipeline.group.name, context.settings.streams
    if name not in streams:
        message = f"conf does not say where the events of {name!r} come from"
        raise UsageError(message, f"Add streams.{name} with kafka: servers and topics, or kinesis")
    stream, sources = streams[name], list(pipeline.sources)
    if stream.source is None and len(sources) > 1:
        message = f"{name}: which of {', '.join(sources)} is the stream?"
        raise UsageError(message, f"Say streams.{name}.source")
    streamed = stream.source or sources[0]
    if streamed not in sources:
        message = f"{name}: its pipeline has no source {streamed!r}"
        raise UsageError(message, f"It has: {', '.join(sources)}")
    declared = [one.name for one in pipeline.sources[streamed].columns]
    unknown = [one for one in stream.columns if one not in declared]
    if unknown:
        message = f"{name}: source {streamed!r} has no column {unknown[0]!r}"
        raise UsageError(message, f"It has: {', '.join(declared)}")
    return stream, streamed


def check_stores(context: Context, pipeline: Pipeline, *, again: bool) -> None:
    """Return where a stream can keep both stores right.

    Args:
        context: The surroundings.
        pipeline: What is run.
        again: Whether events that were read before may be read again.

    Raises:
        UsageError: It cannot; says what to set.
    """
    settings, group = context.settings, pipeline.group.name
    check_tables(settings, group)
    form, place = settings.offline.format, settings.group(group)
    if form != "delta" and place.own_table:
        message = f"{group}: a stream writes Delta tables, and conf says offline.format: {form}"
        remedy = f"Set it to delta, or have the service write it: groups.{group}.owner: service"
        raise UsageError(message, remedy)
    if pipeline.group.deleted_when is not None and settings.online.deletion == "hard":
        message = f"{group}: after online.deletion: hard, late events would bring records back"
        raise UsageError(message, "Set online.deletion: soft: it keeps the time of the deletion")
    if again and place.owner == "service":
        message = f"{group}: the service would store again all events that are read again"
        raise UsageError(message, "Restore the checkpoint; owner: service has no --allow-reprocess")


def messages_for(context: Context, stream: Stream, source: Source) -> Messages:
    """How the events of a stream become rows of its source.

    Raises:
        UsageError: They are Avro, and its schema cannot be read.
    """
    avro, text = stream.avro, None
    if avro is not None and avro.schema_file is not None:
        name = avro.schema_file
        path = name if is_s3(name) or name.startswith("/") else str(context.root / name)
        try:
            text = storage_of(path, context.settings).read(path).decode()
        except (OSError, UnicodeDecodeError) as error:
            message = f"the Avro schema {name} cannot be read: {type(error).__name__}"
            raise UsageError(message, "Correct streams.GROUP.avro.schema_file") from None
    return messages_of(source, stream.columns, form_of(avro, text))


def has_windows(context: Context, group: str) -> bool:
    """Whether runs have brought rows of the group, or may be about to."""
    return bool(Ledger(context.storage, state_folder(context.settings), group).windows())


def others_of(
    context: Context,
    pipeline: Pipeline,
    streamed: str,
    folder: str,
    run: str,
    *,
    enter: bool = True,
) -> dict[str, DataFrame]:
    """Typed rows of the sources that are no stream, as they are now, kept by Spark.

    Args:
        context: The surroundings.
        pipeline: What is run.
        streamed: The source that is the stream.
        folder: Where they are put; nobody else writes there, and it is empty.
        run: Identifier of this run.
        enter: Whether rows that are put aside are entered into the quarantine.
    """
    rest = {name: one for name, one in pipeline.sources.items() if name != streamed}
    if not rest:
        return {}
    frames: dict[str, DataFrame] = {}
    for one in inputs_of(context, rest):
        staging = SourceStaging(context.spark, context.storage, f"{folder}/{one.name}")
        report = one.stage(staging, Bounds())
        check_files(f"{pipeline.group.name}: source {one.name}", report, context.storage)
        one.check_read(report.rows_in)
        one.check()
        if enter:
            entry = Entry(pipeline.group.name, run, context.now())
            context.quarantine.add_staged([bad.path for bad in report.bad], entry)
        rows = staging.typed(one.source, report)
        # In one part a small source is grouped and joined without a shuffle for each batch.
        frames[one.name] = (rows.coalesce(1) if report.fit <= SMALL else rows).cache()
    return frames

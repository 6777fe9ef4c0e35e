"""``replay``: the rows of a file as a stream, for demos and tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

import click

from penstock import aws
from penstock.cli.options import Workspace, workspace_options
from penstock.cli.tables import show_json
from penstock.errors import ConfigError, DataGateError, PenstockError, TemporaryError, UsageError

if TYPE_CHECKING:
    from penstock.replay.events import Event, Form
    from penstock.replay.sending import Sent
    from penstock.replay.supply import Declared, Supply
    from penstock.replay.target import KafkaTarget, KinesisTarget, Sink


@click.command()
@click.argument("source")
@click.option(
    "--to", "url", required=True, metavar="URL", help="kafka://HOST:PORT/TOPIC or kinesis://STREAM."
)
@click.option(
    "--speed",
    default="max",
    show_default=True,
    help="So many times as fast as the rows' own time: 3600 sends an hour in a second. max: in the "
    "order of the files, without a wait.",
)
@click.option("--time", metavar="COLUMN", help="Their time; by default what the pipelines name.")
@click.option("--key", metavar="COLUMN[,COLUMN]", help="Key of an event; several are joined by |.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="At most so many a second."
)
@click.option("--limit", type=click.IntRange(min=1), help="The first so many rows of the files.")
@click.option(
    "--format",
    "written",
    type=click.Choice(["json", "avro"]),
    default="json",
    show_default=True,
    help="How values are written.",
)
@click.option(
    "--schema",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Of Avro: a record of the columns to send.",
)
@workspace_options
def replay(
    workspace: Workspace,
    *,
    source: str,
    url: str,
    speed: str,
    time: str | None,
    key: str | None,
    rate: float | None,
    limit: int | None,
    written: str,
    schema: Path | None,
) -> int:
    """Send the rows of a source's files to Kafka or Kinesis, as JSON objects or as Avro.

    Values are the text that stands in the file, all its columns; only texts that are declared as
    null become null. What cannot be read is counted and left out. With --speed N the rows are
    sorted by their time, in memory. Events arrive at least once; the same command again sends all
    of them again.

    \b
    Examples:
      penstock replay flights --to kafka://127.0.0.1:9092/flights --key carrier,flight
      penstock replay flights --to kafka://127.0.0.1:9092/flights --speed 86400
      penstock replay weather --to kinesis://weather --key origin --rate 500 --env aws
    """
    from penstock.replay.pacing import Pace
    from penstock.replay.sending import Surroundings
    from penstock.replay.sending import replay as replayed
    from penstock.replay.supply import Supply, declared, rows
    from penstock.replay.target import target
    from penstock.run.interruption import stoppable

    to, pace = target(url), Pace(_speed(speed), rate)
    known = declared(source, workspace.project.pipelines.values())
    found = rows(workspace.settings, workspace.root.absolute(), source, known)
    form = _form(key, time, known, by_time=pace.speed is not None)
    form.check(found.names)
    if (written == "avro") != (schema is not None):
        raise UsageError("--format avro and --schema go together", "Name the file of the schema")
    if schema is not None:
        from penstock.replay.avro import encoder

        form = replace(form, encode=encoder(schema, found.names))
    if found.left_out:
        workspace.progress.note(source, f"columns that are not sent: {', '.join(found.left_out)}")
    supply = Supply(found.batches(), form, limit)

    def told(sent: int) -> None:
        workspace.progress.note(source, f"{sent:,} events sent")

    with stoppable() as stop, _sink(workspace, to) as sink:
        events = supply if pace.speed is None else _sorted(workspace, source, supply)
        ended = replayed(events, pace, sink, Surroundings(monotonic, sleep, stop.is_set, told))
    _report(workspace, str(to), ended, supply.skipped)
    return 0


def _speed(text: str) -> float | None:
    """What ``--speed`` says; None: as fast as it goes."""
    if text == "max":
        return None
    try:
        return float(text)
    except ValueError:
        message = f"--speed {text!r} is neither a number nor max"
        raise UsageError(message, "Write for example --speed 3600") from None


def _form(key: str | None, moment: str | None, known: Declared, *, by_time: bool) -> Form:
    from penstock.replay.events import Form

    column = (moment or known.time) if by_time else None
    if by_time and column is None:
        raise UsageError("--speed needs to know the rows' time", "Name its column with --time")
    return Form(tuple(key.split(",")) if key else (), column)


def _sorted(workspace: Workspace, source: str, supply: Supply) -> Iterable[Event]:
    workspace.progress.step(source, "sorting by time")
    return supply.by_time()


@contextmanager
def _sink(workspace: Workspace, to: KafkaTarget | KinesisTarget) -> Iterator[Sink]:
    from penstock.replay.target import KafkaTarget

    if isinstance(to, KafkaTarget):
        from penstock.replay import kafka

        topic = kafka.connected(to)
        try:
            yield topic
        finally:
            topic.close()
        return
    from penstock.replay.kinesis import KinesisSink

    if workspace.settings.aws.embedded:
        message = "the embedded AWS has no Kinesis"
        raise ConfigError(message, "Choose another environment with --env")
    yield KinesisSink(aws.client(aws.endpoint_of(workspace.settings), "kinesis"), to)


def _report(workspace: Workspace, to: str, ended: Sent, skipped: int) -> None:
    """What was sent, on standard output; then, as an error, why that is not all."""
    if workspace.as_json:
        figures = {"sent": ended.sent, "failed": ended.failed, "skipped": skipped}
        show_json({"to": to, **figures, "seconds": round(ended.seconds, 3)})
    else:
        click.echo(f"{to}: {ended.sent:,} events sent in {ended.seconds:.1f} s")
        if ended.failed:
            click.echo(f"{ended.failed:,} more were on their way, and may have arrived")
    problem = _problem(ended, skipped)
    if problem is not None:
        raise problem


def _problem(ended: Sent, skipped: int) -> PenstockError | None:
    if ended.failure is not None:
        return ended.failure
    if ended.stopped:
        message = f"stopped after {ended.sent:,} events"
        return TemporaryError(message, "The same command begins anew, and sends them again")
    if skipped:
        message = f"{skipped:,} rows were left out: they cannot be read, or have no time"
        return DataGateError(message, "All others were sent")
    return None

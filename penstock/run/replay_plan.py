"""What one run of a replay sends, decided once and written down, and how it ended.

The rows lie in a file of their own; a decision names the file and the run's window before the run
starts, another one says what became of each row after its end. Both names follow from the rows, so
a replay that was killed anywhere is taken up where it stopped. Of two that start together one plans
and the other ends with 75: a plan nobody has staged is given up by fencing its window first.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.contract import FeatureGroup, FeatureType
from penstock.errors import MismatchError, TemporaryError
from penstock.ledger.decisions import OPEN, Decision, Decisions, Outcome, Verdict, verdicts
from penstock.ledger.journal import Journal, State
from penstock.ledger.lease import check_free, owner
from penstock.ledger.window import Window, replay_window
from penstock.run.context import Context
from penstock.run.figures import Figures
from penstock.run.ingest import Correct, Online, Result, ingest_feed
from penstock.run.payload import KEY
from penstock.run.places import Places, ledger_of, state_folder
from penstock.run.work import Feed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from penstock.quarantine import Quarantine

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Asked:
    """What is done to the stores, as ``ingest`` is asked.

    Args:
        online: ``latest`` or ``never``.
        correct: ``update`` corrects values at event times that are written already.
    """

    online: Online = "latest"
    correct: Correct | None = None


@dataclass(frozen=True)
class Planned:
    """One run of a replay.

    Args:
        window: A window of its own.
        rows: Path of a Parquet file: what a transform would give, and each row's key.
        keys: Keys of the rows.
        meaning: Hash of the pipeline's meaning when it was planned.
        asked: What is done to the stores.
    """

    window: str
    rows: str
    keys: tuple[str, ...]
    meaning: str
    asked: Asked


def plan(
    context: Context,
    group: FeatureGroup,
    log: Decisions,
    rows: pa.Table,
    tries: Mapping[str, int],
    *,
    meaning: str,
    asked: Asked,
    by: str,
) -> Planned:
    """Write down what is going to be sent.

    Args:
        context: Where.
        group: The contract.
        log: The group's decisions.
        rows: Fit rows with their keys.
        tries: Of each key, how often it was tried before: another try is another window.
        meaning: Hash of the pipeline's meaning.
        asked: What is done to the stores.
        by: Who.

    Raises:
        TemporaryError: Another replay of the group is being planned or runs.
    """
    window = _window(group, rows, tries)
    data = _parquet(rows)
    digest = hashlib.sha256(data).hexdigest()[:12]
    path = f"{state_folder(context.settings)}/replays/{group.name}/{window.name}-{digest}.parquet"
    context.storage.put_if_absent(path, data)
    before = log.refresh().pending
    if before is not None and before.data["window"] != window.name:
        _give_up(context, group, log, before, by)
    keys = tuple(dict.fromkeys(rows.column(KEY).to_pylist()))
    stand = verdicts(log.events)
    changed = any(
        (one.standing, one.tries) != ("open", tries[key])
        for key, one in ((key, stand.get(key, OPEN)) for key in keys)
    )
    told = {"window": window.name, "rows": path, "meaning": meaning, **asdict(asked)}
    if changed or not log.add("replaying", keys, by=by, now=context.now(), **told):
        message = f"{group.name}: another replay or a discard came between"
        raise TemporaryError(message, "Run the same command again")
    return Planned(window.name, path, keys, meaning, asked)


def unfinished(context: Context, group: FeatureGroup, log: Decisions) -> Planned | None:
    """What an interrupted replay had staged, and has to be finished; None where there is nothing.

    Raises:
        TemporaryError: It runs at this moment.
    """
    found = log.refresh().pending
    if found is None:
        return None
    places = _places(context, group, found.data["window"])
    if not context.takeover:
        check_free(context.storage, places.lease, context.now().timestamp())
    if not _staged(context, places):
        return None
    data = found.data
    asked = Asked(data["online"], data["correct"])
    return Planned(data["window"], data["rows"], found.keys, data["meaning"], asked)


def finished(
    context: Context,
    group: FeatureGroup,
    log: Decisions,
    planned: Planned,
    quarantine: Quarantine,
    by: str,
) -> tuple[Result, dict[str, Outcome]]:
    """Run what was planned to its end, and note what became of each row.

    Raises:
        MismatchError: The run's figures are not those of the rows that were planned.
        PenstockError: As a run does.
    """
    places = _places(context, group, planned.window)
    names = [*group.names, *group.controls]

    def rows() -> DataFrame:
        _check_ours(log, planned)
        frame = context.spark.read.parquet(planned.rows)
        return frame.select(*(f"`{name}`" for name in names if name in frame.columns))

    feed = Feed(group, planned.meaning, transform=rows)
    asked = planned.asked
    result = ingest_feed(context, feed, places.window, asked.online, asked.correct)
    journal = _journal(context, places)
    online = journal.data(State.ONLINE_DONE) or {}
    held = pq.read_table(context.storage.open_input(planned.rows))
    refused = quarantine.refusals(online.get("rejects", []), group)
    each = _outcomes(held, refused, group)
    _reconcile(group, result.figures, held, each, len(refused))
    outcomes = _gravest(each)
    claimed = journal.data(State.CLAIMED) or {}
    told = {"window": planned.window, "run": claimed.get("run")}

    def once(_: Mapping[str, Verdict]) -> bool:
        pending = log.pending
        if pending is None or pending.data["window"] != planned.window:
            return True
        now = context.now()
        return log.add("replayed", outcomes, by=by, now=now, outcomes=outcomes, **told)

    log.settle(once)
    return result, outcomes


def _outcomes(
    held: pa.Table, refused: Sequence[tuple[str, str, tuple[Any, ...]]], group: FeatureGroup
) -> list[tuple[str, Outcome]]:
    """What became of each row: a refused one is known by its values, which are what was sent.

    Args:
        held: The rows that were planned.
        refused: Key of the entry, code and values of every row the service refused.
        group: The contract.
    """
    names = [name for name in group.names if name in held.column_names]
    places = [group.names.index(name) for name in names]
    bad = {tuple(values[n] for n in places): (key, code) for key, code, values in refused}
    found = []
    for row in held.select([KEY, *names]).to_pylist():
        key = row.pop(KEY)
        entry, code = bad.get(tuple(row.values()), (None, None))
        if entry is None:
            found.append((key, Outcome("accepted")))
        elif entry == key:
            found.append((key, Outcome("rejected", code)))
        else:
            found.append((key, Outcome("moved", code, entry)))
    return found


def _gravest(each: Sequence[tuple[str, Outcome]]) -> dict[str, Outcome]:
    """What became of each entry: a row of its that was refused counts before those that were not.

    What a transform made of one row of a source may be several.
    """
    found: dict[str, Outcome] = {}
    for key, one in each:
        if key not in found or found[key].what == "accepted":
            found[key] = one
    return found


def _reconcile(
    group: FeatureGroup,
    figures: Figures,
    held: pa.Table,
    each: Sequence[tuple[str, Outcome]],
    refused: int,
) -> None:
    """The run's figures against the rows: both counted, neither from the other."""
    gone = figures.quarantined + figures.dropped + figures.outside
    bad = len({one.entry or key for key, one in each if one.what != "accepted"})
    equations = [
        ("rows planned = produced", held.num_rows, figures.produced),
        ("rows planned = outcomes", held.num_rows, len(each)),
        ("put aside, dropped or outside = 0", gone, 0),
        ("rejected = refused rows", figures.rejected, refused),
        ("refused rows = rows that stay", refused, bad),
    ]
    for name, left, right in equations:
        if left != right:
            message = f"{group.name}: the replay does not add up: {name}: {left} is not {right}"
            raise MismatchError(message, "Please report this as a defect; the rows stay open")


def _give_up(
    context: Context, group: FeatureGroup, log: Decisions, before: Decision, by: str
) -> None:
    """End a plan nothing was staged of, so that whoever made it cannot go on.

    Its owner claims the window, then looks whether the plan still stands. Here the window is
    claimed first, then the plan is taken back: a later claim than ours may have seen it standing.

    Raises:
        TemporaryError: Its owner lives.
    """
    window = before.data["window"]
    places = _places(context, group, window)
    if not context.takeover:
        check_free(context.storage, places.lease, context.now().timestamp())
    ledger = ledger_of(context.storage, places)
    generation, journal = ledger.newest(window)
    epoch = journal.epoch + 1
    data = {"run": uuid.uuid4().hex[:12], "owner": owner()}
    ledger.claim(window, generation, journal, epoch, data, context.now())
    taken = not _staged(context, places) and log.add(
        "abandoned", (), by=by, now=context.now(), window=window
    )
    if not taken or journal.refresh().epoch != epoch:
        message = f"{group.name}: another replay has begun"
        raise TemporaryError(message, "Wait for it, then run the same command again")
    why = "planned anew before anything was staged"
    journal.append(State.GATED, epoch, {"why": why}, context.now())


def _check_ours(log: Decisions, planned: Planned) -> None:
    pending = log.refresh().pending
    if pending is None or pending.data["window"] != planned.window:
        message = f"the replay {planned.window} was given up by another one"
        raise TemporaryError(message, "Run the same command again")


def _window(group: FeatureGroup, rows: pa.Table, tries: Mapping[str, int]) -> Window:
    """A window whose name follows from the rows and from how often each was tried."""
    tried = json.dumps(sorted(tries.items()))
    digest = hashlib.sha256(tried.encode()).hexdigest()[:16]
    instants = [_instant(one, group) for one in rows.column(group.event_time).to_pylist()]
    return replay_window(digest, min(instants), max(instants) + timedelta(seconds=1))


def _instant(event_time: Any, group: FeatureGroup) -> datetime:
    """An event time as it is stored, cut off to the second."""
    if group.feature(group.event_time).type is FeatureType.STRING:
        return datetime.strptime(event_time[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return _EPOCH + timedelta(seconds=event_time // 1)


def _places(context: Context, group: FeatureGroup, window: str) -> Places:
    return Places(state_folder(context.settings), group.name, Window(label=window))


def _journal(context: Context, places: Places) -> Journal:
    return ledger_of(context.storage, places).newest(places.window.name)[1]


def _staged(context: Context, places: Places) -> bool:
    newest, _ = ledger_of(context.storage, places).newest(places.window.name)
    return context.storage.exists(places.manifest(newest))


def _parquet(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data

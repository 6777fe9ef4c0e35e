"""What a report of a run is made of: plain JSON, gathered from what the run has left behind.

Nothing is counted here and no Spark is asked: figures are those of the ledger, times those of its
events, rates those of the metrics file, and features come of a sample of the staged files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

import pyarrow.compute as pc

from penstock.contract import FeatureType
from penstock.errors import PenstockError
from penstock.expectation import split
from penstock.ledger.journal import State, parsed
from penstock.report.aside import put_aside
from penstock.report.drift import drifts
from penstock.report.features import MAX_FEATURES, described
from penstock.report.run_page import instant
from penstock.report.sample import Sample, sample
from penstock.run.manifest import Manifest
from penstock.run.places import metrics_path
from penstock.run.work import Work

Plain = dict[str, Any]

FORMAT = 1
APART_S = 0.5  # between two points of a rate
#: What takes the time until a state is reached.
_STEPS = {
    State.CLAIMED: "claim the window",
    State.PLANNED: "plan",
    State.STAGED: "read, gate, transform and stage",
    State.ONLINE_DONE: "send to the online store",
    State.OFFLINE_COMMITTED: "write the offline store",
    State.REGISTERED: "register the table",
    State.DONE: "check the figures",
    State.GATED: "until a gate stopped it",
}


def gathered(work: Work, error: PenstockError | None, before: Plain | None) -> Plain:
    """All that a page shows of a run.

    Args:
        work: The run, at its end.
        error: What stopped it; None where it came to its end.
        before: What the report of the run before was made of.

    Raises:
        OSError: A file that the run has staged is gone.
    """
    now = work.context.now()
    manifest = _manifest(work)
    found = None if manifest is None else _sampled(work, manifest)
    known = {} if before is None else {one["name"]: one for one in before["features"]}
    features = [] if found is None else described(found.rows, work.group, known)
    _draw_beside(features, known)
    aside = put_aside(work.context.storage, list(_aside_files(work, manifest)), _hidden(work))
    return {
        **outline(work, error),
        "format": FORMAT,
        "figures": figures(work, manifest),
        "steps": list(_steps(work)),
        "progress": list(_progress(work)),
        "quarantine": aside,
        "expectations": list(_expectations(work, aside)),
        "sample": None if found is None else found.plain(),
        "features": features,
        "drift": _drift(features, before, known),
        "freshness": _freshness(work, found, now),
    }


def outline(work: Work, error: PenstockError | None) -> Plain:
    """Which run, and how it ended."""
    return {
        "project": work.context.settings.project,
        "group": work.group.name,
        "window": work.places.window.name,
        "generation": work.generation,
        "run": work.run,
        "state": "done" if error is None else "stopped",
        "why": None if error is None else str(error),
        "exit_code": 0 if error is None else error.exit_code,
        "at": instant(work.context.now()),
    }


def figures(work: Work, manifest: Manifest | None) -> Plain | None:
    """Figures as far as they are known; None where nothing was staged."""
    done = work.journal.data(State.DONE)
    if done is not None:
        found: Mapping[str, Any] = done["figures"]
    elif manifest is None:
        return None
    else:
        online = work.journal.data(State.ONLINE_DONE) or {}
        offline = work.journal.data(State.OFFLINE_COMMITTED) or {}
        seconds = work.context.monotonic() - work.began
        found = manifest.ended(online, offline, seconds).plain()
    sources = found["sources"]
    read = sum(one["read"] for one in sources) if sources else found["produced"]
    aside = found["quarantined"] + sum(one["quarantined"] for one in sources)
    return {**found, "read": read, "all_quarantined": aside}


def _manifest(work: Work) -> Manifest | None:
    storage = work.context.storage
    return work.manifest if storage.exists(work.places.manifest(work.generation)) else None


def _sampled(work: Work, manifest: Manifest) -> Sample | None:
    files = [(one.path, one.rows) for one in manifest.staged.rows]
    names = work.group.names[:MAX_FEATURES]
    for name in (work.group.event_time,):
        names = names if name in names else (*names, name)
    return sample(work.context.storage, files, names)


def _draw_beside(features: Sequence[Plain], known: Mapping[str, Plain]) -> None:
    """Beside the counts in the bins of the run before, those which that run had in them."""
    for one in features:
        if "shape_before" in one:
            one["shape_were"] = known[one["name"]]["shape"]["counts"]


def _hidden(work: Work) -> list[str]:
    return [one.name for one in work.group.features if one.pii]


def _aside_files(work: Work, manifest: Manifest | None) -> Iterator[str]:
    """Files with rows that the gates put aside while this was staged, by this run or an earlier."""
    run = work.run if manifest is None else manifest.run
    claims = [one for one in work.journal.events if one.state is State.CLAIMED]
    for claim in claims:
        if claim.data.get("run") != run:
            continue
        for path in work.context.storage.walk(work.places.staged(work.generation, claim.epoch)):
            if path.rsplit("/", 1)[-1].startswith("bad-"):
                yield path


def _steps(work: Work) -> Iterator[Plain]:
    """Each event with the seconds since the one before; of a run that was interrupted, all."""
    events = work.journal.events
    if events:
        first = events[0]
        yield {"what": _STEPS[first.state], "at": first.at, "seconds": None, "epoch": first.epoch}
    for one, two in pairwise(events):
        seconds = (parsed(two.at) - parsed(one.at)).total_seconds()
        same = one.epoch == two.epoch
        told = {"what": _STEPS[two.state], "at": two.at, "epoch": two.epoch}
        yield {**told, "seconds": round(seconds, 3) if same else None}


def _progress(work: Work) -> Iterator[Plain]:
    """Lines of the metrics file: seconds, rate since the line before, latency so far."""
    path = metrics_path(work.context.settings, work.run)
    try:
        lines = work.context.storage.read(path).decode().splitlines()
    except FileNotFoundError:
        return
    found = [json.loads(line) for line in lines]
    # The last line may come a moment after the one before: no rate is of a moment.
    apart = [
        one
        for n, one in enumerate(found)
        if n + 1 == len(found) or found[n + 1]["online_s"] - one["online_s"] >= APART_S
    ]
    seconds, accepted = 0.0, 0
    for line in apart:
        passed = line["online_s"] - seconds
        if passed <= 0:
            continue
        rate = max(0.0, (line["accepted"] - accepted) / passed)
        told = {name: line[name] for name in ("p50_ms", "p99_ms", "throttled")}
        yield {"s": line["online_s"], "rate": round(rate, 1), **told}
        seconds, accepted = line["online_s"], line["accepted"]


def _expectations(work: Work, aside: Plain) -> Iterator[Plain]:
    """Rules of the gate with the rows they put aside first, then what was judged on the set."""
    rows: dict[tuple[str | None, str], int] = {}
    for one in aside["rules"]:
        key = (one["column"], one["rule"])
        rows[key] = rows.get(key, 0) + one["rows"]
    for rule in split(work.group.all_expectations).gate:
        count = rows.get((rule.column, rule.type), 0)
        dropped = rule.on_fail == "drop"
        outcome = "see dropped" if dropped else "broken" if count else "met"
        yield _expectation(rule, outcome, None if dropped else count)
    if work.findings is None:  # by the run that staged it, or by none
        for rule in split(work.group.all_expectations).staged:
            yield _expectation(rule, "not judged in this run", None)
    for found in work.findings or ():
        yield _expectation(found, "met" if found.success else "not met", None)


def _expectation(one: Any, outcome: str, rows: int | None) -> Plain:
    told = {name: getattr(one, name) for name in ("type", "column", "on_fail")}
    return {**told, "outcome": outcome, "rows": rows}


def _drift(features: Sequence[Plain], before: Plain | None, known: Mapping[str, Plain]) -> Plain:
    if before is None:
        return {"source": None, "features": []}
    source = {name: before[name] for name in ("run", "window", "at")}
    return {"source": source, "features": drifts(features, known)}


def _freshness(work: Work, found: Sample | None, now: datetime) -> Plain:
    newest = None if found is None else _newest(work, found)
    changed = _changed(work)
    end = work.places.window.end
    return {
        "newest": None if newest is None else instant(newest),
        "lag_s": None if newest is None else round((now - newest).total_seconds(), 3),
        "window_end": None if end is None else instant(end),
        "source_changed": None if changed is None else instant(changed),
        "source_lag_s": None if changed is None else round((now - changed).total_seconds(), 3),
    }


def _newest(work: Work, found: Sample) -> datetime | None:
    """The newest event time of the sample; None where the contract hides it."""
    feature = work.group.feature(work.group.event_time)
    last = pc.max(found.rows.column(feature.name)).as_py()
    if feature.pii or last is None:
        return None
    if feature.type is FeatureType.STRING:
        # fromisoformat of Python 3.10 knows neither Z nor nine digits.
        text = str(last).removesuffix("Z")[:26]
        return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
    return datetime.fromtimestamp(float(last), timezone.utc)


def _changed(work: Work) -> datetime | None:
    """The newest change of a source file; objects of S3 and Delta tables do not say."""
    pins: Mapping[str, Any] = work.feed.pins or {}
    times = [
        one[2]
        for pin in pins.values()
        for one in pin
        if isinstance(one, (list, tuple)) and isinstance(one[2], int)
    ]
    return datetime.fromtimestamp(max(times) / 1e9, timezone.utc) if times else None

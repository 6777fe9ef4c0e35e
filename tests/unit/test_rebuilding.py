"""T36: whatever happens to an event is seen, and the journal is rebuilt from what else is there."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import MismatchError, TemporaryError
from penstock.ledger.compaction import compact
from penstock.ledger.journal import Journal, State
from penstock.ledger.lease import held
from penstock.online import Figures as Sent
from penstock.online import marker_path
from penstock.run.collection import Amount, collect
from penstock.run.damage import damages
from penstock.run.figures import Figures, SourceFigures
from penstock.run.manifest import Manifest
from penstock.run.mode import Mode
from penstock.run.places import offline_path
from penstock.run.rebuilding import Rebuilt, rebuilt_all
from penstock.stage.report import Report, Staged
from penstock.storage import LocalStorage
from tests.harm import HARM
from tests.ledgers import PINS, Ledger, month

NOW = datetime(2021, 1, 1, tzinfo=timezone.utc)
NAME = month(1).name
FIGURES = Figures(
    sources=(SourceFigures("readings", read=8, passed=7, quarantined=1, dropped=0, outside=0),),
    produced=7,
    duplicates=1,
    valid=6,
    identifiers=4,
)
#: What the markers of two chunks, the commit and the note come to.
ENDED = replace(
    FIGURES,
    candidates=4,
    sent=4,
    accepted=4,
    repeated=1,
    calls=3,
    in_flight=2,
    offline=5,
    present=1,
    online_s=2.0,
    seconds=5.0,
)

#: What the event of sending carries of it.
SAID: dict[str, Any] = {
    **dict.fromkeys(("older", "expired", "corrected", "replaced", "skipped", "rejected"), 0),
    **dict.fromkeys(("throttled", "ambiguous"), 0),
    "candidates": 4,
    "sent": 4,
    "accepted": 4,
    "repeated": 1,
    "calls": 3,
    "in_flight": 2,
    "by_code": {},
    "p50_ms": None,
    "p99_ms": None,
    "online_s": 2.0,
    "rate": 2.0,
    "rejects": [],
}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """One window that was run to its end, with all that a run leaves."""
    made = Ledger(tmp_path)
    places, storage = made.places(month(1)), LocalStorage()
    files = [f"{places.staged(0, 2)}/{name}.parquet" for name in ("rows-0", "send-0")]
    staged = Report(fit=6, rows=(Staged(files[0], 6),), send=(Staged(files[1], 4),))
    mode = Mode("latest", "own", ("OnlineStore",))
    manifest = Manifest(
        "run", PINS, "meaning", mode, 3, compare=False, staged=staged, figures=FIGURES
    )
    storage.write(places.manifest(0), manifest.encoded())
    storage.write(places.pin(0, "api_invocation_time"), b'"2020-01-01T00:00:00.000000"')
    for chunk, rows in enumerate((3, 1)):
        sent = Sent(sent=rows, accepted=rows, repeated=chunk, calls=chunk + 1, in_flight=2)
        about = {"file": "send-0", "chunk": chunk, "rows": rows, "seconds": 0.5}
        marker = {**about, **asdict(sent), "rejects_file": None}
        storage.write(marker_path(places.results(0), files[1], chunk), json.dumps(marker).encode())
    _commit(made, rows=5, present=1)
    note = json.dumps({"seconds": 5.0, "online_s": 2.0}).encode()
    storage.write(places.pin(0, "done"), note)
    _journal(made)
    return made


def _commit(ledger: Ledger, rows: int, present: int) -> None:
    """A Delta table whose second commit is the window's, with what Spark notes in it."""
    log = Path(offline_path(ledger.settings, ledger.group)) / "_delta_log"
    log.mkdir(parents=True)
    column = {"name": "n", "type": "long", "nullable": True, "metadata": {}}
    schema = json.dumps({"type": "struct", "fields": [column]})
    about = {"id": "1", "format": {"provider": "parquet", "options": {}}, "schemaString": schema}
    table = {"partitionColumns": [], "configuration": {}, **about}
    first: list[Any] = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": table},
    ]
    mark = {"penstock": f"penstock:{ledger.group}:{NAME}", "generation": 0, "present": present}
    done = {"timestamp": 1, "operation": "WRITE", "userMetadata": json.dumps(mark)}
    named = {"appId": mark["penstock"], "version": 0, "lastUpdated": 1}
    second: list[Any] = [
        {"commitInfo": {**done, "operationMetrics": {"numOutputRows": f"{rows}"}}},
        {"txn": named},
    ]
    for n, actions in enumerate((first, second)):
        text = "\n".join(json.dumps(one) for one in actions)
        (log / f"{n:020d}.json").write_text(text, encoding="ascii")


def _journal(ledger: Ledger) -> None:
    """As a run wrote it that was claimed twice."""
    journal = Journal(LocalStorage(), ledger.places(month(1)).journal(0))
    said = {"pins": PINS, "meaning": "meaning", "mode": "latest:own:OnlineStore"}
    journal.append(State.CLAIMED, 1, {"run": "dead"}, ledger.at)
    journal.append(State.PLANNED, 1, said, ledger.at)
    journal.append(State.CLAIMED, 2, {"run": "run"}, ledger.at)
    for state, data in (
        (State.PLANNED, said),
        (State.STAGED, {"read": 8, "valid": 6, "quarantined": 1}),
        (State.ONLINE_DONE, SAID),
        (State.OFFLINE_COMMITTED, {"offline": 5, "present": 1, "version": 1}),
        (State.REGISTERED, {"table": None}),
        (State.DONE, {"figures": ENDED.plain(), **said, "run": "run"}),
    ):
        journal.append(state, 2, data, ledger.at)


def _rebuild(ledger: Ledger, window: str | None = None) -> list[Rebuilt]:
    return rebuilt_all(ledger.settings, ledger.ours(), window, NOW)


def _end(ledger: Ledger) -> Any:
    """State, run, and all that the end carries."""
    journal = ledger.ours().newest(NAME)[1]
    claimed = journal.data(State.CLAIMED) or {}
    return journal.state, claimed.get("run"), journal.data(State.DONE)


@pytest.mark.shows("5.6")
@pytest.mark.parametrize("how", HARM)
@pytest.mark.parametrize("number", range(1, 10))
def test_t36_ledger_corruption_of_any_event_is_seen_and_rebuilt(
    ledger: Ledger, number: int, how: str
) -> None:
    """Flipped, torn, deleted, in the place of another: seen; then state and figures as before."""
    before = _end(ledger)
    assert before[0] is State.DONE
    assert damages(ledger.ours()) == []
    event = Path(ledger.ours().journal_folder(NAME, 0)) / f"{number:06d}.json"
    HARM[how](event)
    (found,) = damages(ledger.ours())
    assert (found.window, found.generation) == (NAME, 0)
    assert str(event.parent) in found.what
    harmed = {one.name: one.read_bytes() for one in event.parent.iterdir()}
    (done,) = _rebuild(ledger)
    assert done.aside is not None
    assert {one.name: one.read_bytes() for one in Path(done.aside).iterdir()} == harmed
    assert done.state is State.DONE
    assert _end(ledger) == before
    assert damages(ledger.ours()) == []
    assert _rebuild(ledger) == []


@pytest.mark.shows("5.6")
def test_a_ledger_that_is_gone_and_a_snapshot_that_is_damaged_are_rebuilt(ledger: Ledger) -> None:
    """F67: the same state again, from what lies beside it."""
    before = _end(ledger)
    shutil.rmtree(ledger.root / "state" / "ledger")
    assert [one.state for one in _rebuild(ledger)] == [State.DONE]
    assert _end(ledger) == before
    assert compact(ledger.ours(), datetime(2022, 1, 1, tzinfo=timezone.utc)).windows == 1
    assert damages(ledger.ours()) == []
    HARM["flip"](Path(ledger.ours().snapshot().file))
    assert [one.window for one in damages(ledger.ours())] == [None, NAME]
    assert [one.state for one in _rebuild(ledger)] == [None, State.DONE]
    assert _end(ledger) == before


@pytest.mark.parametrize("harm", HARM)
def test_what_was_collected_is_rebuilt_from_the_note_of_its_markers(
    ledger: Ledger, harm: str
) -> None:
    """The same end, the same figures of sending; with neither markers nor note it stays STAGED."""
    before, places = _end(ledger), ledger.places(month(1))
    whole = collect(ledger.ours(), ledger.at + timedelta(days=7), timedelta(days=7))
    assert whole.taken.files == 2
    assert whole.kept == {}
    assert not Path(places.results(0)).exists()
    assert damages(ledger.ours()) == []
    HARM[harm](Path(places.journal(0)) / "000009.json")
    assert [one.state for one in _rebuild(ledger)] == [State.DONE]
    assert _end(ledger) == before
    assert ledger.ours().newest(NAME)[1].data(State.ONLINE_DONE) == SAID
    assert damages(ledger.ours()) == []
    assert collect(ledger.ours(), NOW, timedelta(0)).taken == Amount()
    note = Path(places.pin(0, "collected"))
    said = note.read_bytes()
    note.write_bytes(said.replace(b'"sent": 4', b'"sent": 5'))
    HARM[harm](Path(places.journal(0)) / "000001.json")
    with pytest.raises(MismatchError, match=r"collected\.json: not what was written"):
        _rebuild(ledger)
    note.unlink()
    assert [one.state for one in _rebuild(ledger)] == [State.STAGED]


def test_a_state_is_rebuilt_only_where_its_proof_is_there(ledger: Ledger) -> None:
    """Without the note, the commit, a marker, the instant, the manifest: less and less."""
    places = ledger.places(month(1))
    results = sorted(Path(places.results(0)).iterdir())
    proofs = [
        (Path(places.pin(0, "done")), State.OFFLINE_COMMITTED),
        (Path(offline_path(ledger.settings, ledger.group)) / "_delta_log", State.ONLINE_DONE),
        (results[0], State.STAGED),
        (Path(places.manifest(0)), None),
    ]
    for proof, state in proofs:
        proof.rename(ledger.root / proof.name)
        HARM["flip"](Path(places.journal(0)) / "000001.json")
        (done,) = _rebuild(ledger)
        assert done.state is state
    assert ledger.ours().windows() == []


def test_what_does_not_agree_is_not_rebuilt(ledger: Ledger) -> None:
    """A commit of other rows, a marker of other rows: 70, and no journal says DONE."""
    places = ledger.places(month(1))
    log = Path(offline_path(ledger.settings, ledger.group))
    shutil.rmtree(log)
    _commit(ledger, rows=4, present=1)
    HARM["flip"](Path(places.journal(0)) / "000001.json")
    with pytest.raises(MismatchError, match="do not add up"):
        _rebuild(ledger)
    assert ledger.ours().newest(NAME)[1].state is None
    shutil.rmtree(log)
    _commit(ledger, rows=5, present=1)
    marker = min(Path(places.results(0)).iterdir())
    whole = marker.read_text()
    marker.write_text(whole.replace('"accepted": 3', '"accepted": 2'), encoding="ascii")
    with pytest.raises(MismatchError, match="marker"):
        _rebuild(ledger)
    marker.write_text(whole, encoding="ascii")
    assert [one.state for one in _rebuild(ledger)] == [State.DONE]


def test_a_gate_that_held_the_window_back_still_does(ledger: Ledger) -> None:
    """Too many were refused: nothing was committed, and the rebuilt journal says why."""
    places = ledger.places(month(1))
    shutil.rmtree(offline_path(ledger.settings, ledger.group))
    Path(places.pin(0, "done")).unlink()
    marker = min(Path(places.results(0)).iterdir())
    plain = json.loads(marker.read_text()) | {"accepted": 0, "rejected": 3, "rejects_file": "x"}
    marker.write_text(json.dumps(plain), encoding="ascii")
    shutil.rmtree(places.journal(0))
    assert [one.state for one in _rebuild(ledger)] == [State.GATED]


def test_a_window_that_is_run_at_the_moment_is_left_alone(ledger: Ledger) -> None:
    """75, and nothing is moved."""
    places = ledger.places(month(1))
    event = Path(places.journal(0)) / "000002.json"
    HARM["flip"](event)
    whole = event.read_bytes()
    with held(LocalStorage(), places.lease, NOW.timestamp), pytest.raises(TemporaryError):
        _rebuild(ledger)
    assert event.read_bytes() == whole
    assert [one.state for one in _rebuild(ledger, NAME)] == [State.DONE]
    assert _rebuild(ledger, month(2).name) == []

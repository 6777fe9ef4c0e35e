"""``forget``: after it no file of penstock's has the record, and everything else goes on."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from penstock import aws
from penstock.contract import Pipeline
from penstock.dataset import Dataset, Lookup
from penstock.errors import DataGateError, TemporaryError, UsageError
from penstock.ledger.history import Ledger
from penstock.ledger.journal import State
from penstock.ledger.lease import held
from penstock.ledger.window import Window
from penstock.run.forgetting import forget
from penstock.run.ingest import ingest_pipeline
from penstock.run.rebuilding import rebuilt_all
from penstock.run.status import statuses
from penstock.run.undo import undo
from penstock.run.undoable import find
from penstock.storage import LocalStorage
from penstock.training.build import build
from tests.lab import Lab
from tests.readings import GROUP, PIPELINE
from tests.service.test_erasure import texts

OLD, NEW = "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"
#: Quotes, a semicolon, a way out of folders, and another script; its last word finds it anywhere.
SECRET = "o'b;../\"é<secret"
OTHER = "o'b;../\"é<other"
MARK = "secret"
pytestmark = pytest.mark.shows("6.7")


def _text(*rows: tuple[str, ...]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([("sensor", "at", "level", "share"), *rows])
    return out.getvalue()


def _run(lab: Lab, *rows: tuple[str, ...], pipeline: Pipeline = PIPELINE) -> str:
    """Ingest a file of these rows; returns the name of the run."""
    source = lab.root / "source" / "readings.csv"
    source.parent.mkdir(exist_ok=True)
    source.write_text(_text(*rows), encoding="utf-8")
    settings = lab.settings({"readings": source}, quality__max_quarantine_ratio=0.5)
    lab.provision(pipeline.group, settings)
    ingest_pipeline(lab.context(settings), pipeline, Window())
    (state,) = statuses(settings, [pipeline.group.name])
    assert state.data is not None
    return str(state.data["run"])


def _forget(lab: Lab, *identifiers: str, look_only: bool = False) -> dict[str, int]:
    settings = lab.settings({"readings": lab.root / "source" / "readings.csv"})
    found = forget(lab.context(settings), GROUP, identifiers, look_only=look_only)
    return {one.what: one.found for one in found}


def _said(lab: Lab) -> str:
    """All that files of lake and state say."""
    return "\n".join(texts(lab.root / one) for one in ("lake", "state"))


LEVELS = Dataset(
    name="levels",
    base="readings",
    time="at",
    lookups=(Lookup("readings", on="sensor", prefix="p_"),),
)
ROWS = (
    (SECRET, OLD, "1", "0.5"),
    (OTHER, OLD, "2", "0.5"),
    (SECRET, NEW, "x", "0.5"),  # put aside by the source's gate
    (OTHER, NEW, "x", "0.5"),
    ("b", NEW, "3", "0.25"),
)


def test_no_file_has_it(lab: Lab) -> None:
    """Two versions, rows put aside, staged files, an undone run, two data sets; others stay."""
    _run(lab, *ROWS)
    _run(lab, *ROWS, (SECRET, NEW, "7", ""), ("c", NEW, "9", ""))
    settings = lab.settings()
    made = build(lab.context(settings), LEVELS, {"readings": GROUP})
    elsewhere = build(
        lab.context(settings), LEVELS, {"readings": GROUP}, folder=str(lab.root / "elsewhere")
    )
    (Path(made.path).parent / "a file of somebody's").write_text("")
    torn = Path(made.path).parent / "torn" / "manifest.json"
    torn.parent.mkdir()
    torn.write_text("{")
    left = lab.root / "state" / "online" / "readings" / "all" / f".rejects.{'0' * 32}"
    left.write_text(SECRET)
    killed = lab.root / "state" / "reconcile" / "readings" / "0" / "01" / "torn"
    killed.parent.mkdir(parents=True)
    killed.write_text(SECRET)
    assert Path(made.path).exists()
    assert MARK in _said(lab)
    aside = len(lab.quarantine())

    looked = _forget(lab, SECRET, look_only=True)
    assert looked["offline table"] == 2
    assert (looked["online store"], looked["data sets"], looked["quarantine"]) == (1, 2, 1)
    assert looked["staged by runs"] > 0
    assert looked["what reconcile found"] == 1
    assert MARK in _said(lab)
    assert lab.online(GROUP, SECRET)[SECRET] is not None

    assert _forget(lab, SECRET) == looked
    assert MARK not in _said(lab)
    assert lab.online(GROUP, SECRET, OTHER) == {
        SECRET: None,
        OTHER: {"sensor": OTHER, "at": OLD, "level": "2", "share": "0.5"},
    }
    assert lab.online_identifiers(GROUP) == sorted([OTHER, "b", "c"])
    assert [row["sensor"] for row in lab.offline(GROUP)] == sorted(["b", "c", OTHER])
    assert len(lab.quarantine()) == aside - 1
    assert not Path(made.path).exists()
    assert Path(elsewhere.path).exists()
    again = _forget(lab, SECRET)
    assert set(again.values()) == {0}


def test_nobody_works_meanwhile(lab: Lab) -> None:
    """A run that is at it, or one that begins: the later of the two stops, nothing is touched."""
    _run(lab, *ROWS)
    storage, leases = LocalStorage(), lab.root / "state" / "leases"
    busy = pytest.raises(TemporaryError, match=r"other/all is owned by .* Wait for it")
    with held(storage, f"{leases}/other/all.json", lambda: 1e12), busy:
        _forget(lab, SECRET)
    with held(storage, f"{leases}/whole.json", lambda: 1e12):
        with pytest.raises(TemporaryError, match="in which files are removed"):
            _forget(lab, SECRET)
        with pytest.raises(TemporaryError, match="in which files are removed"):
            _run(lab, *ROWS, ("c", NEW, "9", ""))
        with pytest.raises(TemporaryError, match="in which files are removed"):
            build(lab.context(lab.settings()), LEVELS, {"readings": GROUP})
        assert _forget(lab, SECRET, look_only=True)["offline table"] == 1
    assert MARK in _said(lab)
    assert lab.online(GROUP, SECRET)[SECRET] is not None
    _run(lab, *ROWS, ("c", NEW, "9", ""))
    assert _forget(lab, SECRET)["offline table"] == 1
    assert MARK not in _said(lab)


@pytest.mark.prove
def test_runs_go_on_afterwards(lab: Lab) -> None:
    """It comes back with its source; a run of before cannot be taken back, one of after can."""
    run = _run(lab, *ROWS)
    _forget(lab, SECRET)
    context = lab.context(lab.settings())
    event = lab.root / "state" / "ledger" / "readings" / "all" / "0000" / "000004.json"
    event.unlink()
    ledger = Ledger(context.storage, str(lab.root / "state"), "readings")
    (rebuilt,) = rebuilt_all(context.settings, ledger, None, context.now(), lambda *_: None)
    assert rebuilt.state is State.DONE
    with pytest.raises(UsageError, match="what it staged was collected"):
        undo(context, GROUP, run, find(context, run))
    newer = _run(lab, *ROWS, ("c", NEW, "9", ""))
    assert [row["sensor"] for row in lab.offline(GROUP)] == sorted(["b", "c", OTHER, SECRET])
    done = undo(context, GROUP, newer, find(context, newer))
    assert (done.offline, done.removed) == (2, 2)
    assert [row["sensor"] for row in lab.offline(GROUP)] == sorted(["b", OTHER])


@pytest.mark.prove
def test_softly_deleted_and_of_the_future(lab: Lab) -> None:
    """A soft deletion keeps the identifier online; a record may be newer than our clock."""
    late = "2024-03-01T00:00:00Z"
    _run(
        lab,
        *((SECRET + n, at, "1", "") for n, at in (("", OLD), ("2", late), ("3", OLD))),
        ("b", OLD, "1", ""),
    )
    runtime = aws.client(lab.endpoint, "sagemaker-featurestore-runtime")
    for one, at in ((SECRET, NEW), (SECRET + "3", late)):
        runtime.delete_record(
            FeatureGroupName=GROUP.name, RecordIdentifierValueAsString=one, EventTime=at
        )
    settings = lab.settings()
    early = replace(lab.context(settings), now=lambda: datetime(2024, 2, 1, tzinfo=timezone.utc))
    forget(early, GROUP, [SECRET + n for n in ("", "2", "3")], look_only=False)
    listed = runtime.list_records(FeatureGroupName=GROUP.name, IncludeSoftDeletedRecords=True)
    assert listed["RecordIdentifiers"] == ["b"]


@pytest.mark.prove
def test_odd_texts_take_nothing_of_others(lab: Lab) -> None:
    """They are refused, or nobody has them."""
    _run(lab, *ROWS)
    before = (lab.offline(GROUP), lab.online_identifiers(GROUP), lab.quarantine())
    for odd in ("", "\ud800"):
        with pytest.raises(UsageError, match="is no String record identifier"):
            _forget(lab, odd)
    for odd in ("nobody", "' OR '1'='1", "*", "a/../../b", "o'b;../\"é<"):
        found = _forget(lab, odd)
        assert (found["online store"], found["offline table"], found["quarantine"]) == (0, 0, 0)
    assert (lab.offline(GROUP), lab.online_identifiers(GROUP), lab.quarantine()) == before


@pytest.mark.prove
def test_a_window_that_a_gate_stopped(lab: Lab) -> None:
    """Before its manifest nobody goes on from what it staged: that goes, the window stays."""
    _run(lab, *ROWS)
    with pytest.raises(DataGateError):
        _run(lab, *ROWS, *((SECRET, NEW, "x", f"{n}") for n in range(20)))
    assert MARK in texts(lab.root / "state")
    assert _forget(lab, SECRET)["offline table"] == 1
    assert MARK not in _said(lab)
    assert statuses(lab.settings(), ["readings"])[0].state is State.GATED
    _run(lab, *ROWS[1:], ("c", NEW, "9", ""))
    assert lab.online_identifiers(GROUP) == sorted([OTHER, "b", "c"])

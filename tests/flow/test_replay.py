"""Rows of the quarantine on their way back: into both stores once, with a history, after any crash.

Each laboratory has one set of bad rows: put aside by the source gate, by the feature gate, and
refused by the service.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from penstock.config import Settings
from penstock.contract import (
    Column,
    ColumnType,
    Expectation,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)
from penstock.emulator.faults import Rule, denied, refused
from penstock.errors import CredentialsError, DataGateError, TemporaryError, UsageError
from penstock.ledger.decisions import Decisions
from penstock.run.context import Context
from penstock.run.ingest import ingest_pipeline
from penstock.run.places import state_folder
from penstock.run.quarantined import Choice, Held, decided, discard, quarantined
from penstock.run.replay import Replayed, replay
from penstock.run.replay_plan import Asked
from penstock.run.status import statuses
from penstock.storage import LocalStorage, Storage
from tests.lab import Lab

NOW = datetime(2024, 6, 1, tzinfo=timezone.utc)
SOURCE = Source(
    columns=(
        Column("sensor"),
        Column("at", ColumnType.TIMESTAMP),
        Column("level", ColumnType.LONG),
        Column("share", ColumnType.DOUBLE),
    )
)


def pipeline(top: int) -> Pipeline:
    """Levels above ``top`` are put aside by the feature gate; a set of rows is never one row."""
    between = Expectation("expect_column_values_to_be_between", "level", {"max_value": top})
    whole = Expectation("expect_table_row_count_to_be_between", None, {"min_value": 2}, "fail")
    group = FeatureGroup(
        name="readings",
        record_identifier="sensor",
        event_time="at",
        features=(
            Feature("sensor", FeatureType.STRING),
            Feature("at", FeatureType.STRING),
            Feature("level", FeatureType.INTEGRAL),
            Feature("share", FeatureType.FRACTIONAL),
        ),
        expectations=(between, whole),
    )
    return Pipeline(group, {"readings": SOURCE})


STRICT, MENDED = pipeline(5), pipeline(50)
GROUP = STRICT.group
TEXT = """sensor,at,level,share
a,2024-01-02T00:00:00Z,1,0.5
a,2024-01-01T00:00:00Z,8,
b,2024-01-01T05:30:00+05:30,7,1e-3
c,2024-01-03T00:00:00Z,60,
d,2024-01-01T00:00:00Z,3,-0.0
f,2024-01-01T00:00:00Z,x,
g,2024-01-05T00:00:00Z,2,
"""
FILE = "readings.csv"
RULE = "expect_column_values_to_be_between"
BACK = [("replaying", None, None), ("replayed", "accepted", None)]


@dataclass(frozen=True)
class Bench:
    """A laboratory with a file and the settings that let bad rows pass by."""

    lab: Lab
    settings: Settings

    @property
    def context(self) -> Context:
        """A context on the settings."""
        return self.lab.context(self.settings)

    def write(self, text: str) -> None:
        """Put the source in place."""
        (self.lab.root / FILE).write_text(text, encoding="utf-8")

    def ingest(self, made: Pipeline, context: Context | None = None) -> Any:
        """Ingest everything."""
        from penstock.ledger.window import Window

        return ingest_pipeline(context or self.context, made, Window())

    def replay(self, made: Pipeline, context: Context | None = None, **choice: Any) -> Replayed:
        """Replay what is chosen."""
        options = {name: choice.pop(name) for name in ("asked", "dry_run") if name in choice}
        chosen = Choice(GROUP.name, **choice)
        return replay(context or self.context, made, chosen, by="ann", **options)

    def held(self, sensor: str, level: str) -> Held:
        """The entry of a row."""
        found = [
            one
            for one in quarantined(self.settings, Choice(GROUP.name))
            if _payload(one)["sensor"] == sensor and str(_payload(one)["level"]) == level
        ]
        (one,) = found
        return one

    def history(self, sensor: str, level: str) -> list[tuple[str, str | None, str | None]]:
        """Kind, outcome and rule of every decision about a row."""
        found = decided(self.settings, self.held(sensor, level))
        return [(one["kind"], one["outcome"], one["rule"]) for one in found]

    @property
    def states(self) -> dict[str, str]:
        """How every row stands, by sensor and level."""
        held = quarantined(self.settings, Choice(GROUP.name))
        rows = [(_payload(one), one.verdict.standing) for one in held]
        return {f"{row['sensor']}{row['level']}": state for row, state in rows}

    @property
    def advice(self) -> list[str]:
        """What ``penstock status`` says to type next."""
        return [one.advice for one in statuses(self.settings, [GROUP.name])]

    @property
    def stores(self) -> tuple[Any, ...]:
        """Offline rows with their times, and all online records."""
        identifiers = self.lab.online_identifiers(GROUP)
        return self.lab.offline(GROUP), self.lab.online(GROUP, *identifiers)


def _payload(one: Held) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(one.entry["payload"])
    return found


@pytest.fixture
def bench(lab: Lab) -> Bench:
    """The file ingested under the strict contract, ``d`` refused by the service."""
    flags = {"quality__max_quarantine_ratio": 1.0, "online__max_reject_ratio": 0.6}
    settings = lab.settings({"readings": lab.root / FILE}, **flags)
    made = Bench(lab, settings)
    made.write(TEXT)
    lab.provision(GROUP, settings)
    lab.emulator.faults.add(Rule(refused("ValidationError", "no"), identifier="d"))
    found = made.ingest(STRICT).figures
    assert (found.read, found.all_quarantined, found.sent, found.rejected) == (7, 4, 3, 1)
    assert made.states == dict.fromkeys(("a8", "b7", "c60", "d3", "fx"), "open")
    return made


@pytest.mark.shows("4.3")
def test_rows_come_back_under_a_mended_contract(bench: Bench) -> None:
    """All but one that is too high still; once more, only that one is tried and nothing changes."""
    bench.lab.emulator.faults.clear()
    _brought_back(bench)
    assert bench.history("d", "3") == BACK
    _only_the_open_one_is_tried(bench)


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_rows_come_back_once_and_with_their_history(bench: Bench) -> None:
    """Refused again, then accepted; put aside, then discarded; the source row by ingesting."""
    before = bench.stores
    seen = bench.replay(MENDED, dry_run=True)
    assert (seen.tried, seen.source, seen.runs) == (4, 1, ())
    assert dict(seen.outcomes) == {"fit": 3, "unfit": 1}
    assert not Path(_log_folder(bench)).exists()
    # Nothing was mended: three fail the gate, the service refuses the fourth again.
    first = bench.replay(STRICT)
    assert asdict(first)["outcomes"] == {"unfit": 3, "rejected": 1}  # what --json shows
    assert dict(first.rules) == {RULE: 3, "ValidationError": 1}
    assert bench.stores == before
    assert len(bench.lab.quarantine()) == 5
    assert set(bench.states.values()) == {"open"}
    assert bench.held("d", "3").verdict.tries == 1
    # The contract is mended and the service willing, but for one row that is too high still.
    bench.lab.emulator.faults.clear()
    _brought_back(bench)
    refused_once = [("replaying", None, None), ("replayed", "rejected", "ValidationError")]
    assert bench.history("d", "3") == [*refused_once, *BACK]
    after = _only_the_open_one_is_tried(bench)
    assert discard(bench.settings, Choice("readings", stage="feature"), "no", "ann", NOW) == 1
    assert discard(bench.settings, Choice("readings", stage="feature"), "no", "ann", NOW) == 0
    assert bench.replay(MENDED).tried == 0
    assert bench.history("c", "60") == [
        *[("replayed", "unfit", RULE)] * 3,
        ("discarded", None, None),
    ]
    with pytest.raises(UsageError, match="cannot be replayed by themselves"):
        bench.replay(MENDED, stage="source")
    _resolved_by_ingesting(bench, after)


def _brought_back(bench: Bench) -> None:
    """Three rows reach the stores; the older event comes back offline and stays out of online."""
    second = bench.replay(MENDED)
    assert dict(second.outcomes) == {"unfit": 1, "accepted": 3}
    (run,) = second.runs
    found = run.figures
    assert (found.produced, found.accepted, found.older, found.offline) == (3, 2, 1, 3)
    assert bench.lab.features(GROUP) == [
        {"sensor": "a", "at": "2024-01-01T00:00:00Z", "level": 8, "share": None},
        {"sensor": "a", "at": "2024-01-02T00:00:00Z", "level": 1, "share": 0.5},
        {"sensor": "b", "at": "2024-01-01T00:00:00Z", "level": 7, "share": 0.001},
        {"sensor": "d", "at": "2024-01-01T00:00:00Z", "level": 3, "share": 0.0},
        {"sensor": "g", "at": "2024-01-05T00:00:00Z", "level": 2, "share": None},
    ]
    assert bench.lab.online(GROUP, "a", "b", "d") == {
        "a": {"sensor": "a", "at": "2024-01-02T00:00:00Z", "level": "1", "share": "0.5"},
        "b": {"sensor": "b", "at": "2024-01-01T00:00:00Z", "level": "7", "share": "0.001"},
        "d": {"sensor": "d", "at": "2024-01-01T00:00:00Z", "level": "3", "share": "-0.0"},
    }


def _only_the_open_one_is_tried(bench: Bench) -> tuple[Any, ...]:
    """A further replay changes nothing; answers the stores."""
    after = bench.stores
    third = bench.replay(MENDED)
    assert (dict(third.outcomes), third.runs) == ({"unfit": 1}, ())
    assert bench.stores == after
    return after


def _resolved_by_ingesting(bench: Bench, before: tuple[Any, ...]) -> None:
    """A mended source resolves its row; what was discarded stays so."""
    bench.write(TEXT.replace("f,2024-01-01T00:00:00Z,x", "f,2024-01-01T00:00:00Z,5"))
    again = bench.ingest(MENDED).figures
    assert (again.offline, again.present, again.all_quarantined) == (1, 5, 1)
    states = {"a8": "replayed", "b7": "replayed", "d3": "replayed"}
    assert bench.states == {**states, "c60": "discarded", "fx": "resolved"}
    assert [row for row in bench.lab.offline(GROUP) if row["sensor"] != "f"] == before[0]
    assert bench.ingest(MENDED).state == "unchanged"
    assert bench.history("f", "x") == [("resolved", None, None)]
    # A stricter contract puts rows aside that had come back: they are open again.
    bench.ingest(STRICT)
    assert bench.states == {
        "a8": "open",
        "b7": "open",
        "d3": "replayed",
        "c60": "discarded",
        "fx": "resolved",
    }
    assert len(bench.lab.quarantine()) == 5


class Killed(BaseException):
    """Nothing catches it: the process is gone."""


@dataclass
class Mortal(LocalStorage):
    """Dies at the first put or read of a path that fits, before it is done or right after."""

    fits: Callable[[str], bool] = field(default=lambda _: False)
    after: bool = False

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """As it should be, until it dies."""
        if not self.fits(path + data.decode("utf-8", "replace")):
            return super().put_if_absent(path, data)
        if self.after:
            super().put_if_absent(path, data)
        raise Killed

    def read(self, path: str) -> bytes:
        """As it should be, until it dies."""
        if self.fits(f"read {path}"):
            raise Killed
        return super().read(path)


@dataclass(frozen=True)
class Fragile(Context):
    """A context whose driver dies."""

    mortal: Mortal = field(default_factory=Mortal)

    @property
    def storage(self) -> Storage:
        """What it dies of."""
        return self.mortal


def _fragile(bench: Bench, fits: Callable[[str], bool], *, after: bool = False) -> Context:
    lab = bench.lab
    return Fragile(
        lambda: lab.spark, lab.endpoint, bench.settings, lab.root, mortal=Mortal(fits, after=after)
    )


def _event(kind: str) -> Callable[[str], bool]:
    return lambda text: f'"kind": "{kind}"' in text


def _state(state: str) -> Callable[[str], bool]:
    return lambda text: "/ledger/readings/dlq-" in text and f'"state": "{state}"' in text


#: Where a replay dies, and whether what it was writing is there.
POINTS: list[tuple[str, Callable[[str], bool], bool]] = [
    ("rows written", lambda text: "/replays/" in text, True),
    ("planned", _event("replaying"), True),
    ("claimed", _state("CLAIMED"), True),
    ("staged", lambda text: "/manifest.json" in text and "/dlq-" in text, True),
    ("sent", _state("ONLINE_DONE"), False),
    ("committed", _state("OFFLINE_COMMITTED"), False),
    ("done", _state("DONE"), True),
    ("noted", _event("replayed"), True),
]


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_a_replay_that_dies_is_finished_by_the_next(bench: Bench) -> None:
    """Planned; staged; done but not noted. A plan nobody staged is given up for another one."""
    _dies(bench, [one for one in POINTS if one[0] in ("planned", "staged", "done")])
    _gives_up(bench)


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_a_replay_that_dies_anywhere_is_finished_by_the_next(bench: Bench) -> None:
    """At every point that leaves something behind."""
    _dies(bench, POINTS)


def _dies(bench: Bench, points: list[tuple[str, Callable[[str], bool], bool]]) -> None:
    """One row after the other, each killed elsewhere; both stores have each row once.

    The rows are open until the very end, and the second replay of a row that was noted has nothing
    to do.
    """
    lines = [f"k{n},2024-02-0{n + 1}T00:00:00Z,{10 + n},0.25\n" for n in range(len(points))]
    bench.write(TEXT + "".join(lines))
    bench.lab.emulator.faults.clear()
    bench.ingest(STRICT)
    for n, (name, fits, after) in enumerate(points):
        entry = bench.held(f"k{n}", str(10 + n))
        with pytest.raises(Killed):
            bench.replay(MENDED, _fragile(bench, fits, after=after), key=entry.key)
        standing = bench.held(f"k{n}", str(10 + n)).verdict.standing
        assert standing == ("replayed" if name == "noted" else "open"), name
        if name == "staged":
            assert "penstock quarantine replay readings" in bench.advice
        done = bench.replay(MENDED, key=entry.key)
        assert dict(done.outcomes) == ({} if name == "noted" else {"accepted": 1}), name
        assert bench.states[f"k{n}{10 + n}"] == "replayed", name
        states = [run.state for run in done.runs]
        resumed = {"staged": "resumed", "sent": "resumed", "committed": "resumed"}
        wanted = "unchanged" if name == "done" else resumed.get(name, "done")
        assert states == ([] if name == "noted" else [wanted]), name
    rows = [row for row in bench.lab.features(GROUP) if row["sensor"].startswith("k")]
    assert [(row["sensor"], row["level"]) for row in rows] == [
        (f"k{n}", 10 + n) for n in range(len(points))
    ]
    online = bench.lab.online(GROUP, *(f"k{n}" for n in range(len(points))))
    assert [one and one["level"] for one in online.values()] == [
        str(10 + n) for n in range(len(points))
    ]


def _gives_up(bench: Bench) -> None:
    """Rows that were planned together and never staged are planned anew, chosen otherwise."""
    with pytest.raises(Killed):
        bench.replay(MENDED, _fragile(bench, _state("PLANNED")))
    rest = bench.replay(MENDED, key=bench.held("b", "7").key)
    assert dict(rest.outcomes) == {"accepted": 1}
    assert ("replaying", None, None) in bench.history("a", "8")
    assert bench.states["a8"] == "open"
    assert dict(bench.replay(MENDED).outcomes) == {"accepted": 1, "unfit": 1}
    assert len([row for row in bench.lab.features(GROUP) if row["level"] in (7, 8)]) == 2


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_what_stops_a_replay_leaves_its_rows_open_and_the_next_one_goes_on(bench: Bench) -> None:
    """Rights that are missing; another value at the same event time; a feature row refused."""
    faults = bench.lab.emulator.faults
    faults.clear()
    for operation in ("BatchWriteRecord", "PutRecord"):
        faults.add(Rule(denied(), operation=operation))
    entry = bench.held("b", "7")
    with pytest.raises(CredentialsError):
        bench.replay(MENDED, key=entry.key)
    faults.clear()
    assert bench.states["b7"] == "open"
    # Rows chosen otherwise: first what was begun is finished, then they are replayed.
    faults.add(Rule(refused("ValidationError", "no"), identifier="b"))
    done = bench.replay(MENDED, rule="ValidationError")
    assert dict(done.outcomes) == {"moved": 1, "accepted": 1}
    assert [run.state for run in done.runs] == ["resumed", "done"]
    # What the service refuses is entered as its refusal; the row is open once.
    assert bench.held("d", "3").verdict.standing == "replayed"
    both = [one for one in quarantined(bench.settings, Choice("readings")) if "b" in _ids(one)]
    assert sorted((one.entry["stage"], one.verdict.standing) for one in both) == [
        ("feature", "replayed"),
        ("online", "open"),
    ]
    (online,) = [one for one in both if one.entry["stage"] == "online"]
    (moved,) = [one for one in both if one.entry["stage"] == "feature"]
    assert decided(bench.settings, moved)[-1]["entry"] == online.key
    faults.clear()
    assert dict(bench.replay(MENDED, stage="online").outcomes) == {"accepted": 1}
    assert bench.lab.online_identifiers(GROUP) == ["a", "b", "d", "g"]
    # The same event time is taken with another value: that row waits, others go on.
    bench.write(TEXT + "b,2024-01-01T00:00:00Z,9,\n" + "j,2024-01-01T00:00:00Z,9,\n")
    bench.ingest(STRICT)
    assert dict(bench.replay(MENDED, key=bench.held("b", "9").key, dry_run=True).outcomes) == {
        "unfit": 1,
        "fit": 0,
    }
    mixed = bench.replay(MENDED, rule="expect_column_values_to_be_between")
    assert dict(mixed.outcomes) == {"unfit": 2, "accepted": 2}
    assert mixed.rules["CORRECTION"] == 1
    assert {bench.states[one] for one in ("b9", "c60")} == {"open"}
    assert {bench.states[one] for one in ("a8", "j9")} == {"replayed"}
    with pytest.raises(DataGateError, match="an update cannot correct"):
        bench.replay(MENDED, key=bench.held("b", "9").key, asked=Asked(correct="update"))
    assert bench.states["b9"] == "open"
    assert [row["level"] for row in bench.lab.features(GROUP) if row["sensor"] == "b"] == [7]


def _ids(one: Held) -> str:
    return str(_payload(one)["sensor"])


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_two_replays_at_once_do_not_send_a_row_in_two_windows(bench: Bench) -> None:
    """One that is planned while another plans stops with 75; the rows come back once."""
    other = bench.held("b", "7").key
    inner: list[Replayed] = []

    def meanwhile(text: str) -> bool:
        if "/replays/" in text and not inner:
            inner.append(bench.replay(MENDED, key=other))
        return False

    with pytest.raises(TemporaryError, match="another replay"):
        bench.replay(MENDED, _fragile(bench, meanwhile), rule="expect_column_values_to_be_between")
    assert dict(inner[0].outcomes) == {"accepted": 1}
    assert bench.states["b7"] == "replayed"
    done = bench.replay(MENDED, stage="feature")
    assert dict(done.outcomes) == {"accepted": 1, "unfit": 1}
    assert len([row for row in bench.lab.features(GROUP) if row["level"] in (7, 8)]) == 2


def _log_folder(bench: Bench) -> str:
    log = Decisions(LocalStorage(), f"{state_folder(bench.settings)}/decisions/{GROUP.name}")
    return log.folder


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_refused_rows_survive_a_driver_that_dies_before_it_entered_them(bench: Bench) -> None:
    """After the markers; after the quarantine; each time the refused row is entered once.

    The rejects a marker names are durable before it (tests/unit/test_online_markers.py).
    """
    points = [
        ("h", lambda text: text.startswith("read ") and "/online/readings/" in text),
        ("i", lambda text: '"state": "ONLINE_DONE"' in text),
    ]
    for name, fits in points:
        bench.write(f"{TEXT}{name},2024-03-01T00:00:00Z,4,\n")
        bench.lab.emulator.faults.add(Rule(refused("ValidationError", "no"), identifier=name))
        with pytest.raises(Killed):
            bench.ingest(STRICT, _fragile(bench, fits))
        entered = [one for one in bench.lab.quarantine() if name in one["payload"][:14]]
        assert len(entered) == (name == "i")
        assert bench.ingest(STRICT).state == "resumed"
        (held,) = [
            one for one in quarantined(bench.settings, Choice("readings")) if _ids(one) == name
        ]
        assert (held.entry["stage"], held.rule) == ("online", "ValidationError")
        assert name not in {row["sensor"] for row in bench.lab.offline(GROUP)}
    # Read again, the file brings back all but the row that is no longer in it: that one stays open.
    bench.lab.emulator.faults.clear()
    bench.write(TEXT + "h,2024-03-01T00:00:00Z,4,\n")
    bench.ingest(MENDED)
    back = dict.fromkeys(("a8", "b7", "d3", "h4"), "resolved")
    assert bench.states == back | {"i4": "open", "c60": "open", "fx": "open"}
    assert dict(bench.replay(MENDED).outcomes) == {"accepted": 1, "unfit": 1}
    assert bench.lab.online_identifiers(GROUP) == ["a", "b", "d", "g", "h", "i"]
    assert len(bench.lab.offline(GROUP)) == 7

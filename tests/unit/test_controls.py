"""Deletion and time to live from the contract to staged files, without Spark."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.contract import Expectation, Feature, FeatureGroup, FeatureType
from penstock.encoding import event_time, later, to_instant
from penstock.errors import ContractError, MismatchError
from penstock.gate import Bounds, FeatureGate, Gated
from penstock.stage.expiry import expired
from penstock.stage.report import Report, Staged, check_files, check_selection
from penstock.stage.selection import OLDER, SelectionTask
from penstock.stage.tasks import FeatureTask
from penstock.storage import LocalStorage

UTC = timezone.utc
NOW = datetime(2024, 6, 1, tzinfo=UTC)
PLAIN = FeatureGroup(
    name="readings",
    record_identifier="sensor",
    event_time="at",
    features=(
        Feature("sensor", FeatureType.STRING),
        Feature("at", FeatureType.STRING),
        Feature("level", FeatureType.INTEGRAL),
        Feature("unit", FeatureType.STRING),
    ),
)
GROUP = replace(PLAIN, deleted_when="gone", ttl=timedelta(days=400), ttl_from="keep_s")
DAY = "2024-01-0{}T00:00:00Z".format

Line = tuple[Any, Any, Any, Any, Any, Any]


def batch(*rows: Line) -> pa.RecordBatch:
    """A transform's output; all columns as text, as a source may give them."""
    names = ("sensor", "at", "level", "unit", "gone", "keep_s")
    columns = zip(*rows, strict=True)
    return pa.RecordBatch.from_arrays([pa.array(one, pa.string()) for one in columns], names)


def gated(group: FeatureGroup, *rows: Line) -> Gated:
    """The rows after the feature gate."""
    return FeatureGate(group, Bounds(), NOW).check(batch(*rows))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"deleted_when": "level"}, "'level' cannot say"),
        ({"deleted_when": "_gone"}, "'_gone' cannot say"),
        ({"ttl_from": ""}, "'' cannot say"),
        ({"deleted_when": "x", "ttl_from": "X"}, "'X' cannot say"),
        ({"ttl": timedelta(0)}, "a ttl of 0 s"),
        ({"ttl": timedelta(seconds=1.5)}, "a ttl of 1.5 s"),
        ({"ttl": timedelta(days=40_000)}, "a ttl of"),
    ],
)
def test_what_cannot_be_meant_does_not_import(change: dict[str, Any], said: str) -> None:
    """A control is a column of its own, a time to live whole seconds the service takes."""
    with pytest.raises(ContractError, match=said):
        replace(PLAIN, **change)


def test_controls_are_meaning_and_their_absence_is_what_it_was() -> None:
    """Each changes the hash; a contract without them keeps the hash older ledgers hold."""
    changed = [
        replace(PLAIN, deleted_when="gone"),
        replace(PLAIN, ttl=timedelta(days=1)),
        replace(PLAIN, ttl=timedelta(days=2)),
        replace(PLAIN, ttl_from="keep_s"),
    ]
    assert len({one.meaning for one in (PLAIN, *changed)}) == len(changed) + 1
    assert PLAIN.meaning == "284925187efe30cb"
    assert [one.forgets for one in (PLAIN, *changed)] == [False, True, True, True, True]


def test_a_deletion_needs_identifier_and_event_time_alone() -> None:
    """Its other values, whatever they are, become null; expectations on them are not applied."""
    wanted = (
        Expectation("expect_column_values_to_not_be_null", "unit"),
        Expectation("expect_column_values_to_be_between", "level", {"min_value": 0}),
        Expectation("expect_column_value_lengths_to_be_between", "sensor", {"max_value": 3}),
    )
    group = replace(GROUP, expectations=wanted)
    done = gated(
        group,
        ("a", DAY(1), "1", "m", None, "60"),
        ("b", DAY(1), "no number", None, "true", "neither"),
        ("c", DAY(1), "-1", "m", "TRUE", None),
        ("d", DAY(1), "-1", None, "false", None),  # alive: expectations hold
        ("long", DAY(1), None, None, "true", None),  # on the key: they always hold
        (None, DAY(1), None, None, "true", None),
        ("f", None, None, None, "true", None),
        ("g", DAY(1), "1", "m", "perhaps", None),
    )
    columns = ("sensor", "level", "unit", "_deleted", "_ttl_s")
    assert list(zip(*(done.rows.column(one).to_pylist() for one in columns), strict=True)) == [
        ("a", 1, "m", False, 60),
        ("b", None, None, True, None),
        ("c", None, None, True, None),
    ]
    told = [(one["column"], one["rule"]) for one in done.bad.to_pylist()]
    assert told == [
        ("unit", wanted[0].type),
        ("sensor", wanted[2].type),
        ("sensor", "NULL_KEY"),
        ("at", "NULL_KEY"),
        ("gone", "TYPE"),
    ]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("0", "TTL"),
        ("-5", "TTL"),
        ("2147483648", "TTL"),
        ("1.5", "TYPE"),
        ("soon", "TYPE"),
        ("1", None),
        ("2147483647", None),
        (None, None),
    ],
)
def test_a_time_to_live_is_whole_seconds(text: str | None, rule: str | None) -> None:
    """What the service would not take is put aside, by rule, with the column that said it."""
    done = gated(GROUP, ("a", DAY(1), "1", "m", None, text))
    assert [one["rule"] for one in done.bad.to_pylist()] == ([rule] if rule else [])
    if rule:
        assert f'"keep_s": "{text}"' in done.bad.column("payload")[0].as_py()


@given(st.permutations([None, "false", "true"]), st.integers(0, 2))
def test_at_equal_event_times_the_deletion_wins(order: list[str | None], greatest: int) -> None:
    """Whatever the order of the rows and their values: it is current, and it alone is sent."""
    lines = [
        ("a", DAY(2), str(9 - 4 * (n == greatest)), None, gone, None)
        for n, gone in enumerate(order)
    ]
    report, send, rows = staged(GROUP, *lines)
    assert [one["_deleted"] for one in send] == [True]
    assert [one["_deleted"] for one in rows if one["_tie"] == 0] == [True]
    assert report.fit + report.duplicates == len(lines)


EVENTS = st.integers(-(10**9), 4 * 10**9)


@given(EVENTS, st.none() | st.integers(1, 2**31 - 1), EVENTS, st.booleans(), st.booleans())
def test_expiry_counts_from_the_event_time(
    at: int, own: int | None, now: int, gone: bool, fractional: bool
) -> None:
    """Event time plus seconds below now; the row's own seconds before the group's; no deletion."""
    group, event_time = GROUP, datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if fractional:
        kind = Feature("at", FeatureType.FRACTIONAL)
        group = replace(GROUP, features=(GROUP.features[0], kind, *GROUP.features[2:]))
    rows = pa.table(
        {
            "at": pa.array([float(at) if fractional else event_time]),
            "_deleted": pa.array([gone]),
            "_ttl_s": pa.array([own], pa.int64()),
        }
    )
    seconds = own or 400 * 86_400
    found = expired(group, rows, datetime.fromtimestamp(now, UTC)).to_pylist()
    assert found == [at + seconds < now and not gone]


def test_without_a_time_to_live_nothing_expires() -> None:
    """However old it is."""
    rows = pa.table({"at": ["1970-01-01T00:00:00Z"]})
    assert expired(PLAIN, rows, NOW).to_pylist() == [False]


@pytest.mark.shows("4.3")
def test_the_service_gets_every_row_and_the_losers_of_a_tie_first(tmp_path: Path) -> None:
    """The latest row goes to both stores, the others and what has expired offline only.

    Within a file identifier and event time are unique, so that an answer names one row.
    """
    lines = [
        ("a", DAY(1), "1", "m", None, None),
        ("a", DAY(2), "2", "m", None, None),
        ("a", DAY(2), "3", "m", None, None),
        ("b", DAY(1), "4", "m", None, "60"),  # expired long ago
        ("c", DAY(1), None, None, "true", "60"),
    ]
    task = FeatureTask(GROUP, Bounds(), NOW, str(tmp_path), send=True, every_at=NOW)
    storage = LocalStorage()
    report = task.run([batch(*lines)], storage)
    check_files("readings", report, storage, online="service")
    sent = {one.phase: pq.read_table(one.path).to_pylist() for one in report.send}
    assert sorted(sent) == [0, 1]
    told = [(one["sensor"], one["level"], one["_offline_only"]) for one in sent[0]]
    assert told == [("a", 1, True), ("a", 3, False), ("b", 4, True), ("c", None, False)]
    assert [(one["sensor"], one["level"], one["_offline_only"]) for one in sent[1]] == [
        ("a", 2, True)
    ]
    for rows in sent.values():
        keys = [(one["sensor"], one["at"]) for one in rows]
        assert len(set(keys)) == len(keys)


def test_a_selection_leaves_out_what_cannot_win_and_counts_it(tmp_path: Path) -> None:
    """Older goes before expired; a deletion never expires; what is kept is counted apart."""
    rows = pa.table(
        {
            "sensor": ["a", "b", "c", "d", "e"],
            "at": [DAY(1)] * 5,
            "level": pa.array([1, 2, 3, None, 5], pa.int64()),
            "unit": pa.array([None] * 5, pa.string()),
            "_deleted": [False, False, False, True, False],
            "_ttl_s": pa.array([None, 60, 60, None, None], pa.int64()),
            "_correct": [False, False, False, False, True],
            "_replaced": [True, True, True, False, False],
            OLDER: [False, True, False, False, False],
        }
    )
    task = SelectionTask(GROUP, NOW, str(tmp_path))
    report = task.run(rows.to_batches(), LocalStorage())
    told: dict[str, Any] = {"older": 1, "expired": 1, "corrected": 2, "replaced": 1}
    assert report == Report(rows_in=5, fit=3, **told, send=report.send, gone=report.gone)
    kept = [row for one in report.send for row in pq.read_table(one.path).to_pylist()]
    assert [row["sensor"] for row in kept] == ["a", "d", "e"]
    assert not {OLDER, "_replaced"} & set(kept[0])
    gone = [row for one in report.gone for row in pq.read_table(one.path).to_pylist()]
    later = "2024-01-01T00:00:00.001Z"
    assert gone == [{"sensor": "a", "at": later, "level": 1, "unit": None, "_deleted": True}]
    check_selection("readings", 5, report, LocalStorage())


@pytest.mark.parametrize(
    "wrong", [{"rows_in": 4}, {"older": 0}, {"expired": 2}, {"send": ()}, {"replaced": 1}]
)
def test_a_candidate_that_gets_lost_in_the_selection_stops_the_run(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    """What came, what was told apart and what the files hold are three counts of the same rows."""
    file = str(tmp_path / "send.parquet")
    pq.write_table(pa.table({"sensor": ["a", "b", "c"]}), file)
    right = Report(rows_in=5, fit=3, older=1, expired=1, send=(Staged(file, 3),))
    check_selection("readings", 5, right, LocalStorage())
    with pytest.raises(MismatchError, match="candidates"):
        check_selection("readings", 5, replace(right, **wrong), LocalStorage())


def staged(
    group: FeatureGroup, *rows: Line
) -> tuple[Report, list[dict[str, Any]], list[dict[str, Any]]]:
    """Report, rows to send and all rows of one task, without a file system worth the name."""
    from tempfile import TemporaryDirectory

    storage = LocalStorage()
    with TemporaryDirectory() as folder:
        report = FeatureTask(group, Bounds(), NOW, folder, send=True).run([batch(*rows)], storage)
        check_files(group.name, report, storage)
        read = [
            [row for one in files for row in pq.read_table(one.path).to_pylist()]
            for files in (report.send, report.rows)
        ]
    return report, read[0], read[1]


def test_each_event_time_is_sent_once_and_the_rest_is_counted(tmp_path: Path) -> None:
    """A row that lost a tie is staged and not sent."""
    lines: list[Line] = [
        ("a", DAY(1), "1", "m", None, None),
        ("a", DAY(1), "2", "m", None, None),
        ("a", DAY(2), "3", "m", None, None),
        ("b", DAY(1), "4", "m", None, None),
    ]
    task = FeatureTask(PLAIN, Bounds(), NOW, str(tmp_path), send=True, each=True)
    report = task.run([batch(*lines)], LocalStorage())
    check_files("readings", report, LocalStorage(), online="each")
    (file,) = report.send
    rows = pq.read_table(file.path).to_pylist()
    assert [(one["sensor"], one["level"]) for one in rows] == [("a", 2), ("a", 3), ("b", 4)]
    assert (report.fit, report.ties) == (4, 1)
    with pytest.raises(MismatchError, match="fit"):
        check_files("readings", replace(report, ties=0), LocalStorage(), online="each")


@given(st.integers(0, 4_000_000_000_000_000), st.sampled_from([0, 3, 6, 9]))
def test_what_removes_a_record_is_later_by_a_millisecond_at_most(micros: int, digits: int) -> None:
    """Whatever the precision of its event time."""
    at = pa.array([micros], pa.timestamp("us", "UTC"))
    before = event_time(at, FeatureType.STRING, digits, datetime(9999, 1, 1, tzinfo=UTC)).values
    after = later(before, FeatureType.STRING)
    first, second = (to_instant(one).values.cast(pa.int64())[0].as_py() for one in (before, after))
    assert 0 < second - first <= 1_000
    seconds = pa.array([micros / 1e6])
    assert later(seconds, FeatureType.FRACTIONAL)[0].as_py() > micros / 1e6

"""The log of a Hive table: once, by however many, and whole wherever a process died."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.entries import Commit, Part, Transaction
from penstock.errors import ContractError, MismatchError, TemporaryError, UsageError
from penstock.offline import hive as module
from penstock.offline import hive_journal
from penstock.offline.hive import HiveLog
from penstock.offline.log import Brought, TableLog
from penstock.parts import PartTask
from penstock.storage import LocalStorage, Storage
from tests.hive_tables import (
    FIRST,
    SCHEMA,
    SECOND,
    START,
    THIRD,
    WIDE,
    Beaten,
    DiedError,
    Met,
    Row,
    append,
    brought,
    by_name,
    check_whole,
    dead_after_entry,
    hive,
    ids,
    mortal,
    rows,
    seen,
    written,
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Of a table; nothing is there."""
    return f"{tmp_path}/table"


def test_an_append_is_made_once_and_found(path: str) -> None:
    """With its rows, what was present, and the version; one that is older is not repeated."""
    log: TableLog = hive(path)
    assert (log.exists, log.version(), log.find(FIRST)) == (False, None, None)
    for _ in range(2):
        assert append(path, rows("a", "b"), FIRST, present=7)
    assert log.find(FIRST) == Commit(rows=2, present=7, version=0)
    assert log.find(SECOND) is None
    assert append(path, rows("c"), THIRD)
    assert append(path, rows("d"), FIRST)
    assert append(path, rows("d"), SECOND)
    assert (log.exists, log.version()) == (True, 1)
    found = [log.find(one) for one in (FIRST, SECOND, THIRD)]
    assert found == [Commit(2, 7, 0), None, Commit(1, 0, 1)]
    assert log.find(Transaction("other", 0)) is None
    assert seen(path) == by_name([*rows("a", "b"), *rows("c")])


def test_files_lie_by_the_hour_below_data(path: str) -> None:
    """At their final names, with their sizes; nothing is staged any more; folders are told."""
    assert append(path, rows("a", "b"))
    log = hive(path)
    files = log.files(0)
    assert files.sizes == LocalStorage().sizes(f"{path}/data")
    hours = ["year=2024/month=01/day=31/hour=23", "year=2024/month=02/day=01/hour=00"]
    assert [one.rpartition("/")[0] for one in sorted(files.sizes)] == [
        f"{path}/data/{one}" for one in hours
    ]
    assert log.partitions() == {
        f"{path}/data/{hours[0]}": ("2024", "01", "31", "23"),
        f"{path}/data/{hours[1]}": ("2024", "02", "01", "00"),
    }
    assert LocalStorage().walk(f"{path}/staged") == []
    assert append(path, rows("a", "b", "c"))
    assert len(hive(path).partitions()) == 3
    assert hive(path).partitions(0) == log.partitions(0)
    for version in (-1, 2):
        with pytest.raises(UsageError, match=f"there is no version {version}"):
            log.files(version)
    assert hive(f"{path}/none").partitions() == {}


def test_what_is_not_committed_is_not_seen(path: str) -> None:
    """Files that tasks wrote are nobody's rows."""
    log = hive(path)
    parts = written(log, path, rows("a"))
    assert (seen(path), log.exists) == ([], False)
    assert log.append(parts, SCHEMA)
    assert ids(path) == ["a"]


def test_an_append_of_no_rows_is_an_entry(path: str) -> None:
    """What it did is found: nothing."""
    log = hive(path)
    assert log.append([], SCHEMA, FIRST, present=3)
    assert log.append([], SCHEMA, SECOND)
    assert (log.find(FIRST), log.find(SECOND)) == (Commit(0, 3, 0), Commit(0, 0, 1))
    assert log.files(1).sizes == {}
    assert log.matching("id", ["a"]).equals(SCHEMA.empty_table())


def test_rows_that_depend_on_the_table_are_committed_to_what_was_read(path: str) -> None:
    """Also where there was none; whoever comes second has to look again."""
    assert append(path, rows("a"), FIRST, read=None, blind=False)
    assert not append(path, rows("b"), read=None, blind=False)
    assert append(path, rows("c"), read=0, blind=False)
    assert not append(path, rows("d"), read=0, blind=False)
    assert append(path, rows("e"), FIRST, read=0, blind=False)  # it is in
    assert ids(path) == ["a", "c"]


def test_files_that_are_gone_are_not_committed(path: str) -> None:
    """The command writes them anew; files of elsewhere are refused."""
    log = hive(path)
    parts = written(log, path, rows("a", "b"))
    LocalStorage().delete(f"{path}/{parts[0].name}")
    with pytest.raises(TemporaryError, match="1 of 2 files that were written are gone"):
        log.append(parts, SCHEMA)
    assert not log.exists
    task = PartTask(SCHEMA, path, LocalStorage())
    (answer,) = task([pa.RecordBatch.from_pylist(rows("a"), SCHEMA)])
    elsewhere = [Part(**json.loads(one)) for one in answer.column(0).to_pylist()]
    with pytest.raises(UsageError, match="not written below staged"):
        log.append(elsewhere, SCHEMA)


@pytest.mark.parametrize("there", [True, False])
def test_who_is_beaten_comes_after(path: str, there: bool) -> None:
    """At the table's making, and later; who has read the table is told."""
    if there:
        assert append(path, rows("0"))
    log = hive(path, Beaten(path, 3))
    assert log.append(written(log, path, rows("a")), SCHEMA, FIRST)
    assert log.find(FIRST) == Commit(1, 0, 3 + there)
    assert ids(path) == [*["0"] * there, "a", "x0", "x1", "x2"]
    log = hive(path, Beaten(path, 1))
    parts, version = written(log, path, rows("b")), log.version()
    assert not log.append(parts, SCHEMA, read=version, blind=False)


def test_it_is_not_tried_forever(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever meets others all the time is told to come again."""
    assert append(path, [*rows("a"), *rows("b", run=1)])
    log = hive(path, Beaten(path, 200))
    with pytest.raises(TemporaryError, match="other commits came first, 100 times"):
        log.append(written(log, path, rows("b")), SCHEMA)
    monkeypatch.setattr(module, "ATTEMPTS", 3)
    acts: list[Callable[[], object]] = [
        lambda: log.widen(WIDE),
        lambda: log.take_out(brought(0), 1),
    ]
    for act in acts:
        with pytest.raises(TemporaryError, match="other commits came first, 3 times"):
            act()
    assert len(LocalStorage().walk(f"{path}/staged")) == 1  # the append's, which is its caller's


def test_two_threads_append_without_loss(path: str) -> None:
    """All rows are there, each append has a version of its own, whoever published it."""
    versions: dict[str, list[int]] = {}

    def act(name: str) -> None:
        log = hive(path)
        named = [Transaction(f"{name}{n}", 0) for n in range(25)]
        for n, one in enumerate(named):
            log.append(written(log, path, rows(f"{name}{n}", f"{name}{n}b")), SCHEMA, one)
        found = [log.find(one) for one in named]
        versions[name] = [one.version for one in found if one is not None]

    threads = [threading.Thread(target=act, args=(name,)) for name in "ab"]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted([*versions["a"], *versions["b"]]) == list(range(50))
    assert sorted(ids(path)) == sorted(
        f"{m}{n}{b}" for m in "ab" for n in range(25) for b in ["", "b"]
    )
    check_whole(path)


def test_snapshots_spare_reading_the_entries(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most as many as lie between two are read, and all is found that the entries say."""
    monkeypatch.setattr(hive_journal, "EVERY", 4)
    named = [Transaction(f"w{n % 3}", n // 3) for n in range(11)]
    for n, one in enumerate(named):
        assert append(path, rows(f"{n:02d}", run=n), one, present=n)
        if n == 5:
            hive(path).widen(WIDE)
    versions = [n if n <= 5 else n + 1 for n in range(11)]
    found = LocalStorage().list(f"{path}/log")
    snapshots = [one for one in found if one.endswith(".snapshot.json")]
    assert [Path(one).name[:20] for one in snapshots] == [f"{n:020d}" for n in (3, 7, 11)]

    class Reading(LocalStorage):
        """What it read."""

        read_ = 0

        def read(self, path: str) -> bytes:
            self.read_ += path.endswith(".json")
            return super().read(path)

    def check() -> None:
        log = hive(path)
        for n, one in enumerate(named):
            assert log.find(one) == Commit(1, n, versions[n])
        for n in range(12):
            count = sum(version <= n for version in versions)
            assert len(hive(path).files(n).sizes) == count
        assert log.matching("id", ["00"]).schema == WIDE

    storage = Reading()
    assert len(hive(path, storage).files(11).sizes) == 11
    assert storage.read_ == 2  # the snapshot, and an entry that is not there yet
    check()
    LocalStorage().delete_all([*snapshots[1:], f"{path}/log/published"])
    check()
    LocalStorage().delete(snapshots[0])
    check()


def test_columns_are_added_at_the_end(path: str) -> None:
    """Old files have nothing there; a type cannot change; without a table nothing happens."""
    log = hive(path)
    log.widen(WIDE)
    assert not log.exists
    assert append(path, rows("a"))
    log.widen(WIDE)
    log.widen(SCHEMA)
    assert log.version() == 1
    assert append(path, rows("b", new=1.5), schema=WIDE)
    assert append(path, rows("c"))
    assert log.matching("id", ["a", "b", "none"]).sort_by("id").to_pydict()["new"] == [None, 1.5]
    mixed = pa.schema([("later", pa.string()), *WIDE])
    assert append(path, rows("d", later="x", new=2.0), schema=mixed)
    assert log.matching("id", ["d"]).schema == pa.schema([*WIDE, ("later", pa.string())])
    assert [one["new"] for one in seen(path, WIDE)] == [None, 1.5, None, 2.0]
    other = pa.schema([("id", pa.string()), ("n", pa.float64())])
    for act in (lambda: log.widen(other), lambda: log.append([], other)):
        with pytest.raises(ContractError, match="column 'n' is int64, not double") as caught:
            act()
        assert "A type cannot change: give the feature another name" in str(caught.value)
    with pytest.raises(ContractError, match="which no Hive table has here"):
        log.widen(pa.schema([("many", pa.list_(pa.int64()))]))
    assert log.version() == 4


def test_rows_are_found_by_text(path: str) -> None:
    """Whatever type the column has; none where there is no table."""
    log = hive(path)
    assert log.matching("id", ["a"]).equals(pa.table({}))
    assert append(path, rows("a", "b", "c"))
    assert log.matching("n", ["0", "2", "7"]).sort_by("id")["id"].to_pylist() == ["a", "c"]
    assert log.matching("id", []).num_rows == 0
    assert by_name(log.matching("id", ["a", "c"]).to_pylist()) == [seen(path)[0], seen(path)[2]]


def test_what_one_append_brought_is_taken_out(path: str) -> None:
    """Its files go whole; the others' stay; again changes nothing; its name stays known."""
    for run, transaction in enumerate([FIRST, SECOND]):
        assert append(path, rows("a", "b", "c", run=run), transaction)
    log = hive(path)
    before = log.files(1)
    hive(f"{path}/none").take_out(brought(0), 3)
    for _ in range(2):
        log.take_out(brought(0), 3)
    assert seen(path) == rows("a", "b", "c", run=1)
    assert (log.version(), len(log.files(2).sizes), len(before.sizes)) == (2, 3, 6)
    assert log.find(FIRST) == Commit(3, 0, 0)
    assert append(path, rows("a"), FIRST)
    assert log.version() == 2
    with pytest.raises(UsageError, match="3 files of version 1 were taken out since"):
        log.files(1)
    check_whole(path)


def test_other_rows_of_a_file_stay(path: str) -> None:
    """As where others made one file of two; by the microsecond; old files keep lacking columns."""
    late: list[Row] = [
        {**one, "api_invocation_time": at}
        for one, at in zip(rows("y", "z"), [START - timedelta(hours=1), None], strict=True)
    ]
    mixed = [*rows("a", "b"), *rows("c", "d", run=1), *late]
    assert append(path, mixed)
    hive(path).widen(WIDE)
    assert append(path, rows("e", "f", new=0.5), schema=WIDE)
    log = hive(path)
    log.take_out(brought(0), 4)
    kept = by_name([*rows("c", "d", run=1, new=None), *({**one, "new": None} for one in late)])
    assert seen(path, WIDE) == kept
    log.take_out(brought(0), 4)
    assert log.version() == 3
    assert log.matching("id", ["c"]).schema == WIDE
    check_whole(path)
    assert LocalStorage().walk(f"{path}/staged") == []


@pytest.mark.parametrize("wanted", [1, 3])
def test_another_count_deletes_nothing(path: str, wanted: int) -> None:
    """More or fewer."""
    assert append(path, rows("a", "b"))
    assert append(path, rows("c", "d", run=1))
    with pytest.raises(MismatchError, match=f"the run wrote {wanted} rows, 2 of them are there"):
        hive(path).take_out(brought(0), wanted)
    hive(path).take_out(Brought(START, START, START), wanted)  # nothing is of these instants
    assert ids(path) == ["a", "b", "c", "d"]
    assert hive(path).version() == 1


def test_who_takes_out_beside_an_append_loses_nothing(path: str) -> None:
    """It looks again; what it wrote in vain goes."""
    assert append(path, [*rows("a"), *rows("b", run=1)])
    log = hive(path, Beaten(path, 2))
    log.take_out(brought(0), 1)
    assert ids(path) == ["b", "x0", "x1"]
    assert LocalStorage().walk(f"{path}/staged") == []


def test_a_file_that_is_lost_is_named(path: str) -> None:
    """From both places after an entry, or later from below data: an error that says what next."""
    log = hive(path)
    parts = written(log, path, rows("a"))
    dead_after_entry(path, lambda one: one.append(parts, SCHEMA, FIRST))
    LocalStorage().delete(f"{path}/{parts[0].name}")
    name = parts[0].name.split("/", 2)[2]
    with pytest.raises(MismatchError, match=f"{name} is gone, from data and from staged") as caught:
        hive(path).version()
    assert "Restore it" in str(caught.value)
    other = f"{path}/other"
    assert append(other, rows("a"))
    LocalStorage().remove(f"{other}/data")
    for act in (
        lambda: hive(other).matching("id", ["a"]),
        lambda: hive(other).take_out(brought(0), 1),
    ):
        with pytest.raises(MismatchError, match="a file of version 0 is gone"):
            act()
    LocalStorage().delete(f"{other}/log/{0:020d}.json")
    LocalStorage().write(f"{other}/log/{1:020d}.json", b"{}")
    with pytest.raises(MismatchError, match="an entry from 0 to 1 is gone"):
        hive(other).version()


def test_an_entry_of_a_later_version_is_not_guessed_at(path: str) -> None:
    """It is refused with its name."""
    LocalStorage().put_if_absent(f"{path}/log/{0:020d}.json", b'{"format": 2}')
    with pytest.raises(UsageError, match="has format 2, which this version does not read"):
        hive(path).version()


def test_whoever_opens_the_log_next_publishes(path: str) -> None:
    """By any of its answers; also an entry whose files a later one removes."""
    answers: list[Callable[[HiveLog], object]] = [
        lambda log: log.version(),
        lambda log: log.find(FIRST),
        lambda log: log.files(0),
        lambda log: log.partitions(),
        lambda log: log.append([], SCHEMA, FIRST),
        lambda log: log.widen(SCHEMA),
        lambda log: log.matching("id", []),
        lambda log: log.take_out(brought(7), 1),
    ]
    for n, answer in enumerate(answers):
        folder = f"{path}/{n}"
        parts = written(hive(folder), folder, rows("a", "b"))
        dead_after_entry(folder, lambda log, parts=parts: log.append(parts, SCHEMA, FIRST))  # type: ignore[misc]  # bound at once
        assert seen(folder) == []
        answer(hive(folder))
        assert ids(folder) == ["a", "b"]
        dead_after_entry(folder, lambda log: log.take_out(brought(0), 2))
        assert ids(folder) == ["a", "b"]
        assert hive(folder).version() == 1
        assert ids(folder) == []
        LocalStorage().delete(f"{folder}/log/published")
        assert hive(folder).version() == 1
        check_whole(folder)


def _each_call(path: str, act: Callable[[str, Storage], None]) -> Iterable[str]:
    """Tables, in each of which a process died before one more call than in the one before."""
    for n in range(1_000):
        folder, storage = f"{path}/{n}", mortal(n)
        assert append(folder, [*rows("a", "b"), *rows("c", run=1)], FIRST)
        assert append(folder, rows("d", "e", run=2), SECOND)
        try:
            act(folder, storage)
        except DiedError:
            yield folder
        else:
            assert n > 10
            return


@pytest.mark.parametrize("every", [50, 3])
def test_an_append_is_whole_wherever_its_process_dies(
    path: str, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each call: nobody sees a row twice; who comes next sees all or none; then it is in."""
    monkeypatch.setattr(hive_journal, "EVERY", every)
    named, new = Transaction("other", 4), rows("f", "g", run=3)
    old = by_name([*rows("a", "b"), *rows("c", run=1), *rows("d", "e", run=2)])

    def act(folder: str, storage: Storage) -> None:
        log = hive(folder, storage)
        log.append(written(log, folder, new, storage=storage), SCHEMA, named, present=2)

    states = set()
    for folder in _each_call(path, act):
        met = seen(folder)
        assert [one for one in met if one not in new] == old
        assert len(met) == len({one["id"] for one in met})
        found = hive(folder).find(named)
        states.add((len(met), found is not None))
        assert seen(folder) == (old if found is None else by_name([*old, *new]))
        check_whole(folder)
        assert append(folder, new, named, present=2)
        assert hive(folder).find(named) == Commit(2, 2, 2)
        assert seen(folder) == by_name([*old, *new])
        check_whole(folder)
    # Not in; in, with nothing to be seen yet, with a part, and with all.
    assert {(5, False), (5, True), (7, True)} <= states


def test_what_is_taken_out_is_out_wherever_its_process_dies(path: str) -> None:
    """Files that go whole and one that is written anew: as before, or as after; again is fine."""
    before = by_name([*rows("a", "b"), *rows("c", run=1), *rows("d", "e", run=2)])
    for run in (0, 2):
        after = [one for one in before if one["write_time"] != brought(run).at]
        seen_versions = set()
        for folder in _each_call(
            f"{path}/{run}",
            lambda one, storage, run=run: hive(one, storage).take_out(brought(run), 2),  # type: ignore[misc]  # bound at once
        ):
            met = {one["id"] for one in seen(folder)}
            assert {one["id"] for one in after} <= met <= {one["id"] for one in before}
            version = hive(folder).version()
            seen_versions.add(version)
            assert seen(folder) == (before if version == 1 else after)
            check_whole(folder)
            hive(folder).take_out(brought(run), 2)
            assert seen(folder) == after
            assert hive(folder).version() == 2
            check_whole(folder)
        assert seen_versions == {1, 2}


def test_a_file_is_what_pyarrow_reads(path: str) -> None:
    """With the columns of the schema and no others; partitions are not columns of files."""
    assert append(path, rows("a"))
    ((file, size),) = hive(path).files(0).sizes.items()
    assert pq.read_schema(file).names == SCHEMA.names
    assert Path(file).stat().st_size == size


def test_who_takes_out_meets_whom_appends_at_every_call(path: str) -> None:
    """Before each call of an append another process deletes its rows where it sees them, and adds.

    Also the other way round. Nothing that was out comes back, and nothing that was in is lost.
    """
    for n in range(1_000):
        folder = f"{path}/{n}"
        assert append(folder, [*rows("a"), *rows("b", run=1)])
        out: list[Row] = []

        def meddle(folder: str = folder, out: list[Row] = out) -> None:
            out.extend(hive(folder).matching("id", ["c", "d"]).to_pylist())
            hive(folder).take_out(brought(2), 2)
            assert append(folder, rows("x", run=3))

        storage = Met(n, meddle)
        log = hive(folder, storage)
        assert log.append(written(log, folder, rows("c", "d", run=2), storage=storage), SCHEMA)
        met = next(storage.calls) > n
        log = hive(folder, Met(n, lambda folder=folder: append(folder, rows("y", run=4))))  # type: ignore[misc]  # bound at once
        log.take_out(brought(0), 1)
        expected = {"b"} | ({"x"} if met else set()) | (set() if out else {"c", "d"})
        assert len(ids(folder)) == len(set(ids(folder)))
        assert set(ids(folder)) - {"y"} == expected
        check_whole(folder)
        if not met:
            break
    assert n > 10


class Slow(LocalStorage):
    """A copy that has read its source appears only after another process has acted, as on S3."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.acts = [act]

    def copy(self, path: str, target: str) -> None:
        """Not by a link."""
        data = self.read(path)
        if self.acts:
            self.acts.pop()()
        self.write(target, data)


def test_a_copy_that_comes_late_does_not_bring_back_what_was_taken_out(path: str) -> None:
    """Another process published the entry and removed its file, while this one still copied it."""
    assert append(path, rows("a"))
    log = hive(path, Slow(lambda: hive(path).take_out(brought(1), 1)))
    assert log.append(written(log, path, rows("b", run=1)), SCHEMA)
    assert ids(path) == ["a"]
    check_whole(path)

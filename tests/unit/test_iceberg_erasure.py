"""Rows that leave an Iceberg table: no file of it has them afterwards, and writers go on."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from pyiceberg.avro.file import AvroFile
from pyiceberg.manifest import ManifestContent, ManifestEntryStatus, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _FastAppendFiles
from pyiceberg.typedef import Record

from penstock.entries import Commit, Transaction
from penstock.errors import MismatchError, TemporaryError, UsageError
from penstock.offline import iceberg_erasure
from penstock.offline.iceberg_catalog import FolderCatalog, StorageIO
from penstock.offline.iceberg_erasure import HINT, IcebergErasure
from penstock.storage import LocalStorage, Storage
from tests.erasing import APPENDS, NUMBERS, WANTED
from tests.hive_tables import DiedError, mortal
from tests.offline import SCHEMA, keys, read, rows, written
from tests.service.test_erasure import ODD, texts
from tests.unit.test_iceberg_log import STORAGE, append, log_at

pytestmark = pytest.mark.shows("6.7")
DAY, LATER = "2024-01-01T05:00:00Z", "2024-01-02T00:00:00Z"


def said(folder: Path) -> str:
    """All that the files of a folder say: those of Avro without their compression."""
    found = [texts(folder)]
    for one in folder.rglob("*.avro"):
        file: AvroFile[Record] = AvroFile(StorageIO(STORAGE).new_input(str(one)))
        with file as records:
            found += [repr(record) for record in records]
    return "\n".join(found)


def erasure(
    path: Path, *wanted: str, column: str = "sensor", storage: Storage = STORAGE
) -> IcebergErasure:
    """Of identifiers."""
    catalog = FolderCatalog(str(path), storage)
    return IcebergErasure(str(path), storage, catalog, column, wanted)


def erase(path: Path, *wanted: str) -> int:
    """All of it, looked at before and after."""
    one = erasure(path, *wanted)
    one.check()
    there = one.rows()
    gone = one.carry_out()
    assert (gone, one.rows()) == (there, 0)
    return gone


def table_at(path: Path) -> Table:
    """As pyiceberg has it."""
    return FolderCatalog(str(path), STORAGE).load()


def check_bare(path: Path) -> None:
    """One snapshot, and no file that it does not name."""
    table = table_at(path)
    (snapshot,) = table.metadata.snapshots
    assert snapshot.parent_snapshot_id is None
    named = {snapshot.manifest_list, table.metadata_location}
    for one in snapshot.manifests(table.io):
        named.add(one.manifest_path)
        for entry in one.fetch_manifest_entry(table.io, discard_deleted=False):
            assert entry.status != ManifestEntryStatus.DELETED
            named.add(entry.data_file.file_path)
    assert {f"file://{one}" for one in STORAGE.walk(str(path))} == named


def at(*names: str, time: str = DAY) -> list[tuple[str, str]]:
    """Rows of one file."""
    return [(one, time) for one in names]


@pytest.mark.parametrize("odd", ODD)
def test_nothing_of_it_is_left(tmp_path: Path, odd: str) -> None:
    """Not in older versions, bounds in manifests, or files nobody committed."""
    path, secret = tmp_path / "table", f"secret{odd}"
    append(path, 1, at("a", secret))
    append(path, 2, at(secret, secret))
    append(path, 3, at("b", "c"))
    written(log_at(path), str(path), STORAGE, rows(4, at(secret)))  # its driver died
    (path / "data" / ".half.tmp").write_text(secret)
    append(path, 5, at("d", secret, time=LATER))
    before = said(path)
    assert before.count("secret") > 3
    assert erase(path, secret) == 4
    assert keys(read(log_at(path))) == [*at("a", "b", "c"), *at("d", time=LATER)]
    assert "secret" not in said(path)
    check_bare(path)
    assert erase(path, secret) == 0
    check_bare(path)


def test_others_stay_and_writers_go_on(tmp_path: Path) -> None:
    """Transactions are still known by name and figures; new ones are committed and found."""
    append(tmp_path, 1, at("a", "x"))
    append(tmp_path, 2, at("b"))
    level = read(log_at(tmp_path)).sort_by("sensor").filter(pa.array([True, True, False]))
    did = [log_at(tmp_path).find(Transaction(f"w{n}", 1)) for n in (1, 2)]
    assert erase(tmp_path, "x", "nobody") == 1
    assert read(log_at(tmp_path)).sort_by("sensor").equals(level)
    for again in range(2):
        log = log_at(tmp_path)
        assert [log.find(Transaction(f"w{n}", 1)) for n in (1, 2)] == did
        assert log.find(Transaction("w1", 2)) is None
        assert append(tmp_path, 1, at("a", "x"))
        assert keys(read(log)) == at("a", "b", *["c"] * again)
        version = log.version()
        assert version is not None
        if not again:
            assert append(tmp_path, 3, at("c"))
            assert log.find(Transaction("w3", 1)) == Commit(1, 3, version + 1)
            did.append(log.find(Transaction("w3", 1)))
            assert erase(tmp_path, "x") == 0
            assert log_at(tmp_path).find(Transaction("w3", 1)) == did.pop()
    with pytest.raises(UsageError, match="was expired"):
        log_at(tmp_path).files(1)


def test_entries_of_files_that_others_deleted_go(tmp_path: Path) -> None:
    """Also where live ones are beside them in one manifest, as Spark writes them."""
    append(tmp_path, 1, [*at("secret"), *at("b", time=LATER)])
    table = table_at(tmp_path)

    class Mixed(_FastAppendFiles):
        """As Spark's deletions: deleted and live entries side by side."""

        def _existing_manifests(self) -> list[ManifestFile]:
            (old,) = super()._existing_manifests()
            with self.new_manifest_writer(self.spec(old.partition_spec_id)) as writer:
                for entry in self.fetch_manifest_entry(old):
                    bounds = entry.data_file.lower_bounds[1]
                    (writer.delete if bounds == b"secret" else writer.existing)(entry)
            return [writer.to_manifest_file()]

    change = table.transaction()
    Mixed(Operation.APPEND, change, table.io).commit()
    change.commit_transaction()
    assert keys(read(log_at(tmp_path))) == at("b", time=LATER)
    append(tmp_path, 2, at("c"))
    assert erase(tmp_path, "secret") == 0
    assert "secret" not in said(tmp_path)
    assert keys(read(log_at(tmp_path))) == sorted([*at("b", time=LATER), *at("c")])
    check_bare(tmp_path)


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.prove), 11])
def test_it_is_whole_wherever_its_process_dies(tmp_path: Path, step: int) -> None:
    """Before calls of the storage: rows as before or after, and the next order finishes it."""
    path, copy = tmp_path / "table", tmp_path / "copy"
    append(path, 1, at("a", "secret"))
    append(path, 2, at("secret", time=LATER))
    shutil.copytree(path, copy)
    before, after = sorted([*at("a", "secret"), *at("secret", time=LATER)]), at("a")
    seen, n = [], 0
    while True:
        shutil.rmtree(path)
        shutil.copytree(copy, path)
        storage = mortal(n)
        try:
            erasure(path, "secret", storage=storage).carry_out()
        except DiedError:
            pass
        else:
            break
        found = keys(read(log_at(path)))
        assert found in (before, after)
        seen.append(found == after)
        assert erasure(path, "secret").carry_out() == len(found) - len(after)
        assert "secret" not in said(path)
        assert log_at(path).find(Transaction("w1", 1)) == Commit(2, 1, 1)
        assert keys(read(log_at(path))) == after
        check_bare(path)
        n += step
    assert seen == sorted(seen)
    assert {True, False} == set(seen)


def test_nothing_goes_once_the_lease_is_lost_or_files_are(tmp_path: Path) -> None:
    """What the newest version lacks, older ones may still have."""
    path = tmp_path / "table"
    append(path, 1, at("a", "x"))
    append(path, 2, at("b", time=LATER))
    before = set(STORAGE.walk(str(path)))

    def lost() -> None:
        raise TemporaryError("lost")

    with pytest.raises(TemporaryError, match="lost"):
        erasure(path, "x").carry_out(lost)
    assert set(STORAGE.walk(str(path))) >= before
    log = log_at(path)
    live = [*log.files(log.version() or 0).sizes]  # type: ignore[union-attr]  # its files are always known
    there = {one: Path(one) for one in STORAGE.walk(str(path))}
    lists = table_at(path).current_snapshot()
    assert lists is not None
    manifests = [one.manifest_path for one in lists.manifests(table_at(path).io)]
    for name in (live[0], lists.manifest_list, manifests[0]):
        gone = there[name.removeprefix("file://")]
        gone.rename(tmp_path / "away")
        for act in (erasure(path, "b").check, erasure(path, "b").carry_out):
            with pytest.raises(MismatchError, match=r"newest version (are|is) not there"):
                act()
        (tmp_path / "away").rename(gone)
    assert keys(read(log_at(path))) == [*at("a"), *at("b", time=LATER)]
    assert erase(path, "x") == 0
    assert keys(read(log_at(path))) == [*at("a"), *at("b", time=LATER)]


class Beside(LocalStorage):
    """Other appends come before each of the first puts of metadata, and a last one before a walk.

    Args:
        path: Of the table.
        puts: Before how many.
        walk: Before the n-th walk; none where it is -1.
    """

    number = itertools.count(11)  # no other has the same transaction

    def __init__(self, path: Path, puts: int, walk: int = -1) -> None:
        self.path, self.puts, self.walks = path, puts, walk

    def _other(self) -> None:
        n = next(self.number)
        assert append(self.path, n, at(f"y{n}", "x"))

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """After the other."""
        if self.puts:
            self.puts -= 1
            self._other()
        return super().put_if_absent(path, data)

    def walk(self, folder: str) -> list[str]:
        """Before the other."""
        found, self.walks = super().walk(folder), self.walks - 1
        if self.walks == -1:
            self._other()
        return found


def test_who_comes_between_loses_nothing(tmp_path: Path) -> None:
    """Before the deletion its rows go too; behind it no file is deleted."""
    append(tmp_path, 1, at("a", "x"))
    first = next(Beside.number)
    others = [f"y{first + n}" for n in (1, 2, 3)]
    one = erasure(tmp_path, "x", storage=Beside(tmp_path, 2))
    assert one.carry_out() == 3
    assert one.rows() == 0
    assert keys(read(log_at(tmp_path))) == at("a", *others[:2])
    check_bare(tmp_path)
    with pytest.raises(TemporaryError, match="other commits came first, 1 times"):
        erasure(tmp_path, "x", storage=Beside(tmp_path, 0, walk=1)).carry_out()
    assert keys(read(log_at(tmp_path))) == at("a", "x", *others)
    assert erase(tmp_path, "x") == 1


def test_it_is_not_tried_forever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever meets others all the time is told to come again."""
    append(tmp_path, 1, at("a", "x"))
    monkeypatch.setattr(iceberg_erasure, "ATTEMPTS", 3)
    for wanted in ("x", "nobody"):
        with pytest.raises(TemporaryError, match="other commits came first, 3 times"):
            erasure(tmp_path, wanted, storage=Beside(tmp_path, 99)).carry_out()


def test_a_hint_of_others_follows(tmp_path: Path) -> None:
    """Spark looks there for the number of the newest metadata, and fails where that is gone."""
    append(tmp_path, 1, at("a", "x"))
    (tmp_path / HINT).write_text("1")
    assert erase(tmp_path, "x") == 1
    assert table_at(tmp_path).metadata_location.endswith(
        f"v{(tmp_path / HINT).read_text()}.metadata.json"
    )
    assert erase(tmp_path, "x") == 0


def test_what_penstock_does_not_write_is_refused(tmp_path: Path) -> None:
    """Tags keep what is deleted; nothing is touched."""
    append(tmp_path, 1, at("a", "x"))
    table = table_at(tmp_path)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    table.manage_snapshots().create_tag(snapshot.snapshot_id, "kept").commit()
    before = STORAGE.walk(str(tmp_path))
    for act in (erasure(tmp_path, "x").check, erasure(tmp_path, "x").carry_out):
        with pytest.raises(UsageError, match="has branches or tags"):
            act()
    assert STORAGE.walk(str(tmp_path)) == before


def test_deletions_by_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are rows in files of their own; pyiceberg reads such tables and cannot write one."""
    append(tmp_path, 1, at("a", "x"))
    content = ManifestContent.DELETES
    monkeypatch.setattr(ManifestFile, "content", property(lambda _: content))
    with pytest.raises(UsageError, match="deletions of rows are not merged"):
        erasure(tmp_path, "x").carry_out()


def test_a_table_that_is_not_there_or_empty(tmp_path: Path) -> None:
    """Has nothing; what nobody committed to it goes."""
    assert erase(tmp_path / "none", "x") == 0
    assert not (tmp_path / "none").exists()
    log = log_at(tmp_path / "table")
    written(log, str(tmp_path / "table"), STORAGE, rows(1, at("secret")))
    log.widen(SCHEMA.append(pa.field("more", pa.int64())))
    assert erase(tmp_path / "table", "secret") == 0
    assert "secret" not in said(tmp_path)
    assert len(STORAGE.walk(str(tmp_path / "table"))) == 1
    assert append(tmp_path / "table", 1, at("a"))


@NUMBERS
def test_numbers(
    tmp_path: Path, kind: pa.DataType, values: list[float], wanted: list[str], left: list[float]
) -> None:
    """Whole ones are told by their text, doubles as numbers."""
    schema = SCHEMA.set(0, pa.field("sensor", kind))
    table = rows(1, [(one, DAY) for one in values], schema)  # type: ignore[misc]  # numbers
    log = log_at(tmp_path)
    assert log.append(written(log, str(tmp_path), STORAGE, table), schema, Transaction("w", 1))
    assert erase(tmp_path, *wanted) == len(values) - len(left)
    assert Counter(read(log, schema)["sensor"].to_pylist()) == Counter(left)


@settings(max_examples=15, deadline=None)
@given(APPENDS, WANTED)
def test_exactly_these_rows(
    tmp_path_factory: pytest.TempPathFactory, appends: list[list[str]], wanted: list[str]
) -> None:
    """Any texts: those that are asked for go, all others stay, as often as they were there."""
    path = tmp_path_factory.mktemp("any") / "table"
    for n, names in enumerate(appends):
        append(path, n, at(*names))
    left = sorted(one for names in appends for one in names if one not in wanted)
    assert erase(path, *wanted) == sum(map(len, appends)) - len(left)
    assert keys(read(log_at(path))) == at(*left)
    check_bare(path)

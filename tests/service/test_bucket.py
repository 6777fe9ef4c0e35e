"""One set of promises for a folder and for S3, which moto plays; requests are counted."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import pickle
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from deltalake import DeltaTable

from penstock import aws, bucket
from penstock.bucket import S3Storage, hadoop, storage_of
from penstock.cli.program import run
from penstock.commits import Log
from penstock.config import Aws, Location, Settings
from penstock.contract import Column, Source
from penstock.entries import Commit, Part, Transaction
from penstock.erasure import Erasure, is_one_of
from penstock.errors import (
    ConfigError,
    ContractError,
    CredentialsError,
    MismatchError,
    PenstockError,
    TemporaryError,
)
from penstock.ledger.compaction import compact
from penstock.ledger.history import Ledger
from penstock.ledger.journal import State
from penstock.ledger.snapshot import newest
from penstock.parts import PartTask
from penstock.run.collection import NOT_DONE, Amount, collect
from penstock.run.context import Context
from penstock.run.timeline import read_calendar
from penstock.source.files import check_unchanged, pins
from penstock.source.splits import Reading, cut
from penstock.storage import LocalStorage, Storage
from tests import hive_tables, ledgers
from tests.ledgers import PIPELINE, hours, month, snapshot_of
from tests.service.moto import served

FIRST = datetime(2013, 1, 1, tzinfo=timezone.utc)
GROUP = PIPELINE.group.name


@dataclass
class Account:
    """S3 as moto plays it, in a process of its own, and what was asked of it.

    Args:
        url: Its address.
        storage: Our storage on it.
        asked: Names of the operations, in order.
    """

    url: str
    storage: S3Storage
    asked: list[str] = field(default_factory=list)

    @property
    def client(self) -> Any:
        """The client the storage uses."""
        return bucket._client(self.storage.endpoint)

    def settings(self, folder: Path) -> Settings:
        """Settings whose state is there."""
        conf = {"endpoint_url": self.url, "region": "eu-west-1"}
        state = "s3://state/ledger-of-tests/"
        plain = {"project": "lab", "lake": str(folder), "state": state, "aws": conf}
        return Settings.model_validate(plain)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """One server for all tests of this module, with a bucket."""
    keys = tmp_path_factory.mktemp("keys") / "credentials"
    keys.write_text("[default]\naws_access_key_id = x\naws_secret_access_key = x\n", "ascii")
    with served() as url:
        found = Account(url, S3Storage(aws.Endpoint("eu-west-1", url, str(keys))))
        place = {"LocationConstraint": "eu-west-1"}
        found.client.create_bucket(Bucket="state", CreateBucketConfiguration=place)
        found.client.meta.events.register(
            "before-send.s3", lambda event_name, **_: found.asked.append(event_name)
        )
        yield found


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Storage, str]:
    """A storage and a folder of the test's own in it."""
    if request.param == "folder":
        return LocalStorage(), str(tmp_path / "root")
    return request.getfixturevalue("account").storage, f"s3://state/{tmp_path.name}"


@pytest.mark.shows("5.7")
def test_a_name_that_exists_is_left_alone(place: tuple[Storage, str]) -> None:
    """The second put answers False; a write replaces; what was not there raises."""
    storage, root = place
    path = f"{root}/folder/name"
    assert not storage.exists(path)
    for read in (storage.read, storage.open_input):
        with pytest.raises(FileNotFoundError, match="name"):
            read(path)
    assert storage.put_if_absent(path, b"first")
    assert not storage.put_if_absent(path, b"second")
    assert not storage.put_if_absent(path, b"first")
    assert storage.read(path) == b"first"
    storage.write(path, b"third")
    assert storage.read(path) == b"third"
    assert storage.exists(path)


def together(act: Callable[[int], None], count: int) -> None:
    """So many threads, each with its number, to their end."""
    threads = [threading.Thread(target=act, args=(n,)) for n in range(count)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def test_of_eight_threads_exactly_one_wins(place: tuple[Storage, str]) -> None:
    """Moto takes requests one after the other, so on S3 this shows the answer, not the race."""
    storage, root = place
    start, wins = threading.Barrier(8), []

    def race(racer: int) -> None:
        start.wait()
        if storage.put_if_absent(f"{root}/name", b"%d" % racer):
            wins.append(racer)

    together(race, 8)
    assert [str(one).encode() for one in wins] == [storage.read(f"{root}/name")]


def test_listing_and_removing(place: tuple[Storage, str]) -> None:
    """Direct children or all below, sorted, over more than one page; gone is gone."""
    storage, root = place
    names = [f"{n:04d}" for n in range(1_003)] if root.startswith("s3") else ["0000", "0001"]
    for name in names:
        storage.write(f"{root}/many/{name}", b"")
    for name in ("b", "a/x", "a/y/z", "ab"):
        storage.write(f"{root}/few/{name}", b"")
    assert storage.list(f"{root}/many") == [f"{root}/many/{name}" for name in names]
    assert storage.list(f"{root}/few") == [f"{root}/few/{name}" for name in ("a", "ab", "b")]
    assert storage.walk(f"{root}/few") == [
        f"{root}/few/{name}" for name in ("a/x", "a/y/z", "ab", "b")
    ]
    assert storage.list(f"{root}/none") == storage.walk(f"{root}/none") == []
    assert storage.sizes(f"{root}/none") == {}
    assert list(storage.sizes(f"{root}/many")) == storage.walk(f"{root}/many")
    storage.write(f"{root}/sized/a/b", b"123")
    assert storage.sizes(f"{root}/sized") == {f"{root}/sized/a/b": 3}
    storage.delete_all([f"{root}/sized/a/{name}" for name in ("b", "none")])
    storage.delete_all([])
    assert storage.list(f"{root}/sized") == []
    storage.move(f"{root}/few/a", f"{root}/aside/a")
    assert storage.walk(f"{root}/few") == [f"{root}/few/{name}" for name in ("ab", "b")]
    assert storage.walk(f"{root}/aside") == [f"{root}/aside/a/{name}" for name in ("x", "y/z")]
    storage.delete_all(storage.walk(f"{root}/many")[1:])
    assert storage.walk(f"{root}/many") == [f"{root}/many/0000"]
    storage.remove(f"{root}/many")
    storage.remove(f"{root}/none")
    storage.delete(f"{root}/few/b")
    storage.delete(f"{root}/few/b")
    assert storage.walk(f"{root}/many") == []
    assert storage.list(f"{root}/few") == [f"{root}/few/ab"]


def test_a_copy_is_made_once(place: tuple[Storage, str]) -> None:
    """Also below folders that are not there; again is fine; the first name may go then."""
    storage, root = place
    name, target = f"{root}/of/na=me", f"{root}/new/year=2024/name"
    storage.write(name, b"text")
    for _ in range(2):
        storage.copy(name, target)
    storage.delete(name)
    assert storage.read(target) == b"text"
    for other in (target, f"{root}/new/none"):
        with pytest.raises(FileNotFoundError):
            storage.copy(name, other)
    assert storage.walk(root) == [target]


def test_a_large_object_is_copied_by_parts(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request has a limit."""
    monkeypatch.setattr(bucket, "WHOLE", 1 << 23)
    data = bytes(range(256)) * (9 << 12)
    account.storage.write("s3://state/large", data)
    account.asked.clear()
    account.storage.copy("s3://state/large", "s3://state/copied/large")
    assert account.storage.read("s3://state/copied/large") == data
    assert account.asked.count("before-send.s3.UploadPartCopy") == 2


@dataclass(frozen=True)
class OnlyEntry(S3Storage):
    """Dies right after an entry is in."""

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Its last act."""
        super().put_if_absent(path, data)
        raise hive_tables.DiedError


def test_a_hive_table_on_s3(account: Account, tmp_path: Path) -> None:
    """Appended once, published by whoever comes next, found, widened, and taken out."""
    storage, path = account.storage, f"s3://state/{tmp_path.name}/table"
    dead = OnlyEntry(storage.endpoint)
    log = hive_tables.hive(path, storage)
    mixed = [*hive_tables.rows("a", "b"), *hive_tables.rows("c", run=1)]
    schema, first = hive_tables.SCHEMA, hive_tables.FIRST
    assert (log.exists, log.version(), log.matching("id", ["a"]).num_rows) == (False, None, 0)
    parts = hive_tables.written(log, path, mixed, storage=storage)
    with pytest.raises(hive_tables.DiedError):
        hive_tables.hive(path, dead).append(parts, schema, first)
    assert storage.walk(f"{path}/data") == []
    assert log.append(parts, schema, first)
    assert log.find(first) == Commit(3, 0, 0)
    assert log.files(0).sizes == storage.sizes(f"{path}/data")
    assert storage.walk(f"{path}/staged") == []
    account.asked.clear()
    assert log.version() == 0
    assert account.asked == ["before-send.s3.GetObject"]  # is there an entry after it?
    log.widen(hive_tables.WIDE)
    log.take_out(hive_tables.brought(0), 2)
    found = hive_tables.hive(path, storage).matching("id", ["a", "b", "c"])
    assert (found["id"].to_pylist(), found["new"].to_pylist()) == (["c"], [None])
    assert hive_tables.hive(path, storage).files(2).sizes == storage.sizes(f"{path}/data")
    assert list(log.partitions()) == [f"{path}/data/year=2024/month=01/day=31/hour=23"]
    storage.delete_all(storage.walk(f"{path}/data"))
    for act in (lambda: log.matching("id", ["c"]), lambda: log.take_out(hive_tables.brought(1), 1)):
        with pytest.raises(MismatchError, match="a file of version 2 is gone"):
            act()


def test_what_is_created_can_be_read_anywhere_in_it(place: tuple[Storage, str]) -> None:
    """A Parquet file larger than what is fetched with its end; an empty object; pickled storage."""
    storage, root = place
    table = pa.table({"n": pa.array(range(100_000)), "t": [f"{n * n}" for n in range(100_000)]})
    with storage.create(f"{root}/table") as file:
        pq.write_table(table, file, row_group_size=10_000)
    other: Storage = pickle.loads(pickle.dumps(storage))
    with other.open_input(f"{root}/table") as opened:
        file = pq.ParquetFile(opened)
        assert file.read_row_group(3).equals(table.slice(30_000, 10_000))
        assert file.read().equals(table)
    storage.write(f"{root}/empty", b"")
    with storage.open_input(f"{root}/empty") as opened:
        assert opened.read() == b""
        assert opened.size() == 0


def test_a_stamp_tells_versions_apart(place: tuple[Storage, str]) -> None:
    """Size and version; another one once it is written again; none of a folder or of nothing."""
    storage, root = place
    storage.write(f"{root}/in/file", b"123")
    first = storage.stamp(f"{root}/in/file")
    assert first.size == 3
    assert storage.stamp(f"{root}/in/file") == first
    storage.write(f"{root}/in/file", b"124")
    assert storage.stamp(f"{root}/in/file") != first
    for none in ("in", "in/none"):
        with pytest.raises(FileNotFoundError):
            storage.stamp(f"{root}/{none}")


def test_what_stands_for_a_folder_is_no_file(account: Account) -> None:
    """As the console makes it: an object of no bytes whose name ends in a slash."""
    root = "s3://state/made-by-hand"
    for key in ("made-by-hand/", "made-by-hand/in/", "made-by-hand/in_$folder$"):
        account.client.put_object(Bucket="state", Key=key, Body=b"")
    account.storage.write(f"{root}/in/a.csv", b"id\n1\n")
    assert account.storage.walk(root) == [f"{root}/in/a.csv", f"{root}/in_$folder$"]
    assert account.storage.list(f"{root}/in") == [f"{root}/in/a.csv"]
    for path in (root, f"{root}/in", f"{root}/in/*", f"{root}/**/*.csv"):
        assert [one.path for one in pins("s", path, account.storage)] == [f"{root}/in/a.csv"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("403", CredentialsError),
        ("InvalidAccessKeyId", CredentialsError),
        ("ExpiredToken", CredentialsError),
        ("PermanentRedirect", ConfigError),
        ("NoSuchBucket", ConfigError),
        ("SlowDown", TemporaryError),
    ],
)
def test_who_is_to_act_is_told(
    code: str, kind: type[PenstockError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role, the configuration, or nobody but time."""
    answer = Answers()

    def refuses(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code}}, "HeadObject")

    answer.head_object = refuses  # type: ignore[attr-defined]  # one more operation
    monkeypatch.setattr(bucket, "_client", lambda _: answer)
    with pytest.raises(kind):
        S3Storage(aws.Endpoint("eu-west-1")).stamp("s3://b/k")


def test_no_place_is_one_line(account: Account) -> None:
    """An empty name of a bucket or an object."""
    for path in ("s3://", "s3://state"):
        with pytest.raises(ConfigError, match="not a place on S3"):
            account.storage.stamp(path)


def test_what_is_appended_comes_after(place: tuple[Storage, str]) -> None:
    """And makes the file."""
    storage, root = place
    for data in (b"a\n", b"b\n"):
        storage.append(f"{root}/lines/file", data)
    assert storage.read(f"{root}/lines/file") == b"a\nb\n"


def test_sources_are_found_and_read_alike(place: tuple[Storage, str]) -> None:
    """Folders, globs, single files; text packed and plain, JSON, Parquet; markers are no data."""
    storage, root = place
    text = b"id,text\n1,one\n2,two\n"
    with zipfile.ZipFile(packed := io.BytesIO(), "w") as archive:
        archive.writestr("inside.csv", text)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": ["1", "2"], "text": ["one", "two"]}), sink)
    lines = b'{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}\n'
    files = {
        "a.csv": text,
        "deep/b.csv.gz": gzip.compress(text),
        "deep/er/c.csv.bz2": bz2.compress(text),
        "d.csv.zip": packed.getvalue(),
        "f.json": lines,
        "g.parquet": sink.getvalue().to_pybytes(),
        "_SUCCESS": b"",
        "deep/.b.csv.gz.crc": b"x",
        "deep/_temporary/h.csv": text,
    }
    for name, data in files.items():
        storage.write(f"{root}/in/{name}", data)

    def names(pattern: str) -> list[str]:
        found = pins("s", f"{root}/in{pattern}", storage)
        check_unchanged(found, storage)
        return [one.path.removeprefix(f"{root}/in/") for one in found]

    assert names("") == sorted(one for one in files if "_" not in one and "/." not in one)
    assert names("/a.csv") == names("/?.csv") == names("/[ab].csv") == names("/[!b].csv")
    assert names("/a.csv") == ["a.csv"]
    assert names("/*.csv*") == ["a.csv", "d.csv.zip"]
    assert names("/deep/**/*.csv.*") == ["deep/b.csv.gz", "deep/er/c.csv.bz2"]
    with pytest.raises(ContractError, match="there is no file"):
        names("/*.txt")
    with pytest.raises(ContractError, match="there is no file"):
        names("/a")
    source = Source(columns=(Column("id"), Column("text")))
    for form, pattern in (("csv", "/**/*.csv*"), ("json", "/f.json"), ("parquet", "/*.parquet")):
        found = [
            one for one in pins("s", f"{root}/in{pattern}", storage) if "_temp" not in one.path
        ]
        location = Location.model_validate({"format": form, "path": root})
        reading, splits, extra = cut(location, source, found, storage)
        sent: Reading = pickle.loads(pickle.dumps(reading))
        rows = [row for one in splits for batch in sent.batches(one) for row in batch.to_pylist()]
        assert [(row["id"], row["text"]) for row in rows] == [("1", "one"), ("2", "two")] * len(
            found
        )
        assert extra == ()
    pinned = pins("s", f"{root}/in/a.csv", storage)
    storage.write(f"{root}/in/a.csv", text + b"3,three\n")
    with pytest.raises(TemporaryError, match="changed while it was read"):
        check_unchanged(pinned, storage)
    storage.delete(f"{root}/in/a.csv")
    with pytest.raises(TemporaryError, match="changed while it was read"):
        check_unchanged(pinned, storage)


SCHEMA = pa.schema([("name", pa.string()), ("n", pa.int64())])


def parts(storage: Storage, path: str, *rows: int) -> list[Part]:
    """A file of a table, with these rows."""
    batch = pa.RecordBatch.from_pylist([{"name": f"é{n}", "n": n} for n in rows], SCHEMA)
    (answer,) = list(PartTask(SCHEMA, path, storage)([batch]))
    return [Part(**json.loads(one)) for one in answer.column(0).to_pylist()]


def numbers(storage: Storage, path: str) -> list[int]:
    """What a table holds."""
    table = DeltaTable(path, storage_options=storage.options()).to_pyarrow_table()
    return sorted(table["n"].to_pylist())


def test_a_table_is_committed_to_alike(place: tuple[Storage, str]) -> None:
    """Made, appended to once, found, widened, deleted from: by the same calls."""
    storage, root = place
    log, once = Log(root, storage), Transaction("penstock:readings:all", 0)
    assert (log.exists, log.version(), log.find(once)) == (False, None, None)
    for _ in range(2):
        assert log.append(parts(storage, root, 1, 2), SCHEMA, once, present=3)
    assert log.find(once) == Commit(2, 3, 0)
    assert not log.append(parts(storage, root, 9), SCHEMA, read=None, blind=False)
    log.widen(pa.schema([*SCHEMA, ("more", pa.float64())]))
    assert log.append(parts(storage, root, 5), SCHEMA)
    log.delete("n < 2", 1)
    assert numbers(storage, root) == [2, 5]
    assert log.version() == 3


@pytest.mark.shows("6.7")
def test_rows_leave_a_table_alike(place: tuple[Storage, str]) -> None:
    """No file that is left names them; one checkpoint stands for the log before it."""
    storage, root = place
    log = Log(root, storage)
    for rows in ((1, 77_777), (77_777,), (2, 3)):
        assert log.append(parts(storage, root, *rows), SCHEMA)
    erasure = Erasure(root, storage, is_one_of("n", ["77777"]))
    erasure.check()
    assert (erasure.rows(), erasure.carry_out(), erasure.rows()) == (2, 2, 0)
    assert numbers(storage, root) == [1, 2, 3]
    left = [one for one in storage.walk(root) if "/_delta_log/" in one and one.endswith(".json")]
    assert len(left) == 1
    assert not [one for one in left if b"77777" in storage.read(one)]
    assert log.append(parts(storage, root, 4), SCHEMA)
    assert numbers(storage, root) == [1, 2, 3, 4]


@pytest.mark.shows("6.6")
@pytest.mark.parametrize("times", [5, pytest.param(25, marks=pytest.mark.prove)])
def test_two_who_commit_at_once_lose_nothing(place: tuple[Storage, str], times: int) -> None:
    """So many commits each, side by side: all of them are there, rows their sum."""
    storage, root = place
    start, failed = threading.Barrier(2), []

    def rows(racer: int, n: int) -> list[int]:
        return [racer * 1_000 + n * 10 + one for one in range(n % 3 + 1)]

    def commits(racer: int) -> None:
        log = Log(root, storage)
        start.wait()
        try:
            for n in range(times):
                name = Transaction(f"penstock:readings:{racer}-{n}", 0)
                assert log.append(parts(storage, root, *rows(racer, n)), SCHEMA, name)
        except BaseException as error:  # noqa: BLE001 - told to the test, which fails by it
            failed.append(error)

    together(commits, 2)
    assert failed == []
    assert Log(root, storage).version() == 2 * times - 1
    wanted = [one for racer in range(2) for n in range(times) for one in rows(racer, n)]
    assert numbers(storage, root) == sorted(wanted)


class Answers:
    """A client whose conditional puts are answered as told."""

    def __init__(self, *codes: str, retries: int = 0, held: bytes = b"") -> None:
        self.codes, self.retries, self.held = list(codes), retries, held

    def put_object(self, **_: Any) -> None:
        """The next answer."""
        code = self.codes.pop(0)
        if code:
            meta = {"RetryAttempts": self.retries, "HTTPStatusCode": 412}
            raise ClientError({"Error": {"Code": code}, "ResponseMetadata": meta}, "PutObject")  # type: ignore[typeddict-item]  # what we look at

    def get_object(self, **_: Any) -> Any:
        """What is there."""
        return {"Body": pa.BufferReader(self.held)}


def test_conflicts_are_tried_again_and_a_lost_answer_is_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """409 again, with pauses, 75 in the end; 412 after a repetition is ours if the bytes are."""
    waits: list[float] = []
    storage = S3Storage(aws.Endpoint("eu-west-1"), waits.append)

    def put(answers: Answers) -> bool:
        monkeypatch.setattr(bucket, "_client", lambda _: answers)
        return storage.put_if_absent("s3://b/k", b"ours")

    conflict, there = "ConditionalRequestConflict", "PreconditionFailed"
    assert put(Answers(conflict, conflict, ""))
    assert waits == [0.05, 0.1]
    with pytest.raises(TemporaryError, match="s3://b/k"):
        put(Answers(*[conflict] * bucket.ATTEMPTS))
    assert not put(Answers(there, held=b"ours"))
    assert put(Answers(there, retries=1, held=b"ours"))
    assert not put(Answers(there, retries=1, held=b"theirs"))
    assert not put(Answers(conflict, there, held=b"theirs"))
    with pytest.raises(TemporaryError, match="SlowDown"):
        put(Answers("SlowDown"))


def test_where_state_may_be(tmp_path: Path, account: Account) -> None:
    """On S3, of its own endpoint too; the embedded AWS alone has none; endpoints are ours."""
    settings = account.settings(tmp_path)
    context = Context(lambda: pytest.fail("Spark"), account.storage.endpoint, settings, tmp_path)
    assert isinstance(context.storage, S3Storage)
    assert context.storage.endpoint.url == account.url
    embedded = settings.model_copy(update={"aws": Aws(embedded=True, region="eu-west-1")})
    with pytest.raises(ConfigError, match="the embedded AWS has no S3"):
        storage_of(embedded.state, embedded)
    assert isinstance(storage_of(embedded.lake, embedded), LocalStorage)
    own = Aws(embedded=True, region="eu-west-1", s3_endpoint_url="http://127.0.0.1:9")
    beside = storage_of(settings.state, settings.model_copy(update={"aws": own}))
    assert isinstance(beside, S3Storage)
    assert beside.endpoint.url == "http://127.0.0.1:9"
    assert beside.endpoint.credentials_file is None
    near = embedded.model_copy(update={"state": "/state"})
    assert hadoop(near) == {}
    assert hadoop(settings.model_copy(update={"state": "/state"}), "s3://elsewhere/sets") != {}
    tables = {"one": Location(format="table", table="a.b")}
    assert hadoop(near.model_copy(update={"sources": tables})) == {}
    assert hadoop(settings.model_copy(update={"state": "/state", "sources": tables})) == {}
    there = {"aws": Aws(region="eu-west-1"), "state": "/state", "sources": tables}
    far = settings.model_copy(update=there)
    assert hadoop(far)["spark.hadoop.fs.s3a.endpoint.region"] == "eu-west-1"
    told = hadoop(settings)
    assert told["spark.hadoop.fs.s3a.endpoint"] == account.url
    assert told["spark.hadoop.fs.s3.impl"].endswith(".S3AFileSystem")
    with pytest.raises(ValueError, match="neither AWS over https nor loopback"):
        Aws(s3_endpoint_url="http://x.y")
    with pytest.raises(ConfigError, match="endpoint"):
        S3Storage(replace(account.storage.endpoint, url="http://example.com")).read("s3://b/k")
    with pytest.raises(ConfigError, match="no such bucket"):
        account.storage.list("s3://nobody/folder")


def test_a_ledger_on_s3_is_compacted_and_read_as_in_a_folder(
    account: Account, tmp_path: Path
) -> None:
    """The same heads before and after; nothing but what is not done stays in folders."""
    local = ledgers.Ledger(tmp_path)
    for number, reached in enumerate((State.DONE, State.DONE, State.GATED, State.STAGED), 1):
        local.write(month(number), reached)
    state = f"s3://state/{tmp_path.name}"
    for path in LocalStorage().walk(str(tmp_path / "state")):
        name = path.removeprefix(str(tmp_path / "state"))
        account.storage.write(state + name, Path(path).read_bytes())
    ours = Ledger(account.storage, state, GROUP)
    before = [(one[:4], dict(one.data)) for one in local.ours().heads()]
    assert [(one[:4], dict(one.data)) for one in ours.heads()] == before
    assert compact(ours, datetime(2021, 1, 1, tzinfo=timezone.utc)).windows == 2
    assert [(one[:4], dict(one.data)) for one in ours.heads()] == before
    assert len(account.storage.list(ours.folder)) == 2
    journal = ours.newest(month(1).name)[1]
    assert [one.state for one in journal.events] == [
        one.state for one in local.ours().newest(month(1).name)[1].events
    ]


def test_a_collection_on_s3_is_that_of_a_folder(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files go, in few requests: a listing of each kind, one that deletes a window."""
    monkeypatch.setattr(bucket, "BATCH", 10)
    local, files = ledgers.Ledger(tmp_path), 15
    for number, reached in enumerate((State.DONE, State.DONE, State.GATED, State.STAGED), 1):
        local.write(month(number), reached)
        places = local.places(month(number))
        for path in (f"{places.staged(0, 1)}/rows-0", f"{places.results(0)}/send-0-000000.json"):
            LocalStorage().write(path, b"12345")
        LocalStorage().write(places.manifest(0), b"{}")
    state, root = f"s3://state/{tmp_path.name}", str(tmp_path / "state")
    for path in LocalStorage().walk(root):
        account.storage.write(state + path.removeprefix(root), Path(path).read_bytes())
    many = f"{state}/online/{GROUP}/{month(1).name}/0000"
    for n in range(files - 2):
        account.storage.write(f"{many}/send-1-{n:06d}.json", b"12345")
    now = local.at + timedelta(days=7)
    account.asked.clear()
    found = collect(Ledger(account.storage, state, GROUP), now, timedelta(days=7))
    deleting = [one for one in account.asked if "DeleteObject" in one]
    assert len(deleting) == 3  # two of the first window, one of the second
    assert len(account.asked) <= 90, account.asked
    assert found.taken == Amount(2, files + 2, (files + 2) * 5)
    assert found.kept == {NOT_DONE: Amount(2, 4, 20)}
    collect(local.ours(), now, timedelta(days=7))
    left = [one.removeprefix(state) for one in account.storage.walk(state)]
    assert left == [one.removeprefix(root) for one in LocalStorage().walk(root)]
    account.asked.clear()
    assert collect(Ledger(account.storage, state, GROUP), now, timedelta(days=7)).taken == Amount()
    assert not any("Put" in one or "Delete" in one for one in account.asked)


@pytest.mark.shows("5.7")
@pytest.mark.parametrize("windows", [5_000, pytest.param(100_000, marks=pytest.mark.prove)])
def test_status_asks_little_of_s3(account: Account, tmp_path: Path, windows: int) -> None:
    """At most 3 requests a 1,000 windows, with 50 that are not compacted at the full size.

    The smaller one has 2 of them: each of these costs a request for its event and one for a lease.
    """
    settings = account.settings(tmp_path)
    state = settings.state.rstrip("/")
    storage = account.storage
    storage.remove(state)
    live = windows // 2_000
    whole = hours(windows, FIRST)
    ours = Ledger(storage, state, GROUP)
    snapshot_of(ours, whole[:-live], PIPELINE.meaning)
    local = ledgers.Ledger(tmp_path)
    for one in whole[-live:]:
        assert one.end is not None
        local.write(one, State.STAGED, at=one.end + timedelta(hours=1))
    for path in LocalStorage().walk(str(tmp_path / "state")):
        name = path.removeprefix(str(tmp_path / "state"))
        storage.write(state + name, Path(path).read_bytes())
    account.asked.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("penstock.run.status.storage_of", lambda *_: storage)
        patch.setattr("penstock.run.timeline.storage_of", lambda *_: storage)
        found = read_calendar(settings, PIPELINE, whole[-1].end or FIRST)
    assert found.counts == {"open": windows - live, "interrupted": live}  # two days late
    assert len(account.asked) <= 3 * windows / 1_000, account.asked
    assert newest(storage, f"{state}/snapshots/{GROUP}").windows == windows - live


@pytest.mark.usefixtures("own_project")
def test_commands_of_the_ledger_reach_s3(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``status`` answers, and makes no folder of that name."""
    from tests.flow.project import make

    make(tmp_path, 3)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    words = ["--project", str(tmp_path), "--set", "state=s3://state/commands"]
    words += ["--set", "aws.embedded=false", "--set", f"aws.endpoint_url={account.url}"]
    assert run(["status", *words]) == 0
    assert not (tmp_path / "s3:").exists()

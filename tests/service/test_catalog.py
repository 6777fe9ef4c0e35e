"""Glue tables registered and resolved through boto3 against the embedded AWS."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from penstock import aws
from penstock.catalog import Retry, ensure_database, register, resolve, table_input
from penstock.contract import Feature, FeatureGroup, FeatureType
from penstock.emulator.faults import Faults, Reply, Rule, denied
from penstock.emulator.server import Emulator
from penstock.errors import CredentialsError, TemporaryError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GROUP = FeatureGroup(
    name="status",
    record_identifier="flight",
    event_time="at",
    features=(Feature("flight", FeatureType.STRING), Feature("at", FeatureType.STRING)),
)
DB = "penstock_flights"


def _wanted(group: FeatureGroup = GROUP, table: str = "status") -> Any:
    return table_input(
        group, table=table, location="s3://lake/offline/status", meaning="0123456789abcdef"
    )


def _with(*names: str) -> FeatureGroup:
    more = tuple(Feature(name, FeatureType.INTEGRAL) for name in names)
    return replace(GROUP, features=GROUP.features + more)


def _error(code: str) -> Reply:
    return Reply(code, 400, json.dumps({"__type": code, "message": "scripted"}))


@dataclass(frozen=True)
class World:
    """The embedded AWS, its faults, a Glue client, and the sleeps that were asked for."""

    glue: Any
    faults: Faults
    slept: list[float]

    def retry(self, attempts: int = 6) -> Retry:
        """Retries that take no time."""
        return Retry(attempts, sleep=self.slept.append, draw=lambda: 1.0)

    def columns(self) -> list[str]:
        """Column names of the table as Glue has it."""
        table = self.glue.get_table(DatabaseName=DB, Name="status")["Table"]
        return [one["Name"] for one in table["StorageDescriptor"]["Columns"]]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An embedded AWS."""
    faults = Faults()
    with Emulator(tmp_path, faults=faults) as emulator:
        endpoint = aws.Endpoint(emulator.region, emulator.url, str(emulator.credentials_file))
        yield World(aws.client(endpoint, "glue"), faults, [])


def test_a_table_is_created_evolved_and_left_alone(world: World) -> None:
    """Created with its database, unchanged when it says it already, updated for a new feature."""
    first = register(world.glue, DB, _wanted(), world.retry())
    again = register(world.glue, DB, _wanted(), world.retry())
    assert (first.action, again.action) == ("created", "unchanged")
    assert first.version == again.version is not None
    evolved = register(world.glue, DB, _wanted(_with("gate")), world.retry())
    assert evolved.action == "updated"
    assert evolved.version != first.version
    assert world.columns()[-2:] == ["is_deleted", "gate"]
    assert register(world.glue, DB, _wanted(_with("gate")), world.retry()) == replace(
        evolved, action="unchanged"
    )
    assert not world.slept


@pytest.mark.shows("6.4")
def test_a_second_run_only_looks(world: World) -> None:
    """No call that changes anything, and nobody else's change is undone by the looking."""
    register(world.glue, DB, _wanted(), world.retry())
    asked: list[str] = []
    world.glue.meta.events.register(
        "before-send.glue", lambda event_name, **_: asked.append(event_name.rpartition(".")[2])
    )
    assert register(world.glue, DB, _wanted(), world.retry()).action == "unchanged"
    assert asked
    assert {one for one in asked if not one.startswith("Get")} == set()


@pytest.mark.shows("6.4")
def test_refusals_write_nothing(world: World) -> None:
    """A lost column and a table of somebody else leave the version as it was."""
    version = register(world.glue, DB, _wanted(_with("gate")), world.retry()).version
    with pytest.raises(UsageError, match="-gate bigint"):
        register(world.glue, DB, _wanted(), world.retry())
    with pytest.raises(UsageError, match="belongs to feature group 'status'"):
        register(world.glue, DB, _wanted(replace(GROUP, name="other")), world.retry())
    world.glue.create_table(DatabaseName=DB, TableInput={"Name": "theirs"})
    with pytest.raises(UsageError, match="was not made by penstock"):
        register(world.glue, DB, _wanted(table="theirs"), world.retry())
    assert world.glue.get_table(DatabaseName=DB, Name="status")["Table"]["VersionId"] == version


@pytest.mark.shows("6.4")
def test_two_writers_lose_nothing(world: World) -> None:
    """Writers that race with different additions end with all of them: the version is a lock."""
    register(world.glue, DB, _wanted(), world.retry())
    groups = [_with(f"f{n}") for n in range(4)]
    barrier = threading.Barrier(len(groups))

    def write(group: FeatureGroup) -> None:
        barrier.wait()
        wanted = _wanted(group)
        wanted["Parameters"]["penstock.columns"] = ""  # each knows only its own addition
        register(world.glue, DB, wanted, Retry(20, base_s=0.01))

    threads = [threading.Thread(target=write, args=(group,)) for group in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(world.columns()) >= {"f0", "f1", "f2", "f3"}


@pytest.mark.shows("5.6")
@pytest.mark.shows("6.4")
@pytest.mark.shows("6.6")
def test_t35_glue_faults_stale_version(world: World) -> None:
    """A change between look and write is refused by Glue, and the next try builds on it."""
    register(world.glue, DB, _wanted(), world.retry())
    rule = Rule(_error("ConcurrentModificationException"), operation="UpdateTable", first=1)
    world.faults.add(rule)
    assert register(world.glue, DB, _wanted(_with("gate")), world.retry()).action == "updated"
    assert world.slept == pytest.approx([0.2])


@pytest.mark.shows("5.6")
@pytest.mark.shows("6.6")
@pytest.mark.parametrize("code", ["AlreadyExistsException", "ThrottlingException"])
def test_t35_glue_faults_while_creating(world: World, code: str) -> None:
    """Whoever comes second compares with what the first made."""
    world.faults.add(Rule(_error(code), operation="CreateTable", first=1))
    assert register(world.glue, DB, _wanted(), world.retry()).action == "created"


@pytest.mark.shows("5.6")
@pytest.mark.shows("6.6")
def test_t35_glue_faults_that_do_not_pass(world: World) -> None:
    """After the last attempt: a temporary error, the sleeps as documented and no more."""
    world.faults.add(Rule(_error("ConcurrentModificationException"), operation="CreateTable"))
    with pytest.raises(TemporaryError, match="in 4 attempts: ConcurrentModification"):
        register(world.glue, DB, _wanted(), world.retry(attempts=4))
    assert world.slept == pytest.approx([0.2, 0.4, 0.8])


def test_what_glue_refuses_for_good_is_not_tried_again(world: World) -> None:
    """Denied and invalid requests end at once, each with its own exit code."""
    world.faults.add(Rule(denied(), operation="CreateDatabase"))
    with pytest.raises(CredentialsError):
        register(world.glue, DB, _wanted(), world.retry())
    world.faults.clear()
    world.faults.add(Rule(_error("InvalidInputException"), operation="CreateTable"))
    with pytest.raises(UsageError, match="InvalidInputException: scripted"):
        register(world.glue, DB, _wanted(), world.retry())
    assert not world.slept


def test_a_database_is_made_once(world: World) -> None:
    """True for who made it; somebody else's creation in between is no error."""
    assert ensure_database(world.glue, DB, world.retry())
    assert not ensure_database(world.glue, DB, world.retry())
    absent = Rule(_error("EntityNotFoundException"), operation="GetDatabase", first=1)
    world.faults.add(absent)
    assert not ensure_database(world.glue, DB, world.retry())


def test_a_registered_table_is_a_source(world: World) -> None:
    """What was registered is found again by its name, with format and path."""
    register(world.glue, DB, _wanted(), world.retry())
    found = resolve(world.glue, f"{DB}.status")
    assert (found.format, found.path) == ("delta", "s3://lake/offline/status")
    assert found.table == f"{DB}.status"


@pytest.mark.parametrize("name", [f"{DB}.nothing", "nowhere.status", "status", "a.b.c", "a."])
def test_an_unknown_table_is_said(world: World, name: str) -> None:
    """A wrong name, table or database: one line that names it."""
    register(world.glue, DB, _wanted(), world.retry())
    with pytest.raises(UsageError, match=name.replace(".", r"\.")):
        resolve(world.glue, name)

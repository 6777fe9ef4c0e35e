"""Feature groups that exist on the embedded AWS are adopted by the command, and nothing differs."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from penstock import aws, config
from penstock.cli.program import run
from penstock.emulator.server import Emulator
from penstock.project import load_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("own_project")

KEY = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
ROLE = "arn:aws:iam::000000000000:role/feature-store"
LOCAL = """lake: .penstock/lake
state: .penstock/state
aws:
  embedded: true
  region: us-east-1
"""
S3 = {"S3StorageConfig": {"S3Uri": "s3://lake/offline", "KmsKeyId": KEY}}
ONLINE = {"EnableOnlineStore": True}
#: Five groups as others make them.
FIVE: dict[str, dict[str, Any]] = {
    "orders": {
        "Description": 'Orders of "the" shop\'s """customers""" \\ today',
        "OnlineStoreConfig": {**ONLINE, "TtlDuration": {"Unit": "Weeks", "Value": 2}},
    },
    "clicks": {
        "event_time": "Fractional",
        "OnlineStoreConfig": ONLINE,
        "OfflineStoreConfig": S3,
        "RoleArn": ROLE,
    },
    "history": {"OfflineStoreConfig": S3, "RoleArn": ROLE},
    "sessions": {
        "event_time": "Fractional",
        "OnlineStoreConfig": {
            **ONLINE,
            "StorageType": "InMemory",
            "SecurityConfig": {"KmsKeyId": KEY},
        },
    },
    "2024-returns": {"OnlineStoreConfig": {**ONLINE, "StorageType": "Standard_V2"}},
}
NAMES = ["clicks", "group_2024_returns", "history", "orders", "sessions"]


def _request(name: str, *, event_time: str = "String", **more: Any) -> dict[str, Any]:
    kinds = {"id": "String", "at": event_time, "whole": "Integral", "real": "Fractional"}
    return {
        "FeatureGroupName": name,
        "RecordIdentifierFeatureName": "id",
        "EventTimeFeatureName": "at",
        "FeatureDefinitions": [
            {"FeatureName": one, "FeatureType": kind} for one, kind in kinds.items()
        ],
        **more,
    }


@contextmanager
def _sagemaker(root: Path) -> Iterator[Any]:
    """A client of the AWS the project's commands speak to."""
    with Emulator(root / ".penstock" / "aws", region="us-east-1") as emulator:
        endpoint = aws.Endpoint(emulator.region, emulator.url, str(emulator.credentials_file))
        yield aws.client(endpoint, "sagemaker")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with configuration and nothing else."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "base.yaml").write_text("project: shop\n", encoding="utf-8")
    (tmp_path / "conf" / "local.yaml").write_text(LOCAL, encoding="utf-8")
    return tmp_path


@pytest.fixture
def five(project: Path) -> Path:
    """The same, with five groups on its AWS."""
    with _sagemaker(project) as sagemaker:
        for name, more in FIVE.items():
            sagemaker.create_feature_group(**_request(name, **more))
    return project


def _files(root: Path) -> dict[str, bytes]:
    """What stands in conf and schemas."""
    paths = [one for part in ("conf", "schemas") for one in (root / part).rglob("*")]
    return {str(one.relative_to(root)): one.read_bytes() for one in paths if one.is_file()}


def _penstock(*words: str, root: Path) -> int:
    return run([*words, "--project", str(root)])


def _answer(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    return {one["group"]: one for one in json.loads(capsys.readouterr().out)}


@pytest.mark.shows("6.8")
def test_five_groups_are_adopted_and_nothing_differs(
    five: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Contracts and conf are written, provision --check reports no change, twice is once."""
    assert _penstock("adopt", "--json", root=five) == 0
    found = _answer(capsys)
    assert found.keys() == FIVE.keys()
    assert {one["action"] for one in found.values()} == {"adopt"}
    written = _files(five)
    modules = {f"schemas/{name}.py" for name in NAMES}
    conf = {"conf/base.yaml", "conf/local.yaml", "conf/local.adopted.yaml"}
    assert written.keys() == modules | conf | {"schemas/__init__.py"}

    assert _penstock("provision", "--check", "--json", root=five) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == [
        {"group": FIVE_BY_NAME[name], "agrees": True} for name in sorted(NAMES)
    ]
    assert not [line for line in said.err.splitlines() if line.startswith(("+", "!", "~"))]
    assert _penstock("provision", "--json", root=five) == 0
    assert {one["action"] for one in json.loads(capsys.readouterr().out)} == {"unchanged"}

    assert _penstock("adopt", "--json", root=five) == 0
    assert {one["action"] for one in _answer(capsys).values()} == {"keep"}
    assert _files(five) == written


FIVE_BY_NAME = {name: name for name in FIVE} | {"group_2024_returns": "2024-returns"}


def test_what_is_written_says_what_is_there(five: Path) -> None:
    """Types, times to live and texts in contracts; names, stores, keys and roles in conf."""
    assert _penstock("adopt", root=five) == 0
    groups = {name: one.group for name, one in load_project(five).pipelines.items()}
    assert groups["orders"].description == FIVE["orders"]["Description"]
    assert groups["orders"].ttl is not None
    assert groups["orders"].ttl.days == 14
    kinds = {name: one.feature("at").type.value for name, one in groups.items()}
    assert {name for name, kind in kinds.items() if kind == "Fractional"} == {"clicks", "sessions"}
    assert {one.names for one in groups.values()} == {("id", "at", "whole", "real")}
    place = config.load(five / "conf", "local").group
    assert not any(place(name).manage for name in NAMES)
    stores = {name: (place(name).stores, place(name).owner) for name in NAMES}
    assert stores == {
        "clicks": ("both", "service"),
        "group_2024_returns": ("online", "direct"),
        "history": ("offline", "service"),
        "orders": ("online", "direct"),
        "sessions": ("online", "direct"),
    }
    assert (place("clicks").s3_uri, place("clicks").role_arn) == ("s3://lake/offline", ROLE)
    assert (place("sessions").storage_type, place("sessions").kms_key) == ("InMemory", KEY)
    assert place("group_2024_returns").physical == "2024-returns"
    text = (five / "conf" / "local.adopted.yaml").read_text(encoding="utf-8")
    assert text.count("To take it over: true") == 5
    assert "feature-group/clicks" in text


def test_groups_are_adopted_one_by_one(five: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By name or ARN; the file in conf grows and keeps what a person wrote into it."""
    arn = "arn:aws:sagemaker:us-east-1:000000000000:feature-group/2024-returns"
    assert _penstock("adopt", arn, root=five) == 0
    conf = five / "conf" / "local.adopted.yaml"
    mine = conf.read_text(encoding="utf-8").replace("stores: online", "stores: both  # mine")
    conf.write_text(mine, encoding="utf-8")
    assert _penstock("adopt", "orders", "history", root=five) == 0
    grown = conf.read_text(encoding="utf-8")
    assert grown.startswith(mine)
    assert list(yaml.safe_load(grown)["groups"]) == ["group_2024_returns", "history", "orders"]
    assert config.load(five / "conf", "local").group("group_2024_returns").physical == arn
    capsys.readouterr()
    assert _penstock("adopt", "nope", root=five) == 2
    assert capsys.readouterr().err.endswith(
        "there is no feature group 'nope'. Check the name, aws.region, the profile and --env\n"
    )


def test_a_dry_run_prints_and_writes_nothing(
    five: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files as they would be."""
    before = _files(five)
    assert _penstock("adopt", "orders", "--dry-run", root=five) == 0
    said = capsys.readouterr().out
    assert 'GROUP = FeatureGroup(\n    name="orders",' in said
    assert "groups:\n" in said
    assert "Nothing was written." in said
    assert _files(five) == before


def test_what_cannot_be_adopted_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No group at all, a collection, a file that is there: exit 2, the reason, nothing written."""
    assert _penstock("adopt", root=project) == 2
    assert "there are no feature groups on this account" in capsys.readouterr().err
    lists = _request("baskets", OnlineStoreConfig={**ONLINE, "StorageType": "InMemory"})
    lists["FeatureDefinitions"][3]["CollectionType"] = "List"
    with _sagemaker(project) as sagemaker:
        sagemaker.create_feature_group(**lists)
        sagemaker.create_feature_group(**_request("orders", OnlineStoreConfig=ONLINE))
        sagemaker.create_feature_group(**_request("a-b", OnlineStoreConfig=ONLINE))
        sagemaker.create_feature_group(**_request("a_b", OnlineStoreConfig=ONLINE))
    (project / "schemas").mkdir()
    (project / "schemas" / "__init__.py").write_text("", encoding="utf-8")
    (project / "schemas" / "orders.py").write_text("MINE = 1\n", encoding="utf-8")
    before = _files(project)
    assert _penstock("adopt", "baskets", "orders", "--json", root=project) == 2
    found = _answer(capsys)
    assert found["baskets"]["reason"] == "contracts have no collections and no vectors: real"
    assert found["orders"]["reason"] == "schemas/orders.py is there and stays as it is"
    assert _files(project) == before
    assert _penstock("adopt", "--json", root=project) == 0
    found = _answer(capsys)
    assert (found["a_b"]["action"], found["a_b"]["file"]) == ("adopt", "schemas/a_b.py")
    assert found["a-b"]["reason"] == "another contract is called 'a_b'"
    assert (project / "schemas" / "orders.py").read_text(encoding="utf-8") == "MINE = 1\n"

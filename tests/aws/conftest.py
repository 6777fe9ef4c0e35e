"""Where the conformance suite runs, its one feature group, and what it found out.

``PENSTOCK_TEST_AWS=1`` runs it on the account that boto3 finds (profile, role, Region); it makes
one feature group of its own, without an offline store, and deletes it. Otherwise it runs on the
embedded AWS, and says so.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from penstock.emulator.server import Emulator

VARIABLE = "PENSTOCK_TEST_AWS"
DEFINITIONS = {"id": "String", "t": "String", "text": "String", "n": "Integral", "x": "Fractional"}
#: What the suite found out about questions that no document answers, by question.
FOUND: dict[str, str] = {}


@dataclass(frozen=True)
class World:
    """One AWS and the suite's feature group in it.

    Args:
        real: Whether it is a real account.
        control: boto3 client of SageMaker.
        runtime: boto3 client of the Feature Store runtime.
        group: Name of the group.
        arn: Its ARN.
    """

    real: bool
    control: Any
    runtime: Any
    group: str
    arn: str

    def put(self, identifier: str, moment: str, *, options: Any = None, **values: str) -> None:
        """PutRecord of these values."""
        features = record(id=identifier, t=moment, **values)
        self.runtime.put_record(FeatureGroupName=self.group, Record=features, **options or {})

    def get(self, identifier: str, **options: Any) -> dict[str, str]:
        """GetRecord as a mapping, empty where there is no record."""
        answer = self.runtime.get_record(
            FeatureGroupName=self.group, RecordIdentifierValueAsString=identifier, **options
        )
        return {one["FeatureName"]: one["ValueAsString"] for one in answer.get("Record", [])}

    def described(self) -> dict[str, Any]:
        """DescribeFeatureGroup."""
        found: dict[str, Any] = self.control.describe_feature_group(FeatureGroupName=self.group)
        return found

    def settled(self) -> dict[str, Any]:
        """The description once nothing is being created or updated any more."""

        def busy() -> bool:
            found = self.described()
            status: str = found["FeatureGroupStatus"]
            update: str | None = found.get("LastUpdateStatus", {}).get("Status")
            return status == "Creating" or update == "InProgress"

        eventually(busy, wanted=False, seconds=600)
        return self.described()


def record(**values: str) -> list[dict[str, str]]:
    """A record by feature name and text."""
    return [{"FeatureName": name, "ValueAsString": value} for name, value in values.items()]


def fresh() -> str:
    """A record identifier that nobody used."""
    return uuid.uuid4().hex


def eventually(call: Callable[[], object], *, wanted: object, seconds: float = 15) -> None:
    """Assert the value of a call, now or a little later: reads of AWS may lag behind writes."""
    until = time.monotonic() + seconds
    while (found := call()) != wanted and time.monotonic() < until:
        time.sleep(0.2)
    assert found == wanted


def code(call: Callable[[], object]) -> str:
    """The error code of a call that must be refused; both spellings of a validation are one."""
    with pytest.raises(ClientError) as caught:
        call()
    found: str = caught.value.response["Error"]["Code"]
    return "ValidationError" if found == "ValidationException" else found


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The AWS under test, with the suite's own group, which is deleted whatever happens."""
    factory: Callable[..., Any] = boto3.client
    if os.environ.get(VARIABLE) == "1":
        yield from _with_group(factory("sagemaker"), factory(_RUNTIME), real=True)
        return
    with Emulator(tmp_path_factory.mktemp("conformance")) as emulator:
        where = {
            "region_name": emulator.region,
            "endpoint_url": emulator.url,
            "aws_access_key_id": emulator.access_key,
            "aws_secret_access_key": emulator.secret_key,
        }
        clients = factory("sagemaker", **where), factory(_RUNTIME, **where)
        yield from _with_group(*clients, real=False)


_RUNTIME = "sagemaker-featurestore-runtime"


def _with_group(control: Any, runtime: Any, *, real: bool) -> Iterator[World]:
    name = f"Penstock-Conformance-{uuid.uuid4().hex[:12]}"
    arn = control.create_feature_group(
        FeatureGroupName=name,
        RecordIdentifierFeatureName="id",
        EventTimeFeatureName="t",
        FeatureDefinitions=[
            {"FeatureName": one, "FeatureType": kind} for one, kind in DEFINITIONS.items()
        ],
        OnlineStoreConfig={"EnableOnlineStore": True, "StorageType": "Standard_V2"},
        Tags=[{"Key": "penstock", "Value": "conformance"}],
    )["FeatureGroupArn"]
    world = World(real, control, runtime, name, arn)
    try:
        world.settled()
        yield world
    finally:
        control.delete_feature_group(FeatureGroupName=name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the suite ran, and what it found out."""
    where = "a real account" if os.environ.get(VARIABLE) == "1" else "emulator only"
    hint = "" if where != "emulator only" else f"; set {VARIABLE}=1 to run it on a real account"
    terminalreporter.write_line(f"conformance suite: {where}{hint}")
    for question, answer in FOUND.items() if where != "emulator only" else ():
        terminalreporter.write_line(f"  {question}: {answer}")

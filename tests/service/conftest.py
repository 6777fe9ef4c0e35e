"""The embedded AWS, and boto3 clients of it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from penstock.emulator.server import Emulator

_SESSION = boto3.Session()
# botocore's own checks are off: the server's are under test.
_ONCE = Config(
    retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5, parameter_validation=False
)


def pytest_configure(config: pytest.Config) -> None:
    """The mark that ties a test to rows of the embedded AWS's rule tables."""
    text = "rule(operation: rule, ...): rules of penstock.emulator that the test proves"
    config.addinivalue_line("markers", text)


#: How tests call operations that came late to the service's model, or name them.
_LATE = {
    "BatchWriteRecord": r"batch_write|BatchWrite|\bbatch\b",
    "ListRecords": r"list_records|ListRecords",
    # Standard_V2, which one of the five groups of test_adopting has, came with it.
    "UpdateRecord": r"update_record|UpdateRecord|correct|\bFIVE\b",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An old boto3 lacks operations, and the embedded AWS then too: tests that name them wait."""
    client = _SESSION.client("sagemaker-featurestore-runtime", "us-east-1")
    known = set(client.meta.service_model.operation_names)
    for item in items:
        if not isinstance(item, pytest.Function) or item.path.parent != Path(__file__).parent:
            continue
        fixtures = item._fixtureinfo.name2fixturedefs.values()
        own = [one.func for found in fixtures for one in found if one.baseid.endswith(".py")]
        text = " ".join([item.name, *map(inspect.getsource, (item.function, *own))])
        for operation, named in _LATE.items():
            if operation not in known and re.search(named, text):
                item.add_marker(pytest.mark.skip(f"this boto3 does not know {operation}"))


class Aws:
    """boto3 clients of one embedded AWS, and shorthands for what tests do all the time."""

    def __init__(self, url: str, access_key: str, secret_key: str) -> None:
        self.url = url
        self.credentials = Credentials(access_key, secret_key)
        self.runtime: Any = self.client("sagemaker-featurestore-runtime", access_key, secret_key)
        self.control: Any = self.client("sagemaker", access_key, secret_key)
        self.glue: Any = self.client("glue", access_key, secret_key)
        self.sts: Any = self.client("sts", access_key, secret_key)

    def client(self, name: str, access_key: str, secret_key: str) -> Any:
        """A client that tries once."""
        factory: Callable[..., Any] = _SESSION.client
        return factory(
            name,
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=_ONCE,
        )

    def create(self, name: str = "g", *, event_time: str = "String", **changes: Any) -> None:
        """A group with features id, t, text, whole and real, online unless told otherwise."""
        types = {"id": "String", "t": event_time, "text": "String", "whole": "Integral"}
        request = {
            "FeatureGroupName": name,
            "RecordIdentifierFeatureName": "id",
            "EventTimeFeatureName": "t",
            "FeatureDefinitions": definitions(**types, real="Fractional"),
            "OnlineStoreConfig": {"EnableOnlineStore": True},
        }
        self.control.create_feature_group(**request | changes)

    def put(self, group: str = "g", *, options: Any = None, **values: Any) -> None:
        """PutRecord of these feature values."""
        self.runtime.put_record(FeatureGroupName=group, Record=record(**values), **options or {})

    def get(self, identifier: str = "1", group: str = "g") -> dict[str, str] | None:
        """GetRecord as a mapping, None when there is no record."""
        found = self.runtime.get_record(
            FeatureGroupName=group, RecordIdentifierValueAsString=identifier
        )
        return values_of(found["Record"]) if "Record" in found else None


def definitions(**types: str) -> list[dict[str, str]]:
    """Feature definitions by name and type."""
    return [{"FeatureName": name, "FeatureType": kind} for name, kind in types.items()]


def record(**values: str) -> list[dict[str, str]]:
    """A record by feature name and text."""
    return [{"FeatureName": name, "ValueAsString": value} for name, value in values.items()]


def values_of(features: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The reverse of ``record``."""
    return {one["FeatureName"]: one.get("ValueAsString") for one in features}


def refusal(call: Callable[[], object]) -> tuple[int, str]:
    """HTTP status and error code of a call that must be refused, with a request id."""
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    """An embedded AWS of its own for the test, with a journal."""
    with Emulator(tmp_path / "aws", journal=True) as running:
        yield running


@pytest.fixture
def aws(emulator: Emulator) -> Aws:
    """Clients of ``emulator``."""
    return Aws(emulator.url, emulator.access_key, emulator.secret_key)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """Clients of one embedded AWS for all tests of a module."""
    with Emulator(tmp_path_factory.mktemp("aws")) as running:
        yield Aws(running.url, running.access_key, running.secret_key)

"""What AWS answers in pages is read to the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from penstock.errors import CredentialsError
from penstock.existing import describe, listed

ARN = "arn:aws:sagemaker:us-east-1:000000000000:feature-group/"


@contextmanager
def _stubbed() -> Iterator[tuple[Any, Stubber]]:
    """A client that reaches nothing, and what it is to answer; all of it must be asked for."""
    client: Any = boto3.client(
        "sagemaker", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()


def _summaries(*names: str) -> list[dict[str, Any]]:
    return [
        {"FeatureGroupName": one, "FeatureGroupArn": f"{ARN}{one}", "CreationTime": 0}
        for one in names
    ]


def _page(*names: str, **more: str) -> dict[str, Any]:
    return {
        "FeatureGroupArn": f"{ARN}g",
        "FeatureGroupName": "g",
        "RecordIdentifierFeatureName": "a",
        "EventTimeFeatureName": "b",
        "CreationTime": 0,
        "NextToken": "",
        "FeatureDefinitions": [{"FeatureName": one, "FeatureType": "String"} for one in names],
        **more,
    }


def test_all_pages_of_groups_are_listed() -> None:
    """Sorted, whatever order they come in."""
    with _stubbed() as (client, stub):
        first = {"FeatureGroupSummaries": _summaries("c", "a"), "NextToken": "t"}
        stub.add_response("list_feature_groups", first, {})
        last = {"FeatureGroupSummaries": _summaries("b")}
        stub.add_response("list_feature_groups", last, {"NextToken": "t"})
        assert listed(client) == ["a", "b", "c"]


def test_all_pages_of_features_are_described() -> None:
    """In the order they come."""
    with _stubbed() as (client, stub):
        stub.add_response(
            "describe_feature_group", _page("a", "b", NextToken="t"), {"FeatureGroupName": "g"}
        )
        more = {"FeatureGroupName": "g", "NextToken": "t"}
        stub.add_response("describe_feature_group", _page("c"), more)
        found = describe(client, "g")
    assert found is not None
    assert [one["FeatureName"] for one in found["FeatureDefinitions"]] == ["a", "b", "c"]


def test_a_group_that_is_not_there_is_none_and_a_denial_is_said() -> None:
    """The list cannot be read without the right to."""
    with _stubbed() as (client, stub):
        stub.add_client_error("describe_feature_group", "ResourceNotFound")
        assert describe(client, "g") is None
        stub.add_client_error("list_feature_groups", "AccessDeniedException")
        with pytest.raises(CredentialsError, match="ListFeatureGroups: AccessDeniedException"):
            listed(client)

"""The Data Catalog and STS of the embedded AWS, seen through boto3."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service.conftest import Aws, refusal


def _table(name: str = "Flights", **more: Any) -> dict[str, Any]:
    columns = [{"Name": "id", "Type": "string"}]
    storage = {"Columns": columns, "Location": "s3://bucket/flights"}
    return {"Name": name, "StorageDescriptor": storage, **more}


@pytest.fixture
def glue(aws: Aws) -> Any:
    """A Glue client with the database db in it."""
    aws.glue.create_database(DatabaseInput={"Name": "DB", "Description": "one"})
    return aws.glue


@pytest.mark.rule("Glue: databases and tables by lower-case names")
def test_databases(glue: Any) -> None:
    """Names are lower-cased; a second creation is refused; what is not there is not found."""
    assert glue.get_database(Name="Db")["Database"]["Name"] == "db"
    assert glue.get_database(Name="db")["Database"]["Description"] == "one"
    assert [one["Name"] for one in glue.get_databases()["DatabaseList"]] == ["db"]
    with pytest.raises(glue.exceptions.AlreadyExistsException):
        glue.create_database(DatabaseInput={"Name": "db"})
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_database(Name="other")
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.create_table(DatabaseName="other", TableInput=_table())


def test_tables(glue: Any) -> None:
    """A table comes back as it was sent, under its lower-case name."""
    sent = _table(Parameters={"classification": "delta"}, TableType="EXTERNAL_TABLE")
    glue.create_table(DatabaseName="DB", TableInput=sent)
    found = glue.get_table(DatabaseName="db", Name="FLIGHTS")["Table"]
    assert found["Name"] == "flights"
    assert found["StorageDescriptor"] == sent["StorageDescriptor"]
    assert found["Parameters"] == sent["Parameters"]
    with pytest.raises(glue.exceptions.AlreadyExistsException):
        glue.create_table(DatabaseName="db", TableInput=_table("flights"))
    glue.create_table(DatabaseName="db", TableInput=_table("weather"))
    names = [t["Name"] for t in glue.get_tables(DatabaseName="db", Expression="w.*")["TableList"]]
    assert names == ["weather"]
    glue.delete_table(DatabaseName="db", Name="Flights")
    for call in (glue.get_table, glue.delete_table):
        with pytest.raises(glue.exceptions.EntityNotFoundException):
            call(DatabaseName="db", Name="flights")


@pytest.mark.rule("Glue: a stale VersionId is ConcurrentModificationException")
def test_stale_version_is_refused(glue: Any) -> None:
    """VersionId counts up; an update with another than the current one changes nothing."""
    glue.create_table(DatabaseName="db", TableInput=_table())
    version = glue.get_table(DatabaseName="db", Name="flights")["Table"]["VersionId"]
    glue.update_table(DatabaseName="db", TableInput=_table(Owner="first"), VersionId=version)
    with pytest.raises(glue.exceptions.ConcurrentModificationException):
        glue.update_table(DatabaseName="db", TableInput=_table(Owner="late"), VersionId=version)
    found = glue.get_table(DatabaseName="db", Name="flights")["Table"]
    assert (found["Owner"], int(found["VersionId"])) == ("first", int(version) + 1)
    glue.update_table(DatabaseName="db", TableInput=_table(Owner="no lock"))
    assert glue.get_table(DatabaseName="db", Name="flights")["Table"]["Owner"] == "no lock"
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.update_table(DatabaseName="db", TableInput=_table("other"))


@pytest.mark.rule("Glue: partitions, filtered by equality")
def test_partitions(glue: Any) -> None:
    """Partitions are registered once, paged and filtered by equality."""
    keys = [{"Name": "year", "Type": "string"}, {"Name": "month", "Type": "string"}]
    glue.create_table(DatabaseName="db", TableInput=_table(PartitionKeys=keys))
    where = {"DatabaseName": "db", "TableName": "flights"}
    sent = [{"Values": ["2013", f"{month:02}"]} for month in range(1, 13)]
    assert glue.batch_create_partition(**where, PartitionInputList=sent)["Errors"] == []
    again = glue.batch_create_partition(
        **where, PartitionInputList=[sent[0], {"Values": ["2014", "01"]}, {"Values": ["2014"]}]
    )
    assert [(e["PartitionValues"], e["ErrorDetail"]["ErrorCode"]) for e in again["Errors"]] == [
        (["2013", "01"], "AlreadyExistsException"),
        (["2014"], "InvalidInputException"),
    ]
    pages = glue.get_paginator("get_partitions").paginate(**where, MaxResults=5)
    assert len([one for page in pages for one in page["Partitions"]]) == 13
    found = glue.get_partitions(**where, Expression="year = '2013' AND month='02'")["Partitions"]
    assert [one["Values"] for one in found] == [["2013", "02"]]
    assert refusal(lambda: glue.get_partitions(**where, Expression="year > '2013'"))[0] == 400


@pytest.mark.rule("Glue: the shapes of the model")
def test_shapes_are_enforced(glue: Any) -> None:
    """What breaks the model is InvalidInputException; an operation that lacks is unknown."""
    for bad in ({"Name": ""}, {"Name": "x" * 300}, {"Name": "t", "Retention": "long"}, {}):
        call = lambda sent=bad: glue.create_table(DatabaseName="db", TableInput=sent)  # noqa: E731 - bound now
        assert refusal(call) == (400, "InvalidInputException")
    assert refusal(glue.get_crawlers) == (400, "UnknownOperationException")


@pytest.mark.rule("STS: GetCallerIdentity of one account")
def test_caller_identity(aws: Aws) -> None:
    """STS knows one account."""
    found = aws.sts.get_caller_identity()
    assert found["Account"] == "000000000000"
    assert found["Arn"].startswith("arn:aws:iam::000000000000:")
    assert refusal(aws.sts.get_session_token)[1] == "UnknownOperationException"

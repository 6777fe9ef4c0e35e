"""Reading the online store over HTTP: what boto3 wrote is found, listed, and found under faults."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.aws import Endpoint
from penstock.emulator import faults
from penstock.emulator.server import Emulator
from penstock.online.asking import ReadJob, UnknownOperationError
from penstock.online.listing import identifiers
from penstock.online.lookup import records
from tests.service.conftest import Aws

NAMES = [f"k{n:03d}" for n in range(230)]
AT = "2024-05-01T00:00:00Z"


@pytest.fixture(params=["fast", "plain"])
def job(request: pytest.FixtureRequest, emulator: Emulator, aws: Aws) -> ReadJob:
    """A group of 230 records, one of which is deleted, and how it is read on either transport."""
    aws.create()
    for n in range(0, len(NAMES), 25):
        entries: list[Any] = [
            {
                "FeatureGroupName": "g",
                "Record": [
                    {"FeatureName": "id", "ValueAsString": one},
                    {"FeatureName": "t", "ValueAsString": AT},
                    {"FeatureName": "text", "ValueAsString": f"é {one}"},
                ],
            }
            for one in NAMES[n : n + 25]
        ]
        aws.runtime.batch_write_record(Entries=entries)
    aws.runtime.delete_record(
        FeatureGroupName="g", RecordIdentifierValueAsString="k007", EventTime="2024-05-02T00:00:00Z"
    )
    endpoint = Endpoint(emulator.region, emulator.url, str(emulator.credentials_file))
    return ReadJob(endpoint, "g", transport=request.param)


def test_records_are_found_and_listed(emulator: Emulator, job: ReadJob) -> None:
    """A deleted one is in neither answer; nor is one that never was."""
    there = sorted(set(NAMES) - {"k007"})
    found = records(job, [*NAMES, "nobody"])
    assert sorted(found) == there
    assert found["k001"] == ({"id": "k001", "t": AT, "text": "é k001"}, None)
    pages = list(identifiers(job))
    assert [len(one) for one in pages] == [100, 100, 29]
    assert sorted(one for page in pages for one in page) == there
    assert not emulator.faults


FAULTS: dict[str, faults.Action] = {
    "throttled": faults.throttled("exception"),
    "500": faults.failing(500),
    "reset": faults.reset_after(),
    "truncated": faults.truncated(),
    "unprocessed": faults.unprocessed(),
    "refused for now": faults.refused("InternalFailure", "later"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_that_pass_leave_no_record_out(emulator: Emulator, job: ReadJob, name: str) -> None:
    """Half of the calls go wrong, by ones."""
    rule = faults.Rule(FAULTS[name], every=2)
    emulator.faults.add(rule)
    assert len(records(job, NAMES)) == len(NAMES) - 1
    assert sum(map(len, identifiers(job))) == len(NAMES) - 1
    assert emulator.faults.strikes[rule]


def test_a_service_without_listing_is_told_apart(emulator: Emulator, job: ReadJob) -> None:
    """As an older one answers that does not know the operation."""
    unknown = faults.Reply("unknown", 404, "{}", "UnknownOperationException")
    emulator.faults.add(faults.Rule(unknown, operation="ListRecords"))
    with pytest.raises(UnknownOperationError, match="does not know ListRecords"):
        list(identifiers(job))

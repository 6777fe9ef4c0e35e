"""Schedules on moto's EventBridge Scheduler: applied twice, changed, removed; others left alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from penstock.cli.program import run, submitted
from penstock.schedule.command import SCHEDULED
from tests.models import lowered
from tests.service.moto import served

ROLE = "arn:aws:iam::123456789012:role/penstock"
GROUP = "penstock-flights-aws"
BASE = f"""project: flights
aws:
  region: eu-west-1
scheduler:
  role_arn: {ROLE}
  glue:
    job: ingest
"""
NIGHTLY = """schedules:
  nightly:
    groups: [flight_status]
    window: day
    delay: 3h
    target: glue
"""


@dataclass(frozen=True)
class Account:
    """An AWS account that moto plays, and a project's configuration."""

    url: str
    folder: Path

    def client(self, service: str) -> Any:
        """A boto3 client of it."""
        session: Any = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x")
        return session.client(service, region_name="eu-west-1", endpoint_url=self.url)

    def penstock(self, conf: str, *words: str, environment: str = "aws") -> int:
        """``penstock schedule`` with this configuration."""
        (self.folder / "base.yaml").write_text(BASE, encoding="utf-8")
        (self.folder / f"{environment}.yaml").write_text(conf, encoding="utf-8")
        place = ["--env", environment, "--conf", str(self.folder)]
        place += ["--project", str(Path(__file__).parents[2])]
        for key, value in {"state": "state", "lake": "lake"}.items():
            place += ["--set", f"{key}={self.folder / value}"]
        return run(["schedule", *words, *place, "--set", f"aws.endpoint_url={self.url}"])

    def entry(self, name: str = "nightly") -> dict[str, Any]:
        """What GetSchedule answers."""
        return dict(self.client("scheduler").get_schedule(Name=name, GroupName=GROUP))


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Address of a moto server."""
    with served() as url:
        yield url


@pytest.fixture
def account(moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account without schedules."""
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "x")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    found = Account(moto, tmp_path)
    scheduler = found.client("scheduler")
    for one in scheduler.list_schedules()["Schedules"]:
        scheduler.delete_schedule(Name=one["Name"], GroupName=one["GroupName"])
    return found


def test_applied_once_it_is_there_and_applied_again_nothing_is_written(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    """What GetSchedule answers is the request that ``show`` printed."""
    assert account.penstock(NIGHTLY, "show", "--json") == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert account.penstock(NIGHTLY, "apply", "--check") == 2
    assert f"nightly in {GROUP}: is not there" in capsys.readouterr().out
    assert account.client("scheduler").list_schedules()["Schedules"] == []
    assert account.penstock(NIGHTLY, "apply") == 0
    assert f"nightly in {GROUP}: created" in capsys.readouterr().out
    there = account.entry()
    assert {key: there[key] for key in shown["request"]} == shown["request"]
    assert account.penstock(NIGHTLY, "apply", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["action"] for one in said["entries"]] == ["none"]
    assert account.entry()["LastModificationDate"] == there["LastModificationDate"]
    assert account.penstock(NIGHTLY, "apply", "--check") == 0


def test_a_change_is_shown_key_by_key_and_then_made(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--check`` says it with exit code 2 and writes nothing; what was done by hand is undone."""
    assert account.penstock(NIGHTLY, "apply") == 0
    scheduler = account.client("scheduler")
    by_hand = {key: account.entry()[key] for key in ("Name", "GroupName", "Target", "Description")}
    scheduler.update_schedule(
        **by_hand,
        ScheduleExpression="cron(0 3 * * ? *)",
        ScheduleExpressionTimezone="UTC",
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5},
        State="DISABLED",
    )
    changed = NIGHTLY.replace("3h", "4h")
    capsys.readouterr()
    assert account.penstock(changed, "apply", "--check") == 2
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"nightly in {GROUP}: differs"
    assert '  FlexibleTimeWindow.Mode: "FLEXIBLE" → "OFF"' in said
    assert "  FlexibleTimeWindow.MaximumWindowInMinutes: 5 → null" in said
    assert '  State: "DISABLED" → "ENABLED"' in said
    assert '  ScheduleExpression: "cron(0 3 * * ? *)" → "cron(0 4 * * ? *)"' in said
    assert any(line.startswith("  Target.Input.Arguments.--penstock: ") for line in said)
    assert len(said) == 6
    assert account.entry()["State"] == "DISABLED"
    assert account.penstock(changed, "apply") == 0
    assert account.entry()["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert account.penstock(changed, "apply", "--check") == 0


def test_what_somebody_else_made_is_left_alone(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither overwritten nor removed, also where it stands in our group."""
    assert account.penstock(NIGHTLY.replace("nightly", "ours"), "apply") == 0
    foreign = {**account.entry("ours"), "Name": "nightly", "Description": "mine"}
    keys = ("Name", "GroupName", "Description", "ScheduleExpression", "FlexibleTimeWindow")
    request = {key: foreign[key] for key in (*keys, "Target")}
    account.client("scheduler").create_schedule(**request)
    for words in (["apply"], ["apply", "--check"], ["remove", "nightly"]):
        capsys.readouterr()
        assert account.penstock(NIGHTLY, *words) == 2
        assert f"'nightly' in group '{GROUP}' was not made by penstock" in capsys.readouterr().err
    assert account.penstock(NIGHTLY, "remove", "--all") == 0
    assert capsys.readouterr().out == "ours: removed\n"
    assert account.entry()["Description"] == "mine"


def test_what_conf_no_longer_names_is_listed_and_removed_by_name(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    """Removing what is not there is no error; entries of another environment are not touched."""
    both = NIGHTLY + NIGHTLY.partition("\n")[2].replace("nightly", "old")
    assert account.penstock(both, "apply") == 0
    assert account.penstock(NIGHTLY, "apply", environment="test") == 0
    capsys.readouterr()
    assert account.penstock(NIGHTLY, "apply") == 0
    left = f"old of {GROUP} is not in conf any more: penstock schedule remove old --env aws"
    assert left in capsys.readouterr().out
    assert account.penstock(NIGHTLY, "remove", "old") == 0
    assert account.penstock(NIGHTLY, "remove", "old", "--json") == 0
    said = capsys.readouterr().out
    assert said.startswith("old: removed\n")
    assert json.loads(said.partition("\n")[2]) == [{"schedule": "old", "removed": False}]
    assert account.penstock(NIGHTLY, "apply", "--json") == 0
    assert json.loads(capsys.readouterr().out)["left_over"] == []
    assert account.penstock("", "remove", "--all") == 0
    assert account.penstock("", "remove", "--all") == 0
    assert "has nothing of penstock's" in capsys.readouterr().out
    there = account.client("scheduler").list_schedules()["Schedules"]
    assert [one["GroupName"] for one in there] == ["penstock-flights-test"]


def test_the_input_of_an_entry_starts_the_job(account: Account) -> None:
    """As Scheduler would: placeholders filled in, the operation called; the arguments arrive."""
    assert account.penstock(NIGHTLY, "apply") == 0
    given = json.loads(
        account.entry()["Target"]["Input"].replace(SCHEDULED, "2024-01-02T03:00:00Z")
    )
    glue = account.client("glue")
    glue.create_job(Name="ingest", Role=ROLE, Command={"Name": "glueetl"})
    started = glue.start_job_run(**given)
    kept = glue.get_job_run(JobName="ingest", RunId=started["JobRunId"])["JobRun"]["Arguments"]
    arguments = submitted([word for pair in kept.items() for word in pair])
    assert arguments[:5] == [
        *("flight_status", "--scheduled-time", "2024-01-02T03:00:00Z", "--window", "day")
    ]
    emr = account.client("emr-serverless")
    made = emr.create_application(name="penstock", releaseLabel="emr-7.13.0", type="SPARK")
    conf = (
        NIGHTLY.replace("glue", "emr-serverless")
        + f"""scheduler:
  emr_serverless:
    application_id: {made["applicationId"]}
    execution_role_arn: {ROLE}
    entry_point: s3://bucket/jobs/ingest.py
"""
    )
    assert account.penstock(conf, "apply") == 0
    text = account.entry()["Target"]["Input"].replace(
        "<aws.scheduler.execution-id>", "d32c5kddcf5b"
    )
    begun = emr.start_job_run(**lowered(json.loads(text)))
    job = emr.get_job_run(applicationId=made["applicationId"], jobRunId=begun["jobRunId"])["jobRun"]
    assert job["jobDriver"]["sparkSubmit"]["entryPointArguments"][:2] == [
        *("flight_status", "--scheduled-time")
    ]

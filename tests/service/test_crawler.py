"""The crawler and its role on moto's Glue and IAM: applied twice, changed by hand, removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest

from penstock.cli.program import run
from penstock.config import load
from penstock.crawler import installation
from penstock.crawler.definition import definition, names
from penstock.crawler.place import Account
from tests.service.moto import served

CRAWLER = "penstock-flights-aws"
ROLE = "penstock-flights-aws-crawler"
POLICY = "penstock-crawler"
THEIRS = "arn:aws:iam::123456789012:policy/theirs"
WIDE: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}
MINE = Account("123456789012", "eu-west-1")
BASE = """project: flights
lake: s3://bucket/lake
aws:
  region: eu-west-1
catalog:
  crawler:
    enabled: true
    schedule: cron(30 4 * * ? *)
"""
#: moto has no UpdateCrawler and no state of a schedule, so both are added to it, by the API
#: reference: what a request leaves out stays.
_ADDED = """
import re
from moto.core.responses import EmptyResult
from moto.glue.models import FakeCrawler
from moto.glue.responses import GlueResponse

def update_crawler(self):
    one = self.glue_backend.get_crawler(self.parameters["Name"])
    for key, value in self.parameters.items():
        setattr(one, re.sub("(?<!^)[A-Z]", lambda found: "_" + found[0], key).lower(), value)
    one.version += 1
    return EmptyResult()

def schedule_state(state):
    def act(self):
        self.glue_backend.get_crawler(self.parameters["CrawlerName"]).schedule_state = state
        return EmptyResult()
    return act

plain = FakeCrawler.as_dict
def as_dict(self):
    found = plain(self)
    found.get("Schedule", {}).update(State=getattr(self, "schedule_state", "SCHEDULED"))
    return found

FakeCrawler.as_dict = as_dict
GlueResponse.update_crawler = update_crawler
GlueResponse.start_crawler_schedule = schedule_state("SCHEDULED")
GlueResponse.stop_crawler_schedule = schedule_state("NOT_SCHEDULED")
"""


@lru_cache
def _client(url: str, service: str) -> Any:
    session: Any = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x")
    return session.client(service, region_name="eu-west-1", endpoint_url=url)


@dataclass(frozen=True)
class Lab:
    """An AWS account that moto plays, and a project's configuration."""

    url: str
    folder: Path

    def client(self, service: str) -> Any:
        """A boto3 client of it."""
        return _client(self.url, service)

    def penstock(self, *words: str, conf: str = "") -> int:
        """``penstock crawler`` with this configuration."""
        self.write(conf)
        place = ["--env", "aws", "--conf", str(self.folder)]
        place += ["--project", str(Path(__file__).parents[2])]
        place += [
            "--set",
            f"state={self.folder / 'state'}",
            "--set",
            f"aws.endpoint_url={self.url}",
        ]
        return run(["crawler", *words, *place])

    def write(self, conf: str = "") -> None:
        """The configuration, with more under ``catalog.crawler``."""
        (self.folder / "base.yaml").write_text(BASE + conf, encoding="utf-8")
        (self.folder / "aws.yaml").write_text("", encoding="utf-8")

    def crawler(self) -> dict[str, Any]:
        """What GetCrawler answers."""
        return dict(self.client("glue").get_crawler(Name=CRAWLER)["Crawler"])

    def policy(self, name: str = POLICY) -> Any:
        """An inline policy of the role."""
        answer = self.client("iam").get_role_policy(RoleName=ROLE, PolicyName=name)
        return answer["PolicyDocument"]

    def attach(self) -> None:
        """Give the role a policy that others made."""
        iam = self.client("iam")
        iam.create_policy(PolicyName="theirs", PolicyDocument=json.dumps(WIDE))
        iam.attach_role_policy(RoleName=ROLE, PolicyArn=THEIRS)

    def trust(self) -> Any:
        """Who may take the role."""
        return self.client("iam").get_role(RoleName=ROLE)["Role"]["AssumeRolePolicyDocument"]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Address of a moto server."""
    with served(_ADDED) as url:
        yield url


@pytest.fixture
def lab(moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """An account without crawlers and roles."""
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "x")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with urlopen(Request(f"{moto}/moto-api/reset", method="POST")):
        return Lab(moto, tmp_path)


def test_what_is_made_is_what_was_shown(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """``show`` and ``--check`` make nothing; what is created is printed before."""
    assert lab.penstock("show", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["enabled"] is True
    assert lab.penstock("apply", "--check") == 2
    said = capsys.readouterr().out
    assert f"role {ROLE}: is not there\ncrawler {CRAWLER}: is not there\n" in said
    assert lab.client("glue").list_crawlers()["CrawlerNames"] == []
    assert lab.client("iam").list_roles()["Roles"] == []
    assert lab.penstock("apply") == 0
    said = capsys.readouterr().out
    assert f"role {ROLE}: created\ncrawler {CRAWLER}: created\n" in said
    for document in (shown["role"]["trust"], shown["role"]["policy"], shown["request"]):
        assert json.dumps(document, indent=2) in said
    assert lab.trust() == shown["role"]["trust"]
    assert lab.policy() == shown["role"]["policy"]
    request, there = shown["request"], lab.crawler()
    assert there.pop("Schedule")["ScheduleExpression"] == request.pop("Schedule")
    assert request.pop("Tags") == {"penstock": "flights/aws"}
    assert {key: there[key] for key in request} == request


def test_applied_again_nothing_is_called_that_changes_anything(lab: Lab) -> None:
    """Every call of the second run is one that reads, as the service's clients count them."""
    lab.write()
    settings = load(lab.folder, "aws", {"state": "s"})
    wanted = definition(settings, "aws", ["flight_status"], MINE)
    iam, glue = lab.client("iam"), lab.client("glue")
    called: list[str] = []
    for client in (iam, glue):
        client.meta.events.register("before-call.*.*", lambda model, **_: called.append(model.name))
    first = installation.apply(iam, glue, wanted, MINE)
    assert [one.action for one in first] == ["create", "create"]
    assert {"CreateRole", "PutRolePolicy", "CreateCrawler"} <= set(called)
    called.clear()
    second = installation.apply(iam, glue, wanted, MINE)
    assert [one.action for one in second] == ["none", "none"]
    assert called
    assert not [one for one in called if not one.startswith(("Get", "List"))]
    assert installation.remove(iam, glue, names(settings, "aws"), MINE) == (True, True)
    assert installation.remove(iam, glue, names(settings, "aws"), MINE) == (False, False)


def test_the_second_command_says_that_all_agrees(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """For people and as JSON; ``--check`` ends with 0."""
    assert lab.penstock("apply") == 0
    before = lab.crawler()
    capsys.readouterr()
    assert lab.penstock("apply") == 0
    assert capsys.readouterr().out == f"role {ROLE}: unchanged\ncrawler {CRAWLER}: unchanged\n"
    assert lab.penstock("apply", "--check", "--json") == 0
    said = capsys.readouterr()
    assert [one["action"] for one in json.loads(said.out)] == ["none", "none"]
    assert f"crawler {CRAWLER}: agrees" in said.err
    assert lab.crawler() == before


def test_what_somebody_changed_is_shown_and_brought_back(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trust and policies of the role, also what it was given beside; the crawler and its pause."""
    assert lab.penstock("apply") == 0
    trust, policy, crawler = lab.trust(), lab.policy(), lab.crawler()
    iam, glue = lab.client("iam"), lab.client("glue")
    anybody = json.loads(json.dumps(trust).replace("glue.", "ec2."))
    iam.put_role_policy(RoleName=ROLE, PolicyName=POLICY, PolicyDocument=json.dumps(WIDE))
    iam.put_role_policy(RoleName=ROLE, PolicyName="more", PolicyDocument=json.dumps(WIDE))
    lab.attach()
    iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=json.dumps(anybody))
    behaviour = {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "LOG"}
    glue.update_crawler(Name=CRAWLER, SchemaChangePolicy=behaviour, TablePrefix="x_")
    glue.stop_crawler_schedule(CrawlerName=CRAWLER)
    capsys.readouterr()
    assert lab.penstock("apply", "--check") == 2
    said = capsys.readouterr().out.splitlines()
    assert f"role {ROLE}: differs" in said
    assert f"crawler {CRAWLER}: differs" in said
    assert f'  Attached: ["{THEIRS}"] → []' in said
    assert any(line.startswith("  Policies.more.Statement: [") for line in said)
    assert '  ScheduleState: "NOT_SCHEDULED" → null' in said
    assert '  SchemaChangePolicy.UpdateBehavior: "UPDATE_IN_DATABASE" → "LOG"' in said
    assert '  TablePrefix: "x_" → null' in said
    assert lab.trust() == anybody
    assert lab.penstock("apply") == 0
    assert (lab.trust(), lab.policy()) == (trust, policy)
    assert iam.list_role_policies(RoleName=ROLE)["PolicyNames"] == [POLICY]
    assert iam.list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"] == []
    volatile = ("Version", "LastUpdated", "CreationTime")
    after = lab.crawler()
    assert {key: after[key] for key in after if key not in volatile} == {
        key: crawler[key] for key in crawler if key not in volatile
    }
    assert lab.penstock("apply", "--check") == 0


def test_a_pause_alone_ends_without_another_update(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """StartCrawlerSchedule is all that is called."""
    assert lab.penstock("apply") == 0
    lab.client("glue").stop_crawler_schedule(CrawlerName=CRAWLER)
    assert lab.penstock("apply") == 0
    assert f"crawler {CRAWLER}: updated" in capsys.readouterr().out
    there = lab.crawler()
    assert (there["Schedule"]["State"], there["Version"]) == ("SCHEDULED", 1)


def test_a_change_in_conf_is_made(lab: Lab) -> None:
    """A key adds a statement to the role, and the crawler is left as it is; a schedule moves it."""
    assert lab.penstock("apply") == 0
    key = "arn:aws:kms:eu-west-1:123456789012:key/abc"
    changed = f"    kms_key: {key}\n"
    assert lab.penstock("apply", conf=changed) == 0
    assert lab.policy()["Statement"][-1]["Resource"] == key
    assert lab.crawler()["Version"] == 1
    later = "--set", "catalog.crawler.schedule=cron(0 6 * * ? *)"
    assert lab.penstock("apply", *later) == 0
    assert lab.crawler()["Schedule"]["ScheduleExpression"] == "cron(0 6 * * ? *)"
    assert len(lab.policy()["Statement"]) == 5


@pytest.mark.parametrize(
    ("kind", "tags"),
    [("role", {}), ("role", {"penstock": "flights/test"}), ("crawler", {"penstock": "other/aws"})],
)
def test_what_somebody_else_made_is_left_alone(
    kind: str, tags: dict[str, str], lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without our tag, or with another environment's: nothing of either is written or deleted."""
    iam, glue = lab.client("iam"), lab.client("glue")
    if kind == "role":
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}", Tags=listed)
    else:
        targets = {"S3Targets": [{"Path": "s3://theirs"}]}
        glue.create_crawler(Name=CRAWLER, Role="theirs", Targets=targets, Tags=tags)
    for words in (["apply"], ["apply", "--check"], ["remove"]):
        assert lab.penstock(*words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{kind} '{ROLE if kind == 'role' else CRAWLER}' was not made by penstock" in line
    roles = [one["RoleName"] for one in iam.list_roles()["Roles"]]
    assert (roles, glue.list_crawlers()["CrawlerNames"]) == (
        ([ROLE], []) if kind == "role" else ([], [CRAWLER])
    )


def test_what_penstock_made_is_removed_and_no_table(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """Others' crawlers and roles stay; removing what is not there is no error."""
    iam, glue = lab.client("iam"), lab.client("glue")
    glue.create_database(DatabaseInput={"Name": "penstock"})
    glue.create_table(DatabaseName="penstock", TableInput={"Name": "flight_status"})
    iam.create_role(RoleName="theirs", AssumeRolePolicyDocument="{}")
    targets = {"S3Targets": [{"Path": "s3://theirs"}]}
    glue.create_crawler(Name="theirs", Role="theirs", Targets=targets)
    assert lab.penstock("apply") == 0
    capsys.readouterr()
    assert lab.penstock("remove") == 0
    assert capsys.readouterr().out == f"crawler {CRAWLER}: removed\nrole {ROLE}: removed\n"
    assert lab.penstock("remove", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["removed"] for one in said] == [False, False]
    assert [one["RoleName"] for one in iam.list_roles()["Roles"]] == ["theirs"]
    assert glue.list_crawlers()["CrawlerNames"] == ["theirs"]
    assert glue.get_table(DatabaseName="penstock", Name="flight_status")["Table"]


def test_a_role_that_others_gave_policies_is_not_removed(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is more than penstock made: named, and neither role nor crawler is deleted."""
    assert lab.penstock("apply") == 0
    lab.attach()
    capsys.readouterr()
    assert lab.penstock("remove") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"policies that penstock did not give it: {THEIRS}" in line
    assert lab.crawler()["Name"] == CRAWLER
    assert lab.policy()


def test_a_crawler_that_is_off_is_shown_and_not_made(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that its role can be looked at first."""
    off = "--set", "catalog.crawler.enabled=false"
    assert lab.penstock("show", *off) == 0
    said = capsys.readouterr().out
    assert f"Role {ROLE} may do (not verified on AWS):" in said
    assert "It is off: Set catalog.crawler.enabled: true" in said
    assert lab.penstock("apply", *off) == 2
    assert lab.client("iam").list_roles()["Roles"] == []

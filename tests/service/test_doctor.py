"""``penstock doctor``: each line that fails, made to fail, says what to do."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock import aws
from penstock.cli.program import run
from penstock.config import Settings, Spark
from penstock.crawler.place import Account
from penstock.deploy.policy import permissions as policy_of
from penstock.doctor import machine, permissions, quotas, reach, versions
from penstock.doctor.finding import Finding, exit_code
from penstock.emulator.faults import Rule, denied
from penstock.emulator.server import Emulator
from penstock.session import spark_line
from schemas.airport_weather import PIPELINE as WEATHER
from tests import answers
from tests.answers import Answers, answering
from tests.scripted import scripted

ROOT = Path(__file__).parents[2]
CERTIFICATE = ROOT / "tests" / "certificates" / "loopback.pem"
ROLE = "arn:aws:sts::111122223333:assumed-role/loader/session"
GROUP = "arn:aws:sagemaker:us-east-1:111122223333:feature-group/birds"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for whoever asks; no proxy."""
    for name, value in {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s"}.items():
        monkeypatch.setenv(name, value)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def _settings(**more: Any) -> Settings:
    values = {"project": "p", "lake": "s3://b/lake", "state": "/tmp/state", **more}
    return Settings.model_validate(values)


def _endpoint(found: Answers) -> aws.Endpoint:
    return aws.Endpoint("us-east-1", found.url)


def _ended(findings: list[Finding]) -> dict[str, str]:
    return {one.what: one.state for one in findings}


@pytest.mark.parametrize(
    ("skew", "ok", "said"),
    [
        (0, True, "agrees"),
        (-30, True, "ahead of"),
        (-400, False, "ahead of"),
        (400, False, "behin"),
    ],
)
def test_the_clock(skew: float, ok: bool, said: str) -> None:
    """Compared with the Date of an answer; what AWS would refuse fails, with the way out."""
    known = Answers({"GetCallerIdentity": answers.identity(ROLE)}, skew_s=skew)
    with answering(known) as found:
        clock = reach.clock(reach.caller(_endpoint(found)), _settings())
    assert (clock.ok, said in clock.found) == (ok, True), clock
    assert ok or (re.search(r"\b(39\d|40\d) s ", clock.found) and "NTP" in clock.remedy)


def test_a_refusal_tells_the_time_as_well() -> None:
    """Where the clock is the very reason."""
    body = "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>Signature expired"
    refused = (403, f"{body}</Message></Error></ErrorResponse>")
    with answering(Answers({"GetCallerIdentity": refused}, skew_s=-900)) as found:
        endpoint = _endpoint(found)
        caller = reach.caller(endpoint)
    who = reach.credentials(caller, _settings(), endpoint)
    assert (who.ok, who.code) == (False, 77)
    assert "SignatureDoesNotMatch" in who.found
    assert "AWS_PROFILE" in who.remedy
    assert reach.clock(caller, _settings()).ok is False


def test_no_credentials_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Exit code 77, before anybody is asked."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    endpoint = aws.Endpoint("us-east-1", "http://127.0.0.1:9")
    aws.session.cache_clear()
    who = reach.credentials(reach.caller(endpoint), _settings(), endpoint)
    aws.session.cache_clear()
    assert (who.ok, who.code, who.found) == (False, 77, "no AWS credentials were found")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_an_endpoint_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, by connection, by TLS, by proxy: what to open or to set is said."""
    port = _free_port()
    (name,) = reach.endpoints([("sagemaker", "https://no-such-host.invalid")])
    assert (name.ok, name.code) == (False, 75)
    assert "no such name" in name.found
    assert "an endpoint for sagemaker.api with private DNS" in name.remedy
    (closed,) = reach.endpoints([("sts", f"http://127.0.0.1:{port}")])
    assert (closed.ok, "Connection refused" in closed.found) == (False, True)
    assert f"Open TCP {port} outwards" in closed.remedy
    with scripted(tls=CERTIFICATE) as server:
        (tls,) = reach.endpoints([("glue", server.url)])
        assert (tls.ok, "TLS: self-signed certificate" in tls.found) == (False, True), tls
        assert "AWS_CA_BUNDLE" in tls.remedy
        monkeypatch.setenv("AWS_CA_BUNDLE", str(CERTIFICATE))
        (trusted,) = reach.endpoints([("glue", server.url)])
        assert (trusted.ok, "TLSv1.3" in trusted.found) == (True, True), trusted
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@127.0.0.1:{port}")
    (proxied,) = reach.endpoints([("sts", "https://sts.us-east-1.amazonaws.com")])
    assert proxied.ok is False
    assert f"proxy 127.0.0.1:{port}" in proxied.found
    assert "secret" not in f"{proxied}"


def _role() -> tuple[int, str]:
    role = "<Arn>arn:aws:iam::111122223333:role/team/loader</Arn><RoleName>loader</RoleName>"
    role += "<Path>/team/</Path><RoleId>R</RoleId><CreateDate>2024-01-01T00:00:00Z</CreateDate>"
    return (
        200,
        f"<GetRoleResponse><GetRoleResult><Role>{role}</Role></GetRoleResult></GetRoleResponse>",
    )


def test_permissions_by_the_simulator() -> None:
    """Of the role behind a session, path and all; what is denied is named with where."""
    denies = {"sagemaker:PutRecord": GROUP}
    known = {
        "GetRole": _role(),
        "SimulatePrincipalPolicy": answers.simulation(denies=denies),
    }
    with answering(Answers(known)) as found:
        said = permissions.permissions(_endpoint(found), ROLE, _settings(), ["birds"])
        asked = found.asked["SimulatePrincipalPolicy"]
    bad = next(one for one in said if one.what == "permissions sagemaker (groups)")
    assert (bad.ok, bad.code) == (False, 77)
    assert bad.found == "arn:aws:iam::111122223333:role/team/loader may not sagemaker:PutRecord"
    assert bad.remedy == f"Allow sagemaker:PutRecord on {GROUP}: docs/security.md"
    assert {one["PolicySourceArn"] for one in asked} == {
        "arn:aws:iam::111122223333:role/team/loader"
    }
    actions = {value for one in asked for name, value in one.items() if "ActionNames" in name}
    assert {"sagemaker:BatchWriteRecord", "glue:UpdateTable", "s3:PutObject"} <= actions
    assert {"sagemaker:CreateFeatureGroup", "s3:AbortMultipartUpload"} <= actions
    assert "glue:BatchCreatePartition" in actions
    where = {value for one in asked for name, value in one.items() if "ResourceArns" in name}
    assert {GROUP, "arn:aws:s3:::b/lake/*", "arn:aws:s3:::b"} <= where


def test_permissions_that_nothing_denies() -> None:
    """A line each, all well."""
    known = {"GetRole": _role(), "SimulatePrincipalPolicy": answers.simulation(denies={})}
    with answering(Answers(known)) as found:
        said = permissions.permissions(_endpoint(found), ROLE, _settings(), ["birds"])
    assert set(_ended(said).values()) == {"ok"}
    assert len(said) == 4


EVERYTHING: dict[str, Any] = {
    "sources": {
        "a": {"format": "csv", "path": "s3://raw/in/file.csv"},
        "t": {"format": "table", "table": "raw.planes"},
    },
    "groups": {
        "birds": {"role_arn": "arn:aws:iam::111122223333:role/store", "kms_key": "1-2"},
        "Fish": {"manage": False, "kms_key": "alias/theirs"},
    },
    "streams": {"birds": {"kinesis": {"stream": "sightings"}}},
    "deploy": {"kms_key": "arn:aws:kms:us-east-1:111122223333:key/3-4"},
    "state": "s3://other/state",
}


def _simulated(settings: Settings, *policies: Mapping[str, Any]) -> list[Finding]:
    """What doctor says to a role of these policies."""
    simulator = answers.simulator(*policies)
    known: dict[str, Any] = {"GetRole": _role(), "SimulatePrincipalPolicy": simulator}
    with answering(Answers(known)) as found:
        return permissions.permissions(_endpoint(found), ROLE, settings, ["birds", "Fish"])


def test_what_deploy_grants_is_what_doctor_asks_for() -> None:
    """With its conditions: nothing is missing; and each right that is taken away is missed."""
    settings = _settings(**EVERYTHING)
    account = Account("111122223333", "us-east-1")
    policy = policy_of(settings, ["birds", "Fish"], account, "glue", "s3://ship/here")
    said = _simulated(settings, policy)
    assert set(_ended(said).values()) == {"ok"}, said
    whole = {action for one in policy["Statement"] for action in one["Action"]}
    seen = {f"{one.what.split()[1]}:{action}" for one in said
            for action in one.found.removeprefix("may ").split(", ")}  # fmt: skip
    logs = {one for one in whole if one.startswith("logs:")}
    assert seen == whole - logs
    own = {"ReadShipped", "ListShipped", "DefaultDatabase", "WriteLogs"}
    for sid in {one["Sid"] for one in policy["Statement"]} - own:
        rest = [one for one in policy["Statement"] if one["Sid"] != sid]
        bad = [one for one in _simulated(settings, {"Statement": rest}) if not one.ok]
        keys = "Keys" in sid or "Key" in sid or sid == "ListAliases"
        assert [one.ok for one in bad] == [None if keys else False], (sid, bad)
        assert not keys or "the key's own policy" in bad[0].found


def test_permissions_that_are_written_by_hand() -> None:
    """Those of docs/security.md suffice; tables and groups may be named one by one."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    names = {
        "REGION": "us-east-1",
        "ACCOUNT": "111122223333",
        "DATABASE": "penstock",
        "BUCKET": "b",
    }
    for name, value in {**names, "YOUR-FEATURE-STORE-ROLE": "store"}.items():
        text = re.sub(rf"\b{name}\b", value, text)
    blocks = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    policies = [json.loads(one) for one in blocks]
    role = {"birds": {"role_arn": "arn:aws:iam::111122223333:role/store"}}
    settings = _settings(lake="s3://b/penstock/lake", state="s3://b/penstock/state", groups=role)
    assert {one.state for one in _simulated(settings, *policies)} == {"ok"}
    by_name = re.sub(r"(?<=feature-group/)\*", "birds", json.dumps(policies))
    by_name = re.sub(r"(?<=table/penstock/)\*", "birds", by_name)
    said = _simulated(settings, *json.loads(by_name))
    denied = [one for one in said if one.ok is False]
    assert [one.what for one in denied] == [
        "permissions sagemaker (groups)",
        "permissions glue (catalogue)",
    ]
    assert all(one.remedy.split(":")[-2].endswith(("fish", "Fish")) for one in denied), denied


def test_a_condition_that_doctor_cannot_meet_is_no_denial() -> None:
    """It is not checked, and the key is named; what is denied anyway stays so."""
    tagged = {"StringEquals": {"aws:PrincipalTag/team": "birds"}}
    objects = {"Action": "s3:*", "Resource": "*", "Condition": tagged}
    rest = {"Action": ["sagemaker:*", "glue:*"], "Resource": "*"}
    said = _simulated(_settings(), {"Statement": [objects, rest]})
    bad = [one for one in said if not one.ok]
    assert [one.ok for one in bad] == [None, None]
    assert bad[0].found.endswith("not checked: its policies ask for aws:PrincipalTag/team")
    assert exit_code(said) == 0


def test_permissions_without_the_simulator(tmp_path: Path) -> None:
    """What reads is tried; what writes could not be checked, and that is no failure."""
    settings = _settings(lake="/tmp/lake")
    with Emulator(data=tmp_path / "aws", region="us-east-1") as emulator:
        endpoint = aws.Endpoint(emulator.region, emulator.url, str(emulator.credentials_file))
        said = permissions.permissions(endpoint, ROLE, settings, ["birds"])
        assert exit_code(said) == 0
        assert _ended(said)["permissions sagemaker (groups)"] == "unchecked"
        assert said[0].found.startswith("may DescribeFeatureGroup, GetRecord; BatchGetRecord, ")
        assert "iam:SimulatePrincipalPolicy" in said[0].remedy
        emulator.faults.add(Rule(denied(), operation="GetRecord"))
        emulator.faults.add(Rule(denied(), operation="GetTable"))
        said = permissions.permissions(endpoint, ROLE, settings, ["birds"])
        assert exit_code(said) == 77
        bad = {one.what: one for one in said if one.ok is False}
        assert sorted(bad) == [
            "permissions glue (catalogue)",
            "permissions sagemaker (groups)",
        ]
        reading = bad["permissions sagemaker (groups)"]
        assert reading.remedy == f"Allow sagemaker:GetRecord on {GROUP}: docs/security.md"


def _groups(count: int) -> tuple[int, dict[str, Any]]:
    one: Mapping[str, Any] = {"FeatureGroupArn": GROUP, "CreationTime": 1.7e9}
    return 200, {
        "FeatureGroupSummaries": [{**one, "FeatureGroupName": f"g{n}"} for n in range(count)]
    }


@pytest.mark.parametrize(
    ("value", "ok", "said"),
    [
        (120.0, True, "99 there, 2 to be made, 120 allowed (Feature groups per account, L-1)"),
        (100.0, False, "99 there, 2 to be made, 100 allowed"),
        (None, None, "100 allowed (the documented default; Service Quotas: AccessDeniedException)"),
    ],
)
def test_the_quota_of_feature_groups(value: float | None, ok: bool | None, said: str) -> None:
    """What is there, what the project would add, and where to ask for more."""
    quota = {"QuotaName": "Feature groups per account", "QuotaCode": "L-1", "Value": value}
    known = (200, {"Quotas": [{"QuotaName": "Notebooks", "QuotaCode": "L-0", "Value": 1.0}, quota]})
    told = answers.denied("ListServiceQuotas") if value is None else known
    by = {"ListFeatureGroups": _groups(99), "ListServiceQuotas": told}
    with answering(Answers(by)) as found:
        one = quotas.groups(_endpoint(found), _settings(), ["birds", "g3", "fish"])
    assert (one.ok, said in one.found) == (ok, True), one
    assert ok or one.remedy == quotas.ASKING


def test_a_quota_that_may_not_be_looked_at() -> None:
    """Is not checked, by which action, and that is no failure: runs do not list groups."""
    by = {"ListFeatureGroups": answers.denied("ListFeatureGroups")}
    with answering(Answers(by)) as found:
        one = quotas.groups(_endpoint(found), _settings(), ["birds"])
    assert (one.ok, exit_code([one])) == (None, 0)
    assert one.found.startswith("not checked: ListFeatureGroups: AccessDeniedException")
    assert one.remedy.startswith("Allow sagemaker:ListFeatureGroups ")


def test_jars_that_cannot_work(tmp_path: Path) -> None:
    """Not there, for another Scala, or without Delta's: each with the setting to correct."""

    def jars(**named: str) -> Finding:
        settings = {key.replace("__", "."): value for key, value in named.items()}
        return versions.jars(_settings(spark=Spark(settings=settings).model_dump()))

    gone = jars(spark__jars=str(tmp_path / "delta.jar"))
    assert (gone.ok, gone.found) == (False, f"{tmp_path / 'delta.jar'}: there is no such file")
    other, fits = ("2.13", "2.12") if spark_line() == "3.5" else ("2.12", "2.13")
    for scala in (other, fits):
        (tmp_path / f"delta-spark_{scala}-4.0.0.jar").touch()
    wrong = jars(spark__jars=str(tmp_path / f"delta-spark_{other}-4.0.0.jar"))
    assert (wrong.ok, f"is for Scala {other}" in wrong.found) == (False, True)
    wrong = jars(spark__jars__packages=f"io.delta:delta-spark_{other}:3.3.2")
    assert (wrong.ok, "leave it to penstock" in wrong.remedy) == (False, True)
    assert jars(spark__jars=str(tmp_path / f"delta-spark_{fits}-4.0.0.jar")).ok
    (tmp_path / "other.jar").touch()
    without = jars(spark__jars=str(tmp_path / "other.jar"))
    assert (without.ok, "Delta's not among them" in without.found) == (False, True)


def test_versions_that_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too old fails, too old for BatchWriteRecord is said, untested is no failure."""

    def installed(name: str, version: str) -> None:
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (folder / "METADATA").write_text(text, encoding="utf-8")

    def found(what: str) -> Finding:
        return next(one for one in versions.versions() if one.what == what)

    path = [*sys.path]
    assert found("boto3").ok
    monkeypatch.setattr(sys, "path", [str(tmp_path), *path])
    installed("boto3", "1.34.2")
    assert (found("boto3").ok, "BatchWriteRecord" in found("boto3").remedy) == (True, True)
    assert found("tested").state == "unchecked"
    assert "boto3 1.34.2 (tested: 1.44.8)" in found("tested").found
    (tmp_path / "boto3-1.34.2.dist-info").rename(tmp_path / "old")
    installed("boto3", "1.26.0")
    assert found("boto3").ok is False
    installed("pyspark", "3.3.1")
    assert (found("tested").ok, found("tested").found) == (False, "Spark 3.3 was not")
    assert "3.5, 4.0, 4.1" in found("tested").remedy


def test_great_expectations_where_a_group_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An extra that is not installed is missing only to who has expectations over a whole set."""
    plain = replace(WEATHER.group, expectations=(), features=tuple(
        replace(one, expectations=()) for one in WEATHER.group.features
    ))  # fmt: skip
    assert machine.great_expectations([plain, WEATHER.group]).ok
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    wanted = machine.great_expectations([plain, WEATHER.group])
    assert (wanted.ok, wanted.remedy) == (False, "pip install 'penstock[quality]'")
    without = machine.great_expectations([plain])
    assert (without.ok, without.found.startswith("none; ")) == (True, True)


def test_tested_versions_are_those_of_the_constraints() -> None:
    """Which the matrix installs."""
    for line, pinned in versions.TESTED.items():
        text = (ROOT / "constraints" / f"spark-{line}.txt").read_text(encoding="utf-8")
        pins = {
            one.partition("==")[0].replace("_", "-").lower(): one.partition("==")[2]
            for one in text.splitlines()
        }
        wanted = {**pinned, **versions.TESTED_WITH}
        del wanted["Python"]
        assert {name: pins[name] for name in wanted} == wanted


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    """A file in the way, a bucket without an S3."""
    (tmp_path / "file").touch()
    lake = machine.place("lake", str(tmp_path / "file" / "lake"), _settings())
    assert (lake.ok, lake.remedy) == (False, "Make it writable, or set lake in conf")
    embedded = _settings(aws={"embedded": True})
    state = machine.place("state", "s3://bucket/state", embedded)
    assert (state.ok, "the embedded AWS has no S3" in state.found) == (False, True)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each thing; JSON; the exit code is that of the gravest."""
    sets = [f"--set={one}={tmp_path / one}" for one in ("lake", "state")]
    assert run(["doctor", "--json", "--project", str(ROOT), *sets]) == 0
    found = {one["what"]: one for one in json.loads(capsys.readouterr().out)}
    assert {
        "Python", "Java", "Spark", "jars", "penstock", "boto3", "tested", "lake", "state",
        "endpoint sagemaker", "endpoint sagemaker-featurestore-runtime", "credentials", "clock",
        "permissions", "quota of feature groups", "project", "great_expectations",
    } <= set(found)  # fmt: skip
    assert found["project"]["found"] == "4 feature groups"
    assert not [one for one in found.values() if one["ok"] is False]
    with answering(
        Answers({"GetCallerIdentity": answers.denied("GetCallerIdentity", "xml")})
    ) as by:
        away = ["--set=aws.embedded=false", "--set=aws.region=us-east-1"]
        away += [f"--set=aws.endpoint_url={by.url}", "--set=lake=s3://b/lake"]
        assert run(["doctor", "--project", str(ROOT), sets[1], *away]) == 77
    said = capsys.readouterr().out
    assert re.search(r"MISSING\s+credentials", said)
    assert re.search(r"\?\s+permissions\s+not looked at", said)
    assert exit_code([Finding("a", None, ""), Finding("b", ok=True, found="")]) == 0

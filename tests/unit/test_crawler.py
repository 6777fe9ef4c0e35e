"""The crawler and its role: exactly what AWS is asked, and what is refused before."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.config import Offline as OfflineFormat
from penstock.config import Settings
from penstock.crawler.definition import Definition, definition, names
from penstock.crawler.place import Account, offline
from penstock.errors import ConfigError, UsageError
from penstock.leaves import differences
from penstock.run.places import offline_path
from tests.models import mistakes

ACCOUNT = Account("123456789012", "eu-west-1")
GROUPS = ("flight-status", "airport_weather")
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
DATABASE = "penstock_flights"
GLUE = "arn:aws:glue:eu-west-1:123456789012"
LOGS = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws-glue/crawlers"


def _settings(lake: str = "s3://bucket/penstock/lake", **conf: Any) -> Settings:
    crawler = {"enabled": True, "schedule": "cron(30 4 * * ? *)", **conf.pop("crawler", {})}
    catalog = {"database": DATABASE, "crawler": crawler}
    values = {"project": "flights", "lake": lake, "state": "s", "catalog": catalog}
    return Settings.model_validate({**values, **conf})


def _made(settings: Settings | None = None, account: Account = ACCOUNT) -> Definition:
    return definition(settings or _settings(), "aws", GROUPS, account)


def test_the_role_is_taken_by_glue_alone_and_may_do_this() -> None:
    """The golden policy: reads of the offline tables and of their entries, its own log."""
    role = _made().role
    assert (role.name, role.owner) == ("penstock-flights-aws-crawler", "flights/aws")
    assert role.trust == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "glue.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    assert role.policy == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "ListOfflineTables",
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": "arn:aws:s3:::bucket",
                "Condition": {"StringLike": {"s3:prefix": "penstock/lake/offline/*"}},
            },
            {
                "Sid": "ReadOfflineTables",
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::bucket/penstock/lake/offline/*",
            },
            {
                "Sid": "OurTables",
                "Effect": "Allow",
                "Action": [
                    "glue:GetDatabase",
                    "glue:GetTable",
                    "glue:GetPartition",
                    "glue:GetPartitions",
                    "glue:BatchGetPartition",
                ],
                "Resource": [
                    f"{GLUE}:catalog",
                    f"{GLUE}:database/{DATABASE}",
                    f"{GLUE}:table/{DATABASE}/airport_weather",
                    f"{GLUE}:table/{DATABASE}/flight_status",
                ],
            },
            {
                "Sid": "MakeLog",
                "Effect": "Allow",
                "Action": ["logs:CreateLogGroup", "logs:CreateLogStream"],
                "Resource": [LOGS, f"{LOGS}:*"],
            },
            {
                "Sid": "WriteOwnLog",
                "Effect": "Allow",
                "Action": "logs:PutLogEvents",
                "Resource": f"{LOGS}:log-stream:penstock-flights-aws",
            },
        ],
    }


def test_tables_are_made_only_where_runs_do_not_register_them() -> None:
    """Otherwise a table without our mark would stand in the way of the next registration."""
    conf = {"database": DATABASE, "register": False}
    unregistered = _made(_settings(catalog=conf)).role.policy["Statement"]
    (more,) = [one for one in unregistered if one not in _made().role.policy["Statement"]]
    (less,) = [one for one in _made().role.policy["Statement"] if one["Sid"] == more["Sid"]]
    assert more == {**less, "Action": [*less["Action"], "glue:CreateTable"]}


def test_a_key_is_for_decrypting_through_s3_and_only_where_conf_names_it() -> None:
    """In China the endpoint that KMS sees has another ending."""
    settings = _settings(crawler={"kms_key": KEY})
    *before, last = _made(settings).role.policy["Statement"]
    assert before == _made().role.policy["Statement"]
    assert last == {
        "Sid": "DecryptOfflineTables",
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": KEY,
        "Condition": {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}},
    }
    china = Account("123456789012", "cn-north-1", "aws-cn")
    *before, last = _made(settings, china).role.policy["Statement"]
    via = last["Condition"]["StringEquals"]["kms:ViaService"]
    assert via == "s3.cn-north-1.amazonaws.com.cn"
    assert "arn:aws:" not in json.dumps(before)


@pytest.mark.parametrize("kms_key", [None, KEY])
@pytest.mark.parametrize("lake", ["s3://bucket", "s3://bucket/a/b/"])
def test_the_policy_is_about_nothing_wide(lake: str, kms_key: str | None) -> None:
    """No * as resource or action, no writing to S3 or to the catalogue."""
    statements = _made(_settings(lake, crawler={"kms_key": kms_key})).role.policy["Statement"]
    actions = [one for statement in statements for one in _listed(statement["Action"])]
    resources = [one for statement in statements for one in _listed(statement["Resource"])]
    assert not [one for one in actions if "*" in one]
    assert {one for one in resources if "*" in one} == {
        f"arn:aws:s3:::bucket/{'a/b/' if 'a/b' in lake else ''}offline/*",
        f"{LOGS}:*",
    }
    writing = {one for one in actions if not one.partition(":")[2].startswith(("Get", "List"))}
    assert writing - {"kms:Decrypt"} == {
        "glue:BatchGetPartition",
        *("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"),
    }


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def test_the_request_is_this() -> None:
    """The golden CreateCrawler: native Delta tables, changes logged and never made."""
    request = _made().request
    description = (
        "Made by penstock: offline tables of project flights. "
        "'penstock crawler apply --env aws' overwrites changes."
    )
    assert json.loads(request.pop("Configuration")) == {
        "Version": 1.0,
        "CrawlerOutput": {"Partitions": {"AddOrUpdateBehavior": "InheritFromTable"}},
        "CreatePartitionIndex": False,
    }
    assert request == {
        "Name": "penstock-flights-aws",
        "Role": "arn:aws:iam::123456789012:role/penstock-flights-aws-crawler",
        "DatabaseName": DATABASE,
        "Description": description,
        "Targets": {
            "DeltaTargets": [
                {
                    "DeltaTables": [
                        "s3://bucket/penstock/lake/offline/airport_weather/",
                        "s3://bucket/penstock/lake/offline/flight_status/",
                    ],
                    "WriteManifest": False,
                    "CreateNativeDeltaTable": True,
                }
            ]
        },
        "Classifiers": [],
        "TablePrefix": "",
        "SchemaChangePolicy": {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"},
        "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"},
        "Schedule": "cron(30 4 * * ? *)",
        "Tags": {"penstock": "flights/aws"},
    }


@pytest.mark.parametrize("conf", [{}, {"name": "c.1", "role": "r+1", "kms_key": KEY}])
def test_requests_are_what_the_services_models_say(conf: dict[str, Any]) -> None:
    """CreateCrawler, UpdateCrawler, and IAM's two, also where conf gives the names."""
    made = _made(_settings(crawler=conf))
    assert mistakes("glue", "CreateCrawler", made.request) == []
    update = {key: value for key, value in made.request.items() if key != "Tags"}
    assert mistakes("glue", "UpdateCrawler", update) == []
    role = {"RoleName": made.role.name, "AssumeRolePolicyDocument": json.dumps(made.role.trust)}
    role["Tags"] = [{"Key": "penstock", "Value": made.role.owner}]  # type: ignore[assignment]  # JSON
    assert mistakes("iam", "CreateRole", role) == []
    policy = {"PolicyName": "penstock-crawler", "PolicyDocument": json.dumps(made.role.policy)}
    assert mistakes("iam", "PutRolePolicy", {"RoleName": made.role.name, **policy}) == []
    for key, value in (("Nme", "x"), ("Targets", []), ("RecrawlPolicy", {"RecrawlBehavior": "X"})):
        assert mistakes("glue", "CreateCrawler", {**made.request, key: value})


def test_eighty_tables_fit_into_the_role() -> None:
    """IAM takes 10,240 characters of inline policies, spaces not counted (IAM quotas)."""
    groups = [f"feature_group_of_ordinary_length_{n:03d}" for n in range(80)]
    policy = definition(_settings(), "aws", groups, ACCOUNT).role.policy
    assert len(json.dumps(policy, separators=(",", ":"))) < 10_240


LAKE = "s3://bucket/penstock/lake/offline"
FOLDERS = [f"{LAKE}/airport_weather/", f"{LAKE}/flight_status/"]
TARGETS: dict[str, dict[str, Any]] = {
    "delta": {
        "DeltaTargets": [
            {"DeltaTables": FOLDERS, "WriteManifest": False, "CreateNativeDeltaTable": True}
        ]
    },
    "iceberg": {"IcebergTargets": [{"Paths": FOLDERS, "MaximumTraversalDepth": 1}]},
    "hive": {
        "CatalogTargets": [
            {"DatabaseName": DATABASE, "Tables": ["airport_weather", "flight_status"]}
        ]
    },
}


@pytest.mark.parametrize("form", OfflineFormat.model_fields["format"].annotation.__args__)  # type: ignore[union-attr]  # a Literal
def test_every_format_of_offline_tables_has_a_target(form: str) -> None:
    """Whoever adds a format to conf adds what a crawler looks for; Glue's model takes it."""
    made = _made(_settings(offline={"format": form}))
    assert made.request["Targets"] == TARGETS[form]
    assert not mistakes("glue", "CreateCrawler", made.request)


def test_hive_tables_are_crawled_only_where_runs_register_them() -> None:
    """A crawler would call each of them 'data'."""
    settings = _settings(offline={"format": "hive"})
    conf = settings.model_dump(by_alias=True)
    conf["catalog"]["register"] = False
    with pytest.raises(ConfigError, match="would call each Hive table 'data'"):
        _made(Settings.model_validate(conf))


def test_only_tables_that_penstock_writes_are_crawled() -> None:
    """The service's own, and groups without an offline store, are left out."""
    settings = _settings(groups={"a": {"owner": "service"}, "b": {"stores": "online"}})
    assert offline(settings, ["a", "b", "c"]).tables == ("c",)
    with pytest.raises(UsageError, match="penstock writes no offline table"):
        offline(settings, ["a", "b"])


def test_tables_lie_where_the_engine_writes_them() -> None:
    """The same folder under the lake, whatever conf calls the table."""
    groups = {"flight-status": {"table": "status"}}
    crawled = offline(_settings(groups=groups), GROUPS)
    written = [
        offline_path(_settings("/bucket/penstock/lake", groups=groups), one) for one in GROUPS
    ]
    assert {f"s3:/{one}/" for one in written} == set(crawled.uris)
    assert crawled.tables == ("airport_weather", "status")


@pytest.mark.parametrize(
    "lake", ["/data/lake", "lake", "file:///lake", "s3://", "s3a://b/x", "s3://b/a//b"]
)
def test_a_lake_in_a_folder_is_refused(lake: str) -> None:
    """Glue sees S3 alone; the remedy names the environment."""
    with pytest.raises(ConfigError, match=r"is not on S3.* --env"):
        offline(_settings(lake), GROUPS)


@pytest.mark.parametrize(
    "lake", ["s3://bucket/a*", "s3://bucket/${aws:username}", "s3://bucket/a?"]
)
def test_a_lake_with_a_wildcard_is_refused(lake: str) -> None:
    """In a policy it would mean other folders too."""
    with pytest.raises(ConfigError, match="wildcards to IAM"):
        offline(_settings(lake), GROUPS)


@pytest.mark.parametrize("environment", ["x" * 50, "a b", "ä"])
def test_a_name_that_aws_would_not_take_is_refused(environment: str) -> None:
    """The remedy is the key in conf."""
    with pytest.raises(ConfigError, match=r"Set catalog\.crawler\.(name|role) in conf"):
        names(_settings(), environment)


@pytest.mark.parametrize("schedule", ["cron(0/5 * * * ? *)", "cron(58 4 ? * MON,FRI *)"])
def test_a_schedule_as_glue_has_it_is_taken(schedule: str) -> None:
    """Every five minutes is the most often."""
    assert _made(_settings(crawler={"schedule": schedule})).request["Schedule"] == schedule


def test_differences_are_leaf_by_leaf_and_lists_whole() -> None:
    """In order of their keys; what is missing on a side is null."""
    there = {"a": {"b": 1, "c": [1, 2]}, "d": {}, "same": {"x": None}}
    wanted = {"a": {"b": 2, "c": [2, 1]}, "e": "new", "same": {"x": None}}
    assert list(differences(there, wanted)) == [
        *("a.b: 1 → 2", "a.c: [1, 2] → [2, 1]", "d: {} → null", 'e: null → "new"'),
    ]
    assert list(differences(there, there)) == []

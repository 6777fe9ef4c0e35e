"""What a job's role may do, and who may take it: IAM documents, and nothing is sent.

From AWS's Service Authorization Reference and the guides' runtime roles for EMR Serverless, EMR and
Glue. Reading what is shipped, reading and writing lake and state, the project's own feature groups
and Glue tables, its own logs. No statement is about every resource, and none may change a policy.
Not verified on AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from penstock.catalog import table_name
from penstock.config import Settings
from penstock.crawler.place import Account
from penstock.deploy.runtime import Target

_VERSION = "2012-10-17"  # of the policy language
_SERVICES: dict[Target, str] = {
    "emr-serverless": "emr-serverless.amazonaws.com",
    "emr": "ec2.amazonaws.com",
    "glue": "glue.amazonaws.com",
}
#: Of the runtime API; the names of ListRecords and UpdateRecord follow the rule of the others
#: (one action an operation) and are not documented yet.
_RECORDS = (
    "BatchGetRecord",
    "BatchWriteRecord",
    "DeleteRecord",
    "GetRecord",
    "ListRecords",
    "PutRecord",
    "UpdateRecord",
)
_MADE = ("CreateFeatureGroup", "UpdateFeatureGroup")  # where provision makes a group
_TABLES = (
    "BatchCreatePartition",
    "BatchGetPartition",
    "CreateDatabase",
    "CreateTable",
    "GetDatabase",
    "GetPartition",
    "GetPartitions",
    "GetTable",
    "UpdateTable",
)
_WILD = re.compile(r"[*?\[{]")  # of a glob
_LOGS = "/aws-glue/jobs"  # Glue's own groups: output, error, logs-v2


def trust(target: Target) -> dict[str, Any]:
    """The service that runs the jobs, and nobody else, takes the role."""
    principal = {"Service": _SERVICES[target]}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {"Version": _VERSION, "Statement": [statement]}


def permissions(
    settings: Settings, groups: Sequence[str], account: Account, target: Target, location: str
) -> dict[str, Any]:
    """All that jobs of the project need, and no more.

    Args:
        settings: The configuration.
        groups: Feature groups of the project.
        account: Where the jobs run.
        target: What runs them.
        location: ``s3://BUCKET/FOLDER`` of what is shipped.
    """
    lake, sources = [settings.lake, settings.state], _sources(settings)
    statements = [
        _objects(account, "ReadShipped", [f"{location}/artefacts"], ("GetObject",)),
        _objects(account, "LakeAndState", lake, _WRITING),
        *([_objects(account, "ReadSources", sources, ("GetObject",))] if sources else []),
        _listing(account, [location, *lake, *sources]),
        *_features(settings, groups, account),
        _catalogue(settings, groups, account),
        *_streams(settings, account),
        *_logs(account, target, location),
    ]
    if settings.deploy.kms_key is not None:
        statements.append(_keys(account, "ObjectsKey", [settings.deploy.kms_key], via="s3"))
    return {"Version": _VERSION, "Statement": [one for one in statements if one["Resource"]]}


#: Parts of uploads that failed are taken away (S3 API reference, AbortMultipartUpload).
_WRITING = ("AbortMultipartUpload", "DeleteObject", "GetObject", "PutObject")


def _allow(sid: str, service: str, actions: Iterable[str], resources: list[str]) -> dict[str, Any]:
    named = [f"{service}:{one}" for one in actions]
    return {"Sid": sid, "Effect": "Allow", "Action": named, "Resource": resources}


def _objects(
    account: Account, sid: str, places: Sequence[str], actions: Iterable[str]
) -> dict[str, Any]:
    """Objects at and under some ``s3://`` places; what lies elsewhere is nobody's business here."""
    named = [
        f"{_bucket(account, one)}/{key}" for one in _on_s3(places) for key in _keys_of(one) if key
    ]
    return _allow(sid, "s3", actions, sorted(set(named)))


def _listing(account: Account, places: Sequence[str]) -> dict[str, Any]:
    """Listing the buckets at and under those places only."""
    buckets = sorted({_bucket(account, one) for one in _on_s3(places)})
    prefixes = sorted({key for one in _on_s3(places) for key in _keys_of(one)})
    found = _allow("ListThem", "s3", ("ListBucket",), buckets)
    return {**found, "Condition": {"StringLike": {"s3:prefix": prefixes}}}


def _on_s3(places: Sequence[str]) -> list[str]:
    return [one for one in places if one.startswith("s3://")]


def _bucket(account: Account, uri: str) -> str:
    return f"arn:{account.partition}:s3:::{uri.removeprefix('s3://').partition('/')[0]}"


def _keys_of(uri: str) -> list[str]:
    """The place and what is under it: ``lake`` opens no ``lake2``; a glob up to its wildcard."""
    key = uri.removeprefix("s3://").partition("/")[2].rstrip("/")
    plain = _WILD.split(key, maxsplit=1)[0]
    if plain != key or not key:
        return [f"{plain}*"]
    return [key, f"{key}/*"]


def _sources(settings: Settings) -> list[str]:
    return sorted({one.path for one in settings.sources.values() if one.path} - {""})


def _features(settings: Settings, groups: Sequence[str], account: Account) -> list[dict[str, Any]]:
    """The project's groups: their records, and making them where ``provision`` is to do so."""
    sending = [one for one in groups if settings.group(one).sends]
    made = [one for one in sending if settings.group(one).manage]
    used = ("DescribeFeatureGroup", *_RECORDS)
    found = [_allow("Records", "sagemaker", used, _arns(settings, sending, account))]
    found.append(_allow("Groups", "sagemaker", _MADE, _arns(settings, made, account)))
    roles = sorted({one for name in made if (one := settings.group(name).role_arn)})
    handed = _allow("HandOverStoreRole", "iam", ("PassRole",), [*roles])
    to = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    keys = sorted({one for name in sending if (one := settings.group(name).kms_key)})
    arns = [one for one in keys if one.startswith("arn:")]
    return [*found, {**handed, "Condition": to}, _keys(account, "StoreKeys", arns, via="sagemaker")]


def _arns(settings: Settings, groups: Sequence[str], account: Account) -> list[str]:
    """As they are written, and in small letters, as SageMaker's ARNs have names."""
    found = set()
    for name in groups:
        physical = settings.group(name).physical or name
        if physical.startswith("arn:"):
            found.add(physical)
        else:
            named = {physical, physical.lower()}
            found |= {account.arn("sagemaker", f"feature-group/{one}") for one in named}
    return sorted(found)


def _catalogue(settings: Settings, groups: Sequence[str], account: Account) -> dict[str, Any]:
    """The project's own tables; those that sources read, to look at."""
    database = settings.catalog.database
    own = [table_name(one, settings) for one in groups if settings.group(one).own_table]
    read = sorted({one.table for one in settings.sources.values() if one.table})
    resources = [
        account.arn("glue", "catalog"),
        account.arn("glue", f"database/{database}"),
        # Spark asks for it whenever a session with Glue's catalogue begins.
        account.arn("glue", "database/default"),
        *(account.arn("glue", f"table/{database}/{one}") for one in sorted(own)),
    ]
    for one in read:
        base, _, table = one.partition(".")
        resources += [account.arn("glue", f"database/{base}")]
        resources += [account.arn("glue", f"table/{base}/{table}")]
    return _allow("Catalogue", "glue", _TABLES, sorted(set(resources)))


def _streams(settings: Settings, account: Account) -> list[dict[str, Any]]:
    """Kinesis streams that are read; Kafka's rights are not IAM's, but for MSK's own."""
    named = [one.kinesis.stream for one in settings.streams.values() if one.kinesis is not None]
    arns = [
        one if one.startswith("arn:") else account.arn("kinesis", f"stream/{one}") for one in named
    ]
    reading = ("DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")
    return [_allow("ReadStreams", "kinesis", reading, sorted(set(arns)))]


def _logs(account: Account, target: Target, location: str) -> list[dict[str, Any]]:
    """EMR writes to S3; Glue to its log groups, which the first job of an account makes."""
    if target != "glue":
        return [_objects(account, "WriteLogs", [f"{location}/logs"], ("PutObject", "GetObject"))]
    group = account.arn("logs", f"log-group:{_LOGS}/*")
    actions = ("CreateLogGroup", "CreateLogStream", "PutLogEvents")
    return [_allow("WriteLogs", "logs", actions, [group, f"{group}:*"])]


def _keys(account: Account, sid: str, arns: list[str], via: str) -> dict[str, Any]:
    """Using keys for what that service stores, and nothing else with them."""
    suffix = "amazonaws.com.cn" if account.partition == "aws-cn" else "amazonaws.com"
    found = _allow(sid, "kms", ("Decrypt", "GenerateDataKey"), arns)
    service = {"StringLike": {"kms:ViaService": f"{via}*.{account.region}.{suffix}"}}
    return {**found, "Condition": service}

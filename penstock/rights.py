"""What a project's runs must be allowed, by its configuration: one list, granted and asked for.

``deploy`` makes the policy of a role of it, ``doctor`` asks IAM whether a role has it. From AWS's
Service Authorization Reference. Reading and writing lake and state, the project's own feature
groups and Glue tables, its sources. None may change a policy. Not verified on AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from penstock.catalog import table_name
from penstock.config import Settings
from penstock.crawler.place import Account

#: Of the runtime API. UpdateRecord has no action of its own: PutRecord's allows it (SageMaker
#: developer guide, Feature Store security).
_RECORDS = (
    "BatchGetRecord",
    "BatchWriteRecord",
    "DeleteRecord",
    "GetRecord",
    "ListRecords",
    "PutRecord",
)
_MADE = ("CreateFeatureGroup", "UpdateFeatureGroup")  # where provision makes a group
_TABLES = (
    "BatchCreatePartition",
    "CreateDatabase",
    "CreateTable",
    "GetDatabase",
    "GetTable",
    "UpdateTable",
)
#: Parts of uploads that failed are taken away (S3 API reference, AbortMultipartUpload).
_WRITING = ("AbortMultipartUpload", "DeleteObject", "GetObject", "PutObject")
#: What who creates a group must be allowed on the key of its online store (SageMaker API model,
#: OnlineStoreSecurityConfig); and ListAliases, which is about no key.
_CREATING = (
    "CreateGrant",
    "Decrypt",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "ListGrants",
    "ReEncryptFrom",
    "ReEncryptTo",
    "RetireGrant",
    "RevokeGrant",
)
_WILD = re.compile(r"[*?\[{]")  # of a glob


@dataclass(frozen=True)
class Right:
    """Actions that runs need on some resources.

    Args:
        name: Its name in a policy: letters and digits.
        why: What it is for, as people say it.
        service: As IAM calls it.
        actions: Names after the colon.
        resources: ARNs.
        condition: By operator and context key the values with which it is enough.
    """

    name: str
    why: str
    service: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)

    def statement(self) -> dict[str, Any]:
        """It as a statement of a policy."""
        named = [f"{self.service}:{one}" for one in self.actions]
        found: dict[str, Any] = {"Sid": self.name, "Effect": "Allow", "Action": named}
        found["Resource"] = [*self.resources]
        if self.condition:
            found["Condition"] = {
                operator: {key: [*values] for key, values in by_key.items()}
                for operator, by_key in self.condition.items()
            }
        return found

    def contexts(self) -> list[dict[str, str]]:
        """Requests that the condition lets pass: a value of each of its keys, without wildcards.

        Of several values those are taken that end in one, which the others are beginnings of.
        """
        keys = {key: values for by in self.condition.values() for key, values in by.items()}
        chosen = (
            [one.replace("*", "") for one in values if "*" in one] or values
            for values in keys.values()
        )
        return [dict(zip(keys, one, strict=True)) for one in product(*chosen)]


def rights(
    settings: Settings, groups: Sequence[str], account: Account, tables: Sequence[str] = ()
) -> list[Right]:
    """All that runs of the project need, wherever they run, and no more.

    Args:
        settings: The configuration.
        groups: Logical names of the project's feature groups.
        account: Where they run.
        tables: Where Glue tables that sources read lie, which only the catalogue knows.
    """
    lake, sources = [settings.lake, settings.state], sorted({*_sources(settings), *tables})
    found = [
        objects(account, "LakeAndState", "lake and state", lake, _WRITING),
        objects(account, "ReadSources", "sources", sources, ("GetObject",)),
        *listings(account, "ListThem", "lake, state and sources", [*lake, *sources]),
        *_features(settings, groups, account),
        *_catalogue(settings, groups, account),
        _streams(settings, account),
    ]
    if settings.deploy.kms_key is not None:
        used = ("Decrypt", "GenerateDataKey")
        found += _keys(account, "ObjectsKey", [settings.deploy.kms_key], used, via="s3")
    return [one for one in found if one.resources]


def objects(
    account: Account, name: str, why: str, places: Sequence[str], actions: Iterable[str]
) -> Right:
    """Objects at and under some ``s3://`` places; what lies elsewhere is nobody's business here."""
    named = {
        f"{_bucket(account, one)}/{key}" for one in _on_s3(places) for key in _keys_of(one) if key
    }
    return Right(name, why, "s3", (*actions,), (*sorted(named),))


def listings(account: Account, name: str, why: str, places: Sequence[str]) -> list[Right]:
    """Listing each bucket at and under those of the places that are in it."""
    prefixes: dict[str, set[str]] = {}
    for one in _on_s3(places):
        prefixes.setdefault(_bucket(account, one), set()).update(_keys_of(one))
    return [
        Right(
            f"{name}{n or ''}",
            why,
            "s3",
            ("ListBucket",),
            (bucket,),
            {"StringLike": {"s3:prefix": sorted(prefixes[bucket])}},
        )
        for n, bucket in enumerate(sorted(prefixes))
    ]


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
    return [one.path for one in settings.sources.values() if one.path]


def _features(settings: Settings, groups: Sequence[str], account: Account) -> list[Right]:
    """The project's groups: their records, and making them where ``provision`` is to do so.

    Each is named once: a role's policies have little room.
    """
    sending = [one for one in groups if settings.group(one).sends]
    made = [one for one in sending if settings.group(one).manage]
    others = [one for one in sending if not settings.group(one).manage]
    used = ("DescribeFeatureGroup", *_RECORDS)
    roles = sorted({one for name in made if (one := settings.group(name).role_arn)})
    to = {"StringEquals": {"iam:PassedToService": ["sagemaker.amazonaws.com"]}}
    return [
        Right("Groups", "groups", "sagemaker", (*used, *_MADE), _arns(settings, made, account)),
        Right(
            "OthersGroups", "others' groups", "sagemaker", used, _arns(settings, others, account)
        ),
        Right("HandOverStoreRole", "groups", "iam", ("PassRole",), (*roles,), to),
        *_store_keys(settings, made, others, account),
    ]


def _store_keys(
    settings: Settings, made: Sequence[str], others: Sequence[str], account: Account
) -> list[Right]:
    """Keys of online stores: to create groups with them, or to send and read records only."""
    creating = {one for name in made if (one := settings.group(name).kms_key)}
    using = {one for name in others if (one := settings.group(name).kms_key)} - creating
    return [
        *_keys(account, "StoreKeys", creating, _CREATING, via="sagemaker"),
        Right("ListAliases", "groups", "kms", ("ListAliases",), ("*",) if creating else ()),
        *_keys(account, "OthersStoreKeys", using, ("Decrypt",), via="sagemaker"),
    ]


def _arns(settings: Settings, groups: Sequence[str], account: Account) -> tuple[str, ...]:
    """As they are written, and in small letters, as SageMaker's ARNs have names."""
    found = set()
    for name in groups:
        physical = settings.group(name).physical or name
        if physical.startswith("arn:"):
            found.add(physical)
        else:
            named = {physical, physical.lower()}
            found |= {account.arn("sagemaker", f"feature-group/{one}") for one in named}
    return (*sorted(found),)


def _catalogue(settings: Settings, groups: Sequence[str], account: Account) -> list[Right]:
    """The project's own tables; those that sources read, to look at.

    An action on a table is allowed on it, its database and the catalogue, or not at all.
    """
    database, found = settings.catalog.database, []
    own = [table_name(one, settings) for one in groups if settings.group(one).own_table]
    if own and settings.catalog.register_tables:
        tables = [f"{database}/{one}" for one in own]
        found.append(Right("Catalogue", "catalogue", "glue", _TABLES, _tables(account, tables)))
    read = {one.table.replace(".", "/", 1) for one in settings.sources.values() if one.table}
    if read:
        where = _tables(account, read)
        found.append(Right("ReadTables", "sources", "glue", ("GetTable",), where))
    return found


def _tables(account: Account, named: Iterable[str]) -> tuple[str, ...]:
    """Tables as ``DATABASE/TABLE``, with what is above them."""
    tables = sorted(set(named))
    databases = sorted({one.partition("/")[0] for one in tables})
    return (
        account.arn("glue", "catalog"),
        *(account.arn("glue", f"database/{one}") for one in databases),
        *(account.arn("glue", f"table/{one}") for one in tables),
    )


def _streams(settings: Settings, account: Account) -> Right:
    """Kinesis streams that are read; Kafka's rights are not IAM's, but for MSK's own."""
    named = [one.kinesis.stream for one in settings.streams.values() if one.kinesis is not None]
    arns = {
        one if one.startswith("arn:") else account.arn("kinesis", f"stream/{one}") for one in named
    }
    reading = ("DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")
    return Right("ReadStreams", "streams", "kinesis", reading, (*sorted(arns),))


def _keys(
    account: Account, name: str, keys: Iterable[str], actions: tuple[str, ...], via: str
) -> list[Right]:
    """Using keys, by ARN, id or alias, for what that service stores, and nothing else with them.

    A policy names a key by its ARN. One that is known by an alias is any that bears it (AWS KMS
    developer guide, "Specifying KMS keys in IAM policy statements").
    """
    suffix = "amazonaws.com.cn" if account.partition == "aws-cn" else "amazonaws.com"
    service = {"StringLike": {"kms:ViaService": [f"{via}*.{account.region}.{suffix}"]}}
    whole = {one if one.startswith("arn:") else account.arn("kms", _named(one)) for one in keys}
    arns = sorted(one for one in whole if ":alias/" not in one)
    aliases: dict[str, list[str]] = {}
    for one in sorted(whole - {*arns}):
        home, _, alias = one.partition(":alias/")
        aliases.setdefault(f"{home}:key/*", []).append(f"alias/{alias}")
    why = f"keys of {via}"
    found = [Right(name, why, "kms", actions, (*arns,), service)]
    for n, (where, named) in enumerate(aliases.items()):
        known = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": named}}
        label = f"{name}ByAlias{n or ''}"
        found.append(Right(label, why, "kms", actions, (where,), {**service, **known}))
    return found


def _named(key: str) -> str:
    """A key's id or alias as the end of an ARN."""
    return key if key.startswith("alias/") else f"key/{key}"

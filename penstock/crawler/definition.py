"""A crawler as Glue is asked for it, with the role it takes: the exact requests, nothing is sent.

One crawler for all offline tables of a project and environment that penstock writes. It logs what
differs; tables that are there stay as penstock's own registration wrote them. It makes tables only
where ``catalog.register`` is off: one it made has no mark of ours, so the next run that registers
would refuse it. Not verified on AWS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from penstock.config import Settings
from penstock.crawler.place import Account, Offline, offline
from penstock.crawler.policy import permissions, trust
from penstock.errors import ConfigError
from penstock.roles import TAG, Role

#: The role's one inline policy.
POLICY = "penstock-crawler"
_DESCRIPTION = "Made by penstock for a Glue crawler over offline feature tables"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")
_ROLE = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")  # IAM API model, RoleName


@dataclass(frozen=True)
class Names:
    """What crawler and role are called in an environment, and the tag that makes them ours."""

    crawler: str
    role: str
    owner: str


@dataclass(frozen=True)
class Definition:
    """A crawler and its role.

    Args:
        role: The role.
        request: The parameters of CreateCrawler; without ``Tags`` those of UpdateCrawler.
    """

    role: Role
    request: dict[str, Any]


def names(settings: Settings, environment: str) -> Names:
    """What crawler and role are called; the defaults hold project and environment.

    Raises:
        ConfigError: AWS would not take a name.
    """
    conf, owner = settings.catalog.crawler, f"{settings.project}/{environment}"
    default = f"penstock-{settings.project}-{environment}"
    crawler, role = conf.name or default, conf.role or f"{default}-crawler"
    for key, name, allowed in (("name", crawler, _NAME), ("role", role, _ROLE)):
        if not allowed.fullmatch(name):
            message = f"{name!r} is no name for a crawler's {key} on AWS"
            raise ConfigError(message, f"Set catalog.crawler.{key} in conf")
    return Names(crawler, role, owner)


def definition(
    settings: Settings, environment: str, groups: Iterable[str], account: Account
) -> Definition:
    """The crawler of an environment and its role.

    Args:
        settings: The configuration.
        environment: Its name.
        groups: Feature groups of the project; those whose table penstock does not write are left
            out.
        account: Where the crawler is to be.

    Raises:
        ConfigError: The lake is not on S3, or AWS would not take a name.
        UsageError: There is no table to crawl.
    """
    conf, called = settings.catalog.crawler, names(settings, environment)
    where, catalog = offline(settings, groups), settings.catalog
    policy = permissions(
        account,
        called.crawler,
        catalog.database,
        where,
        creates=not catalog.register_tables,
        kms_key=conf.kms_key,
    )
    request: dict[str, Any] = {
        "Name": called.crawler,
        "Role": account.role_arn(called.role),
        "DatabaseName": catalog.database,
        "Description": f"Made by penstock: offline tables of project {settings.project}. "
        f"'penstock crawler apply --env {environment}' overwrites changes.",
        "Targets": _targets(settings, where),
        "Classifiers": [],
        "TablePrefix": "",
        # Tables that are there stay as they are, whatever the crawler finds (Glue API reference).
        "SchemaChangePolicy": {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"},
        # The other two are about new folders and events of plain S3 targets (Glue developer guide,
        # incremental crawls).
        "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"},
        "Configuration": json.dumps(_CONFIGURATION),
        "Tags": {TAG: called.owner},
    }
    if conf.schedule is not None:
        request["Schedule"] = conf.schedule
    role = Role(called.role, called.owner, trust(), policy, POLICY, _DESCRIPTION)
    return Definition(role, request)


#: Partitions inherit from the table, as the guide has it for schemas that must not change; no
#: indexes are made, which for Delta tables are on by default (Glue developer guide, "Preventing a
#: crawler from changing an existing schema", "Generating partition indexes").
_CONFIGURATION = {
    "Version": 1.0,
    "CrawlerOutput": {"Partitions": {"AddOrUpdateBehavior": "InheritFromTable"}},
    "CreatePartitionIndex": False,
}


def _targets(settings: Settings, where: Offline) -> dict[str, Any]:
    """``CrawlerTargets``, by the format of the offline tables.

    Native Delta tables, which Athena reads by the Delta log: manifests are for symlink tables only
    (Glue developer guide, "Specifying configuration options for a Delta Lake data store"). Iceberg
    tables by their folders, which have the metadata (Glue API, IcebergTarget). Hive tables as the
    catalogue has them (CatalogTarget): a crawler calls a table as its folder, which is ``data``.

    Raises:
        ConfigError: Nobody registers Hive tables.
    """
    catalog, form = settings.catalog, settings.offline.format
    if form == "delta":
        native = {"WriteManifest": False, "CreateNativeDeltaTable": True}
        return {"DeltaTargets": [{"DeltaTables": where.uris, **native}]}
    if form == "iceberg":
        return {"IcebergTargets": [{"Paths": where.uris, "MaximumTraversalDepth": 1}]}
    if not catalog.register_tables:
        message = f"{settings.place('offline.format')}: a crawler would call each Hive table 'data'"
        raise ConfigError(message, "Leave catalog.register on: every run registers partitions")
    return {"CatalogTargets": [{"DatabaseName": catalog.database, "Tables": [*where.tables]}]}

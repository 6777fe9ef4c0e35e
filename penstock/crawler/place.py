"""Where a crawler looks: the account it is in, and the folders of the offline tables on S3."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from penstock.catalog import table_name
from penstock.config import Settings
from penstock.errors import ConfigError, UsageError

_LAKE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[^/]+)*)/?")
#: Wildcards and variables of IAM policies: in a folder's name they would mean more than it.
_WILD = re.compile(r"[*?$]")


@dataclass(frozen=True)
class Account:
    """An account in a region.

    Args:
        number: Its twelve digits.
        region: AWS region.
        partition: ``aws``, ``aws-cn``, ….
    """

    number: str
    region: str
    partition: str = "aws"

    def arn(self, service: str, resource: str) -> str:
        """ARN of something of this account in this region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.number}:{resource}"

    def role_arn(self, name: str) -> str:
        """ARN of a role without a path; roles are in no region."""
        return f"arn:{self.partition}:iam::{self.number}:role/{name}"


@dataclass(frozen=True)
class Offline:
    """The offline tables of a project.

    Args:
        bucket: S3 bucket of the lake.
        prefix: Key of the folder that holds one folder a table, and nothing else; no slash at
            either end.
        tables: Names of tables in Glue, which are those of their folders, sorted.
    """

    bucket: str
    prefix: str
    tables: tuple[str, ...]

    @property
    def uris(self) -> list[str]:
        """The tables' folders."""
        return [f"s3://{self.bucket}/{self.prefix}/{table}/" for table in self.tables]


def offline(settings: Settings, groups: Iterable[str]) -> Offline:
    """The tables that penstock writes for some feature groups.

    Raises:
        ConfigError: The lake is not on S3, or is named with a wildcard.
        UsageError: penstock writes none of them.
    """
    place, found = settings.place("lake"), _LAKE.fullmatch(settings.lake)
    if found is None:
        message = f"{place}: the lake {settings.lake} is not on S3, and Glue crawls nothing else"
        remedy = "Name an environment with lake: s3://BUCKET/FOLDER with --env; a table in a folder"
        raise ConfigError(message, f"{remedy} needs no crawler")
    if _WILD.search(settings.lake):
        message = f"{place}: the lake {settings.lake} has *, ? or $ in it, wildcards to IAM"
        raise ConfigError(message, "Name its folder without them")
    own = sorted(table_name(one, settings) for one in groups if settings.group(one).own_table)
    if not own:
        message = "penstock writes no offline table of this project"
        raise UsageError(
            message, "A crawler needs a group with owner: direct that is stored offline"
        )
    return Offline(found[1], f"{found[2].lstrip('/')}/offline".lstrip("/"), tuple(own))

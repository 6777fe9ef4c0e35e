"""Where a deployment goes: the account, its services, and what things are called there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from penstock import aws
from penstock.aws import Endpoint
from penstock.config import Settings
from penstock.crawler.place import Account
from penstock.deploy.runtime import Target
from penstock.errors import ConfigError

_ROLE = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")  # IAM API model, RoleName
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class Place:
    """An account and how its services are reached.

    Args:
        account: The account.
        endpoint: Of all services but S3.
        storage: Of S3.
    """

    account: Account
    endpoint: Endpoint
    storage: Endpoint
    _clients: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def client(self, service: str) -> Any:
        """A boto3 client, made once."""
        if service not in self._clients:
            where = self.storage if service == "s3" else self.endpoint
            self._clients[service] = aws.client(where, service)
        return self._clients[service]


@dataclass(frozen=True)
class Names:
    """What the pieces of a deployment are called, and the tag that makes them ours.

    Args:
        stem: ``penstock-PROJECT-ENV``.
        role: The jobs' role.
        owner: ``PROJECT/ENV``.
    """

    stem: str
    role: str
    owner: str

    def job(self, command: str) -> str:
        """The Glue job of a script."""
        return f"{self.stem}-{command}"


def names(settings: Settings, environment: str, target: Target) -> Names:
    """What things are called.

    Raises:
        ConfigError: AWS would not take a name.
    """
    stem = f"penstock-{settings.project}-{environment}"
    places = {
        "emr-serverless": settings.deploy.emr_serverless.role,
        "emr": settings.deploy.emr.role,
        "glue": settings.deploy.glue.role,
    }
    role = places[target] or f"{stem}-{target}"
    if not _NAME.fullmatch(stem) or not _ROLE.fullmatch(role):
        key = f"deploy.{target.replace('-', '_')}.role"
        message = f"{stem!r} and {role!r} are no names for AWS"
        raise ConfigError(message, f"Shorten project or environment, or set {key}")
    return Names(stem, role, f"{settings.project}/{environment}")


def reach(settings: Settings) -> Place:
    """The account that the settings name; AWS is asked for its number.

    Raises:
        ConfigError: No region is known.
        CredentialsError: There are no credentials, or AWS refuses them.
    """
    endpoint = aws.endpoint_of(settings)
    who = aws.client(endpoint, "sts").get_caller_identity()
    account = Account(who["Account"], endpoint.region, who["Arn"].split(":")[1])
    return Place(account, endpoint, aws.storage_endpoint(settings))

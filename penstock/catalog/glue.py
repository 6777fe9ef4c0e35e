"""Glue's tables and databases, written only where they differ, under the table's version as a lock.

Two writers at once are normal (two groups in one run, two runs): each compares again after a lost
race. Errors that pass by themselves are met a bounded number of times, with full jitter between.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from botocore.exceptions import ClientError

from penstock import aws
from penstock.catalog.table import evolved, is_iceberg, location_of
from penstock.config import Location
from penstock.errors import CredentialsError, PenstockError, TemporaryError, UsageError

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_T = TypeVar("_T")

#: Lost races, throttles and passing trouble (Glue API model; Throttling* are AWS's common errors).
PASSING = frozenset(
    {
        "AlreadyExistsException",
        "ConcurrentModificationException",
        "EntityNotFoundException",  # a database that was just made is not seen everywhere at once
        "InternalServiceException",
        "OperationTimeoutException",
        "RequestLimitExceeded",
        "ResourceNotReadyException",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


@dataclass(frozen=True)
class Retry:
    """How often passing trouble is met: at most ``attempts`` calls, ``attempts - 1`` sleeps.

    The n-th sleep (from 0) is uniform in 0 to ``min(cap_s, base_s * 2**n)`` seconds; with the
    defaults all sleeps together last at most 6.2 s. ``sleep`` and ``draw`` (uniform in 0 to 1) are
    handed in.
    """

    attempts: int = 6
    base_s: float = 0.2
    cap_s: float = 5.0
    sleep: Callable[[float], None] = time.sleep
    draw: Callable[[], float] = random.random

    def delay(self, n: int) -> float:
        """Seconds to sleep after the n-th failure, from 0."""
        return self.draw() * min(self.cap_s, self.base_s * 2.0**n)


@dataclass(frozen=True)
class Registration:
    """What :func:`register` did, and the version of the table it left (None: Glue says none)."""

    action: Literal["created", "updated", "unchanged"]
    version: str | None


def register(
    glue: GlueClient, database: str, wanted: Mapping[str, Any], retry: Retry | None = None
) -> Registration:
    """Create or evolve a table so that it says what the contract says; makes the database.

    Idempotent: a table that says it already is not written.

    Args:
        glue: A Glue client.
        database: Glue database.
        wanted: What :func:`penstock.catalog.table.table_input` says.
        retry: How passing trouble is met.

    Raises:
        UsageError: The table is not ours, or the change is not additive; nothing was written.
        TemporaryError: The trouble did not pass.
        CredentialsError: Glue denied it.
    """
    name = wanted["Name"]
    policy = retry or Retry()
    where = f"{database}.{name}"
    action = persistent(lambda: _bring(glue, database, wanted), policy, where)
    table = persistent(lambda: _table(glue, database, name), policy, where)
    return Registration(action, table.get("VersionId") if table else None)


def ensure_database(glue: GlueClient, database: str, retry: Retry | None = None) -> bool:
    """Make the database if it is not there; True where this call made it.

    Raises:
        TemporaryError: The trouble did not pass.
        CredentialsError: Glue denied it.
    """
    return persistent(lambda: _make_database(glue, database), retry or Retry(), database)


def resolve(glue: GlueClient, name: str) -> Location:
    """Location and format of the registered table ``database.table``, to read it as a source.

    Raises:
        UsageError: No such table, or one that penstock does not read.
    """
    database, dot, table = name.partition(".")
    if not dot or not table or "." in table:
        raise UsageError(f"{name!r} names no table", "Write database.table")
    found = persistent(lambda: _table(glue, database, table), Retry(), name)
    if found is None:
        raise UsageError(f"Glue has no table {name}", "Correct sources.….table in conf")
    return location_of(found, name)


def _bring(
    glue: GlueClient, database: str, wanted: Mapping[str, Any]
) -> Literal["created", "updated", "unchanged"]:
    """One attempt: look, compare, write at most once."""
    existing = _table(glue, database, wanted["Name"])
    if existing is None and is_iceberg(wanted):
        message = f"Glue table {database}.{wanted['Name']} is gone, which told the table's metadata"
        raise UsageError(message, "Register it by its newest metadata file, or restore the table")
    if existing is None:
        _make_database(glue, database)
        glue.create_table(DatabaseName=database, TableInput=_input(wanted))
        return "created"
    after = evolved(existing, wanted, f"{database}.{wanted['Name']}")
    if after is None:
        return "unchanged"
    lock: dict[str, Any] = {"VersionId": existing["VersionId"]} if "VersionId" in existing else {}
    glue.update_table(DatabaseName=database, TableInput=_input(after), **lock)
    return "updated"


def _make_database(glue: GlueClient, database: str) -> bool:
    try:
        glue.get_database(Name=database)
    except ClientError as error:
        if aws.code(error) != "EntityNotFoundException":
            raise
    else:
        return False
    glue.create_database(DatabaseInput={"Name": database, "Description": "Made by penstock"})
    return True


def _table(glue: GlueClient, database: str, name: str) -> dict[str, Any] | None:
    try:
        return dict(glue.get_table(DatabaseName=database, Name=name)["Table"])
    except ClientError as error:
        if aws.code(error) == "EntityNotFoundException":
            return None
        raise


def persistent(call: Callable[[], _T], retry: Retry, what: str) -> _T:
    """What a call of Glue answers, after passing trouble; its errors as ours, about ``what``."""
    for n in range(retry.attempts):
        try:
            return call()
        except ClientError as error:
            if aws.code(error) not in PASSING:
                raise _ours(error, what) from error
            if n + 1 == retry.attempts:
                last = aws.code(error)
                message = f"Glue did not take {what} in {retry.attempts} attempts: {last}"
                raise TemporaryError(message, "Run the same command again") from error
            retry.sleep(retry.delay(n))
    raise TemporaryError(f"Glue was asked nothing about {what}", "Allow at least one attempt")


def _ours(error: ClientError, what: str) -> PenstockError:
    known = aws.explained(error)
    if isinstance(known, CredentialsError):
        return known
    text = f"{aws.code(error)}: {error.response['Error'].get('Message', '')}"
    message = f"Glue refused {what}: {text}"
    return UsageError(message, "Correct what it names in the contract or in conf")


def _input(table: Mapping[str, Any]) -> Any:
    """Typed as whatever boto3 wants: the keys are those of the API model."""
    return dict(table)

"""Crawler and role together: compared before a word is written; the role comes first, goes last."""

from __future__ import annotations

from typing import Any

from penstock.catalog import Retry
from penstock.crawler import crawler, role
from penstock.crawler.change import Change
from penstock.crawler.definition import Definition, Names
from penstock.crawler.place import Account


def compare(iam: Any, glue: Any, wanted: Definition, account: Account) -> tuple[Change, Change]:
    """What :func:`apply` would do to role and crawler; nothing is written.

    Raises:
        UsageError: One of them was made by somebody else.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    return role.compare(iam, wanted.role), crawler.compare(glue, wanted.request, account)


def apply(
    iam: Any,
    glue: Any,
    wanted: Definition,
    account: Account,
    retry: Retry = crawler.PATIENCE,
) -> tuple[Change, Change]:
    """Create role and crawler, or change what differs; what agrees is not written. Idempotent.

    Where it fails in between, the same call goes on.

    Raises:
        UsageError: As :func:`compare`, and then nothing was written; or AWS refused a request.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer, or the crawler runs.
    """
    found = compare(iam, glue, wanted, account)
    role.bring(iam, wanted.role)
    crawler.bring(glue, wanted.request, account, retry)
    return found


def remove(iam: Any, glue: Any, names: Names, account: Account) -> tuple[bool, bool]:
    """Delete crawler and role if they are ours; for each whether it was there. Tables stay.

    Raises:
        UsageError: One of them was made by somebody else, or the role has others' policies; then
            neither is deleted.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer, or the crawler runs.
    """
    has_crawler = crawler.removable(glue, names.crawler, names.owner, account)
    has_role = role.removable(iam, names.role, names.owner)
    if has_crawler:
        crawler.remove(glue, names.crawler)
    if has_role:
        role.remove(iam, names.role)
    return has_crawler, has_role

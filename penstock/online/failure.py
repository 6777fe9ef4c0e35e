"""What ends a run, in words: one line that says what, and what to do next. No feature values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.errors import (
    CredentialsError,
    DataGateError,
    MismatchError,
    TemporaryError,
    UsageError,
)
from penstock.online.outcome import Outcome

if TYPE_CHECKING:
    from penstock.errors import PenstockError
    from penstock.online.outcome import Verdict

_READS = ("BatchGetRecord", "ListRecords")


def alien(verdict: Verdict) -> MismatchError:
    """Whoever answered is not the service."""
    message = f"the endpoint is not SageMaker: {verdict.code}, {verdict.message}"
    return MismatchError(message, "Check aws.endpoint_url, proxies and CA bundle")


def denied(group: str, verdict: Verdict, operation: str) -> CredentialsError:
    """The rights do not suffice."""
    did = "read" if operation in _READS else "write to"
    message = f"not allowed to {did} {group}: {verdict.code} {verdict.message}"
    rights = "sagemaker:PutRecord and sagemaker:BatchWriteRecord"
    wanted = rights if operation in ("PutRecord", "BatchWriteRecord") else f"sagemaker:{operation}"
    return CredentialsError(message, f"Allow {wanted}")


def refused_keys(verdict: Verdict) -> CredentialsError:
    """New credentials were refused as well."""
    message = f"the service refuses our credentials: {verdict.code} {verdict.message}"
    return CredentialsError(message, "Sign in again, and check this machine's clock")


def unknown_operation(operation: str, verdict: Verdict) -> UsageError:
    """The endpoint does not have an operation that was asked for."""
    remedy = (
        "Set online.api to auto or put"
        if operation == "BatchWriteRecord"
        else "Update the region or the stand-in, or do without corrections and deletions"
    )
    return UsageError(f"the endpoint does not know {operation}: {verdict.code}", remedy)


def rejected(records: int, accepted: int, verdict: Verdict) -> DataGateError:
    """Too much was refused for good."""
    message = (
        f"the service rejected {records} records and accepted {accepted}, "
        f"the last with {verdict.code}"
    )
    return DataGateError(message, "Compare the contract with the feature group")


def given_up(group: str, when: str, cause: Verdict) -> PenstockError:
    """Records are not being accepted."""
    message = f"{group} accepts no records {when}; last answer: {cause.code}"
    # A message about a record may quote its values.
    quoting = cause.outcome is Outcome.UNKNOWN or not cause.message
    words = message if quoting else f"{message} {cause.message[:200]}"
    return TemporaryError(words, "Run the same command again: it resumes")


def unread(group: str, when: str, cause: Verdict) -> PenstockError:
    """Questions are not being answered."""
    message = f"{group} answers no questions {when}; last answer: {cause.code}"
    return TemporaryError(message, "Run the same command again")


def unanswerable(group: str, operation: str, verdict: Verdict) -> MismatchError:
    """A question was refused that the service's own model allows."""
    message = f"{group}: the service refuses {operation}: {verdict.code}"
    return MismatchError(message, "Compare it with its contract: penstock provision --check")


def unsettled(group: str, chunks: int) -> MismatchError:
    """Rows were counted and never sent, so that no answer can settle their chunk any more."""
    message = f"{group}: {chunks} chunks have rows that nobody sends"
    return MismatchError(message, "This is a defect: report it")

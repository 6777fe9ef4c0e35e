"""Partitions of a Hive table in Glue: Athena sees a folder of the table once it is registered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penstock.catalog.glue import Retry, persistent
from penstock.errors import UsageError

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

CALL = 100  # partitions of one BatchCreatePartition (Glue API reference)


def add_partitions(
    glue: GlueClient,
    database: str,
    table: Mapping[str, Any],
    folders: Mapping[str, Sequence[str]],
    retry: Retry | None = None,
) -> int:
    """Register folders; those that are registered stay as they are.

    Args:
        glue: A Glue client.
        database: Glue database.
        table: What :func:`penstock.catalog.table.table_input` says; partitions have its columns.
        folders: URI of a folder → values of the partition keys.
        retry: How passing trouble is met.

    Returns:
        How many were not registered before.

    Raises:
        UsageError: Glue refuses one.
        TemporaryError: The trouble did not pass.
        CredentialsError: Glue denied it.
    """
    made, names = 0, list(folders)
    where = f"{database}.{table['Name']}"
    for start in range(0, len(names), CALL):
        some = names[start : start + CALL]
        inputs = [_input(table, one, folders[one]) for one in some]
        answer = persistent(lambda: _create(glue, database, table, inputs), retry or Retry(), where)  # noqa: B023 - it is called at once
        made += len(some) - _known(answer, where)
    return made


def _create(
    glue: GlueClient, database: str, table: Mapping[str, Any], inputs: list[Any]
) -> Mapping[str, Any]:
    return glue.batch_create_partition(
        DatabaseName=database, TableName=table["Name"], PartitionInputList=inputs
    )


def _known(answer: Mapping[str, Any], where: str) -> int:
    """How many were there already."""
    errors = [one["ErrorDetail"] for one in answer.get("Errors", [])]
    others = [one for one in errors if one.get("ErrorCode") != "AlreadyExistsException"]
    if others:
        code, text = (others[0].get(name, "") for name in ("ErrorCode", "ErrorMessage"))
        message = f"Glue refused {len(others)} partitions of {where}: {code}: {text}"
        raise UsageError(message, "Correct what it names and run the same command again")
    return len(errors)


def _input(table: Mapping[str, Any], folder: str, values: Sequence[str]) -> dict[str, Any]:
    return {
        "Values": list(values),
        "StorageDescriptor": {**table["StorageDescriptor"], "Location": folder},
    }

"""The offline tables of a project by their format, and how each is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock import commits
from penstock.bucket import storage_of
from penstock.catalog.table import GROUP, table_name
from penstock.config import Settings
from penstock.errors import UsageError
from penstock.offline import iceberg
from penstock.offline.delta import DeltaLog
from penstock.offline.hive import HiveLog
from penstock.offline.log import TableLog
from penstock.run.places import offline_path

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

#: Format → a folder that tables of it have, and no others.
_SIGNS = {"delta": "_delta_log", "iceberg": "metadata", "hive": "log"}


def table_log(
    settings: Settings, group: str, event_time: str, glue: Callable[[], GlueClient]
) -> TableLog:
    """The log of a group's offline table; nothing is asked or made yet.

    Args:
        settings: What ``conf`` says.
        group: Logical name of the feature group.
        event_time: Its feature of that name.
        glue: Gives a client; asked where a table of the catalogue tells the newest metadata.
    """
    path = offline_path(settings, group)
    storage = storage_of(path, settings)
    if settings.offline.format == "delta":
        return DeltaLog(path, storage)
    if settings.offline.format == "hive":
        return HiveLog(path, storage, event_time)
    iceberg.check_installed()
    from penstock.offline.iceberg_catalog import FolderCatalog, GlueTable, TableCatalog

    catalog: TableCatalog = FolderCatalog(path, storage)
    if settings.catalog.register_tables:
        name = table_name(group, settings)
        catalog = GlueTable(glue(), settings.catalog.database, name, path, storage)
    return iceberg.IcebergLog(path, storage, catalog, event_time, {GROUP: group})


def check_delta(settings: Settings, what: str) -> None:
    """For what only Delta tables have so far.

    Raises:
        UsageError: The offline tables have another format.
    """
    form = settings.offline.format
    if form != "delta":
        message = f"{what} works on Delta tables, and conf says offline.format: {form}"
        raise UsageError(message, "Athena has OPTIMIZE, VACUUM and DELETE for Iceberg tables")


def check_tables(settings: Settings, group: str) -> None:
    """Runs ask before they write anything.

    Raises:
        UsageError: What commits to the table is not installed, or the table has another format.
    """
    named = settings.offline.format
    commits.check_installed()  # the quarantine is a Delta table in any case
    if named == "iceberg":
        iceberg.check_installed()
    path = offline_path(settings, group)
    storage = storage_of(path, settings)
    for other, folder in _SIGNS.items():
        if other != named and storage.list(f"{path}/{folder}"):
            message = f"{path} is a table of format {other}, and conf says offline.format: {named}"
            raise UsageError(message, "Set it back, or name another lake or groups.….table")

"""The offline tables of a project by their format, and how each is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from penstock import commits
from penstock.bucket import storage_of
from penstock.catalog.table import GROUP, table_name
from penstock.config import Settings
from penstock.contract import FeatureGroup, FeatureType
from penstock.erasure import Erasure, is_number, is_one_of
from penstock.errors import UsageError
from penstock.offline import iceberg
from penstock.offline.delta import DeltaLog
from penstock.offline.hive import HiveLog
from penstock.offline.hive_erasure import HiveErasure
from penstock.offline.log import RowErasure, TableLog
from penstock.run.places import offline_path

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

    from penstock.offline.iceberg_catalog import TableCatalog

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
    catalog = _catalog(settings, group, glue)
    return iceberg.IcebergLog(path, storage, catalog, event_time, {GROUP: group})


def row_erasure(
    settings: Settings,
    group: FeatureGroup,
    identifiers: Sequence[str],
    glue: Callable[[], GlueClient],
) -> RowErasure:
    """How rows leave a group's offline table for good; nothing is asked or done yet.

    Args:
        settings: What ``conf`` says.
        group: The contract.
        identifiers: Texts of record identifiers, as the table has them.
        glue: As :func:`table_log`.
    """
    path, column = offline_path(settings, group.name), group.record_identifier
    storage = storage_of(path, settings)
    if settings.offline.format == "delta":
        return Erasure(path, storage, _condition(group, identifiers))
    if settings.offline.format == "hive":
        log = HiveLog(path, storage, group.event_time)
        return HiveErasure(log, storage, column, identifiers)
    catalog = _catalog(settings, group.name, glue)
    from penstock.offline.iceberg_erasure import IcebergErasure

    return IcebergErasure(path, storage, catalog, column, identifiers)


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


def _catalog(settings: Settings, group: str, glue: Callable[[], GlueClient]) -> TableCatalog:
    """Where the newest metadata of a group's Iceberg table is told."""
    iceberg.check_installed()
    from penstock.offline.iceberg_catalog import FolderCatalog, GlueTable

    path = offline_path(settings, group)
    storage = storage_of(path, settings)
    if not settings.catalog.register_tables:
        return FolderCatalog(path, storage)
    name = table_name(group, settings)
    return GlueTable(glue(), settings.catalog.database, name, path, storage)


def _condition(group: FeatureGroup, identifiers: Sequence[str]) -> str:
    """Rows of a Delta table."""
    name = group.record_identifier
    if group.feature(name).type is FeatureType.FRACTIONAL:
        return is_number(name, [float(one) for one in identifiers])
    return is_one_of(name, identifiers)

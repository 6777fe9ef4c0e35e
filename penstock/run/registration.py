"""The Glue table of an offline table, in step with the contract and with what was committed."""

from __future__ import annotations

from typing import Any

from penstock.catalog.glue import register
from penstock.catalog.partitions import add_partitions
from penstock.catalog.table import table_input, table_name
from penstock.contract import FeatureGroup
from penstock.offline.hive import HiveLog
from penstock.run.context import Context
from penstock.run.places import offline_path
from penstock.storage import uri_of


def registered(context: Context, group: FeatureGroup, meaning: str) -> dict[str, Any]:
    """Register the table of a group, unless ``catalog.register`` is off. Repeating it is fine.

    Returns:
        ``table``, None where it is off; what was done; of Hive tables the partitions that came.
    """
    settings = context.settings
    if not settings.catalog.register_tables:
        return {"table": None}
    name, database = table_name(group.name, settings), settings.catalog.database
    location = uri_of(offline_path(settings, group.name))
    hive = settings.offline.format == "hive"
    wanted = table_input(
        group,
        table=name,
        location=f"{location}/data" if hive else location,
        meaning=meaning,
        table_format=settings.offline.format,
    )
    glue = context.client("glue")
    made = register(glue, database, wanted)
    where = f"{database}.{name}"
    told: dict[str, Any] = {"table": where, "action": made.action}
    if hive:
        log = context.log(group)
        assert isinstance(log, HiveLog)
        version = log.version() or 0
        known = None if made.action == "created" else log.registered(where)
        # Not the URI of each path: that would say %3D for the = readers look for.
        folders = {
            location + one.removeprefix(log.path): hour
            for one, hour in _hours(log, known, version).items()
        }
        told["partitions"] = add_partitions(glue, database, wanted, folders)
        if version != known:
            log.note_registered(where, version)
    return told


def _hours(log: HiveLog, known: int | None, version: int) -> dict[str, tuple[str, str, str, str]]:
    """Folders that a version has and the one that is known has not."""
    before = {} if known is None else log.partitions(known)
    return {one: hour for one, hour in log.partitions(version).items() if one not in before}

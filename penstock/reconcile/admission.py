"""Which groups can be compared: those with two stores that are meant to hold the same."""

from __future__ import annotations

from penstock.contract import FeatureGroup
from penstock.difference import difference
from penstock.errors import UsageError
from penstock.ledger.history import Ledger
from penstock.run.context import Context
from penstock.run.group import check_group
from penstock.run.places import state_folder
from penstock.run.unfinished import NAMED, check_finished


def check(context: Context, group: FeatureGroup, *, repair: bool) -> None:
    """Return where the stores of a group can be compared, and mended where that is asked for.

    Raises:
        UsageError: They cannot; says why and what can be done.
    """
    name, place = group.name, context.settings.group(group.name)
    if not place.own_table or not place.is_online:
        lacks = "offline table of penstock's" if place.is_online else "online store"
        message = f"{name}: it has no {lacks}: there are no two stores to compare"
        raise UsageError(message, f"conf says so at groups.{name}: see docs/modes.md")
    if repair and group.ttl_from is not None:
        message = f"{name}: records had times to live of their own, which are not offline"
        raise UsageError(message, "Leave out --repair, and run the windows again with other rows")
    if repair:
        check_finished(context, name)
    _check_sent(context, name)
    check_group(context, group)
    _check_contract(context, group)
    if not context.log(group).exists:
        message = f"there is no offline table of {name!r}"
        raise UsageError(message, "Ingest the feature group first")


def _check_sent(context: Context, name: str) -> None:
    """Windows whose rows were not sent are not online, and are not meant to be."""
    heads = Ledger(context.storage, state_folder(context.settings), name).heads()
    never = [one.window for one in heads if (one.mode or "").startswith("never:")]
    if never:
        more = f" and {len(never) - NAMED} more" if len(never) > NAMED else ""
        windows = ", ".join(never[:NAMED])
        message = f"{name}: run with --online never, so not online on purpose: {windows}{more}"
        raise UsageError(message, f"Run them again: penstock ingest {name} --online latest")


def _check_contract(context: Context, group: FeatureGroup) -> None:
    """Features that AWS has not, or has as something else, would differ in every record."""
    physical = context.settings.group(group.name).physical or group.name
    described = context.client("sagemaker").describe_feature_group(FeatureGroupName=physical)
    found = difference(group, context.settings, described)
    if found.additions or found.conflicts:
        message = f"feature group {physical!r} on AWS differs: {'; '.join(found.lines())}"
        raise UsageError(message, f"See: penstock provision {group.name} --check")

"""What of a group is not finished, so that one of its stores may lag behind the other."""

from __future__ import annotations

from penstock.errors import TemporaryError, UsageError
from penstock.ledger.history import Head, Ledger
from penstock.ledger.lease import check_free
from penstock.ledger.window import Window
from penstock.run.collection import has_ended
from penstock.run.context import Context
from penstock.run.places import Places, state_folder, streams_folder
from penstock.run.quarantined import decisions_of

NAMED = 3  # windows in an error


def check_finished(context: Context, group: str) -> None:
    """Return where every run, replay and batch of a group has come to its end.

    Args:
        context: The surroundings.
        group: Logical name of the feature group.

    Raises:
        UsageError: One has not; says which, and what to do about it.
    """
    state = state_folder(context.settings)
    ledger = Ledger(context.storage, state, group)
    undone = [one.window for one in ledger.heads() if not _has_ended(context, ledger, one)]
    if undone:
        more = f" and {len(undone) - NAMED} more" if len(undone) > NAMED else ""
        message = f"{group}: not done: {', '.join(undone[:NAMED])}{more}"
        remedy = f"Finish them first, see penstock status {group}: what is begun"
        raise UsageError(message, f"{remedy} needs what it has staged. Nothing was done")
    if decisions_of(context.settings, group).pending is not None:
        message = f"{group}: a replay of its quarantine is not finished"
        raise UsageError(message, f"First: penstock quarantine replay {group}. Nothing was done")
    waiting = context.storage.walk(streams_folder(state, group))
    if any("/batches/" in one for one in waiting):
        message = f"{group}: batches of its stream wait for the offline store"
        remedy = f"First: penstock stream {group} --available-now. Nothing was done"
        raise UsageError(message, remedy)


def under_way(context: Context, group: str) -> str | None:
    """Why the offline store of a group may lag behind the online one now; None where it does not.

    A run or a stream is at work on it, or something of it was begun and is not finished.
    """
    now = context.now().timestamp()
    try:
        for lease in context.storage.list(f"{state_folder(context.settings)}/leases/{group}"):
            name = lease.rsplit("/", 1)[-1].removesuffix(".json")
            check_free(context.storage, lease, now, f"{group}: {name}")
        check_finished(context, group)
    except (TemporaryError, UsageError) as error:
        return error.message
    return None


def _has_ended(context: Context, ledger: Ledger, head: Head) -> bool:
    places = Places(ledger.state, ledger.group, Window(label=head.window))
    return has_ended(context.storage, places, head.generation, head.state)

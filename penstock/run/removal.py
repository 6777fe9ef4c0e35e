"""Records that are removed before they are put anew: the online store forgets their event time.

A PutRecord is ignored where the store has the same or a newer event time, so nothing but this
brings back an older value, or another one where UpdateRecord cannot. In between the record is not
there. A call that was given up may still arrive late and would remove what came after it, so
nothing is put before a grace period is over (facts: reliability, finding 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from penstock.errors import DataGateError
from penstock.online import fold
from penstock.run.manifest import pinned_instant
from penstock.run.sending import send_files
from penstock.run.work import Work
from penstock.stage.report import Staged


def remove(work: Work, gone: Sequence[Staged], results: str) -> None:
    """Remove records for good, then wait. Doing it again removes nothing that came since.

    Args:
        work: The window.
        gone: Files of deletions.
        results: Folder of the markers of what is put afterwards; those of removals stand beside it.

    Raises:
        DataGateError: The service refused a removal; nothing was put.
    """
    if not gone:
        return
    context, group, own = work.context, work.group.name, f"{results}-gone"
    files = {one.path: one.rows for one in gone}
    grace = timedelta(seconds=context.settings.online.removal_grace_s)
    work.say(f"removing {sum(files.values()):,} records that come back anew")
    send_files(work, gone, own, hard=True)
    totals = fold(context.storage, own, files, work.manifest.chunk_rows)
    if totals.figures.rejected:
        codes = ", ".join(f"{code}: {rows}" for code, rows in totals.figures.by_code.items())
        message = f"{group}: the service refused {totals.figures.rejected} removals ({codes})"
        raise DataGateError(message, "Nothing was put; see whether hard deletes are allowed")
    path = work.places.pin(work.generation, f"{own.rsplit('/', 1)[-1]}-removed")
    until = pinned_instant(context.storage, path, context.now()) + grace
    left = (until - context.now()).total_seconds()
    if left > 0:
        work.say(f"waiting {left:.0f} s for late calls")
        context.sleep(left)

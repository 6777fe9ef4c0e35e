"""Mending as any run writes: the same files, sender, limiter and guards of the service.

Removals go first, and what comes back is put after the grace period that late calls have, as in
:mod:`penstock.run.removal`. Killed anywhere, the same command compares anew and goes on from what
it finds: no record is ever put over a newer one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from penstock.contract import FeatureGroup
from penstock.online import Figures, fold
from penstock.reconcile.task import Compared
from penstock.run.context import Context
from penstock.run.mode import mode_of
from penstock.run.sending import job_of, send_by_tasks, slots_of
from penstock.stage.report import Staged


@dataclass(frozen=True)
class Mended:
    """What mending did.

    Args:
        sent: Records that were put, corrected, deleted or removed.
        rejected: Of these, refused by the service for good.
        skipped: Of these, corrections and deletions that came too late: a newer event won.
        left: Records that still differ, by kind.
    """

    sent: int
    rejected: int
    skipped: int
    left: Counter[str]


def send(
    context: Context,
    group: FeatureGroup,
    made: Compared,
    folder: str,
    check: Callable[[], None],
) -> Figures:
    """Send what mends the differences; returns what became of it.

    Args:
        context: The surroundings.
        group: The contract.
        made: Files of a comparison that mends.
        folder: For the markers.
        check: Raises once others may write; asked before anything is sent.

    Raises:
        PenstockError: As of a run that sends.
    """
    figures = Figures()
    grace = context.settings.online.removal_grace_s
    if made.gone:
        check()
        figures.add(_sent(context, group, made.gone, f"{folder}/gone", hard=True))
        if made.returns and grace:
            context.progress.step(group.name, f"waiting {grace:.0f} s for late calls")
            context.sleep(grace)
    if made.send:
        check()
        figures.add(_sent(context, group, made.send, f"{folder}/sent", hard=False))
    return figures


def _sent(
    context: Context, group: FeatureGroup, files: tuple[Staged, ...], results: str, *, hard: bool
) -> Figures:
    rows = sum(one.rows for one in files)
    did = "removing" if hard else "sending"
    context.progress.step(group.name, f"{did} {rows:,} records")
    mode = mode_of(group, context.settings, "latest", None)
    chunk_rows = context.settings.online.chunk_rows
    job = job_of(context, group, mode, chunk_rows, slots_of(context, files), results)
    if hard:
        job = replace(job, deletion="HardDelete")
    send_by_tasks(context, job, files)
    return fold(context.storage, results, {one.path: one.rows for one in files}, chunk_rows).figures

"""``reconcile``: both stores of a group beside each other, and mended where that is asked for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.options import Workspace, spark_context, workspace_options
from penstock.cli.tables import show
from penstock.errors import UsageError
from penstock.ledger.window import instant
from penstock.reconcile.verdict import AHEAD, DIFFERING, EXTRA, UNKNOWN

if TYPE_CHECKING:
    from penstock.reconcile.reconciliation import Difference, Reconciled

SHOWN = 10  # records of a kind in a table for people
#: Kinds as they are told, in this order, and what each means.
_MEANING = {
    "equal": "the same in both stores",
    "deleted": "deleted offline, absent online",
    "expired": "absent online, their time to live is over",
    "untold": "absent online, perhaps expired: their times to live are not offline",
    "missing": "offline has them, online does not",
    "stale": "online has an older event",
    "different": "the same event time, other values",
    "extra": "online has what offline deleted or never had",
    "ahead": "online has a newer event",
}


@click.command()
@click.argument("group")
@click.option(
    "--sample",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Compare only N identifiers of the offline table, chosen at random.",
)
@click.option(
    "--since",
    metavar="T",
    help="Compare only identifiers that got an offline row since T: 2013-01-01 or an instant, UTC.",
)
@click.option("--repair", is_flag=True, help="Mend the online store by the offline one.")
@click.option(
    "--settle",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long what differs is left alone before it is looked at again.",
)
@workspace_options
def reconcile(
    workspace: Workspace,
    *,
    group: str,
    sample: int | None,
    since: str | None,
    repair: bool,
    settle: float,
) -> int:
    """Compare the online store of GROUP with the newest offline rows; --repair mends it.

    \b
      missing     offline has a record, online does not
      stale       online has an older event of it
      different   the same event time, other values
      extra       online has what offline deleted, or never had
      ahead       online is newer: a run under way, or another writer; is never mended

    What differs is looked at a second time before it is told, for streams and runs go on meanwhile.
    Records that are absent because their time to live is over are right. Values are compared by
    type, not as text, and never shown.

    --repair sends what is missing, stale or different through the writer of every run, and deletes
    what is extra; a newer record stays what it is. No run or stream may work in the project
    meanwhile. Where the group's type has no updates, a record with other values is removed and put
    anew, and readers do not find it for a minute.

    \b
    Exit codes: 0 nothing differs, 3 something differs, 4 all that differed was mended.

    \b
    Examples:
      penstock reconcile flight_status
      penstock reconcile flight_status --sample 10000
      penstock reconcile flight_status --since 2013-12-01 --repair
      penstock reconcile flight_status --set online.max_reads_per_s=5000 --json
    """
    if sample is not None and since is not None:
        raise UsageError("--sample and --since cannot be combined", "Leave one of them out")
    from penstock.reconcile.reconciliation import Asked, reconciled

    contract = workspace.project.pipeline(group).group
    asked = Asked(sample, None if since is None else instant(since), repair, settle)
    with (
        spark_context(workspace) as context,
        reconciled(context, contract, asked) as found,
    ):
        (_as_json if workspace.as_json else _for_people)(found, asked.sample)
    return found.exit_code


def _as_json(found: Reconciled, sample: int | None) -> None:
    """One document, the differences at its end, a line each: there may be very many."""
    done = found.mended
    head = {
        "group": found.group,
        "compared": found.compared,
        "kinds": _told_kinds(found, found.kinds),
        "differing": found.differing,
        "left": found.left,
        "extra_not_looked_for": found.unlisted,
        "under_way": found.under_way,
        "share_95": None if sample is None else found.share,
        "mended": None if done is None else {**asdict(done), "left": _told_kinds(found, done.left)},
        "exit_code": found.exit_code,
    }
    click.echo(json.dumps(head, ensure_ascii=False)[:-1] + ', "differences": [', nl=False)
    for n, one in enumerate(found.differences()):
        click.echo(",\n" if n else "\n", nl=False)
        click.echo(json.dumps(_plain(found, one), ensure_ascii=False), nl=False)
    click.echo("\n]}")


def _plain(found: Reconciled, one: Difference) -> dict[str, Any]:
    features = [] if one.features is None else one.features.split(", ")
    return {**one._asdict(), "kind": _told_kind(found, one.kind), "features": features}


def _for_people(found: Reconciled, sample: int | None) -> None:
    """The figures, some records of each kind, and what to type next."""
    kinds = _told_kinds(found, found.kinds)
    rows = [(name, kinds[name], means) for name, means in _MEANING.items()]
    show((found.group, "records", "what it means"), [one for one in rows if one[1]])
    some = _first(found)
    if some:
        head = ("identifier", "is", "features", "event time online", "event time offline")
        show(head, some)
    more = sum(found.kinds[one] for one in DIFFERING) - len(some)
    if more:
        click.echo(f"{more:,} more: --json has all")
    for line in _remarks(found, sample):
        click.echo(line)


def _first(found: Reconciled) -> list[tuple[object, ...]]:
    """Some records of each kind, for a table."""
    seen: Counter[str] = Counter()
    rows = []
    for one in found.differences():
        kind = _told_kind(found, one.kind)
        seen[kind] += 1
        if seen[kind] <= SHOWN:
            rows.append((one.identifier, kind, one.features, one.online_at, one.offline_at))
    order = list(_MEANING)
    return sorted(rows, key=lambda row: (order.index(str(row[1])), str(row[0])))


def _remarks(found: Reconciled, sample: int | None) -> Iterator[str]:
    name, done = found.group, found.mended
    if found.unlisted is not None:
        yield f"{name}: online records that offline never had were not looked for: {found.unlisted}"
    if found.under_way is not None:
        yield f"{found.under_way}: what is ahead may be of that and is no difference"
    if sample is not None:
        low, high = found.share
        yield f"{name}: by this sample {low:.2%} to {high:.2%} of all records differ (95 %)"
    if done is not None:
        left = f"{found.left:,} still differ" if found.left else "all agree now"
        yield f"{name}: {done.sent:,} writes for {found.differing:,} records that differed: {left}"
    elif found.differing:
        yield f"{name}: {found.differing:,} differ. Next: penstock reconcile {name} --repair"
    else:
        yield f"{name}: {found.compared:,} records compared, nothing differs"
    if done is not None and found.left:
        yield f"Next: penstock get {name} ID, and what cannot be mended in docs/reconcile.md"


def _told_kinds(found: Reconciled, kinds: Mapping[str, int]) -> dict[str, int]:
    told = dict.fromkeys(_MEANING, 0)
    for kind, records in kinds.items():
        told[_told_kind(found, kind)] += records
    return told


def _told_kind(found: Reconciled, kind: str) -> str:
    """What offline does not know is ahead of it, or where nothing is under way extra."""
    if kind != UNKNOWN:
        return kind
    return EXTRA if found.under_way is None else AHEAD

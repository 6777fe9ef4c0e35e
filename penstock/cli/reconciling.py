"""``reconcile``: both stores of a group beside each other, and mended where that is asked for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.options import Workspace, spark_context, workspace_options
from penstock.cli.tables import show
from penstock.errors import UsageError
from penstock.ledger.window import instant

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
    type=click.IntRange(1, 1_000_000),
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
        (_as_json if workspace.as_json else _told)(found, asked.sample)
    return found.exit_code


def _as_json(found: Reconciled, sample: int | None) -> None:
    """One document, the differences at its end, a line each: there may be very many."""
    head = {
        "group": found.group,
        "compared": found.compared,
        "kinds": _kinds(found.kinds),
        "differing": found.differing,
        "left": found.left,
        "extra_not_looked_for": found.unlisted,
        "under_way": found.under_way,
        "sampled": sample is not None,
        "share": None if sample is None else found.share,
        "mended": None if found.mended is None else _mended(found),
        "exit_code": found.exit_code,
    }
    click.echo(json.dumps(head, ensure_ascii=False)[:-1] + ', "differences": [', nl=False)
    for n, one in enumerate(found.differences()):
        click.echo(
            ("," if n else "") + "\n" + json.dumps(_plain(one), ensure_ascii=False), nl=False
        )
    click.echo("\n]}")


def _mended(found: Reconciled) -> dict[str, Any]:
    done = found.mended
    assert done is not None
    figures = {"sent": done.sent, "rejected": done.rejected, "skipped": done.skipped}
    return {**figures, "left": _kinds(done.left, only=True)}


def _plain(one: Difference) -> dict[str, Any]:
    features = [] if one.features is None else one.features.split(", ")
    return {**one._asdict(), "kind": _kind(one.kind), "features": features}


def _told(found: Reconciled, sample: int | None) -> None:
    kinds = _kinds(found.kinds)
    rows = [(name, kinds[name], means) for name, means in _MEANING.items()]
    show(("records", "", ""), [one for one in rows if one[1] or one[0] in _ALWAYS])
    some, more = _first(found.differences())
    if some:
        head = ("identifier", "what", "features", "event time online", "event time offline")
        show(
            head,
            [(o.identifier, _kind(o.kind), o.features, o.online_at, o.offline_at) for o in some],
        )
    if more:
        click.echo(f"{more:,} more: --json has all")
    for line in _remarks(found, sample):
        click.echo(line)


_ALWAYS = ("equal", "missing", "stale", "different", "extra")


def _first(found: Iterable[Difference]) -> tuple[list[Difference], int]:
    """Some of each kind, and how many more there are."""
    seen: Counter[str] = Counter()
    some: list[Difference] = []
    for one in found:
        seen[one.kind] += 1
        if seen[one.kind] <= SHOWN:
            some.append(one)
    return sorted(some, key=lambda o: (list(_MEANING).index(_kind(o.kind)), o.identifier)), (
        seen.total() - len(some)
    )


def _remarks(found: Reconciled, sample: int | None) -> Iterable[str]:
    name = found.group
    if found.unlisted is not None:
        yield f"{name}: extra records that offline never had were not looked for: {found.unlisted}"
    if found.under_way is not None:
        yield f"{found.under_way}: what is newer online, or unknown offline, may be of that"
    if sample is not None:
        low, high = found.share
        yield f"{name}: by this sample {low:.2%} to {high:.2%} of all records differ (95 %)"
    if found.mended is not None:
        left = "all agree now" if not found.left else f"{found.left:,} still differ"
        yield f"{name}: {found.mended.sent:,} records were sent to mend {found.differing:,}: {left}"
    if not found.differing:
        yield f"{name}: {found.compared:,} records compared, nothing differs"
    elif found.mended is None:
        yield f"{name}: {found.differing:,} differ. Next: penstock reconcile {name} --repair"
    elif found.left:
        yield f"Next: penstock get {name} ID, and docs/reconcile.md: what cannot be mended"


def _kinds(kinds: Mapping[str, int], *, only: bool = False) -> dict[str, int]:
    """Figures by the names that are told; ``only`` those that are not 0."""
    told = Counter[str]()
    for kind, records in kinds.items():
        told[_kind(kind)] += records
    return {name: told[name] for name in _MEANING if told[name] or not only}


def _kind(kind: str) -> str:
    """What offline never had is extra, as what it deleted."""
    return "extra" if kind == "unknown" else kind

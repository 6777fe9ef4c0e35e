"""What a run does to which store, from ``conf`` and from what was asked for on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from penstock.config import Group, Settings
from penstock.contract import FeatureGroup
from penstock.errors import UsageError
from penstock.run.figures import Offline

Online = Literal["latest", "each", "never"]
Correct = Literal["update", "delete-put"]


@dataclass(frozen=True)
class Mode:
    """What is done to each store.

    Args:
        online: ``latest`` sends the newest row of each identifier, ``each`` one row of each event
            time, ``service`` every row, ``never`` none.
        offline: Who writes the offline store: ``own`` is penstock, ``none`` nobody.
        target_stores: Stores the service writes a record to.
        correct: How a new value at an event time that is written already may be corrected online:
            ``update`` by UpdateRecord, ``delete-put`` also by removing the record first; None
            refuses it.
    """

    online: Literal["latest", "each", "service", "never"]
    offline: Offline
    target_stores: tuple[str, ...]
    correct: Correct | None = None

    @property
    def name(self) -> str:
        """For the ledger: two runs of one name do the same to the stores."""
        return f"{self.online}:{self.offline}:{'+'.join(self.target_stores)}"

    def plain(self) -> dict[str, Any]:
        """A JSON form; :func:`mode` reads it back."""
        return asdict(self)


def mode(plain: Mapping[str, Any]) -> Mode:
    """The mode a JSON form stands for."""
    return Mode(**{**plain, "target_stores": tuple(plain["target_stores"])})


def mode_of(
    group: FeatureGroup, settings: Settings, online: Online, correct: Correct | None
) -> Mode:
    """The mode of a run.

    Raises:
        UsageError: What was asked for cannot be done to the stores the group has.
    """
    place = settings.group(group.name)
    if correct is not None and (not place.own_table or not place.is_online or online == "never"):
        message = f"{group.name}: there are no two stores here that a correction could part"
        raise UsageError(message, "Run it without --correct")
    if online == "each":
        _check_each(group, correct)
    if place.owner == "service":
        if online == "never":
            message = f"{group.name}: with owner: service nothing is written but what is sent"
            raise UsageError(message, "Run it without --online never, or set owner: direct")
        return Mode("service", "service", _stores(place))
    sent = online if place.sends else "never"
    own: Offline = "own" if place.own_table else "none"
    return Mode(sent, own, _stores(place), correct)


def _check_each(group: FeatureGroup, correct: Correct | None) -> None:
    """Every version of a record, in whatever order: only where the newest one always wins."""
    if group.forgets:
        message = f"{group.name}: with --online each, records that were removed could come back"
        raise UsageError(message, "Run it with --online latest")
    if correct is not None:
        message = f"{group.name}: only the newest row of an identifier corrects what is online"
        raise UsageError(message, "Run it with --online latest")


def _stores(place: Group) -> tuple[str, ...]:
    """Stores in the API's names; online comes first."""
    online = ("OnlineStore",) if place.is_online else ()
    return (*online, "OfflineStore") if place.owner == "service" else online

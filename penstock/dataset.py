"""What a training data set is made of: meaning only, as a contract is.

Each row is a label: something that became known later, asked about at its own moment. Features are
looked up as they were known at that moment, never as they are now. Where it is written and who runs
it is not said here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from penstock import meaning
from penstock.contract import NAME_PATTERN
from penstock.errors import ContractError

#: One DataFrame to another; pure.
Step = Callable[[Any], Any]
MOST_RECENT = 100  # versions that one lookup takes
_LONGEST = 2**63 - 1


@dataclass(frozen=True)
class Lookup:
    """Features of one group, as they were known at each label's moment.

    Args:
        group: The feature group.
        on: Column of the labels that holds its record identifier; null finds nothing.
        features: Which of its features; none named takes all but the record identifier, event time
            included.
        prefix: Before their names, so that two lookups of one group can stand side by side.
        max_age: Features older than this at the label's moment count as absent.
        before: Only events strictly before the moment; else one at the moment counts too.
        written: Only rows that were in the offline store by then (``write_time``): what a model
            could have known, late data not. Data sets over backfilled history have none of it.
        required: Labels without features are left out, and counted.
        recent: How many of the newest events, 1 to 100. The newest is in the columns named above,
            older ones in the same with ``_2``, ``_3``, … behind; null where there are fewer. Rows
            of one event time are one event, and a deletion ends what is seen.
    """

    group: str
    on: str
    features: tuple[str, ...] = ()
    prefix: str = ""
    max_age: timedelta | None = None
    before: bool = False
    written: bool = False
    required: bool = False
    recent: int = 1

    def __post_init__(self) -> None:
        if self.max_age is not None and self.max_age <= timedelta(0):
            raise ContractError(f"lookup of {self.group!r}: a max_age of {self.max_age}")
        whole = isinstance(self.recent, int) and not isinstance(self.recent, bool)
        if not whole or not 1 <= self.recent <= MOST_RECENT:
            message = f"lookup of {self.group!r}: the {self.recent!r} most recent"
            raise ContractError(message, f"Ask for 1 to {MOST_RECENT}")

    @property
    def oldest(self) -> int | None:
        """``max_age`` in nanoseconds, at most what 64 bits hold; None where any age will do."""
        if self.max_age is None:
            return None
        return min(self.max_age // timedelta(microseconds=1) * 1_000, _LONGEST)


@dataclass(frozen=True)
class TimeSplit:
    """Parts that follow one another in time: what the label's moment is before decides.

    Args:
        until: Name of each part but the last, and the instant before which it ends, in order.
        rest: Name of the last part.
    """

    until: Mapping[str, str]
    rest: str = "test"

    def __post_init__(self) -> None:
        object.__setattr__(self, "until", MappingProxyType(dict(self.until)))
        ends = list(self.until.values())
        if not ends or sorted(ends) != ends or self.rest in self.until:
            message = f"a split by time ends at {ends}, then {self.rest!r}"
            raise ContractError(message, "Name each part once, in order of time")
        _check_names(self.parts)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (dict(self.until), self.rest))

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of all parts."""
        return (*self.until, self.rest)


@dataclass(frozen=True)
class _Shares:
    """A column, and what share each part gets; they add up to 1."""

    on: str
    shares: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", MappingProxyType(dict(self.shares)))
        shares = list(self.shares.values())
        if any(one <= 0 for one in shares) or abs(sum(shares) - 1) > 1e-9:  # noqa: PLR2004 - what sums of decimal fractions miss 1 by
            raise ContractError(f"shares of a split are {shares}", "Above 0, and 1 in all")
        _check_names(self.parts)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.on, dict(self.shares)))

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of all parts."""
        return tuple(self.shares)


@dataclass(frozen=True)
class HashSplit(_Shares):
    """Parts by a hash of one column: rows that share its value stay together, run after run.

    Args:
        on: The column; for example the entity, so that no entity is in two parts.
        shares: Share of the values each part gets; they add up to 1.
    """


@dataclass(frozen=True)
class StratifiedSplit(_Shares):
    """Parts that are alike in one column: of the rows of each of its values each gets its share.

    Within one value, null too, the count of each part is within 1 of its share of the rows. Which
    rows it gets is decided by a hash of the labels' columns: the same rows make the same parts, and
    of equal rows nothing says which is where.

    Args:
        on: The column; for example the class that is to be learned.
        shares: Share of the rows of each value each part gets; they add up to 1.
    """


@dataclass(frozen=True)
class Dataset:
    """A training data set: labels on the left, features looked up for each, one row a label.

    Args:
        name: Its name.
        base: Feature group whose current rows are the labels' raw material.
        time: Column of the labels with each one's moment: a timestamp, or ISO text with T and Z.
        lookups: What is looked up, in this order.
        labels: ``(frame) -> frame`` that makes labels of those rows; None takes them as they are.
        transform: ``(frame) -> frame`` after the lookups: new features, columns left out. It must
            keep every row.
        split: How it falls into parts; None leaves it whole.
        description: For people.
    """

    name: str
    base: str
    time: str
    lookups: tuple[Lookup, ...]
    labels: Step | None = None
    transform: Step | None = None
    split: TimeSplit | HashSplit | StratifiedSplit | None = None
    description: str = ""

    def __post_init__(self) -> None:
        _check_names((self.name,))
        for step in (self.labels, self.transform):
            if step is not None and len(inspect.signature(step).parameters) != 1:
                message = f"data set {self.name!r}: {step.__name__} takes more than one DataFrame"
                raise ContractError(message, "Write it as (frame) -> frame")

    @property
    def groups(self) -> tuple[str, ...]:
        """The feature groups it reads, each once."""
        return tuple(dict.fromkeys((self.base, *(one.group for one in self.lookups))))

    @property
    def meaning(self) -> str:
        """Hash (16 hex digits) of what decides the rows; the description does not."""
        parts = [
            *(self.name, self.base, self.time),
            [meaning.plain(one) for one in self.lookups],
            None if self.split is None else meaning.plain(self.split),
            meaning.source_text(self.labels),
            meaning.source_text(self.transform),
            # Its fields are those of a split by hash; a mapping is hashed without its order.
            *(["stratified", self.split.parts] if isinstance(self.split, StratifiedSplit) else []),
        ]
        return meaning.digest(parts)


def _check_names(names: tuple[str, ...]) -> None:
    """They become names of folders."""
    for name in names:
        if not NAME_PATTERN.fullmatch(name):
            message = f"{name!r} is no name for a data set or a part of one"
            raise ContractError(message, "Letters, digits, - and _, at most 64")

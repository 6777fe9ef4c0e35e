"""How a record differs from the offline current row: pure, on whole columns.

Values are compared as what they are, not as text: the online texts are read by the same table of
types that wrote them, so ``1.50`` is ``1.5`` and an event time of another precision is the same
instant. A feature that is absent online is null. A record whose time to live is over counts as
absent, whether the service has removed it yet or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from penstock import encoding
from penstock.contract import FeatureGroup, FeatureType
from penstock.encoding.instants import micros_of
from penstock.online.lookup import Found
from penstock.stage.expiry import expired

#: Kinds of records. The first four agree: the same in both stores, or rightly absent; deleted in
#: both; absent because its time to live is over; absent, and offline nobody can tell whether it is,
#: for records may have had times to live of their own.
EQUAL, DELETED, EXPIRED, UNTOLD = "equal", "deleted", "expired", "untold"
#: Offline has it and online has not; online has an older event; the same event time, other values;
#: online has what offline says is deleted; online has what offline does not know; online has a
#: newer event.
MISSING, STALE, DIFFERENT = "missing", "stale", "different"
EXTRA, UNKNOWN, AHEAD = "extra", "unknown", "ahead"
AGREEING = (EQUAL, DELETED, EXPIRED, UNTOLD)
DIFFERING = (MISSING, STALE, DIFFERENT, EXTRA, UNKNOWN, AHEAD)

#: Column of what is compared: the identifier as it was listed, where offline has no such record.
LISTED = "_listed"
#: Column of the same: whether the offline current row is a deletion; null where there is no row.
IS_DELETED = "is_deleted"


@dataclass(frozen=True)
class Verdicts:
    """What was found of some rows, row by row.

    Args:
        identifier: Text of the record identifier, as it is online.
        kind: One of the kinds above.
        at: Event time online, as text; null where the record is absent.
        order: Whether that is before (-1), at (0) or after (1) the one offline; null where one of
            the two is not there or cannot be read.
        features: Of ``different`` ones the names of the features that differ, else null.
        nulled: Whether a feature has a value online and none offline.
        over: Whether the time to live of the offline row is over by the contract.
    """

    identifier: pa.Array
    kind: pa.Array
    at: pa.Array
    order: pa.Array
    features: pa.Array
    nulled: pa.Array
    over: pa.Array


def identifiers(group: FeatureGroup, rows: pa.RecordBatch) -> pa.Array:
    """Texts of the record identifiers, as they are online."""
    feature = group.feature(group.record_identifier)
    return pc.coalesce(rows.column(LISTED), text(feature.type, rows.column(feature.name)))


def text(kind: FeatureType, values: pa.Array) -> pa.Array:
    """Stored values as they are sent."""
    if kind is FeatureType.FRACTIONAL:
        return encoding.double_text(values)
    return pc.cast(values, pa.string())


def verdicts(
    group: FeatureGroup, rows: pa.RecordBatch, found: Mapping[str, Found], now: datetime
) -> Verdicts:
    """Compare the offline current rows with what is online.

    Args:
        group: The contract.
        rows: The features, :data:`IS_DELETED` and :data:`LISTED`.
        found: Records that are online, by the identifiers of :func:`identifiers`.
        now: Aware instant that times to live are judged at.
    """
    names = identifiers(group, rows)
    there = [found.get(one) for one in names.to_pylist()]
    present = _present(there, now)
    texts = [{} if one is None else one.values for one in there]
    online = {one.name: _read(one.type, one.name, texts) for one in group.features}
    event = group.feature(group.event_time)
    at = pa.array([one.get(event.name) for one in texts], pa.string())
    theirs = at if event.type is FeatureType.STRING else online[event.name].values
    order = encoding.order(theirs, rows.column(event.name), event.type)
    differing, nulled = _differing(group, rows, online)
    deleted = rows.column(IS_DELETED)
    over = pc.and_(expired(group, rows, now), pc.invert(pc.fill_null(deleted, fill_value=False)))
    absent = UNTOLD if group.ttl_from is not None else MISSING
    kind = _kinds(present, deleted, over, order, pc.is_valid(differing), absent)
    is_different = pc.equal(kind, DIFFERENT)
    features = pc.if_else(is_different, differing, pa.scalar(None, pa.string()))
    return Verdicts(names, kind, pc.if_else(present, at, None), order, features, nulled, over)


def _kinds(
    present: pa.Array,
    deleted: pa.Array,
    over: pa.Array,
    order: pa.Array,
    differs: pa.Array,
    absent: str,
) -> pa.Array:
    """The kind of each row; ``absent`` is that of a row that should be online and is not."""
    live = pc.case_when(
        pc.make_struct(pc.is_null(order), pc.less(order, 0), pc.greater(order, 0), differs),
        DIFFERENT,
        STALE,
        AHEAD,
        DIFFERENT,
        EQUAL,
    )
    gone = pc.if_else(pc.fill_null(pc.greater(order, 0), fill_value=False), AHEAD, EXTRA)
    unknown = pc.is_null(deleted)
    here = pc.if_else(unknown, UNKNOWN, pc.if_else(deleted, gone, live))
    # What was listed and is in neither store any more has nothing to differ in.
    right = pc.if_else(unknown, EQUAL, pc.if_else(deleted, DELETED, EXPIRED))
    wrong = pc.and_(pc.invert(pc.fill_null(deleted, fill_value=True)), pc.invert(over))
    return pc.if_else(present, here, pc.if_else(wrong, absent, right))


def _present(there: Sequence[Found | None], now: datetime) -> pa.Array:
    ends = pa.array([None if one is None else one.expires_at for one in there], pa.string())
    micros = pc.cast(encoding.to_instant(ends).values, pa.int64())
    over = pc.fill_null(pc.less_equal(micros, micros_of(now)), fill_value=False)
    return pc.and_not(pa.array([one is not None for one in there], pa.bool_()), over)


def _read(kind: FeatureType, name: str, texts: Sequence[Mapping[str, str]]) -> encoding.Converted:
    return encoding.FEATURES[kind](pa.array([one.get(name) for one in texts], pa.string()))


def _differing(
    group: FeatureGroup, rows: pa.RecordBatch, online: Mapping[str, encoding.Converted]
) -> tuple[pa.Array, pa.Array]:
    """Names of the features whose values differ, or null; whether one is null offline alone."""
    keys = (group.record_identifier, group.event_time)
    named: list[list[str]] = [[] for _ in range(rows.num_rows)]
    nulled = pa.repeat(pa.scalar(False), rows.num_rows)  # noqa: FBT003 - a value of the column
    for feature in group.features:
        if feature.name in keys:
            continue
        ours, theirs = rows.column(feature.name), online[feature.name]
        unread = pc.is_valid(theirs.rule)
        alone = pc.and_(pc.is_null(ours), pc.or_(pc.is_valid(theirs.values), unread))
        nulled = pc.or_(nulled, alone)
        same = pc.or_kleene(
            pc.fill_null(pc.equal(ours, theirs.values), fill_value=False),
            pc.and_(pc.is_null(ours), pc.is_null(theirs.values)),
        )
        for row in pc.indices_nonzero(pc.or_(pc.invert(same), unread)).to_pylist():
            named[row].append(feature.name)
    return pa.array([", ".join(one) or None for one in named], pa.string()), nulled

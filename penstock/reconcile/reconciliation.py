"""Comparing both stores of a group from the listing of the one to the last look after mending.

Streams, runs and other programs go on meanwhile, so what differs at first is a candidate: it is
looked at again, offline and online, before anything is said of it. What offline does not know yet
is no difference while something of the group is under way.
"""

from __future__ import annotations

import math
import random
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql.types import StringType, StructField, StructType

from penstock.contract import FeatureGroup
from penstock.errors import DIFFERENT, REPAIRED, TemporaryError
from penstock.online.asking import ReadJob, UnknownOperationError
from penstock.reconcile import frames
from penstock.reconcile.admission import check
from penstock.reconcile.listing import listed
from penstock.reconcile.repair import Mended, send
from penstock.reconcile.task import SLICE_ROWS, Compared, CompareTask, total
from penstock.reconcile.verdict import AGREEING, AHEAD, DIFFERING, UNKNOWN
from penstock.run.context import Context
from penstock.run.holding import holding_all, sharing
from penstock.run.places import reconcile_folder, state_folder
from penstock.run.unfinished import check_finished, under_way
from penstock.stage.report import Staged
from penstock.stage.spark import own_errors, rows_schema, shuffle_partitions
from penstock.storage import Storage
from penstock.worker import settled

#: Kinds that a run which is under way explains: its rows are online before they are offline.
EXPLAINED = (AHEAD, UNKNOWN)
Z = 1.96  # of the normal distribution, 95 % of which lie within


@dataclass(frozen=True)
class Asked:
    """How a group is compared.

    Args:
        sample: Only so many identifiers of the offline table, chosen at random.
        since: Only identifiers that got an offline row since this aware instant.
        repair: Mend what differs.
        settle_s: How long candidates are left alone before they are looked at again.
    """

    sample: int | None = None
    since: datetime | None = None
    repair: bool = False
    settle_s: float = 5.0


class Difference(NamedTuple):
    """A record that differs. It holds no values.

    Args:
        identifier: Its record identifier, as it is online.
        kind: One of :data:`penstock.reconcile.verdict.DIFFERING`.
        features: Of a ``different`` one the features whose values differ.
        online_at: Its event time online.
        offline_at: Its newest event time offline.
    """

    identifier: str
    kind: str
    features: str | None
    online_at: str | None
    offline_at: str | None


@dataclass(frozen=True)
class Reconciled:
    """What was found. Its files go when the context of :func:`reconciled` is left.

    Args:
        group: The feature group.
        kinds: Records by kind, after candidates were looked at again.
        unlisted: Why online records that offline does not know were not looked for; None where
            they were.
        under_way: Why the offline store may lag behind; None where it does not.
        files: What differs.
        storage: Where these are.
        mended: What mending did; None where nothing was to be mended.
    """

    group: str
    kinds: Counter[str]
    unlisted: str | None
    under_way: str | None
    files: tuple[Staged, ...]
    storage: Storage
    mended: Mended | None = None

    @property
    def compared(self) -> int:
        """Identifiers that were compared."""
        return self.kinds.total()

    @property
    def differing(self) -> int:
        """Records that differ, without those that what is under way explains."""
        return _differing(self.kinds, self.under_way)

    @property
    def left(self) -> int:
        """Of these, records that still do."""
        if self.mended is None:
            return self.differing
        return _differing(self.mended.left, self.under_way)

    @property
    def share(self) -> tuple[float, float]:
        """Bounds of the share that differs, of all that the records compared are a sample of.

        By Wilson's score at 95 %, which holds for shares near 0 as well.
        """
        return wilson(self.differing, self.compared)

    @property
    def exit_code(self) -> int:
        """0 where nothing differs, else whether all was mended."""
        if not self.differing:
            return 0
        return DIFFERENT if self.left else REPAIRED

    def differences(self) -> Iterator[Difference]:
        """What differs, one after the other, in no particular order."""
        for file in self.files:
            with self.storage.open_input(file.path) as opened:
                for batch in pq.ParquetFile(opened).iter_batches(columns=list(Difference._fields)):
                    rows = batch.select(list(Difference._fields)).to_pylist()
                    yield from (Difference(**one) for one in rows)


@contextmanager
def reconciled(context: Context, group: FeatureGroup, asked: Asked) -> Iterator[Reconciled]:
    """Compare a group's stores, and mend what differs where that is asked for.

    Comparing changes nothing. Mending holds the project, so that no run goes on meanwhile; doing
    either again is safe.

    Args:
        context: The surroundings.
        group: The contract.
        asked: How.

    Raises:
        UsageError: The group has no two stores that could differ, they are meant to differ, or it
            is not on AWS as its contract says.
        TemporaryError: Files are being removed; or, where it is to be mended, a run works on the
            project.
        PenstockError: As of :func:`penstock.online.asking.ask` and of a run that sends.
    """
    check(context, group, repair=asked.repair)
    folder = f"{reconcile_folder(state_folder(context.settings), group.name)}/{uuid.uuid4().hex}"
    try:
        one = _Reconciliation(context, group, asked, folder)
        with sharing(context, "_reconcile"):
            found = one.found()
        yield one.mended(found) if asked.repair and found.differing else found
    finally:
        context.storage.remove(folder)


@dataclass
class _Reconciliation:
    """One comparison on its way; ``folder`` is its own."""

    context: Context
    group: FeatureGroup
    asked: Asked
    folder: str
    _passes: int = field(default=0)

    def found(self) -> Reconciled:
        """Compare all that is asked for, then what differed once more."""
        rows, unlisted = self._rows()
        self._say("comparing both stores")
        parts = shuffle_partitions(self.context.spark)
        first = self._compared(rows, parts)
        if not first.differing:
            return self._told(first, first, unlisted, None)
        self._say(f"looking again at {first.differing:,} candidates")
        self.context.sleep(self.asked.settle_s)
        why = under_way(self.context, self.group.name)
        again = self._again(first.found)
        why = why or under_way(self.context, self.group.name)
        return self._told(first, again, unlisted, why)

    def mended(self, found: Reconciled) -> Reconciled:
        """Mend it, with the project held, by what the stores hold now."""
        context = self.context
        with holding_all(context) as is_ours:
            check_finished(context, self.group.name)
            if not context.storage.walk(self.folder):
                message = f"{self.group.name}: what differs was forgotten meanwhile"
                raise TemporaryError(message, "Run the same command again")
            made = self._again(found.files, mend=True)
            figures = send(context, self.group, made, f"{self.folder}/markers", is_ours)
            left = Compared()
            if made.differing:
                self._say("looking at what was mended")
                left = self._again(made.found)
        done = Mended(figures.sent, figures.rejected, figures.skipped, _of(left, DIFFERING))
        kinds = _of(found, AGREEING) + made.kinds
        return replace(found, kinds=kinds, files=made.found, under_way=None, mended=done)

    def _told(
        self, first: Compared, again: Compared, unlisted: str | None, why: str | None
    ) -> Reconciled:
        """What agreed at first, and what became of the rest."""
        kinds = first.kinds if again is first else _of(first, AGREEING) + again.kinds
        name, storage = self.group.name, self.context.storage
        return Reconciled(name, kinds, unlisted, why, again.found, storage)

    def _rows(self) -> tuple[DataFrame, str | None]:
        """What is compared at first, and why nothing was listed."""
        asked, group = self.asked, self.group
        if asked.sample is not None:
            rows = frames.sample(self._stored(), group, asked.sample, random.getrandbits(31))
            return rows, "a sample is of what offline has"
        if asked.since is not None:
            rows = frames.since(self._stored(), group, asked.since)
            return rows, "online records cannot be listed by time"
        self._say("listing the online store")
        try:
            files = listed(self.context, group, self._job(1), self._next())
        except UnknownOperationError as error:
            return frames.everything(self._stored(), None, group), error.message
        # What is committed offline while it lists is in what is read after.
        return frames.everything(self._stored(), self._keys(files, "text", "key"), group), None

    def _again(self, files: Sequence[Staged], *, mend: bool = False) -> Compared:
        """Compare what differed, as it is now."""
        keys = self._keys(files, "identifier", "key")
        rows = frames.chosen(self._stored(), keys, self.group)
        tasks = -(-sum(one.rows for one in files) // SLICE_ROWS)
        parts = max(1, min(tasks, shuffle_partitions(self.context.spark)))
        return self._compared(rows, parts, mend=mend)

    def _stored(self) -> DataFrame:
        return frames.widened(self.context.table(self.group).rows(), rows_schema(self.group))

    def _keys(self, files: Sequence[Staged], text: str, key: str) -> DataFrame:
        """Identifiers of some files, under the names :mod:`penstock.reconcile.frames` knows."""
        spark, kind = self.context.spark, rows_schema(self.group)[self.group.record_identifier]
        schema = StructType([StructField(text, StringType()), StructField(key, kind.dataType)])
        if not files:
            return spark.createDataFrame([], schema).toDF(frames.TEXT, frames.KEY)
        rows = spark.read.schema(schema).parquet(*(one.path for one in files))
        return rows.toDF(frames.TEXT, frames.KEY)

    def _compared(self, rows: DataFrame, parts: int, *, mend: bool = False) -> Compared:
        """Compare rows with what is online, in so many tasks."""
        context, spark = self.context, self.context.spark
        slots = min(parts, spark.sparkContext.defaultParallelism)
        tier = context.settings.group(self.group.name).storage_type
        now = context.now().astimezone(timezone.utc)
        job, updates, storage = self._job(slots), tier != "Standard", context.storage
        task = CompareTask(self.group, job, self._next(), now, mend, updates)

        def work(batches: Any) -> Iterator[pa.RecordBatch]:
            yield pa.RecordBatch.from_pydict({"report": [task.run(batches, storage).encoded()]})

        placed = rows.repartition(parts)
        with own_errors():
            made = placed.mapInArrow(settled(work), "report string").collect()
        return total([row["report"] for row in made])

    def _job(self, slots: int) -> ReadJob:
        """How the online store is asked by so many tasks at once."""
        online, place = self.context.settings.online, self.context.settings.group(self.group.name)
        ceiling = online.max_reads_per_s
        return ReadJob(
            self.context.endpoint,
            place.physical or self.group.name,
            online.in_flight,
            None if ceiling is None else ceiling / slots,
            online.transport,
        )

    def _next(self) -> str:
        """Folder of the next pass."""
        self._passes += 1
        return f"{self.folder}/{self._passes:02d}"

    def _say(self, text: str) -> None:
        self.context.progress.step(self.group.name, text)


def wilson(hits: int, size: int) -> tuple[float, float]:
    """Bounds of a share at 95 %, from ``hits`` in a random sample of ``size``; of none 0 and 1."""
    if not size:
        return 0.0, 1.0
    middle = (hits + Z**2 / 2) / (size + Z**2)
    half = Z / (size + Z**2) * math.sqrt(hits * (size - hits) / size + Z**2 / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def _of(compared: Compared | Reconciled, kinds: tuple[str, ...]) -> Counter[str]:
    return Counter({one: compared.kinds[one] for one in kinds if compared.kinds[one]})


def _differing(kinds: Mapping[str, int], why: str | None) -> int:
    explained = EXPLAINED if why is not None else ()
    return sum(kinds.get(one, 0) for one in DIFFERING if one not in explained)

"""What lags behind a stream: rows that were put aside, and the offline store, both in order.

One thread commits all batches that wait, a bounded time after the oldest of them was sent: 6
commits a minute instead of one a batch. What waits is durable; a run that is killed finds it again.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from penstock.contract import FeatureGroup
from penstock.online import OnlineTotals
from penstock.quarantine import Entry
from penstock.run.context import Context
from penstock.run.registration import registered
from penstock.streaming.batch import Batch
from penstock.streaming.committing import OfflineTail, enter
from penstock.streaming.meter import Meter
from penstock.streaming.places import StreamPlaces

MAX_ROWS = 200_000  # that wait at most, whatever the time
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Waiting:
    """A batch that is online, the files of what was refused of it, and since when it waits."""

    batch: Batch
    rejects: tuple[str, ...]
    since: float


class Tail:
    """Commits what is added to it. A thread of its own, once it is started.

    Args:
        context: The surroundings.
        group: The contract.
        meaning: Of the pipeline, for the catalogue.
        places: Where the stream lies.
        offline: The table's end; None where penstock does not write the offline store.
        meter: Is told.
        lag_s: Seconds a batch may wait.
        run: Identifier of this run.
        compare: Whether an earlier stream may have put aside the same rows.
    """

    def __init__(
        self,
        context: Context,
        group: FeatureGroup,
        meaning: str,
        places: StreamPlaces,
        offline: OfflineTail | None,
        meter: Meter,
        lag_s: float,
        run: str,
        *,
        compare: bool,
    ) -> None:
        self._context, self._group, self._meaning = context, group, meaning
        self._places, self._offline, self._meter = places, offline, meter
        self._lag_s, self._run, self._compare = lag_s, run, compare
        self._registered = False
        self._waiting: list[Waiting] = []
        self._changed = threading.Condition()
        self._closing = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self.reached = self._done() if offline is None else offline.reached

    def start(self) -> None:
        """From now on what waits is committed in time."""
        self._prepare()
        self._thread = threading.Thread(target=self._work, name="penstock-tail", daemon=True)
        self._thread.start()

    def add(self, batch: Batch, totals: OnlineTotals) -> None:
        """A batch is online; its number is greater than those before.

        Raises:
            Exception: What a commit failed with.
        """
        self.check()
        waiting = Waiting(batch, totals.rejects_files, self._context.now().timestamp())
        with self._changed:
            self._waiting.append(waiting)
            self._meter.waiting_since = self._waiting[0].since
            self._changed.notify()

    def check(self) -> None:
        """Raise what a commit failed with."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Commit what waits, and end; raises what a commit failed with."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        self.check()

    def flush(self) -> None:
        """Commit what waits, here and now; it may have been staged before a feature came."""
        waiting = self._taken()
        if waiting:
            self._prepare()
        self._commit(waiting)

    def _work(self) -> None:
        try:
            while self._due():
                self._commit(self._taken())
        except BaseException as error:  # noqa: BLE001 - raised again where batches come from
            _LOG.warning("the offline store could not be written", exc_info=True)
            self._error = error

    def _due(self) -> bool:
        """Wait until something must be committed; False where there is nothing left to do."""
        with self._changed:
            while True:
                if self._closing:
                    return bool(self._waiting)
                rows = sum(one.batch.staged.fit for one in self._waiting)
                left = self._left()
                if self._waiting and (left <= 0 or rows >= MAX_ROWS):
                    return True
                self._changed.wait(left if self._waiting else None)

    def _left(self) -> float:
        if not self._waiting:
            return self._lag_s
        return self._waiting[0].since + self._lag_s - self._context.now().timestamp()

    def _taken(self) -> list[Waiting]:
        with self._changed:
            return list(self._waiting)

    def _commit(self, waiting: list[Waiting]) -> None:
        """Everything is done in an order in which each part may be repeated."""
        if not waiting:
            return
        context, batches = self._context, [one.batch for one in waiting]
        entry = Entry(self._group.name, self._run, context.now())
        name, compare = self._places.application, self._compare
        enter(context.quarantine, batches, name, entry, compare=compare)
        rejects = [path for one in waiting for path in one.rejects]
        context.quarantine.add_rejects(rejects, self._group, entry)
        last = batches[-1].number
        if self._offline is not None:
            made = self._offline.commit(batches, [one.rejects for one in waiting], context.now())
            self._meter.committed(made.rows, made.present, context.now().timestamp())
            self._register()
        else:
            context.storage.write(self._done_path, str(last).encode())
        self.reached = last
        with self._changed:
            self._waiting = self._waiting[len(waiting) :]
            self._meter.waiting_since = self._waiting[0].since if self._waiting else None
        for one in batches:
            self.clear(one)

    def clear(self, batch: Batch) -> None:
        """Remove the files of a batch that is in both stores."""
        storage = self._context.storage
        storage.delete_all(list(batch.bad))
        storage.remove(self._places.batch(batch.number))

    def _prepare(self) -> None:
        """A table that is there gets the columns it lacks."""
        if self._offline is not None and self._offline.exists:
            self._offline.widen()
            self._register()

    def _register(self) -> None:
        """Once a run, and after the first commit: evolution happens at the start of a run."""
        if not self._registered:
            registered(self._context, self._group, self._meaning)
            self._registered = True

    @property
    def _done_path(self) -> str:
        return f"{self._places.folder}/done"

    def _done(self) -> int:
        try:
            return int(self._context.storage.read(self._done_path))
        except FileNotFoundError:
            return -1

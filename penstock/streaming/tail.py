"""What lags behind a stream: rows that were put aside, and the offline store, both in order.

One thread commits all batches that wait, a bounded time after the oldest of them was sent: 6
commits a minute instead of one a batch. What waits is durable; a run that is killed finds it again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from penstock.contract import FeatureGroup
from penstock.errors import TemporaryError
from penstock.online import OnlineTotals
from penstock.quarantine import Entry
from penstock.run.context import Context
from penstock.run.registration import registered
from penstock.streaming.batch import Batch
from penstock.streaming.committing import OfflineTail, enter
from penstock.streaming.meter import Meter
from penstock.streaming.places import StreamPlaces

MAX_ROWS = 200_000  # of one commit, about, and that wait at most, whatever the time
MAX_BATCHES = 500  # likewise: a run that resumes reads the manifests of twice so many at most
PAUSES_S = (1.0, 5.0, 15.0)  # before a commit that failed is tried again
_LOOK_S = 0.5
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
        check: Raises where this driver is no longer the one that runs the stream.
        again: Whether another stream may have entered the same rows into the quarantine.
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
        check: Callable[[], None],
        *,
        again: bool,
    ) -> None:
        self._context, self._group, self._meaning = context, group, meaning
        self._places, self._offline, self._meter = places, offline, meter
        self._lag_s, self._run = lag_s, run
        self.check_ours, self._again = check, again
        self._registered = False
        self._waiting: list[Waiting] = []
        self._changed = threading.Condition()
        self._closing = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self.reached = self._done() if offline is None else offline.reached

    def prepare(self) -> None:
        """Give the offline table the columns the contract has by now."""
        if self._offline is not None and self._offline.exists:
            self._offline.widen()
            self._register()

    def start(self) -> None:
        """From now on what waits is committed in time."""
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
            # Where commits are slower than the stream, the stream waits.
            while self._thread is not None and self._is_full(2) and not self._error:
                self._changed.wait(_LOOK_S)
            self._waiting.append(waiting)
            self._meter.waiting_since = self._waiting[0].since
            self._changed.notify()

    @property
    def failed(self) -> bool:
        """Whether a commit failed."""
        return self._error is not None

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
        """Commit what waits, here and now."""
        while waiting := self._taken():
            self._commit(waiting)

    def _work(self) -> None:
        try:
            while self._due():
                self._patiently(self._taken())
        except BaseException as error:  # noqa: BLE001 - raised again where batches come from
            _LOG.warning("the offline store could not be written", exc_info=True)
            self._error = error

    def _due(self) -> bool:
        """Wait until something must be committed; False where there is nothing left to do."""
        with self._changed:
            while True:
                if self._closing:
                    return bool(self._waiting)
                left = self._left()
                if self._waiting and (left <= 0 or self._is_full(1)):
                    return True
                self._changed.wait(left if self._waiting else None)

    def _left(self) -> float:
        if not self._waiting:
            return self._lag_s
        return self._waiting[0].since + self._lag_s - self._context.now().timestamp()

    def _is_full(self, times: int) -> bool:
        """Whether so many times as much waits as should."""
        rows = sum(one.batch.staged.fit for one in self._waiting)
        return rows >= times * MAX_ROWS or len(self._waiting) >= times * MAX_BATCHES

    def _taken(self) -> list[Waiting]:
        """The next ones, about as many rows as one commit should have; one batch at least."""
        with self._changed:
            taken, rows = list[Waiting](), 0
            for one in self._waiting:
                full = rows + one.batch.staged.fit > MAX_ROWS or len(taken) == MAX_BATCHES
                if taken and full:
                    break
                taken.append(one)
                rows += one.batch.staged.fit
            return taken

    def _patiently(self, waiting: list[Waiting]) -> None:
        """What a storage does not answer now, it may answer in a while."""
        for pause in PAUSES_S:
            try:
                self._commit(waiting)
            except (TemporaryError, OSError):
                _LOG.warning("the offline store could not be written; again soon", exc_info=True)
                self._context.sleep(pause)
            else:
                return
        self._commit(waiting)

    def _commit(self, waiting: list[Waiting]) -> None:
        """Everything is done in an order in which each part may be repeated."""
        self.check_ours()
        context, batches = self._context, [one.batch for one in waiting]
        entry = Entry(self._group.name, self._run, context.now())
        name, storage = self._places.application, context.storage
        enter(context.quarantine, batches, name, entry, storage, again=self._again)
        rejects = [path for one in waiting for path in one.rejects]
        context.quarantine.add_rejects(rejects, self._group, entry)
        last = batches[-1].number
        if self._offline is not None:
            made = self._offline.commit(batches, [one.rejects for one in waiting], context.now())
            self._meter.committed(made.rows, made.present)
            self._register()
        else:
            context.storage.write(self._done_path, str(last).encode())
        self.reached = last
        with self._changed:
            self._waiting = self._waiting[len(waiting) :]
            self._meter.waiting_since = self._waiting[0].since if self._waiting else None
            self._changed.notify()
        for one in batches:
            self.clear(one)

    def clear(self, batch: Batch) -> None:
        """Remove the files of a batch that is in both stores."""
        storage = self._context.storage
        storage.delete_all(list(batch.bad))
        storage.remove(self._places.batch(batch.number))

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

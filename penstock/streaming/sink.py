"""What Spark calls for each batch of a stream: stage it, send it, hand it on."""

from __future__ import annotations

import threading

import numpy as np
from pyspark.sql import DataFrame

from penstock.errors import MismatchError, UsageError
from penstock.streaming.batch import Batch, keep, read_batch
from penstock.streaming.delivery import deliver
from penstock.streaming.meter import Meter
from penstock.streaming.offsets import Offsets, events_between, offsets_of
from penstock.streaming.plan import collected
from penstock.streaming.staging import Staging
from penstock.streaming.tail import Tail


class Sink:
    """The function of ``foreachBatch``. A batch that was staged before is taken as it was.

    Args:
        staging: How batches are staged.
        tail: Commits them.
        meter: Is told.
    """

    def __init__(self, staging: Staging, tail: Tail, meter: Meter) -> None:
        self._staging, self._tail, self._meter = staging, tail, meter
        self._context, self._places = staging.context, staging.places
        self.busy = threading.Lock()  # held while a batch is worked on
        self.stopping = False  # set by who is about to stop the query: no batch begins any more
        self.error: BaseException | None = None
        self.calls = 0

    def __call__(self, frame: DataFrame, number: int) -> None:
        """Bring a batch to the online store."""
        with self.busy:
            if self.stopping:
                raise RuntimeError("the stream is being stopped")
            try:
                self._take(frame, number)
                self.calls += 1
            except BaseException as error:
                self.error = error  # Spark keeps its text alone
                raise

    def resume(self) -> int:
        """Bring to both stores what an earlier run had staged; answers how many batches.

        Spark never replays a batch it has noted as committed, though its rows may not be offline.
        """
        storage, count = self._context.storage, 0
        for folder in storage.list(self._places.batches):
            batch = read_batch(storage, folder)
            if batch is None:
                continue  # it was not decided: Spark brings it again
            self._check_mode(batch)
            if batch.number <= self._tail.reached:
                self._tail.clear(batch)
            else:
                self._hand_on(batch, np.empty(0, np.int64))
                count += 1
        self._tail.flush()
        return count

    def _take(self, frame: DataFrame, number: int) -> None:
        self._tail.check()
        folder, storage = self._places.batch(number), self._context.storage
        until = offsets_of(storage, self._places.checkpoint, number)
        batch = read_batch(storage, folder)
        stamps = np.empty(0, np.int64)
        if number <= self._tail.reached or batch is not None:
            self._pass_over(frame)
        if number <= self._tail.reached:
            return
        if batch is None:
            made, fresh = self._staging.stage(frame, number, until, self._events(number, until))
            if not made.source.read and not made.staged.rows_in:
                self._forget_reports()
                return
            self._tail.check_ours()
            batch = keep(storage, folder, made)
            self._forget_reports()
            stamps = fresh if batch.run == made.run else stamps
        if batch.until != until:
            message = f"batch {number} was staged up to {batch.until}, Spark brings it to {until}"
            group = self._staging.pipeline.group.name
            raise MismatchError(
                f"{group}: {message}",
                "Restore the checkpoint it was staged with; or delete it and start with "
                "--allow-reprocess",
            )
        self._hand_on(batch, stamps)

    def _hand_on(self, batch: Batch, stamps: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        group = self._staging.pipeline.group
        self._tail.check_ours()
        totals = deliver(self._context, group, batch, self._places.batch(batch.number))
        self._meter.delivered(batch, totals, stamps, self._context.now().timestamp())
        self._tail.add(batch, totals)

    def _pass_over(self, frame: DataFrame) -> None:
        """Windows must be computed all the same: Spark's state goes on from them."""
        if self._staging.kind == "windows":
            collected(frame)
            self._forget_reports()

    def _forget_reports(self) -> None:
        """What tasks reported is in a manifest now, or is not needed."""
        if self._staging.kind == "windows":
            storage = self._context.storage
            found = storage.list(self._places.gates)
            storage.delete_all([one for one in found if one.endswith(".json")])

    def _events(self, number: int, until: Offsets | None) -> int | None:
        stream = self._staging.stream
        if stream.kafka is None:  # its offsets tell no numbers
            return stream.max_rows
        before = offsets_of(self._context.storage, self._places.checkpoint, number - 1)
        return events_between(before, until)

    def _check_mode(self, batch: Batch) -> None:
        """What waits goes where it was to go when it was staged."""
        if batch.mode != self._staging.mode:
            message = (
                f"{self._staging.pipeline.group.name}: batch {batch.number} waits, staged for "
                f"{batch.mode.name}, and conf now says {self._staging.mode.name}"
            )
            remedy = "Set conf back, run penstock stream with --available-now, then change it"
            raise UsageError(message, remedy)

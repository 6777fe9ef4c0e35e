"""The windows of a plan, several at a time in one Spark application, each by the ordinary protocol.

A window that fails is said and the others go on; what concerns them all (credentials, a Spark that
is gone) ends it. Asked to stop, nothing new is begun and Spark's jobs are cancelled: every window
stands where its ledger says, and the same command goes on from there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Literal

from penstock.backfill.plan import Plan, Step
from penstock.config import Settings
from penstock.contract import Pipeline
from penstock.errors import (
    CredentialsError,
    PenstockError,
    TemporaryError,
    UsageError,
    gravest,
    unknown,
)
from penstock.progress import Progress
from penstock.run.context import Context
from penstock.run.ingest import Result, ingest_pipeline
from penstock.run.interruption import terminable

STOP_S = 25.0  # that windows have to come to a stop
_CHECK_S = 0.5

Fate = Literal["done", "resumed", "unchanged", "left", "failed", "stopped"]


@dataclass(frozen=True)
class Ended:
    """How one window of a plan ended.

    Args:
        step: The window.
        fate: As of a run, or ``left`` as the plan said, ``failed``, or ``stopped`` before its end.
        result: Of a window that came to its end.
        error: Of one that failed.
    """

    step: Step
    fate: Fate
    result: Result | None = None
    error: PenstockError | None = None


def exit_code(ended: Sequence[Ended]) -> int:
    """0 where no window failed; else the gravest, 75 where one was stopped."""
    codes = {one.error.exit_code for one in ended if one.error is not None}
    return gravest(codes | {75 for one in ended if one.fate == "stopped"})


def check_plan(plan: Plan, pipeline: Pipeline, pins: str) -> None:
    """A plan is executed as it was made, or not at all.

    Args:
        plan: From a file.
        pipeline: What would be run now.
        pins: Hash of what the sources are now.

    Raises:
        UsageError: The pipeline or its sources are others than it was made for.
    """
    changed = "its sources have" if plan.pins != pins else ""
    if plan.meaning != pipeline.meaning:
        changed = "the pipeline has"
    if changed:
        message = f"the plan of {plan.made_at} for {plan.group} is outdated: {changed} changed"
        raise UsageError(message, f"Nothing was done; plan anew: penstock plan {plan.group}")


def check_cost(plan: Plan, max_cost: float | None) -> None:
    """Refuse a plan that may cost more than allowed.

    Raises:
        UsageError: Its upper bound is above, or nothing can be told.
    """
    if max_cost is None or not plan.order:
        return
    dollars = plan.dollars
    if dollars is None:
        message = f"{plan.group}: what it costs cannot be told"
        raise UsageError(message, "Plan with --exact, and give prices of the region in conf")
    if dollars.high > max_cost:
        message = f"{plan.group}: it may cost {dollars.high:,.6g} dollars, more than {max_cost:,g}"
        raise UsageError(message, "Nothing was done; raise --max-cost, or plan a shorter range")


def execute(
    context: Context, pipeline: Pipeline, plan: Plan, parallel: int = 1
) -> tuple[Ended, ...]:
    """Run the windows of a plan; answers how each ended, in order of time.

    Running it again changes nothing where a window is done.

    Args:
        context: The surroundings.
        pipeline: What is run.
        plan: The windows and how.
        parallel: Windows at a time. They share the rates of ``conf``. A group whose records may
            leave the online store (deletions, time to live) has one at a time: an old value must
            not come back between the look at the history and the sending.

    Raises:
        KeyboardInterrupt: It was asked to stop; what was under way has come to a stop.
    """
    order = plan.order
    if pipeline.group.forgets and parallel > 1:
        context.progress.note(plan.group, "one window at a time: its records may be removed")
        parallel = 1
    parallel = max(1, min(parallel, len(order)))
    left = {one.window.name: Ended(one, "left") for one in plan.steps if not one.acts}
    run = _Run(context, pipeline, plan, parallel) if order else None
    found = left | (run.all(order) if run is not None else {})
    return tuple(found[one.window.name] for one in plan.steps)


class _Run:
    def __init__(self, context: Context, pipeline: Pipeline, plan: Plan, parallel: int) -> None:
        self._pipeline, self._plan, self._parallel = pipeline, plan, parallel
        rates = _shared(context.settings, parallel)
        self._context = replace(context, start=lambda: context.spark, settings=rates)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._group = f"penstock-backfill-{plan.group}"
        self._meter = Meter(plan, context.monotonic)

    def all(self, order: Sequence[Step]) -> dict[str, Ended]:
        """All windows; on an interrupt those under way are brought to a stop first."""
        with terminable():
            _ = self._context.spark  # on this thread, which hears signals
            pool = ThreadPoolExecutor(self._parallel, thread_name_prefix="penstock-window")
            begun: set[Future[Ended]] = set()
            try:
                begun.update(pool.submit(self._one, step) for step in order)
                return self._collected(begun)
            except KeyboardInterrupt:
                self._bring_to_a_stop(begun)
                raise
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _collected(self, waiting: set[Future[Ended]]) -> dict[str, Ended]:
        found: dict[str, Ended] = {}
        while waiting:
            # With a timeout, so that a signal is heard while nothing happens.
            done, waiting = wait(waiting, timeout=_CHECK_S, return_when=FIRST_COMPLETED)
            for one in done:
                ended = one.result()
                found[ended.step.window.name] = ended
                self._tell(ended)
        return found

    def _tell(self, ended: Ended) -> None:
        progress, group, name = self._context.progress, self._plan.group, ended.step.window.name
        if ended.error is not None:
            progress.note(group, f"{name} failed: {ended.error}")
        if ended.fate != "stopped":
            progress.note(group, self._meter.said(ended.step))

    def _one(self, step: Step) -> Ended:
        if self._stop.is_set():
            return Ended(step, "stopped")
        try:
            asked = self._plan.asked
            result = ingest_pipeline(
                self._context_of(step), self._pipeline, step.window, asked.online, asked.correct
            )
        except Exception as error:  # noqa: BLE001 - the others go on, whatever it was
            return self._failed(step, error)
        return Ended(step, result.state, result)

    def _failed(self, step: Step, error: Exception) -> Ended:
        ours = error if isinstance(error, PenstockError) else unknown(error, "The log says where")
        passing = ours is not error or isinstance(error, TemporaryError)
        if self._stop.is_set() and passing:  # its jobs were cancelled
            return Ended(step, "stopped")
        if self._concerns_all(ours):
            self._stop.set()
        return Ended(step, "failed", error=ours)

    def _context_of(self, step: Step) -> Context:
        """Its own words, the same session; jobs that bear its name and can be cancelled."""
        window, spark = step.window.name, self._context.spark
        spark.sparkContext.setJobGroup(self._group, f"{self._plan.group} {window}")
        said = _Labelled(self._context.progress, window, self._lock)
        return replace(self._context, start=lambda: spark, progress=said)

    def _concerns_all(self, error: PenstockError) -> bool:
        """Whether every other window would end so too: not ours to use, or Spark is gone."""
        if isinstance(error, CredentialsError):
            return True
        return isinstance(error, TemporaryError) and not self._spark_lives()

    def _spark_lives(self) -> bool:
        try:
            return not self._context.spark.sparkContext._jsc.sc().isStopped()  # noqa: SLF001 - pyspark has no public question for it
        except Exception:  # noqa: BLE001 - nobody answers: it does not
            return False

    def _bring_to_a_stop(self, waiting: set[Future[Ended]]) -> None:
        """Cancel jobs until nobody starts another, or the time is over."""
        self._stop.set()
        self._context.progress.note(self._plan.group, "stopping")
        until = time.monotonic() + STOP_S
        while waiting and time.monotonic() < until:
            if self._spark_lives():
                self._context.spark.sparkContext.cancelJobGroup(self._group)
            _, waiting = wait(waiting, timeout=_CHECK_S)


class Meter:
    """How far a plan is, and how long the rest takes: rows where they are known, else windows.

    Args:
        plan: The plan.
        clock: Monotonic seconds.
    """

    def __init__(self, plan: Plan, clock: Callable[[], float]) -> None:
        counts = {one.window.name: one.count for one in plan.order}
        known = all(one is not None and one.rows.about > 0 for one in counts.values())
        self._sizes = {
            name: one.rows.about if known and one is not None else 1.0
            for name, one in counts.items()
        }
        self._clock, self._began = clock, clock()
        self._through, self._ended = 0.0, 0

    def said(self, step: Step) -> str:
        """Note that a window has ended; answers how far that is."""
        self._ended += 1
        self._through += self._sizes[step.window.name]
        whole = sum(self._sizes.values())
        took = self._clock() - self._began
        left = took * (whole - self._through) / self._through if self._through else 0.0
        share = self._through / whole if whole else 1.0
        rest = "" if self._ended == len(self._sizes) else f", about {_spoken(left)} left"
        return f"{self._ended} of {len(self._sizes)} windows ({share:.0%}){rest}"


@dataclass(frozen=True)
class _Labelled:
    """Says of everything which window it is about; several speak through one."""

    inner: Progress
    window: str
    lock: threading.Lock

    def step(self, what: str, detail: str) -> None:
        with self.lock:
            self.inner.step(f"{what} {self.window}", detail)

    def advance(self, what: str, done: int, total: int) -> None:
        with self.lock:
            self.inner.advance(f"{what} {self.window}", done, total)

    def live(self, what: str, text: str) -> None:
        with self.lock:
            self.inner.live(f"{what} {self.window}", text)

    def note(self, what: str, text: str) -> None:
        with self.lock:
            self.inner.note(f"{what} {self.window}", text)


def _shared(settings: Settings, parallel: int) -> Settings:
    """Rates of ``conf`` are those of the whole backfill: each window has its part."""
    online = settings.online
    rates = ("max_write_units_per_s", "expected_write_units_per_s")
    parts = {name: getattr(online, name) for name in rates}
    parts = {name: None if one is None else one / parallel for name, one in parts.items()}
    return settings.model_copy(update={"online": online.model_copy(update=parts)})


def _spoken(seconds: float) -> str:
    for size, name in ((3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"

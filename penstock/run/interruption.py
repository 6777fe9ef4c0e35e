"""What ends a run from outside: a signal to stop, a worker process that dies, a full disk.

Neither is a defect, and neither loses anything: the same command goes on where the run stopped.
"""

from __future__ import annotations

import errno
import re
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import TemporaryError

#: What Spark says when a process it needs is gone, in 3.5 and 4.1.
_GONE = (
    "SparkContext was shut down",
    "Error while sending or receiving",
    "Python worker exited unexpectedly",
    "Python worker failed to connect back",
    "ExecutorLostFailure",
    "Answer from Java side is empty",
)

#: In 3.5 and 4: part of a group, by its number, or in Spark's own pages.
_CANCELLED = re.compile(r"\bJob \d+ cancelled\b")

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
#: What Java and Arrow say of a disk that is full.
_FULL = ("No space left on device", "Disk quota exceeded")

#: py4j's words when the JVM is gone: nothing follows them, for nobody is there to say more.
_SILENT = re.compile(r"An error occurred while calling [\w.:]+")


class _Interrupt:
    """A handler of SIGTERM, and whether it was called."""

    asked = False

    def __call__(self, _number: int, _frame: object) -> None:
        self.asked = True
        raise KeyboardInterrupt


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does; it may be entered again inside.

    A handler of others that is there already stays, and so does everything outside the main thread.
    """
    before = signal.getsignal(signal.SIGTERM)
    ours = before if isinstance(before, _Interrupt) else _Interrupt()
    if before not in (signal.SIG_DFL, ours) or not _in_main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, ours)
    try:
        yield
    except Exception as error:
        if ours.asked:  # py4j may swallow an interrupt, and then fail by the answer it missed
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """The event is set by SIGTERM or Ctrl-C; a second one interrupts.

    For work that ends by itself once it is asked to: an interrupt may fall into a call of py4j,
    whose answer the next call would then take for its own. Outside the main thread nothing sets it.
    """
    stop = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM) if _in_main_thread() else ()
    before = {one: signal.getsignal(one) for one in signals}

    def ask(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for one in signals:
        signal.signal(one, ask)
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def own_interrupt() -> Iterator[None]:
    """Keep Python's handler of Ctrl-C while a session starts.

    pyspark's asks the JVM to cancel all jobs, on the very connection that waits for an answer, and
    ends in an error of py4j instead of an interrupt. Our process ends and the JVM with it.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if _in_main_thread() and before is not None:
            signal.signal(signal.SIGINT, before)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def full(error: BaseException, folders: Iterable[str]) -> TemporaryError | None:
    """The error of a disk that is full, or None where it is another one.

    Args:
        error: Whatever was raised, by us, pyarrow or Spark.
        folders: Where a run writes; the one with the least room is named.
    """
    chain: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in chain:
        chain.append(found)
        found = found.__cause__ or found.__context__
    full = any(getattr(one, "errno", None) in _NO_ROOM for one in chain)
    if not full and not any(word in str(one) for one in chain for word in _FULL):
        return None
    room = {folder: shutil.disk_usage(folder).free for folder in folders if Path(folder).is_dir()}
    place = min(room, key=lambda one: room[one]) if room else "a folder of the run"
    return TemporaryError(f"no space in {place}", "Make room, then run the same command again")


def cancelled(error: Exception) -> TemporaryError | None:
    """The error for jobs that somebody cancelled, as a backfill that is stopped does; or None."""
    if not _CANCELLED.search(str(error)):
        return None
    return TemporaryError("its Spark jobs were cancelled", "The same command goes on there")


def lost(error: Exception) -> TemporaryError | None:
    """The error for a process that died under Spark, or None where it is another one."""
    text = str(error)
    said = any(one in text for one in _GONE) or _SILENT.fullmatch(text.strip())
    if not said and not isinstance(error, ConnectionError):  # py4j finds nobody at the JVM's port
        return None
    remedy = "Run the same command again: it resumes. If it dies again, give it more memory"
    return TemporaryError("a process of Spark died", remedy)

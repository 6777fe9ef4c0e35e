"""What ends a run from outside: a signal to stop, a worker process that dies.

Neither is a defect, and neither loses anything: the same command goes on where the run stopped.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from penstock.errors import TemporaryError

#: What Spark says when a process it needs is gone, in 3.5 and 4.1.
_GONE = (
    "Python worker exited unexpectedly",
    "Python worker failed to connect back",
    "ExecutorLostFailure",
    "Answer from Java side is empty",
)


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does: Spark's jobs are cancelled, then KeyboardInterrupt.

    A handler that is there already stays, and so does everything outside the main thread.
    """
    default = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not default or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def lost(error: Exception) -> TemporaryError | None:
    """The error for a process that died under Spark, or None where it is another one."""
    text = str(error)
    if not any(one in text for one in _GONE):
        return None
    remedy = "Run the same command again: it resumes. If it dies again, give it more memory"
    return TemporaryError("a worker process of Spark died", remedy)

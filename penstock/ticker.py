"""Something done again and again while something else runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOG = logging.getLogger(__name__)


@contextmanager
def ticking(name: str, every_s: float, tick: Callable[[], bool]) -> Iterator[None]:
    """Call ``tick`` every ``every_s`` seconds on a thread of its own, until it answers False.

    A storage that cannot be reached ends nothing: the next tick may reach it. Leaving the context
    ends the thread and waits for it; it never outlives the process.
    """
    stop = threading.Event()

    def run() -> None:
        goes_on = True
        while goes_on and not stop.wait(every_s):
            try:
                goes_on = tick()
            except Exception:  # noqa: BLE001 - it must go on: a lease that is not renewed ends
                _LOG.warning("%s could not do its work this time", name, exc_info=True)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()

"""Something done again and again while something else runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def ticking(name: str, every_s: float, tick: Callable[[], bool]) -> Iterator[None]:
    """Call ``tick`` every ``every_s`` seconds on a thread of its own, until it answers False.

    Leaving the context ends the thread and waits for it; it never outlives the process.
    """
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(every_s) and tick():
            pass

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()

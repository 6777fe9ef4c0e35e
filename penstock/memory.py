"""Python's search for cycles of garbage, where it is in vain."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def all_kept() -> Iterator[None]:
    """For code that makes hundreds of thousands of objects and keeps them all.

    The collector looks through them again and again as they grow, which takes longer than making
    them.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

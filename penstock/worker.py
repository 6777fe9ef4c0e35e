"""Python workers of Spark that are used again, task after task.

Before each task Spark has Python forget what it knows of its import path, and after each it looks
for garbage. Both take longer the more was imported: Python 3.11 reads pyspark.zip again for every
package in it that was looked into (gh-103200, lazy from 3.12 on). Measured on two slow cores:
0.27 s and 0.06 s a task, where a window of four rows has eight.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar
from zipimport import zipimporter

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def settled(
    work: Callable[[Iterable[_In]], Iterator[_Out]],
) -> Callable[[Iterable[_In]], Iterator[_Out]]:
    """The same work for a partition, in a worker that begins its next task quickly."""

    def task(items: Iterable[_In]) -> Iterator[_Out]:
        settle()
        return work(items)

    return task


def settle() -> None:
    """Drop finders of archives, and leave what is loaded by now out of the search for garbage.

    Finders are a cache: the next import makes one anew, from the directory that Python has kept.
    Only the first call leaves anything out, so that garbage of tasks never stays.
    """
    for path, finder in list(sys.path_importer_cache.items()):
        if isinstance(finder, zipimporter):
            del sys.path_importer_cache[path]
    if not gc.get_freeze_count():
        gc.freeze()

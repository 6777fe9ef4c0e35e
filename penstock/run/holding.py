"""Who may work on what: a run holds its window, one that forgets records holds the whole project.

Each takes its own lease first and looks at the other's then, so that at least one of two that begin
together sees the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from penstock.ledger.lease import check_free, held
from penstock.run.context import Context
from penstock.run.places import Places, state_folder


@contextmanager
def holding(context: Context, places: Places) -> Iterator[None]:
    """Hold a window.

    Raises:
        TemporaryError: Records are being forgotten.
    """
    with held(context.storage, places.lease, lambda: context.now().timestamp()):
        _check(context, _whole(context), "the project, in which records are forgotten,")
        yield


@contextmanager
def holding_all(context: Context) -> Iterator[None]:
    """Hold the project: no window of any group is worked on, and none is begun.

    Raises:
        TemporaryError: A run works on a window, or records are being forgotten.
    """
    whole = _whole(context)
    _check(context, whole, "the project, in which records are forgotten,")
    with held(context.storage, whole, lambda: context.now().timestamp()):
        for folder in context.storage.list(f"{state_folder(context.settings)}/leases"):
            for lease in context.storage.list(folder):
                _check(context, lease, lease.removesuffix(".json").rsplit("leases/", 1)[-1])
        yield


def _check(context: Context, lease: str, what: str) -> None:
    check_free(context.storage, lease, context.now().timestamp(), what, "Wait for it")


def _whole(context: Context) -> str:
    return f"{state_folder(context.settings)}/leases/forget.json"

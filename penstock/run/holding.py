"""Who may work on what: a run holds its window, what removes files or mends the whole project.

Each takes its own lease first and looks at the other's then, so that at least one of two that begin
together sees the other. A lease may lapse while its holder sleeps, so one that is about to delete
what others may need looks whether it still has it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from penstock.errors import TemporaryError
from penstock.ledger.lease import check_free, held
from penstock.run.context import Context
from penstock.run.places import Places, state_folder

_WHOLE = "the project, in which files are removed or records mended,"


@contextmanager
def holding(context: Context, places: Places) -> Iterator[None]:
    """Hold a window.

    Raises:
        TemporaryError: Files are being removed.
    """
    with held(context.storage, places.lease, lambda: context.now().timestamp()):
        check_whole(context)
        yield


@contextmanager
def sharing(context: Context, what: str) -> Iterator[None]:
    """Keep what is read or written from being removed meanwhile; any number may do so.

    Args:
        context: The surroundings.
        what: Name of a group, or of something else that is worked on.

    Raises:
        TemporaryError: Files are being removed.
    """
    lease = f"{state_folder(context.settings)}/leases/{what}/shared-{uuid.uuid4().hex}.json"
    try:
        with held(context.storage, lease, lambda: context.now().timestamp()):
            check_whole(context)
            yield
    finally:
        with suppress(OSError, TemporaryError):  # it ends by itself
            context.storage.delete(lease)


@contextmanager
def holding_all(context: Context) -> Iterator[Callable[[], None]]:
    """Hold the project: nothing of any group is worked on, and nothing is begun.

    Yields:
        Raises TemporaryError once the lease is lost: to be called before anything is deleted.

    Raises:
        TemporaryError: A run works on a window, or files are being removed.
    """
    whole = _whole(context)
    check_whole(context)
    with held(context.storage, whole, lambda: context.now().timestamp()) as is_ours:

        def check() -> None:
            if not is_ours():
                message = "the lease of the project was lost: this process slept, or another came"
                raise TemporaryError(message, "Run the same command again")

        for folder in context.storage.list(f"{state_folder(context.settings)}/leases"):
            for lease in context.storage.list(folder):
                _check(context, lease, lease.removesuffix(".json").rsplit("leases/", 1)[-1])
        yield check


def check_whole(context: Context) -> None:
    """Return where no files are being removed; raises TemporaryError."""
    _check(context, _whole(context), _WHOLE)


def _check(context: Context, lease: str, what: str) -> None:
    check_free(context.storage, lease, context.now().timestamp(), what, "Wait for it")


def _whole(context: Context) -> str:
    return f"{state_folder(context.settings)}/leases/whole.json"

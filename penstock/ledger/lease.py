"""One driver at a time: a lease beside the journal, renewed by a thread while the run lives.

A lease is a courtesy that saves work. Safety does not rest on it but on the journal's epochs, on
chunk markers and on Delta's transaction: a lease lost to a slow clock costs a repeated chunk,
nothing else.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from penstock.errors import TemporaryError
from penstock.storage import Storage
from penstock.ticker import ticking

LEASE_S = 60.0
RENEW_S = 10.0


@dataclass(frozen=True)
class Holder:
    """Who holds a lease.

    Args:
        host: Host name.
        pid: Process id on that host.
        born: Start of that process in the kernel's ticks; 0 where it cannot be told.
        until: Epoch seconds at which the lease ends unless renewed.
    """

    host: str
    pid: int
    born: int
    until: float


def check_free(
    storage: Storage,
    path: str,
    now: float,
    what: str = "this window",
    remedy: str = "Wait for that run, or run again with --takeover",
) -> None:
    """Return when nobody holds the lease.

    A holder on this host whose process has died holds nothing. ``what`` is held, and ``remedy``
    what to do about it, are for the error.

    Raises:
        TemporaryError: Somebody holds it.
    """
    holder = _holder(storage, path)
    if holder is None:
        return
    if holder.until <= now or (holder.host == socket.gethostname() and not _lives(holder)):
        return
    left = holder.until - now
    message = f"{what} is owned by {holder.host}, process {holder.pid}, for {left:.0f} s more"
    raise TemporaryError(message, remedy)


def owner() -> str:
    """This process, for people: host and process id."""
    return f"{socket.gethostname()}, process {os.getpid()}"


@contextmanager
def held(
    storage: Storage, path: str, clock: Callable[[], float], renew_s: float = RENEW_S
) -> Iterator[Callable[[], bool]]:
    """Hold the lease while the context lives; one that was taken over is left to its new holder.

    Yields:
        Whether it was held all the time: it has not been taken over and has never lapsed.
    """
    own = Holder(socket.gethostname(), os.getpid(), _born(os.getpid()), 0.0)

    def write(until: float) -> None:
        storage.write(path, json.dumps(asdict(replace(own, until=until))).encode())

    lapsed = threading.Event()

    def still_ours() -> bool:
        holder = _holder(storage, path)
        if holder is None or replace(holder, until=0.0) != own:
            return False
        if holder.until <= clock():
            lapsed.set()  # others may have looked in between: renewing does not make that undone
        return True

    def is_held() -> bool:
        return still_ours() and not lapsed.is_set()

    def renew() -> bool:
        ours = still_ours()
        if ours:
            write(clock() + LEASE_S)
        return ours

    write(clock() + LEASE_S)
    try:
        with ticking("penstock-lease", renew_s, renew):
            yield is_held
    finally:
        with suppress(OSError, TemporaryError):  # it ends by itself; what the run says counts more
            if still_ours():
                write(0.0)


def _holder(storage: Storage, path: str) -> Holder | None:
    """Who the lease names; None where there is none that can be read."""
    try:
        return Holder(**json.loads(storage.read(path)))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _lives(holder: Holder) -> bool:
    """Whether the process is still there; where the system does not tell, it is taken to be."""
    return holder.born == 0 or _born(holder.pid) == holder.born


def _born(pid: int) -> int:
    """Field 22 of /proc/PID/stat: a process id alone may have been given to another process.

    0 for a process that has ended, also where its parent has not taken note of that yet.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = stat.rsplit(")", 1)[1].split()
        return 0 if fields[0] in "ZX" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return 0

"""The embedded AWS as the main thing of a process: signals end it, its memory is kept still."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import threading
from collections.abc import Callable

from penstock.emulator.engine import Settings
from penstock.emulator.faults import Faults
from penstock.emulator.server import serve


def run(
    settings: Settings, port: int, ready: Callable[[int], None], *, with_stdin: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: Behaviour and data folder.
        port: Port on 127.0.0.1, 0 for any free one.
        ready: Called with the port once requests are answered.
        with_stdin: End with standard input, too, so that the process never outlives who started it.

    Raises:
        OSError: The port is taken, or the folder cannot be written.
    """
    asyncio.run(_run(settings, port, ready, with_stdin=with_stdin))


async def _run(
    settings: Settings, port: int, ready: Callable[[int], None], *, with_stdin: bool
) -> None:
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    if with_stdin:
        waiter = threading.Thread(target=_await_stdin, args=(loop, end), daemon=True)
        waiter.start()

    def settled(bound: int) -> None:
        # What is loaded now stays; scanning it again and again would cost every request.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        ready(bound)

    await serve(settings, Faults(), port, settled, end)


def _await_stdin(loop: asyncio.AbstractEventLoop, end: asyncio.Event) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    loop.call_soon_threadsafe(end.set)

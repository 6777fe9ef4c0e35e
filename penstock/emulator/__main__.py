"""``python -m penstock.emulator``: the embedded AWS as a process.

Prints one line of JSON when it is ready: port, region and the credentials file. Ends on SIGTERM or
SIGINT, or, when asked, with its standard input, so that it never outlives who started it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
import threading
from pathlib import Path

from penstock.emulator.engine import Settings
from penstock.emulator.faults import Faults
from penstock.emulator.server import serve


def main() -> int:
    """Run until told to end; returns the exit code."""
    options = _options()
    data: Path = options.data.absolute()
    settings = Settings(
        data=data,
        region=options.region,
        ties=options.ties,
        create_delay=options.create_delay,
        journal=options.journal,
    )
    try:
        asyncio.run(_run(settings, options.port, with_stdin=options.exit_with_stdin))
    except OSError as problem:
        sys.stderr.write(f"The embedded AWS cannot run: {problem}. Check --port and --data.\n")
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m penstock.emulator",
        description="Embedded AWS for tests and local runs: a stand-in, not a store.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of its state")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free)")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--ties", choices=["ignore", "apply"], default="ignore",
                        help="what a write with an equal event time does")  # fmt: skip
    parser.add_argument("--create-delay", type=float, default=0.0, metavar="SECONDS",
                        help="how long creating a feature group takes")  # fmt: skip
    parser.add_argument("--journal", action="store_true", help="record every runtime write")
    parser.add_argument("--exit-with-stdin", action="store_true",
                        help="end when standard input ends")  # fmt: skip
    return parser.parse_args()


async def _run(settings: Settings, port: int, *, with_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    if with_stdin:
        waiter = threading.Thread(target=_await_stdin, args=(loop, end), daemon=True)
        waiter.start()

    def ready(bound: int) -> None:
        # What is loaded now stays; scanning it again and again would cost every request.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        line = {"port": bound, "region": settings.region,
                "credentials": str(settings.data / "credentials")}  # fmt: skip
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    await serve(settings, Faults(), port, ready, end)


def _await_stdin(loop: asyncio.AbstractEventLoop, end: asyncio.Event) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    loop.call_soon_threadsafe(end.set)


if __name__ == "__main__":
    sys.exit(main())

"""``python -m penstock.emulator``: the embedded AWS as a process.

Prints one line of JSON when it is ready: port, region and the credentials file. Ends on SIGTERM or
SIGINT, or, when asked, with its standard input, so that it never outlives who started it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from penstock.emulator.engine import Settings
from penstock.emulator.process import run


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
        expiry=options.expiry,
        faults=None if options.faults is None else options.faults.absolute(),
        replication_delay=options.replication_delay,
    )

    def announce(port: int) -> None:
        line = {"port": port, "region": settings.region, "credentials": str(data / "credentials")}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    try:
        run(settings, options.port, announce, with_stdin=options.exit_with_stdin)
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
    parser.add_argument("--replication-delay", type=float, default=5.0, metavar="SECONDS",
                        help="how long a write waits for the offline store")  # fmt: skip
    parser.add_argument("--expiry", choices=["forget", "guard"], default="forget",
                        help="what becomes of the event time of an expired record")  # fmt: skip
    parser.add_argument("--faults", type=Path, metavar="FILE",
                        help="fault script, read again when it changes "
                        "(default: faults.json in the folder of its state)")  # fmt: skip
    parser.add_argument("--journal", action="store_true", help="record every runtime write")
    parser.add_argument("--exit-with-stdin", action="store_true",
                        help="end when standard input ends")  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

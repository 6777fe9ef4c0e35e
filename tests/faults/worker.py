"""A worker process: ``python -m tests.faults.worker``.

Reads (job, start) as a pickle and says it is ready. Then it sends each file that comes as a line
and answers a line of JSON: what became of it. An empty line ends it. Nothing but the job tells it
where the credentials are.
"""

from __future__ import annotations

import json
import pickle
import sys

from penstock.errors import PenstockError
from penstock.online import send_file
from penstock.storage import LocalStorage
from tests.faults.watch import watched_line


def main() -> None:
    """One worker's life."""
    job, start = pickle.load(sys.stdin.buffer)
    line, seen = watched_line(job, start)
    _say("ready")
    while file := sys.stdin.buffer.readline().decode().rstrip("\n"):
        code, said = 0, ""
        try:
            send_file(job, file, LocalStorage(), line=line)
        except PenstockError as error:
            code, said = error.exit_code, str(error)
        _say(
            {
                "exit_code": code,
                "said": said,
                "calls": seen.calls,
                "longest_s": seen.longest_s,
                "p99_s": seen.p99_s,
                "renewals": seen.renewals,
            }
        )


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Worker processes that share a list of files, as Spark's slots do: who is free takes the next."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.watch import Seen

if TYPE_CHECKING:
    from penstock.online import SendJob

ROOT = Path(__file__).parents[2]


@dataclass
class Outcome:
    """How a crew ended.

    Args:
        seconds: From the go to the end of the last file.
        seen: What each process's line was seen to do.
        failed: Exit code and words of files that failed.
    """

    seconds: float = 0.0
    seen: list[Seen] = field(default_factory=list)
    failed: list[tuple[int, str]] = field(default_factory=list)


def sent_by(
    workers: int, job: SendJob, files: Sequence[str], start: float | None, limit_s: float
) -> Outcome:
    """Send the files in their order by so many processes, which begin together.

    Once a file failed no further one is begun, as a failed task ends a Spark stage.

    Raises:
        AssertionError: Not done within ``limit_s``.
    """
    outcome, waiting, lock = Outcome(), list(files), threading.Lock()
    with ExitStack() as stack:
        made = [stack.enter_context(worker(job, start)) for _ in range(workers)]

        def feed(process: subprocess.Popen[bytes]) -> None:
            last: Any = None
            while True:
                with lock:
                    file = waiting.pop(0) if waiting and not outcome.failed else ""
                said = _ask(process, file)
                if said is None:
                    break
                last = said
                if said["exit_code"]:
                    with lock:
                        outcome.failed.append((said["exit_code"], said["said"]))
            if last is not None:
                seen = Seen(last["calls"], last["longest_s"], [last["p99_s"]], last["renewals"])
                outcome.seen.append(seen)

        began = time.monotonic()
        threads = [threading.Thread(target=feed, args=(one,), daemon=True) for one in made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.1, began + limit_s - time.monotonic()))
        outcome.seconds = time.monotonic() - began
        assert not any(one.is_alive() for one in threads), f"not done within {limit_s} s"
    return outcome


def _ask(process: subprocess.Popen[bytes], file: str) -> Any:
    """Hand a file over and wait for what became of it; None where there is no more."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{file}\n".encode())
    process.stdin.flush()
    if not file:
        return None
    line = process.stdout.readline()
    assert line, "a worker died"
    return json.loads(line)


@contextmanager
def worker(job: SendJob, start: float | None) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process that is ready; killed in the end."""
    command = [sys.executable, "-m", "tests.faults.worker"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(pickle.dumps((job, start)))
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == "ready"
            yield process
        finally:
            process.kill()

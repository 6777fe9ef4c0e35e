"""Where the online arm's time goes: the same file sent in this process, under cProfile.

cProfile sees the thread that sends; what other threads do (reading ahead, markers, and with the
plain transport the requests themselves) is beside it.
"""

from __future__ import annotations

import cProfile
import io
import pstats
from pathlib import Path
from typing import Any, Literal

from bench.rows import EVENT_TIME, GROUP, IDENTIFIER, REGION, description, group, written
from bench.server import Stub
from penstock.aws import Endpoint
from penstock.online import SendJob, send_file
from penstock.storage import LocalStorage

RECORDS = 20_000
LINES = 45


def write(stub: Stub, folder: Path, out: Path, transport: str | None) -> list[Path]:
    """Write ``profile-put.txt`` and ``profile-batch.txt`` into ``out``; gives their paths."""
    out.mkdir(exist_ok=True)
    made = []
    for api in ("put", "batch"):
        path = out / f"profile-{api}.txt"
        path.write_text(profile(stub, folder, api, transport))
        made.append(path)
    return made


def profile(stub: Stub, folder: Path, api: str, transport: str | None = None) -> str:
    """The functions that take longest, a warm-up before; times per 1,000 records on top."""
    stub.settings(features=20, group=description(20))
    file = written(folder, RECORDS, 20)
    job = _job(stub, folder, api, transport)
    send_file(job("warm"), str(file), LocalStorage())
    profiler = cProfile.Profile()
    profiler.enable()
    outcome = send_file(job("profiled"), str(file), LocalStorage())
    profiler.disable()
    if outcome.figures.accepted != RECORDS:
        raise RuntimeError(f"{outcome.figures.accepted} of {RECORDS} records were accepted")
    text = io.StringIO()
    stats = pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime")
    text.write(f"{RECORDS} records by {api}, seconds under the profiler, thread that sends\n")
    stats.print_stats(LINES)
    return text.getvalue()


def _job(stub: Stub, folder: Path, api: str, transport: str | None) -> Any:
    contract = group(20)
    more: dict[str, Any] = {"transport": transport} if transport else {}
    called: Literal["put", "batch"] = "put" if api == "put" else "batch"

    def job(name: str) -> SendJob:
        return SendJob(
            endpoint=Endpoint(REGION, stub.url),
            group=GROUP,
            features=contract.names,
            types=tuple(one.type for one in contract.features),
            record_identifier=IDENTIFIER,
            event_time=EVENT_TIME,
            api=called,
            in_flight=None,
            chunk_rows=1_000,
            max_write_units_per_s=None,
            results=str(folder / f"profile-{api}-{name}"),
            **more,
        )

    return job

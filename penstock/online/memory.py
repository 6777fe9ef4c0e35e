"""How much memory sending a file takes: a formula of the settings, the same for any number of rows.

    peak <= base + 1.5 x (rows + requests) + 2 x row group + 32 MiB

    base       what the process held before: Python, Arrow, pandas, botocore (140 MiB measured)
    rows       (open_limit + 3) x chunk_rows x (arrow row + 2 x JSON row + 256 bytes)
    requests   most_slots x (2 x body + 64 KiB)
    body       25 records, at most 4 MiB; or a single larger record
    row group  the file's largest, as stored

Of the three chunks beside the open ones one is read ahead, one is being encoded and one settled;
256 bytes a row are its views. A request is held as body and as what is left to write; 64 KiB are a
connection's, with TLS. The factor and the constant are what allocators keep (measured: tests of
10^5 and 5 x 10^6 rows). Rejected rows of up to 32 chunks wait for their markers in addition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.online.body import MAX_ENTRIES
from penstock.online.parcel import MAX_BODY_BYTES
from penstock.online.sender import open_limit

if TYPE_CHECKING:
    from penstock.online.job import SendJob

KEPT = 1.5
CONSTANT = 32 * 1024 * 1024
VIEW = 256
CONNECTION = 64 * 1024


def peak_bytes(job: SendJob, arrow_row: float, json_row: float, row_group: int) -> int:
    """Upper bound of what sending a file adds to a process.

    Args:
        job: The settings.
        arrow_row: Bytes of a row in Arrow.
        json_row: Bytes of a row's record as JSON; about 70 a feature.
        row_group: Bytes of the file's largest row group, as stored.
    """
    rows = (open_limit(job) + 3) * job.chunk_rows * (arrow_row + 2 * json_row + VIEW)
    body = max(json_row, min(MAX_ENTRIES * json_row, MAX_BODY_BYTES))
    requests = job.most_slots * (2 * body + CONNECTION)
    return int(KEPT * (rows + requests) + 2 * row_group + CONSTANT)

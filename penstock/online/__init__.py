"""The online write path: staged files to the Feature Store API, and what became of each row.

    parcel → body → sender (outcome, pacing) → transport → sender → marker → totals

One retry layer, one limiter per process, markers as the only truth. Nothing here knows Spark.
"""

from __future__ import annotations

from penstock.online.job import Figures, FileOutcome, SendJob
from penstock.online.line import transport_of
from penstock.online.marker import REJECT_COLUMNS, marker_path
from penstock.online.totals import OnlineTotals, figures_of, fold, missing
from penstock.online.writer import send_file

__all__ = [
    "REJECT_COLUMNS",
    "Figures",
    "FileOutcome",
    "OnlineTotals",
    "SendJob",
    "figures_of",
    "fold",
    "marker_path",
    "missing",
    "send_file",
    "transport_of",
]

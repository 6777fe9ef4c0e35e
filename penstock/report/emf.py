"""A run as one line of CloudWatch's embedded metric format, of which CloudWatch Logs makes metrics.

Specification: AWS, "Embedded metric format", of the CloudWatch user guide. Not verified on AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

#: Metric → its unit in CloudWatch, and what it is. docs/observing.md has the same table.
METRICS = {
    "Done": ("Count", "1 where the run came to its end, else 0"),
    "Failed": ("Count", "1 where it did not, else 0"),
    "RowsRead": ("Count", "rows read from the sources"),
    "RowsQuarantined": ("Count", "rows put aside by either gate"),
    "RowsValid": ("Count", "rows fit to be written"),
    "RecordsSent": ("Count", "records handed to the service"),
    "RecordsAccepted": ("Count", "records it acknowledged"),
    "RecordsRejected": ("Count", "records it refused"),
    "CallsThrottled": ("Count", "answers that asked to slow down"),
    "OfflineRows": ("Count", "rows committed offline, or there already"),
    "Duration": ("Seconds", "of the whole run"),
    "OnlineDuration": ("Seconds", "of sending"),
    "AcceptedRate": ("Count/Second", "records acknowledged a second while sending"),
    "CallP50": ("Milliseconds", "median time of a call"),
    "CallP99": ("Milliseconds", "time that 99 % of the calls kept to"),
    "FreshnessLag": ("Seconds", "from the newest event time to the end of the run"),
    "MaxDrift": ("None", "greatest stability index of a feature against the run before"),
}
_DIMENSIONS = ("Project", "FeatureGroup")


def line(plain: Mapping[str, Any], namespace: str, now: datetime) -> dict[str, Any]:
    """One event: metrics that are known, and run, window, state and exit code to search by.

    Args:
        plain: What a report is made of.
        namespace: Of the metrics.
        now: Aware; the metrics' time.
    """
    known = {name: value for name, value in _values(plain).items() if value is not None}
    directive = {
        "Namespace": namespace,
        "Dimensions": [list(_DIMENSIONS)],
        "Metrics": [{"Name": name, "Unit": METRICS[name][0]} for name in known],
    }
    return {
        "_aws": {"Timestamp": int(now.timestamp() * 1000), "CloudWatchMetrics": [directive]},
        "Project": plain["project"],
        "FeatureGroup": plain["group"],
        "Run": plain["run"],
        "Window": plain["window"],
        "State": plain["state"],
        "ExitCode": plain["exit_code"],
        **known,
    }


def _values(plain: Mapping[str, Any]) -> dict[str, float | None]:
    figures = plain.get("figures") or {}
    done = plain["state"] == "done"
    indexes = [one["psi"] for one in plain.get("drift", {}).get("features", ()) if one["psi"]]
    sent = figures.get("online_s")
    offline = figures.get("offline")
    return {
        "Done": int(done),
        "Failed": int(not done),
        "RowsRead": figures.get("read"),
        "RowsQuarantined": figures.get("all_quarantined"),
        "RowsValid": figures.get("valid"),
        "RecordsSent": figures.get("sent"),
        "RecordsAccepted": figures.get("accepted"),
        "RecordsRejected": figures.get("rejected"),
        "CallsThrottled": figures.get("throttled"),
        "OfflineRows": None if offline is None else offline + figures.get("present", 0),
        "Duration": figures.get("seconds"),
        "OnlineDuration": sent,
        "AcceptedRate": figures["accepted"] / sent if sent else None,
        "CallP50": figures.get("p50_ms"),
        "CallP99": figures.get("p99_ms"),
        "FreshnessLag": (plain.get("freshness") or {}).get("lag_s"),
        "MaxDrift": max(indexes, default=None),
    }

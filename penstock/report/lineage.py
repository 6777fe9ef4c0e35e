"""OpenLineage events of a run: what was read, what was written, and how it ended.

Fields follow OpenLineage's specification 2-0-2 and its facets schema, outputStatistics and
errorMessage. Names of data sets: files as ``file`` or ``s3://BUCKET`` with their path, as
OpenLineage's naming does; of the online store, for which it has no name, the namespace
``sagemaker-featurestore`` and the feature group's name.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from penstock.contract import FeatureGroup

PRODUCER = "urn:penstock:run"
SCHEMA_URL = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
ONLINE = "sagemaker-featurestore"
_FACETS = "https://openlineage.io/spec/facets"
_RUNS = uuid.UUID("6f0c1e0e-51f6-5d7a-9a55-6a1a1e1a7d10")  # name space of our runs' UUIDs

Kind = Literal["START", "COMPLETE", "FAIL", "ABORT"]


@dataclass(frozen=True)
class Job:
    """What runs.

    Args:
        namespace: Of the jobs.
        group: The contract.
        run: Identifier of the run; its UUID is made from it.
        inputs: Files and folders that are read, absolute or ``s3://``.
        offline: Folder of the offline table; None where none is written.
        online: Name of the feature group; None where nothing is sent.
    """

    namespace: str
    group: FeatureGroup
    run: str
    inputs: Sequence[str]
    offline: str | None
    online: str | None


def event(
    kind: Kind,
    job: Job,
    now: datetime,
    figures: Mapping[str, Any] | None = None,
    why: str | None = None,
) -> dict[str, Any]:
    """One event, as JSON.

    Args:
        kind: START, then one of the others.
        job: What runs.
        now: Aware.
        figures: Of a run that came to its end.
        why: Of one that did not: one line.
    """
    facets = {}
    if why is not None:
        facets["errorMessage"] = _facet(
            "1-0-1/ErrorMessageRunFacet", message=why, programmingLanguage="PYTHON"
        )
    at = now.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "eventType": kind,
        "eventTime": at,
        "run": {"runId": str(uuid.uuid5(_RUNS, job.run)), "facets": facets},
        "job": {"namespace": job.namespace, "name": f"ingest.{job.group.name}", "facets": {}},
        "inputs": [_dataset(one) for one in job.inputs],
        "outputs": _outputs(job, figures or {}),
        "producer": PRODUCER,
        "schemaURL": SCHEMA_URL,
    }


def _outputs(job: Job, figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    fields = [
        {"name": one.name, "type": one.type.value, "description": one.description}
        for one in job.group.features
    ]
    facets = {"schema": _facet("1-1-1/SchemaDatasetFacet", fields=fields)}
    found = []
    for name, rows in ((job.offline, "offline"), (job.online, "accepted")):
        if name is None:
            continue
        online = rows == "accepted"
        dataset = {"namespace": ONLINE, "name": name} if online else _dataset(name)
        count = figures.get(rows)
        told = {} if count is None else {"outputStatistics": _statistics(count)}
        found.append({**dataset, "facets": facets, "outputFacets": told})
    return found


def _statistics(rows: int) -> dict[str, Any]:
    return _facet("1-0-2/OutputStatisticsOutputDatasetFacet", rowCount=rows)


def _dataset(path: str) -> dict[str, Any]:
    if path.startswith("s3://"):
        bucket, _, key = path.removeprefix("s3://").partition("/")
        return {"namespace": f"s3://{bucket}", "name": key or "/"}
    return {"namespace": "file", "name": path.removeprefix("file://")}


def _facet(schema: str, **fields: Any) -> dict[str, Any]:
    name = schema.rpartition("/")[2]
    url = f"{_FACETS}/{schema}.json#/$defs/{name}"
    return {"_producer": PRODUCER, "_schemaURL": url, **fields}

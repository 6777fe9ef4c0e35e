"""Whole runs: what went in as files, and the evidence read from lake, state and service."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock import aws
from penstock.contract import (
    Column,
    ColumnType,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)
from penstock.errors import PenstockError
from penstock.ledger.window import Window
from penstock.online import SendJob
from penstock.run.ingest import ingest_pipeline
from penstock.run.places import Places, state_folder
from tests.checker import Evidence, Row
from tests.faults import evidence as gathering
from tests.lab import Lab
from tests.sending import JOB

_KINDS = {
    "sensor": (FeatureType.STRING, ColumnType.STRING),
    "at": (FeatureType.STRING, ColumnType.TIMESTAMP),
    "level": (FeatureType.INTEGRAL, ColumnType.LONG),
    "share": (FeatureType.FRACTIONAL, ColumnType.DOUBLE),
}
NAMES = tuple(_KINDS)
Line = tuple[str, str, int, float]


def pipeline(name: str = "readings") -> Pipeline:
    """Readings of sensors, from one CSV."""
    features = tuple(Feature(one, kinds[0]) for one, kinds in _KINDS.items())
    columns = tuple(Column(one, kinds[1]) for one, kinds in _KINDS.items())
    return Pipeline(FeatureGroup(name, "sensor", "at", features), {name: Source(columns)})


@dataclass
class Run:
    """One pipeline in a laboratory, run as often as a test likes.

    Args:
        lab: Where; its embedded AWS keeps a journal.
        pipeline: What.
        lines: Rows of the source, as they were written last.
    """

    lab: Lab
    pipeline: Pipeline
    lines: Sequence[Line] = ()

    @property
    def group(self) -> FeatureGroup:
        """The feature group."""
        return self.pipeline.group

    @property
    def _file(self) -> Path:
        return self.lab.root / f"{self.group.name}.csv"

    def write(self, lines: Sequence[Line]) -> None:
        """Put rows into the source."""
        self.lines = lines
        text = "".join(f"{a},{b},{c},{d!r}\n" for a, b, c, d in lines)
        self._file.write_text(",".join(NAMES) + "\n" + text, encoding="utf-8")

    def ingest(self, correct: Any = None, **flags: Any) -> tuple[int, str]:
        """Exit code and words of a run of the whole window."""
        settings = self.lab.settings({self.group.name: self._file}, **flags)
        try:
            self.lab.provision(self.group, settings)
            context = self.lab.context(settings)
            ingest_pipeline(context, self.pipeline, Window(), correct=correct)
        except PenstockError as error:
            return error.exit_code, str(error)
        return 0, ""

    def evidence(self, exit_code: int, generation: int = 0, **more: Any) -> Evidence:
        """What there is after a run that ended so; faults are over."""
        self.lab.emulator.faults.clear()
        places = Places(state_folder(self.lab.settings()), self.group.name, Window())
        manifest = json.loads(Path(places.manifest(generation)).read_bytes())
        files, results = send_files(places, generation, manifest)
        job = self._job(results, manifest["chunk_rows"])
        found = gathering.of_send_files(job, files)
        shape = gathering.shape_of(job)
        rows = [self.row(line, f"{self._file.name}:{n}") for n, line in enumerate(self.lines, 2)]
        aside = (one for one in self.lab.quarantine() if one["file"] is not None)
        return Evidence(
            rows=rows,
            sent=found.sent,
            answered=found.answered,
            dead=found.dead,
            journal=gathering.journal(self.lab.root / "aws", self.group.name),
            online=self.online(),
            figures=found.figures,
            offline=[shape.row(one) for one in self.lab.features(self.group)],
            quarantined=frozenset(f"{Path(one['file']).name}:{one['position']}" for one in aside),
            collapsed=manifest["figures"]["duplicates"],
            ledger=ledger_of(places.journal(generation)),
            exit_code=exit_code,
            **more,
        )

    def row(self, line: Line, place: str = "") -> Row:
        """A line of the source as the checker compares it."""
        shape = gathering.shape_of(self._job("", 1))
        return shape.row(dict(zip(NAMES, line, strict=True)), place)

    def online(self) -> dict[str, Row]:
        """The group's online records."""
        runtime = aws.client(self.lab.endpoint, "sagemaker-featurestore-runtime")
        return gathering.online(runtime, self._job("", 1))

    def _job(self, results: str, chunk_rows: int) -> SendJob:
        return job_of(self.group, results, chunk_rows)


def job_of(group: FeatureGroup, results: str, chunk_rows: int) -> SendJob:
    """A job of a group, as far as its evidence is read by one."""
    return replace(
        JOB,
        group=group.name,
        features=group.names,
        types=tuple(one.type for one in group.features),
        record_identifier=group.record_identifier,
        event_time=group.event_time,
        results=results,
        chunk_rows=chunk_rows,
    )


def send_files(places: Places, generation: int, manifest: Any) -> tuple[list[str], str]:
    """The files that were sent and their markers' folder: of the last selection, if there is one.

    The manifest names the candidates.
    """
    number, staged = None, manifest["staged"]
    while (path := Path(places.pin(generation, f"selection-{(number or 0):04d}"))).exists():
        staged = json.loads(path.read_bytes())["report"]
        number = (number or 0) + 1
    last = None if number is None else number - 1
    return [one["path"] for one in staged["send"]], places.results(generation, last)


def ledger_of(folder: str) -> list[tuple[str, int]]:
    """Events of a generation, oldest first: state and epoch."""
    events = [json.loads(one.read_bytes()) for one in sorted(Path(folder).glob("*.json"))]
    return [(one["state"], one["epoch"]) for one in events]

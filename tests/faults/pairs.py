"""Pairs of crashes, each in a process of its own that is killed: ``python -m tests.faults.pairs``.

A copy of the package is first on the path; it calls :func:`tests.faults.standins.at` at every crash
point. For each pair a window is run three times: it dies at the first point, its resumption at the
second one, if it still comes there, and the last one is left alone. Then the checker looks.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock import aws, provision
from penstock.aws import Endpoint
from penstock.config import Settings
from penstock.emulator import journal as journals
from penstock.errors import PenstockError
from penstock.ledger.window import Window
from penstock.run.context import Context
from penstock.run.ingest import ingest_pipeline
from penstock.run.places import Places, offline_path, state_folder
from tests.checker import Evidence, Row, Write, check
from tests.faults import evidence as gathering
from tests.faults.runs import NAMES, Line, job_of, ledger_of, pipeline, send_files
from tests.faults.standins import Spark, Table, arm, install

CHUNK_ROWS = 30
PIPELINE = pipeline()
GROUP = PIPELINE.group


def lines(sensors: int) -> list[Line]:
    """Two versions of every sensor."""
    return [
        (f"s{n:05d}", f"2024-01-0{day}T00:00:00Z", 7 * n + day, n / 8)
        for n in range(sensors)
        for day in (1, 2)
    ]


@dataclass(frozen=True)
class Place:
    """Where one pair is tried: a feature group, a lake and a state of its own.

    Args:
        root: Folder.
        name: Of the group on the embedded AWS, and of the catalogue's database.
        endpoint: Of the embedded AWS.
        data: Its folder.
    """

    root: Path
    name: str
    endpoint: Endpoint
    data: Path

    @property
    def settings(self) -> Settings:
        """Of this place; the source is shared."""
        values: dict[str, Any] = {
            "project": "pairs",
            "lake": str(self.root / self.name / "lake"),
            "state": str(self.root / self.name / "state"),
            "aws": {"region": self.endpoint.region},
            "sources": {GROUP.name: {"format": "csv", "path": str(self.root / "readings.csv")}},
            "quality": {"docs": False},
            "online": {"chunk_rows": CHUNK_ROWS},
            "groups": {GROUP.name: {"physical": self.name}},
            "catalog": {"database": self.name.replace("-", "_")},
        }
        return Settings.model_validate(values)

    def context(self) -> Context:
        """On stand-ins."""
        spark: Any = Spark()
        return Context(lambda: spark, self.endpoint, self.settings, self.root)

    def run(self, point: str | None) -> int:
        """Run the window in a process that dies at a point; its exit code, or minus the signal."""
        child = os.fork()
        if child == 0:
            self._live(point)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)

    def _live(self, point: str | None) -> None:
        code = 1
        try:
            arm(point)
            ingest_pipeline(self.context(), PIPELINE, Window())
            code = 0
        except PenstockError as error:
            code = error.exit_code
            traceback.print_exception(error)
        except BaseException as error:  # noqa: BLE001 - this process has nobody else to tell
            traceback.print_exception(error)
        finally:
            sys.stderr.flush()
            os._exit(code)

    def found(self, taken: Sequence[Line], after: int) -> str:
        """What is wrong in the end; nothing where it is empty."""
        places = Places(state_folder(self.settings), GROUP.name, Window())
        manifest = json.loads(Path(places.manifest(0)).read_bytes())
        files, results = send_files(places, 0, manifest)
        sent = gathering.of_send_files(job_of(GROUP, results, CHUNK_ROWS), files)
        shape = gathering.shape_of(job_of(GROUP, "", 1))
        stored = Table(offline_path(self.settings, GROUP.name), GROUP).rows()
        evidence = Evidence(
            rows=[shape.row(dict(zip(NAMES, one, strict=True)), str(one[:2])) for one in taken],
            sent=sent.sent,
            answered=sent.answered,
            dead=sent.dead,
            journal=self._journal(after),
            online=self._online(),
            figures=sent.figures,
            offline=[shape.row(one) for one in stored],
            ledger=ledger_of(places.journal(0)),
        )
        said = str(check(evidence, floor=len(taken) // 2))
        if len({one["api"] for one in stored}) != 1 or len({one["write"] for one in stored}) != 1:
            said += " more than one api_invocation_time or write_time"
        if evidence.ledger[-1][0] != "DONE":
            said += f" the ledger ends in {evidence.ledger[-1]}"
        glue = aws.client(self.endpoint, "glue")
        tables = glue.get_tables(DatabaseName=self.settings.catalog.database)["TableList"]
        return said if len(tables) == 1 else f"{said} {len(tables)} tables are registered"

    def _journal(self, after: int) -> list[Write]:
        return [
            Write(one.identifier, one.event_time, one.payload_hash, one.operation, one.applied)
            for one in journals.read(self.data, after)
            if one.group == self.name
        ]

    def _online(self) -> dict[str, Row]:
        runtime = aws.client(self.endpoint, "sagemaker-featurestore-runtime")
        job = job_of(GROUP, "", 1)
        return gathering.online(runtime, type(job)(**{**job.__dict__, "group": self.name}))


def tried(place: Place, first: str, second: str, taken: Sequence[Line]) -> dict[str, Any]:
    """What came of a pair: exit codes of the three runs, and what is wrong."""
    sagemaker, glue = (aws.client(place.endpoint, one) for one in ("sagemaker", "glue"))
    provision.provision(sagemaker, glue, GROUP, place.settings)
    after = len(journals.read(place.data))
    codes = [place.run(one) for one in (first, second, None)]
    wrong = "" if codes[2] else place.found(taken, after)
    sagemaker.delete_feature_group(FeatureGroupName=place.name)  # an account has room for 100
    return {"pair": [first, second], "codes": codes, "wrong": wrong}


def main() -> None:
    """Arguments: a folder, region, URL, credentials and data of the AWS, sensors, pairs as JSON."""
    root, region, url, credentials, data, sensors, pairs = sys.argv[1:]
    taken = lines(int(sensors))
    text = "".join(f"{a},{b},{c},{d!r}\n" for a, b, c, d in taken)
    (Path(root) / "readings.csv").write_text(",".join(NAMES) + "\n" + text, encoding="utf-8")
    install()
    for first, second in json.loads(pairs):
        endpoint = Endpoint(region, url, credentials)
        place = Place(Path(root), f"pair-{first}-{second}", endpoint, Path(data))
        print(json.dumps(tried(place, first, second, taken)), flush=True)  # noqa: T201 - its answer


if __name__ == "__main__":
    signal.alarm(3_600)  # a bound of its own, should nobody be left to end it
    main()

"""A small project whose AWS, and maybe whose Spark, live on when its driver is killed.

AWS is in the test's own process and keeps a journal, so the checker sees every write there was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from penstock import aws
from penstock.emulator import journal as journals
from penstock.emulator.server import Emulator
from penstock.ledger.window import Window
from penstock.run.places import Places
from tests.checker import Evidence, Row, assure
from tests.faults import evidence as gathering
from tests.faults.runs import NAMES, Line, job_of, ledger_of, pipeline, send_files
from tests.flow.project import Small, make

FEATURES = pipeline().group


@dataclass
class Outside:
    """The project and its AWS.

    Args:
        small: The project.
        emulator: Its AWS; data in ``folder``.
        folder: Of the AWS.
        lines: All rows of its source.
        windows: Those it is run by.
    """

    small: Small
    emulator: Emulator
    folder: Path
    lines: Sequence[Line]
    windows: Sequence[Window] = (Window(),)

    def places(self, window: Window) -> Places:
        """Where a window lies."""
        return Places(str(self.small.state), FEATURES.name, window)

    def ledger(self, window: Window) -> list[tuple[str, int]]:
        """States and epochs of a window's events; none where nobody has begun."""
        return ledger_of(self.places(window).journal(0))

    @property
    def writes(self) -> int:
        """Records the service has taken so far, repeated ones too."""
        return sum(one.taken for one in gathering.journal(self.folder, FEATURES.name))

    @property
    def repeated(self) -> int:
        """Of these, those it had taken before."""
        taken = [one for one in gathering.journal(self.folder, FEATURES.name) if one.taken]
        return len(taken) - len({(one.identifier, one.event_time) for one in taken})

    def acknowledged(self, rows: int) -> bool:
        """Whether so many rows are with the service."""
        time.sleep(0.05)  # the AWS is in this process, and has to work as well
        return len(journals.read(self.folder, rows - 1)) > 0

    def evidence(self) -> Evidence:
        """What there is after all windows are done."""
        sent = [self._sent(one) for one in self.windows]
        shape = gathering.shape_of(job_of(FEATURES, "", 1))
        table = DeltaTable(str(self.small.lake / "offline" / FEATURES.name)).to_pyarrow_table()
        emulator = self.emulator
        endpoint = aws.Endpoint(emulator.region, emulator.url, str(emulator.credentials_file))
        runtime = aws.client(endpoint, "sagemaker-featurestore-runtime")
        names = ("sent", "accepted", "skipped", "rejected")
        return Evidence(
            rows=[
                shape.row(dict(zip(NAMES, one, strict=True)), str(n))
                for n, one in enumerate(self.lines)
            ],
            sent=[row for one in sent for row in one.sent],
            answered=[row for one in sent for row in one.answered],
            dead=[row for one in sent for row in one.dead],
            journal=gathering.journal(self.folder, FEATURES.name),
            online=gathering.online(runtime, job_of(FEATURES, "", 1)),
            figures={name: sum(one.figures.get(name, 0) for one in sent) for name in names},
            offline=[shape.row(one) for one in table.to_pylist()],
            before=[row for one in self.windows for row in self._candidates(one)],
        )

    def assure(self, floor: int) -> None:
        """Nothing lost, nothing twice, online the newest; each window one commit, and DONE."""
        assure(self.evidence(), floor=floor)
        assert self.small.write_times() == len(self.windows)
        for one in self.windows:
            assure(Evidence((), (), (), (), (), {}, {}, ledger=self.ledger(one)))
            assert self.ledger(one)[-1][0] == "DONE"

    def _sent(self, window: Window) -> gathering.Sent:
        places, manifest = self.places(window), self._manifest(window)
        files, results = send_files(places, 0, manifest)
        return gathering.of_send_files(job_of(FEATURES, results, manifest["chunk_rows"]), files)

    def _candidates(self, window: Window) -> list[Row]:
        """A selection that was made anew may leave out what was sent before."""
        files = [one["path"] for one in self._manifest(window)["staged"]["send"]]
        return gathering.of_send_files(job_of(FEATURES, "", 1_000_000), files).sent

    def _manifest(self, window: Window) -> Any:
        return json.loads(Path(self.places(window).manifest(0)).read_bytes())


def outside(
    root: Path,
    emulator: Emulator,
    folder: Path,
    lines: Sequence[Line],
    settings: Mapping[str, str] | None = None,
    path: tuple[Path, ...] = (),
    windows: Sequence[Window] = (Window(),),
) -> Outside:
    """Write the project, with its feature group.

    Args:
        root: Its folder.
        emulator: Its AWS.
        folder: Data of the AWS.
        lines: Rows of its source.
        settings: Of Spark, laid over those of a local session; ``master`` is the master.
        path: Folders that Python looks into first.
        windows: Those it is run by.
    """
    small = make(root, 1, path)
    for one in (root / "data").iterdir():
        one.unlink()
    text = "".join(f"{a},{b},{c},{d!r}\n" for a, b, c, d in lines)
    (root / "data" / "all.csv").write_text(",".join(NAMES) + "\n" + text, encoding="utf-8")
    conf = root / "conf" / "local.yaml"
    here = f"aws: {{region: {emulator.region}, endpoint_url: {emulator.url}}}"
    text = conf.read_text(encoding="utf-8")
    text = text.replace("aws: {embedded: true, region: us-east-1}", here)
    others = dict(settings or {})
    text = text.replace("master: local[2]", f"master: {others.pop('master', 'local[2]')}")
    text += "".join(f"    {key}: {json.dumps(value)}\n" for key, value in others.items())
    conf.write_text(text, encoding="utf-8")
    schema = root / "schemas" / "readings.py"
    text = schema.read_text(encoding="utf-8")
    timed = text.replace("Source(\n", 'Source(\n            time="at",\n')
    schema.write_text(timed, encoding="utf-8")
    env = {"AWS_SHARED_CREDENTIALS_FILE": str(emulator.credentials_file)}
    made = Outside(replace(small, env=env), emulator, folder, lines, windows)
    answer = made.small.run("provision")
    assert answer.code == 0, answer
    return made

"""The ledger's commands, and how long ``status`` and ``plan`` take on a large one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from penstock.cli.program import run
from penstock.ledger.journal import State
from penstock.project import load_project
from tests import ledgers
from tests.flow.project import GROUP, make
from tests.ledgers import hours, month, snapshot_of

pytestmark = pytest.mark.usefixtures("own_project")
FIRST = datetime(2013, 1, 1, tzinfo=timezone.utc)
LIVE = 50
STATES = (State.DONE, State.GATED, State.STAGED, State.CLAIMED)
#: A plan that counts nothing, by the engine; it starts no Spark. Words: folder, start, end, size.
_PLAN = """
import sys
from pathlib import Path
from penstock import aws, config
from penstock.backfill.plan import Range
from penstock.backfill.planning import planned
from penstock.project import load_project
from penstock.run.context import Context
root = Path(sys.argv[1])
settings = config.load(root / "conf", "local", {"state": str(root / ".penstock" / "state")})
context = Context(lambda: sys.exit("Spark"), aws.Endpoint("us-east-1"), settings, root)
pipeline = load_project(root).pipeline("readings")
asked = Range(*sys.argv[2:])
sys.stdout.buffer.write(planned(context, pipeline, asked, count=False).encoded())
"""
_STATUS = "from penstock.cli import main; main()"


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``verify`` ends with 70 and names the file, ``rebuild`` says what it did."""
    make(tmp_path, 3)
    words = ["--project", str(tmp_path)]
    assert run(["ledger", "verify", *words]) == 0
    assert "Nothing is damaged." in capsys.readouterr().out
    event = tmp_path / ".penstock/state/ledger/readings/all/0000/000001.json"
    event.parent.mkdir(parents=True)
    event.write_text("{}", encoding="ascii")
    assert run(["ledger", "verify", *words]) == 70
    assert str(event) in capsys.readouterr().out
    assert run(["ledger", "verify", *words, "--json"]) == 70
    assert [one["window"] for one in json.loads(capsys.readouterr().out)] == ["all"]
    assert run(["ledger", "compact", *words, "--older-than", "0m"]) == 70
    assert run(["ledger", "compact", *words, "--older-than", "soon"]) == 2
    assert run(["ledger", "rebuild", "readings", *words, "--window", "2013"]) == 2
    capsys.readouterr()
    assert run(["ledger", "rebuild", "readings", *words]) == 0
    assert "nothing proves it; the window is missing" in capsys.readouterr().out
    assert run(["ledger", "compact", *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["whole"] == 0


def test_the_collection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Says what went, what stayed and why; as long as ``conf`` or the option says; 70 on damage."""
    make(tmp_path, 3)
    words = ["--project", str(tmp_path)]
    ledger = ledgers.Ledger(tmp_path / ".penstock")
    now, files = datetime.now(timezone.utc), []
    for number, age in enumerate((8, 6), 1):
        one = month(number)
        ledger.write(one, State.DONE, at=now - timedelta(days=age))
        files.append(Path(ledger.places(one).staged(0, 1)) / "rows-0.parquet")
        files[-1].parent.mkdir(parents=True)
        files[-1].write_bytes(b"12345")

    def collect(*more: str) -> str:
        assert run(["ledger", "collect", *words, *more]) == 0
        said = capsys.readouterr()
        return said.out + said.err

    def rows(text: str) -> list[list[str]]:
        return [line.split() for line in text.splitlines() if line.strip().startswith(GROUP)]

    young = [GROUP, *["kept:", "not", "DONE", "for", "long", "enough"], "1", "1", "5"]
    told = rows(collect("--dry-run"))
    assert told == [[GROUP, *["would", "be", "removed"], "1", "1", "5"], young]
    assert all(one.exists() for one in files)
    assert "ledger.collect_after is never" in collect("--set", "ledger.collect_after=never")
    assert rows(collect("--set", "ledger.collect_after=9d"))[0][2:] == ["0", "0", "0"]
    assert all(one.exists() for one in files)
    assert rows(collect()) == [[GROUP, "removed", "1", "1", "5"], young]
    assert [one.exists() for one in files] == [False, True]
    (found,) = json.loads(collect("--older-than", "12h", "--json", GROUP))
    assert found["taken"] == {"windows": 1, "files": 1, "bytes": 5}
    assert found["kept"] == {}
    assert run(["ledger", "collect", *words, "--older-than", "soon"]) == 2
    files[0].parent.mkdir(parents=True)
    files[0].write_bytes(b"12345")
    event = Path(ledger.places(month(1)).journal(0)) / "000002.json"
    event.write_text("{}", encoding="ascii")
    capsys.readouterr()
    assert run(["ledger", "collect", *words]) == 70
    assert str(event) in capsys.readouterr().out
    assert files[0].exists()


@pytest.mark.shows("5.7")
@pytest.mark.parametrize(
    ("windows", "limit_s"), [(2_000, 5.0), pytest.param(100_000, 5.0, marks=pytest.mark.prove)]
)
def test_status_and_plan_of_a_large_ledger_are_quick(
    tmp_path: Path, windows: int, limit_s: float
) -> None:
    """Cold, in processes of their own: 5 s of hourly windows over 11 years; figures are right.

    All but 50 are compacted; of these some are done, failed, interrupted, not begun. Where the
    machine has other things to do, what counts is the processor's time.
    """
    make(tmp_path, 5)
    meaning = load_project(tmp_path).pipeline(GROUP).meaning
    whole = hours(windows, FIRST)
    ledger = ledgers.Ledger(tmp_path / ".penstock")
    snapshot_of(ledger.ours(), whole[:-LIVE], meaning)
    for n, one in enumerate(whole[-LIVE:]):
        assert one.end is not None
        at = one.end + timedelta(hours=1)
        if n % 10 and STATES[n % 4] is State.DONE:
            ledger.write(one, State.DONE, at=at, meaning=meaning)
        elif n % 10:
            ledger.write(one, STATES[n % 4], at=at)
    end = f"{whole[-1].end:%Y-%m-%dT%H:%M:%SZ}"
    out = _timed(tmp_path, limit_s, _STATUS, "status", GROUP, "--json", "--project", str(tmp_path))
    rows = json.loads(out)
    standings = {one: sum(row["standing"] == one for row in rows) for one in _STANDINGS}
    assert standings == {"done": windows - 40, "failed": 13, "interrupted": 22, "missing": 5}
    assert {row["data"]["meaning"] for row in rows if row["state"] == "DONE"} == {meaning}
    out = _timed(tmp_path, limit_s, _PLAN, str(tmp_path), "2013-01-01", end, "hour")
    plan = json.loads(out)
    assert len(plan["windows"]) == windows
    assert sum(one["action"] != "leave" for one in plan["windows"]) == 40
    # Cut otherwise, nearly every window has to look for those it shares time with.
    out = _timed(tmp_path, limit_s, _PLAN, str(tmp_path), "2013-01-01", end, "day")
    acting = [one for one in json.loads(out)["windows"] if one["action"] != "leave"]
    assert {one["standing"] for one in acting} == {"missing"}


_STANDINGS = ("done", "failed", "interrupted", "missing")


def _timed(root: Path, limit_s: float, code: str, *words: str) -> bytes:
    """Output of a process that must not take longer; of a busy machine its processor's time."""
    folders = [str(Path(ledgers.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))}
    before, began = os.times(), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=root,
        env=environment,
        capture_output=True,
        check=False,
        timeout=120,
    )
    wall, after = time.monotonic() - began, os.times()
    used = sum(after[2:4]) - sum(before[2:4])  # of children
    assert done.returncode == 0, done.stderr.decode()
    told = f"{wall:.1f} s, of these {used:.1f} s of processor time: {words}"
    sys.stderr.write(f"{told}\n")
    assert min(wall, used) <= limit_s, told
    return done.stdout

"""What a Python worker of Spark drops between two tasks, and what it keeps."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

SCRIPT = """
import gc, json, sys
from zipimport import zipimporter
sys.path.insert(0, sys.argv[1])
import first
from penstock.worker import settled

def finders():
    return sum(isinstance(one, zipimporter) for one in sys.path_importer_cache.values())

def work(items):
    for item in items:
        yield item + 1

seen, made, kept = [finders()], [], []
for n in range(2):
    made.append(list(settled(work)([n])))
    seen.append(finders())
    kept.append(gc.get_freeze_count())
    garbage = [[] for _ in range(1000)]
import second
print(json.dumps({"finders": seen, "made": made, "kept": kept, "second": second.VALUE}))
"""


def test_archives_are_not_read_again_and_import_as_before(tmp_path: Path) -> None:
    """No finder of an archive is left, what is loaded is frozen once, and imports go on."""
    archive = tmp_path / "some.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("first.py", "")
        file.writestr("second.py", "VALUE = 2")
    command = [sys.executable, "-c", SCRIPT, str(archive)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    found = json.loads(done.stdout)
    assert found["finders"] == [1, 0, 0]
    assert found["made"] == [[1], [2]]
    assert found["kept"][0] == found["kept"][1] > 0
    assert found["second"] == 2

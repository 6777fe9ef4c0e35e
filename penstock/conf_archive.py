"""``conf/`` from inside an archive of code: where a job was shipped, there may be no such folder.

``--py-files`` and Glue's ``--extra-py-files`` put archives on the import path; the one that holds
``conf/base.yaml`` is the project's.
"""

from __future__ import annotations

import atexit
import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

_FILE = re.compile(r"conf/[A-Za-z0-9_.-]+\.yaml")


def conf_folder(root: Path) -> Path:
    """The project's ``conf``; where there is none, that of an archive on the import path.

    What an archive holds is unpacked into a temporary folder, which goes with the process. The
    folder may still be missing: whoever reads it says so.
    """
    folder = root / "conf"
    if folder.is_dir():
        return folder
    return next((found for one in sys.path if (found := _unpacked(one)) is not None), folder)


def _unpacked(place: str) -> Path | None:
    if not Path(place).is_file() or not zipfile.is_zipfile(place):
        return None
    with zipfile.ZipFile(place) as archive:
        names = [one for one in archive.namelist() if _FILE.fullmatch(one)]
        if "conf/base.yaml" not in names:
            return None
        target = tempfile.mkdtemp(prefix="penstock-conf-")
        atexit.register(shutil.rmtree, target, ignore_errors=True)
        archive.extractall(target, names)
    return Path(target) / "conf"

"""Files of the project from inside an archive of code: where a job was shipped, there is no folder.

``--py-files`` and Glue's ``--extra-py-files`` put archives on the import path; the one that holds
``conf/base.yaml``, or the flow that is asked for, is the project's.
"""

from __future__ import annotations

import atexit
import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

_CONF = re.compile(r"conf/[A-Za-z0-9_.-]+\.yaml")


def conf_folder(root: Path) -> Path:
    """The project's ``conf``; where there is none, that of an archive on the import path.

    What an archive holds is unpacked into a temporary folder, which goes with the process. The
    folder may still be missing: whoever reads it says so.
    """
    folder = root / "conf"
    if folder.is_dir():
        return folder
    return (_unpacked("conf/base.yaml", _CONF) or folder / "base.yaml").parent


def flow_file(path: Path) -> Path:
    """A flow's file; where it is not there, that of an archive, with what stands beside it.

    It may still be missing, as :func:`conf_folder` says.
    """
    if path.exists() or path.is_absolute():
        return path
    return _unpacked(path.as_posix(), re.compile(re.escape(path.parent.as_posix()) + "/.+")) or path


def _unpacked(wanted: str, files: re.Pattern[str]) -> Path | None:
    """A member of the first archive that has it; members that match come along."""
    for place in sys.path:
        if not Path(place).is_file() or not zipfile.is_zipfile(place):
            continue
        with zipfile.ZipFile(place) as archive:
            names = [one for one in archive.namelist() if files.fullmatch(one)]
            if wanted not in names:
                continue
            target = tempfile.mkdtemp(prefix="penstock-conf-")
            atexit.register(shutil.rmtree, target, ignore_errors=True)
            archive.extractall(target, names)
            return Path(target) / wanted
    return None

"""What ``make dist`` builds, and interpreters with chosen packages only: no checkout of ours."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Of the caller's environment only what a program needs to run at all, and proxies and caches.
_KEPT = ("PATH", "HOME", "JAVA_HOME", "TMPDIR", "LANG", "SSL_CERT_FILE", "MAVEN_OPTS")


def build(folder: Path) -> Path:
    """``make dist`` into a folder, with this interpreter's environment."""
    ready = f"{sys.prefix}/.ready"
    command = ["make", "-C", str(ROOT), "-o", ready, "dist", f"VENV={sys.prefix}", f"DIST={folder}"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder


def environment(**more: str) -> dict[str, str]:
    """An environment without Python paths, AWS keys or Spark settings."""
    kept = {name: value for name, value in os.environ.items() if _needed(name)}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **more}


def interpreter(folder: Path, packages: Iterable[str]) -> Path:
    """A virtual environment in which exactly these installed distributions can be imported.

    They are linked in one by one, so that neither ``penstock`` nor the path of an editable
    installation comes along.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python3*/site-packages"))
    for name in packages:
        for link in _files(name):
            target = site / link.name
            if not target.exists():
                target.symlink_to(link)
    return folder / "bin" / "python"


def all_packages() -> set[str]:
    """Every installed distribution but ours."""
    found = {_canonical(one.metadata["Name"]) for one in importlib.metadata.distributions()}
    return found - {"penstock"}


def closure(requirements: Iterable[str]) -> set[str]:
    """The installed distributions that unconditional requirements lead to."""
    found: set[str] = set()
    waiting = [_required(one) for one in requirements if "extra ==" not in one]
    while waiting:
        name = waiting.pop()
        if name in found or not _installed(name):
            continue
        found.add(name)
        more = importlib.metadata.requires(name) or []
        waiting += [_required(one) for one in more if "extra ==" not in one]
    return found


def install(wheel: Path, python: Path) -> None:
    """Install a wheel and nothing else."""
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    command += ["--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def run(
    command: list[str], cwd: Path, env: Mapping[str, str], timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; output is captured."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=dict(env),
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )


def _needed(name: str) -> bool:
    return name in _KEPT or name.startswith("PIP_") or name.lower().endswith("_proxy")


def _files(name: str) -> list[Path]:
    """The entries of site-packages that belong to a distribution."""
    there = importlib.metadata.distribution(name)
    tops = {Path(str(one)).parts[0] for one in there.files or []}
    return [Path(str(there.locate_file(top))) for top in tops if top not in {"..", "bin"}]


def _required(text: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", text)
    assert found is not None
    return _canonical(found[0])


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True

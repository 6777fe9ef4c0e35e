"""The libraries of a target as wheels: a wheelhouse, resolved by pip for another machine than this.

Wheels and not a packed virtual environment: that one holds an interpreter, and paths, of the
machine it was made on. Here they are unpacked into one archive that goes on the import path
(EMR), or handed over as they are (Glue's "zip of wheels").
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from penstock.config import Settings
from penstock.contract import FeatureGroup
from penstock.deploy.archive import Artefact, Content, file_digest, packed
from penstock.deploy.runtime import Runtime
from penstock.errors import ConfigError, TemporaryError, UsageError
from penstock.quality import needed

#: What Spark wants of Python where frames go to Python in Arrow's format; targets may lack it.
_SPARK = "pandas>=2.2"
_EXTRA = re.compile(r"""extra == ['"]([a-z]+)['"]""")
#: Folders of a wheel's data that are importable once their content is moved to the top.
_DATA = re.compile(r"[^/]+\.data/(?:purelib|platlib)/(.+)")
_INSTALLED = re.compile(r"[^/]+\.data/")  # scripts, headers: nothing to import


def wheelhouse(
    settings: Settings, root: Path, runtime: Runtime, groups: Iterable[FeatureGroup] = ()
) -> list[Path]:
    """The wheels of all libraries, resolved once: a second call finds them in ``.penstock``.

    Args:
        settings: The configuration.
        root: The project's folder.
        runtime: What they are for.
        groups: Feature groups of the project, whose expectations may need more.

    Raises:
        ConfigError: A folder of wheels was named that is not there or has one that does not fit.
        TemporaryError: pip did not find or get them all; its reason is in the message.
        UsageError: There is no pip in this Python.
    """
    if settings.deploy.wheels is not None:
        return _given(settings, root / settings.deploy.wheels, runtime)
    wanted, pins = requirements(settings, groups), constraints(settings, root, runtime)
    built = settings.deploy.built
    text = "\n".join(
        [*wanted, *built, *(pins.read_text(encoding="utf-8").splitlines() if pins else ())]
    )
    key = hashlib.sha256(f"{runtime}\n{text}".encode()).hexdigest()[:16]
    folder = root / ".penstock" / "deploy" / "wheels" / key
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as name:
            _download(wanted, built, pins, runtime, Path(name) / "whole")
            (Path(name) / "whole").rename(folder)
    return sorted(folder.glob("*.whl"))


def requirements(settings: Settings, groups: Iterable[FeatureGroup] = ()) -> list[str]:
    """What is asked of pip: what penstock's wheel requires, with extras chosen and needed.

    Needed are Great Expectations where a group has expectations over a whole set, and Iceberg's
    library for its format.
    """
    chosen: set[str] = {*settings.deploy.extras}
    if settings.offline.format == "iceberg":
        chosen.add("iceberg")
    if needed(groups):
        chosen.add("quality")
    found = []
    for line in _required():
        name, _, marker = line.partition(";")
        extra = _EXTRA.search(marker)
        if extra is None or extra[1] in chosen:
            found.append(name.strip())
    return [*found, _SPARK, *settings.deploy.packages]


def constraints(settings: Settings, root: Path, runtime: Runtime) -> Path | None:
    """The file of versions: the project's own, or what penstock is tested with on that Spark.

    Raises:
        ConfigError: The project names one that is not there.
    """
    named = settings.deploy.constraints
    if named is not None:
        if not (root / named).is_file():
            where = settings.place("deploy.constraints")
            raise ConfigError(f"{where}: there is no file {named}", "Correct deploy.constraints")
        return root / named
    package, name = Path(__file__).parents[1], f"spark-{runtime.spark}.txt"
    places = (package / "_constraints" / name, package.parent / "constraints" / name)
    return next((one for one in places if one.is_file()), None)


def unpacked(wheels: Sequence[Path], folder: Path) -> Artefact:
    """One archive of all libraries, as they lie on an import path: no interpreter, no scripts."""
    members: dict[str, Content] = {}
    with ExitStack() as stack:
        for wheel in wheels:
            archive = stack.enter_context(zipfile.ZipFile(wheel))
            for inside, place in _importable(archive.namelist()):
                members[place] = functools.partial(archive.read, inside)
        return packed(folder, "libraries.zip", members, file_digest(wheels))


def zip_of_wheels(wheels: Sequence[Path], folder: Path) -> Artefact:
    """The wheels as Glue takes them, from Glue 5.0 on: ``wheels/`` with ``requirements.txt``.

    By the Glue developer guide, "Using Python libraries with AWS Glue", on zips of wheels.
    """
    lines = sorted("==".join(one.name.split("-")[:2]) for one in wheels)
    members: dict[str, Content] = {f"wheels/{one.name}": one.read_bytes for one in wheels}
    members["wheels/requirements.txt"] = "".join(f"{line}\n" for line in lines).encode()
    return packed(folder, "libraries.gluewheels.zip", members, file_digest(wheels))


def differs_here(runtime: Runtime) -> str | None:
    """What of this Python lets pip choose wrongly for the target; None where nothing does.

    pip reads conditions such as ``python_version < "3.12"`` as of the Python it runs in, also
    when it downloads for another (pip's documentation of ``--python-version``).
    """
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not sys.platform.startswith("linux"):
        return f"pip runs on {sys.platform}, the target is Linux"
    if here != runtime.python:
        return f"pip runs in Python {here}, the target has {runtime.python}"
    return None


def _required() -> list[str]:
    try:
        return importlib.metadata.requires("penstock") or []
    except importlib.metadata.PackageNotFoundError:
        message = "penstock is not installed here, so what it needs is not known"
        raise UsageError(message, "Install penstock's wheel with pip") from None


def _given(settings: Settings, folder: Path, runtime: Runtime) -> list[Path]:
    where, found = settings.place("deploy.wheels"), sorted(folder.glob("*.whl"))
    if not found:
        raise ConfigError(f"{where}: there is no wheel in {folder}", "Correct deploy.wheels")
    for one in found:
        if not runtime.takes(one.name):
            message = f"{where}: {one.name} is not for Python {runtime.python} on Linux, "
            raise ConfigError(f"{message}{runtime.architecture}", "Take it out, or get one that is")
    return found


def _download(
    wanted: list[str], built: Sequence[str], pins: Path | None, runtime: Runtime, folder: Path
) -> None:
    command = ["download", "--only-binary=:all:", "--implementation", "cp"]
    command += ["--python-version", runtime.python, "--dest", str(folder)]
    for one in runtime.platforms:
        command += ["--platform", one]
    command += ["--constraint", str(pins)] if pins else []
    if built:
        own = folder.with_name("built")
        _pip(["wheel", "--no-deps", "--wheel-dir", str(own), *built], runtime)
        for wheel in own.glob("*.whl"):
            if not runtime.takes(wheel.name):
                message = f"{wheel.name}, which was built here, is not for Python {runtime.python}"
                raise UsageError(message, "It has compiled code: name a wheel under deploy.wheels")
        command += ["--find-links", str(own)]
    _pip([*command, *wanted, *built], runtime)


def _pip(words: list[str], runtime: Runtime) -> None:
    command = [sys.executable, "-m", "pip", *words, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    if "No module named pip" in done.stderr:
        remedy = f"Run '{sys.executable} -m ensurepip', or name a folder: deploy.wheels"
        raise UsageError("there is no pip in this Python", remedy)
    lines = [one for one in done.stderr.splitlines() if one.startswith("ERROR: ")]
    said = lines[0].removeprefix("ERROR: ") if lines else done.stderr.strip()[-300:]
    raise TemporaryError(
        f"pip did not get the wheels for Python {runtime.python} on {runtime.architecture}: {said}",
        "Mend deploy.packages or deploy.constraints in conf (what has no wheel is deploy.built), "
        "or run the same command again",
    )


def _importable(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Members of a wheel, and where they lie on an import path (binary distribution format)."""
    for inside in names:
        moved = _DATA.fullmatch(inside)
        if inside.endswith("/") or (moved is None and _INSTALLED.match(inside)):
            continue
        yield inside, moved[1] if moved else inside

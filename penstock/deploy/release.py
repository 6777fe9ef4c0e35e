"""What is shipped: the engine, the project, its jobs, and the libraries, each named by its content.

``conf`` travels inside the project's archive, base and the one environment it is deployed for, so
that a job takes the same arguments there and here; other environments' files stay at home.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock.conf_file import adopted_path
from penstock.config import Settings
from penstock.contract import FeatureGroup
from penstock.deploy.archive import Artefact, Content, packed, plain, tree
from penstock.deploy.runtime import Runtime, Target
from penstock.deploy.wheels import unpacked, wheelhouse, zip_of_wheels
from penstock.errors import ConfigError, UsageError

_TEMPLATE = "penstock/_project/"
_PINS = "penstock/_constraints/"


@dataclass(frozen=True)
class Release:
    """The files of a deployment, and where they are at the target.

    Args:
        folder: ``s3://BUCKET/FOLDER`` of all of them.
        engine: penstock itself.
        project: ``schemas``, ``transforms`` and ``conf``.
        libraries: What both import; None where the target's image has it.
        jobs: Scripts by name, without their ending.
    """

    folder: str
    engine: Artefact
    project: Artefact
    libraries: Artefact | None
    jobs: dict[str, Artefact]

    def uri(self, artefact: Artefact) -> str:
        """Where an artefact is at the target."""
        return f"{self.folder}/{artefact.name}"

    @property
    def code(self) -> str:
        """Both archives of code, as ``--py-files`` takes them."""
        return f"{self.uri(self.engine)},{self.uri(self.project)}"

    def __iter__(self) -> Iterator[Artefact]:
        """All of them."""
        yield self.engine
        yield self.project
        if self.libraries is not None:
            yield self.libraries
        yield from self.jobs.values()


def location(settings: Settings) -> str:
    """``deploy.location``, without a slash at its end.

    Raises:
        ConfigError: It is not set.
    """
    found = settings.deploy.location
    if found is None:
        message = "'deploy.location' is not set"
        remedy = "Add 'deploy:' with 'location: s3://BUCKET/FOLDER' to the environment's file"
        raise ConfigError(message, remedy)
    return found.rstrip("/")


def release(
    settings: Settings,
    root: Path,
    conf: Path,
    environment: str,
    target: Target,
    runtime: Runtime,
    groups: Iterable[FeatureGroup] = (),
) -> Release:
    """Make what is shipped, in ``.penstock/deploy`` of the project; what is there is kept.

    Args:
        settings: The configuration.
        root: The project's folder.
        conf: Folder of the configuration.
        environment: Name of the overlay that goes along.
        target: Where to.
        runtime: What runs there.
        groups: Feature groups of the project, whose expectations may need more libraries.

    Raises:
        ConfigError: There is no place to ship to, or wheels that were named do not fit.
        UsageError: This is no project, or files cannot be written.
        TemporaryError: pip did not get the libraries.
    """
    place = f"{location(settings)}/artefacts"
    found = sorted((root / "jobs").glob("*.py")) if (root / "schemas").is_dir() else []
    scripts = [one for one in found if one.stem != "__init__"]
    if not scripts:
        message = f"{root.absolute()} has no schemas/ and jobs/ to deploy"
        raise UsageError(message, "Run it in a project, or name one with --project")
    folder = root / ".penstock" / "deploy"
    return Release(
        place,
        packed(folder, "penstock.zip", _engine()),
        packed(folder, "project.zip", _project(root, conf, environment)),
        _libraries(settings, root, folder, target, runtime, groups),
        {one.stem: plain(folder, one.name, one.read_bytes()) for one in scripts},
    )


def _libraries(
    settings: Settings,
    root: Path,
    folder: Path,
    target: Target,
    runtime: Runtime,
    groups: Iterable[FeatureGroup],
) -> Artefact | None:
    if target == "emr-serverless" and settings.deploy.emr_serverless.image_uri is not None:
        return None
    wheels = wheelhouse(settings, root, runtime, groups)
    return (zip_of_wheels if target == "glue" else unpacked)(wheels, folder)


def _engine() -> dict[str, Content]:
    """The package that runs here, without the template for new projects; and who it is.

    Raises:
        UsageError: It was imported from an archive.
    """
    package = Path(__file__).parents[1]
    if not package.is_dir():
        message = "penstock runs from an archive, which cannot be copied from"
        raise UsageError(message, "Install penstock's wheel with pip")
    members = tree(package, "penstock")
    found = {name: members[name] for name in members if not name.startswith((_TEMPLATE, _PINS))}
    about = importlib.metadata.distribution("penstock")
    metadata = about.read_text("METADATA")
    if metadata is not None:
        found[f"penstock-{about.version}.dist-info/METADATA"] = metadata.encode()
    return found


def _project(root: Path, conf: Path, environment: str) -> dict[str, Content]:
    members: dict[str, Content] = {}
    for part in ("schemas", "transforms"):
        members |= tree(root / part, part)
    files = (conf / "base.yaml", adopted_path(conf, environment), conf / f"{environment}.yaml")
    for one in files:
        if one.is_file():
            members[f"conf/{one.name}"] = one.read_bytes
    if f"conf/{environment}.yaml" not in members:
        raise ConfigError(f"{files[-1]}: no such configuration file", "Name another with --env")
    return members

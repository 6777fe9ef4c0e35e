"""What a target runs: its line of Spark, its Python, its machines; so, which wheels fit it.

From the release guides of EMR and Glue (design facts: where it runs). Both are Amazon Linux 2023,
whose C library is 2.34. Not verified on AWS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from penstock.config import Settings
from penstock.errors import ConfigError

Target = Literal["emr-serverless", "emr", "glue"]
TARGETS: tuple[Target, ...] = ("emr-serverless", "emr", "glue")
#: Glue's version → Spark's line and Python.
_GLUE = {"5.1": ("3.5", "3.11"), "6.0": ("4.1", "3.13")}
#: EMR's release, in its major version → Spark's line.
_EMR = {"7": "3.5", "8": "4.0"}
_LIBC = 34  # of Amazon Linux 2023: glibc 2.34
_LEAST_LIBC = 5
_OLD = ("manylinux2014", "manylinux2010", "manylinux1")
_WHEEL = re.compile(r"[^-]+-[^-]+(?:-\d[^-]*)?-([^-]+)-([^-]+)-([^-]+)\.whl")


@dataclass(frozen=True)
class Runtime:
    """What a target runs.

    Args:
        spark: Line of Spark, such as ``3.5``.
        python: Version of Python, such as ``3.11``.
        architecture: Of the machines, as AWS calls it.
    """

    spark: str
    python: str
    architecture: str

    @property
    def interpreter(self) -> str:
        """Where EMR has this Python."""
        return f"/usr/bin/python{self.python}"

    @property
    def platforms(self) -> list[str]:
        """Tags of the wheels that fit it, the newest first; pip tries each."""
        machine = "aarch64" if self.architecture == "arm64" else "x86_64"
        newer = [f"manylinux_2_{minor}" for minor in range(_LIBC, _LEAST_LIBC - 1, -1)]
        return [f"{one}_{machine}" for one in (*newer, *_OLD)]

    def takes(self, wheel: str) -> bool:
        """Whether a wheel of this file name can be imported there."""
        found = _WHEEL.fullmatch(wheel)
        if found is None:
            return False
        pythons, abis, platforms = (one.split(".") for one in found.groups())
        if not {"any", *self.platforms} & set(platforms):
            return False
        return any(self._speaks(python, abi) for python in pythons for abi in abis)

    def _speaks(self, python: str, abi: str) -> bool:
        own = f"cp{self.python.replace('.', '')}"
        if abi == "none":
            return python in {"py3", own, f"py{own[2:]}"}
        if abi == "abi3":
            minor = python.removeprefix("cp3")
            return minor.isdigit() and int(minor) <= int(self.python.partition(".")[2])
        return (python, abi) == (own, own)


def runtime(settings: Settings, target: Target) -> Runtime:
    """What a target runs, as the environment says it.

    Raises:
        ConfigError: The release is none that penstock knows.
    """
    if target == "glue":
        spark, python = _GLUE[settings.deploy.glue.version]
        return Runtime(spark, python, "x86_64")
    serverless = target == "emr-serverless"
    place = settings.deploy.emr_serverless if serverless else settings.deploy.emr
    major = place.release.replace("spark-", "").removeprefix("emr-").partition(".")[0]
    if major not in _EMR:
        key = f"deploy.{target.replace('-', '_')}.release"
        message = f"{settings.place(key)}: {place.release} is no release that penstock knows"
        raise ConfigError(message, "Name one of emr-7.x.y or emr-spark-8.x.y")
    return Runtime(_EMR[major], place.python, place.architecture)

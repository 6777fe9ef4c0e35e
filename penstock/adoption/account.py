"""The feature groups of an account beside those of a project. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.adoption.finding import Finding, contract_name, finding
from penstock.config import Settings
from penstock.contract import Pipeline
from penstock.errors import UsageError
from penstock.existing import describe, listed

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient


def findings(
    sagemaker: SageMakerClient,
    names: Sequence[str],
    settings: Settings,
    pipelines: Mapping[str, Pipeline],
    root: Path,
    say: Callable[[str], None],
) -> list[Finding]:
    """What would become of the groups of the account, by name.

    Args:
        sagemaker: A SageMaker client.
        names: Names or ARNs; none means all that are listed.
        settings: What ``conf`` says so far.
        pipelines: What the project declares so far, by name.
        root: The project, whose files are never written over.
        say: Gets the name of each group that is looked at.

    Raises:
        UsageError: A group that was named is not there, or there is none at all.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    wanted = [*dict.fromkeys(names)] or listed(sagemaker)
    if not wanted:
        remedy = "Check aws.region, the profile and --env, or make groups with 'penstock provision'"
        raise UsageError("there are no feature groups on this account in this region", remedy)
    known = {(settings.group(name).physical or name).lower(): name for name in pipelines}
    taken = {name.lower() for name in pipelines}
    found = []
    # Names that can stay as they are go first: 'a-b' must not take the name of 'a_b'.
    for physical in sorted(wanted, key=lambda one: (contract_name(one) != one, one)):
        say(physical)
        described = describe(sagemaker, physical)
        if described is None:
            found.append(_absent(physical, named=bool(names)))
            continue
        one = _placed(finding(physical, described, settings, known), taken, root)
        if one.adopted is not None:
            taken.add(one.adopted.group.name.lower())
        found.append(one)
    return sorted(found, key=lambda one: one.physical)


def _absent(physical: str, *, named: bool) -> Finding:
    if named:
        message = f"there is no feature group {physical!r}"
        raise UsageError(message, "Check the name, aws.region, the profile and --env")
    return Finding(physical, "skip", "it was deleted meanwhile")


def _placed(one: Finding, taken: set[str], root: Path) -> Finding:
    """The same, unless its file or name belongs to something else in the project."""
    if one.adopted is None:
        return one
    name = one.adopted.group.name
    if name.lower() in taken:
        return Finding(one.physical, "skip", f"another contract is called {name!r}")
    if (root / one.adopted.path).exists():
        return Finding(one.physical, "skip", f"{one.adopted.path} is there and stays as it is")
    return one

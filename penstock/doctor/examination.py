"""Everything that is looked at, in the order of a first day: machine, project, AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from penstock import aws
from penstock.config import Settings
from penstock.contract import FeatureGroup
from penstock.doctor import machine, permissions, quotas, reach, versions
from penstock.doctor.finding import Finding, looked
from penstock.errors import PenstockError


def examine(settings: Settings, groups: Callable[[], Iterable[FeatureGroup]]) -> list[Finding]:
    """Look at everything a run needs. Writes nothing but a file it removes again.

    Args:
        settings: The configuration.
        groups: Gives the project's feature groups.
    """
    found = [
        *looked("Python", machine.python),
        *looked("Java", machine.java),
        *looked("Spark", versions.spark),
        *looked("Spark's start", versions.start),
        *looked("jars", lambda: versions.jars(settings)),
        *looked("versions", versions.versions),
        *looked("pyarrow", lambda: machine.package("pyarrow", "pip install pyarrow")),
        *looked("deltalake", lambda: machine.package("deltalake", "pip install deltalake")),
        *looked("lake", lambda: machine.place("lake", settings.lake, settings)),
        *looked("state", lambda: machine.place("state", settings.state, settings)),
    ]
    there: list[FeatureGroup] = []

    def project() -> Finding:
        there.extend(groups())
        return Finding("project", ok=True, found=f"{len(there)} feature groups")

    found += looked("project", project)
    found += looked("great_expectations", lambda: machine.great_expectations(there))
    return [*found, *_aws(settings, [one.name for one in there])]


def _aws(settings: Settings, groups: Sequence[str]) -> list[Finding]:
    try:
        with aws.connected(settings) as endpoint:
            return _on_aws(settings, groups, endpoint)
    except PenstockError as error:
        code = 2 if error.exit_code not in (75, 77) else error.exit_code
        return [Finding("credentials", False, error.message, error.remedy, code)]  # noqa: FBT003 - as the others


def _on_aws(settings: Settings, groups: Sequence[str], endpoint: aws.Endpoint) -> list[Finding]:
    found = looked(
        "endpoint", lambda: reach.endpoints([*reach.addresses(settings, endpoint).items()])
    )
    who = reach.caller(endpoint)
    found += looked("credentials", lambda: reach.credentials(who, settings, endpoint))
    found += looked("clock", lambda: reach.clock(who, settings))
    arn = who.arn
    if arn is None:
        remedy = "Mend 'credentials' first"
        return [
            *found,
            Finding("permissions", ok=None, found="not looked at", remedy=remedy),
            Finding("quota of feature groups", ok=None, found="not looked at", remedy=remedy),
        ]
    found += looked("permissions", lambda: permissions.permissions(endpoint, arn, settings, groups))
    return found + looked(
        "quota of feature groups", lambda: quotas.groups(endpoint, settings, groups)
    )

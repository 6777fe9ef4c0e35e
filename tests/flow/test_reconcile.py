"""Both stores beside each other: exactly what was harmed is found, mended, and gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from penstock import aws
from penstock.contract import Column, ColumnType, FeatureGroup, Pipeline, Source
from penstock.errors import DIFFERENT, REPAIRED
from penstock.reconcile.reconciliation import Asked, Difference, Reconciled, reconciled
from tests.lab import Lab
from tests.readings import COLUMNS, GROUP

START = datetime(2024, 1, 1, tzinfo=timezone.utc)
HARMED = 250  # of each kind
SENSORS = 3_000
DELETING = replace(GROUP, deleted_when="gone")
SOURCE = Source((*COLUMNS, Column("share", ColumnType.DOUBLE), Column("gone", ColumnType.BOOLEAN)))


@pytest.mark.shows("9.4")
@pytest.mark.parametrize(
    ("lab", "tier"),
    [
        ("delta", "Standard"),
        pytest.param("iceberg", "Standard_V2", marks=pytest.mark.prove),
        pytest.param("hive", "Standard_V2", marks=pytest.mark.prove),
    ],
    indirect=["lab"],
)
def test_a_thousand_harmed_records_are_found_and_mended(lab: Lab, tier: str) -> None:
    """250 missing, 250 stale, 250 extra and 250 with other values, among three thousand."""
    flags = _flags(tier)
    lab.ingest(Pipeline(DELETING, {"readings": SOURCE}), {"readings": _file(lab)}, **flags)
    before = _all_online(lab)
    assert len(before) == SENSORS - SENSORS // 20
    clean, _ = _reconciled(lab, DELETING, **flags)
    assert (clean.compared, clean.differing, clean.exit_code) == (SENSORS, 0, 0)
    assert clean.kinds == Counter(equal=len(before), deleted=SENSORS // 20)

    harmed = _harm(lab, before)
    found, differences = _reconciled(lab, DELETING, **flags)
    assert {one.identifier: one.kind for one in differences} == harmed
    assert Counter(harmed.values()) == Counter(
        missing=HARMED, stale=HARMED, different=HARMED, extra=SENSORS // 20, unknown=100
    )
    assert {one.features for one in differences if one.kind == "different"} == {"level"}
    assert (found.differing, found.left, found.exit_code) == (1_000, 1_000, DIFFERENT)

    mended, differences = _reconciled(lab, DELETING, repair=True, **flags)
    assert {one.identifier: one.kind for one in differences} == harmed
    assert mended.mended is not None
    assert (mended.differing, mended.left, mended.exit_code) == (1_000, 0, REPAIRED)
    assert _all_online(lab) == before
    again, differences = _reconciled(lab, DELETING, **flags)
    assert (again.kinds, differences, again.exit_code) == (clean.kinds, [], 0)


def _file(lab: Lab) -> Any:
    """Sensors with one to three events each; a twentieth ends with its deletion."""
    lines = ["sensor,at,level,share,gone"]
    for n in range(SENSORS):
        for version in range(1 + n % 3):
            lines.append(f"s{n:05d},{_at(version)},{n + version},{'' if n % 7 else 0.1 * n},")
        if n % 20 == 0:
            lines.append(f"s{n:05d},{_at(5)},,,true")
    file = lab.root / "readings.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def _harm(lab: Lab, online: dict[str, dict[str, str]]) -> dict[str, str]:
    """Harm records as another program would, with boto3; what was done to which."""
    names = sorted(online)
    missing, stale, different = (names[n * HARMED : (n + 1) * HARMED] for n in range(3))
    deleted = [f"s{n:05d}" for n in range(0, SENSORS, 20)]
    unknown = [f"x{n:05d}" for n in range(HARMED - len(deleted))]
    _delete(lab, {one: online[one]["at"] for one in (*missing, *stale, *different)})
    old = "2023-12-31T00:00:00Z"
    _put(lab, ({**online[one], "at": old} for one in stale))
    _put(lab, ({**online[one], "level": "-1"} for one in different))
    _put(lab, ({"sensor": one, "at": _at(4), "level": "1"} for one in (*deleted, *unknown)))
    kinds = {"missing": missing, "stale": stale, "different": different}
    kinds |= {"extra": deleted, "unknown": unknown}
    return {one: kind for kind, some in kinds.items() for one in some}


def _delete(lab: Lab, at: dict[str, str]) -> None:
    """Remove records for good, a second after their event time."""
    runtime = _runtime(lab)

    def delete(one: str) -> None:
        later = datetime.fromisoformat(at[one]) + timedelta(seconds=1)
        runtime.delete_record(
            FeatureGroupName=GROUP.name,
            RecordIdentifierValueAsString=one,
            EventTime=f"{later:%Y-%m-%dT%H:%M:%SZ}",
            DeletionMode="HardDelete",
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(delete, at))


def _put(lab: Lab, records: Iterable[dict[str, str]]) -> None:
    runtime, plain = _runtime(lab), list(records)
    for n in range(0, len(plain), 25):
        entries = [
            {
                "FeatureGroupName": GROUP.name,
                "Record": [{"FeatureName": k, "ValueAsString": v} for k, v in one.items()],
            }
            for one in plain[n : n + 25]
        ]
        answer = runtime.batch_write_record(Entries=entries)
        assert not answer["Errors"]


def _all_online(lab: Lab) -> dict[str, dict[str, str]]:
    """Every record, by boto3."""
    runtime, names = _runtime(lab), lab.online_identifiers(GROUP)
    found = {}
    for n in range(0, len(names), 100):
        some = {
            "FeatureGroupName": GROUP.name,
            "RecordIdentifiersValueAsString": names[n : n + 100],
        }
        for one in runtime.batch_get_record(Identifiers=[some])["Records"]:
            values = {each["FeatureName"]: each["ValueAsString"] for each in one["Record"]}
            found[one["RecordIdentifierValueAsString"]] = values
    return found


def _runtime(lab: Lab) -> Any:
    return aws.client(lab.endpoint, "sagemaker-featurestore-runtime")


def _reconciled(
    lab: Lab, group: FeatureGroup, *, repair: bool = False, **flags: Any
) -> tuple[Reconciled, list[Difference]]:
    asked = Asked(repair=repair, settle_s=0)
    with reconciled(lab.context(lab.settings(**flags)), group, asked) as found:
        return found, list(found.differences())


def _flags(tier: str) -> dict[str, Any]:
    place: dict[str, Any] = {"storage_type": tier}
    return {
        "groups__readings": place,
        "online__deletion": "hard",
        "online__removal_grace_s": 0.2,
    }


def _at(days: int) -> str:
    return f"{START + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"

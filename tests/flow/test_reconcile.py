"""Both stores beside each other: exactly what was harmed is found, mended, and gone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from penstock import aws
from penstock.contract import (
    Column,
    ColumnType,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)
from penstock.emulator import faults
from penstock.errors import DIFFERENT, REPAIRED, UsageError
from penstock.ledger.lease import held
from penstock.ledger.window import Window
from penstock.reconcile.reconciliation import Asked, Difference, Reconciled, reconciled
from penstock.run.ingest import Online, ingest_pipeline
from penstock.storage import LocalStorage
from tests.lab import Lab
from tests.readings import COLUMNS, GROUP
from tests.readings import SOURCE as PLAIN

START = datetime(2024, 1, 1, tzinfo=timezone.utc)
HARMED = 250  # of each kind
SENSORS = 2_000
ROLE = "arn:aws:iam::000000000000:role/feature-store"
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
def test_a_thousand_harmed_records_are_mended_and_never_found_again(lab: Lab, tier: str) -> None:
    """250 missing, 250 stale, 250 extra and 250 with other values, among two thousand."""
    flags = _flags(tier)
    lab.ingest(Pipeline(DELETING, {"readings": SOURCE}), {"readings": _file(lab)}, **flags)
    before = _all_online(lab)
    assert len(before) == SENSORS - SENSORS // 20
    harmed = _harm(lab, before)
    found, differences = _reconciled(lab, DELETING, **flags)
    assert {one.identifier: one.kind for one in differences} == harmed
    assert Counter(harmed.values()) == Counter(
        missing=HARMED, stale=HARMED, different=HARMED, extra=SENSORS // 20, unknown=150
    )
    assert {one.features for one in differences if one.kind == "different"} == {"level"}
    assert (found.differing, found.left, found.exit_code) == (1_000, 1_000, DIFFERENT)

    mended, differences = _reconciled(lab, DELETING, repair=True, **flags)
    assert {one.identifier: one.kind for one in differences} == harmed
    assert mended.mended is not None
    assert (mended.differing, mended.left, mended.exit_code) == (1_000, 0, REPAIRED)
    assert _all_online(lab) == before
    again, differences = _reconciled(lab, DELETING, **flags)
    assert again.kinds == Counter(equal=len(before), deleted=SENSORS // 20)
    assert (again.differing, differences, again.exit_code) == (0, [], 0)


@pytest.mark.prove
def test_what_goes_on_meanwhile_is_no_difference(lab: Lab) -> None:
    """A candidate that is mended before the second look; what is newer while a run is at work."""
    _ingest(lab, f"a,{_at(1)},1,0.5\nb,{_at(1)},2,\n")
    _put(lab, [_record("a", 3, "7"), _record("x", 1, "8")])
    _delete(lab, {"b": _at(1)})
    context = lab.context(lab.settings(**_flags("Standard")))
    returned = replace(context, sleep=lambda _: _put(lab, [_record("b", 1, "2")]))
    lease = f"{lab.root}/state/leases/{GROUP.name}/2024.json"
    with (
        held(LocalStorage(), lease, time.time),
        reconciled(returned, GROUP, Asked(settle_s=7)) as found,
    ):
        assert found.kinds == Counter(equal=1, ahead=1, unknown=1)
        assert (found.differing, found.exit_code) == (0, 0)
        assert "2024 is owned by" in (found.under_way or "")

    mended, differences = _reconciled(lab, GROUP, repair=True, **_flags("Standard"))
    assert sorted((one.identifier, one.kind) for one in differences) == [
        ("a", "ahead"),
        ("x", "unknown"),
    ]
    assert (mended.differing, mended.left, mended.exit_code) == (2, 1, DIFFERENT)
    assert _all_online(lab) == {"a": _record("a", 3, "7"), "b": _record("b", 1, "2")}
    assert not list((lab.root / "state" / "reconcile").rglob("*.parquet"))


@pytest.mark.prove
def test_a_late_row_of_the_offline_store_is_no_difference(lab: Lab) -> None:
    """It is committed between the two looks; an older one that comes late changes nothing."""
    _ingest(lab, f"a,{_at(1)},1,0.5\n")
    _put(lab, [_record("a", 3, "7")])
    more = f"a,{_at(1)},1,0.5\na,{_at(0)},9,\na,{_at(3)},7,\n"
    context = lab.context(lab.settings(**_flags("Standard")))
    late = replace(context, sleep=lambda _: _ingest(lab, more))
    with reconciled(late, GROUP, Asked()) as found:
        assert (found.kinds, found.exit_code) == (Counter(equal=1), 0)


@pytest.mark.prove
@pytest.mark.parametrize("tier", ["Standard", "Standard_V2"])
def test_hard_cases(lab: Lab, tier: str) -> None:
    """Nulls, digits, soft deletions, a deletion nobody knows offline, times to live."""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    ttl = replace(DELETING, ttl=timedelta(days=30))
    fresh = [f"{now - timedelta(days=day):%Y-%m-%dT%H:%M:%SZ}" for day in range(9)]
    flags = {**_flags(tier), "online__deletion": "soft"}
    lines = [
        f"old,{_at(0)},1,,",
        f"null,{fresh[5]},,,",
        f"nulled,{fresh[5]},1,,",
        f"digits,{fresh[5]},1,0.1,",
        f"soft,{fresh[5]},1,,",
        f"soft,{fresh[4]},,,true",
        f"away,{fresh[5]},1,,",
    ]
    _ingest(lab, "\n".join(lines), ttl, **flags)
    clean, _ = _reconciled(lab, ttl, **flags)
    assert clean.kinds == Counter(equal=4, deleted=1, expired=1)

    _runtime(lab).delete_record(
        FeatureGroupName=GROUP.name,
        RecordIdentifierValueAsString="away",
        EventTime=fresh[1],
    )
    _delete(lab, {"nulled": fresh[5], "digits": fresh[5]})
    _put(lab, [{"sensor": "nulled", "at": fresh[5], "level": "1", "share": "0.5"}])
    digits = fresh[5].replace("Z", ".000000000Z")
    _put(lab, [{"sensor": "digits", "at": digits, "level": "1", "share": "0.10"}])
    # At the deletion's own event time: offline the deletion wins.
    _delete(lab, {"soft": fresh[2]})
    _put(lab, [{"sensor": "soft", "at": fresh[4], "level": "1"}])
    mended, differences = _reconciled(lab, ttl, repair=True, **flags)
    assert sorted((one.identifier, one.kind, one.features) for one in differences) == [
        ("away", "missing", None),
        ("nulled", "different", "share"),
        ("soft", "extra", None),
    ]
    assert mended.mended is not None
    assert (mended.mended.left, mended.exit_code) == (Counter(missing=1), DIFFERENT)
    assert sorted(_all_online(lab)) == ["digits", "null", "nulled"]


@pytest.mark.prove
def test_numbers_as_keys(lab: Lab) -> None:
    """Integral identifiers, Fractional event times; another writer's spelling is a record apart."""
    group = replace(
        GROUP,
        features=(
            Feature("sensor", FeatureType.INTEGRAL),
            Feature("at", FeatureType.FRACTIONAL),
            *GROUP.features[2:],
        ),
    )
    columns = "sensor bigint, at double, level bigint, share double"
    frame = lab.spark.createDataFrame(
        [(1, 1.7e9, 1, 0.5), (2, 1.7e9 + 0.25, 2, None), (3, 1.7e9, 3, None)], columns
    )
    lab.ingest_frame(frame, group, **_flags("Standard"))
    runtime = _runtime(lab)
    runtime.delete_record(
        FeatureGroupName=GROUP.name,
        RecordIdentifierValueAsString="3",
        EventTime="1800000000",
        DeletionMode="HardDelete",
    )
    old = {"sensor": "3", "at": "1699999999.75", "level": "3"}
    _put(lab, [old, {**old, "sensor": "07"}, {**old, "sensor": "8"}])
    _, differences = _reconciled(lab, group, **_flags("Standard"))
    assert sorted((one.identifier, one.kind) for one in differences) == [
        ("07", "unknown"),
        ("3", "stale"),
        ("8", "unknown"),
    ]
    mended, _ = _reconciled(lab, group, repair=True, **_flags("Standard"))
    assert mended.mended is not None
    assert mended.mended.left == Counter(unknown=1)
    assert sorted(_all_online(lab)) == ["07", "1", "2", "3"]


@pytest.mark.prove
def test_less_than_all(lab: Lab) -> None:
    """A sample, what was written since, and a service that cannot list: said each time."""
    _ingest(lab, f"a,{_at(1)},1,\nb,{_at(1)},2,\nc,{_at(1)},3,\n")
    between = datetime.now(timezone.utc)
    _ingest(lab, f"a,{_at(1)},1,\nb,{_at(1)},2,\nc,{_at(2)},4,\n")
    _delete(lab, {"a": _at(1), "c": _at(2)})
    _put(lab, [_record("x", 1, "8")])
    context = lab.context(lab.settings(**_flags("Standard")))
    with reconciled(context, GROUP, Asked(since=between, settle_s=0)) as found:
        assert found.kinds == Counter(missing=1)
        assert found.unlisted == "online records cannot be listed by time"
    with reconciled(context, GROUP, Asked(sample=2, settle_s=0)) as found:
        assert found.compared == 2
        assert found.share[0] < 0.5 < found.share[1] <= 1
    with reconciled(context, GROUP, Asked(sample=9, settle_s=0)) as found:
        assert found.kinds == Counter(missing=2, equal=1)
    unknown = faults.Reply("unknown", 404, "{}", "UnknownOperationException")
    lab.emulator.faults.add(faults.Rule(unknown, operation="ListRecords"))
    with reconciled(context, GROUP, Asked(settle_s=0)) as found:
        assert found.kinds == Counter(missing=2, equal=1)
        assert "does not know ListRecords" in (found.unlisted or "")


def test_groups_that_cannot_be_compared_are_refused(lab: Lab) -> None:
    """By name, before anything is read."""
    for place, words in (
        ({"stores": "online"}, "no offline table of penstock's"),
        ({"stores": "offline"}, "no online store"),
        ({"owner": "service", "s3_uri": "s3://b/o", "role_arn": ROLE}, "no offline table"),
    ):
        with pytest.raises(UsageError, match=words):
            _reconciled(lab, GROUP, groups__readings=place)
    with pytest.raises(UsageError, match="there is no feature group 'readings'"):
        _reconciled(lab, GROUP)
    lab.provision(GROUP, lab.settings())
    with pytest.raises(UsageError, match="there is no offline table"):
        _reconciled(lab, GROUP)
    more = replace(GROUP, features=(*GROUP.features, Feature("new", FeatureType.STRING)))
    with pytest.raises(UsageError, match=r"differs: \+ new String"):
        _reconciled(lab, more)
    own = replace(GROUP, ttl_from="keep_s")
    with pytest.raises(UsageError, match="times to live of their own"):
        _reconciled(lab, own, repair=True)


@pytest.mark.prove
def test_what_was_never_sent_is_not_missing(lab: Lab) -> None:
    """A window that was run with --online never is named."""
    _ingest(lab, f"a,{_at(1)},1,\n", online="never")
    with pytest.raises(UsageError, match=r"run with --online never, .*: all") as caught:
        _reconciled(lab, GROUP)
    assert "--online latest" in caught.value.remedy


def _ingest(
    lab: Lab, text: str, group: FeatureGroup = GROUP, online: Online = "latest", **flags: Any
) -> None:
    file = lab.root / "readings.csv"
    gone = ",gone" if group.deleted_when else ""
    file.write_text(f"sensor,at,level,share{gone}\n{text}\n", encoding="utf-8")
    source = SOURCE if gone else PLAIN
    settings = lab.settings({"readings": file}, **(flags or _flags("Standard")))
    lab.provision(group, settings)
    ingest_pipeline(lab.context(settings), Pipeline(group, {"readings": source}), Window(), online)


def _record(sensor: str, days: int, level: str) -> dict[str, str]:
    return {"sensor": sensor, "at": _at(days), "level": level}


def _file(lab: Lab) -> Any:
    """Sensors with one to three events each; a twentieth ends with its deletion."""
    lines = ["sensor,at,level,share,gone"]
    for n in range(SENSORS):
        share = "" if n % 7 else 0.1 * n
        lines += [f"s{n:05d},{_at(day)},{n + day},{share}," for day in range(1 + n % 3)]
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

"""What ``conf`` says about sending reaches the executors, and a proxy is said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from penstock.aws import Endpoint
from penstock.config import Settings
from penstock.contract import Feature, FeatureGroup, FeatureType
from penstock.ledger.journal import Journal
from penstock.ledger.window import Window
from penstock.run.context import Context
from penstock.run.figures import Figures
from penstock.run.manifest import Manifest, read_manifest
from penstock.run.mode import mode_of
from penstock.run.places import Places
from penstock.run.sending import send_job, transport_note
from penstock.run.work import Feed, Work
from penstock.stage.report import Report, Staged
from penstock.storage import LocalStorage

if TYPE_CHECKING:
    from penstock.online import SendJob

GROUP = FeatureGroup(
    name="readings",
    record_identifier="sensor",
    event_time="at",
    features=(Feature("sensor", FeatureType.STRING), Feature("at", FeatureType.STRING)),
)


def _never() -> NoReturn:
    raise AssertionError


def _work(folder: Path, **sections: Any) -> Work:
    settings = Settings.model_validate(
        {"project": "p", "lake": str(folder), "state": str(folder), **sections}
    )
    context = Context(_never, Endpoint("us-east-1", "http://127.0.0.1:9"), settings, folder)
    places = Places(str(folder), GROUP.name, Window())
    mode = mode_of(GROUP, settings, "latest", None)
    manifest = Manifest("run", None, "0", mode, 500, False, Report(), Figures())
    journal = Journal(LocalStorage(), places.journal(0))
    return Work(context, Feed(GROUP, "0"), places, 0, 1, "run", journal, mode, False, 0.0, manifest)


def _job(folder: Path, **sections: Any) -> SendJob:
    return send_job(_work(folder, **sections), 4, "results")


def test_defaults_are_soft_fast_and_online_only(tmp_path: Path) -> None:
    """The operation decides how many calls are under way, the manifest the rows of a chunk."""
    job = _job(tmp_path)
    assert (job.deletion, job.transport, job.in_flight) == ("SoftDelete", "fast", None)
    assert (job.target_stores, job.group) == (("OnlineStore",), "readings")
    assert (job.chunk_rows, job.max_write_units_per_s) == (500, None)


def test_every_setting_of_sending_arrives(tmp_path: Path) -> None:
    """Deletion, transport, limits, shared out over the tasks; physical name; stores."""
    online = {
        "deletion": "hard",
        "transport": "plain",
        "in_flight": 7,
        "api": "put",
        "max_write_units_per_s": 100,
    }
    job = _job(
        tmp_path, online=online, groups={"readings": {"physical": "real", "owner": "service"}}
    )
    assert (job.deletion, job.transport, job.in_flight) == ("HardDelete", "plain", 7)
    assert (job.api, job.max_write_units_per_s, job.group) == ("put", 25.0, "real")
    assert job.target_stores == ("OnlineStore", "OfflineStore")
    offline = {"readings": {"owner": "service", "stores": "offline"}}
    assert _job(tmp_path, groups=offline).target_stores == ("OfflineStore",)


def test_a_manifest_survives_its_json_form(tmp_path: Path) -> None:
    """Mode, files with their phases and figures read back as they were."""
    work = _work(tmp_path, groups={"readings": {"owner": "service"}})
    files = (Staged("a", 3), Staged("b", 1, phase=1))
    made = Manifest(
        run="run",
        pins={"rows": [["path", 1, 2]]},
        meaning="0",
        mode=work.mode,
        chunk_rows=500,
        compare=True,
        staged=Report(rows_in=4, fit=4, send=files),
        figures=Figures(produced=4, valid=4),
        correct="both",
    )
    path = str(tmp_path / "manifest.json")
    LocalStorage().write(path, made.encoded())
    assert read_manifest(LocalStorage(), path) == made


@pytest.mark.parametrize("proxy", [False, True])
def test_a_proxy_in_the_way_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, proxy: bool
) -> None:
    """With one in the environment the plain transport is used, and the person is told."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    if proxy:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:3128")
    said = transport_note(_job(tmp_path))
    assert said == ("there is a proxy in the way: the plain transport is used" if proxy else None)

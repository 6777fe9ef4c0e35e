"""The suite itself: where it runs, that it says so, and that it leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.emulator.server import Emulator
from tests.aws.conftest import VARIABLE
from tests.service.conftest import Aws

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def _run(environment: dict[str, str], *modules: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    # What somebody added to the outer run is not for this one: it may be a list of tests.
    ours = {name: one for name, one in os.environ.items() if name != "PYTEST_ADDOPTS"}
    return subprocess.run(
        [*command, *(str(HERE / name) for name in modules)],
        cwd=ROOT,
        env={**ours, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.shows("4.6")
def test_what_an_account_would_see(tmp_path: Path) -> None:
    """With the variable set it takes the clients' own settings, makes one group and deletes it.

    The account is played by the embedded AWS here; the summary says what was found out.
    """
    with Emulator(tmp_path, journal=True) as emulator:
        done = _run(
            {
                VARIABLE: "1",
                "AWS_ENDPOINT_URL": emulator.url,
                "AWS_DEFAULT_REGION": emulator.region,
                "AWS_ACCESS_KEY_ID": emulator.access_key,
                "AWS_SECRET_ACCESS_KEY": emulator.secret_key,
            },
            "test_conformance.py",
            "test_questions.py",
        )
        aws = Aws(emulator.url, emulator.access_key, emulator.secret_key)
        assert done.returncode == 0, done.stdout[-3_000:]
        assert "conformance suite: a real account" in done.stdout
        assert "an equal event time: ignored" in done.stdout
        assert aws.control.list_feature_groups()["FeatureGroupSummaries"] == []
        groups = {one.group for one in emulator.journal()}
        assert len(groups) == 1
        assert groups.pop().startswith("Penstock-Conformance-")


@pytest.mark.shows("4.6")
def test_without_the_variable_it_says_so() -> None:
    """One line in the summary says that the embedded AWS was used and how to change that."""
    done = _run({VARIABLE: ""}, "test_questions.py")
    assert done.returncode == 0, done.stdout[-3_000:]
    line = f"conformance suite: emulator only; set {VARIABLE}=1 to run it on a real account"
    assert line in done.stdout

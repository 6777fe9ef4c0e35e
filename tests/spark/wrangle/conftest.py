"""Steps mean what they mean without ANSI mode and in UTC: so the session is, as flows run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from penstock.wrangle.running import pinned


@pytest.fixture(autouse=True)
def as_flows_mean_it(request: pytest.FixtureRequest) -> Iterator[None]:
    """Pinned while a test makes plans and runs jobs; tests without a session start none."""
    if "spark" not in request.fixturenames:
        yield
        return
    with pinned(request.getfixturevalue("spark")):
        yield

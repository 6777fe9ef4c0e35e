"""``make matrix``: every supported line of Spark, a wheel alone, and the oldest packages."""

from __future__ import annotations

import pytest

from bench.legs import FLIGHTS, LEGS
from bench.matrix_page import page
from tests.flow.measured import ROOT, measured


@pytest.mark.prove
@pytest.mark.shows("9.3")
def test_the_matrix_is_green() -> None:
    """Every leg that the machine has a Python for ran the flights and the tests, none failed."""
    made = measured("matrix", "matrix.json")
    assert [one["leg"] for one in made["legs"]] == [one.name for one in LEGS]
    for one in made["legs"]:
        if one["state"] == "not run":
            assert one["python"] == "3.13", one
            continue
        assert one["state"] == "passed", one
        assert one["flights"] == dict(FLIGHTS), one
        assert one["tests"]["passed"] > 0, one
        assert not one["tests"].get("failed"), one
    assert (ROOT / "docs" / "matrix.md").read_text() == page(made)

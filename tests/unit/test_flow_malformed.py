"""Whatever a ``.flow`` file holds: it is told, or one line says what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.wrangle import data_wrangler, explaining, linting, stripping

_TEXT = (Path(__file__).parents[1] / "flows" / "claims.flow").read_text(encoding="utf-8")
_PUT: tuple[Any, ...] = (None, 1, -1.5, True, "x", "", [], {}, [1], {"a": 1}, ["x", {}])


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a value can be put, the rows of the report's sample left out."""
    keys = value if isinstance(value, dict) else range(len(value) * isinstance(value, list))
    for key in keys:
        if key != "rows":
            yield (*above, key)
            if isinstance(value[key], (dict, list)):
                yield from _places(value[key], (*above, key))


@given(st.sampled_from([*_places(json.loads(_TEXT))]), st.sampled_from(_PUT))
def test_another_value_anywhere(place: tuple[Any, ...], value: Any) -> None:
    """No error but one for people."""
    document = json.loads(_TEXT)
    part = document
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    with suppress(UsageError):
        flow = data_wrangler.of(document, "claims.flow")
        assert explaining.recipe(flow)
        linting.lint(flow)
    with suppress(UsageError):
        stripped, _ = stripping.strip(document, "claims.flow", states=True)
        assert len(stripped["nodes"]) == len(document["nodes"])

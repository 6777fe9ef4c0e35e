"""What conf says of a stream is refused where it cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from penstock.conf_streams import Stream

KAFKA: dict[str, Any] = {"servers": "a:9092", "topics": ["flights"]}


def stream(columns: dict[str, str], **kafka: Any) -> Stream:
    """Read as from a file."""
    return Stream.model_validate({"kafka": KAFKA | kafka, "columns": columns})


def test_a_column_from_a_header_needs_headers_to_be_read() -> None:
    """They are not read by themselves: the column would be null in every row, and nobody told."""
    with pytest.raises(ValidationError, match=r"from a header, and kafka\.headers is not true"):
        stream({"id": "key", "who": "header:by"})
    assert stream({"who": "header:by"}, headers=True).columns == {"who": "header:by"}


@pytest.mark.parametrize("what", ["key", "timestamp", "deleted", "topic"])
def test_the_rest_of_the_envelope_is_always_there(what: str) -> None:
    """Without headers, and with them."""
    for headers in (False, True):
        assert stream({"c": what}, headers=headers).columns == {"c": what}


@pytest.mark.parametrize("what", ["header:", "header", "Key", "value", "", "offset", "key "])
def test_what_an_event_does_not_have_is_no_column(what: str) -> None:
    """Not even with headers."""
    with pytest.raises(ValidationError, match=r"columns\.c"):
        stream({"c": what}, headers=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("trigger_s", -0.1), ("offline_lag_s", 3_601), ("small_rows", -1), ("colums", {})],
)
def test_a_setting_out_of_range_or_unknown_is_refused(name: str, value: Any) -> None:
    """With its name."""
    with pytest.raises(ValidationError, match=name):
        Stream.model_validate({"kafka": KAFKA, name: value})

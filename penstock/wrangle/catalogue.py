"""Every step there is: by its name in our YAML, and by its place in ``.flow`` files."""

from __future__ import annotations

from functools import cache

from penstock.wrangle.operators import FAMILIES
from penstock.wrangle.step import Step


@cache
def by_kind() -> dict[str, type[Step]]:
    """Steps by their name in our YAML."""
    return {one.kind: one for family in FAMILIES for one in family.STEPS}


@cache
def by_flow() -> dict[tuple[str, str], type[Step]]:
    """Steps by a ``.flow`` operator's family and choice."""
    return {place: one for family in FAMILIES for one in family.STEPS for place in one.flow}

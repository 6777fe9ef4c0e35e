"""Settings that do not fit a step, in our own words."""

from __future__ import annotations

from difflib import get_close_matches

from pydantic import ValidationError

from penstock.errors import UsageError
from penstock.wrangle.step import Step


def misfit(error: ValidationError, step: type[Step]) -> UsageError:
    """What is wrong with a step's settings, of several the first: an unknown one before all.

    A misspelt setting may leave another missing.
    """
    found = error.errors(include_url=False)
    first = min(found, key=lambda one: one["type"] != "extra_forbidden")
    place = ".".join(map(str, first["loc"]))
    told = f"See 'penstock flow steps {step.kind}'"
    if first["type"] == "extra_forbidden":
        near = get_close_matches(place, step.model_fields, 1)
        return UsageError(
            f"unknown setting {place!r}", f"Did you mean {near[0]}?" if near else told
        )
    if first["type"] == "missing":
        return UsageError(f"lacks {place}", told)
    said = first["msg"].removeprefix("Value error, ")
    for word in ("Input should", "String should", "Tuple should", "Value should"):
        said = said.replace(word, "must", 1)
    return UsageError(f"{place}: {said}" if place else said, told)

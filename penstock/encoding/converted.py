"""What a conversion answers, the rules it can find broken, and the layout it works on."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

TYPE = "TYPE"  # not of the declared type
RANGE = "RANGE"  # of the type, but outside of its range
NON_FINITE = "NON_FINITE"  # NaN or infinite
ENCODING = "ENCODING"  # not valid UTF-8
EVENT_TIME = "EVENT_TIME"  # not an instant in an accepted form
FUTURE = "FUTURE"  # later than now plus the tolerance
NULL_KEY = "NULL_KEY"  # identifier or event time is null or empty
OVERSIZE = "OVERSIZE"  # identifier or record too large


@dataclass(frozen=True)
class Converted:
    """Values of one column after conversion.

    Args:
        values: Array of the target type; null where the input is null or unfit.
        rule: String array, null where the value was fit, else the rule it broke.
    """

    values: pa.Array
    rule: pa.Array


def flat(array: pa.Array) -> pa.Array:
    """The same values in Arrow's plain layout: no dictionary, no run, no view, no extension."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return flat(array.storage)
    if pa.types.is_dictionary(kind):
        return flat(array.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return flat(pc.run_end_decode(array))
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pc.cast(array, pa.string())
    return array


def valid_text(text: pa.Array) -> Converted:
    """Spark's strings are bytes and may not be UTF-8; the whole array is checked at once."""
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        checked = [_decoded(one) for one in pc.cast(text, pa.binary()).to_pylist()]
        values = pa.array(checked, pa.string())
        unfit = pc.and_(pc.is_valid(text), pc.is_null(values))
        return Converted(values, rule_where(unfit, ENCODING))
    return all_fit(text)


def all_fit(values: pa.Array) -> Converted:
    """Values none of which breaks a rule."""
    return Converted(values, pa.nulls(len(values), pa.string()))


def none_fit(array: pa.Array, target: pa.DataType, rule: str = TYPE) -> Converted:
    """Nulls of the target type; where there was a value, it breaks the rule."""
    return Converted(pa.nulls(len(array), target), rule_where(pc.is_valid(array), rule))


def where(fits: pa.Array, values: pa.Array, rule: str) -> Converted:
    """Values where they fit; what does not fit breaks the rule, null breaks none."""
    return Converted(pc.if_else(fits, values, None), rule_where(pc.invert(fits), rule))


def judged(sound: Converted, values: pa.Array, rule: str) -> Converted:
    """Values made from sound text: text of which no value came breaks the rule."""
    unfit = pc.and_(pc.is_valid(sound.values), pc.is_null(values))
    return Converted(values, pc.coalesce(sound.rule, rule_where(unfit, rule)))


def rule_where(unfit: pa.Array, rule: str) -> pa.Array:
    """The rule where ``unfit`` is true, null elsewhere."""
    return pc.if_else(
        pc.fill_null(unfit, fill_value=False), pa.scalar(rule), pa.scalar(None, pa.string())
    )


def _decoded(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode("utf-8")
    except UnicodeDecodeError:
        return None

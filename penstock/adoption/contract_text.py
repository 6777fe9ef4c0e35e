"""A contract as the text of a Python module, laid out as ruff's formatter leaves it. Pure.

Names and descriptions come from AWS, so they are data to us: each stands in the text as one string
literal, in the docstring only a name that is checked. Where a line may be too long the call is
written one argument a line with a comma at the end, which the formatter keeps at any width.
"""

from __future__ import annotations

from datetime import timedelta

from penstock.contract import (
    NAME_PATTERN,
    Column,
    ColumnType,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)

_WIDTH = 88  # ruff's default, under ours
_COLUMNS = {
    FeatureType.STRING: ColumnType.STRING,
    FeatureType.INTEGRAL: ColumnType.LONG,
    FeatureType.FRACTIONAL: ColumnType.DOUBLE,
}
_UNITS = (("days", 86_400), ("hours", 3_600), ("minutes", 60))


def passed_through(group: FeatureGroup) -> Pipeline:
    """A pipeline that takes the features as they are from one source, called like the group."""
    columns = tuple(Column(one.name, _COLUMNS[one.type]) for one in group.features)
    return Pipeline(group, {group.name: Source(columns)})


def module(group: FeatureGroup, physical: str) -> str:
    """The module that declares ``group`` and :func:`passed_through` of it.

    Name, description, features' names and types, fraction digits and ttl are written; expectations
    and tags, which AWS does not know, are not.

    Args:
        group: The contract.
        physical: The group's name on AWS, for the docstring.

    Raises:
        ValueError: ``physical`` is no name of a feature group.
    """
    if not NAME_PATTERN.fullmatch(physical):
        raise ValueError(f"{physical!r} is not the name of a feature group")
    columns = passed_through(group).sources[group.name].columns
    parts = (
        _head(group, physical, columns),
        "GROUP = FeatureGroup(",
        *_group(group),
        ")",
        "",
        "PIPELINE = Pipeline(",
        "    group=GROUP,",
        "    sources={",
        f"        {literal(group.name)}: Source(",
        "            columns=(",
        *(_call("Column", _column(one), 16) for one in columns),
        "            ),",
        "        ),",
        "    },",
        ")",
        "",
    )
    return "\n".join(parts)


def literal(text: str) -> str:
    """A string literal that evaluates to ``text``, on one line, in the quotes of the formatter.

    These are double ones, unless single ones need fewer escapes.
    """
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + "".join(_escaped(one, quote) for one in text) + quote


def _escaped(character: str, quote: str) -> str:
    if character in "'\"":
        return f"\\{character}" if character == quote else character
    return repr(character)[1:-1]


def _head(group: FeatureGroup, physical: str, columns: tuple[Column, ...]) -> str:
    used = {"Column", "Feature", "FeatureGroup", "FeatureType", "Pipeline", "Source"}
    if any(one.type is not ColumnType.STRING for one in columns):
        used.add("ColumnType")
    names = "".join(f"    {one},\n" for one in sorted(used))
    duration = "from datetime import timedelta\n\n" if group.ttl is not None else ""
    return (
        f'"""Feature group {physical} on AWS, as `penstock adopt` found it.\n\n'
        "It was made elsewhere. The pipeline takes its features as they are from one source.\n"
        '"""\n\n'
        "from __future__ import annotations\n\n"
        f"{duration}from penstock.contract import (\n{names})\n"
    )


def _group(group: FeatureGroup) -> list[str]:
    """The arguments of the group, a line each or more."""
    lines = [f"    name={literal(group.name)},"]
    if group.description:
        lines.append(f"    description={literal(group.description)},")
    lines += [
        f"    record_identifier={literal(group.record_identifier)},",
        f"    event_time={literal(group.event_time)},",
        "    features=(",
        *(_call("Feature", _feature(one), 8) for one in group.features),
        "    ),",
    ]
    if group.feature(group.event_time).type is FeatureType.STRING:
        lines += [
            "    # As the records there have them: 0, 3, 6 or 9. AWS's description does not tell.",
            f"    fraction_digits={group.fraction_digits},",
        ]
    return lines if group.ttl is None else [*lines, f"    ttl={_duration(group.ttl)},"]


def _feature(feature: Feature) -> tuple[str, ...]:
    return literal(feature.name), f"FeatureType.{feature.type.name}"


def _column(column: Column) -> tuple[str, ...]:
    name = literal(column.name)
    plain = column.type is ColumnType.STRING
    return (name,) if plain else (name, f"ColumnType.{column.type.name}")


def _call(function: str, arguments: tuple[str, ...], indent: int) -> str:
    """A call with a comma after it, on one line where that fits."""
    space = " " * indent
    line = f"{space}{function}({', '.join(arguments)}),"
    if len(line) <= _WIDTH:
        return line
    inner = "".join(f"{space}    {one},\n" for one in arguments)
    return f"{space}{function}(\n{inner}{space}),"


def _duration(ttl: timedelta) -> str:
    seconds = int(ttl.total_seconds())
    unit, size = next((one for one in _UNITS if seconds % one[1] == 0), ("seconds", 1))
    return f"timedelta({unit}={seconds // size})"

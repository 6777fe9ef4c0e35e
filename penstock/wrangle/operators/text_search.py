"""Find, cut out and replace pieces of text: plain functions (facts: wrangler, 4, 'Search/format').

``columns`` names, by column, where the result goes. Patterns are Java's where Spark matches them,
and Python's where the function says so. Null gives null unless it says otherwise.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.columns import at, put


def replace_pattern(
    frame: DataFrame, columns: dict[str, str], pattern: str, replacement: str
) -> DataFrame:
    """Every match replaced; ``$1`` in the replacement is the first group."""
    return put(
        frame,
        {
            new: fn.regexp_replace(at(one).cast("string"), pattern, replacement)
            for one, new in columns.items()
        },
    )


def split_text(frame: DataFrame, columns: dict[str, str], delimiter: str, limit: int) -> DataFrame:
    """Pieces of text, as an array.

    Args:
        frame: Rows.
        columns: Results by column.
        delimiter: Taken as it stands; white space of any length where it is empty.
        limit: Most splits; the rest stays one piece. 0 for no limit.
    """
    import re

    pattern = re.escape(delimiter) if delimiter else r"\s+"
    pieces = limit + 1 if limit else -1
    return put(
        frame,
        {new: fn.split(at(one).cast("string"), pattern, pieces) for one, new in columns.items()},
    )


def find_text(
    frame: DataFrame, columns: dict[str, str], text: str, start: int, end: int | None, *, last: bool
) -> DataFrame:
    """Place of the first or last occurrence, counted from 0; -1 where there is none. Double.

    Args:
        frame: Rows.
        columns: Results by column.
        text: What is looked for.
        start: First place looked at.
        end: Place after the last one looked at; None for the end of the text.
        last: Whether the last occurrence is meant.
    """
    made = {}
    for one, new in columns.items():
        whole = at(one).cast("string")
        size = fn.greatest(
            fn.lit(0), (fn.lit(end) if end is not None else fn.length(whole)) - start
        )
        part = whole.substr(fn.lit(start + 1), size)
        made[new] = _place(part, text, start, last=last).cast("double")
    return put(frame, made)


def _place(part: Column, text: str, start: int, *, last: bool) -> Column:
    if not last:
        first = fn.instr(part, text)
        return fn.when(first == 0, -1).otherwise(first + start - 1)
    back = fn.instr(fn.reverse(part), text[::-1])
    found = fn.length(part) - (back - 1) - len(text) + start
    return fn.when(back == 0, -1).otherwise(found)


def match_start(
    frame: DataFrame, columns: dict[str, str], pattern: str, *, case: bool, null_matches: bool
) -> DataFrame:
    """Whether the beginning of a text matches a pattern of Python's ``re``. Boolean.

    Args:
        frame: Rows.
        columns: Results by column.
        pattern: Of Python's ``re``.
        case: Whether upper and lower case differ.
        null_matches: Whether null counts as a match.
    """
    import re

    def matches(value: str | None) -> bool | None:
        if value is None:
            return True if null_matches else None
        return re.match(pattern, value, 0 if case else re.IGNORECASE) is not None

    test = fn.udf(matches, "boolean", useArrow=False)
    return put(frame, {new: test(at(one).cast("string")) for one, new in columns.items()})


def find_all(frame: DataFrame, columns: dict[str, str], pattern: str) -> DataFrame:
    """All matches of a pattern of Python's ``re``, as an array.

    With one group in the pattern its texts, with several the whole matches.
    """
    import re

    def found(value: str | None) -> list[str] | None:
        if value is None:
            return None
        one_group = re.compile(pattern).groups == 1
        return [match[1 if one_group else 0] for match in re.finditer(pattern, value)]

    every: Any = fn.udf(found, "array<string>", useArrow=False)
    return put(frame, {new: every(at(one).cast("string")) for one, new in columns.items()})


def extract_pattern(
    frame: DataFrame, columns: dict[str, str], pattern: str, group: int
) -> DataFrame:
    """A group of the first match, 0 for all of it; '' where there is no match."""
    return put(
        frame,
        {
            new: fn.regexp_extract(at(one).cast("string"), pattern, group)
            for one, new in columns.items()
        },
    )


def extract_between(frame: DataFrame, columns: dict[str, str], left: str, right: str) -> DataFrame:
    """What is between the first left and the last right delimiter; '' where they are not there."""
    import re

    pattern = f"{re.escape(left)}(.*){re.escape(right)}"
    return extract_pattern(frame, columns, pattern, 1)


def extract_place(
    frame: DataFrame, columns: dict[str, str], position: int, length: int
) -> DataFrame:
    """So many characters from a position on, which is counted from 1."""
    return put(
        frame,
        {
            new: fn.substring(at(one).cast("string"), position, length)
            for one, new in columns.items()
        },
    )


def replace_between(
    frame: DataFrame, columns: dict[str, str], left: str, right: str, replacement: str
) -> DataFrame:
    """What is between the first left and the last right delimiter, replaced; they stay."""
    import re

    pattern = f"{re.escape(left)}.*{re.escape(right)}"
    whole = f"{left}{replacement}{right}".replace("\\", "\\\\").replace("$", "\\$")
    return replace_pattern(frame, columns, pattern, whole)


def replace_place(
    frame: DataFrame, columns: dict[str, str], position: int, length: int, replacement: str
) -> DataFrame:
    """So many characters from a position on, which is counted from 1, replaced."""
    made = {}
    for one, new in columns.items():
        whole = at(one).cast("string")
        rest = whole.substr(fn.lit(position + length), fn.length(whole))
        before = fn.substring(whole, 1, position - 1)
        made[new] = fn.concat(before, fn.lit(replacement), rest)
    return put(frame, made)


def void_matches(
    frame: DataFrame, columns: dict[str, str], pattern: str, *, matching: bool
) -> DataFrame:
    """Null for texts that match a pattern, or for those that do not."""
    made = {}
    for one, new in columns.items():
        whole = at(one).cast("string")
        hit = whole.rlike(pattern)
        made[new] = fn.when(~hit if matching else hit, whole)
    return put(frame, made)

"""Search and edit text (facts: wrangler, 1.2 and 4, 'Search/format')."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Annotated, ClassVar

from pydantic import Field, model_validator
from pyspark.sql import Column, DataFrame

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at
from penstock.wrangle.operators import text_search
from penstock.wrangle.step import Names, Step, chosen, listed, names, output_names


class Edit(Enum):
    """What is done."""

    REPLACE = "replace"
    SPLIT = "split"
    FIND = "find"
    FIND_LAST = "find_last"
    MATCHES = "matches"
    FIND_ALL = "find_all"
    EXTRACT = "extract"
    EXTRACT_BETWEEN = "extract_between"
    EXTRACT_PLACE = "extract_place"
    REPLACE_BETWEEN = "replace_between"
    REPLACE_PLACE = "replace_place"
    VOID_MATCHES = "void_matches"
    VOID_OTHERS = "void_others"


#: As ``.flow`` files name them.
_CHOICES = {
    "Find and replace substring": Edit.REPLACE,
    "Split string by delimiter": Edit.SPLIT,
    "Find substring": Edit.FIND,
    "Find substring (from right)": Edit.FIND_LAST,
    "Matches": Edit.MATCHES,
    "Find all occurrences": Edit.FIND_ALL,
    "Extract using regex": Edit.EXTRACT,
    "Extract between delimiters": Edit.EXTRACT_BETWEEN,
    "Extract from position": Edit.EXTRACT_PLACE,
    "Replace between delimiters": Edit.REPLACE_BETWEEN,
    "Replace from position": Edit.REPLACE_PLACE,
    "Convert regex to missing": Edit.VOID_MATCHES,
    "Convert non-matches to missing": Edit.VOID_OTHERS,
}
_PATTERN = (Edit.REPLACE, Edit.MATCHES, Edit.FIND_ALL, Edit.EXTRACT)
_VOIDS = (Edit.VOID_MATCHES, Edit.VOID_OTHERS)
_BETWEEN = (Edit.EXTRACT_BETWEEN, Edit.REPLACE_BETWEEN)
_PLACES = (Edit.EXTRACT_PLACE, Edit.REPLACE_PLACE)
_FINDS = (Edit.FIND, Edit.FIND_LAST)
#: Settings that are called otherwise in ``.flow`` files.
_RENAMED = {
    "needle": "text",
    "substring": "text",
    "start_index": "start",
    "end_index": "end",
    "index": "group",
    "left_delimiter": "left",
    "right_delimiter": "right",
    "start_position": "position",
}
_SAID = {
    Edit.REPLACE: "Replace {pattern!r} by {replacement!r} in {columns}",
    Edit.SPLIT: "Split {columns} at {delimiter!r}",
    Edit.FIND: "Find the place of {text!r} in {columns}",
    Edit.FIND_LAST: "Find the last place of {text!r} in {columns}",
    Edit.MATCHES: "Say whether {columns} begins with {pattern!r}",
    Edit.FIND_ALL: "Find all of {pattern!r} in {columns}",
    Edit.EXTRACT: "Extract {pattern!r} from {columns}",
    Edit.EXTRACT_BETWEEN: "Extract what is between {left!r} and {right!r} in {columns}",
    Edit.EXTRACT_PLACE: "Extract {length} characters of {columns} from place {position} on",
    Edit.REPLACE_BETWEEN: "Replace what is between {left!r} and {right!r} in {columns} "
    "by {replacement!r}",
    Edit.REPLACE_PLACE: "Replace {length} characters of {columns} from place {position} on "
    "by {replacement!r}",
    Edit.VOID_MATCHES: "Make {columns} missing where it matches {pattern!r}",
    Edit.VOID_OTHERS: "Make {columns} missing where it does not match {pattern!r}",
}
_Count = Annotated[int, Field(ge=0)]


class EditText(Step):
    """Search and edit text.

    Args:
        columns: Which.
        do: What.
        pattern: Regular expression: Java's; Python's with ``matches`` and ``find_all``.
        replacement: What replaces; with ``replace``, ``$1`` is the first group of the pattern.
        delimiter: Of ``split``; white space where it is empty.
        limit: Of ``split``: most splits; 0 for all.
        text: Of ``find`` and ``find_last``: what is looked for.
        start: First place they look at, counted from 0.
        end: Place after the last one they look at.
        case: Of ``matches``: whether upper and lower case differ.
        null_matches: Of ``matches``: whether null counts as a match, as it does in Data Wrangler.
        group: Of ``extract``: which group; 0 for the whole match.
        left: Of ``…_between``: what is before.
        right: What is after.
        position: Of ``…_place``: the first character, counted from 1.
        length: How many characters.
        loose: Of ``void_…``: anchor the pattern as Data Wrangler does: ``a|b`` becomes ``^a|b$``.
        output: Column of the result; a prefix with several columns; in place where it is empty.
    """

    kind: ClassVar[str] = "edit_text"
    flow: ClassVar[tuple[tuple[str, str], ...]] = tuple(
        ("search_and_edit", one) for one in _CHOICES
    )

    columns: Names
    do: Edit
    pattern: str = ""
    replacement: str = ""
    delimiter: str = ""
    limit: _Count = 0
    text: str = ""
    start: _Count = 0
    end: _Count | None = None
    case: bool = True
    null_matches: bool = False
    group: _Count = 0
    left: str = ""
    right: str = ""
    position: Annotated[int, Field(ge=1)] = 1
    length: _Count = 0
    loose: bool = False
    output: str = ""

    @model_validator(mode="after")
    def _complete(self) -> EditText:
        lacking = {
            "pattern": self.do in (*_PATTERN, *_VOIDS) and not self.pattern,
            "text": self.do in _FINDS and not self.text,
            "left and right": self.do in _BETWEEN and not (self.left and self.right),
        }
        for name, lacks in lacking.items():
            if lacks:
                raise ValueError(f"{self.do.value} needs {name}")
        return self

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Of most choices no block was observed: the names are those the facts list."""
        block = chosen(parameters, choice)
        columns, output = names(block.pop("input_column", "")), block.pop("output_column", "")
        settings = {_RENAMED.get(key, key): value for key, value in block.items()}
        wrangler: dict[str, Value] = {"loose": True, "null_matches": True}
        return cls(columns=columns, output=output, do=_CHOICES[choice], **settings, **wrangler)

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        columns = output_names(self.columns, self.output)
        function, settings = self._settings()
        return [Call.of(function, columns=columns, **settings)]

    def _settings(self) -> tuple[Callable[..., DataFrame], dict[str, Value]]:
        pattern, place = {"pattern": self.pattern}, {"position": self.position}
        between = {"left": self.left, "right": self.right}
        replaced = {"replacement": self.replacement}
        found = {"text": self.text, "start": self.start, "end": self.end}
        matched = {**pattern, "case": self.case, "null_matches": self.null_matches}
        length = {"length": self.length}
        whole = f"^{self.pattern}$" if self.loose else f"^(?:{self.pattern})$"
        edits: dict[Edit, tuple[Callable[..., DataFrame], dict[str, Value]]] = {
            Edit.REPLACE: (text_search.replace_pattern, {**pattern, **replaced}),
            Edit.SPLIT: (
                text_search.split_text,
                {"delimiter": self.delimiter, "limit": self.limit},
            ),
            Edit.FIND: (text_search.find_text, {**found, "last": False}),
            Edit.FIND_LAST: (text_search.find_text, {**found, "last": True}),
            Edit.MATCHES: (text_search.match_start, matched),
            Edit.FIND_ALL: (text_search.find_all, pattern),
            Edit.EXTRACT: (text_search.extract_pattern, {**pattern, "group": self.group}),
            Edit.EXTRACT_BETWEEN: (text_search.extract_between, between),
            Edit.EXTRACT_PLACE: (text_search.extract_place, {**place, **length}),
            Edit.REPLACE_BETWEEN: (text_search.replace_between, {**between, **replaced}),
            Edit.REPLACE_PLACE: (text_search.replace_place, {**place, **length, **replaced}),
            Edit.VOID_MATCHES: (text_search.void_matches, {"pattern": whole, "matching": True}),
            Edit.VOID_OTHERS: (text_search.void_matches, {"pattern": whole, "matching": False}),
        }
        return edits[self.do]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Nulls that count as a match."""
        if self.do is not Edit.MATCHES or not self.null_matches:
            return {}
        return {f"nulls of {one} count as a match": at(one).isNull() for one in self.columns}

    def cautions(self) -> Sequence[str]:
        """Alternatives that the anchors do not hold."""
        if self.do in _VOIDS and self.loose and "|" in self.pattern:
            said = f"the pattern is matched as ^{self.pattern}$"
            return (f"{listed(self.columns)}: {said}: not all its alternatives are anchored",)
        return ()

    def sentence(self) -> str:
        """One sentence."""
        settings = {**self.model_dump(), "columns": listed(self.columns)}
        settings["delimiter"] = self.delimiter or "white space"
        return _SAID[self.do].format(**settings)


STEPS: tuple[type[Step], ...] = (EditText,)

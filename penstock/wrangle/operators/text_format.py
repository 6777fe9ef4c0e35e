"""Format text: case, width, what stands around it (facts: wrangler, 1.2 and 4, 'Search/format').

Pads and zeros cut what is wider; white space is Python's, whose ``str`` methods are the definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, ClassVar

from pydantic import Field, model_validator
from pyspark.sql import DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, put
from penstock.wrangle.step import Names, Step, chosen, listed, names, output_names

SYMBOLS = "!@#$%^&*()_+=-/\\`~{}|<>?"


def change_case(frame: DataFrame, columns: dict[str, str], to: str) -> DataFrame:
    """Text in lower or upper case, as Java does it."""
    change = fn.lower if to == "lower" else fn.upper
    return put(frame, {new: change(at(one).cast("string")) for one, new in columns.items()})


def recase(frame: DataFrame, columns: dict[str, str], how: str) -> DataFrame:
    """Text as Python's ``title``, ``capitalize`` or ``swapcase`` gives it."""

    def changed(value: str | None) -> str | None:
        if value is None:
            return None
        made = {"title": value.title, "capitalize": value.capitalize, "swapcase": value.swapcase}
        return made[how]()

    change = fn.udf(changed, "string", useArrow=False)
    return put(frame, {new: change(at(one).cast("string")) for one, new in columns.items()})


def pad_text(
    frame: DataFrame, columns: dict[str, str], side: str, width: int, fill: str
) -> DataFrame:
    """Text of exactly this width: filled up, or cut.

    Args:
        frame: Rows.
        columns: Results by column.
        side: Where it is filled: left, right, or both; of both the extra character goes where
            Python's ``center`` puts it.
        width: In characters.
        fill: One character.
    """
    made = {}
    for one, new in columns.items():
        text = at(one).cast("string")
        if side == "left":
            made[new] = fn.lpad(text, width, fill)
        elif side == "right":
            made[new] = fn.rpad(text, width, fill)
        else:
            lacking = fn.greatest(fn.lit(0), width - fn.length(text))
            odd = (lacking % 2) * (width % 2)
            left = fn.floor(lacking / 2).cast("int") + odd
            before = fn.lit(fill * width).substr(fn.lit(1), left)
            made[new] = fn.rpad(fn.concat(before, text), width, fill)
    return put(frame, made)


def strip_text(frame: DataFrame, columns: dict[str, str], side: str, characters: str) -> DataFrame:
    """Text without these characters, or white space where there are none, at its ends.

    Args:
        frame: Rows.
        columns: Results by column.
        side: left, right or both.
        characters: Each on its own, in any order.
    """

    def stripped(value: str | None) -> str | None:
        if value is None:
            return None
        made = {"left": value.lstrip, "right": value.rstrip, "both": value.strip}
        return made[side](characters or None)

    strip = fn.udf(stripped, "string", useArrow=False)
    return put(frame, {new: strip(at(one).cast("string")) for one, new in columns.items()})


def surround_text(frame: DataFrame, columns: dict[str, str], prefix: str, suffix: str) -> DataFrame:
    """Text with something before and after it; null stays null."""
    return put(
        frame,
        {
            new: fn.concat(fn.lit(prefix), at(one).cast("string"), fn.lit(suffix))
            for one, new in columns.items()
        },
    )


def remove_characters(frame: DataFrame, columns: dict[str, str], characters: str) -> DataFrame:
    """Text without any of these characters."""
    import re

    pattern = f"[{re.escape(characters)}]"
    return put(
        frame,
        {
            new: fn.regexp_replace(at(one).cast("string"), pattern, "")
            for one, new in columns.items()
        },
    )


class Format(Enum):
    """What is done; the values are Data Wrangler's words, in our spelling."""

    LOWER = "lower_case"
    UPPER = "upper_case"
    TITLE = "title_case"
    CAPITALIZE = "capitalize"
    SWAP_CASE = "swap_case"
    LEFT_PAD = "left_pad"
    RIGHT_PAD = "right_pad"
    CENTER = "center"
    STRIP_LEFT = "strip_left"
    STRIP_RIGHT = "strip_right"
    STRIP = "strip"
    PREPEND_ZEROS = "prepend_zeros"
    PREFIX = "add_prefix"
    SUFFIX = "add_suffix"
    REMOVE_SYMBOLS = "remove_symbols"


#: As ``.flow`` files name them.
_CHOICES = {
    "Lower case": Format.LOWER,
    "Upper case": Format.UPPER,
    "Title case": Format.TITLE,
    "Capitalize": Format.CAPITALIZE,
    "Swap case": Format.SWAP_CASE,
    "Left pad": Format.LEFT_PAD,
    "Right pad": Format.RIGHT_PAD,
    "Center (pad on either side)": Format.CENTER,
    "Strip characters from left": Format.STRIP_LEFT,
    "Strip characters from right": Format.STRIP_RIGHT,
    "Strip left and right": Format.STRIP,
    "Prepend zeros": Format.PREPEND_ZEROS,
    "Add prefix": Format.PREFIX,
    "Add suffix": Format.SUFFIX,
    "Remove symbols": Format.REMOVE_SYMBOLS,
}
_RECASED = {Format.TITLE: "title", Format.CAPITALIZE: "capitalize", Format.SWAP_CASE: "swapcase"}
_SIDES = {
    Format.LEFT_PAD: "left",
    Format.RIGHT_PAD: "right",
    Format.CENTER: "both",
    Format.PREPEND_ZEROS: "left",
    Format.STRIP_LEFT: "left",
    Format.STRIP_RIGHT: "right",
    Format.STRIP: "both",
}
_PADS = (Format.LEFT_PAD, Format.RIGHT_PAD, Format.CENTER, Format.PREPEND_ZEROS)
_STRIPS = (Format.STRIP_LEFT, Format.STRIP_RIGHT, Format.STRIP)
_RENAMED = {"fill_character": "fill", "fillchar": "fill", "characters_to_strip": "characters"}


class FormatText(Step):
    """Format text.

    Args:
        columns: Which.
        to: What is done.
        width: Of pads and zeros, in characters.
        fill: Of pads: one character.
        characters: Of strips: which; white space where it is empty.
        prefix: Of ``add_prefix``.
        suffix: Of ``add_suffix``.
        symbols: Of ``remove_symbols``: which characters.
        output: Column of the result; a prefix with several columns; in place where it is empty.
    """

    kind: ClassVar[str] = "format_text"
    flow: ClassVar[tuple[tuple[str, str], ...]] = tuple(("format_string", one) for one in _CHOICES)

    columns: Names
    to: Format
    width: Annotated[int, Field(ge=0, le=1000)] = 0
    fill: Annotated[str, Field(min_length=1, max_length=1)] = " "
    characters: str = ""
    prefix: str = ""
    suffix: str = ""
    symbols: Annotated[str, Field(min_length=1)] = SYMBOLS
    output: str = ""

    @model_validator(mode="after")
    def _complete(self) -> FormatText:
        if self.to in _PADS and not self.width:
            raise ValueError(f"{self.to.value} needs width")
        return self

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Blocks of pads, strips and prefixes were not observed: names as the facts have them."""
        block = chosen(parameters, choice)
        columns, output = names(block.pop("input_column", "")), block.pop("output_column", "")
        settings = {_RENAMED.get(key, key): value for key, value in block.items()}
        return cls(columns=columns, output=output, to=_CHOICES[choice], **settings)

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        columns, side = output_names(self.columns, self.output), _SIDES.get(self.to, "")
        if self.to in (Format.LOWER, Format.UPPER):
            to = "lower" if self.to is Format.LOWER else "upper"
            return [Call.of(change_case, columns=columns, to=to)]
        if self.to in _RECASED:
            return [Call.of(recase, columns=columns, how=_RECASED[self.to])]
        if self.to in _PADS:
            fill = "0" if self.to is Format.PREPEND_ZEROS else self.fill
            return [Call.of(pad_text, columns=columns, side=side, width=self.width, fill=fill)]
        if self.to in _STRIPS:
            return [Call.of(strip_text, columns=columns, side=side, characters=self.characters)]
        if self.to is Format.REMOVE_SYMBOLS:
            return [Call.of(remove_characters, columns=columns, characters=self.symbols)]
        around = {"prefix": "", "suffix": ""}
        around |= {"prefix": self.prefix} if self.to is Format.PREFIX else {"suffix": self.suffix}
        return [Call.of(surround_text, columns=columns, **around)]

    def sentence(self) -> str:
        """One sentence."""
        return f"Format {listed(self.columns)}: {self.to.value.replace('_', ' ')}"


STEPS: tuple[type[Step], ...] = (FormatText,)

"""Counts and shares of a text's characters (facts: wrangler, 4, 'Character statistics')."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, put
from penstock.wrangle.step import Names, Step, chosen, listed, names, output_names

#: What is counted for each share, as Java's regular expressions have it.
SHARES = {
    "special_ratio": r"[^\p{L}\p{N}_\s]",
    "digit_ratio": r"\p{Nd}",
    "lower_ratio": r"\p{javaLowerCase}",
    "capital_ratio": r"\p{javaUpperCase}",
}


def count_of(text: Column, pattern: str) -> Column:
    """How many characters of a text the pattern of one character matches."""
    return fn.length(text) - fn.length(fn.regexp_replace(text, pattern, ""))


def character_statistics(frame: DataFrame, columns: dict[str, str]) -> DataFrame:
    """Words, characters, and shares of the characters that are no white space; null counts as ''.

    ``columns`` are the prefixes of the new columns by column.
    """
    made = {}
    for column, prefix in columns.items():
        text = fn.coalesce(at(column).cast("string"), fn.lit(""))
        words = fn.filter(fn.split(text, r"\s+"), lambda word: word != "")
        made[f"{prefix}_word_count"] = fn.size(words).cast("bigint")
        made[f"{prefix}_char_count"] = fn.length(text).cast("bigint")
        solid = count_of(text, r"\S")
        for name, pattern in SHARES.items():
            share = count_of(text, pattern) / solid
            made[f"{prefix}_{name}"] = fn.when(solid == 0, 0.0).otherwise(share)
    return put(frame, made)


class CharacterStatistics(Step):
    """Count words and characters of text, and the shares of special ones, digits and cases.

    Args:
        columns: Which; null counts as empty text.
        output: Prefix of the new columns, ``<prefix>_word_count``, ``_char_count``,
            ``_special_ratio``, ``_digit_ratio``, ``_lower_ratio``, ``_capital_ratio``; with several
            columns ``<output>_<column>``. Empty: the column and ``_``, so that two stand between.
    """

    kind: ClassVar[str] = "character_statistics"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("featurize_text", "Character statistics"),)

    columns: Names
    output: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Settings of the one block."""
        block = chosen(parameters, choice)
        return cls(columns=names(block.get("input_column")), output=block.get("output_column", ""))

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        own = {one: f"{one}_" for one in self.columns}
        prefixes = output_names(self.columns, self.output) if self.output else own
        return [Call.of(character_statistics, columns=prefixes)]

    def sentence(self) -> str:
        """One sentence."""
        return f"Count words and characters of {listed(self.columns)}"


STEPS: tuple[type[Step], ...] = (CharacterStatistics,)

"""Similar texts as similar numbers: min-hashes of runs of three characters (facts: wrangler, 4).

Text is made lower case, its white space single blanks, with a blank before and after; each run of
three characters is hashed as Spark's HashingTF does, and the set of hashes min-hashed as by Spark's
MinHashLSH. ``California`` and ``Calfornia`` share most of their runs, so most of their min-hashes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle import trained as stored_state
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, keep, put
from penstock.wrangle.step import (
    Names,
    Stale,
    Step,
    check_columns,
    chosen,
    listed,
    names,
    of_vectors,
    output_names,
)

HASH_PRIME = 2038074743  # of Spark's MinHashLSH
_SEED = 0  # any will do; it is fixed so that all fits give the same
_BLOCK = "similarity_encode_parameters"


def runs_of_three(text: Column) -> Column:
    """All runs of three characters of a text that has three."""
    starts = fn.sequence(fn.lit(1), fn.length(text) - 2)
    return fn.transform(starts, lambda start: text.substr(start, fn.lit(3)))


def min_hash(places: Column, factor: int, offset: int) -> Column:
    """The least hash of places, between -1 and 1."""
    hashes = fn.transform(
        places, lambda place: ((place + 1) * fn.lit(factor) + fn.lit(offset)) % fn.lit(HASH_PRIME)
    )
    return fn.array_min(hashes) / fn.lit(2147483647.0) * 2 - 1


def encode_similarity(
    frame: DataFrame,
    columns: dict[str, str],
    factors: dict[str, list[int]],
    offsets: dict[str, list[int]],
    style: str,
    drop: list[str],
) -> DataFrame:
    """Min-hashes of each text, between -1 and 1.

    Args:
        frame: Of which.
        columns: Where results go, by column: a vector, or the prefix of columns.
        factors: Of the hashes, by column.
        offsets: Of the hashes, by column.
        style: ``vector`` or ``columns``.
        drop: Columns that go.
    """
    from pyspark.ml.feature import HashingTF
    from pyspark.ml.functions import array_to_vector

    there, made = frame.columns, {}
    for n, column in enumerate(columns):
        text = fn.lower(fn.coalesce(at(column).cast("string"), fn.lit("")))
        text = fn.regexp_replace(text, "\\s+", " ")
        text = fn.concat(fn.lit(" "), fn.when(text == "", " ").otherwise(text), fn.lit(" "))
        frame = frame.withColumn(f"_runs_{n}", runs_of_three(text))
        hashing = HashingTF(
            inputCol=f"_runs_{n}", outputCol=f"_hashed_{n}", numFeatures=2**18, binary=True
        )
        frame = hashing.transform(frame)
        # The places of a sparse vector can be had from its text alone: (262144,[3,17],[1.0,1.0]).
        written = fn.regexp_extract(at(f"_hashed_{n}").cast("string"), r",(\[[^\]]*\]),", 1)
        frame = frame.withColumn(f"_places_{n}", fn.from_json(written, "array<bigint>"))
    for n, (column, output) in enumerate(columns.items()):
        places = at(f"_places_{n}")
        pairs = zip(factors[column], offsets[column], strict=True)
        hashes = [min_hash(places, factor, offset) for factor, offset in pairs]
        if style == "vector":
            made[output] = array_to_vector(fn.array(*hashes))
        else:
            made |= {f"{output}_{place}": one for place, one in enumerate(hashes)}
    new = [one for one in made if one not in there]
    return keep(put(frame, made), [one for one in [*there, *new] if one not in drop])


class Similarity(Step):
    """Numbers that are near for texts that are.

    Args:
        columns: Which.
        dimension: How many numbers.
        style: ``vector``, or ``columns``: ``<column>_0``, … at the end instead of the column.
        output: The vector's name, or the columns' prefix, after which the column stays; with
            several columns ``<output>_<column>``.
    """

    kind: ClassVar[str] = "similarity"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("encode_categorical", "Similarity encode"),)
    fits: ClassVar[bool] = True

    columns: Names
    dimension: Annotated[int, Field(ge=1, le=1000)] = 30
    style: Literal["columns", "vector"] = "columns"
    output: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Settings of the one block; not seen in public flows."""
        block = chosen(parameters, choice)
        return cls(
            columns=names(block.get("input_column")),
            dimension=block.get("target_dimension", 30),
            style="vector" if block.get("output_style", "Vector") == "Vector" else "columns",
            output=block.get("output_column", ""),
        )

    def fit(self, frame: DataFrame) -> State:
        """Draws the hashes; they are the same for all data. No job."""
        check_columns(self.kind, self.columns, frame.columns)
        return dict.fromkeys(self.columns, coefficients(self.dimension, _SEED))

    def stored(self, trained: Mapping[str, Value], parameters: Mapping[str, Value]) -> State:
        """A MinHashLSHModel for each column. What is hashed goes by the names of the settings."""
        written = chosen(parameters, "Similarity encode")
        found = {}
        for column, block in stored_state.per_column(trained.get(_BLOCK), self.columns).items():
            stored_state.check_hash(block, {"target_dimension": written.get("target_dimension")})
            rows = stored_state.model(block.get("minhash_model")).rows
            numbers = list(rows[0].get("randCoefficients") or []) if rows else []
            if len(numbers) != 2 * self.dimension:
                raise Stale(f"the hashes stored for {column} are not {self.dimension}")
            found[column] = numbers
        return found

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        return [
            Call.of(
                encode_similarity,
                columns=output_names(self.columns, self.output),
                factors={one: list(state[one][::2]) for one in self.columns},
                offsets={one: list(state[one][1::2]) for one in self.columns},
                style=self.style,
                drop=[] if self.output or self.style == "vector" else list(self.columns),
            )
        ]

    def cautions(self) -> list[str]:
        """What makes a vector of little use."""
        return of_vectors(self.style)

    def sentence(self) -> str:
        """One sentence."""
        return f"Encode {listed(self.columns)} by similarity ({self.dimension} numbers)"


def coefficients(tables: int, seed: int) -> list[int]:
    """What Spark's MinHashLSH draws for a seed: factor and offset of each table in turn."""
    numbers = _java_random(seed, HASH_PRIME - 1)
    return [value for _ in range(tables) for value in (1 + next(numbers), next(numbers))]


def _java_random(seed: int, bound: int) -> Iterator[int]:
    """``java.util.Random(seed).nextInt(bound)``, as its documentation defines it."""
    state = (seed ^ 0x5DEECE66D) & (2**48 - 1)
    while True:
        state = (state * 0x5DEECE66D + 0xB) & (2**48 - 1)
        bits = state >> 17
        value = bits % bound
        # Else the last values of the range would come more often.
        if bits - value + bound - 1 < 2**31:
            yield value


STEPS: tuple[type[Step], ...] = (Similarity,)

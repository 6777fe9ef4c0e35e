"""Text as numbers: words counted or hashed, and weighed (facts: wrangler, 1.2 and 4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator
from pyspark.sql import DataFrame
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle import trained as stored_state
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.operators.naming import column_names
from penstock.wrangle.operators.words import count_words, split_words, word_columns, word_vectors
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

_MOST_COLUMNS = 5000  # a plan of more is none that Spark gets done with
_BLOCK = "vectorize_parameters"
#: The nine settings that Data Wrangler hashes, in its order (found by the hash of public flow 26).
_HASHED = (
    "tokenizer",
    "tokenizer_standard_parameters",
    "tokenizer_custom_parameters",
    "vectorizer",
    "vectorizer_count_vectorizer_parameters",
    "vectorizer_hashing_parameters",
    "apply_idf",
    "apply_idf_yes_parameters",
    "apply_idf_no_parameters",
)
#: Settings of blocks, and what we call them. Of the tokenizer and of hashing they are as the
#: documentation words them: they were not seen in public flows.
_CUSTOM = {
    "minimum_token_length": "minimum_length",
    "should_regex_split_on_gaps": "gaps",
    "regex_pattern": "pattern",
    "to_lowercase": "lower",
}
_COUNT = {
    "minimum_term_frequency": "minimum_term_frequency",
    "minimum_document_frequency": "minimum_documents",
    "maximum_document_frequency": "maximum_documents",
    "maximum_vocabulary_size": "vocabulary",
    "binarize_count": "binary",
}
_HASHING = {"number_of_features_during_hashing": "features", "number_of_features": "features"}


class Vectorize(Step):
    """Count the words of text.

    Args:
        columns: Which; null is no text.
        tokenizer: ``standard``: lower case, split at each white space; or ``custom``.
        pattern: Of custom: a regular expression.
        gaps: Of custom: whether the pattern finds what is between words, else the words.
        minimum_length: Of custom: shorter words do not count.
        lower: Of custom: whether text is made lower case first.
        vectorizer: ``count``: a place for each word of a vocabulary, the most frequent first, of
            several as frequent the first in order of text; or ``hashing``.
        minimum_term_frequency: Of count: a word does not count in a row where it is less often than
            this; as a share of the row's words below 1.
        minimum_documents: Of count: rows a word of the vocabulary is in at least; a share below 1.
        maximum_documents: Of count: rows it is in at most; a share below 1.
        vocabulary: Of count: how many words at most.
        binary: Of count: whether a word is there, not how often.
        features: Of hashing: how many places.
        idf: Whether counts are weighed by log((rows + 1) / (rows with the word + 1)).
        idf_documents: In how many rows a word is at least; others weigh nothing.
        style: ``vector``, a sparse one; of count also ``columns``, ``<output>_<word>``.
        output: The vector's name, or the columns' prefix; ``<column>_features`` where it is empty.
    """

    kind: ClassVar[str] = "vectorize"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("featurize_text", "Vectorize"),)
    fits: ClassVar[bool] = True

    columns: Names
    tokenizer: Literal["standard", "custom"] = "standard"
    pattern: str = r"\s+"
    gaps: bool = True
    minimum_length: Annotated[int, Field(ge=0)] = 1
    lower: bool = True
    vectorizer: Literal["count", "hashing"] = "count"
    minimum_term_frequency: Annotated[float, Field(ge=0)] = 1.0
    minimum_documents: Annotated[float, Field(ge=0)] = 1.0
    maximum_documents: Annotated[float, Field(ge=0)] = 0.999
    vocabulary: Annotated[int, Field(ge=1)] = 262144
    binary: bool = False
    features: Annotated[int, Field(ge=1)] = 262144
    idf: bool = False
    idf_documents: Annotated[int, Field(ge=0)] = 5
    style: Literal["vector", "columns"] = "vector"
    output: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Blocks within the block, for the tokenizer, the vectorizer and the weights."""
        block = chosen(parameters, choice)
        settings: dict[str, Any] = {}
        if block.get("tokenizer") == "Custom":
            settings |= _renamed(chosen(block, "tokenizer_custom"), _CUSTOM)
            settings["tokenizer"] = "custom"
        if block.get("vectorizer", "Count Vectorizer") == "Count Vectorizer":
            settings |= _renamed(chosen(block, "vectorizer_count_vectorizer"), _COUNT)
        else:
            settings |= _renamed(chosen(block, "vectorizer_hashing"), _HASHING)
            settings["vectorizer"] = "hashing"
        if block.get("apply_idf") == "Yes":
            weights = chosen(block, "apply_idf_yes")
            settings |= {"idf": True, "idf_documents": weights.get("minimum_document_frequency", 5)}
        return cls(
            columns=names(block.get("input_column")),
            style="vector" if block.get("output_format", "Vector") == "Vector" else "columns",
            output=block.get("output_column", ""),
            **settings,
        )

    @model_validator(mode="after")
    def _names_need_words(self) -> Vectorize:
        if self.style == "columns" and self.vectorizer == "hashing":
            raise ValueError("columns are for 'vectorizer: count': a hashed word has no name")
        return self

    @property
    def _split(self) -> dict[str, Value]:
        if self.tokenizer == "standard":
            return {}
        return {
            "pattern": self.pattern,
            "gaps": self.gaps,
            "minTokenLength": self.minimum_length,
            "toLowercase": self.lower,
        }

    def _count(self, words: Sequence[str] | None) -> dict[str, Value]:
        if words is None:
            return {"features": self.features}
        return {"words": list(words), "least": self.minimum_term_frequency, "binary": self.binary}

    @property
    def _outputs(self) -> dict[str, str]:
        if self.output:
            return output_names(self.columns, self.output)
        return {one: f"{one}_features" for one in self.columns}

    def fit(self, frame: DataFrame) -> State:
        """Vocabulary and weights by column, each null where there is none. Up to three jobs each.

        Raises:
            UsageError: No word is in rows enough, or there is no row to weigh by.
        """
        check_columns(self.kind, self.columns, frame.columns)
        found = {}
        for column in self.columns:
            words = self._words(frame, column) if self.vectorizer == "count" else None
            weights = self._weights(frame, column, words) if self.idf else None
            found[column] = {"words": words, "weights": weights}
        return found

    def _words(self, frame: DataFrame, column: str) -> list[str]:
        split = split_words(frame, column, "_words", self._split).select("_words")
        shares = [self.minimum_documents, self.maximum_documents]
        rows = split.count() if min(shares) < 1 else 0
        least, most = [one if one >= 1 else one * rows for one in shares]
        # The first of a word in its row counts the row. Spark 3.5 has array_position of literals
        # alone, but for this way.
        at_first = fn.call_function("array_position", fn.col("_words"), fn.col("word"))
        first = at_first == fn.col("place") + 1
        counted = (
            split.select("_words", fn.posexplode("_words").alias("place", "word"))
            .groupBy("word")
            .agg(fn.count("*").alias("often"), fn.sum(first.cast("bigint")).alias("rows"))
            .where(fn.col("rows").between(least, most))
            .orderBy(fn.desc("often"), "word")
            .limit(self.vocabulary)
        )
        words = [str(one["word"]) for one in counted.collect()]
        if not words:
            raise UsageError(
                f"{self.kind}: no word of {column} is in {least:g} to {most:g} rows",
                "Lower minimum_documents or raise maximum_documents",
            )
        return words

    def _weights(self, frame: DataFrame, column: str, words: list[str] | None) -> Value:
        from pyspark.ml.feature import IDF

        vectors = count_words(frame, column, "_vector", self._split, self._count(words))
        if vectors.isEmpty():
            raise UsageError(f"{self.kind}: there is no row to weigh the words of {column} by")
        model = IDF(inputCol="_vector", minDocFreq=self.idf_documents).fit(vectors)
        return _sparse([float(one) for one in model.idf.toArray()])

    def stored(self, trained: Mapping[str, Value], parameters: Mapping[str, Value]) -> State:
        """A CountVectorizerModel for each column, and an IDFModel."""
        written = chosen(parameters, "Vectorize")
        hashed = [written.get(one) for one in _HASHED]
        found = {}
        for column, block in stored_state.per_column(trained.get(_BLOCK), self.columns).items():
            stored_state.check_hash(block, hashed)
            words = self._stored_words(column, block) if self.vectorizer == "count" else None
            weights = self._stored_weights(column, block) if self.idf else None
            if words and weights and weights["size"] != len(words):
                raise Stale(f"the weights stored for {column} are not those of its words")
            found[column] = {"words": words, "weights": weights}
        return found

    def _stored_words(self, column: str, block: Mapping[str, Value]) -> list[str]:
        model = stored_state.model(block.get("vectorizer_model"))
        if model.kind != "CountVectorizerModel" or not model.rows:
            raise Stale(f"no vocabulary is stored for {column}")
        return list(model.rows[0]["vocabulary"])

    def _stored_weights(self, column: str, block: Mapping[str, Value]) -> Value:
        model = stored_state.model(block.get("idf_model"))
        if model.kind != "IDFModel" or not model.rows:
            raise Stale(f"no weights are stored for {column}")
        return _sparse(stored_state.dense(model.rows[0]["idf"]))

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        counts = {one: self._count(state[one]["words"]) for one in self.columns}
        weights = {
            one: state[one]["weights"] for one in self.columns if state[one]["weights"] is not None
        }
        own = {"split": self._split, "counts": counts, "weights": weights}
        if self.style == "vector":
            return [Call.of(word_vectors, columns=self._outputs, **own)]
        return [Call.of(word_columns, columns=self._word_names(state), **own)]

    def _word_names(self, state: State) -> dict[str, list[str]]:
        pairs = [(one, word) for one in self.columns for word in state[one]["words"]]
        if len(pairs) > _MOST_COLUMNS:
            raise UsageError(
                f"{self.kind}: {len(pairs)} words would be a column each, {_MOST_COLUMNS} are most",
                "Set vocabulary to less, or style: vector",
            )
        wanted = [f"{self._outputs[column]}_{word}" for column, word in pairs]
        made: dict[str, list[str]] = {one: [] for one in self.columns}
        for (column, _), name in zip(pairs, column_names(wanted, safe=False), strict=True):
            made[column].append(name)
        return made

    def cautions(self) -> list[str]:
        """What makes a vector of little use."""
        return of_vectors(self.style)

    def sentence(self) -> str:
        """One sentence."""
        how = "weighed by how few rows have them" if self.idf else self.vectorizer
        return f"Count the words of {listed(self.columns)} ({how})"


def _renamed(block: Mapping[str, Value], known: Mapping[str, str]) -> dict[str, Value]:
    return {known[key]: value for key, value in block.items() if key in known}


def _sparse(weights: list[float]) -> dict[str, Value]:
    """Weights with the most frequent said once: most places of a hash were never seen."""
    rest = Counter(weights).most_common(1)[0][0]
    places = [place for place, one in enumerate(weights) if one != rest]
    return {
        "size": len(weights),
        "rest": rest,
        "places": places,
        "values": [weights[one] for one in places],
    }


STEPS: tuple[type[Step], ...] = (Vectorize,)

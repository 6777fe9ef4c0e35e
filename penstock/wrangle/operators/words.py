"""Words of text: split, counted, weighed; by Spark ML's own stages, as that is what they mean."""

from __future__ import annotations

from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.columns import at, keep, put


def split_words(frame: DataFrame, column: str, output: str, split: dict[str, Any]) -> DataFrame:
    """The words of a text as a list in a new column; null is no text.

    ``split`` is empty for Spark's Tokenizer, else the settings of RegexTokenizer.
    """
    from pyspark.ml.feature import RegexTokenizer, Tokenizer

    filled = f"{output}_text"
    frame = frame.withColumn(filled, fn.coalesce(at(column).cast("string"), fn.lit("")))
    if split:
        return RegexTokenizer(inputCol=filled, outputCol=output, **split).transform(frame)
    return Tokenizer(inputCol=filled, outputCol=output).transform(frame)


def count_words(
    frame: DataFrame, column: str, output: str, split: dict[str, Any], count: dict[str, Any]
) -> DataFrame:
    """How often each word occurs, as a sparse vector in a new column.

    ``count`` holds ``features`` for Spark's HashingTF; else ``words``, the vocabulary in order, and
    the settings of CountVectorizer.
    """
    from pyspark.ml.feature import CountVectorizerModel, HashingTF

    words = f"{output}_words"
    frame = split_words(frame, column, words, split)
    if "features" in count:
        hashing = HashingTF(inputCol=words, outputCol=output, numFeatures=count["features"])
        return hashing.transform(frame)
    model = CountVectorizerModel.from_vocabulary(
        count["words"], words, output, minTF=count["least"], binary=count["binary"]
    )
    return model.transform(frame)


def weigh_words(frame: DataFrame, column: str, output: str, weights: dict[str, Any]) -> DataFrame:
    """A vector times weights, in a new column: ``rest``, but ``values`` at ``places``."""
    from pyspark.ml.feature import ElementwiseProduct
    from pyspark.ml.linalg import Vectors

    factors = [weights["rest"]] * weights["size"]
    for place, value in zip(weights["places"], weights["values"], strict=True):
        factors[place] = value
    product = ElementwiseProduct(
        scalingVec=Vectors.dense(factors), inputCol=column, outputCol=output
    )
    return product.transform(frame)


def word_vectors(
    frame: DataFrame,
    columns: dict[str, str],
    split: dict[str, Any],
    counts: dict[str, dict[str, Any]],
    weights: dict[str, dict[str, Any]],
) -> DataFrame:
    """A sparse vector of the words of each text, into the column named.

    Args:
        frame: Of which.
        columns: Where results go, by column.
        split: See :func:`split_words`.
        counts: By column; see :func:`count_words`.
        weights: By column, where there are any; see :func:`weigh_words`.
    """
    there, made = frame.columns, {}
    for n, (column, output) in enumerate(columns.items()):
        vector = f"_vector_{n}"
        frame = count_words(frame, column, vector, split, counts[column])
        if column in weights:
            frame = weigh_words(frame, vector, f"{vector}_weighed", weights[column])
            vector = f"{vector}_weighed"
        made[output] = at(vector)
    new = [one for one in made if one not in there]
    return keep(put(frame, made), [*there, *new])


def word_columns(
    frame: DataFrame,
    columns: dict[str, list[str]],
    split: dict[str, Any],
    counts: dict[str, dict[str, Any]],
    weights: dict[str, dict[str, Any]],
) -> DataFrame:
    """The same, a column for each word: ``columns`` are their names by column, in order."""
    from pyspark.ml.functions import vector_to_array

    there = frame.columns
    made: dict[str, Column] = {}
    vectors = {column: f"_counts_{n}" for n, column in enumerate(columns)}
    frame = word_vectors(frame, vectors, split, counts, weights)
    arrays = {name: vector_to_array(at(name)) for name in vectors.values()}
    frame = put(frame, arrays)
    for column, outputs in columns.items():
        made |= {
            output: fn.get(at(vectors[column]), fn.lit(place))
            for place, output in enumerate(outputs)
        }
    new = [one for one in made if one not in there]
    return keep(put(frame, made), [*there, *new])

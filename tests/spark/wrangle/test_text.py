"""Words and characters of text as numbers (facts: wrangler, 4, 'Vectorize')."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.ml.feature import IDF, CountVectorizer, HashingTF, RegexTokenizer, Tokenizer
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.flow import Input
from penstock.wrangle.operators.characters import CharacterStatistics
from penstock.wrangle.operators.vectorizing import Vectorize
from tests.wrangling import applied, frame, learnt, packed, run_of, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_TEXTS = ("The cat  the dog", "a cat", None, "the bird", "THE end of a the")
#: The block of public flow 26's node, and its hash.
_BLOCK = {
    "tokenizer": "Standard",
    "vectorizer": "Count Vectorizer",
    "apply_idf": "Yes",
    "input_column": ["t"],
    "output_format": "Vector",
    "tokenizer_standard_parameters": {},
    "vectorizer_count_vectorizer_parameters": {
        "minimum_term_frequency": 1,
        "minimum_document_frequency": 1,
        "maximum_document_frequency": 0.999,
        "maximum_vocabulary_size": 262144,
        "binarize_count": False,
    },
    "apply_idf_yes_parameters": {"minimum_document_frequency": 5},
}
_HASH = "359a1f73c8a52089fa1570f658889d8a69b06d09"


def _rows(spark: SparkSession) -> DataFrame:
    return frame(spark, "t string, n int", *[(one, n) for n, one in enumerate(_TEXTS)])


def _texts(rows: DataFrame, column: str) -> list[str]:
    return [one[0] for one in rows.select(fn.col(column).cast("string")).collect()]


@pytest.mark.shows("8.1")
def test_counts_are_sparks(spark: SparkSession) -> None:
    """Source: Spark's Tokenizer, CountVectorizer and IDF; the text is that of CSV.

    The order of words that are as frequent is ours, by text: Spark's is left open.
    """
    rows = _rows(spark)
    step = Vectorize(columns=("t",), idf=True, idf_documents=2)
    found, state = learnt(step, rows)
    assert found.dtypes == [("t", "string"), ("n", "int"), ("t_features", "vector")]
    assert state["t"]["words"] == ["the", "", "a", "cat", "bird", "dog", "end", "of"]
    split = Tokenizer(inputCol="f", outputCol="w").transform(
        rows.withColumn("f", fn.coalesce("t", fn.lit("")))
    )
    theirs = CountVectorizer(inputCol="w", maxDF=0.999).fit(split)
    assert sorted(theirs.vocabulary) == sorted(state["t"]["words"])
    ours = theirs.from_vocabulary(state["t"]["words"], "w", "v").transform(split)
    wanted = IDF(inputCol="v", outputCol="i", minDocFreq=2).fit(ours).transform(ours)
    assert _texts(found, "t_features") == _texts(wanted, "i")


@pytest.mark.shows("8.1")
def test_hashing_is_sparks(spark: SparkSession) -> None:
    """Source: Spark's RegexTokenizer, HashingTF and IDF; of words never seen the weight is one."""
    rows = _rows(spark)
    step = Vectorize(
        columns=("t",),
        tokenizer="custom",
        pattern="[a-z]+",
        gaps=False,
        minimum_length=2,
        vectorizer="hashing",
        features=64,
        idf=True,
        idf_documents=0,
        output="t",
    )
    filled = rows.withColumn("f", fn.coalesce("t", fn.lit("")))
    split = RegexTokenizer(
        inputCol="f", outputCol="w", pattern="[a-z]+", gaps=False, minTokenLength=2
    ).transform(filled)
    hashed = HashingTF(inputCol="w", outputCol="v", numFeatures=64).transform(split)
    wanted = IDF(inputCol="v", outputCol="i", minDocFreq=0).fit(hashed).transform(hashed)
    found, state = learnt(step, rows)
    assert _texts(found, "t") == _texts(wanted, "i")
    assert state["t"]["words"] is None
    assert len(state["t"]["weights"]["places"]) < 20


@pytest.mark.shows("8.1")
def test_columns_of_words(spark: SparkSession) -> None:
    """``<column>_features_<word>``, the counts as double; limits of the vocabulary count rows."""
    step = Vectorize(
        columns=("t",), style="columns", minimum_documents=2, maximum_documents=0.5, vocabulary=3
    )
    columns, values = table(applied(step, _rows(spark)))
    assert columns[2:] == [f"t_features_{one} double" for one in ("", "a", "cat")]
    assert [one[2:] for one in values] == [(1, 0, 1), (0, 1, 1), (1, 0, 0), (0, 0, 0), (0, 1, 0)]
    with pytest.raises(ValueError, match="a hashed word has no name"):
        Vectorize(columns=("t",), style="columns", vectorizer="hashing")


@pytest.mark.shows("8.1")
def test_stored_models(spark: SparkSession, tmp_path: Path) -> None:
    """The node of public flow 26, its hash, models Spark wrote. Another kind of model: no."""
    split = frame(spark, "w array<string>", (["x", "y", "x"],), (["y"],))
    counted = CountVectorizer(inputCol="w", outputCol="v").fit(split)
    counted = counted.from_vocabulary(["x", "y"], "w", "v")
    weighed = IDF(inputCol="v").fit(counted.transform(split))
    parameters = {"operator": "Vectorize", "vectorize_parameters": _BLOCK}
    block = {
        "_hash": _HASH,
        "vectorizer_model": packed(counted, tmp_path),
        "idf_model": packed(weighed, tmp_path),
    }
    step = step_of("featurize_text", **parameters)
    assert step == Vectorize(columns=("t",), idf=True)
    rows = frame(spark, "t string", ("X x z",))
    trained = {"vectorize_parameters": block}
    run = run_of(step, rows, parameters=parameters, trained=trained)
    (text,) = _texts(run.frame(Input("step")), "t_features")
    assert text == f"(2,[0],[{2 * weighed.idf.toArray()[0]}])"
    block["idf_model"] = block["vectorizer_model"]
    said: list[str] = []
    run = run_of(step, rows, parameters=parameters, trained=trained)
    run.warn = said.append
    with pytest.raises(UsageError, match=r"no word of t is in 1 to 0\.999 rows"):
        run.frame(Input("step"))
    assert said == ["node step: no weights are stored for t; it is fitted anew"]


@pytest.mark.shows("8.1")
def test_characters(spark: SparkSession) -> None:
    """Ratios over what is no white space; two underscores by default (facts: wrangler, 4)."""
    rows = frame(
        spark, "`t.x` string", ("Ab 1_#!",), (" ",), (None,), ("\u00c9\u00e9\u0663 \U0001f600",)
    )
    columns, values = table(applied(CharacterStatistics(columns=("t.x",)), rows))
    assert columns[1:] == [
        f"t.x__{one}"
        for one in (
            "word_count bigint",
            "char_count bigint",
            "special_ratio double",
            "digit_ratio double",
            "lower_ratio double",
            "capital_ratio double",
        )
    ]
    assert [one[1:] for one in values] == [
        (2, 7, 2 / 6, 1 / 6, 1 / 6, 1 / 6),
        (0, 1, 0.0, 0.0, 0.0, 0.0),
        (0, 0, 0.0, 0.0, 0.0, 0.0),
        (2, 5, 0.25, 0.25, 0.25, 0.25),
    ]
    step = step_of(
        "featurize_text",
        operator="Character statistics",
        character_statistics_parameters={"input_column": "t.x", "output_column": "p"},
    )
    assert applied(step, rows).columns[1] == "p_word_count"
    with pytest.raises(UsageError, match="vectorize: no column 'z'"):
        applied(Vectorize(columns=("z",)), rows)

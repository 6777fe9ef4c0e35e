"""Code that a flow holds, and expressions (facts: wrangler, 4, 'Custom')."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from penstock.errors import UsageError
from penstock.wrangle.call import Code
from penstock.wrangle.flow import Flow, Input, Node
from penstock.wrangle.operators.custom_code import (
    FunctionCode,
    PandasCode,
    PySparkCode,
    SqlCode,
)
from penstock.wrangle.operators.determinism import python_chances, sql_chances, syntax_fault
from penstock.wrangle.operators.formula import Formula
from penstock.wrangle.running import Run
from penstock.wrangle.source import Source
from tests.wrangling import applied, frame, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_WHEN = dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc)
_SAID = "2020-01-02 03:04:05"


@pytest.mark.shows("8.1")
def test_pandas_there_and_back(spark: SparkSession) -> None:
    """Source: facts: wrangler, 4 (all null is '', mixed is text); pandas for the rest."""
    code = """
df['more'] = df['n'] + 1
df['none'] = None
df['mixed'] = [1, 'x']
df['flag'] = df['n'] > 1
df['dummy'] = df['n'].astype('uint8')
df['day'] = df['when'].dt.date
df['list'] = [[1.5], None]
df = df.drop(columns=['s'])
"""
    rows = frame(
        spark,
        "n bigint, s string, `a.b` bigint, when timestamp",
        (1, "x", None, _WHEN),
        (2, None, 3, None),
    )
    found = applied(PandasCode(code=code), rows)
    columns = [f"{name} {kind}" for name, kind in found.dtypes]
    values = [tuple(one) for one in found.withColumn("when", found.when.cast("string")).collect()]
    assert columns == [
        "n bigint",
        "a.b double",
        "when timestamp",
        "more bigint",
        "none string",
        "mixed string",
        "flag boolean",
        "dummy bigint",
        "day date",
        "list array<double>",
    ]
    assert values == [
        (1, None, _SAID, 2, "", "1", False, 1, _WHEN.date(), [1.5]),
        (2, 3.0, None, 3, "", "x", True, 2, None, None),
    ]
    empty = applied(PandasCode(code="df = df[df.n > 5]"), rows)
    assert empty.columns == ["n", "s", "a.b", "when"]
    assert empty.count() == 0


@pytest.mark.shows("8.1")
def test_code_of_public_flows(spark: SparkSession) -> None:
    """Source: the code of public flows 01, 02, 07, 09 and 24, as it stands there; own rows."""
    lower = (
        "# Table is available as variable `df`\\ncat_cols = df.dtypes[df.dtypes == object].index\\n"
        "df[cat_cols] = df[cat_cols].apply(lambda x: x.str.lower())\\n"
    ).replace("\\n", "\n")
    rows = frame(spark, "meal string, q bigint", ("Undefined", 1), ("FB", 2))
    found = applied(step_of("custom_pandas", code=lower), rows)
    assert table(found) == (["meal string", "q bigint"], [("undefined", 1), ("fb", 2)])
    meals = (
        "from pyspark.sql.functions import when\n\n"
        "df = df.withColumn('meal', when(df.meal == 'Undefined', 'BB').otherwise(df.meal))"
        "# Table is available as variable `df`\n"
    )
    block = {"operator": "Python (PySpark)", "pyspark_parameters": {"code": meals}}
    assert [one[0] for one in applied(step_of("custom_code", **block), rows).collect()] == [
        "BB",
        "FB",
    ]
    stars = "from pyspark.sql.functions import *\ndf = df.groupBy().agg(sum('q').alias('q'))\n"
    code = Code(stars)
    assert code.source.endswith("from builtins import *")
    assert applied(PySparkCode(code=stars), rows).collect()[0][0] == 3
    own = Code("from pyspark.sql.functions import sum, col\nfor str in 'ab':\n    max = str")
    assert own.source.splitlines()[-1] == "from builtins import max, str, sum"
    udf = {"udf_mode": "Python", "input_col": "meal", "output_col": "size", "return_type": "long"}
    text = "import math\ndef custom_func(value):\n    return int(math.sqrt(len(value)))\n"
    block = {"operator": "Python (User-Defined Function)", "udf_parameters": {"code": text, **udf}}
    sized = applied(step_of("custom_code", **block), rows)
    assert table(sized) == (
        ["meal string", "q bigint", "size bigint"],
        [("Undefined", 1, 3), ("FB", 2, 1)],
    )
    many = FunctionCode(code="def custom_func(s):\n    return s + 1", column="q", returns="long")
    assert [one[1] for one in applied(many, rows).collect()] == [2, 3]


@pytest.mark.shows("8.1")
def test_formulas_and_queries(spark: SparkSession) -> None:
    """Source: facts: wrangler, 4: ``expr`` of Spark SQL; the table is called df; no ANSI."""
    rows = frame(spark, "a int, b int", (6, 3), (1, 0))
    step = step_of("custom_formula", formula="a / b", output_column="c d")
    assert table(applied(step, rows)) == (
        ["a int", "b int", "c d double"],
        [(6, 3, 2.0), (1, 0, None)],
    )
    query = SqlCode(query="SELECT sum(a) AS a FROM df WHERE b >= 0")
    assert table(applied(query, rows)) == (["a bigint"], [(7,)])
    assert not spark.catalog.tableExists("df")
    with pytest.raises(UsageError, match="step: formula: no column 'x'"):
        applied(Formula(formula="x + 1", output="c"), rows)
    with pytest.raises(ValueError, match="calls Java"):
        Formula(formula="java_method('java.lang.System', 'exit', 1)", output="c")


@pytest.mark.shows("8.1")
def test_code_that_fails_says_where(spark: SparkSession) -> None:
    """Own rule: one line, with the line of the code as people wrote it; nothing runs unasked."""
    rows = spark.range(1)
    cases = {
        "x = 1\ndf[‘a’] = x": r"its code is no Python: .* \(line 2",
        "x = 1\nint('+49 151')": r"its code fails: ValueError \(line 2\)",
        "x = 1\nboom": r"its code fails: NameError: name 'boom' is not defined \(line 2\)",
        "df = 3": "must stay a pandas DataFrame; it is <class 'int'>",
    }
    for code, said in cases.items():
        with pytest.raises(UsageError, match=said):
            applied(PandasCode(code=code), rows)
    with pytest.raises(UsageError, match="leaves no DataFrame"):
        applied(PySparkCode(code="df = df.toPandas()"), rows)
    nodes = (Node("in", Source("in")), Node("n", PySparkCode(code="boom"), (Input("in"),)))
    with pytest.raises(UsageError, match="--allow-code"):
        Run(Flow("f", nodes), lambda _: rows).frame(Input("n"))


def test_the_clock_and_chance_are_seen() -> None:
    """Source: the code of public flows 01, 07, 20 and 26; facts: wrangler, 0 (8)."""
    seen: tuple[tuple[Any, bool], ...] = (
        ("df['t'] = pd.to_datetime('now').timestamp()", True),
        ("base_date = dt.date.today()", True),
        ("df = df.withColumn('d', F.add_months('current_date', -36))", True),
        ("import time\nnow = time.time()", True),
        ("df = df.withColumn('t', F.expr('now()'))", True),
        ("df = df.withColumn('t', F.unix_timestamp())", True),
        ("x = np.random.rand(3)", True),
        ("df = df.sample(0.5)", True),
        ("df = df.sample(0.5, seed=3)", False),
        ("df = df.withColumn('r', F.rand(7))", False),
        ("df = df.withColumn('t', F.unix_timestamp('x'))", False),
        ("df['now'] = df['today'].dt.date", False),
        ("df[‘issued_on’] = dt.date.today()", False),
    )
    for code, wanted in seen:
        assert bool(python_chances(code)) is wanted, code
    queries = {
        "SELECT now() FROM df": True,
        "SELECT 'now()' AS `rand()`, a -- now()\nFROM df": False,
        "datediff(current_date, a)": True,
        "rand(3) + unix_timestamp(a)": False,
        "uuid()": True,
    }
    for query, wanted in queries.items():
        assert bool(sql_chances(query)) is wanted, query
    assert "curly quotes" in syntax_fault("df[‘a’] = 1")
    assert PandasCode(code="df[‘a’] = 1").cautions()[0].startswith("the code is no Python")

"""Row-level expectations compiled to Arrow, and which expectations run where.

Both gates look at Arrow batches inside Spark's Python workers, so a rule is a function of a batch.
What looks at a whole set is left to Great Expectations (:mod:`penstock.quality`). Everything is
checked before any data is read: names and arguments come from an allow-list, and SQL has no place
in it.
"""

from penstock.expectation.rules import (
    ROW_TYPES,
    SET_TYPES,
    STAGED_TYPES,
    Rule,
    Split,
    allowed,
    compile_row,
    keywords,
    split,
)

__all__ = [
    "ROW_TYPES",
    "SET_TYPES",
    "STAGED_TYPES",
    "Rule",
    "Split",
    "allowed",
    "compile_row",
    "keywords",
    "split",
]

"""What every format must be able to forget, and what it must leave."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import strategies as st

#: Values of a column, texts that are asked for, values that stay.
NUMBERS = pytest.mark.parametrize(
    ("kind", "values", "wanted", "left"),
    [
        (pa.int64(), [1, -7, 10**18, 0], ["-7", str(10**18), "007", "x", "1.0"], [1, 0]),
        (pa.float64(), [1e16, 1e-7, 0.1, -0.0, 5.0], ["1e+16", "1e-07", "5", "nan"], [0.1, 0.0]),
        (pa.float64(), [-0.0, 1.5, 0.0], ["0", "2"], [1.5]),
    ],
)
#: Arrow takes no half of a surrogate pair.
_TEXT = st.text(st.characters(codec="utf-8"), max_size=3)
#: Identifiers of the rows of each append, and those that are to go.
APPENDS = st.lists(st.lists(_TEXT, min_size=1, max_size=4), min_size=1, max_size=3)
WANTED = st.lists(_TEXT, min_size=1, max_size=3)
